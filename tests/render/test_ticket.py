"""An incident as Markdown: complete for whoever reads the ticket, and harmless whatever is in it, as a real renderer shows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from headgate.render.ticket import code, escaped, markdown, prose

HOSTILE = (
    "<script>alert(1)</script>", "[link](javascript:alert(1))", "![x](http://evil.example/pixel)", "`` ` ``", "a\n# heading",
    "| a | b |", "@everyone :boom:", "\x1b[31mred\x1b[0m", "abc\u202edcba", "~~gone~~ **loud** _soft_ $x^2$",
    "&lt;b&gt;", "x" * 10_000,
)  # fmt: skip


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def tokens(text: str) -> set[str]:
    found = set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        found.add(token.type)
        found |= {child.type for child in token.children or ()}
    return found


def incident(text: str = "x") -> dict:
    sample = {
        "reference": text, "at": 1_790_000_001.0, "client": text, "method": "GET", "host": text, "target": text, "route": text,
        "upstream": "shop", "status": 502, "cause": "connection-refused", "attempts": [
            {"server": text, "address": text, "phase": "connect", "cause": "connection-refused", "verdict": "not-useful",
             "sentence": text, "evidence": [text], "bytes": text, "excerpt": "", "offset": -1},
        ],
    }  # fmt: skip
    return {
        "id": "K7Q2M4ZD", "upstream": "shop", "server": text, "servers_count": 1, "cause": "connection-refused",
        "phase": "connect", "state": "open", "severity": "seen", "first": 1_790_000_000.0, "last": 1_790_000_300.0,
        "failed": 1204, "seen": 40, "rescued": 1164, "clients": 12, "clients_more": False, "reopenings": 2,
        "causes": [{"cause": "connection-refused", "phase": "connect", "failed": 1200, "seen": 40, "rescued": 1160},
                   {"cause": text, "phase": text, "failed": 4, "seen": 0, "rescued": 4}],
        "servers": [{"server": text, "failed": 1204, "seen": 40, "rescued": 1164}],
        "routes": [{"route": text, "count": 1204}], "samples": [sample],
        "events": [{"at": 1_789_999_990.0, "kind": "reload", "text": text, "upstream": "", "server": text}],
        "verdicts": [{"at": 1_790_000_002.0, "verdict": {
            "verdict": text, "cause": "connection-refused", "confidence": "proved", "agrees": True, "evidence": [text],
            "actions": [{"who": "operator", "text": text, "command": text}], "healthy": False}}],
        "actions": [{"at": 1_790_000_100.0, "action": "acknowledge", "who": text, "note": text}],
        "similar": [],
    }  # fmt: skip


def test_everything_a_ticket_needs_is_there():
    told = markdown(incident("http://10.0.0.5:8000"))
    html = rendered(told)
    for wanted in (
        "The server refused the connection", "K7Q2M4ZD", "2026-09-21 14:13:20 UTC", "Users saw 40 requests fail (12 clients)",
        "1,164 failures were made good", "proved", "Traffic saw the same", "What else happened", "One request", "acknowledge",
        "The service&#x27;s operators", "not tried again: another try would end the same way",
    ):  # fmt: skip
        assert wanted.replace("&#x27;", "'") in html.replace("&#x27;", "'"), wanted
    assert {"table_open", "heading_open", "bullet_list_open"} <= tokens(told)


def test_what_is_missing_is_left_out():
    told = markdown({"id": "K7Q2M4ZD", "cause": "no-such-cause", "upstream": ""})
    assert "K7Q2M4ZD" in told
    assert "## Verdict" not in told


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_nothing_in_it_is_interpreted(text):
    told = markdown(json.loads(json.dumps(incident(text))))
    kinds = tokens(told)
    assert not kinds & {
        "html_block",
        "html_inline",
        "link_open",
        "image",
        "em_open",
        "strong_open",
        "s_open",
        "fence",
        "code_block",
    }
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert rendered(told).count("<h1>") == 1
    assert len(told) < 40_000
    plain = tokens(markdown(incident("plain")))
    assert kinds - {"text_special"} <= plain | {"text", "code_inline"}


@given(st.text(max_size=60))
def test_any_text_stays_text(text):
    for made in (escaped(text), code(text), prose(text)):
        assert "\n" not in made
        assert not tokens(f"* {made}") & {"html_inline", "link_open", "image", "em_open", "strong_open", "s_open"}
