"""A real browser; a small service that answers, or shows the error page; and a gateway with servers that can be broken."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from headgate.config.schema import Gateway
from headgate.diagnose.catalogue import catalogue
from headgate.lab.processes import free_port
from headgate.model.exchange import Exchange
from headgate.render.errors import Errors

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-dev-shm-usage")
UP = '<!doctype html><html lang="en"><title>Up</title><form method="post" action="/order"><button id="send">Send</button></form>'


class Service(ThreadingHTTPServer):
    """`up` decides what a request gets; `seen` lists what came, as (method, path, was it a page's test?)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.errors = Errors(Gateway())
        self.up, self.up_for_tests = False, False
        self.cause, self.details, self.retry_after = "no-healthy-server", False, None
        self.seen = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, method, path, *, test):
        return self.seen.count((method, path, test))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        test = self.headers["Sec-Fetch-Mode"] != "navigate"
        self.server.seen.append((self.command, self.path, test))
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.up or (test and self.server.up_for_tests):
            self.reply(200, b"Content-Type: text/html\r\nContent-Length: %d\r\n" % len(UP), UP.encode())
        else:
            exchange = Exchange("7f3a-22", "127.0.0.1", "http", 0.0)
            exchange.method, exchange.cause = self.command.encode(), catalogue()[self.server.cause]
            answer = self.server.errors.answer(
                exchange, accept=self.headers["Accept"].encode(), content_type=None, details=self.server.details,
                retry_after=self.server.retry_after,
            )  # fmt: skip
            self.reply(answer.status, answer.fields, answer.body)

    def do_POST(self):
        self.do_GET()

    def reply(self, status, fields, body):
        self.wfile.write(b"HTTP/1.1 %d X\r\n%b\r\n%b" % (status, fields, body))

    def log_message(self, *args):
        """Keeps the test's output clean."""


@pytest.fixture
def service():
    server = Service()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def chromium():
    """The browser. It ends with the tests of a file, as others want an event loop of their own."""
    if not CHROMIUM:
        pytest.skip("needs chromium (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Visits:
    """Makes pages as visitors have them; none of their scripts may have failed, and no policy been violated."""

    def __init__(self, chromium):
        self._chromium = chromium
        self._contexts, self.complaints = [], []

    def page(self, **options):
        context = self._chromium.new_context(**options)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        return page

    def _heard(self, message):
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def end(self):
        for context in self._contexts:
            context.close()


@pytest.fixture
def visits(chromium):
    made = Visits(chromium)
    yield made
    made.end()
    assert made.complaints == []


@pytest.fixture
def page(visits):
    """One page, as new."""
    return visits.page()


# A real gateway, with servers behind it that can be broken.


class Backend(ThreadingHTTPServer):
    """A server: `answer` is what it sends to any request, None for an orderly one."""

    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), BackendHandler)
        self.answer = None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def end(self):
        self.shutdown()
        self.server_close()
        self._thread.join(5)

    def handle_error(self, request, address):
        """A gateway that closes early is no error here."""


class BackendHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.wfile.write(self.server.answer or b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self.close_connection = True

    def log_message(self, *args):
        """Keeps the test's output clean."""


class Site:
    """A gateway as a process, with its admin API and dashboard on a port."""

    def __init__(self, folder, upstreams, gateway=""):
        """upstreams: URLs of servers by name; each has the route /NAME."""
        self.folder, self.port, self.admin = folder, free_port(), free_port()
        tables = "".join(
            f'[upstream.{name}]\nservers = {json.dumps(urls)}\n[[route]]\npath = "/{name}"\nupstream = "{name}"\n'
            for name, urls in upstreams.items()
        )
        (folder / "headgate.toml").write_text(
            f'[gateway]\nlisten = ["127.0.0.1:{self.port}"]\nworkers = 1\nlog = {{ access = "off" }}\n{gateway}\n'
            f'[gateway.admin]\nlisten = "127.0.0.1:{self.admin}"\ndashboard = "off"\n{self._token()}'
            f'[incidents]\nfile = "{folder}/incidents"\n{tables}'
        )
        self.process = None
        self.begin()

    def _token(self):
        return 'token = "token"\n' if (self.folder / "token").exists() else ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.admin}"

    def begin(self):
        with (self.folder / "errors").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headgate", "serve", "headgate.toml"], cwd=self.folder, stdout=errors, stderr=errors,
                env=os.environ | {"HEADGATE_RUN": str(self.folder / "run")},
            )  # fmt: skip
        for port in (self.port, self.admin):
            self.until(lambda port=port: self._is_open(port))

    @staticmethod
    def _is_open(port):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, (self.folder / "errors").read_text()
            assert time.monotonic() < end, (self.folder / "errors").read_text()
            time.sleep(0.05)

    def send(self, path, times=1, fields=()):
        """Send requests; return the reference of the last answer."""
        reference = ""
        for _ in range(times):
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
                connection.putrequest("GET", path, skip_accept_encoding=True)
                for name, value in (("Accept", "application/json"), *fields):
                    connection.putheader(name, value)
                connection.endheaders()
                answer = connection.getresponse()
                body = answer.read()
                if answer.status >= 500 and body.startswith(b"{"):
                    reference = json.loads(body)["error"]["reference"]
        return reference

    def ask(self, method, path, body=None, **fields):
        with closing(http.client.HTTPConnection("127.0.0.1", self.admin, timeout=20)) as connection:
            content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = {"Content-Type": "application/json"} if body is not None else {}
            told = kind | {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, path, content, told)
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer

    def incidents(self, **fields):
        return json.loads(self.ask("GET", "/api/incidents?state=open", **fields).content)["incidents"]

    def incident(self, upstream):
        """Wait for an open incident of an upstream; return its id."""
        self.until(lambda: any(one["upstream"] == upstream for one in self.incidents()))
        return next(one["id"] for one in self.incidents() if one["upstream"] == upstream)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def backends():
    """Three servers."""
    made = [Backend() for _ in range(3)]
    yield made
    for one in made:
        one.end()


MALFORMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Order total: 49.90\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def site(tmp_path_factory, backends):
    """A gateway for all tests of a file: "well" answers, "closed" refuses, "wrong" sends a header that is none."""
    backends[2].answer = MALFORMED
    upstreams = {
        "well": [backends[0].url, backends[1].url], "closed": [f"http://127.0.0.1:{free_port()}"], "wrong": [backends[2].url],
    }  # fmt: skip
    made = Site(tmp_path_factory.mktemp("site"), upstreams)
    yield made
    made.end()


@pytest.fixture
def own(tmp_path):
    """A gateway of one test's own, with one server that it may break (`backend`)."""
    backend = Backend()
    made = Site(tmp_path, {"shop": [backend.url]})
    made.backend = backend
    yield made
    made.end()
    backend.end()


def locked_site(folder, backend):
    (folder / "token").write_text("correct-horse-battery\n")
    return Site(folder, {"well": [backend.url]})


@pytest.fixture(scope="module")
def locked(tmp_path_factory, backends):
    """A gateway that asks for a token."""
    made = locked_site(tmp_path_factory.mktemp("locked"), backends[0])
    yield made
    made.end()


@pytest.fixture
def own_locked(tmp_path, backends):
    """The same, for one test."""
    made = locked_site(tmp_path, backends[0])
    yield made
    made.end()
