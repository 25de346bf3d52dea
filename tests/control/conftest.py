"""Gateways as real processes, with servers behind them, and a client of their admin API."""

import http.client
import json
import os
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
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

PROMPT = 20.0
"""Seconds within which things have to happen: far more than they need, so that a busy machine fails nothing."""
TOKEN = "a-token-of-some-length"


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        assert self.fields["Content-Type"] == "application/problem+json"
        assert self.json.keys() == {"type", "title", "status", "detail"}
        assert self.json["status"] == self.status
        return str(self.json["detail"])


class Running:
    """One `headgate serve` process, its records in files."""

    def __init__(self, folder: Path, run: Path, config: str) -> None:
        self.folder, self.run = folder, run
        self.file = folder / "headgate.toml"
        self.file.write_text(config)
        self.errors_file = folder / "errors"
        with open(self.errors_file, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from headgate.cli import main\nmain()", "serve", str(self.file)],
                stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL, cwd=folder,
                env=os.environ | {"HEADGATE_RUN": str(run)},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def errors(self) -> str:
        return self.errors_file.read_text()

    def says(self, text: str) -> None:
        """Wait until the error log has this."""
        self.until(lambda: text in self.errors())

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PROMPT
        while not condition():
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < end, f"waited in vain; the gateway says:\n{self.errors()}"
            time.sleep(0.02)

    def port(self) -> int:
        """Return the port that it serves."""
        self.says("note listening on ")
        found = re.search(r"note listening on 127\.0\.0\.1:(\d+)", self.errors())
        assert found is not None
        return int(found[1])

    def get(self) -> int:
        """Send a request through it; return the status."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port(), timeout=PROMPT)) as connection:
            connection.request("GET", "/")
            return Answer(connection.getresponse()).status

    # The admin API.

    @property
    def socket(self) -> Path:
        return self.run / f"{self.pid}.sock"

    def admin_port(self) -> int:
        """Return the port of an admin API that listens on host:port."""
        self.says("note admin API on ")
        found = re.search(r"note admin API on \S+:(\d+)\n", self.errors())
        assert found is not None
        return int(found[1])

    def ask(
        self, method: str, path: str, body: Any = None, *, fields: dict[str, str] | None = None, port: int = 0, raw: bytes = b""
    ) -> Answer:
        """Ask the admin API: by its socket, or by a port."""
        told = {"Host": f"127.0.0.1:{port}" if port else "localhost"}
        if method in ("POST", "PUT"):
            told["Content-Type"] = "application/json"
        told |= fields or {}
        content = raw or (json.dumps(body).encode() if body is not None else None)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PROMPT)) as connection:
            if not port:
                self.until(self.socket.exists)
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.settimeout(PROMPT)
                connection.sock.connect(str(self.socket))
            connection.request(method, path, content, {name: value for name, value in told.items() if value != "-"})
            return Answer(connection.getresponse())

    def status(self) -> Any:
        answer = self.ask("GET", "/api/status")
        assert answer.status == 200, answer.body
        return answer.json

    def server(self, url: str) -> Any:
        """Return what is told of a server of the upstream "app"."""
        servers = self.ask("GET", "/api/upstreams/app").json["servers"]
        return next(one for one in servers if one["url"] == url)

    def control(self) -> int:
        """Return the process id of the control process."""
        workers = {worker["pid"] for worker in self.status()["workers"]}
        return next(child.pid for child in psutil.Process(self.pid).children() if child.pid not in workers)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PROMPT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PROMPT)


class Origin:
    """A server that answers 200 and counts."""

    def __init__(self) -> None:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def config(*servers: str, gateway: str = "", upstream: str = "", access: str = "off") -> str:
    """Return a configuration of one upstream, "app"."""
    urls = ", ".join(f'"{url}"' for url in servers)
    return (
        f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\nlog = {{ access = "{access}" }}\ndrain = "5s"\n{gateway}\n'
        f'[upstream.app]\nservers = [{urls}]\n{upstream}\n[[route]]\nupstream = "app"\n'
    )


@pytest.fixture(scope="module")
def run_folder() -> Iterator[Path]:
    """A folder for sockets with a short path, as sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="hg"))
    yield folder / "run"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def origins() -> Iterator[list[Origin]]:
    """Two servers."""
    both = [Origin(), Origin()]
    yield both
    for one in both:
        one.end()


@pytest.fixture
def start(tmp_path: Path, run_folder: Path, origins: list[Origin]) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a gateway in front of the two servers; keywords as of `config`."""
    started: list[Running] = []

    def begin(run: Path = run_folder, **settings: str) -> Running:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Running(folder, run, config(*(origin.url for origin in origins), **settings)))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, run_folder: Path, origins: list[Origin]) -> Iterator[Running]:
    """One gateway for all tests of a file: for those that leave it as it was."""
    gateway = Running(tmp_path_factory.mktemp("shared"), run_folder, config(*(origin.url for origin in origins)))
    gateway.port()
    yield gateway
    gateway.end()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, run_folder: Path, origins: list[Origin]) -> Iterator[Running]:
    """The same, with an admin API that listens on a port and asks for a token."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(f"{TOKEN}\n")
    gateway = Running(folder, run_folder, config(origins[0].url, gateway='admin = { listen = "127.0.0.1:0", token = "token" }'))
    gateway.port()
    yield gateway
    gateway.end()
