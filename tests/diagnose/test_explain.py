"""Every cause reads well, whatever is known of it; nothing secret and nothing unprintable gets out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.catalogue import bullets, catalogue
from headgate.diagnose.classify import classify
from headgate.diagnose.explain import Step, escape, explain, explain_attempt, redact_target
from headgate.diagnose.redact import clean
from headgate.diagnose.sentence import setting
from headgate.model import phases, signals
from headgate.model.cause import Cause
from headgate.model.exchange import Attempt, Exchange
from headgate.model.facts import Facts
from headgate.model.verdicts import VERDICTS

PRINTABLE = re.compile(r"[ -~]*")
BROKEN = re.compile(r"[{}]|\bNone\b(?! of the \d)|(?<![\w.-])-1\b|  |\(\)| \.$|:$|\bunknown (bytes|ms|s)\b")
CODES = sorted(catalogue())
FULL: Facts = {
    "errno": 104, "error": "Connection reset by peer", "rule": "bare-lf", "offset": 17, "excerpt": b"SSH-2.0-OpenSSH_9.2\r\n",
    "looks_like": "mysql", "limit": "head", "limit_value": 60.0, "seen": 4096, "header_name": "X-Large", "status": 200,
    "sent": 512, "received": 40, "body_received": 1500, "body_expected": 4000, "untouched": False, "reused": True,
    "idle_ms": 4996, "age_ms": 12_000, "requests": 7, "silent_ms": 1243, "elapsed_ms": 31,
    "path": "/run/app.sock", "name": "app.internal",
    "tcp_info": {"rtt_us": 200, "retransmits": 3, "lost": 2}, "resolver": "10.0.0.2:53", "rcode": "SERVFAIL", "ede": 6,
    "ede_text": "bogus", "addresses": ["10.0.0.5:443"], "verify_code": 10, "verify_message": "certificate has expired",
    "attempts_by_address": [{"address": "[::1]:3000", "signal": "refused", "errno": 111}],
    "certificate": {"subject": "CN=app", "not_after": "2025-01-01"}, "tls_reason": "WRONG_VERSION_NUMBER", "alert": 40,
    "alert_name": "handshake_failure", "offered": "websocket", "accepted": "h2c", "coding": "gzip", "allow": "GET",
    "servers": [{"server": "http://a:1", "reason": "down"}, {"server": "http://b:1", "reason": "down"}],
}  # fmt: skip
EMPTY: Facts = {}
ABSENT = dict.fromkeys(FULL)
NEGATIVE = {"body_expected": -1, "limit_value": -1.0, "offset": -1, "seen": -1, "silent_ms": -1, "idle_ms": -1, "errno": -1}


def exchange_with(
    cause: Cause, facts: object, *, server: str = "http://10.0.0.5:3000", signal: str = signals.EOF, attempted: bool = True
) -> Exchange:
    exchange = Exchange("r1", "198.51.100.7", "http", 10.0)
    exchange.method, exchange.host, exchange.path, exchange.route = b"GET", b"shop.example", b"/cart", "shop"
    exchange.cause, exchange.status, exchange.t_end = cause, cause.status, 10.031
    if not attempted:
        exchange.facts, exchange.signal = facts, signal  # type: ignore[assignment]
        return exchange
    attempt = Attempt("app", server, 10.0)
    attempt.address = server.removeprefix("http://")
    attempt.phase = phases.PHASES.index(cause.phase) if cause.phase in phases.PHASES else phases.HEAD
    attempt.cause, attempt.signal, attempt.facts, attempt.t_end = cause, signal, facts, 10.031  # type: ignore[assignment]
    exchange.attempts.append(attempt)
    return exchange


def failed(phase: int, signal: str, **facts: object) -> Exchange:
    return exchange_with(classify(phase, signal, facts), facts, signal=signal)


@pytest.mark.parametrize("attempted", [True, False], ids=["attempt", "no-attempt"])
@pytest.mark.parametrize("facts", [FULL, EMPTY, None, ABSENT, NEGATIVE], ids=["full", "empty", "none", "absent", "negative"])
@pytest.mark.parametrize("code", CODES)
def test_every_cause_makes_a_sentence(code: str, facts: object, attempted: bool) -> None:
    told = explain(exchange_with(catalogue()[code], facts, attempted=attempted))
    for line in (told.sentence, told.headline, told.verdict, *told.evidence, *(step.text for step in told.timeline)):
        assert PRINTABLE.fullmatch(line)
        assert not BROKEN.search(line), line
    assert told.sentence[0].isupper() or told.sentence[0] in "1a/", told.sentence


@pytest.mark.parametrize("code", CODES)
def test_an_exchange_that_knows_nothing_still_makes_a_sentence(code: str) -> None:
    exchange = Exchange("", "", "http", 0.0)
    exchange.cause = catalogue()[code]
    sentence = explain(exchange).sentence
    assert sentence[0].isupper()
    assert not BROKEN.search(sentence), sentence
    assert "{" in exchange.cause.sentence or sentence == exchange.cause.sentence


GOLDEN = [
    (phases.BODY, signals.DEADLINE, {"body_received": 1500, "body_expected": 4000, "silent_ms": 1243, "limit": "idle"},
     "10.0.0.5:3000 sent 1500 of 4000 bytes, then was silent for 1243 ms (upstream.app.timeouts.idle)."),
    (phases.BODY, signals.DEADLINE, {"body_received": 1500, "silent_ms": 60_400},
     "10.0.0.5:3000 sent 1500 bytes of a body of unknown length, then was silent for 60.4 s."),
    (phases.BODY, signals.EOF, {"body_received": None, "body_expected": 1},
     "10.0.0.5:3000 closed the connection after 0 of 1 byte."),
    (phases.CONNECT, signals.REFUSED, {"elapsed_ms": 0.2},
     "Nothing listens on 10.0.0.5:3000: the connection was refused after 0.2 ms."),
    (phases.HEAD, signals.EOF, {"reused": True, "untouched": True, "idle_ms": 4996},
     "10.0.0.5:3000 closed the connection, reused after 4996 ms idle, without a byte in answer."),
    (phases.HEAD, signals.DEADLINE, {"untouched": True},
     "10.0.0.5:3000 took the request, but sent nothing for too long."),
    (phases.HEAD, signals.MALFORMED, {"rule": "not-http", "excerpt": b"SSH-2.0-x\r\n", "looks_like": "ssh"},
     r"10.0.0.5:3000 answered as an SSH server: SSH-2.0-x\r\n"),
    (phases.HEAD, signals.MALFORMED, {"rule": "field-value", "offset": 40, "header_name": "Set-Cookie", "excerpt": b"s=1\x01"},
     '10.0.0.5:3000 sent a header line that breaks the rule "field-value" at byte 40: [redacted]'),
    (phases.TLS, signals.CERTIFICATE, {"verify_code": 10},
     "The certificate of 10.0.0.5 has expired."),
    (phases.ADMIT, signals.NO_SERVER, {"servers": [{"server": "a", "reason": "down"}]},
     "No server of upstream app may be used."),
    (phases.HEAD, signals.TOO_LARGE, {"limit": "response_header_count", "limit_value": 200.0},
     "10.0.0.5:3000 sent more than 200 header lines (gateway.limits.response_header_count)."),
    (phases.HEAD, signals.TOO_LARGE,
     {"limit": "response_header_line_bytes", "limit_value": 9, "seen": 10, "header_name": "the status line"},
     "10.0.0.5:3000 sent the status line with 10 bytes, more than 9 (gateway.limits.response_header_line_bytes)."),
    (phases.HEAD, signals.MALFORMED, {"rule": "transfer-coding", "coding": "gzip", "excerpt": b"cut in the mid"},
     "10.0.0.5:3000 sent Transfer-Encoding gzip; only chunked is understood, once and in HTTP/1.1."),
    (phases.HEAD, signals.MALFORMED, {"rule": "version", "excerpt": b"HTTP/2 200 OK"},
     "10.0.0.5:3000 answered in another version than HTTP/1.1 or HTTP/1.0: HTTP/2 200 OK"),
    (phases.ADMIT, signals.CLIENT_UNSUPPORTED, {"rule": "transfer-coding", "coding": "cow", "excerpt": b"cut in the mid"},
     "The request's Transfer-Encoding is cow; only chunked is understood."),
    (phases.ADMIT, signals.CLIENT_UNSUPPORTED, {"rule": "version", "excerpt": b"GET / HTTP/3.0"},
     "The request is not HTTP/1.1 or HTTP/1.0: GET / HTTP/3.0"),
    (phases.ADMIT, signals.CLIENT_TOO_LARGE, {"limit": "request_header_count", "limit_value": 100, "seen": 101},
     "The request header passes gateway.limits.request_header_count: it has 101, where 100 is allowed."),
    (phases.ADMIT, signals.CLIENT_TOO_LARGE, {"limit": "request_header_bytes", "limit_value": 100},
     "The request header passes gateway.limits.request_header_bytes (at most 100)."),
    (phases.ADMIT, signals.CLIENT_TOO_LARGE, {},
     "The request header is too large."),
    (phases.TLS, signals.CERTIFICATE, {"verify_code": 10, "verify_message": "It is too old."},
     "The certificate of 10.0.0.5 has expired: It is too old."),
    (phases.ADMIT, signals.LIMIT, {"limit": "max_total_requests", "limit_value": 40, "seen": 40},
     "No more requests are taken at the moment, because upstream.app.max_total_requests is reached (40)."),
    (phases.ADMIT, signals.LIMIT, {"limit": "route.max_requests", "limit_value": 4},
     "No more requests are taken at the moment, because route.max_requests is reached (4)."),
    (phases.ADMIT, signals.LIMIT, {},
     "No more requests are taken at the moment, because a limit is reached."),
    (phases.ADMIT, signals.LIMIT, {"rule": "queue", "limit": "queue.wait", "limit_value": 2.0, "elapsed_ms": 2004},
     "No place became free at upstream app within 2 s (upstream.app.queue.wait); the request was not sent."),
    (phases.ADMIT, signals.LIMIT, {"rule": "queue"},
     "No place became free at upstream app within the time allowed; the request was not sent."),
    (phases.ADMIT, signals.CIRCUIT, {"error": "20 of 25 requests failed within 10 s", "retry_after": 4.2},
     "Upstream app is left alone (20 of 25 requests failed within 10 s): its circuit is open; the next trial is due in 4.2 s."),
    (phases.ADMIT, signals.CIRCUIT, {},
     "Upstream app is left alone: its circuit is open."),
    (phases.ADMIT, signals.RATE, {"limit": "rate_limit.rate", "error": "100/s", "retry_after": 0.25},
     "198.51.100.7 asks more often than the 100/s that route.rate_limit.rate allows; it may ask again in 0.25 s."),
    (phases.ADMIT, signals.RATE, {},
     "198.51.100.7 asks more often than a limit of the gateway or the platform allows."),
    (phases.HEAD, signals.ANSWERED, {"status": 503},
     "10.0.0.5:3000 answered 503 itself: the error is its own, and was not made by the gateway."),
]  # fmt: skip


def test_bytes_are_not_held_against_a_time() -> None:
    facts: Facts = {"limit": "head", "limit_value": 1.0, "seen": 19}
    told = explain(exchange_with(catalogue()["client-head-timeout"], facts, attempted=False))
    assert told.evidence == ("limit: gateway.timeouts.head = 1 s", "19 bytes had come")


@pytest.mark.parametrize("code", ["maintenance", "no-route", "no-healthy-server", "client-gone"])
def test_without_an_attempt_no_server_was_asked(code: str) -> None:
    told = explain(exchange_with(catalogue()[code], None, attempted=False))
    assert told.verdict == "no server was asked: there was nothing to try again"


@pytest.mark.parametrize(("phase", "signal", "facts", "sentence"), GOLDEN)
def test_golden_sentences(phase: int, signal: str, facts: dict[str, object], sentence: str) -> None:
    assert explain(failed(phase, signal, **facts)).sentence == sentence


SETTINGS = [
    ("head", "response-timeout", "upstream.app.timeouts.head"),
    ("head", "client-head-timeout", "gateway.timeouts.head"),
    ("timeouts.connect", "connection-timeout", "upstream.app.timeouts.connect"),
    ("max_requests", "server-limit-reached", "upstream.app.max_requests"),
    ("deny_addresses", "address-denied", "upstream.app.deny_addresses"),
    ("queue.size", "server-limit-reached", "upstream.app.queue.size"),
    ("adaptive", "server-limit-reached", "upstream.app.adaptive"),
    ("retry.per_try", "response-timeout", "upstream.app.retry.per_try"),
    ("route.max_requests", "server-limit-reached", "route.max_requests"),
    ("rate_limit.rate", "rate-limited", "route.rate_limit.rate"),
    ("limits.requests", "gateway-overloaded", "gateway.limits.requests"),
    ("limits.connections", "gateway-overloaded", "gateway.limits.connections"),
    ("request_body_bytes", "request-body-too-large", "gateway.limits.request_body_bytes"),
    ("response_trailer_line_bytes", "trailer-line-too-large", "gateway.limits.trailer_line_bytes"),
    ("trailer_bytes", "trailer-section-too-large", "gateway.limits.trailer_bytes"),
    ("dns.timeout", "dns-timeout", "gateway.dns.timeout"),
    ("gateway.timeouts.body", "client-body-timeout", "gateway.timeouts.body"),
    ("files", "gateway-error", "files"),
]


@pytest.mark.parametrize(("limit", "code", "key"), SETTINGS)
def test_a_limit_is_named_by_its_whole_key(limit: str, code: str, key: str) -> None:
    assert setting(limit, "app", catalogue()[code]) == key


def test_a_unix_socket_is_named_by_its_path() -> None:
    cause = catalogue()["socket-missing"]
    assert explain(exchange_with(cause, None, server="unix:/run/app.sock")).sentence == "There is no socket at /run/app.sock."


EVIDENCE = [
    ({"errno": 111}, signals.REFUSED, "errno 111 (ECONNREFUSED: Connection refused)"),
    ({"tcp_info": {"rtt_us": 200, "retransmits": 0, "lost": 0}}, signals.DEADLINE,
     "0 retransmissions, rtt 0.2 ms: the network is fine, the program is silent"),
    ({"tcp_info": {"rtt_us": 200, "retransmits": 0, "lost": 0}}, signals.EOF,
     "0 retransmissions, rtt 0.2 ms: the network is fine"),
    ({"tcp_info": {"retransmits": 3, "lost": 2}}, signals.DEADLINE,
     "the kernel saw 3 retransmissions and 2 lost packets: the network, not the program"),
    ({"reused": True, "age_ms": 12_000, "idle_ms": 4996, "requests": 7}, signals.EOF,
     "the connection was a reused one, 12 s old, idle for 4996 ms, 7 requests served before"),
    ({"limit": "response_header_bytes", "limit_value": 65536.0}, signals.TOO_LARGE,
     "limit: gateway.limits.response_header_bytes = 65536"),
    ({"alert": 40, "alert_name": "handshake_failure"}, signals.ALERT, "TLS alert 40 (handshake_failure)"),
    ({"certificate": {"not_after": "2025-01-01"}}, signals.CERTIFICATE, "certificate, not after: 2025-01-01"),
    ({"resolver": "10.0.0.2:53", "rcode": "SERVFAIL"}, signals.SERVFAIL, "DNS server 10.0.0.2:53 answered SERVFAIL"),
    ({"attempts_by_address": [{"address": "[::1]:80", "signal": "refused", "errno": 111, "elapsed_ms": 0.2}]}, signals.REFUSED,
     "tried [::1]:80: refused (ECONNREFUSED: Connection refused) after 0.2 ms"),
    ({"looks_like": "tls"}, signals.MALFORMED, "the first bytes look like TLS: the server wants https"),
    ({"servers": [{"server": "http://a:1", "reason": "down"}]}, signals.NO_SERVER, "http://a:1: down"),
    ({"error": "a probe failed", "retry_after": 4.2}, signals.CIRCUIT, "why the circuit opened: a probe failed"),
    ({"error": "a probe failed", "retry_after": 4.2}, signals.CIRCUIT, "worth asking again in 4.2 s"),
    ({"limit": "queue.wait", "limit_value": 2.0}, signals.LIMIT, "limit: upstream.app.queue.wait = 2 s"),
    ({"limit": "queue.size", "limit_value": 9, "seen": 9}, signals.LIMIT, "limit: upstream.app.queue.size = 9, seen 9"),
    ({"limit": "rate_limit.rate", "error": "100/s"}, signals.RATE, "limit: route.rate_limit.rate = 100/s"),
    ({"untouched": True, "silent_ms": 60_000}, signals.DEADLINE, "no byte of the response had come, silent for 60 s"),
    ({"body_expected": 4000, "body_received": 1500}, signals.EOF, "Content-Length announced 4000 bytes, 1500 came"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "signal", "line"), EVIDENCE)
def test_evidence_in_words(facts: Facts, signal: str, line: str) -> None:
    cause = catalogue()["response-timeout"]
    assert line in explain(exchange_with(cause, facts, signal=signal)).evidence


def test_repeated_first_packets_are_no_proof_against_the_server() -> None:
    told = explain(failed(phases.CONNECT, signals.DEADLINE, tcp_info={"retransmits": 2}))
    assert any("repeated its first packet 2 times" in line and "backlog" in line for line in told.evidence)


def test_timeline_says_never_for_what_did_not_happen() -> None:
    exchange = failed(phases.HEAD, signals.EOF, untouched=True)
    attempt = exchange.attempts[0]
    attempt.t_connected, attempt.t_sent, attempt.t_end = 10.002, 10.003, 10.031
    texts = [step.text for step in explain(exchange).timeline]
    assert texts == ["connected at 2 ms (+2 ms)", "request sent at 3 ms (+1 ms)", "first byte never", "head complete never",
                     "failed at 31 ms (+28 ms)"]  # fmt: skip


def test_timeline_of_a_handshake_that_failed_shows_the_steps_that_were_due() -> None:
    exchange = exchange_with(catalogue()["tls-closed"], None, server="https://app:443")
    exchange.attempts[0].t_resolved, exchange.attempts[0].t_connected = 10.001, 10.002
    assert [step.name for step in explain(exchange).timeline if step.at_ms < 0] == [
        "TLS established", "request sent", "first byte", "head complete",
    ]  # fmt: skip
    assert explain(exchange).timeline[0] == Step("resolved", pytest.approx(1), pytest.approx(1))


def test_a_reused_connection_has_no_opening() -> None:
    exchange = failed(phases.HEAD, signals.EOF, reused=True, untouched=True)
    exchange.attempts[0].reused = True
    assert explain(exchange).timeline[0].name == "request sent"


def test_served_at_the_second_try_explains_the_first() -> None:
    exchange = failed(phases.HEAD, signals.EOF, untouched=True)
    exchange.cause, exchange.status, exchange.outcome = None, 200, "served"
    second = Attempt("app", "http://10.0.0.6:3000", 10.031)
    second.status = 200
    exchange.attempts.append(second)
    assert explain(exchange).headline.startswith("502 closed-before-answer: ")
    assert explain_attempt(exchange, second).cause is None


def test_nothing_failed() -> None:
    exchange = Exchange("r", "", "http", 1.0)
    exchange.status, exchange.outcome = 200, "served"
    assert (explain(exchange).headline, explain(exchange).cause) == ("200 served: nothing failed", None)


def test_the_status_that_was_sent_wins_over_the_catalogue() -> None:
    exchange = failed(phases.HEAD, signals.DEADLINE, untouched=True)
    exchange.status = 502  # timeout_status = 502
    assert explain(exchange).headline.startswith("502 response-timeout")


def test_next_steps_name_this_failure() -> None:
    cause = catalogue()["connection-refused"]
    told = Cause(**{slot: getattr(cause, slot) for slot in Cause.__slots__} | {"sections": {
        "What to check": "- `curl -v http://HOST:PORT/`\n  from here\n- b\n- c\n- d",
        "How to fix": "- set `upstream.NAME.timeouts.head`\n- y",
    }})  # fmt: skip
    steps = explain(exchange_with(told, None)).next_steps
    assert steps == ("`curl -v http://10.0.0.5:3000/` from here", "b", "c", "set `upstream.app.timeouts.head`")


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("10.0.0.5:3000", "`nc 10.0.0.5 3000`, `curl http://10.0.0.5:3000/`, `ss :PORT`"),
        ("[::1]:80", "`nc ::1 80`, `curl http://[::1]:80/`, `ss :PORT`"),
        ("unix:/run/app.sock", "`nc HOST PORT`, `curl http://HOST:PORT/`, `ss :PORT`"),
    ],
)
def test_commands_hold_the_address(address: str, line: str) -> None:
    cause = catalogue()["connection-refused"]
    sections = {"What to check": "- `nc HOST PORT`, `curl http://HOST:PORT/`, `ss :PORT`"}
    told = Cause(**{slot: getattr(cause, slot) for slot in Cause.__slots__} | {"sections": sections})
    exchange = exchange_with(told, None)
    exchange.attempts[0].address = address
    assert explain(exchange).next_steps == (line,)


def test_a_verdict_says_whether_another_try_was_made() -> None:
    exchange = failed(phases.HEAD, signals.EOF, untouched=True)
    exchange.attempts[0].verdict = "not-idempotent"
    assert explain(exchange).verdict == VERDICTS["not-idempotent"]


def test_bullets_join_folded_lines() -> None:
    assert bullets("- one\n  more\n- two\n") == ("one more", "two")
    assert bullets("no list") == ()


SECRETS = [
    (b"Authorization: Basic dXNlcjpwYXNz\r\nX: 1", r"Authorization: [redacted]\r\nX: 1"),
    (b"Set-Cookie: id=s3cret; Path=/\r\n", r"Set-Cookie: [redacted]\r\n"),
    (b"cookie: a=b\rs3cret\r\n", r"cookie: [redacted]\r\n"),
    (b"Cookie: a\r\n s3cret\r\nHost: x", r"Cookie: [redacted]\r\nHost: x"),
    (b"Proxy-Authorization:Bearer s3cret", "Proxy-Authorization:[redacted]"),
    (b"rization: Bearer s3cret", "rization: [redacted]"),
    (b"okie: s3cret\r\nA: b", r"okie: [redacted]\r\nA: b"),
    (b"X-Api-Key: s3cret", "X-Api-Key: [redacted]"),
    (b"GET /?token=s3cret&a=1 HTTP/1.1", "GET /?token=[redacted]&a=1 HTTP/1.1"),
    (b"/?a=1;Access_Token=s3cret", "/?a=1;Access_Token=[redacted]"),
    (b"password=s3cret", "password=[redacted]"),
    (b"x: Bearer s3cret\r\n", r"x: Bearer [redacted]\r\n"),
    (b'{"password": "s3cret", "a": 1}', '{"password": "[redacted]", "a": 1}'),
    (b"http://user:s3cret@host/", "http://[redacted]@host/"),
    (b"eyJhbGciOiJI.eyJzdWIi.s3cret", "[redacted]"),
    (b"monkey=1&author=me\\", r"monkey=1&author=me\\"),
    (b"HTTP/1.1 2OO \x00\x1b[31m\xff\t", r"HTTP/1.1 2OO \x00\x1b[31m\xff\t"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "shown"), SECRETS)
def test_secrets_are_left_out(raw: bytes, shown: str) -> None:
    assert escape(raw) == shown


@given(st.binary(max_size=200) | st.lists(st.sampled_from([raw for raw, _ in SECRETS])).map(b"".join))
def test_escaped_bytes_are_printable_and_bounded(raw: bytes) -> None:
    shown = escape(raw)
    assert PRINTABLE.fullmatch(shown)
    assert len(shown) <= 4 * 64 + 32 * len("[redacted]")
    assert shown == escape(raw[:64])


@given(st.text(max_size=600))
def test_names_are_cleaned_and_bounded(text: str) -> None:
    assert PRINTABLE.fullmatch(clean(text))
    assert len(clean(text)) <= 300


TARGETS = [
    ("/a?b=1", "/a?b=1"),
    ("/a", "/a"),
    ("/a?token=s3cret&b=2", "/a?token=[redacted]&b=2"),
    ("/a?b=2;%74oken=s3cret", "/a?b=2;%74oken=[redacted]"),
    ("/a?code=x&state=", "/a?code=[redacted]&state="),
    ("/a?api_key=x?token=y", "/a?api_key=[redacted]"),
    ("http://user:s3cret@h/a?x-amz-signature=00", "http://[redacted]@h/a?x-amz-signature=[redacted]"),
]


@pytest.mark.parametrize(("target", "shown"), TARGETS)
def test_targets_lose_their_secrets(target: str, shown: str) -> None:
    assert redact_target(target) == shown


@given(st.text(max_size=100))
def test_a_target_without_query_is_left_alone(text: str) -> None:
    path = "/" + text.replace("?", "")
    assert redact_target(path) == path
