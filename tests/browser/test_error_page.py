import time

import pytest
from playwright.sync_api import expect

CLOCK = "window.shift = 0; const now = Date.now; Date.now = () => now() + shift * 1000;"
"""Lets a test make time pass: `window.shift` is added, in seconds."""


def text_of(page, name):
    return page.locator(f"#{name}").inner_text()


def wait_for(page, condition, seconds=20):
    """Wait until something holds, while the page goes on."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become so"
        page.wait_for_timeout(50)


@pytest.fixture
def clock(page):
    page.add_init_script(CLOCK)
    return lambda seconds: page.evaluate("seconds => { window.shift += seconds }", seconds)


def test_the_page_comes_back_by_itself(page, service):
    page.goto(service.url + "/cart?step=2#top")
    assert page.title() == "The service is not available right now"
    assert text_of(page, "live") == "This page tests whether the service is back, and then reloads by itself."
    assert text_of(page, "count").startswith("Next check in ")
    service.up = True
    wait_for(page, lambda: page.title() == "Up")
    assert service.seen[0] == ("GET", "/cart?step=2", False)
    assert service.seen[1] == ("GET", "/cart?step=2", True)
    assert service.count("GET", "/cart?step=2", test=False) == 2
    assert page.url.endswith("/cart?step=2#top")


def test_it_does_not_reload_while_the_service_is_down(page, service, clock):
    page.goto(service.url + "/")
    page.evaluate("window.same = true")
    for tests in (1, 2):
        clock(60)
        wait_for(page, lambda n=tests: service.count("GET", "/", test=True) == n)
        wait_for(page, lambda: text_of(page, "count").startswith("Next check in "))
    assert page.evaluate("window.same")
    assert service.count("GET", "/", test=False) == 1


def test_waits_grow_to_half_a_minute(page, service):
    page.goto(service.url + "/")
    waits = []
    for tests in range(1, 9):
        page.locator("#now").click()
        wait_for(page, lambda n=tests: service.count("GET", "/", test=True) == n)
        wait_for(page, lambda: text_of(page, "count").startswith("Next check in "))
        waits.append(int(text_of(page, "count").split()[3]))
    assert waits[0] < 10
    assert 29 <= waits[-1] <= 38


def test_retry_after_is_respected(page, service):
    service.retry_after = 90
    page.goto(service.url + "/")
    assert 88 <= int(text_of(page, "count").split()[3]) <= 113
    page.locator("#now").click()
    wait_for(page, lambda: service.count("GET", "/", test=True) == 1)


def test_a_hidden_tab_rests(page, service, clock):
    page.goto(service.url + "/")
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = true")
    clock(60)
    time.sleep(2.5)
    assert service.count("GET", "/", test=True) == 0
    page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(page, lambda: service.count("GET", "/", test=True) == 1)


def test_it_stops_at_last_and_says_so(page, service, clock):
    page.goto(service.url + "/")
    for _ in range(60):
        if text_of(page, "now") == "Test again":
            break
        before = service.count("GET", "/", test=True)
        page.locator("#now").click()
        wait_for(page, lambda n=before: service.count("GET", "/", test=True) == n + 1)
        wait_for(page, lambda: not text_of(page, "count").startswith("Checking"))
    assert "has stopped testing" in text_of(page, "live")
    assert service.count("GET", "/", test=True) == 40
    clock(600)
    time.sleep(1.5)
    assert service.count("GET", "/", test=True) == 40
    page.locator("#now").click()
    assert text_of(page, "count").startswith("Next check in ")


def test_a_service_that_flaps_does_not_make_it_loop(page, service):
    service.up_for_tests = True
    page.goto(service.url + "/")
    for reloads in (1, 2, 3):
        page.locator("#now").click()
        wait_for(page, lambda n=reloads: service.count("GET", "/", test=False) == n + 1)
        wait_for(page, lambda: text_of(page, "count").startswith("Next check in "))
        wait = int(text_of(page, "count").split()[3])
        assert wait >= 4 * 3**reloads - 2, "each reload in vain makes it more patient"
    page.locator("#now").click()
    wait_for(page, lambda: "not steadily" in text_of(page, "live"))
    assert service.count("GET", "/", test=False) == 4
    assert text_of(page, "now") == "Reload"


def test_a_form_is_never_sent_twice(page, service, clock):
    service.up = True
    page.goto(service.url + "/form")
    service.up, service.cause = False, "response-timeout"
    page.locator("#send").click()
    wait_for(page, lambda: page.title() == "The service is taking too long")
    assert "It sends nothing again by itself." in text_of(page, "live")
    service.up = True
    clock(60)
    wait_for(page, lambda: "Go back and send your form again." in text_of(page, "live"))
    assert ("GET", "/", True) in service.seen
    clock(600)
    time.sleep(1.5)
    assert [seen for seen in service.seen if seen[1] == "/order"] == [("POST", "/order", False)]
    page.locator("#now").click()
    wait_for(page, lambda: page.url.endswith("/form"))
    assert service.count("POST", "/order", test=False) == 1


def test_without_scripts_a_page_of_get_refreshes(visits, service):
    page = visits.page(java_script_enabled=False)
    service.retry_after = 1
    page.goto(service.url + "/")
    assert "reloads by itself" in page.locator("main").inner_text()
    assert not page.locator("#panel").is_visible()
    assert not page.locator("#copy").is_visible()
    service.up = True
    wait_for(page, lambda: page.title() == "Up")


def test_a_lasting_cause_promises_nothing(page, service):
    service.cause = "certificate-expired"
    page.goto(service.url + "/")
    assert page.locator("#panel").count() == 0
    assert page.locator("#copy").is_visible()


def test_the_reference_is_copied(page, service):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(service.url + "/")
    page.locator("#copy").click()
    wait_for(page, lambda: text_of(page, "copy") == "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "7f3a-22"


def test_the_keyboard_reaches_everything(page, service):
    service.details = True
    page.goto(service.url + "/")
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText"))
    assert reached == ["Check now", "Copy", "For operators"]


CONTRASTS = """() => {
const light = text => {
  const part = text.match(/[\\d.]+/g).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
};
const paper = light(getComputedStyle(document.body).backgroundColor), poor = [];
let texts = 0;
for (const node of document.querySelectorAll("main *")) {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
  if (!own || node.closest("title, .quiet, noscript")) continue;
  texts++;
  const style = getComputedStyle(node), ink = light(node instanceof SVGElement ? style.fill : style.color);
  for (let up = node; up; up = up.parentElement) if (getComputedStyle(up).opacity !== "1") poor.push(node.textContent);
  const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  if (ratio < 4.5) poor.push(node.textContent + ": " + ratio);
}
return [texts, poor];
}"""


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable(visits, service, scheme, width):
    page = visits.page(color_scheme=scheme, viewport={"width": width, "height": 800}, is_mobile=width < 500)
    papers = set()
    for service.cause, service.details in (("no-healthy-server", False), ("dns-no-address", True), ("request-denied", False)):
        page.goto(service.url + "/")
        texts, poor = page.evaluate(CONTRASTS)
        assert texts >= 7
        assert poor == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == {"rgb(250, 249, 246)" if scheme == "light" else "rgb(22, 21, 20)"}


def test_for_screen_readers(page, service):
    page.goto(service.url + "/")
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("main h1")).to_have_text(page.title())
    fault = "Your request reached the gateway. The fault is at the service behind it."
    expect(page.get_by_role("img", name=fault, exact=True)).to_have_count(1)
    for name in ("Check now", "Copy"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(page.get_by_role("button")).to_have_count(2)
    assert page.locator("#live").get_attribute("role") == "status"
    assert page.evaluate("document.getElementById('count').closest('[role=status]')") is None, "no talking clock"
