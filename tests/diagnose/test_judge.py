"""The verdict on a site: the first thing on the way that fails, what the answer's author can mean, and what variations prove."""

import json
from dataclasses import replace
from typing import Any

import pytest

from headgate.diagnose.captured import Captured, lower
from headgate.diagnose.classify import classify
from headgate.diagnose.judge import judge
from headgate.diagnose.looks import Asked, Look
from headgate.diagnose.pages import judge_answer, timer_near
from headgate.model import signals as s
from headgate.model.exchange import Attempt
from headgate.model.phases import CONNECT, HEAD, RESOLVE, TLS

ASKED = Asked("https://example.org/a")
NGINX = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n" \
        b"<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"  # fmt: skip


def nginx(status: int = 502, seconds: float = 0.01, body: bytes = NGINX, **fields: str) -> Captured:
    return Captured(status, "Bad Gateway", "1.1", lower([("Server", "nginx/1.24.0"), *fields.items()]), body, len(body), seconds)


def good(**fields: str) -> Captured:
    return Captured(200, "OK", "1.1", lower([("Server", "nginx/1.24.0"), *fields.items()]), b"hello", 5, 0.01)


def get(captured: Captured | None, kind: str = "get", **facts: Any) -> Look:
    ok = captured is not None and captured.status < 500
    return Look(kind, f"GET {ASKED.url}", ok, str(captured.status if captured else "failed"), captured=captured, facts=facts)


def broken(kind: str, phase: int, signal: str, text: str, **facts: Any) -> Look:
    attempt = Attempt("", ASKED.url, 0.0)
    attempt.phase, attempt.signal, attempt.facts = phase, signal, {"untouched": True}
    attempt.cause = classify(phase, signal, attempt.facts)
    return Look(kind, text, False, text, attempt=attempt, facts=facts)


@pytest.mark.parametrize(("looks", "cause", "outcome"), [
    ([broken("dns", RESOLVE, s.NXDOMAIN, "no such name", resolver="system")], "dns-name-not-found", "unreachable"),
    ([broken("dns", RESOLVE, s.SERVFAIL, "no", resolver="system", checking_disabled_ok=True)],
     "dns-validation-failed", "unreachable"),
    ([broken("tcp", CONNECT, s.REFUSED, "refused", address="192.0.2.1:443")], "connection-refused", "unreachable"),
    ([broken("tls", TLS, s.CERTIFICATE, "certificate")], "certificate-invalid", "unreachable"),
    ([broken("get", HEAD, s.EOF, "closed without answer")], "closed-before-answer", "unreachable"),
])  # fmt: skip
def test_the_first_thing_that_fails_is_the_verdict_and_proved(looks: list[Look], cause: str, outcome: str) -> None:
    told = judge(ASKED, looks)
    assert (told.outcome, told.suspects[0].cause, told.confidence) == (outcome, cause, "proved")
    assert told.failing is not None
    assert told.actions


def test_one_failing_address_of_two_is_no_verdict() -> None:
    looks = [broken("tcp", CONNECT, s.REFUSED, "refused", address="192.0.2.1:443"), Look("tcp", "x", True), get(good())]
    assert judge(ASKED, looks).outcome == "up"


def test_an_error_page_gives_its_author_and_the_set_it_can_mean() -> None:
    told = judge(ASKED, [get(nginx())])
    assert told.generator is not None
    assert (told.generator.product, told.generator.version, told.outcome, told.status) == ("nginx", "1.24.0", "failing", 502)
    causes = {one.cause for one in told.suspects}
    assert {"connection-refused", "closed-before-answer", "header-section-too-large"} <= causes
    assert not causes & {"response-timeout", "connection-timeout"}, "nginx says 504 then"
    assert told.confidence == "possible"
    assert "error.log" in told.split
    assert told.unknowable
    assert len(told.actions) == 3


def test_working_without_cookies_puts_big_headers_first() -> None:
    told = judge(ASKED, [get(nginx()), get(good(), "no-cookies")])
    assert (told.suspects[0].cause, told.confidence) == ("header-section-too-large", "likely")


def test_the_local_upstream_proves_it() -> None:
    upstream = broken("upstream", CONNECT, s.REFUSED, "refused", server="http://127.0.0.1:3000")
    told = judge(ASKED, [get(nginx()), upstream])
    assert [(one.cause, one.confidence) for one in told.suspects] == [("connection-refused", "proved")]


def test_up_and_partly() -> None:
    assert judge(ASKED, [get(good())]).outcome == "up"
    assert judge(ASKED, [get(good()), get(nginx(), "repeat"), get(good(), "repeat")]).outcome == "partly"
    assert judge(ASKED, []).outcome == "unknown"


def test_what_was_pasted_counts_when_it_works_now() -> None:
    asked = Asked(ASKED.url, paste=nginx())
    told = judge(asked, [get(good())])
    assert told.outcome == "up"
    assert "temporary" in told.summary
    assert told.generator is not None
    assert told.generator.product == "nginx"


def test_a_redirect_loop_is_told() -> None:
    told = judge(ASKED, [replace(get(good(), redirect_loop=True), ok=False)])
    assert told.suspects[0].cause == "redirect-loop"
    assert told.outcome == "failing"


def test_a_circle_is_proved_and_redirects_without_end_are_likely() -> None:
    for circle, sure in ((True, "proved"), (False, "likely")):
        looks = [replace(get(good(), redirect_loop=True, circle=circle), ok=False), *(get(good(), "repeat") for _ in range(3))]
        told = judge(ASKED, looks)
        assert (told.outcome, told.confidence) == ("failing", sure)


def test_only_this_machine_was_looked_at() -> None:
    assert judge(Asked("", here=True), []).summary.startswith("No address was named")


def test_numbers_that_are_none() -> None:
    assert [judge_answer(nginx(503, **{"Retry-After": text})).retry_after for text in ("\u00b2", "-5", "nan", "7")] == [
        -1,
        -1,
        -1,
        7,
    ]


def test_no_network() -> None:
    look = Look("tcp", "no way out", False, "no route", facts={"no_network": True})
    assert judge(ASKED, [look]).suspects[0].cause == "no-network"


def test_everything_is_plain_data() -> None:
    told = judge(ASKED, [get(nginx()), get(good(), "repeat")])
    assert json.loads(json.dumps(told.as_json()))["suspects"]


def test_timers() -> None:
    assert "nginx" in timer_near(60.1, "nginx")
    assert timer_near(60.1, "caddy") == ""
    assert timer_near(7.0) == ""


def test_a_late_504_is_a_timeout_and_its_timer_is_named() -> None:
    told = judge_answer(nginx(504, 60.02, NGINX.replace(b"502 Bad Gateway", b"504 Gateway Time-out")))
    assert {one.cause for one in told.suspects} <= {
        "response-timeout", "connection-timeout", "tls-timeout", "head-stalled", "send-timeout", "dns-timeout",
        "packet-loss",
    }  # fmt: skip
    assert any("60" in one.text for one in told.evidence)


def test_a_stored_error_is_told() -> None:
    told = judge_answer(nginx(age="300"))
    assert told.suspects[0].cause == "error-cached"


def test_headgates_own_answer_names_its_cause() -> None:
    fields = lower(
        [
            ("Proxy-Status", 'headgate; error=connection_refused; details="connection-refused"'),
            ("Content-Type", "application/json"),
        ]
    )
    told = judge_answer(Captured(502, "Bad Gateway", "1.1", fields, b'{"cause":"connection-refused"}', 30))
    assert (told.suspects[0].cause, told.confidence) == ("connection-refused", "proved")


def test_retry_after_is_kept() -> None:
    assert judge_answer(nginx(**{"retry-after": "120"})).retry_after == 120
    assert judge_answer(nginx(**{"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})).retry_after == -1


def test_nobody_known_is_said_so() -> None:
    told = judge_answer(Captured(502, "", "1.1", (), b"oops", 4))
    assert told.generator is None
    assert "cannot be told" in told.summary
    assert not told.suspects
