import json
import re
from html import unescape
from urllib.parse import unquote

import pytest

from headgate.config.schema import Gateway, Pages
from headgate.diagnose.catalogue import catalogue
from headgate.model.phases import CONNECT, HEAD, SEND
from headgate.render.errors import Errors
from headgate.render.page import BadTemplate

ACCEPTS = {
    "json": b"application/json",
    "problem": b"application/problem+json",
    "text": b"text/plain",
    "html": b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
}
ERRORS = Errors(Gateway())


def answer(exchange, form="json", *, errors=ERRORS, details=False, retry_after=None):
    if form == "grpc":
        return errors.answer(
            exchange, accept=None, content_type=b"application/grpc+proto", details=details, retry_after=retry_after
        )
    return errors.answer(exchange, accept=ACCEPTS[form], content_type=None, details=details, retry_after=retry_after)


def fields(answered):
    assert answered.fields.endswith(b"\r\n")
    lines = answered.fields.decode("ascii").split("\r\n")[:-1]
    for line in lines:
        assert re.fullmatch(r"[A-Za-z-]+: [ -~]*", line), line
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name.lower() for name, _ in pairs}) == len(pairs), "no field twice"
    return {name.lower(): value for name, value in pairs}


def test_the_json_object_has_exactly_its_members_in_this_order(failed):
    answered = answer(failed("connection-refused"), "json", retry_after=5)
    body = json.loads(answered.body)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "details", "cause", "reference", "retryable", "retry_after"]
    assert body["error"]["code"] == 502
    assert body["error"]["message"] == "Bad Gateway"
    assert body["error"]["details"].startswith("The server refused the connection. ")
    assert body["error"]["cause"] == "connection-refused"
    assert body["error"]["reference"] == "7f3a-22"
    assert body["error"]["retryable"] is True
    assert body["error"]["retry_after"] == 5


def test_an_unknown_waiting_time_is_null_and_not_a_field(failed):
    answered = answer(failed(), "json")
    assert json.loads(answered.body)["error"]["retry_after"] is None
    assert "retry-after" not in fields(answered)


def test_trusted_readers_get_sentence_and_evidence(failed):
    exchange = failed(facts={"errno": 111, "elapsed_ms": 2})
    error = json.loads(answer(exchange, "json", details=True).body)["error"]
    assert error["details"] == "Nothing listens on 10.0.0.5:3000: the connection was refused after 2 ms."
    assert any("ECONNREFUSED" in line for line in error["evidence"])
    assert error["timeline"]
    assert error["next_steps"]


def test_problem_details(failed):
    answered = answer(failed("response-timeout"), "problem", retry_after=5)
    assert fields(answered)["content-type"] == "application/problem+json"
    problem = json.loads(answered.body)
    assert problem["type"] == "urn:headgate:cause:response-timeout"
    assert problem["title"] == catalogue()["response-timeout"].title
    assert problem["status"] == 504
    assert problem["instance"] == "urn:headgate:reference:7f3a-22"
    assert problem["retry_after"] == 5
    assert problem["cause"] == "response-timeout"


def test_plain_text(failed):
    text = answer(failed("maintenance"), "text", retry_after=90).body.decode()
    assert text.startswith("503 Service Unavailable: Switched off for maintenance\n")
    assert "Try again in 90 seconds." in text
    assert "Reference: 7f3a-22\nCause: maintenance\n" in text


def test_programs_that_accept_anything_get_json(failed):
    for accept in (None, b"*/*", b"", b"image/png", b";;;,,/"):
        answered = ERRORS.answer(failed(), accept=accept, content_type=None, details=False, retry_after=None)
        assert fields(answered)["content-type"] == "application/json"


def test_a_long_accept_is_understood_too(failed):
    accept = b"text/html, " + b"x/y, " * 90
    answered = ERRORS.answer(failed(), accept=accept, content_type=None, details=False, retry_after=None)
    assert fields(answered)["content-type"].startswith("text/html")


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("form", [*ACCEPTS, "grpc"])
@pytest.mark.parametrize("code", catalogue())
def test_every_answer_is_well_formed(failed, canaries, code, form, details):
    answered = answer(failed(code, facts=canaries), form, details=details, retry_after=7)
    found = fields(answered)
    assert answered.status == (200 if form == "grpc" else catalogue()[code].status)
    assert answered.reason
    assert int(found["content-length"]) == len(answered.body)
    assert found["cache-control"] == "no-store"
    assert found["retry-after"] == "7"
    assert found["x-request-id"] == "7f3a-22"
    assert found["vary"] == "Accept"
    assert found["content-language"] == "en"
    assert f"error={catalogue()[code].error}" in found["proxy-status"]
    assert ("allow" in found) == (code == "method-not-allowed")
    text = answered.body.decode()
    assert text.isprintable() or all(c.isprintable() or c == "\n" for c in text), "nothing that a terminal would obey"
    if form in ("json", "problem"):
        json.loads(text)


SECRETS = ("CANARY", "717171", "727272", "737373", "747474", "757575", "767676", "777777", "787878", "797979", "707070",
           "10.0.0.5", "192.0.2.1", "example.org", "app:3000", "upstream app", "/cart", "shop", "step=2")  # fmt: skip


@pytest.mark.parametrize("form", [*ACCEPTS, "grpc"])
@pytest.mark.parametrize("code", catalogue())
def test_the_public_learns_nothing_but_the_cause(failed, canaries, code, form):
    for method in (b"GET", b"POST"):
        answered = answer(failed(code, method=method, facts=canaries), form, retry_after=None)
        told = unescape(unquote((answered.fields + answered.body).decode()))
        assert [secret for secret in SECRETS if secret in told] == []


def test_canaries_would_be_seen(failed, canaries):
    told = answer(failed("connection-refused", facts=canaries), "json", details=True).body.decode()
    assert "10.0.0.5" in told
    told = answer(failed("dns-answer-invalid", facts=canaries), "json", details=True).body.decode()
    assert "CANARY-resolver" in told


def test_kept_answers_do_not_mix_exchanges(failed):
    first = answer(failed(reference="one"), "html", retry_after=5).body
    second = answer(failed(reference="second"), "html", retry_after=123).body
    assert b"one</code>" in first
    assert b"second</code>" in second
    assert b'data-wait="123"' in second
    assert b'data-wait="0"' in answer(failed(), "html").body
    again = json.loads(answer(failed(reference="third"), "json", retry_after=9).body)["error"]
    assert (again["reference"], again["retry_after"]) == ("third", 9)


@pytest.mark.parametrize("form", ACCEPTS)
def test_details_that_look_like_placeholders_stay_as_they_are(failed, form):
    looks = "%(reference)b %d %% 777000777000777"
    answered = answer(failed("gateway-error", facts={"error": looks}), form, details=True)
    assert looks in unescape(answered.body.decode())
    assert int(fields(answered)["content-length"]) == len(answered.body)


def test_a_hostile_reference_stays_harmless(failed):
    reference = 'a"<script>\r\nX: y\ue000é'
    for form in (*ACCEPTS, "grpc"):
        answered = answer(failed(reference=reference), form)
        assert fields(answered)["x-request-id"] == "a__script___X:_y__"
        assert b"<script>\r" not in answered.body


def test_head_gets_the_fields_of_get_and_no_body(failed):
    get, head = answer(failed(), "html"), answer(failed(method=b"HEAD"), "html")
    assert head.body == b""
    assert head.fields == get.fields


def test_timeouts_may_be_told_as_502(failed):
    errors = Errors(Gateway(timeout_status=502))
    answered = answer(failed("response-timeout"), "json", errors=errors)
    assert (answered.status, answered.reason) == (502, b"Bad Gateway")
    assert json.loads(answered.body)["error"]["code"] == 502
    assert "error=connection_read_timeout" in fields(answered)["proxy-status"]
    assert answer(failed("no-healthy-server"), "json", errors=errors).status == 503


def test_405_names_the_methods(failed):
    found = fields(answer(failed("method-not-allowed", method=b"PUT", facts={"allow": "GET, HEAD"})))
    assert found["allow"] == "GET, HEAD"
    assert fields(answer(failed("method-not-allowed", facts={"allow": "GET\r\nX: y"})))["allow"] == ""


@pytest.mark.parametrize(
    ("code", "method", "phase", "expected"),
    [
        ("connection-refused", b"POST", CONNECT, True),  # nothing was sent
        ("reset-before-answer", b"POST", HEAD, False),  # it may have been carried out
        ("reset-before-answer", b"PUT", HEAD, True),
        ("send-reset", b"PATCH", SEND, False),
        ("certificate-expired", b"GET", None, False),  # the next try fails alike
        ("no-healthy-server", b"POST", None, True),
        ("request-malformed", b"GET", None, False),
    ],
)
def test_retryable_is_a_promise(failed, code, method, phase, expected):
    assert json.loads(answer(failed(code, method=method, phase=phase)).body)["error"]["retryable"] is expected


def test_one_attempt_that_sent_something_is_enough_to_doubt(failed):
    exchange = failed("connection-refused", method=b"POST")
    exchange.attempts.insert(0, failed("reset-before-answer").attempts[0])
    assert json.loads(answer(exchange).body)["error"]["retryable"] is False


@pytest.mark.parametrize(
    ("code", "status"),
    [("connection-refused", 14), ("maintenance", 14), ("response-timeout", 4), ("no-route", 12), ("request-denied", 7)],
)
def test_grpc_gets_its_status_in_fields(failed, code, status):
    answered = answer(failed(code), "grpc")
    found = fields(answered)
    assert (answered.status, answered.body, found["content-type"]) == (200, b"", "application/grpc")
    assert found["grpc-status"] == str(status)
    assert unquote(found["grpc-message"]).startswith(catalogue()[code].title)
    assert found["grpc-message"].endswith("7f3a-22")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/grpc", "application/grpc"),
        (b"Application/GRPC+json; charset=x", "application/grpc"),
        (b"application/grpc-web-text+proto", "application/grpc-web-text"),
        (b"application/grpc-web", "application/grpc-web"),
        (b"application/grpcalike", "application/json"),
        (b"application/json", "application/json"),
    ],
)
def test_grpc_is_known_by_its_content_type(failed, content_type, expected):
    answered = ERRORS.answer(failed(), accept=None, content_type=content_type, details=False, retry_after=None)
    assert fields(answered)["content-type"] == expected


def own(tmp_path, text, kind="html"):
    file = tmp_path / f"own.{kind}"
    file.write_text(text, encoding="utf-8")
    return Errors(Gateway(pages=Pages(**{kind: str(file)})))


def test_own_templates(failed, tmp_path):
    (tmp_path / "base.html").write_text("<h1>{% block title %}{% endblock %}</h1>")
    title = '{{ reference | upper }} {{ retry_after + 1 if retry_after else "" }} {{ "<" }}'
    errors = own(tmp_path, '{% extends "base.html" %}{% block title %}' + title + "{% endblock %}")
    for reference in ("abc", "def"):
        answered = answer(failed(reference=reference), "html", errors=errors, retry_after=4)
        assert answered.body == f"<h1>{reference.upper()} 5 &lt;</h1>".encode()
    assert "content-security-policy" not in fields(answered), "its author knows what it loads"
    text = own(tmp_path, "{{ cause }} & {{ story.headline }}", "text")
    assert answer(failed(), "text", errors=text).body == b"connection-refused & The service is not available right now"
    titled = own(tmp_path, "{{ cause.code }}: {{ cause.title }}", "text")
    assert answer(failed(), "text", errors=titled).body == b"connection-refused: The server refused the connection"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("line\n{% if %}", r"gateway\.pages\.html: .*own\.html:2: "),
        ("line\n\n{{ nothing }}", r"gateway\.pages\.html: .*own\.html:3: 'nothing' is undefined"),
        ("{{ cause.nothing }}", r"own\.html:1: .*nothing"),
        ("{{ retry_after + 1 }}", r"own\.html:1: unsupported operand"),
        ('{% include "absent.html" %}', r"absent\.html"),
    ],
)
def test_bad_templates_are_refused_at_load(tmp_path, text, complaint):
    with pytest.raises(BadTemplate, match=complaint):
        own(tmp_path, text)


def test_a_missing_template_is_named():
    with pytest.raises(BadTemplate, match=r"gateway\.pages\.text: cannot read /nowhere/page\.txt"):
        Errors(Gateway(pages=Pages(text="/nowhere/page.txt")))


def test_a_template_that_is_not_text(tmp_path):
    (tmp_path / "own.html").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadTemplate, match=r"own\.html"):
        Errors(Gateway(pages=Pages(html=str(tmp_path / "own.html"))))


def test_an_own_template_that_fails_later_gives_way(failed, tmp_path):
    errors = own(tmp_path, "{{ 1 // (reference | length - 5) }}")
    assert b"<h1>The service is not available right now</h1>" in answer(failed(reference="12345"), "html", errors=errors).body
    assert answer(failed(reference="123456"), "html", errors=errors).body == b"1"
