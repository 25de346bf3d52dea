import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from headgate.config.schema import Gateway
from headgate.diagnose.catalogue import catalogue
from headgate.render.errors import Errors
from headgate.render.view import Trouble

ERRORS = Errors(Gateway())
VOID = {"meta", "link", "br", "path", "circle"}


class Tree(HTMLParser):
    """Checks nesting, and keeps what the tests ask for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def ids(self):
        return [attributes["id"] for _, attributes in self.attributes if "id" in attributes]


def page(exchange, *, details=False, retry_after=None):
    answered = ERRORS.answer(exchange, accept=b"text/html", content_type=None, details=details, retry_after=retry_after)
    return answered, answered.body.decode()


@pytest.mark.parametrize("code", catalogue())
def test_every_page_is_sound(failed, canaries, code):
    for method in (b"GET", b"POST"):
        for details in (False, True):
            answered, text = page(failed(code, method=method, facts=canaries), details=details, retry_after=5)
            tree = Tree(text)
            assert len(tree.ids()) == len(set(tree.ids()))
            assert tree.tags.count("h1") == tree.tags.count("main") == 1
            assert text.startswith('<!doctype html>\n<html lang="en">')
            assert len(answered.body) < 14 * 1024
            for tag in ("style", "script"):
                (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
                digest = b64encode(sha256(content.encode()).digest()).decode()
                assert f"{tag}-src 'sha256-{digest}';" in answered.fields.decode()


def test_nothing_is_loaded_from_anywhere(failed):
    _, text = page(failed(), details=True)
    loads = [value for _, attributes in Tree(text).attributes for name, value in attributes.items() if name in ("src", "href")]
    assert set(loads) == {"data:,", ""}
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://(?!HOST|10\.0\.0\.5)", text)


@pytest.mark.parametrize(
    ("code", "method", "check", "refresh"),
    [
        ("connection-refused", b"GET", "here", True),
        ("connection-refused", b"POST", "home", False),
        ("connection-refused", b"DELETE", "home", False),
        ("certificate-expired", b"GET", "", False),
        ("request-body-too-large", b"POST", "", False),
        ("client-body-timeout", b"POST", "", False),
    ],
)
def test_only_pages_of_temporary_causes_test_and_only_those_of_get_reload(failed, code, method, check, refresh):
    _, text = page(failed(code, method=method), retry_after=20)
    assert f'<body data-check="{check}" data-wait="20">' in text
    assert ('<noscript><meta http-equiv="refresh" content="20"></noscript>' in text) == refresh
    assert ('<a href="">' in text) == refresh


def test_without_a_waiting_time_the_refresh_is_slow(failed):
    _, text = page(failed())
    assert 'http-equiv="refresh" content="15"' in text


def test_what_a_post_sent(failed):
    assert "certainly not processed" in page(failed("connection-refused", method=b"POST"))[1]
    assert "may have been processed" in page(failed("response-timeout", method=b"POST"))[1]
    assert 'class="sent"' not in page(failed("response-timeout"))[1]


def test_evidence_is_escaped(failed):
    exchange = failed("not-http", facts={"rule": "not-http", "offset": 0, "excerpt": b"<script>alert(1)</script>", "seen": 9})
    exchange.attempts[0].address = "<img>"
    _, text = page(exchange, details=True)
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<img>" not in text


def test_commands_stand_in_code(failed):
    _, text = page(failed("connection-refused"), details=True)
    assert "<li><code>ss -ltnp &#39;sport = :PORT&#39;</code>" in text
    assert "For operators" not in page(failed("connection-refused"))[1]


KNOWN = Trouble("/status?of=abc", "2026-11-21T14:00:00Z", "2026-11-21T15:00:00Z", True)


def waiting(exchange, known, errors=ERRORS, **more):
    settings = {"accept": b"text/html", "content_type": None, "details": False, "retry_after": None} | more
    return errors.answer(exchange, trouble=lambda _: known, **settings).body.decode()


def test_what_is_known_of_the_trouble_stands_in_the_page(failed):
    for details in (False, True):
        text = waiting(failed(), KNOWN, details=details)
        assert 'data-ask="/status?of=abc" data-since="2026-11-21T14:00:00Z" data-expected="2026-11-21T15:00:00Z"' in text
        assert 'data-acknowledged="true"' in text
        assert "<time id=" in text
    text = waiting(failed(), KNOWN._replace(since="", expected="", acknowledged=False))
    assert 'data-since="" data-expected="" data-acknowledged="false"' in text
    assert 'data-since="2026' in waiting(failed(), KNOWN), "each answer has its own"
    assert "data-ask" not in waiting(failed(), Trouble())


def test_a_lasting_cause_may_be_waited_for_too_but_does_not_refresh(failed):
    text = waiting(failed("certificate-expired"), KNOWN)
    assert 'data-check="here"' in text
    assert 'http-equiv="refresh"' not in text
    assert "data-ask" not in waiting(failed("request-body-too-large", method=b"POST"), KNOWN)


def test_other_forms_are_not_told_and_do_not_ask(failed):
    def never(_):
        raise AssertionError("nobody wants to know")

    answered = ERRORS.answer(failed(), accept=b"*/*", content_type=None, details=False, retry_after=None, trouble=never)
    assert b"status?of" not in answered.body


def test_an_own_template_may_tell_it(failed, tmp_path):
    file = tmp_path / "own.html"
    file.write_text("{{ status_url }}|{{ since }}|{{ expected }}|{% if acknowledged %}yes{% else %}no{% endif %}")
    errors = Errors(Gateway(pages={"html": str(file)}))
    assert waiting(failed(), KNOWN, errors) == "/status?of=abc|2026-11-21T14:00:00Z|2026-11-21T15:00:00Z|yes"
    assert waiting(failed(), Trouble(), errors) == "|||no"


def test_marks_of_our_own_in_what_a_server_sent_do_no_harm(failed):
    exchange = failed("not-http", facts={"rule": "not-http", "offset": 0, "excerpt": "\ue000\ue001\ue002%s".encode(), "seen": 9})
    exchange.attempts[0].address = "\ue001\ue002\ue003\ue004 %(since)b %d"
    assert "</html>" in waiting(exchange, Trouble(), details=True)
