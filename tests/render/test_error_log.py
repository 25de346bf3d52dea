import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.catalogue import catalogue
from headgate.model.phases import PHASES
from headgate.render.error_log import error_line

PAIR = re.compile(r'([a-z]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)(?: |$)')


def parse(line):
    """logfmt, strictly: key=value pairs, bare or quoted, one space between."""
    pairs, at = {}, 0
    while at < len(line):
        found = PAIR.match(line, at)
        assert found, f"no pair at {at} in {line!r}"
        assert found[1] not in pairs
        pairs[found[1]] = json.loads(found[2]) if found[2].startswith('"') else found[2]
        at = found.end()
    return pairs


def test_a_failed_attempt(failed, now):
    exchange = failed("connection-refused", facts={"errno": 111, "elapsed_ms": 1})
    exchange.attempts[0].verdict = "not-elsewhere"
    exchange.target = b"/login?token=s3cret&page=2"
    line = error_line(exchange, exchange.attempts[0], now)
    assert line == (
        "time=2026-11-20T10:15:30.123Z level=error status=502 cause=connection-refused "
        'message="Nothing listens on 10.0.0.5:3000: the connection was refused after 1 ms." verdict=not-elsewhere '
        "phase=connect upstream=app server=http://app:3000 address=10.0.0.5:3000 attempt=1 reference=7f3a-22 client=192.0.2.1 "
        'host=example.org request="GET /login?token=[redacted]&page=2 HTTP/1.1" route=shop'
    )


def test_while_another_try_runs_there_is_no_status(failed, now):
    exchange = failed("connection-refused")
    exchange.status, exchange.cause = 0, None
    pairs = parse(error_line(exchange, exchange.attempts[0], now))
    assert "status" not in pairs
    assert pairs["cause"] == "connection-refused"


def test_the_second_of_two_attempts_says_so(failed, now):
    exchange = failed("response-timeout")
    exchange.attempts.insert(0, failed("connection-refused").attempts[0])
    assert [parse(error_line(exchange, a, now))["cause"] for a in exchange.attempts] == ["connection-refused", "response-timeout"]
    assert parse(error_line(exchange, exchange.attempts[1], now))["attempt"] == "2"


def test_a_failure_without_an_attempt(failed, now):
    exchange = failed("no-route")
    pairs = parse(error_line(exchange, None, now))
    assert (pairs["cause"], pairs["status"]) == ("no-route", "404")
    assert "address" not in pairs


LEVELS = [
    ("no-route", "info"),
    ("request-denied", "info"),
    ("client-gone", "info"),
    ("maintenance", "error"),
    ("gateway-error", "error"),
]


@pytest.mark.parametrize(("code", "level"), LEVELS)
def test_what_the_client_did_before_any_server_was_asked_is_no_error(failed, now, code, level):
    exchange = failed(code, phase=PHASES.index("admit"))
    assert parse(error_line(exchange, None, now))["level"] == level


def test_after_an_attempt_it_is_an_error(failed, now):
    exchange = failed("client-gone", phase=PHASES.index("head"))
    assert parse(error_line(exchange, exchange.attempts[0], now))["level"] == "error"


@pytest.mark.parametrize("code", catalogue())
def test_every_cause_has_a_sound_line(failed, canaries, now, code):
    exchange = failed(code, facts=canaries)
    line = error_line(exchange, exchange.attempts[0] if exchange.attempts else None, now)
    assert parse(line)["cause"] == code
    assert parse(line)["message"]


ANY = st.binary(max_size=60) | st.sampled_from(
    [b'" level=info x="', b"\r\ntime=", b"\x1b[2J", b"\\" * 900, b'"' * 900, b"\x00" * 900]
)


@given(ANY, ANY, ANY, st.text(max_size=300), st.binary(max_size=64))
def test_one_bounded_line_whatever_was_sent(failed, now, target, host, method, name, excerpt):
    facts = {"rule": name, "excerpt": excerpt, "offset": 1, "looks_like": name}
    exchange = failed("not-http", facts=facts, phase=PHASES.index("head"), reference=name)
    exchange.target, exchange.host, exchange.method, exchange.client = target, host, method, name
    exchange.route = exchange.upstream = name
    attempt = exchange.attempts[0]
    attempt.upstream = attempt.server = attempt.address = attempt.verdict = name
    line = error_line(exchange, attempt, now)
    assert re.fullmatch(r"[ -~]+", line)
    assert len(line) <= 2048
    assert parse(line)["level"] == "error"
    assert parse(line)["cause"] == "not-http"


def test_long_values_are_cut_where_an_escape_ends(failed, now):
    for length in range(70, 90):
        exchange = failed("no-route")
        exchange.route = "a" * length + "\\\x00" * 40
        cut = parse(error_line(exchange, None, now))["route"]
        assert cut.endswith("...")
        assert exchange.route.startswith(cut.removesuffix("..."))
