"""Who may ask the admin API: each rule against pages in browsers and callers without the token, on real sockets."""

import asyncio
import socket
import subprocess
import sys

import pytest

from headgate.control import adminserver
from headgate.control.adminserver import Server
from headgate.control.door import Door
from headgate.control.guard import Guard

TOKEN = "a-token-of-some-length"


@pytest.fixture
def ask(guarded):
    """Return a function that asks with the token; fields given as None are not sent."""

    def one(method, path, body=None, raw=b"", **fields):
        told = {"Authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): value for name, value in fields.items()}
        return guarded.ask(method, path, body, port=guarded.admin_port(), fields=told, raw=raw)

    return one


def exchange(port, data):
    """Send bytes; return what comes until the end."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


# Host.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]", "127.1.2.3"])
def test_the_own_address_is_a_host(guarded, ask, host):
    assert ask("GET", "/api/status", Host=f"{host}:{guarded.admin_port()}").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example:{port}", "localhost.rebound.example:{port}", "127.0.0.1.rebound.example:{port}", "localhost",
        "127.0.0.1", "127.0.0.1:1", "10.0.0.1:{port}", "", ":{port}",
        "user@127.0.0.1:{port}", "127.0.0.1:{port}/", "127.0.0.1:{port}:{port}",
    ],
)  # fmt: skip
def test_another_host_is_refused(guarded, ask, host):
    answer = ask("POST", "/api/stop", Host=host.format(port=guarded.admin_port()))
    assert answer.status == 421
    assert "is not this admin API" in answer.detail
    assert guarded.process.poll() is None


def test_a_request_without_host_is_refused(guarded):
    assert b" 421 " in exchange(guarded.admin_port(), b"GET /api/status HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:8080"])
def test_a_unix_socket_may_be_forwarded(shared, host):
    """As with `ssh -L 9000:SOCKET`."""
    assert shared.ask("GET", "/api/status", fields={"Host": host}).status == 200


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:9000", "10.0.0.1", "[::1"])
def test_a_forwarded_unix_socket_is_not_for_rebound_names(shared, host):
    assert shared.ask("POST", "/api/stop", fields={"Host": host}).status == 421
    assert shared.process.poll() is None


@pytest.mark.parametrize(
    ("door", "host", "ours"),
    [
        (Door(), "", True),
        (Door("127.0.0.1", 8600, url="https://gate.example/"), "gate.example", True),
        (Door("127.0.0.1", 8600, url="https://gate.example/"), "Gate.example:443", False),
        (Door("127.0.0.1", 8600, url="https://gate.example:443/x"), "gate.example", True),
        (Door("127.0.0.1", 8600, url="https://gate.example:8443/"), "gate.example:8443", True),
        (Door("127.0.0.1", 8600, url="https://gate.example:8443/"), "gate.example", False),
        (Door("127.0.0.1", 8600, url="https://gate.example/"), "other.example", False),
        (Door("127.0.0.1", 80), "127.0.0.1", True),
        (Door("127.0.0.1", 80), "127.0.0.1:81", False),
        (Door("127.0.0.1", 9901), "", False),
        (Door("localhost", 9901), "127.0.0.1:9901", True),
        (Door("::1", 9901), "[::1]:9901", True),
        (Door("0.0.0.0", 9901), "192.0.2.7:9901", True),
        (Door("0.0.0.0", 9901), "localhost:9901", True),
        (Door("0.0.0.0", 9901), "192.0.2.7:9902", False),
        (Door("0.0.0.0", 9901), "rebound.example:9901", False),
        (Door("gateway.internal", 9901), "gateway.internal:9901", True),
        (Door("gateway.internal", 9901), "other.internal:9901", False),
    ],
)
def test_what_is_a_host_of_which_door(door, host, ours):
    assert door.is_ours(host) is ours


# Origin.


def test_a_page_of_its_own_may_ask(guarded, ask):
    assert ask("GET", "/api/status", Origin=f"http://127.0.0.1:{guarded.admin_port()}").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/status"), ("POST", "/api/stop"), ("OPTIONS", "/api/stop")])
def test_pages_of_others_are_refused(guarded, ask, origin, method, path):
    answer = ask(method, path, Origin=origin.format(port=guarded.admin_port()))
    assert answer.status == 403
    assert not [name for name in answer.fields if name.lower().startswith("access-control")]
    assert guarded.process.poll() is None


def test_a_field_that_stands_there_twice_is_refused(guarded):
    port = guarded.admin_port()
    head = (
        f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    )
    assert b" 200 " in exchange(port, head + b"\r\n")
    assert b" 400 " in exchange(port, head + b"Authorization: Bearer other\r\n\r\n")
    assert b" 400 " in exchange(port, head + f"Origin: http://127.0.0.1:{port}\r\nOrigin: http://evil.example\r\n\r\n".encode())
    assert b" 400 " in exchange(port, head + b"Host: evil.example\r\n\r\n")


# Token.


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("-", "a token is needed"),
        ("Bearer", "the token is wrong"),
        ("Bearer ", "the token is wrong"),
        (f"Bearer {TOKEN}x", "the token is wrong"),
        (f"Bearer {TOKEN[:-1]}", "the token is wrong"),
        (f"Basic {TOKEN}", "the token is wrong"),
        (TOKEN, "the token is wrong"),
        ("Bearer \xe4\xf6\xfc", "the token is wrong"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/status"), ("GET", "/api/openapi.json"), ("POST", "/api/stop"), ("GET", "/")]
)
def test_without_the_token_nothing_is_told(guarded, ask, method, path, shown, words):
    answer = ask(method, path, Authorization=shown)
    assert answer.status == 401
    assert words in answer.detail
    assert answer.fields["WWW-Authenticate"] == "Bearer"
    assert TOKEN.encode() not in answer.body
    assert guarded.process.poll() is None


def test_the_scheme_is_compared_without_case(ask):
    assert ask("GET", "/api/status", Authorization=f"bearer  {TOKEN}").status == 200


@pytest.mark.parametrize("token", [b"two words are no token", b"\xff" * 20], ids=["words", "bytes"])
def test_a_token_that_is_none_means_no_admin_api(start, tmp_path, token):
    file = tmp_path / "token"
    file.write_bytes(token)
    gateway = start(gateway=f'admin = {{ listen = "127.0.0.1:0", token = "{file}" }}')
    gateway.says(f"note no admin API: {file} holds no token of 16 or more plain characters")
    assert gateway.get() == 200
    assert gateway.stop() == 0


def test_an_address_for_others_needs_a_token(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[gateway]\nadmin = { listen = "0.0.0.0:0" }\n[upstream.a]\nservers = ["http://127.0.0.1:1"]\n')
    done = subprocess.run(
        [sys.executable, "-c", "from headgate.cli import main\nmain()", "serve", str(file)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "can be reached from other machines, and no token is asked" in done.stderr


def test_an_address_for_others_works_with_a_token(start, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    gateway = start(gateway=f'admin = {{ listen = "0.0.0.0:0", token = "{tmp_path / "token"}" }}')
    port = gateway.admin_port()
    assert gateway.ask("GET", "/api/status", port=port).status == 401
    assert gateway.ask("GET", "/api/status", port=port, fields={"Authorization": f"Bearer {TOKEN}"}).status == 200


# What may be sent.


@pytest.mark.parametrize(
    "kind", ["-", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/stop"), ("PUT", "/api/upstreams/app/servers/x/weight"), ("PATCH", "/")]
)
def test_what_a_form_can_send_is_refused(guarded, ask, method, path, kind):
    answer = ask(method, path, Content_Type=kind)
    assert answer.status == 415
    assert "application/json is needed" in answer.detail
    assert guarded.process.poll() is None


def test_json_may_name_its_charset(ask):
    assert ask("POST", "/api/reload", Content_Type="Application/JSON; charset=utf-8").status == 200


def test_large_bodies_are_refused(guarded, ask):
    port = guarded.admin_port()
    assert ask("POST", "/api/reload", raw=b" " * 65_537).status == 413
    assert ask("POST", "/api/reload", raw=b"{}" + b" " * 65_000).status == 200
    head = f"POST /api/reload HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Content-Type: application/json\r\n"
    chunks = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    answer = exchange(port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert exchange(port, f"{head}Content-Length: 99999999\r\n\r\n".encode()).startswith(b"HTTP/1.1 413 ")


def test_large_heads_and_nonsense_are_refused(guarded):
    port = guarded.admin_port()
    assert exchange(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 400 ")
    assert exchange(port, b"\x16\x03\x01\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert guarded.process.poll() is None


def test_answers_are_not_kept_by_caches(ask):
    for answer in (ask("GET", "/api/status"), ask("GET", "/api/nothing"), ask("GET", "/api/status", Authorization="-")):
        assert answer.fields["Cache-Control"] == "no-store"
        assert answer.fields["X-Content-Type-Options"] == "nosniff"


# Time and number, and errors of our own: in this process, with shorter limits.


def served(app, check):
    """Serve an application on loopback while `check` runs; return what it returns."""

    async def both():
        with socket.create_server(("127.0.0.1", 0)) as sock:
            sock.setblocking(False)
            port = sock.getsockname()[1]
            server = Server(app)
            task = asyncio.create_task(server.serve([sock]))
            try:
                return await asyncio.wait_for(check(port), 20)
            finally:
                server.should_exit = True
                await task

    return asyncio.run(both())


async def fine(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("pieces", [[], [b"GET / HT"], [WHOLE, b"GET / H"]], ids=["nothing", "a part", "a second"])
def test_who_does_not_finish_a_head_is_let_go(monkeypatch, pieces):
    monkeypatch.setattr(adminserver, "_PATIENCE", 0.1)

    async def check(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = b""
        try:
            for piece in pieces:
                writer.write(piece)
                if piece is WHOLE:
                    got += await reader.readuntil(b"ok")
            got += await reader.read()
        except ConnectionResetError:
            pass
        writer.close()
        return got

    assert served(fine, check).count(b" 200 ") == pieces.count(WHOLE)


def test_too_many_connections_are_closed(monkeypatch):
    monkeypatch.setattr(adminserver, "_MOST", 2)

    async def ask_on(reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            return (await reader.read(1000)).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:
            return False

    async def check(port):
        connections = []
        for _ in range(3):
            connections.append(await asyncio.open_connection("127.0.0.1", port))
            await asyncio.sleep(0.05)
        answered = [await ask_on(*one) for one in connections]
        for _, writer in connections:
            writer.close()
        return answered

    assert served(fine, check) == [True, True, False]


def test_an_error_of_ours_is_told_and_survived():
    notes = []

    async def broken(scope, _receive, send):
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        raise RuntimeError("a mistake")

    async def check(port):
        answers = []
        for path in (b"/", b"/begun", b"/"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            answers.append(await reader.read())
            writer.close()
        return answers

    first, begun, last = served(Guard(broken, Door(), notes.append), check)
    for answer in (first, last):
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"application/problem+json" in answer
        assert b"a mistake" not in answer
    assert b" 500 " not in begun, "an answer that has begun is cut, not followed by another"
    assert notes == [f"admin API: GET '{path}': RuntimeError('a mistake')" for path in ("/", "/begun", "/")]
