"""Pages are one file: no scripts, nothing fetched, everything that came from outside is escaped."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from headgate.web import diagnosis_page, status_page

EVIL = '<script>alert("x")</script>'
DIAGNOSIS: dict[str, Any] = {
    "subject": f"https://example.org/{EVIL}",
    "outcome": "failing",
    "summary": f"nginx wrote this {EVIL}",
    "status": 502,
    "generator": {
        "product": "nginx",
        "name": "nginx",
        "certainty": "certain",
        "marks": [],
        "wrote": True,
        "version": EVIL,
        "note": "",
    },
    "chain": ["you", "Cloudflare", "nginx", "?"],
    "failing": ["nginx", "?"],
    "confidence": "possible",
    "suspects": [{"cause": "connection-refused", "confidence": "possible", "evidence": [f"`code` {EVIL}"], "tell": ""}],
    "evidence": [{"text": EVIL, "source": "page", "ok": None}],
    "who": ["admin"],
    "split": f"`x` {EVIL}",
    "unknowable": [EVIL],
    "actions": [{"text": EVIL, "command": EVIL, "who": "admin"}],
    "retry_after": 30.0,
    "looks": [
        {
            "kind": "dns",
            "label": EVIL,
            "ok": True,
            "text": EVIL,
            "at_ms": 0.0,
            "took_ms": 10.0,
            "phases": [],
            "cause": "",
            "status": 0,
            "facts": {},
        },
        {
            "kind": "get",
            "label": "GET",
            "ok": False,
            "text": "502",
            "at_ms": 10.0,
            "took_ms": 100.0,
            "cause": "",
            "status": 502,
            "phases": [["connect", 20.0], ["tls", 50.0], ["wait", 90.0], ["body", 100.0]],
            "facts": {},
        },
    ],
}
STATUS: dict[str, Any] = {
    "made": 1_795_262_400.0,
    "period": 3600.0,
    "sites": [
        {
            "url": f"https://example.org/{EVIL}",
            "state": "connection-refused",
            "status": 0,
            "at": 1_795_262_400.0,
            "availability": 0.5,
            "periods": [
                {"begin": 1.0, "end": 2.0, "looks": 0, "up": 0, "worst": ""},
                {"begin": 2.0, "end": 3.0, "looks": 4, "up": 4, "worst": ""},
                {"begin": 3.0, "end": 4.0, "looks": 4, "up": 2, "worst": "502"},
                {"begin": 4.0, "end": 5.0, "looks": 4, "up": 0, "worst": "connection-refused"},
            ],
            "changes": [{"at": 1_795_262_400.0, "text": EVIL, "new": "connection-refused"}],
        }
    ],
}


class Reader(HTMLParser):
    """Collects tags, and what they point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in ("meta", "br", "img", "hr", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(params=["diagnosis", "status"])
def text(request: pytest.FixtureRequest) -> str:
    return diagnosis_page.page(DIAGNOSIS) if request.param == "diagnosis" else status_page.page(STATUS)


def test_no_scripts_and_nothing_is_fetched(text: str) -> None:
    reader = Reader(text)
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(reader.tags)
    assert reader.links == []
    assert "@import" not in text
    assert not re.search(r"url\(", text)


def test_tags_are_closed_and_what_came_from_outside_is_escaped(text: str) -> None:
    assert Reader(text).open == []
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_the_diagnosis_shows_way_cause_and_timeline() -> None:
    page = diagnosis_page.page(DIAGNOSIS)
    assert page.count('class="hop"') == 4
    assert page.count("arrow broken") == 1
    assert "The server refused the connection" in page
    assert page.count('class="track"') == 2
    assert len(re.findall(r'class="span" title="(?:connect|tls|wait|body): ', page)) == 4
    assert "left:0.00%;width:20.00%" in page
    assert "The server asks to wait 30.0 seconds" in page


def test_a_diagnosis_without_anything_is_still_a_page() -> None:
    bare = DIAGNOSIS | {
        "generator": None,
        "chain": [],
        "failing": None,
        "suspects": [],
        "evidence": [],
        "actions": [],
        "split": "",
        "unknowable": [],
        "looks": [],
        "outcome": "unknown",
        "status": 0,
        "retry_after": -1.0,
    }
    assert "unknown" in diagnosis_page.page(bare)


def test_the_status_bar_tells_each_period() -> None:
    page = status_page.page(STATUS)
    assert re.findall(r'<span class="(\w*)" title="[^"]*UTC', page) == ["", "up", "part", "down"]
    assert "1 of 1 site is not up" in page
    assert "50.00 % up" in page
    assert 'aria-label="1 of 3 periods without failure"' in page
