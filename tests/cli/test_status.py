"""`headgate status`, `reload`, `upgrade` and `server` as an operator uses them, on real gateways and terminals."""

import contextlib
import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROMPT = 20.0
PROGRAM = [sys.executable, "-c", "from headgate.cli import main\nmain()"]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PROMPT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Place:
    """A folder with a configuration, a folder for sockets, and the gateways that were started there."""

    def __init__(self, folder: Path, servers: list[str]) -> None:
        self.folder, self.servers = folder, servers
        self.run = folder / "run"
        self.file = folder / "headgate.toml"
        self.write()
        self.errors = folder / "errors"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.heirs: list[int] = []

    def write(self, gateway: str = "", upstream: str = "") -> None:
        servers = ", ".join(f'"{url}"' for url in self.servers)
        self.file.write_text(
            f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\nlog = {{ access = "off" }}\ndrain = "5s"\n{gateway}\n'
            f'[upstream.app]\nservers = [{servers}]\n{upstream}\n[[route]]\nupstream = "app"\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"HEADGATE_RUN": str(self.run), "TERM": "xterm-256color"}

    def serve(self, *arguments: str) -> int:
        """Start a gateway, and wait until it serves; return its process id."""
        with open(self.errors, "ab") as errors:
            process = subprocess.Popen(
                [*PROGRAM, "serve", *(arguments or [str(self.file)])],
                stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL, cwd=self.folder, env=self.environment,
            )  # fmt: skip
        self.processes.append(process)
        until(lambda: self.errors.read_text().count("note listening on") >= len(self.processes))
        return process.pid

    def get(self) -> int:
        port = int(re.findall(r"note listening on \S+:(\d+)", self.errors.read_text())[-1])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PROMPT)) as connection:
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            return response.status

    def headgate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, env=self.environment
        )  # fmt: skip

    def end(self) -> None:
        for pid in self.heirs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes:
            process.kill()
            process.wait(PROMPT)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def servers() -> Iterator[list[str]]:
    with contextlib.ExitStack() as stack:
        urls = []
        for _ in range(2):
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            urls.append(f"http://127.0.0.1:{server.server_address[1]}")
        yield urls


@pytest.fixture
def place(servers: list[str]) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="hg"))
    one = Place(folder, servers)
    yield one
    one.end()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def running(servers: list[str]) -> Iterator[Place]:
    """A gateway for tests that leave it as it was."""
    folder = Path(tempfile.mkdtemp(prefix="hg"))
    one = Place(folder, servers)
    one.serve()
    yield one
    one.end()
    shutil.rmtree(folder)


# Status.


def test_the_status_in_a_pipe(running):
    assert running.get() == 200
    until(lambda: "1 exchange," in running.headgate("status").stdout)
    done = running.headgate("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^headgate \S+  process {running.processes[0].pid}, up ", done.stdout)
    assert f"{running.file}, configuration 1\n" in done.stdout
    assert len(re.findall(r"^worker [01]  process \d+, up .*: 0 under way, \d clients?, ", done.stdout, re.MULTILINE)) == 2
    assert re.search(r"^app  least-requests, 1 request$", done.stdout, re.MULTILINE)
    for url in running.servers:
        assert re.search(rf"^  up +{url}  0 busy, \d idle, \d requests?, 0 failed\n +since ", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


def test_the_status_as_json(running):
    done = running.headgate("status", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout).keys() == {"gateway", "workers", "totals", "upstreams", "telemetry", "destinations"}
    done = running.headgate("status", "--json", "app")
    assert [server["url"] for server in json.loads(done.stdout)["servers"]] == running.servers


def test_one_upstream(running):
    done = running.headgate("status", "app")
    assert done.returncode == 0
    assert done.stdout.startswith("app  least-requests")
    assert "worker" not in done.stdout
    done = running.headgate("status", "shop")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'headgate: no upstream is called "shop"; there are app\n'


def test_a_server_that_is_out_makes_exit_code_1(running):
    url = running.servers[0]
    done = running.headgate("server", "app", url, "maintenance", "--why", "new disk")
    assert (done.returncode, done.stdout) == (0, f"app: {url} is maintenance, weight 1: new disk\n")
    done = running.headgate("status")
    assert done.returncode == 1
    assert re.search(rf"^  maintenance  {url}  .*\n +since .*: new disk$", done.stdout, re.MULTILINE)
    assert running.headgate("status", "--json", "app").returncode == 1
    running.headgate("server", "app", url, "ready")
    assert running.headgate("status").returncode == 0


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, place: Place, *arguments: str, columns: int = 80) -> None:
        ours, theirs = pty.openpty()
        self._fd = ours
        self.data = b""
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=place.environment | {"COLUMNS": str(columns), "LINES": "60"},
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO is how a terminal ends
            while piece := os.read(self._fd, 65536):
                self.data += piece
        os.close(self._fd)

    def end(self) -> int:
        code = self.process.wait(PROMPT)
        self._reader.join()
        return code

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.data.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 71, 72, 100])
def test_the_status_fits_the_terminal_and_has_colours(running, columns):
    terminal = Terminal(running, "status", columns=columns)
    assert terminal.end() == 0
    assert max(map(len, terminal.text.splitlines())) <= columns
    for url in running.servers:
        assert url in terminal.text
    assert b"\x1b[32mup" in terminal.data


def test_watching_on_a_terminal_until_ctrl_c(running):
    terminal = Terminal(running, "status", "--watch")
    until(lambda: terminal.data.count(b"least-requests") >= 3)
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 0
    assert b"least-requests" in terminal.data.rpartition(b"\x1b[?1049l")[2], "what was seen last stays on the terminal"
    assert "Traceback" not in terminal.text


def test_watching_in_a_pipe(running):
    with subprocess.Popen([*PROGRAM, "status", "--watch", "--json"], stdout=subprocess.PIPE, env=running.environment) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(PROMPT) == 0
    assert [line["gateway"]["pid"] for line in lines] == [running.processes[0].pid] * 2


def test_watching_goes_on_while_nobody_answers(place):
    place.serve()
    with subprocess.Popen([*PROGRAM, "status", "--watch", "--json"], stdout=subprocess.PIPE, env=place.environment) as process:
        assert process.stdout is not None
        assert "gateway" in json.loads(process.stdout.readline())
        place.processes[0].send_signal(signal.SIGTERM)
        assert place.processes[0].wait(PROMPT) == 0
        for _ in range(20):
            told = json.loads(process.stdout.readline())
            if "problem" in told:
                break
        assert "no gateway answers on unix:" in told["problem"]
        pid = place.serve()
        for _ in range(20):
            told = json.loads(process.stdout.readline())
            if "gateway" in told:
                break
        assert told["gateway"]["pid"] == pid
        process.send_signal(signal.SIGINT)
        assert process.wait(PROMPT) == 0


# Which gateway.


@pytest.mark.parametrize("arguments", [["status"], ["reload"], ["upgrade"], ["server", "app", "a", "drain"]], ids=" ".join)
def test_without_a_gateway(place, arguments):
    done = place.headgate(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"headgate: no running gateway is found (no socket in {place.run}): ")
    assert done.stderr.count("\n") == 1


def test_several_gateways_have_to_be_told_apart(place):
    first, second = place.serve(), place.serve("--listen", "127.0.0.1:0", "--to", place.servers[0])
    until(lambda: (place.run / f"{second}.sock").exists() and (place.run / f"{first}.sock").exists())
    done = place.headgate("status")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "headgate: 2 gateways are there; say which one is meant:"
    assert sorted(lines[1:]) == sorted([
        f"  --admin unix:{place.run}/{first}.sock  {place.file}",
        f"  --admin unix:{place.run}/{second}.sock  (without a file)",
    ])  # fmt: skip
    for pid, address in ((first, f"unix:{place.run}/{first}.sock"), (second, f"{place.run}/{second}.sock")):
        done = place.headgate("status", "--json", "--admin", address)
        assert json.loads(done.stdout)["gateway"]["pid"] == pid
    done = place.headgate("reload", "--admin", f"unix:{place.run}/{second}.sock")
    assert done.returncode == 1
    assert "without a configuration file" in done.stderr


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:/nowhere/at/all.sock", "no gateway answers on unix:/nowhere/at/all.sock: No such file or directory"),
        ("127.0.0.1:1", "no gateway answers on 127.0.0.1:1: Connection refused"),
        ("127.0.0.1", "the address has no port"),
        ("http://127.0.0.1:1", "is not a URL"),
        ("127.0.0.1:0", "port 0 is no port to ask at"),
        ("unix:", "the socket's path is missing"),
    ],
)
def test_addresses_that_lead_nowhere(place, address, words):
    done = place.headgate("status", "--admin", address)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_admin_api_is_told(place, servers):
    done = place.headgate("status", "--admin", servers[0].removeprefix("http://"))
    assert done.returncode == 2
    assert "is no admin API of Headgate" in done.stderr


def test_a_port_and_a_token(place):
    (place.folder / "token").write_text("a-token-of-some-length\n")
    (place.folder / "wrong").write_text("another-token-of-some-length")
    (place.folder / "none").write_text("")
    place.write('admin = { listen = "127.0.0.1:0", token = "token" }')
    place.serve()
    until(lambda: "note admin API on" in place.errors.read_text())
    port = re.findall(r"note admin API on \S+:(\d+)", place.errors.read_text())[0]
    for host in ("127.0.0.1", "localhost"):
        done = place.headgate("status", "--admin", f"{host}:{port}", "--token-file", str(place.folder / "token"))
        assert done.returncode == 0, done.stderr
    for file, words in (("wrong", "the token is wrong"), ("none", "holds no token"), ("nowhere", "No such file")):
        done = place.headgate("status", "--admin", f"127.0.0.1:{port}", "--token-file", str(place.folder / file))
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    done = place.headgate("status", "--admin", f"127.0.0.1:{port}")
    assert (done.returncode, "a token is needed" in done.stderr) == (2, True)


# Servers.


def test_a_server_is_found_without_its_scheme(running):
    name = running.servers[0].removeprefix("http://")
    done = running.headgate("server", "app", name, "eject", "--seconds", "60", "--json")
    told = json.loads(done.stdout)
    assert (told["url"], told["state"]) == (running.servers[0], "ejected")
    assert "is up" in running.headgate("server", "app", name, "restore").stdout
    done = running.headgate("server", "app", name, "weight", "--weight", "7")
    assert done.stdout.startswith(f"app: {running.servers[0]} is up, weight 7")
    running.headgate("server", "app", name, "weight", "--weight", "1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["app", "{0}", "eject"], "eject needs --seconds N"),
        (["app", "{0}", "drain", "--seconds", "5"], "--seconds is for eject, not for drain"),
        (["app", "{0}", "weight"], "weight needs --weight N"),
        (["app", "{0}", "ready", "--weight", "5"], "--weight is not for ready"),
        (["app", "{0}", "weight", "--weight", "5", "--why", "x"], "--why is not for weight"),
        (["app", "{0}", "weight", "--weight", "0"], "greater than or equal to 1"),
        (["app", "{0}", "weight", "--weight", "1001"], "less than or equal to 1000"),
        (["app", "{0}", "eject", "--seconds", "-1"], "greater than 0"),
        (["app", "{0}", "eject", "--seconds", "nan"], "seconds: "),
        (["app", "{0}", "explode"], "Invalid value"),
        (["app", "http://a:1", "drain"], 'upstream app has no server "http://a:1"; it has {0}'),
        (["shop", "{0}", "drain"], 'no upstream is called "shop"; there are app'),
        (["a/../b", "{0}", "drain"], "there is nothing at"),
    ],
)
def test_orders_that_cannot_be_followed(running, arguments, words):
    before = json.loads(running.headgate("status", "--json", "app").stdout)["servers"]
    done = running.headgate("server", *(argument.format(*running.servers) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert words.format(*running.servers) in done.stderr
    after = json.loads(running.headgate("status", "--json", "app").stdout)["servers"]
    assert [{**one, "idle": 0} for one in after] == [{**one, "idle": 0} for one in before]


# Reload and upgrade.


def test_reload(place):
    place.serve()
    place.write(upstream='policy = "round-robin"')
    done = place.headgate("reload")
    assert done.returncode == 0
    assert f"configuration 2 of {place.file}" in done.stdout
    assert "app  round-robin" in place.headgate("status").stdout
    place.write(upstream='policy = "dice"\nweihgt = 1')
    done = place.headgate("reload", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "upstream.app.policy" in done.stderr
    assert "upstream.app.weihgt" in done.stderr
    done = place.headgate("status")
    assert "configuration 2\n" in done.stdout
    assert "refused, nothing changed" in done.stdout
    assert place.get() == 200


def taken_over(place: Place, done: subprocess.CompletedProcess[str]) -> int:
    """Return the process id of the new version, and see to it that it ends with the test."""
    found = re.fullmatch(r"process (\d+) \(version \S+\) has taken over from process (\d+)\n", done.stdout)
    assert found is not None, done.stdout + done.stderr
    place.heirs.append(int(found[1]))
    return int(found[1])


def test_upgrade(place):
    old = place.serve()
    place.write(upstream='policy = "maglev"\nhash_on = "client"')
    done = place.headgate("upgrade")
    assert done.returncode == 0
    new = taken_over(place, done)
    assert place.processes[0].wait(PROMPT) == 0
    status = json.loads(place.headgate("status", "--json").stdout)
    assert status["gateway"]["pid"] == new != old
    assert status["upstreams"]["app"]["policy"] == "maglev"
    assert place.get() == 200
    os.kill(new, signal.SIGTERM)
    until(lambda: not (place.run / f"{new}.sock").exists())


def test_upgrade_at_an_address_that_stays(place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place.write(f'admin = {{ listen = "127.0.0.1:{port}" }}')
    place.serve()
    until(lambda: f"note admin API on 127.0.0.1:{port}" in place.errors.read_text())
    done = place.headgate("upgrade", "--admin", f"127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr
    new = taken_over(place, done)
    status = json.loads(place.headgate("status", "--json", "--admin", f"127.0.0.1:{port}").stdout)
    assert status["gateway"]["pid"] == new


def test_an_upgrade_that_cannot_start_says_why(place):
    pid = place.serve()
    place.write(upstream='policy = "dice"')
    done = place.headgate("upgrade")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the new version would not start: " in done.stderr
    assert "upstream.app.policy" in done.stderr
    place.write(gateway='pages = { html = "page.html" }')
    (place.folder / "page.html").write_text("{{ 1 / 0 }}")
    done = place.headgate("upgrade")
    assert (done.returncode, done.stdout) == (1, "")
    assert "so this one goes on" in done.stderr
    status = json.loads(place.headgate("status", "--json").stdout)
    assert status["gateway"]["pid"] == pid
    assert place.get() == 200
