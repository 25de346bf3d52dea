"""An autopsy of one server: its verdict with real names, what this machine shows, bounds, and what hostile servers may not do."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.config.schema import Dns, Upstream
from headgate.lab.processes import free_port
from headgate.net.resolve import Addresses, Resolver, Unresolved
from headgate.probe import autopsyshared
from headgate.probe.autopsy import autopsy

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
REFUSED = {"cause": "connection-refused", "phase": "connect", "sentence": "refused", "upstream": "shop"}


@pytest.fixture(autouse=True)
def fresh() -> None:
    autopsyshared.forget()


async def examine(
    url: str, failure: Any = REFUSED, resolver: Any = None, seconds: float = 4.0, **settings: Any
) -> dict[str, Any]:
    last = settings.pop("last_success", 0.0)
    upstream = Upstream.model_validate({"servers": [url], **settings})
    async with asyncio.timeout(15):
        return await autopsy(
            upstream.servers[0], upstream, failure, resolver or Resolver(Dns()), seconds=seconds, last_success=last
        )


def run(url: str, **more: Any) -> dict[str, Any]:
    return asyncio.run(examine(url, **more))


def texts(found: dict[str, Any]) -> str:
    return "\n".join(found["evidence"])


@pytest.fixture
def neighbour() -> Iterator[tuple[int, int, int]]:
    """A web server of another process: a free port beside it, its own port, and its pid."""
    program = (
        "import contextlib, http.server, random, sys\n"
        "class Quiet(http.server.SimpleHTTPRequestHandler):\n"
        "    server_version, sys_version = 'gunicorn', ''\n"
        "    def log_message(self, *words): pass\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()\n"
        "for port in random.sample(range(30_200, 32_600), 50):\n"  # one that the kernel does not hand out
        "    with contextlib.suppress(OSError):\n"
        "        server = http.server.ThreadingHTTPServer(('127.0.0.1', port), Quiet)\n"
        "        break\n"
        "print(port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield _closed_beside(port), port, process.pid
        finally:
            process.kill()


def _closed_beside(port: int) -> int:
    for other in (*range(port + 1, port + 30), *range(port - 30, port)):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", other)):
                return other
    raise AssertionError(f"no free port beside {port}")


def test_the_neighbouring_port_answers(neighbour: tuple[int, int, int]) -> None:
    closed, port, pid = neighbour
    found = asyncio.run(_as_stranger(f"http://127.0.0.1:{closed}", last_success=1_700_000_000.0))
    assert found["cause"] == "connection-refused"
    assert found["confidence"] == "proved"
    assert found["agrees"] is True
    assert found["verdict"].startswith(f"Nothing listens on 127.0.0.1:{closed}: the connection was refused")
    assert f"port {port} on the same host answers as gunicorn (HTTP 200" in found["verdict"]
    assert f"(pid {pid})" in found["verdict"]
    assert "last success 2023-11-1" in found["verdict"]
    assert f"nothing listens on 127.0.0.1:{closed}" in found["evidence"]
    first = found["actions"][0]
    assert first["command"] == f'servers = ["http://127.0.0.1:{port}"]'
    assert "[upstream.shop]" in first["text"]
    assert found["actions"][1]["command"] == f"ss -ltnp 'sport = :{closed}'"


def test_it_listens_on_another_address_only() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]
        found = run(f"http://127.0.0.1:{port}")
    assert found["cause"] == "connection-refused"
    assert f"(pid {os.getpid()}) listens on 127.0.0.2:{port} only" in found["verdict"]
    assert found["actions"][0]["command"] == f'servers = ["http://127.0.0.2:{port}"]'


def test_a_program_that_names_the_port_and_does_not_listen() -> None:
    port = free_port()
    words = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()", "--bind", f"0.0.0.0:{port}", "s3cr3t"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            found = asyncio.run(_as_stranger(f"http://127.0.0.1:{port}"))
        finally:
            process.kill()
    assert f"(pid {process.pid}, started" in texts(found)
    assert f"names port {port} on its command line, and does not listen on it" in texts(found)
    assert "s3cr3t" not in json.dumps(found)


async def _as_stranger(url: str, **more: Any) -> dict[str, Any]:
    """The program is a child of this process, as a gateway's worker would be: for once it counts as somebody else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headgate.probe.autopsyplace._family", lambda: {os.getpid()})
        return await examine(url, **more)


def test_a_full_queue_is_seen_behind_the_silence() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        found = run(f"http://127.0.0.1:{port}", failure={"cause": "connection-timeout"}, timeouts={"connect": "300ms"})
        for caller in callers:
            caller.close()
    assert found["cause"] == "connection-timeout"
    assert "1 connections wait in its queue (room for 0), which is full" in found["verdict"]
    assert found["actions"][0]["command"] == f"top -H -p {os.getpid()}"


def test_an_answer_that_comes_after_the_limit_tells_which_limit_would_do(served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        settings = {"timeouts": {"head": "200ms"}}
        return await examine(f"http://127.0.0.1:{port}", {"cause": "response-timeout", "upstream": "shop"}, **settings)

    found = served(says(0.8, OK), client)
    assert found["cause"] == "response-timeout"
    assert found["confidence"] in ("proved", "likely")
    assert "sent nothing for 200 ms (upstream.shop.timeouts.head)" in found["verdict"]
    assert "it answered 200 after" in texts(found)
    assert "Raise timeouts.head of [upstream.shop]" in found["actions"][0]["text"]
    assert float(found["actions"][0]["command"].partition('"')[2].partition("s")[0]) > 0.8


def test_less_patience_than_the_gateway_proves_nothing(served: Any, says: Any) -> None:
    async def client(port: int) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{port}"
        return [await examine(url, {"cause": cause}, seconds=0.8) for cause in ("response-timeout", "tls-alert")]

    alike, other = served(says(stay=True), client)
    assert (alike["cause"], alike["confidence"], alike["agrees"]) == ("response-timeout", "likely", True)
    assert (other["cause"], other["confidence"], other["agrees"]) == ("response-timeout", "possible", False)
    assert "as long as the autopsy waited" in alike["verdict"]


def test_one_get_and_nothing_else(served: Any) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        await writer.drain()

    async def client(port: int) -> dict[str, Any]:
        health = {"path": "/ready?deep=1", "host": "shop.example"}
        return await examine(f"http://127.0.0.1:{port}", {**REFUSED, "method": "POST", "target": "/pay"}, health=health)

    found = served(handler, client)
    assert found["healthy"] is True
    assert (found["cause"], found["confidence"], found["agrees"]) == ("", "unknown", None)
    assert len(seen) == 1
    assert seen[0].startswith(b"GET /ready?deep=1 HTTP/1.1\r\nHost: shop.example\r\n")
    assert "works again: 200 OK" in found["verdict"]


@pytest.mark.parametrize(
    ("host", "given", "sent"),
    [
        ("pass", "shop.example", b"shop.example"),
        ("pass", "evil\r\nX: y", b"127.0.0.1:"),
        ("server", "shop.example", b"127.0.0.1:"),
        ("inner.example", "shop.example", b"inner.example"),
    ],
)
def test_the_host_is_that_of_traffic(host: str, given: str, sent: bytes, served: Any) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def client(port: int) -> dict[str, Any]:
        return await examine(f"http://127.0.0.1:{port}", {"host": given}, host=host)

    served(handler, client)
    assert seen[0].split(b"\r\n")[1].startswith(b"Host: " + sent)


def test_a_health_check_that_expects_something_else(served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        return await examine(f"http://127.0.0.1:{port}", health={"path": "/health", "status": ["200"]})

    found = served(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), client)
    assert (found["cause"], found["healthy"]) == ("upstream-answered-error", False)
    assert "answered 404 itself, where the health check expects 200" in found["verdict"]


def test_who_wrote_a_502_is_told_by_the_judge(served: Any, says: Any) -> None:
    page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    page += b"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
    answer = b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(
        page
    )

    async def client(port: int) -> dict[str, Any]:
        return await examine(f"http://127.0.0.1:{port}")

    found = served(says(answer + page), client)
    assert found["cause"] == "upstream-answered-error"
    assert "who wrote the answer: nginx wrote this 502" in texts(found)
    assert "error.log" in found["actions"][0]["command"]


def test_unix_sockets_tell_what_they_are(tmp_path: Path) -> None:
    """What listens in the same folder comes before a namesake in another: of these a machine may have any number."""
    missing, left, near = tmp_path / "app.sock", tmp_path / "left.sock", tmp_path / "gunicorn.sock"
    (tmp_path / "x").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as namesake:
        for sock, path in ((living, near), (namesake, tmp_path / "x" / "app.sock")):
            sock.bind(str(path))
            sock.listen(1)
        gone = run(f"unix:{missing}", failure={"cause": "socket-missing", "upstream": "shop"})
        dead_one = run(f"unix:{left}")
    assert gone["cause"] == "socket-missing"
    assert gone["verdict"].startswith(f"There is no socket at {missing}; a program listens on {near}")
    assert gone["actions"][0]["command"] == f'servers = ["unix:{near}"]'
    assert dead_one["cause"] == "connection-refused"
    assert f"nobody listens on {left}: its program has ended, and left the file behind" in dead_one["verdict"]
    nowhere = run(f"unix:{tmp_path}/gone/app.sock", failure={})
    assert f"the folder {tmp_path}/gone does not exist either" in texts(nowhere)
    assert "PATH" not in json.dumps([one["actions"] for one in (gone, dead_one, nowhere)])


class Names:
    """A resolver that knew one answer and is now given another."""

    def __init__(self, before: list[str], now: list[str] | Unresolved) -> None:
        self.before, self.now = before, now

    def _of(self, texts: list[str]) -> Addresses:
        return Addresses("app.test", tuple((socket.AF_INET, text) for text in texts))

    def lookup(self, name: str) -> Addresses | None:
        return self._of(self.before) if self.before else None

    def invalidate(self, name: str) -> None:
        pass

    async def renewed(self, name: str) -> Addresses | None:
        return None

    async def resolve(self, name: str, whole: bool = False) -> Addresses:
        if isinstance(self.now, Unresolved):
            raise self.now
        return self._of(self.now)


def test_a_name_that_leads_elsewhere_now(served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        names = Names(["127.0.0.7"], ["127.0.0.1", "127.0.0.9"])
        return await examine(f"http://app.test:{port}", resolver=names)

    found = served(says(OK), client)
    assert found["healthy"] is True
    assert "the DNS answer changed: it was 127.0.0.7, now it is 127.0.0.1, 127.0.0.9" in found["evidence"]
    assert sum("TCP 127.0.0." in line for line in found["evidence"]) == 2
    assert any("the server refused the connection" in line for line in found["evidence"])


def test_the_address_that_failed_is_the_one_that_is_asked(served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        failure = {"cause": "closed-before-answer", "address": f"127.0.0.1:{port}"}
        with socket.create_server(("127.0.0.3", port)):
            return await examine(f"http://app.test:{port}", failure, Names([], ["127.0.0.3", "127.0.0.1"]))

    found = served(says(), client)
    assert (found["cause"], found["agrees"]) == ("closed-before-answer", True)
    assert "127.0.0.1:" in found["verdict"]


def test_names_that_do_not_resolve_and_networks_that_are_denied() -> None:
    gone = run("http://app.test:80", resolver=Names([], Unresolved("nxdomain", {"name": "app.test", "resolver": "10.0.0.2:53"})))
    assert (gone["cause"], gone["agrees"]) == ("dns-name-not-found", False)
    assert gone["actions"][0]["command"] == "dig app.test @10.0.0.2"
    denied = run("http://app.test:80", resolver=Names([], ["10.1.2.3"]), deny_addresses=["10.0.0.0/8"])
    assert denied["cause"] == "address-denied"


def test_another_machine_is_said_to_be_one() -> None:
    found = run("http://192.0.2.1:81", seconds=1.0, failure={}, timeouts={"connect": "200ms"})
    assert not found["healthy"]
    assert any("another machine" in line for line in found["unseen"]), found


def test_tls_files_that_cannot_be_read(tmp_path: Path, served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        return await examine(f"https://127.0.0.1:{port}", tls={"ca": str(tmp_path / "none.pem")})

    found = served(says(), client)
    assert found["cause"] == "gateway-misconfigured"
    assert "none.pem" in found["verdict"]


HOSTILE = (
    b"\x00\x1b[31m\xff\xfe" * 4000,
    b"HTTP/1.1 200 OK\r\nX: \x1b[2J<script>alert(1)</script>\x00\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie session=verysecret123\r\n\r\n",
    b"HTTP/1.1 500 <script>\x9b31m\xe2\x80\xae\r\nServer: \xff<b>\r\nContent-Length: 5\r\n\r\n\x00\xff<b>",
    b"HTTP/1.1 302 Found\r\nLocation: http://u:verysecret123@x/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 60_000 + b"\r\n",
    b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFFFFFFFFFFFFFFF\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 3_000_000,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00",
    b"HTTP/1.1 101 Switching\r\nUpgrade: <i>\x1b\r\nConnection: upgrade\r\n\r\n",
)
NASTY: dict[str, Any] = {
    "cause": "\x1b[2Jno-such-cause\n" * 500, "phase": 7, "sentence": "\ud800<script>\x00" * 10_000, "address": ["x"],
    "upstream": "a\nb", "host": "x\r\ny: z", "evidence": object(),
}  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE)
def test_hostile_servers_and_records_are_bounded_and_escaped(answer: bytes, served: Any, says: Any) -> None:
    async def client(port: int) -> dict[str, Any]:
        return await examine(f"http://127.0.0.1:{port}", NASTY, seconds=2.0)

    found = served(says(answer), client)
    text = json.dumps(found, ensure_ascii=False)
    assert len(text) < 40_000
    assert text.isascii()
    assert text.isprintable()
    assert "verysecret123" not in text
    assert found["looks"]


class Broken:
    """A resolver with an error of its own."""

    def lookup(self, name: str) -> None:
        raise RuntimeError("no\x1bway")


@pytest.mark.parametrize(
    ("failure", "more"),
    [
        ({}, {}),
        ({"cause": None}, {"last_success": float("inf")}),
        (REFUSED, {"last_success": float("nan"), "seconds": float("nan")}),
        (REFUSED, {"seconds": -3.0, "last_success": 1e300}),
    ],
)
def test_it_never_raises(failure: dict[str, Any], more: dict[str, Any]) -> None:
    found = run("http://app.test:80", failure=failure, resolver=Broken(), **more)
    assert (found["cause"], found["confidence"], found["healthy"]) == ("", "unknown", False)
    assert "an error of its own: RuntimeError: no\\x1bway" in found["unseen"][0]
    assert found["verdict"] == "Nothing could be found out about http://app.test:80."


def test_a_failure_that_is_no_record_at_all_is_no_error_either() -> None:
    found = run(f"http://127.0.0.1:{free_port()}", failure=None)
    assert found["cause"] == "connection-refused"


def test_a_drip_without_end_is_left(served: Any) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def client(port: int) -> dict[str, Any]:
        return await examine(f"http://127.0.0.1:{port}", {"cause": "body-stalled"}, seconds=0.8)

    found = served(drip, client)
    assert (found["cause"], found["healthy"]) == ("", True)
    assert found["agrees"] is None


def test_nothing_is_left_open(served: Any, says: Any) -> None:
    async def client(port: int) -> int:
        dead = free_port()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await examine(f"http://127.0.0.1:{port}")
            await examine(f"http://127.0.0.1:{dead}")
        await asyncio.sleep(0.1)
        return len(os.listdir("/proc/self/fd")) - before

    assert served(says(OK), client) <= 1
