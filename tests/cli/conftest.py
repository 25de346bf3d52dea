"""A site on loopback for the commands that look at one: it answers what it is told, and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headgate.lab import processes

NGINX_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass
class Site:
    """A server, as it stands now."""

    port: int = 0
    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b"hello"
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, target, fields

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def breaks(self) -> None:
        """Answer as nginx does when its upstream is gone."""
        self.status, self.body = 502, NGINX_PAGE
        self.fields = {"Server": "nginx/1.24.0", "Content-Type": "text/html"}

    def works(self) -> None:
        self.status, self.body, self.fields = 200, b"hello", {}


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def version_string(self) -> str:
            return site.fields.get("Server", "")

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            site.asked.append((self.command, self.path, dict(self.headers)))
            self.send_response(site.status)
            for name, value in site.fields.items():
                if name != "Server":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(site.body)))
            self.end_headers()
            if self.command != "HEAD":
                with suppress(OSError):
                    self.wfile.write(site.body)

        do_HEAD = do_POST = do_OPTIONS = do_GET  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", site.port), Handler) as server:
        server.daemon_threads = True
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site()) as one:
        yield one


@pytest.fixture
def served() -> Callable[[Site], "contextmanager[Site]"]:  # type: ignore[type-arg]
    """For sites that come and go: `with served(Site(port=...)):`."""
    return serving  # type: ignore[return-value]


@pytest.fixture
def free_port() -> int:
    return processes.free_port()
