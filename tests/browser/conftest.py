"""A real browser, and a small service that can be switched off and on: off, it answers with the rendered error page."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headgate.config.schema import Gateway
from headgate.diagnose.catalogue import catalogue
from headgate.model.exchange import Exchange
from headgate.render.errors import Errors

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
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


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs chromium and chromedriver (Debian packages chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(20)
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture
def browser(started):
    """The browser, as new; afterwards no script may have failed and no policy been violated."""
    started.get("about:blank")
    started.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    started.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    started.get_log("browser")
    yield started
    entries = [entry for entry in started.get_log("browser") if entry["source"] != "network"]
    started.get("about:blank")
    assert entries == []
