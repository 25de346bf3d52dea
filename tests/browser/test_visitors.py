"""What visitors see of real gateways in a real browser: the error page that waits for them, and the public status page."""

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from headgate.cli.admin_client import Client
from headgate.config.endpoints import Address
from headgate.lab.processes import free_port

CHROMIUM = shutil.which("chromium")
PATIENCE = 30_000
"""Milliseconds in which things have to happen: far more than they need."""
UP = '<!doctype html><html lang="en"><title>Up</title><form method="post" action="/order"><button id="send">Send</button></form>'
FAST = "const after = Math.random; Math.random = () => 0; const now = Date.now; window.shift = 0; Date.now = () => now() + shift;"
"""Lets a test make time pass in a page."""


class Handler(BaseHTTPRequestHandler):  # of HTTP/1.0: no connection is kept that would outlive the service
    def do_GET(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked[f"{self.command} {self.path}"] += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(UP)))
        self.end_headers()
        self.wfile.write(UP.encode())

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        """Keeps the test's output clean."""


class Site:
    """A gateway with two workers in front of a service that can be killed and started."""

    def __init__(self, folder, more=""):
        self.folder, self.port, self.service_port = folder, free_port(), free_port()
        self.asked, self._server, self._thread = Counter(), None, None
        (folder / "headgate.toml").write_text(
            f'[gateway]\nlisten = ["127.0.0.1:{self.port}"]\nworkers = 2\nadmin.dashboard = "off"\n'
            f'log = {{ access = "access", errors = "errors" }}\n[incidents]\nfile = "memory"\n'
            f'[upstream.inside]\nservers = ["http://127.0.0.1:{self.service_port}"]\n{more}'
        )
        self.run = Path(tempfile.mkdtemp(prefix="hg"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headgate", "serve", "headgate.toml"],
            cwd=folder,
            env=os.environ | {"HEADGATE_RUN": str(self.run)},
        )
        until(lambda: self.process.poll() is not None or "note listening on" in self.errors())
        assert self.process.poll() is None, self.errors()

    def errors(self):
        file = self.folder / "errors"
        return file.read_text() if file.exists() else ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def up(self):
        class Server(ThreadingHTTPServer):
            daemon_threads, allow_reuse_address = True, True

        self._server = Server(("127.0.0.1", self.service_port), Handler)
        self._server.asked = self.asked
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def down(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def admin(self, method, path, body=None):
        (socket,) = self.run.glob("*.sock")
        return Client(Address("", 0, str(socket))).ask(method, path, body)

    def get(self, path, accept="*/*"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body.decode()

    def requests(self):
        """Return what came to the gateway: how often each method and path without its query."""
        records = [json.loads(line) for line in (self.folder / "access").read_text().splitlines()]
        return Counter(f"{one['method']} {one['target'].partition('?')[0]}" for one in records)

    def end(self):
        self.down()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.run)


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path)
    yield found
    found.end()


@pytest.fixture(scope="module")
def chrome():
    if not CHROMIUM:
        pytest.skip("needs chromium (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chrome):
    """A tab of its own; afterwards no script may have failed and no policy been violated."""
    context = chrome.new_context()
    context.set_default_timeout(PATIENCE)
    context.add_init_script(FAST)
    page = context.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: "Failed to load resource" in message.text or said.append(message.text))
    yield page
    context.close()
    assert said == []


def later(tab, seconds):
    tab.evaluate("seconds => { window.shift += seconds * 1000 }", seconds)


def sooner(tab):
    """Let half a minute pass in a page, and give it a moment."""
    later(tab, 40)
    time.sleep(0.5)


def until(condition):
    """Wait until it holds; a page that is just being left holds nothing."""
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(Error):
            if condition():
                return
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


STATUS = "GET /.well-known/headgate/status"


def test_killed_and_back(site, tab):
    site.up()
    tab.goto(f"{site.url}/cart?step=2#top")
    assert tab.title() == "Up"
    site.down()
    tab.reload()
    assert tab.title() == "The service is not available right now"
    assert tab.locator("#live").inner_text() == "This page tests whether the service is back, and then reloads by itself."
    until(lambda: tab.evaluate("document.body.dataset.since"))
    assert "This has lasted for less than a minute, since " in tab.locator(".facts").inner_text()
    assert not tab.locator(".people").is_visible()
    site.up()
    until(lambda: tab.evaluate("document.title === 'Up'"))
    assert tab.url == f"{site.url}/cart?step=2#top"


def test_while_it_waits_the_service_is_left_alone(site, tab):
    tab.goto(f"{site.url}/cart")
    for rounds in range(1, 9):
        later(tab, 60)
        until(lambda n=rounds: site.requests()[STATUS] == n)
        until(lambda: tab.evaluate("document.getElementById('count').textContent.startsWith('Next')"))
    requests = site.requests()
    assert requests[STATUS] == 8, "eight times it was asked whether it works again"
    assert requests["GET /cart"] <= 1 + 4, "and a few times, seconds apart, by a trial"


def test_people_are_on_it(site, tab):
    tab.goto(f"{site.url}/")
    until(lambda: site.admin("GET", "/api/incidents?state=open")["incidents"])
    found = site.admin("GET", "/api/incidents?state=open")["incidents"]
    hope = time.time() + 1800
    site.admin(
        "POST", f"/api/incidents/{found[0]['id']}/acknowledge", {"who": "Nobody's business", "note": "secret", "expected": hope}
    )
    tab.wait_for_selector(".people", state="visible")
    text = tab.locator(".facts").inner_text()
    assert "know of it and are working on it." in text
    assert "It is expected to be over at " in text
    assert "Nobody" not in tab.content()
    assert "secret" not in tab.content()
    fresh = tab.context.new_page()
    fresh.goto(f"{site.url}/")
    assert fresh.locator(".people").is_visible(), "who comes later sees it at once"


def test_without_scripts_the_facts_stand_there_and_the_page_refreshes(site, chrome):
    site.get("/")
    time.sleep(1.5)  # the other worker hears of it within a second
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.url}/")
    assert re.search(r"This has lasted since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.", page.locator(".facts").inner_text())
    assert not page.locator(".people").is_visible()
    assert not page.locator(".hope").is_visible()
    assert 'http-equiv="refresh"' in page.content()
    context.close()


def test_a_form_is_never_sent_twice(site, tab):
    site.up()
    tab.goto(f"{site.url}/form")
    site.down()
    tab.click("#send")
    assert "It sends nothing again by itself." in tab.locator("#live").inner_text()
    site.up()
    until(lambda: "Go back and send your form again." in tab.locator("#live").inner_text() or sooner(tab))
    assert tab.locator("#now").inner_text() == "Go back"
    later(tab, 600)
    time.sleep(1.5)
    assert site.asked["POST /order"] == 0
    assert site.requests()["POST /order"] == 1
    tab.click("#now")
    tab.wait_for_url("**/form")


def test_where_there_is_no_endpoint_any_more_it_tests_the_page_itself(site, tab):
    tab.route("**/.well-known/headgate/status*", lambda route: route.fulfill(status=404, body=""))
    tab.goto(f"{site.url}/cart")
    later(tab, 60)
    until(lambda: tab.evaluate("!document.body.dataset.ask"))
    site.up()
    later(tab, 60)
    until(lambda: tab.evaluate("document.title === 'Up'"))


@pytest.mark.parametrize("answer", ["<html>", "[]", '{"working": "yes"}', '{"working": 1}', "null"])
def test_an_answer_of_something_else_is_not_believed(site, tab, answer):
    tab.route("**/.well-known/headgate/status*", lambda route: route.fulfill(status=200, body=answer))
    tab.goto(f"{site.url}/cart")
    later(tab, 60)
    until(lambda: tab.evaluate("!document.body.dataset.ask"))
    assert tab.title() == "The service is not available right now"


def test_offline_it_waits(site, tab):
    tab.goto(f"{site.url}/cart")
    tab.context.set_offline(True)
    until(lambda: tab.evaluate("document.getElementById('count').textContent === 'Your device is offline.'"))
    site.up()
    tab.context.set_offline(False)
    until(lambda: tab.title() == "Up" or sooner(tab))


def test_a_tab_that_slept_for_hours_asks_when_it_wakes(site, tab):
    tab.goto(f"{site.url}/cart")
    tab.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = true")
    later(tab, 40_000)
    time.sleep(2.5)
    assert site.requests()[STATUS] == 0, "nobody looks at it"
    site.up()
    site.get("/")
    tab.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    until(lambda: tab.title() == "Up" or sooner(tab))


PAGE = """
[[route]]
path = "/api"
upstream = "hidden-name"
[[route]]
path = "/"
upstream = "inside"
[upstream.hidden-name]
servers = ["http://127.0.0.1:DEAD"]
[status_page]
title = "Example status"
[[status_page.service]]
name = "Shop"
about = "Pages and <orders>"
upstreams = ["inside"]
[[status_page.service]]
name = "Interface"
upstreams = ["hidden-name"]
[[status_page.message]]
text = "Tonight <b>we</b> move."
kind = "maintenance"
"""


@pytest.fixture
def told(tmp_path):
    found = Site(tmp_path, PAGE.replace("DEAD", str(free_port())))
    found.up()
    yield found
    found.end()


def test_the_status_page_follows_what_happens(told, tab):
    tab.goto(f"{told.url}/status")
    assert tab.title() == "Everything works · Example status"
    assert tab.locator(".message").inner_text() == "Tonight <b>we</b> move."
    for _ in range(4):
        told.get("/api/x")
    time.sleep(1.5)
    later(tab, 60)
    until(lambda: tab.evaluate("document.title.startsWith('Interface is not working')"))
    assert tab.locator("#news").inner_text() == "Interface is not working"
    assert [one.inner_text().strip() for one in tab.locator(".state").all()] == ["Works", "Does not work"]
    inside = tab.content()
    assert all(word not in inside for word in ("hidden-name", "inside", "127.0.0.1:", "refused"))
    (told.folder / "headgate.toml").write_text((told.folder / "headgate.toml").read_text().replace("Tonight", "Tomorrow"))
    told.admin("POST", "/api/reload")
    later(tab, 60)
    until(lambda: tab.evaluate("document.querySelector('.message').textContent.includes('Tomorrow')"))


def test_its_json(told):
    status, body = told.get("/status.json")
    again = told.get("/status", "application/json")
    assert status == 200
    found = json.loads(body)
    assert {**json.loads(again[1]), "at": ""} == {**found, "at": ""}
    assert [(one["name"], one["state"], one["working"]) for one in found["services"]] == [
        ("Shop", "working", True), ("Interface", "working", True),
    ]  # fmt: skip
    assert len(found["services"][0]["days"]) == 30
    until(lambda: told.requests()["GET /status.json"] == 1)
    assert told.asked == {}, "it is never forwarded"


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_every_screen(told, chrome, scheme, width):
    context = chrome.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    for _ in range(3):
        told.get("/api")
    for path, accept in (("/status", "h1"), ("/api", "h1")):
        page.goto(told.url + path)
        assert page.locator(accept).count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
        assert page.evaluate(CONTRASTS) == []
    context.close()


CONTRASTS = """() => {
  const light = text => {
    const part = text.match(/[\\d.]+/g).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
  };
  const behind = node => { for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor; if (!colour.endsWith(", 0)")) return light(colour)
  } };
  const poor = [];
  for (const node of document.querySelectorAll("main *")) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    if (node.closest("title, .quiet, noscript, script, svg") || !node.getClientRects().length) continue;
    const ink = light(getComputedStyle(node).color), paper = behind(node);
    const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
    if (ratio < 4.5) poor.push(node.textContent + ": " + ratio);
  }
  return poor;
}"""
