"""`headgate serve` as a real process: how it starts, what it refuses, how it ends, and where its records go."""

import contextlib
import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import websockets.sync.client
import websockets.sync.server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headgate.lab.processes import free_port

PROMPT = 10.0
"""Seconds within which a process has to be ready, or gone: far more than it needs, so that a busy machine fails nothing."""


class Gateway:
    """One `headgate serve` process. Its output goes to files, unless told otherwise."""

    def __init__(self, folder: Path, *arguments: str, stdout: int | None = None, before: str = "") -> None:
        number = len(list(folder.glob("stderr*")))
        self.errors_file = folder / f"stderr{number}"
        self.output_file = folder / f"stdout{number}"
        program = f"{before}\nfrom headgate.cli import main\nmain()"
        with open(self.errors_file, "wb") as errors, open(self.output_file, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, "serve", *arguments],
                stdout=output if stdout is None else stdout,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )

    def errors(self) -> str:
        return self.errors_file.read_text()

    def output(self) -> str:
        return self.output_file.read_text()

    def addresses(self, count: int = 1) -> list[str]:
        """Return what it listens on, once it says so."""
        until(lambda: len(self.listening()) >= count or self.process.poll() is not None)
        assert self.process.poll() is None, self.errors()
        return self.listening()

    def listening(self) -> list[str]:
        return re.findall(r"note listening on (\S+)\n", self.errors())

    def port(self) -> int:
        return int(self.addresses()[0].rpartition(":")[2])

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end."""
        return self.process.wait(PROMPT)

    def stop(self) -> int:
        """Stop it in order, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PROMPT)


class Origin:
    """A server: each connection runs the script in a thread of its own."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self._script = script
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(PROMPT)
            self._script(connection)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def read_head(connection: socket.socket) -> bytes:
    """Return one message head, b"" when the connection ends first."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        data += byte
    return data


def answering(body: bytes = b"ok") -> Callable[[socket.socket], None]:
    """Return a script that answers every request with `body`."""

    def script(connection: socket.socket) -> None:
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return script


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + PROMPT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def connect(address: str | int, context: ssl.SSLContext | None = None) -> socket.socket:
    """Return a connection to a port of this machine, or to "unix:PATH"."""
    if isinstance(address, str):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(PROMPT)
        raw.connect(address.removeprefix("unix:"))
    else:
        raw = socket.create_connection(("127.0.0.1", address), PROMPT)
    return context.wrap_socket(raw, server_hostname="localhost") if context else raw


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the connection ends, in order or by a reset."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            data += piece
    return data


def ask(address: str | int, path: str = "/", fields: str = "", context: ssl.SSLContext | None = None) -> bytes:
    """Send a GET on a connection of its own; return the whole response."""
    with connect(address, context) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n".encode())
        return rest(connection)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Return a function that starts `headgate serve ARGUMENTS` in the test's folder."""
    started: list[Gateway] = []

    def start(*arguments: str, **options: object) -> Gateway:
        started.append(Gateway(tmp_path, *arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for gateway in started:
        gateway.end()


@pytest.fixture
def origin() -> Iterator[Callable[..., Origin]]:
    """Return a function that starts a server with a script; without one it answers every request with "ok"."""
    started: list[Origin] = []

    def start(script: Callable[[socket.socket], None] | None = None) -> Origin:
        started.append(Origin(script or answering()))
        return started[-1]

    yield start
    for server in started:
        server.end()


def config(folder: Path, text: str) -> str:
    (folder / "headgate.toml").write_text(text)
    return "headgate.toml"


def one_upstream(url: str, gateway: str = "", upstream: str = "") -> str:
    return f'[gateway]\nlisten = ["127.0.0.1:0"]\n{gateway}\n[upstream.app]\nservers = ["{url}"]\n{upstream}\n'


# Starting.


def test_without_a_file(serve, origin):
    gateway = serve("--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--to", origin().url)
    ports = [int(address.rpartition(":")[2]) for address in gateway.addresses(2)]
    for port in ports:
        assert ask(port).endswith(b"\r\n\r\nok")
    assert gateway.stop() == 0
    records = [json.loads(line) for line in gateway.output().splitlines()]
    assert [(record["status"], record["outcome"]) for record in records] == [(200, "served")] * 2


def test_with_a_file(serve, origin, tmp_path):
    log = 'log = { access = "logs/access.log", errors = "logs/errors.log" }'
    (tmp_path / "logs").mkdir()
    gateway = serve(config(tmp_path, one_upstream(origin().url, log)))
    errors = tmp_path / "logs" / "errors.log"
    until(lambda: errors.exists() and "listening on" in errors.read_text())
    (address,) = re.findall(r"note listening on (\S+)\n", errors.read_text())
    port = int(address.rpartition(":")[2])
    assert ask(port).endswith(b"ok")
    assert gateway.stop() == 0
    assert json.loads((tmp_path / "logs" / "access.log").read_text())["status"] == 200
    assert gateway.output() == gateway.errors() == ""


def refused(serve, *arguments, **options):
    """Start what cannot start; return its words: no traceback, exit code 2, nothing on standard output."""
    gateway = serve(*arguments, **options)
    assert gateway.exit_code() == 2, gateway.errors()
    assert "Traceback" not in gateway.errors()
    assert gateway.output() == ""
    return gateway.errors()


def test_file_and_options_together(serve, tmp_path):
    said = refused(serve, config(tmp_path, one_upstream("http://a:1")), "--to", "http://b:1")
    assert said == "headgate: give either a FILE, or --listen and --to, not both\n"


def test_nothing_to_forward_to(serve):
    said = refused(serve)
    assert said.count("\n") == 1
    assert "FILE" in said
    assert "--to http://127.0.0.1:3000" in said


def test_a_port_in_use(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(serve, "--listen", address, "--to", "http://a:1")
    assert said.startswith(f"headgate: cannot listen on {address}: Address already in use; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.0.2.1:8080", "this machine has no such address"),
        ("no-such-name.invalid:8080", "is no address of this machine"),
        ("unix:/no/such/folder/gate.sock", "/no/such/folder/gate.sock"),
        ("127.0.0.1:99999", "99999"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_an_impossible_address(serve, address, words):
    said = refused(serve, "--listen", address, "--to", "http://a:1")
    assert words in said


@pytest.mark.skipif(
    int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 81, reason="every port is free for all here"
)
def test_a_privileged_port(serve):
    drop = "import os, encodings.idna, headgate.cli.serve\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)"
    said = refused(serve, "--listen", "127.0.0.1:80", "--to", "http://a:1", before=drop)
    assert "CAP_NET_BIND_SERVICE" in said


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_an_unreadable_certificate(serve, tmp_path, content):
    if content is not None:
        (tmp_path / "cert.pem").write_text(content)
        (tmp_path / "key.pem").write_text(content)
    said = refused(serve, config(tmp_path, one_upstream("http://a:1", 'tls = { certificate = "cert.pem", key = "key.pem" }')))
    assert "cert.pem" in said


def test_a_key_of_another_certificate(serve, tmp_path):
    certificate(tmp_path, "cert.pem", "other.pem")
    certificate(tmp_path, "unused.pem", "key.pem")
    said = refused(serve, config(tmp_path, one_upstream("http://a:1", 'tls = { certificate = "cert.pem", key = "key.pem" }')))
    assert "key.pem" in said


def test_every_mistake_at_once(serve, tmp_path):
    text = '[gateway]\nlisten = ["here"]\ntimeout_status = 500\n[upstream.app]\nservers = ["http://a:1"]\ntimeouts.conect = 1\n'
    said = refused(serve, config(tmp_path, text)).splitlines()
    for line in (2, 3, 6):
        assert any(f"headgate.toml:{line}:" in row for row in said), said
    assert any('did you mean "connect"' in row for row in said), said


def test_a_file_that_is_missing(serve):
    assert "missing.toml" in refused(serve, "missing.toml")


def test_a_log_file_that_cannot_be_opened(serve, tmp_path):
    said = refused(serve, config(tmp_path, one_upstream("http://a:1", 'log = { access = "nowhere/access.log" }')))
    assert "nowhere/access.log" in said


def test_an_own_page_that_is_no_template(serve, tmp_path):
    (tmp_path / "page.html").write_text("{{ unfinished ")
    said = refused(serve, config(tmp_path, one_upstream("http://a:1", 'pages = { html = "page.html" }')))
    assert "page.html" in said


# Listeners.


def certificate(folder: Path, name: str, key_name: str) -> ssl.SSLContext:
    """Write a certificate for "localhost" with its key; return a client's context that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / name).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / key_name).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ssl.create_default_context(cafile=str(folder / name))


def test_tls_towards_clients(serve, origin, tmp_path):
    context = certificate(tmp_path, "cert.pem", "key.pem")
    seen = []

    def script(connection):
        while head := read_head(connection):
            seen.append(head)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))

    gateway = serve(config(tmp_path, one_upstream(origin(script).url, 'tls = { certificate = "cert.pem", key = "key.pem" }')))
    port = gateway.port()
    client = http.client.HTTPSConnection("localhost", port, timeout=PROMPT, context=context)
    for _ in range(3):
        client.request("GET", "/")
        response = client.getresponse()
        assert (response.status, len(response.read())) == (200, 300_000)
    assert all(b"X-Forwarded-Proto: https\r\n" in head for head in seen)
    with connect(port) as plain:  # speaks HTTP where TLS is expected, and gets no traceback
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP/1.1 200" not in rest(plain)
    client.request("GET", "/")
    assert len(client.getresponse().read()) == 300_000
    try:
        assert gateway.stop() == 0, "an idle TLS client does not delay the end"
    finally:
        client.close()
    assert "Traceback" not in gateway.errors()


def test_clients_that_never_shake_hands_are_let_go(serve, origin, tmp_path):
    certificate(tmp_path, "cert.pem", "key.pem")
    options = 'tls = { certificate = "cert.pem", key = "key.pem" }\ntimeouts.head = "300ms"'
    gateway = serve(config(tmp_path, one_upstream(origin().url, options)))
    port = gateway.port()
    with connect(port) as silent, connect(port) as slow:
        slow.sendall(b"\x16\x03\x01")
        assert rest(silent) == rest(slow) == b""
    assert gateway.stop() == 0


def test_a_unix_socket(serve, origin, tmp_path):
    path = str(tmp_path / "gate.sock")
    first = serve("--listen", f"unix:{path}", "--to", origin().url)
    assert first.addresses() == [f"unix:{path}"]
    assert ask(f"unix:{path}").endswith(b"ok")
    assert "in use" in refused(serve, "--listen", f"unix:{path}", "--to", "http://a:1")
    assert ask(f"unix:{path}").endswith(b"ok"), "the refused one has not taken the socket away"
    first.process.kill()
    first.process.wait(PROMPT)
    assert os.path.exists(path)
    second = serve("--listen", f"unix:{path}", "--to", origin().url)
    second.addresses()
    assert ask(f"unix:{path}").endswith(b"ok")
    assert second.stop() == 0


def test_a_file_that_is_no_socket_is_left_alone(serve, tmp_path):
    file = tmp_path / "precious"
    file.write_text("data")
    assert "precious" in refused(serve, "--listen", f"unix:{file}", "--to", "http://a:1")
    assert file.read_text() == "data"


def test_as_many_descriptors_as_allowed(serve, origin):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))"
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin().url, before=limit)
    port = gateway.port()
    soft, hard = Path(f"/proc/{gateway.process.pid}/limits").read_text().split("Max open files")[1].split()[:2]
    assert soft == hard
    clients = [connect(port) for _ in range(100)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for client in clients:
        assert b"200 OK" in client.recv(65_536)
        client.close()


def test_out_of_descriptors_is_survived(serve, origin):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))"
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin().url, before=limit)
    port = gateway.port()
    clients = [connect(port) for _ in range(100)]
    for client in clients:
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.2)
    assert gateway.process.poll() is None
    for client in clients:
        client.close()
    until(lambda: ask_or_nothing(port).endswith(b"ok"))
    assert gateway.stop() == 0


def ask_or_nothing(port: int) -> bytes:
    try:
        return ask(port)
    except OSError:
        return b""


CLOSED = "import os, sys\nfor number in (0, 1, 2):\n    os.close(number)\nsys.stdin = sys.stdout = sys.stderr = None"


def test_closed_standard_streams_are_nobody_elses(serve, origin, tmp_path):
    log = 'workers = 2\nlog = { access = "access.log", errors = "errors.log" }'
    gateway = serve(config(tmp_path, one_upstream(origin().url, log)), before=CLOSED)
    errors = tmp_path / "errors.log"
    until(lambda: errors.exists() and "listening on" in errors.read_text())
    pid = gateway.process.pid
    family = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    assert len(family) == 4
    for one in family:
        assert [os.readlink(f"/proc/{one}/fd/{number}") for number in (0, 1, 2)] == ["/dev/null"] * 3
    (address,) = re.findall(r"note listening on (\S+)\n", errors.read_text())
    assert ask(int(address.rpartition(":")[2])).endswith(b"ok")
    assert gateway.stop() == 0


def test_closed_standard_streams_and_logs_that_go_there(serve, origin):
    port = free_port()
    gateway = serve("--listen", f"127.0.0.1:{port}", "--to", origin().url, before=CLOSED)
    until(lambda: ask_or_nothing(port).endswith(b"ok"))
    assert gateway.stop() == 0


def test_a_mistake_with_closed_standard_streams(serve):
    assert serve("--listen", "nowhere", "--to", "http://a:1", before=CLOSED).exit_code() == 2


def test_a_folder_that_cannot_be_written_to(serve, origin, tmp_path):
    gateway = serve(str(tmp_path / config(tmp_path, one_upstream(origin().url))), before="import os\nos.chdir('/proc')")
    assert ask(gateway.port()).endswith(b"ok")
    assert gateway.stop() == 0


def test_too_few_descriptors_for_the_sockets(serve, tmp_path):
    addresses = ", ".join(['"127.0.0.1:0"'] * 10)
    text = f'[gateway]\nlisten = [{addresses}]\nworkers = 16\n[upstream.app]\nservers = ["http://127.0.0.1:1"]\n'
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
    said = refused(serve, config(tmp_path, text), before=limit)
    assert "cannot listen on 127.0.0.1:0: Too many open files; " in said
    assert "LimitNOFILE=" in said


@pytest.mark.parametrize("most", [12, 14, 16, 18, 20, 22, 24, 26])
def test_hardly_any_descriptors_are_told_or_do(serve, origin, tmp_path, most):
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))"
    gateway = serve(config(tmp_path, one_upstream(origin().url, "workers = 2")), before=limit)
    until(lambda: gateway.process.poll() is not None or gateway.listening())
    if gateway.process.poll() is None:
        assert gateway.stop() == 0
    else:
        assert gateway.exit_code() in (2, 70)
        assert re.search("headgate: .*([Tt]oo many open files|Errno 24)", gateway.errors())


def test_a_second_gateway_on_the_same_port(serve, origin):
    first = serve("--listen", "127.0.0.1:0", "--to", origin().url)
    said = refused(serve, "--listen", f"127.0.0.1:{first.port()}", "--to", "http://a:1")
    assert "Address already in use; another program listens there" in said
    assert ask(first.port()).endswith(b"ok")


def test_what_fails_in_every_worker_is_said_once(serve, tmp_path):
    text = one_upstream("http://a:1", 'workers = 4\nlog = { access = "nowhere/access.log" }')
    said = refused(serve, config(tmp_path, text))
    assert said.count("nowhere/access.log") == 1
    assert said.count("\n") <= 2, said


# Ending.


def test_sigterm_lets_a_running_response_finish(serve, origin):
    go_on = threading.Event()
    began = threading.Event()

    def script(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        began.set()
        go_on.wait(PROMPT)
        connection.sendall(b"world")

    gateway = serve("--listen", "127.0.0.1:0", "--to", origin(script).url)
    port = gateway.port()
    with connect(port) as busy, connect(port) as idle:
        busy.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert began.wait(PROMPT)
        gateway.signal(signal.SIGTERM)
        assert rest(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(port)
        go_on.set()
        assert rest(busy).endswith(b"helloworld")
    assert gateway.exit_code() == 0


def hanging(connection: socket.socket) -> None:
    while read_head(connection):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(serve, origin, number):
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin(hanging).url)
    with connect(gateway.port()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)
        gateway.signal(number)
        time.sleep(0.1)
        assert gateway.process.poll() is None
        gateway.signal(number)
        assert b"gateway-stopping" in rest(client)
    assert gateway.exit_code() == 0
    assert "Traceback" not in gateway.errors()


def test_draining_takes_no_longer_than_allowed(serve, origin, tmp_path):
    gateway = serve(config(tmp_path, one_upstream(origin(hanging).url, 'drain = "200ms"')))
    with connect(gateway.port()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)
        gateway.signal(signal.SIGTERM)
        assert b" 503 " in rest(client)
    assert gateway.exit_code() == 0


def test_the_end_comes_promptly_whatever_is_open(serve, origin, tmp_path):
    """Idle and half-read clients, pooled connections, hanging exchanges, uploads, downloads, tunnels, dials and handshakes."""

    def script(connection):
        while head := read_head(connection):
            if b"/tunnel" in head:
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                connection.recv(1)
            elif b"/big" in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n" + bytes(30_000_000))
            elif b"/hang" in head:
                connection.recv(1)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    full = socket.create_server(("127.0.0.1", 0), backlog=0)  # its queue is full: a connection to it hangs
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    deaf = socket.create_server(("127.0.0.1", 0))  # accepts, and never shakes hands
    text = one_upstream(origin(script).url, 'drain = "200ms"') + (
        f'[upstream.full]\nservers = ["http://127.0.0.1:{full.getsockname()[1]}"]\ntimeouts.connect = "60s"\n'
        f'[upstream.deaf]\nservers = ["https://127.0.0.1:{deaf.getsockname()[1]}"]\ntimeouts.tls = "60s"\n'
        '[upstream.lost]\nservers = ["http://name.invalid:1"]\n'
        '[[route]]\nupstream = "app"\n'
    )
    text += "".join(f'[[route]]\npath = "/{name}"\nupstream = "{name}"\n' for name in ("full", "deaf", "lost"))
    gateway = serve(config(tmp_path, text))
    port = gateway.port()
    requests = [
        b"",
        b"GET / HTT",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n",
        b"POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
        b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        b"GET /full HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /lost HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    clients = [connect(port) for _ in requests]
    for client, data in zip(clients, requests, strict=True):
        client.sendall(data)
    time.sleep(0.4)
    gateway.signal(signal.SIGTERM)
    assert gateway.exit_code() == 0
    assert "Traceback" not in gateway.errors()
    assert "gateway-error" not in gateway.errors()
    for item in (*clients, *fillers, full, deaf):
        item.close()


# Records.


def test_sigusr1_reopens_the_log_files(serve, origin, tmp_path):
    log = 'log = { access = "access.log" }'
    gateway = serve(config(tmp_path, one_upstream(origin().url, log)))
    port = gateway.port()
    file = tmp_path / "access.log"
    for turn in range(4):
        for number in range(10):
            ask(port, f"/{turn}-{number}")
        file.rename(tmp_path / f"access.log.{turn}")
        gateway.signal(signal.SIGUSR1)
        until(file.exists)
    until(lambda: ask(port, "/last").endswith(b"ok") and "/last" in file.read_text())  # each worker opens it at its own moment
    assert gateway.stop() == 0
    old = [json.loads(line)["target"] for turn in range(4) for line in (tmp_path / f"access.log.{turn}").read_text().splitlines()]
    new = [json.loads(line)["target"] for line in file.read_text().splitlines()]
    wanted = [f"/{turn}-{number}" for turn in range(4) for number in range(10)]
    assert sorted(target for target in old + new if target != "/last") == sorted(wanted), "nothing is lost"


def test_reopening_that_fails_is_said_and_survived(serve, origin, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    gateway = serve(config(tmp_path, one_upstream(origin().url, 'log = { access = "logs/access.log" }')))
    port = gateway.port()
    shutil.move(folder, tmp_path / "old")
    gateway.signal(signal.SIGUSR1)
    until(lambda: "could not be opened anew" in gateway.errors())
    assert ask(port).endswith(b"ok")
    assert gateway.stop() == 0
    assert len((tmp_path / "old" / "access.log").read_text().splitlines()) == 1


def test_combined_log_format(serve, origin, tmp_path):
    gateway = serve(config(tmp_path, one_upstream(origin().url, 'log = { format = "combined" }')))
    ask(gateway.port(), "/a?b=c", 'Referer: http://r/\r\nUser-Agent: probe "1"\r\n')
    assert gateway.stop() == 0
    pattern = r'127\.0\.0\.1 - - \[[^]]+ \+0000\] "GET /a\?b=c HTTP/1\.1" 200 \d+ "http://r/" "probe \\x221\\x22"\n'
    assert re.fullmatch(pattern, gateway.output())


@pytest.mark.parametrize("log", ['access = "/dev/full"', 'errors = "/dev/full"'])
def test_a_full_disk_does_not_stop_the_traffic(serve, origin, tmp_path, log):
    port = free_port()
    text = one_upstream(origin().url, f"log = {{ {log} }}").replace("127.0.0.1:0", f"127.0.0.1:{port}")
    gateway = serve(config(tmp_path, text))
    until(lambda: ask_or_nothing(port))
    for _ in range(5):
        assert ask(port).endswith(b"ok")
        assert b" 400 " in ask(port, fields="Host: twice\r\n")
    assert gateway.stop() == 0


def test_a_closed_pipe_does_not_stop_the_traffic(serve, origin):
    reading, writing = os.pipe()
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin().url, stdout=writing)
    os.close(writing)
    port = gateway.port()
    os.close(reading)
    for _ in range(5):
        assert ask(port).endswith(b"ok")
    assert gateway.stop() == 0


def test_a_pipe_that_nobody_reads_does_not_stop_the_traffic(serve, origin):
    reading, writing = os.pipe()
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin().url, stdout=writing)
    os.close(writing)
    with connect(gateway.port()) as client:
        for _ in range(100):
            client.sendall(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 2_000))
            assert read_head(client).startswith(b"HTTP/1.1 200 OK\r\n")
            assert client.recv(2) == b"ok"
    assert gateway.stop() == 0
    os.close(reading)


def lost(gateway: Gateway) -> int:
    """Return how many lines it says that it lost: the reader was slow."""
    found = re.search(r"(\d+) log lines lost", gateway.errors())
    return int(found[1]) if found else 0


def test_lines_of_several_workers_are_never_mixed_in_a_pipe(serve, origin, tmp_path):
    def script(connection):
        while data := connection.recv(65_536):  # one request at a time comes on one connection
            if data.endswith(b"\r\n\r\n"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    reading, writing = os.pipe()
    gateway = serve(config(tmp_path, one_upstream(origin(script).url, "workers = 4")), stdout=writing)
    os.close(writing)
    port, lines, count = gateway.port(), [], 10_000

    def read() -> None:
        with open(reading, "rb") as pipe:
            lines.extend(pipe)

    reader = threading.Thread(target=read)
    reader.start()
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"

    def client(name: int) -> None:
        with connect(port) as connection, connection.makefile("rb") as answers:
            for _ in range(count // 16 // 25):  # what is pipelined is served one after the other
                connection.sendall((request % (b"%d-" % name + b"x" * 300)) * 25)
                for _ in range(25):
                    assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                    while answers.readline() != b"\r\n":
                        pass
                    assert answers.read(2) == b"ok"

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(client, range(16)))
    assert gateway.stop() == 0
    reader.join(PROMPT)
    assert len(lines) + lost(gateway) == count
    assert len(lines) > count // 2
    assert all(json.loads(line)["status"] == 200 for line in lines)


# Answers.


def test_own_pages(serve, tmp_path):
    (tmp_path / "page.html").write_text("<title>Ours</title><p>{{ reference }}")
    (tmp_path / "page.txt").write_text("Ours: {{ reference }}\n")
    pages = 'pages = { html = "page.html", text = "page.txt" }'
    gateway = serve(config(tmp_path, one_upstream(f"http://127.0.0.1:{free_port()}", pages)))
    port = gateway.port()
    answer = ask(port, fields="Accept: text/html\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"<title>Ours</title><p>" in answer
    assert b"Ours: " in ask(port, fields="Accept: text/plain\r\n")
    assert gateway.stop() == 0


def test_timeouts_as_502(serve, origin, tmp_path):
    text = one_upstream(origin(hanging).url, "timeout_status = 502", 'timeouts.head = "100ms"')
    gateway = serve(config(tmp_path, text))
    answer = ask(gateway.port())
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"response-timeout" in answer
    assert gateway.stop() == 0


@pytest.mark.parametrize("told", [True, False])
def test_details_for_trusted_networks_only(serve, tmp_path, told):
    dead = free_port()
    gateway = serve(config(tmp_path, one_upstream(f"http://127.0.0.1:{dead}", 'details_for = ["127.0.0.0/8"]' if told else "")))
    answer = ask(gateway.port())
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (str(dead).encode() in answer) is told
    assert gateway.stop() == 0


# Real clients.


def test_a_websocket_both_ways(serve):
    """1 MiB each way through libraries that are not ours, and a closing handshake in order."""

    def echo(connection):
        for message in connection:
            connection.send(message)

    message = os.urandom(1 << 20)
    with websockets.sync.server.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gateway = serve("--listen", "127.0.0.1:0", "--to", f"http://127.0.0.1:{server.socket.getsockname()[1]}")
        with websockets.sync.client.connect(f"ws://127.0.0.1:{gateway.port()}/chat", max_size=None) as client:
            for size in (0, 1, 70_000, 1 << 20):
                client.send(message[:size])
                assert client.recv(PROMPT) == message[:size]
            client.close(1000, "done")
            assert client.close_code == 1000
        until(lambda: '"outcome": "tunnel"' in gateway.output())
        assert gateway.stop() == 0
        server.shutdown()
    record = json.loads(gateway.output())
    assert (record["status"], record["cause"]) == (101, None)
    assert record["received"] > 1 << 20
    assert record["sent"] > 1 << 20


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_uploads_after_100_continue(serve, origin, tmp_path):
    size = 20 << 20
    got = []

    def script(connection):
        head = read_head(connection)
        got.append(head)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = size
        while left and (piece := connection.recv(min(left, 1 << 20))):
            left -= len(piece)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n%04d" % left)

    (tmp_path / "upload").write_bytes(bytes(size))
    gateway = serve("--listen", "127.0.0.1:0", "--to", origin(script).url)
    url = f"http://127.0.0.1:{gateway.port()}/"
    command = ["curl", "-sS", "-v", "-m", "10", "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path}/upload", url]
    done = subprocess.run(command, capture_output=True, timeout=PROMPT * 2, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"0000"
    assert b"< HTTP/1.1 100 Continue" in done.stderr
    assert b"\r\nExpect: 100-continue\r\n" in got[0]
    assert gateway.stop() == 0
    assert json.loads(gateway.output())["received"] == size


def test_many_clients_at_once(serve, origin):
    def script(connection):
        while head := read_head(connection):
            target = head.split(b" ")[1]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    gateway = serve("--listen", "127.0.0.1:0", "--to", origin(script).url)
    port = gateway.port()

    def client(name: int) -> int:
        right = 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROMPT)
        for number in range(25):
            connection.request("GET", f"/{name}/{number}")
            right += connection.getresponse().read() == f"/{name}/{number}".encode()
        connection.close()
        return right

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(client, range(16))) == 16 * 25
    assert gateway.stop() == 0
    assert len(gateway.output().splitlines()) == 16 * 25
