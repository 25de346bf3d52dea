"""A collector made of the official messages of OTLP, which can also misbehave; an application; gateways as real processes."""

import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from headgate.lab.processes import free_port

PROMPT = 20.0
"""Seconds within which things have to happen: far more than they need, so that a busy machine fails nothing."""
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


def until(condition: Callable[[], Any], seconds: float = PROMPT) -> Any:
    """Return what a condition says as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def told(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""

    def value(one: KeyValue) -> Any:
        return getattr(one.value, one.value.WhichOneof("value"))

    return {one.key: value(one) for one in attributes}


class Collector:
    """Takes what is told, or does what `behave` says: it gets the handler and the body, and answers itself (True), or not."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.traces: list[ExportTraceServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.heads: list[dict[str, str]] = []
        self.posts: list[tuple[float, str]] = []  # when, and to which path
        self.behave: Callable[[Any, bytes], bool] = lambda handler, body: False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self.start()

    def start(self) -> None:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.posts.append((time.monotonic(), self.path))
                if not collector.behave(self, body):
                    collector.take(self, body)

            def answer(self, status: int, body: bytes = b"", **fields: str) -> None:
                self.send_response(status)
                for name, text in fields.items():
                    self.send_header(name.replace("_", "-"), text)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_port = True

            def handle_error(self, *_: object) -> None:
                """A client that hangs up is none of ours."""

            def finish_request(self, request: Any, address: Any) -> None:
                collector._open.add(request)
                try:
                    super().finish_request(request, address)
                finally:
                    collector._open.discard(request)

        self._server = Server(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def take(self, handler: Any, body: bytes) -> None:
        """Be a good collector."""
        assert handler.headers["Content-Encoding"] == "gzip"
        assert handler.headers["Content-Type"] == "application/x-protobuf"
        plain = gzip.decompress(body)
        answer: Any
        with self._lock:
            self.heads.append(dict(handler.headers))
            if handler.path == "/v1/traces":
                self.traces.append(ExportTraceServiceRequest.FromString(plain))
                answer = ExportTraceServiceResponse()
            else:
                assert handler.path == "/v1/logs"
                self.logs.append(ExportLogsServiceRequest.FromString(plain))
                answer = ExportLogsServiceResponse()
        handler.answer(200, answer.SerializeToString(), Content_Type="application/x-protobuf")

    def stop(self) -> None:
        """Be gone at once, as after kill -9: with every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None
        for one in list(self._open):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)

    def spans(self, kind: int = 0) -> list[Span]:
        """Return the spans that came, in their order."""
        with self._lock:
            requests = list(self.traces)
        found = [
            span for one in requests for resource in one.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return [span for span in found if not kind or span.kind == kind]

    def records(self, event: str = "") -> list[LogRecord]:
        """Return the log records that came, in their order."""
        with self._lock:
            requests = list(self.logs)
        found = [
            one
            for each in requests
            for resource in each.resource_logs
            for scope in resource.scope_logs
            for one in scope.log_records
        ]
        return [one for one in found if one.event_name.startswith(event)]

    def span_of(self, reference: str, kind: int = SERVER) -> Span:
        """Wait for a span by the reference that the client was told."""
        wanted: list[Span] = until(
            lambda: [span for span in self.spans(kind) if told(span.attributes)["headgate.reference"] == reference]
        )
        return wanted[0]


class Application:
    """A server that answers 200, keeps the heads that it got, and has paths on which it fails."""

    def __init__(self) -> None:
        self.heads: list[list[tuple[str, str]]] = []
        application = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                application.heads.append(self.headers.items())
                if self.path.startswith("/hang-up"):
                    self.close_connection = True
                    return
                body = b"ok"
                self.send_response(int(self.path[8:]) if self.path.startswith("/status/") else 200)
                self.send_header("Content-Length", str(len(body)))
                if self.path == "/timed":
                    self.send_header("Server-Timing", "db;dur=53")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Reply:
    """What a client got."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.fields = response.headers
        self.body = response.read()

    @property
    def reference(self) -> str:
        """The reference on the error page."""
        assert self.fields["Content-Type"] == "application/problem+json", self.body
        return str(json.loads(self.body)["reference"])


class Gateway:
    """One `headgate serve` process."""

    def __init__(self, folder: Path, run: Path, config: str, environment: dict[str, str]) -> None:
        self.folder, self.run = folder, run
        self.file, self.errors_file, self.access_file = folder / "headgate.toml", folder / "errors", folder / "access"
        self.file.write_text(config)
        with open(self.errors_file, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from headgate.cli import main\nmain()", "serve", str(self.file)],
                stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL, cwd=folder,
                env={**os.environ, "HEADGATE_RUN": str(run), **environment},
            )  # fmt: skip

    def errors(self) -> str:
        return self.errors_file.read_text()

    def says(self, text: str) -> None:
        try:
            until(lambda: text in self.errors() or self.process.poll() is not None)
        finally:
            assert text in self.errors(), self.errors()

    def access(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.access_file.read_text().splitlines()]

    def line_of(self, reference: str) -> dict[str, Any]:
        """Wait for the access line with this reference."""
        found: list[dict[str, Any]] = until(lambda: [line for line in self.access() if line["reference"] == reference])
        return found[0]

    @property
    def port(self) -> int:
        self.says("note listening on ")
        found = re.search(r"note listening on 127\.0\.0\.1:(\d+)", self.errors())
        assert found is not None
        return int(found[1])

    def get(self, path: str = "/", **fields: str) -> Reply:
        """Send a request through it. fields: underscores stand for hyphens."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROMPT)) as connection:
            sent = {name.replace("_", "-"): text for name, text in fields.items()}
            connection.request("GET", path, headers={"Accept": "application/problem+json", **sent})
            return Reply(connection.getresponse())

    def raw(self, data: bytes) -> bytes:
        """Send bytes; return all that comes back until the gateway closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PROMPT) as sock:
            sock.sendall(data)
            found = b""
            while piece := sock.recv(65_536):
                found += piece
            return found

    def ask(self, path: str, method: str = "GET") -> Any:
        """Ask the admin API."""
        with closing(http.client.HTTPConnection("localhost", timeout=PROMPT)) as connection:
            place = self.run / f"{self.process.pid}.sock"
            until(place.exists)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PROMPT)
            connection.sock.connect(str(place))
            connection.request(method, path, headers={"Content-Type": "application/json"} if method == "POST" else {})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return body.decode() if path == "/metrics" else json.loads(body)

    def reload(self, config: str) -> None:
        self.file.write_text(config)
        self.ask("/api/reload", "POST")

    def counts(self) -> dict[str, Any]:
        """Return what is told of telemetry in the status."""
        found: dict[str, Any] = self.ask("/api/status")["telemetry"]
        return found

    def control(self) -> psutil.Process:
        """Return the control process."""
        workers = {worker["pid"] for worker in self.ask("/api/status")["workers"]}
        return next(child for child in psutil.Process(self.process.pid).children() if child.pid not in workers)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PROMPT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PROMPT)


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.behave = lambda handler, body: False
    one.stop()


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    one = Application()
    yield one
    one.end()


@pytest.fixture(scope="module")
def dead() -> str:
    """The URL of a server that is not there."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def config(application: Application, dead: str) -> Callable[..., str]:
    """Return a function that returns a configuration: all goes to the application, /dead to nobody, /half in turn."""

    def written(telemetry: str, gateway: str = "", workers: int = 1) -> str:
        table = f"[telemetry]\n{telemetry}\n" if telemetry else ""
        return (
            f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = {workers}\nlog = {{ access = "access" }}\ndrain = "5s"\n{gateway}\n'
            f'[incidents]\nfile = "memory"\nexamine = false\n{table}'
            f'[upstream.app]\nservers = ["{application.url}"]\n[upstream.dead]\nservers = ["{dead}"]\n'
            f'[upstream.half]\nservers = ["{dead}", "{application.url}"]\npolicy = "round-robin"\n[[route]]\nupstream = "app"\n'
            '[[route]]\npath = "/dead"\nupstream = "dead"\n[[route]]\npath = "/half"\nupstream = "half"\n'
        )

    return written


@pytest.fixture
def start(tmp_path: Path, config: Callable[..., str], collector: Collector) -> Iterator[Callable[..., Gateway]]:
    """Return a function that starts a gateway which tells the collector."""
    started: list[Gateway] = []
    run = Path(tempfile.mkdtemp(prefix="hg"))

    def begin(telemetry: str = "sample = 1", gateway: str = "", workers: int = 1, **environment: str) -> Gateway:
        where = (
            "" if "endpoint" in telemetry or not telemetry or environment else f'endpoint = "http://127.0.0.1:{collector.port}"\n'
        )
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Gateway(folder, run / "run", config(where + telemetry, gateway, workers), environment))
        return started[-1]

    yield begin
    for gateway in started:
        gateway.end()
    shutil.rmtree(run, ignore_errors=True)  # the last files of processes that were killed may go meanwhile
