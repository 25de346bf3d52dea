"""The planes of a real gateway: what one process knows reaches the others, and does so after any of them died or stood still."""

import datetime
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headgate.lab.processes import free_port

PROMPT = 20.0
"""Seconds within which things have to happen: far more than they need, so that a busy machine fails nothing."""


def until(condition: Callable[[], object], tell: Callable[[], object] = lambda: "") -> None:
    end = time.monotonic() + PROMPT
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {tell()}"
        time.sleep(0.02)


def files_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def session(leader: int) -> list[int]:
    """Return the processes of a session: all that this gateway started, whatever became of their parents."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(folder.name))
    return found


class Gate:
    """One `headgate serve` process, or the version that took over from it."""

    def __init__(self, folder: Path, run: Path, text: str, before: str) -> None:
        self.folder, self._run = folder, run
        self.file, self._errors, self._output = folder / "headgate.toml", folder / "errors", folder / "access"
        self.file.write_text(text)
        with open(self._errors, "ab") as errors, open(self._output, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{before}\nfrom headgate.cli import main\nmain()", "serve", str(self.file)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=folder, env=os.environ | {"HEADGATE_RUN": str(run)},
                start_new_session=True,
            )  # fmt: skip
        self.pid = self.process.pid

    @property
    def noted(self) -> str:
        return self._errors.read_text()

    def notes(self, text: str, times: int = 1) -> None:
        until(lambda: self.noted.count(text) >= times, lambda: f"{text!r} in\n{self.noted}")

    def port(self) -> int:
        self.notes("note listening on ")
        return int(re.findall(r"note listening on 127\.0\.0\.1:(\d+)", self.noted)[0])

    def get(self, path: str = "/") -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port(), timeout=PROMPT)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    # The admin API.

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        with closing(http.client.HTTPConnection("localhost", timeout=PROMPT)) as connection:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PROMPT)
            connection.sock.connect(str(self._run / f"{self.pid}.sock"))
            content = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())

    def status(self) -> Any:
        """Return the status, as soon as somebody tells it."""
        found: list[Any] = []

        def look() -> bool:
            with suppress(OSError, http.client.HTTPException):
                found.append(self.ask("GET", "/api/status"))
            return bool(found)

        until(look)
        return found[0]

    def linked(self) -> Any:
        """Return the status, as soon as every worker is heard."""
        until(lambda: all(worker["linked"] and worker["version"] for worker in self._workers()) and len(self._workers()) == 2)
        return self.status()

    def _workers(self) -> Any:
        return self.status()["workers"]

    def workers(self) -> list[int]:
        return [worker["pid"] for worker in self.linked()["workers"]]

    def control(self) -> int:
        workers = self.workers()
        return next(pid for pid in self.children() if pid not in workers)

    def server(self, number: int = 0) -> Any:
        return self.status()["upstreams"]["app"]["servers"][number]

    def kill_control(self) -> None:
        before = self.control()
        os.kill(before, signal.SIGKILL)
        self.notes(f"control process (process {before}) was killed")
        until(lambda: len(self.children()) == 3)
        self.linked()

    def kill_worker(self, number: int = 0) -> None:
        before = self.workers()[number]
        os.kill(before, signal.SIGKILL)
        self.notes(f"(process {before}) was killed")
        until(lambda: before not in self.workers())

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def reload(self) -> str:
        """Reload; return what is said of it."""
        count = self.noted.count("note reload: ")
        self.signal(signal.SIGHUP)
        until(lambda: self.noted.count("note reload: ") > count, lambda: self.noted)
        return re.findall(r"note reload: (.*)", self.noted)[-1]

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self.ended(self.pid)

    def ended(self, pid: int) -> None:
        """Wait until a version has ended: the first is a child of ours, and waited for."""
        until(lambda: self.process.poll() is not None if pid == self.process.pid else not Path(f"/proc/{pid}").exists())

    def end(self) -> None:
        if self.pid != self.process.pid or self.process.poll() is None:
            with suppress(FileNotFoundError, ProcessLookupError):
                children = self.children()
                self.signal(signal.SIGKILL)
                for child in children:
                    os.kill(child, signal.SIGCONT)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PROMPT)


class Origin:
    """A server that answers 200; /slow waits until it is told to go on."""

    def __init__(self, port: int = 0) -> None:
        self.asked = 0
        self.go_on = threading.Event()
        self.busy = threading.Event()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked += 1
                if self.path == "/slow":
                    origin.busy.set()
                    origin.go_on.wait(PROMPT)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def end(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def origin() -> Iterator[Origin]:
    one = Origin()
    yield one
    one.end()


@pytest.fixture
def gate(tmp_path: Path, run_folder: Path, origin: Origin) -> Iterator[Callable[..., Gate]]:
    """Return a function that starts a gateway with two workers in front of a server, and of others that are given."""
    started: list[Gate] = []

    def start(*others: str, gateway: str = "", upstream: str = "", before: str = "") -> Gate:
        urls = ", ".join(f'"{url}"' for url in (*others, origin.url))
        text = (
            f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\ndrain = "5s"\nlog = {{ access = "off" }}\n{gateway}\n'
            f'[upstream.app]\nservers = [{urls}]\n{upstream}\n[[route]]\nupstream = "app"\n'
        )
        (folder := tmp_path / f"gate{len(started)}").mkdir()
        started.append(Gate(folder, run_folder, text, before))
        return started[-1]

    yield start
    for one in started:
        one.end()


# What is known of servers.


def through(gate: Gate, worker: int) -> http.client.HTTPConnection:
    """Return a kept connection that this worker (by process id) serves."""
    for _ in range(60):
        connection = http.client.HTTPConnection("127.0.0.1", gate.port(), timeout=PROMPT)
        connection.connect()
        ours = connection.sock.getsockname()[1]
        wanted = f"0100007F:{gate.port():04X} 0100007F:{ours:04X} 01"
        connection.request("GET", "/")
        connection.getresponse().read()
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines() if wanted in line]
        inodes = set()
        for link in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(link.readlink()))
        if any(f"socket:[{row[9]}]" in inodes for row in rows):
            return connection
        connection.close()
    raise AssertionError("no connection reached this worker")


def ask_often(connection: http.client.HTTPConnection, times: int) -> None:
    for _ in range(times):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200


@pytest.mark.parametrize("meanwhile", ["", "the control process is killed", "and a worker too"])
def test_an_ejection_by_one_worker_reaches_the_other(gate, meanwhile):
    dead = f"http://127.0.0.1:{free_port()}"
    one = gate(dead, upstream='ejection = { base = "1h", longest = "1h" }')
    first = one.workers()[0]
    control = one.control()
    if meanwhile:
        os.kill(control, signal.SIGSTOP)  # what it is told from now on is lost with it
    with closing(through(one, first)) as connection:
        until(lambda: ask_often(connection, 1) or f"app: {dead} is ejected" in one.noted, lambda: one.noted)
    if meanwhile:
        os.kill(control, signal.SIGKILL)
        one.notes("control process")
    until(lambda: one.server()["state"] == "ejected")
    if "worker" in meanwhile:
        one.kill_worker(0)
        os.kill(one.control(), signal.SIGKILL)
        one.notes("control process", 2)
        until(lambda: one.server()["state"] == "ejected")
    time.sleep(0.1)  # the word that the status tells has been sent, and needs a moment to arrive
    failed = one.noted.count("cause=connection-refused")
    for worker in one.workers():
        with closing(through(one, worker)) as connection:
            ask_often(connection, 30)
    assert one.noted.count("cause=connection-refused") == failed
    assert one.noted.count("is ejected") == 1


def test_an_ejection_that_was_ended_does_not_come_back(gate):
    dead = f"http://127.0.0.1:{free_port()}"
    one = gate(dead, upstream='ejection = { base = "1h", longest = "1h" }')
    one.linked()
    until(lambda: one.get() == 200 and one.server()["state"] == "ejected")
    until(lambda: one.noted.count("is ejected") == 1)
    label = dead.replace("/", "%2F").replace(":", "%3A")
    assert one.ask("POST", f"/api/upstreams/app/servers/{label}/restore")["state"] == "up"
    one.kill_control()
    time.sleep(1.2)  # in which every worker tells what it counted
    assert one.server()["state"] == "up"


def test_what_an_administrator_said_outlives_every_process(gate, origin):
    other = Origin()
    try:
        one = gate(other.url)
        one.linked()
        label = other.url.replace("/", "%2F").replace(":", "%3A")
        assert "detail" not in (told := one.ask("POST", f"/api/upstreams/app/servers/{label}/drain")), told
        assert "detail" not in (told := one.ask("PUT", f"/api/upstreams/app/servers/{label}/weight", {"weight": 7})), told

        def holds() -> None:
            until(lambda: (one.server()["state"], one.server()["weight"]) == ("draining", 7), one.server)
            before = other.asked
            for _ in range(20):
                assert one.get() == 200
            assert other.asked == before

        holds()
        one.kill_control()
        holds()
        one.kill_worker(0)
        one.kill_worker(1)
        holds()
        one.change("workers = 2", "workers = 2\ntimeout_status = 502")
        assert "is served by 2 workers" in one.reload()
        holds()
        upgrade(one)
        holds()
        one.change(f'"{other.url}"', f'{{ url = "{other.url}", weight = 3 }}')
        assert "is served by 2 workers" in one.reload()
        until(lambda: (one.server()["state"], one.server()["weight"]) == ("draining", 3), one.server)
    finally:
        other.end()


def test_checks_reach_the_workers(gate, origin):
    other = Origin()
    one = gate(other.url, upstream='health = { path = "/", interval = "1s", timeout = "900ms", rise = 1, fall = 1 }')
    until(lambda: one.server()["state"] == "up")
    other.end()
    one.notes(f"app: {other.url} is down: the check failed")
    time.sleep(0.1)
    failed = one.noted.count("connection-refused")
    for _ in range(30):
        assert one.get() == 200
    assert one.noted.count(" connection-refused") <= failed
    again = Origin(other.port)
    try:
        one.notes(f"app: {other.url} is up: the check passed")
        until(lambda: [one.get() for _ in range(5)] and again.asked > 20)
    finally:
        again.end()


# Reloads.


REFUSED = {
    "no TOML": ("[gateway]", "[gateway", "not valid TOML"),
    "a wrong key": ("drain", "drian", "drian"),
    "another address": ("127.0.0.1:0", "127.0.0.1:1", "gateway.listen changed"),
    "another count": ("workers = 2", "workers = 3", "gateway.workers changed"),
    "another admin API": ("workers = 2", 'workers = 2\nadmin = { listen = "off" }', "gateway.admin changed"),
    "TLS": ("workers = 2", 'workers = 2\ntls = { certificate = "c.pem", key = "c.pem" }', "c.pem"),
    "a log that cannot be": ('access = "off"', 'access = "nowhere/at/all"', "nowhere/at/all"),
    "a page that is none": ("workers = 2", 'workers = 2\npages = { html = "c.pem" }', "c.pem"),
}


def test_what_cannot_be_applied_changes_nothing_and_says_why(gate):
    one = gate()
    one.linked()
    (one.folder / "c.pem").write_text("{{ ")
    good = one.file.read_text()
    for old, new, words in REFUSED.values():
        one.change(old, new)
        said = one.reload()
        assert said.startswith("nothing changed: "), said
        assert words in said
        assert ("`headgate upgrade`" in said) is ("changed, which" in said)
        one.file.write_text(good)
    one.file.rename(one.folder / "away")
    assert "cannot be read" in one.reload()
    one.file.mkdir()
    assert "cannot be read" in one.reload()
    one.file.rmdir()
    (one.folder / "away").rename(one.file)
    assert one.get() == 200
    assert "is served by 2 workers" in one.reload()
    status = one.status()
    assert {worker["version"] for worker in status["workers"]} == {status["gateway"]["configuration"]}
    assert "Traceback" not in one.noted
    assert "never retrieved" not in one.noted


def certificate(folder: Path, name: str) -> None:
    """Write c.pem, a certificate with this common name, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)


def shown(port: int) -> set[str]:
    """Return the common names of the certificates that clients are shown."""
    found = set()
    for _ in range(16):
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=PROMPT)
        found.add(x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string())
    return found


def test_certificates_are_renewed_and_torn_ones_are_not_used(gate, tmp_path):
    (tmp_path / "gate0").mkdir()
    certificate(tmp_path / "gate0", "old")
    (tmp_path / "gate0").rename(tmp_path / "kept")
    one = gate(gateway=f'tls = {{ certificate = "{tmp_path}/kept/c.pem", key = "{tmp_path}/kept/c.pem" }}', before=TEARS)
    port = one.port()
    assert shown(port) == {"CN=old"}
    certificate(tmp_path / "kept", "new")
    (one.folder / "torn").touch()
    assert "torn between check and use" in one.reload(), "one worker of two cannot use it"
    until(lambda: len({worker["version"] for worker in one.linked()["workers"]}) == 1)
    (one.folder / "torn").unlink()
    assert "is served by 2 workers" in one.reload()
    assert shown(port) == {"CN=new"}
    (tmp_path / "kept" / "c.pem").write_text("torn")
    assert "c.pem" in one.reload()
    assert shown(port) == {"CN=new"}
    certificate(tmp_path / "kept", "newest")
    one.kill_worker()
    assert "is served by 2 workers" in one.reload()
    assert shown(port) == {"CN=newest"}


TEARS = """
import os
import headgate.gateway.worker as w
from headgate.net.tls import BadTlsFile
renew = w.renew
def torn(context, settings):
    if os.path.exists("torn"):
        with __import__("contextlib").suppress(FileExistsError):
            os.close(os.open("one", os.O_CREAT | os.O_EXCL))
            raise BadTlsFile("c.pem: torn between check and use")
    renew(context, settings)
w.renew = torn
"""


def test_requests_under_way_survive_that_their_upstream_goes(gate, origin):
    one = gate()
    one.linked()
    other = Origin()
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", one.port(), timeout=PROMPT)) as connection:
            connection.request("GET", "/slow")
            assert origin.busy.wait(PROMPT)
            one.file.write_text(one.file.read_text().replace("app", "new").replace(origin.url, other.url))
            assert "is served by 2 workers" in one.reload()
            assert [one.get() for _ in range(4)] == [200] * 4
            assert other.asked == 4
            origin.go_on.set()
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"ok")
    finally:
        other.end()


def test_every_process_notes_in_another_file_once_that_is_configured(gate):
    one = gate()
    one.linked()
    one.change('access = "off"', 'access = "off", errors = "moved"')
    one.signal(signal.SIGHUP)
    moved = one.folder / "moved"
    until(lambda: moved.exists() and "is served by 2 workers" in moved.read_text())
    old = one.noted
    os.kill(one.children()[1], signal.SIGKILL)
    until(lambda: "is started again" in moved.read_text())
    os.kill(one.children()[0], signal.SIGKILL)
    until(lambda: moved.read_text().count("is started again") == 2)
    one._errors = moved
    assert "is served by" in one.reload()
    moved.rename(one.folder / "older")
    one.signal(signal.SIGUSR1)
    until(moved.exists)
    one.stop()
    assert "stopped after 0 exchanges" in moved.read_text()
    assert (one.folder / "errors").read_text() == old


def test_a_file_that_is_watched(gate):
    one = gate(gateway="watch = true")
    one.linked()
    text = one.file.read_text()
    one.change('"5s"', '"6s"')
    one.notes("is served by 2 workers")
    one.file.write_text("nonsense")
    one.notes("nothing changed")
    one.file.unlink()
    time.sleep(0.5)
    assert one.noted.count("nothing changed") == 1, "what is wrong is said once, and a file that is away is about to come"
    (one.folder / "other").write_text(text)
    os.utime(one.folder / "other", (2e9, 2e9))  # from a machine whose clock is ahead
    one.file.symlink_to("other")
    one.notes("is served by 2 workers", 2)
    (one.folder / "third").write_text(text)
    os.utime(one.folder / "third", (2e9, 2e9))
    (one.folder / "link").symlink_to("third")
    (one.folder / "link").rename(one.file)  # as Kubernetes does
    one.notes("is served by 2 workers", 3)
    assert one.get() == 200


def test_a_storm_of_reloads(gate):
    one = gate()
    one.linked()
    for turn in range(500):
        one.signal(signal.SIGHUP)
        if turn % 100 == 0:
            assert one.get() == 200
    assert "is served by 2 workers" in one.reload()

    def same() -> bool:
        status = one.status()
        return {worker["version"] for worker in status["workers"]} == {status["gateway"]["configuration"]}

    until(same)
    assert "nothing changed" not in one.noted
    one.signal(signal.SIGHUP)
    one.signal(signal.SIGTERM)  # while reloading
    assert one.process.wait(PROMPT) == 0
    assert "Traceback" not in one.noted
    assert "stopped after 5 exchanges" in one.noted


def test_a_worker_that_stands_still_fails_a_reload_and_catches_up(gate):
    one = gate(before="import headgate.control.reloading as p\np._PATIENCE = 0.5")
    second = one.workers()[1]
    os.kill(second, signal.SIGSTOP)
    try:
        said = one.reload()
        assert said == "nothing changed: 1 workers did not answer within 0.5 s"
    finally:
        os.kill(second, signal.SIGCONT)
    until(lambda: len({worker["version"] for worker in one.status()["workers"]}) == 1, one.status)
    assert "is served by 2 workers" in one.reload()
    status = one.status()
    assert {worker["version"] for worker in status["workers"]} == {status["gateway"]["configuration"]}


def test_a_worker_that_dies_of_a_reload_fails_it(gate, tmp_path):
    one = gate(
        before=f"""
import headgate.control.reloading as p, headgate.gateway.worker as w, os
p._PATIENCE = 1.5
apply = w.Worker.apply
def deadly(self, *rest):
    if os.path.exists({str(tmp_path / "deadly")!r}):
        os._exit(1)
    apply(self, *rest)
w.Worker.apply = deadly
"""
    )
    one.linked()
    (tmp_path / "deadly").touch()
    assert "did not answer" in one.reload()
    (tmp_path / "deadly").unlink()
    until(lambda: len({worker["version"] for worker in one.linked()["workers"]}) == 1)
    assert "is served by 2 workers" in one.reload()
    assert one.get() == 200


def test_a_control_process_that_stands_still_disturbs_nobody(gate):
    one = gate()
    control = one.control()
    os.kill(control, signal.SIGSTOP)
    one.signal(signal.SIGHUP)
    assert [one.get() for _ in range(20)] == [200] * 20
    before = one.children()
    os.kill(before[-1], signal.SIGKILL)
    one.notes("is started again")
    assert [one.get() for _ in range(20)] == [200] * 20
    os.kill(control, signal.SIGCONT)
    one.notes("is served by 2 workers")
    assert len(one.workers()) == 2


# Links.

FROM_WORKER = """
import os, headgate.gateway.orders as o
report = o.Orders._report
def babble(self):
    if self._link is not None and self._seat.slot == 0 and os.path.exists("babble"):
        os.unlink("babble")
        self._link._transport.write(PIECE)
    report(self)
o.Orders._report = babble
"""
FROM_CONTROL = """
import os, headgate.control.peers as p
counted = p.Peer.counted
def babble(self, counts):
    if self.slot == 0 and os.path.exists("babble"):
        os.unlink("babble")
        self.link._transport.write(PIECE)
    return counted(self, counts)
p.Peer.counted = babble
"""
PIECES = {
    "noise": b"\xff" * 20,
    "no object": b"\0\0\0\2[]",
    "nonsense": b'\0\0\0\x0c{"do": [{}]}',
    "half a tally": b'\0\0\0\x22{"counts": {"exchanges": "plenty"}}'.replace(b"\x22{", b"\x23{", 1),
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize(("side", "where"), [(FROM_WORKER, "worker 0"), (FROM_CONTROL, "the control process")])
def test_nonsense_on_a_link_ends_it_by_name_and_it_comes_back(gate, side, where, piece):
    one = gate(before=f"PIECE = {piece!r}\n" + side.replace("PIECE)", "__import__('sys').modules['__main__'].PIECE)"))
    one.linked()
    (one.folder / "babble").touch()
    one.notes(f"the link to {where} ended: malformed message: ")
    until(lambda: not (one.folder / "babble").exists())
    one.linked()
    assert "is served by 2 workers" in one.reload()
    assert one.noted.count("malformed") == 1
    assert one.get() == 200


# Deaths.


def test_the_control_process_dies_again_and_again(gate):
    one = gate(before="import headgate.control.child as c\nc.STABLE = 0.0")
    workers = one.workers()
    stop, seen = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            seen.append(one.get())

    thread = threading.Thread(target=load)
    thread.start()

    def kill() -> None:
        control = next(pid for pid in one.children() if pid not in workers)
        os.kill(control, signal.SIGKILL)
        until(lambda: len(one.children()) == 3 and control not in one.children())

    try:
        for _ in range(3):
            kill()
        one.linked()
        files = [files_of(pid) for pid in (one.pid, *workers)]
        for _ in range(20):
            kill()
            time.sleep(0.05)
        one.linked()
    finally:
        stop.set()
        thread.join()
    until(lambda: all(files_of(pid) <= most + 3 for pid, most in zip((one.pid, *workers), files, strict=True)))
    assert set(seen) == {200}
    assert one.workers() == workers
    total = one.status()["totals"]["exchanges"]
    until(lambda: one.status()["totals"]["exchanges"] == len(seen), lambda: (total, len(seen)))


def test_totals_are_exact_over_restarts(gate):
    one = gate()
    for _ in range(3):
        for _ in range(20):
            assert one.get() == 200
        for worker in one.workers():
            os.kill(worker, signal.SIGTERM)  # in order: its last words count
            one.notes(f"(process {worker}) ended with code 0")
        one.linked()
        time.sleep(1.0)  # a control process that lived for less would have to wait
        one.kill_control()
    assert one.get() == 200
    one.stop()
    assert "stopped after 61 exchanges" in one.noted


AT = """
import sys
path = sys.argv[-1]
text = open(path).read().replace("127.0.0.1:0", "127.0.0.1:PORT")
open(path, "w").write(text)
"""


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.8, 1.5])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_end_at_any_moment_leaves_nothing_behind(gate, delay, number):
    port = free_port()
    first = gate(before=AT.replace("PORT", str(port)))
    time.sleep(delay)
    first.signal(number)
    assert first.process.wait(PROMPT) in (-number, 0)
    until(lambda: not session(first.pid), lambda: session(first.pid))
    second = gate(before=AT.replace("PORT", str(port)))
    assert second.port() == port
    assert second.get() == 200
    second.stop()
    assert gone([second.pid])


def test_after_a_killed_parent_a_new_start_succeeds_at_once(gate):
    port = free_port()
    here = {"gateway": f"#{port}"}
    one = gate(**here, before=AT.replace("PORT", str(port)))
    with closing(http.client.HTTPConnection("127.0.0.1", one.port(), timeout=PROMPT)) as held:
        held.request("GET", "/")
        held.getresponse().read()
        children = one.children()
        one.signal(signal.SIGKILL)
        one.process.wait(PROMPT)
        second = gate(**here, before=AT.replace("PORT", str(port)))
        assert second.port() == port
        assert second.get() == 200
    until(lambda: gone(children))


# A new version.


def upgrade(gate: Gate) -> None:
    """Let a new version take over, and wait for the old one's end."""
    gate.signal(signal.SIGUSR2)
    gate.notes(f"takes over from process {gate.pid}\n")
    found = re.findall(rf"note process (\d+) takes over from process {gate.pid}\n", gate.noted)
    old, gate.pid = gate.pid, int(found[-1])
    gate.ended(old)
    gate.linked()


def test_a_new_version_with_a_broken_configuration_says_why_and_the_old_one_goes_on(gate):
    one = gate()
    one.linked()
    good = one.file.read_text()
    one.change("drain", "drian")
    one.signal(signal.SIGUSR2)
    one.notes("the new version ended with code 2, so this one goes on: ")
    assert "drian" in one.noted.split("goes on: ")[1].splitlines()[0]
    assert one.status()["gateway"]["upgrade"]["failed"]
    one.file.write_text(good.replace("127.0.0.1:0", "192.0.2.1:80"))
    one.signal(signal.SIGUSR2)
    one.notes("goes on: cannot listen on 192.0.2.1:80")
    one.file.write_text(good.replace("workers = 2", 'workers = 2\ntls = { certificate = "no.pem", key = "no.pem" }'))
    one.signal(signal.SIGUSR2)
    one.notes("the new version ended with code 2, so this one goes on", 3)
    assert "no.pem" in one.noted.split("goes on: ")[3]
    assert [one.get() for _ in range(4)] == [200] * 4
    one.file.write_text(good)
    upgrade(one)
    assert [one.get() for _ in range(4)] == [200] * 4
    one.stop()


def test_new_versions_with_other_workers_and_addresses(gate):
    one = gate()
    port = one.port()
    path = one.folder / "gate.sock"
    one.linked()
    one.change('127.0.0.1:0"', f'127.0.0.1:0", "unix:{path}"')
    upgrade(one)
    one.change("workers = 2", "workers = 5")
    one.signal(signal.SIGUSR2)
    one.notes("takes over from process", 2)
    one.pid = int(re.findall(r"note process (\d+) takes over", one.noted)[-1])
    until(lambda: len(one.children()) == 6)

    def by_unix() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PROMPT)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return sock.recv(100)

    assert [one.get() for _ in range(20)] == [200] * 20
    assert by_unix().startswith(b"HTTP/1.1 200 ")
    one.change("workers = 5", "workers = 2")
    one.signal(signal.SIGUSR2)
    one.notes("takes over from process", 3)
    one.pid = int(re.findall(r"note process (\d+) takes over", one.noted)[-1])
    until(lambda: len(one.children()) == 3)
    assert [one.get() for _ in range(40)] == [200] * 40, "the sockets of the workers that there are no longer are served too"
    assert by_unix().startswith(b"HTTP/1.1 200 ")
    assert set(re.findall(r"listening on 127\.0\.0\.1:(\d+)", one.noted)) == {str(port)}
    one.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_killed_parent_takes_a_new_version_that_starts_along(gate):
    one = gate()
    one.linked()
    one.signal(signal.SIGUSR2)
    one.notes("takes over as soon as")
    children = one.children()
    assert len(children) == 4
    one.signal(signal.SIGKILL)
    one.process.wait(PROMPT)
    until(lambda: gone(children), lambda: one.noted)


def test_a_new_version_that_is_killed_while_it_starts(gate):
    one = gate()
    workers = one.workers()
    for turn, delay in enumerate((0.0, 0.2, 0.4, 0.5)):
        one.signal(signal.SIGUSR2)
        one.signal(signal.SIGUSR2)
        one.notes("takes over as soon as", turn + 1)
        heir = int(re.findall(r"upgrade: process (\d+) takes over", one.noted)[-1])
        time.sleep(delay)
        if f"process {heir} takes over from" in one.noted:  # a quick machine
            one.pid = heir
            break
        os.kill(heir, signal.SIGKILL)
        one.notes("the new version was killed by signal 9", turn + 1)
        assert [one.get() for _ in range(5)] == [200] * 5
        until(lambda: len(one.children()) == 3)
        assert one.workers() == workers
