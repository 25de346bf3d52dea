"""A real browser, and a small service that can be switched off and on: off, it answers with the rendered error page."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from headgate.config.schema import Gateway
from headgate.diagnose.catalogue import catalogue
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
