"""The dashboard as an operator uses it: a real browser, a real gateway, servers that really fail."""

import http.client
import json
import re
import time
from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

expect.set_options(timeout=20_000)
PAGES = (
    "/",
    "/incidents",
    "/incidents/{closed}",
    "/incidents/{wrong}",
    "/upstreams",
    "/upstreams/well",
    "/find?reference=nothing",
)


@pytest.fixture(scope="module")
def broken(site):
    """The ids of two open incidents, by upstream; each was examined."""
    site.send("/closed", 3)
    site.send("/wrong?a=1", 3)
    site.send("/well", 5)
    found = {name: site.incident(name) for name in ("closed", "wrong")}
    for id in found.values():
        site.until(lambda id=id: json.loads(site.ask("GET", f"/api/incidents/{id}").content)["verdicts"])
    return found


def is_live(page):
    expect(page.locator("#live-said")).to_have_text("Live")


# What is seen.


def test_the_overview_tells_of_what_breaks_without_being_reloaded(own, page):
    own.send("/shop")
    page.goto(own.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything works")
    is_live(page)
    page.evaluate("window.same = true")
    own.backend.end()
    own.send("/shop", 4)
    expect(page.get_by_role("heading", level=1)).to_have_text("1 incident that users see")
    expect(page.get_by_role("heading", name="The server refused the connection")).to_be_visible()
    expect(page).to_have_title("1 incident that users see · Headgate")
    assert page.evaluate("window.same")


def test_an_incident_tells_all_of_it(site, broken, page):
    page.goto(f"{site.url}/incidents/{broken['wrong']}")
    expect(page.get_by_role("heading", level=1)).to_have_text("The response header contains an illegal line")
    verdict = page.locator("[data-region=verdict]")
    expect(verdict).to_contain_text('breaks the rule "field-name"')
    expect(verdict).to_contain_text("Proved")
    expect(page.locator(".byte.wrong b").first).to_have_text("20")
    assert page.locator(".bytes-text mark").first.text_content() == " "
    drawing = page.get_by_role("img", name=re.compile(r"Attempt 1: .* ms \(here it failed\)")).first
    expect(drawing).to_be_visible()
    expect(page.locator("#incident-chart canvas")).to_be_visible()
    expect(page.locator("[data-region=request]")).to_contain_text("What its user saw")
    expect(page.locator("[data-region=did]")).to_contain_text("examined the server from its own place")
    expect(page.locator("[data-region=affected]")).to_contain_text("*/wrong")


def test_it_is_exported_for_a_ticket(site, broken, page):
    page.goto(f"{site.url}/incidents/{broken['closed']}")
    for name, begin in (("Markdown", "# The server refused the connection"), ("JSON", "{")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        assert broken["closed"] in download.value.suggested_filename
        with open(download.value.path(), encoding="utf-8") as file:
            assert file.read().startswith(begin)


def test_a_reference_leads_to_the_request_and_its_incident(site, broken, page):
    reference = site.send("/closed")
    site.until(lambda: site.ask("GET", f"/api/references/{reference}").status == 200)
    page.goto(site.url)
    page.keyboard.press("/")
    page.keyboard.type(reference)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Request {reference}")
    expect(page.get_by_role("heading", name="It belongs to this incident")).to_be_visible()
    page.get_by_role("link", name="The server refused the connection").click()
    expect(page).to_have_url(f"{site.url}/incidents/{broken['closed']}")


def test_an_unknown_reference_is_answered_honestly(site, page):
    page.goto(f"{site.url}/find?reference=x'%3B+reboot")
    expect(page.locator("main")).to_contain_text("Headgate does not keep this one")
    expect(page.locator("pre")).to_contain_text("""journalctl -u headgate -g 'x'"'"'; reboot'""")


def test_what_is_asked_for_by_an_incidents_name_is_that_incident(site, broken, page):
    page.goto(f"{site.url}/find?reference={broken['closed'].lower()}")
    expect(page).to_have_url(f"{site.url}/incidents/{broken['closed']}")


def test_lists_are_filtered_and_paged(site, broken, page):
    page.goto(f"{site.url}/incidents")
    expect(page.locator(".list tbody tr")).to_have_count(2)
    page.get_by_label("Cause").fill("connection-refused")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".list tbody tr")).to_have_count(1)
    expect(page.get_by_label("Cause")).to_have_value("connection-refused")
    page.goto(f"{site.url}/incidents?state=resolved")
    expect(page.locator("main")).to_contain_text("No incident is like that.")


@pytest.mark.parametrize("path", ["/incidents/NOTHERE1", "/upstreams/none"])
def test_what_is_not_there_is_said(site, page, path):
    assert page.goto(site.url + path).status == 404
    expect(page.locator("main")).to_contain_text("called")
    expect(page.get_by_role("link", name="To the overview")).to_be_visible()


# What is done.


def act(page, button, **fields):
    page.get_by_role("button", name=button, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    dialog.get_by_role("button", name=button).click()
    expect(dialog).to_be_hidden()


def test_an_incident_is_acknowledged_silenced_and_resolved(own, page):
    own.backend.end()
    own.send("/shop", 3)
    id = own.incident("shop")
    page.goto(f"{own.url}/incidents/{id}")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Visitors are told that it should be over").select_option("in half an hour")
    page.keyboard.press("Escape")
    act(page, "Acknowledge", Your_name="Zoë", Note="on it")
    expect(page.locator(".incident-head")).to_contain_text("Acknowledged by Zoë")
    expect(page.locator(".incident-head")).not_to_contain_text("Expected")
    expect(page.locator("[data-region=more]")).to_contain_text("on it")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
    page.get_by_role("button", name="Silence").click()
    expect(page.get_by_label("Your name")).to_have_value("Zoë")
    page.get_by_role("dialog").get_by_role("button", name="Silence").click()
    expect(page.locator(".incident-head")).to_contain_text("Silenced")
    act(page, "Examine again")
    until = time.time() + 900
    assert own.ask("POST", f"/api/incidents/{id}/acknowledge", {"who": "Zoë", "expected": until}).status == 200
    expect(page.locator(".incident-head")).to_contain_text("Expected to be over in 15 min")
    act(page, "Resolve")
    expect(page.locator(".incident-head")).to_contain_text("Resolved")
    assert [one["action"] for one in json.loads(own.ask("GET", f"/api/incidents/{id}").content)["actions"]][:2] == [
        "acknowledge",
        "silence",
    ]


def test_a_server_is_drained_with_a_reason_and_brought_back(site, backends, page):
    page.goto(f"{site.url}/upstreams/well")
    first = page.locator(".server-full").filter(has_text=backends[0].url)
    first.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_label("Why").fill("new disk <b>&\u202e")
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(first).to_contain_text("draining")
    expect(first).to_contain_text("new disk <b>&")
    first.get_by_role("button", name="Ready").click()
    page.get_by_role("dialog").get_by_role("button", name="Ready").click()
    expect(first.locator(".server-head .state")).to_have_text("up")
    first.get_by_role("button", name="Eject").click()
    page.get_by_label("For how long").select_option("60")
    page.get_by_role("dialog").get_by_role("button", name="Eject").click()
    expect(first).to_contain_text("ejected")
    first.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(first.locator(".server-head .state")).to_have_text("up")


def test_a_refusal_is_told_and_nothing_is_lost(site, backends, page):
    page.route(
        "**/drain", lambda route: route.fulfill(status=409, content_type="application/json", body='{"detail": "not <now>"}')
    )
    page.goto(f"{site.url}/upstreams/well")
    button = page.get_by_role("button", name="Drain").first
    button.click()
    page.get_by_label("Why").fill("a reason")
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.get_by_role("alert")).to_have_text("Not done: not <now>")
    expect(page.get_by_label("Why")).to_have_value("a reason")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


# Live.


def test_a_lost_connection_is_shown_and_found_again(own, page):
    page.goto(own.url)
    is_live(page)
    own.end()
    expect(page.locator("#live-said")).to_have_text("Connection lost")
    own.begin()
    expect(page.locator("#live-said")).to_have_text("Live", timeout=60_000)


def test_pausing_holds_the_page_still(own, page):
    page.goto(own.url)
    is_live(page)
    page.get_by_role("button", name="Pause live updates").click()
    expect(page.locator("#live-said")).to_have_text("Paused")
    own.backend.end()
    own.send("/shop", 3)
    own.incident("shop")
    page.wait_for_timeout(2500)
    expect(page.get_by_role("heading", level=1)).to_have_text("Everything works")
    page.get_by_role("button", name="Go on with live updates").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 incident that users see")


def test_what_is_open_or_focused_stays_so_while_the_page_changes(own, page):
    own.backend.answer = b"HTTP/1.1 200 OK\r\nBad header: x\r\n\r\n"
    own.send("/shop", 3)
    id = own.incident("shop")
    page.goto(f"{own.url}/incidents/{id}")
    is_live(page)
    page.get_by_text("About this cause").click()
    page.get_by_role("tab", name="Visitors").click()
    page.locator("[data-keep^=sample]").first.locator("summary").click()
    page.locator(".copy").first.focus()
    seen = page.locator(".tiles dd").nth(2)
    before = seen.inner_text()
    own.send("/shop", 9)
    expect(seen).not_to_have_text(before)
    assert page.evaluate("document.activeElement.matches('.copy')")
    assert page.locator("details[data-keep=how]").evaluate("node => node.open")
    expect(page.get_by_role("tab", name="Visitors")).to_have_attribute("aria-selected", "true")


def test_no_more_look_than_the_bound_allows(site):
    streams = []
    try:
        for _ in range(32):
            streams.append(http.client.HTTPConnection("127.0.0.1", site.admin, timeout=20))
            streams[-1].request("GET", "/events?of=/")
            assert streams[-1].getresponse().status == 200
        assert site.ask("GET", "/events?of=/").status == 503
    finally:
        for one in streams:
            one.close()
    site.until(lambda: stream_opens(site))


def stream_opens(site):
    with closing(http.client.HTTPConnection("127.0.0.1", site.admin, timeout=20)) as connection:
        connection.request("GET", "/events?of=/")
        return connection.getresponse().status == 200


# For everybody.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_accessible_and_never_wider_than_the_window(site, broken, visits, path, width, scheme):
    page = visits.page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(site.url + path.format(**broken))
    for one in page.locator("details > summary").all():
        one.click()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_theme_is_remembered(site, visits):
    page = visits.page(color_scheme="light")
    page.goto(site.url)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != paper
    page.goto(f"{site.url}/incidents")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_tabs_and_dialogs_by_keyboard_alone(site, broken, page):
    site.send("/closed")  # it may be resolved by now
    assert site.incident("closed") == broken["closed"]
    page.goto(f"{site.url}/incidents/{broken['closed']}")
    page.get_by_role("tab").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab").nth(1)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel")).to_have_count(1)
    page.get_by_role("button", name="Resolve").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your name")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Resolve")).to_be_focused()


def test_without_scripts_all_can_be_read(site, broken, visits):
    page = visits.page(java_script_enabled=False)
    page.goto(f"{site.url}/incidents/{broken['closed']}")
    expect(page.get_by_role("heading", level=1)).to_have_text("The server refused the connection")
    expect(page.locator("main")).to_contain_text("For whoever runs the gateway")
    expect(page.locator("main")).to_contain_text("UTC")
    assert page.locator("[data-act]:visible").count() == 0


def test_the_first_page_is_light(site, broken, page):
    sizes = {}
    page.on("requestfinished", lambda asked: sizes.__setitem__(asked.url, len(asked.response().body())))
    page.goto(site.url, wait_until="load")
    expect(page.locator("#requests-chart canvas")).to_be_visible()
    assert len(sizes) >= 6
    assert sum(sizes.values()) < 200 << 10, sizes


# Hostile strings.

HOSTILE = "/wrong/<script>window.hacked=1</script><img/src=x/onerror=window.hacked=1>?q=\"'%E2%80%AE%00%1b[31m&" + "x" * 3000


def test_nothing_that_was_sent_runs_or_breaks_the_page(own, visits):
    evil = "\u202e<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"
    own.backend.answer = b"HTTP/1.1 200 OK\r\nBad <script>window.hacked=1</script>\x1b[31m\xe2\x80\xae: x\r\n\r\n"
    reference = own.send(HOSTILE.replace("/wrong", "/shop").replace(" ", "+"), 2, [("X-Long", "a" * 10_000)])
    id = own.incident("shop")
    own.ask("POST", f"/api/incidents/{id}/acknowledge", {"who": evil, "note": evil * 20})
    page = visits.page(viewport={"width": 360, "height": 740})
    for path in (
        "/",
        "/incidents",
        f"/incidents/{id}",
        f"/find?reference={reference}",
        "/upstreams/shop",
        f"/find?reference={evil}",
    ):
        page.goto(own.url + path)
        page.wait_for_timeout(400)
        assert page.evaluate("typeof window.hacked") == "undefined"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.locator("main script, main img").count() == 0
        assert "\u202e" not in page.content().split("<main", 1)[1]
    page.goto(f"{own.url}/incidents/{id}")
    is_live(page)
    expect(page.locator("main")).to_contain_text("<script>window.hacked=1</script>")


# Who comes in.


def test_the_form_lets_in_who_knows_the_token(locked, page):
    assert page.goto(f"{locked.url}/incidents?state=open").status == 401
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token.")
    page.get_by_label("Token").fill("correct-horse-battery")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{locked.url}/incidents?state=open")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)
    assert "correct-horse" not in cookie["value"]
    page.goto(locked.url)
    is_live(page)
    page.goto(f"{locked.url}/upstreams/well")
    act(page, "Drain")
    expect(page.locator(".server-head")).to_contain_text("draining")
    act(page, "Ready")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.goto(locked.url).status == 401


def test_a_link_from_another_site_finds_who_is_logged_in(locked, page, service):
    page.goto(f"{locked.url}/")
    page.get_by_label("Token").fill("correct-horse-battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto(f"http://localhost:{service.server_address[1]}/")
    page.evaluate("to => { location.href = to }", f"{locked.url}/upstreams/well")
    expect(page.get_by_role("heading", level=1)).to_have_text("well")


def test_guessing_is_slowed_down(own_locked):
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": own_locked.url}
    answers = [own_locked.ask("POST", "/login", b"token=guess", **form).status for _ in range(7)]
    assert answers[:5] == [401] * 5
    assert answers[-1] == 429
    assert own_locked.ask("POST", "/login", b"token=correct-horse-battery", **form).status == 429
    assert own_locked.ask("GET", "/api/status", Authorization="Bearer correct-horse-battery").status == 200


def test_behind_something_that_speaks_tls():
    from headgate.control.door import Door

    door = Door("127.0.0.1", 8600, b"", "https://gate.example/")
    assert door.origin("gate.example", "http") == "https://gate.example"
    assert door.origin("127.0.0.1:8600", "http") == "http://127.0.0.1:8600"


FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "path", "body", "fields", "status"),
    [
        ("GET", "/", None, {}, 401),
        ("GET", "/", None, {"Accept": "text/html"}, 401),
        ("GET", "/incidents/X.json", None, {"Accept": "text/html"}, 401),
        ("GET", "/events?of=/", None, {}, 401),
        ("GET", "/series?range=1h", None, {}, 401),
        ("GET", "/", None, {"Cookie": "headgate_1=1.x.y"}, 401),
        ("POST", "/login", b"token=correct-horse-battery", FORM, 403),
        ("POST", "/login", b"token=correct-horse-battery", FORM | {"Origin": "http://evil.example"}, 403),
        ("POST", "/login", b"token=correct-horse-battery", FORM | {"Origin": "null"}, 403),
        ("GET", "/login", None, {"Host": "evil.example"}, 421),
        ("GET", "/static/../token", None, {}, 404),
    ],
)
def test_others_stay_outside(locked, method, path, body, fields, status):
    answer = locked.ask(method, path, body, **fields)
    assert answer.status == status
    assert b"correct-horse" not in answer.content


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}, 200),
        ({"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
        ({}, 200),
    ],
)
def test_other_sites_pages_get_nothing(site, fields, status):
    assert site.ask("GET", "/", **fields).status == status


def test_rules_for_browsers_are_sent(site):
    answer = site.ask("GET", "/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    html = answer.content.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", html)
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
        file = site.ask("GET", path)
        assert file.status == 200
        assert "immutable" in file.headers["Cache-Control"]
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def test_times_of_the_wait_for_the_next_try():
    from headgate.control.entrance import Tries

    now = [0.0]
    tries = Tries(lambda: now[0])
    for _ in range(5):
        assert tries.wait("192.0.2.1") == 0
        tries.failed("192.0.2.1")
    assert tries.wait("192.0.2.1") == 1
    assert tries.wait("192.0.2.2") == 0
    for _ in range(10):
        tries.failed("192.0.2.1")
    assert tries.wait("192.0.2.1") == 60
    tries.failed("2001:db8::1")
    for _ in range(5):
        tries.failed("2001:db8::2")
    assert tries.wait("2001:db8::ffff") > 0
    now[0] = 1000.0
    tries.failed("192.0.2.1")
    assert tries.wait("192.0.2.1") == 0
    for number in range(5000):
        tries.failed(f"198.51.{number // 250}.{number % 250}")
    assert tries.wait("192.0.2.1") == 0


def test_sessions_end_with_their_time_and_with_the_token():
    from headgate.control.entrance import Entrance, local

    now = [time.time()]
    entrance = Entrance(b"a-token-of-some-length", 8600, lambda problem, to: "", wall=lambda: now[0])
    cookie = entrance.cookie(secure=True).partition(";")[0]
    assert entrance.cookie(secure=True).endswith("; Secure")
    assert entrance.lets_in(f"a=b; {cookie}")
    assert not entrance.lets_in(cookie[:-1] + ("0" if cookie[-1] != "0" else "1"))
    name, _, value = cookie.partition("=")
    later = str(int(value.split(".")[0]) + 9)
    assert not entrance.lets_in(f"{name}={later}.{value.partition('.')[2]}")
    assert not Entrance(b"another-token-of-length", 8600, lambda problem, to: "").lets_in(cookie)
    assert not Entrance(b"a-token-of-some-length", 8601, lambda problem, to: "").lets_in(cookie)
    now[0] += 13 * 3600
    assert not entrance.lets_in(cookie)
    for bad in ("", "headgate_8600", "headgate_8600=", "headgate_8600=..", "headgate_8600=\xff.\xff"):
        assert not entrance.lets_in(bad)
    for to in ("//evil.example/", "https://evil.example/", "/\\evil.example", "/\tx", "/login", "x"):
        assert local(to) == "/"
    assert local("/incidents?state=open") == "/incidents?state=open"
