import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

CLOCK = "window.shift = 0; const now = Date.now; Date.now = () => now() + shift * 1000;"
"""Lets a test make time pass: `window.shift` is added, in seconds."""


def element(browser, name):
    return browser.find_element(By.ID, name)


def wait_for(browser, condition, seconds=10):
    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: condition())


@pytest.fixture
def clock(browser):
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CLOCK})
    yield lambda seconds: browser.execute_script("window.shift += arguments[0]", seconds)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_the_page_comes_back_by_itself(browser, service):
    browser.get(service.url + "/cart?step=2#top")
    assert browser.title == "The service is not available right now"
    assert element(browser, "live").text == "This page tests whether the service is back, and then reloads by itself."
    assert element(browser, "count").text.startswith("Next check in ")
    service.up = True
    wait_for(browser, lambda: browser.title == "Up")
    assert service.seen[0] == ("GET", "/cart?step=2", False)
    assert service.seen[1] == ("GET", "/cart?step=2", True)
    assert service.count("GET", "/cart?step=2", test=False) == 2
    assert browser.current_url.endswith("/cart?step=2#top")


def test_it_does_not_reload_while_the_service_is_down(browser, service, clock):
    browser.get(service.url + "/")
    browser.execute_script("window.same = true")
    for tests in (1, 2):
        clock(60)
        wait_for(browser, lambda n=tests: service.count("GET", "/", test=True) == n)
        wait_for(browser, lambda: element(browser, "count").text.startswith("Next check in "))
    assert browser.execute_script("return window.same")
    assert service.count("GET", "/", test=False) == 1


def test_waits_grow_to_half_a_minute(browser, service):
    browser.get(service.url + "/")
    waits = []
    for tests in range(1, 9):
        element(browser, "now").click()
        wait_for(browser, lambda n=tests: service.count("GET", "/", test=True) == n)
        wait_for(browser, lambda: element(browser, "count").text.startswith("Next check in "))
        waits.append(int(element(browser, "count").text.split()[3]))
    assert waits[0] < 10
    assert 29 <= waits[-1] <= 38


def test_retry_after_is_respected(browser, service):
    service.retry_after = 90
    browser.get(service.url + "/")
    assert 88 <= int(element(browser, "count").text.split()[3]) <= 113
    element(browser, "now").click()
    wait_for(browser, lambda: service.count("GET", "/", test=True) == 1)


def test_a_hidden_tab_rests(browser, service, clock):
    browser.get(service.url + "/")
    browser.execute_script(
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = true"
    )
    clock(60)
    time.sleep(2.5)
    assert service.count("GET", "/", test=True) == 0
    browser.execute_script("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait_for(browser, lambda: service.count("GET", "/", test=True) == 1)


def test_it_stops_at_last_and_says_so(browser, service, clock):
    browser.get(service.url + "/")
    for _ in range(60):
        if element(browser, "now").text == "Test again":
            break
        before = service.count("GET", "/", test=True)
        element(browser, "now").click()
        wait_for(browser, lambda n=before: service.count("GET", "/", test=True) == n + 1)
        wait_for(browser, lambda: not element(browser, "count").text.startswith("Checking"))
    assert "has stopped testing" in element(browser, "live").text
    assert service.count("GET", "/", test=True) == 40
    clock(600)
    time.sleep(1.5)
    assert service.count("GET", "/", test=True) == 40
    element(browser, "now").click()
    assert element(browser, "count").text.startswith("Next check in ")


def test_a_service_that_flaps_does_not_make_it_loop(browser, service):
    service.up_for_tests = True
    browser.get(service.url + "/")
    for reloads in (1, 2, 3):
        element(browser, "now").click()
        wait_for(browser, lambda n=reloads: service.count("GET", "/", test=False) == n + 1)
        wait_for(browser, lambda: element(browser, "count").text.startswith("Next check in "))
        wait = int(element(browser, "count").text.split()[3])
        assert wait >= 4 * 3**reloads - 2, "each reload in vain makes it more patient"
    element(browser, "now").click()
    wait_for(browser, lambda: "not steadily" in element(browser, "live").text)
    assert service.count("GET", "/", test=False) == 4
    assert element(browser, "now").text == "Reload"


def test_a_form_is_never_sent_twice(browser, service, clock):
    service.up = True
    browser.get(service.url + "/form")
    service.up, service.cause = False, "response-timeout"
    element(browser, "send").click()
    wait_for(browser, lambda: browser.title == "The service is taking too long")
    assert "It sends nothing again by itself." in element(browser, "live").text
    service.up = True
    clock(60)
    wait_for(browser, lambda: "Go back and send your form again." in element(browser, "live").text)
    assert ("GET", "/", True) in service.seen
    clock(600)
    time.sleep(1.5)
    assert [seen for seen in service.seen if seen[1] == "/order"] == [("POST", "/order", False)]
    element(browser, "now").click()
    wait_for(browser, lambda: browser.current_url.endswith("/form"))
    assert service.count("POST", "/order", test=False) == 1


def test_without_scripts_a_page_of_get_refreshes(browser, service):
    service.retry_after = 1
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(service.url + "/")
        assert "reloads by itself" in browser.find_element(By.TAG_NAME, "main").text
        assert not element(browser, "panel").is_displayed()
        assert not element(browser, "copy").is_displayed()
        service.up = True
        wait_for(browser, lambda: browser.title == "Up")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_lasting_cause_promises_nothing(browser, service):
    service.cause = "certificate-expired"
    browser.get(service.url + "/")
    assert browser.find_elements(By.ID, "panel") == []
    assert element(browser, "copy").is_displayed()


def test_the_reference_is_copied(browser, service):
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    browser.get(service.url + "/")
    element(browser, "copy").click()
    wait_for(browser, lambda: element(browser, "copy").text == "Copied")
    text = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0], e => arguments[0](String(e)))")
    assert text == "7f3a-22"


def test_the_keyboard_reaches_everything(browser, service):
    service.details = True
    browser.get(service.url + "/")
    reached = []
    for _ in range(3):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.switch_to.active_element.text)
    assert reached == ["Check now", "Copy", "For operators"]


CONTRASTS = """
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
"""


@pytest.mark.parametrize("width", [320, 390, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable(browser, service, scheme, width):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    papers = set()
    for service.cause, service.details in (("no-healthy-server", False), ("dns-no-address", True), ("request-denied", False)):
        browser.get(service.url + "/")
        texts, poor = browser.execute_script(CONTRASTS)
        assert texts >= 7
        assert poor == []
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
        papers.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert papers == {"rgb(250, 249, 246)" if scheme == "light" else "rgb(22, 21, 20)"}


def test_for_screen_readers(browser, service):
    browser.get(service.url + "/")
    assert browser.execute_script("return document.documentElement.lang") == "en"
    (heading,) = browser.find_elements(By.CSS_SELECTOR, "main h1")
    assert heading.text == browser.title
    drawing = browser.find_element(By.CSS_SELECTOR, "svg")
    assert drawing.aria_role in ("img", "image", "graphics-document")
    assert drawing.accessible_name == "Your request reached the gateway. The fault is at the service behind it."
    assert [button.accessible_name for button in browser.find_elements(By.TAG_NAME, "button")] == ["Check now", "Copy"]
    assert element(browser, "live").get_attribute("role") == "status"
    assert browser.execute_script("return document.getElementById('count').closest('[role=status]')") is None, "no talking clock"
