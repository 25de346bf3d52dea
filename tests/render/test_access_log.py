import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.catalogue import catalogue
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import PHASES
from headgate.model.trace import Trace
from headgate.render.access_log import combined_line, json_line, traced_json_line

NOW = "2026-11-20T10:15:30.123Z"
MEMBERS = [
    "time", "reference", "client", "method", "host", "target", "version", "status", "outcome", "cause", "sent", "received",
    "duration_ms", "route", "upstream", "server", "attempts", "upstream_status", "connect_ms", "head_ms", "reused",
]  # fmt: skip


def served(target=b"/a?b=1", host=b"example.org", method=b"GET", client="192.0.2.1", reference="7f3a-22", kind=Exchange):
    exchange = kind(reference, client, "http", 100.0)
    exchange.method, exchange.target, exchange.host = method, target, host
    exchange.route, exchange.upstream, exchange.status, exchange.outcome = "shop", "app", 200, "served"
    exchange.sent, exchange.received, exchange.t_end = 1234, 56, 100.0123
    attempt = Attempt("app", "http://app:3000", 100.001)
    attempt.address, attempt.status, attempt.phase = "10.0.0.5:3000", 200, PHASES.index("body")
    attempt.t_connected, attempt.t_head, attempt.t_end = 100.0015, 100.0101, 100.012
    exchange.attempts.append(attempt)
    return exchange


def test_a_served_request():
    assert json_line(served(), NOW) == (
        b'{"time": "2026-11-20T10:15:30.123Z", "reference": "7f3a-22", "client": "192.0.2.1", "method": "GET", '
        b'"host": "example.org", "target": "/a?b=1", "version": "1.1", "status": 200, "outcome": "served", "cause": null, '
        b'"sent": 1234, "received": 56, "duration_ms": 12.3, "route": "shop", "upstream": "app", "server": "10.0.0.5:3000", '
        b'"attempts": 1, "upstream_status": 200, "connect_ms": 0.5, "head_ms": 9.1, "reused": false}\n'
    )


def test_the_slow_road_says_the_same():
    for change in ({}, {"reused": True}):
        quick, slow = served(), served(target=b"/\xc3\xa9")
        for exchange in (quick, slow):
            for name, value in change.items():
                setattr(exchange.attempts[0], name, value)
        rows = json.loads(json_line(quick, NOW)), json.loads(json_line(slow, NOW))
        assert [list(row) for row in rows] == [MEMBERS, MEMBERS]
        assert rows[1].pop("target") == "/\xc3\xa9"
        del rows[0]["target"]
        assert rows[0] == rows[1]


def test_a_request_that_no_server_saw():
    exchange = served()
    exchange.attempts.clear()
    exchange.cause, exchange.status, exchange.outcome = catalogue()["no-route"], 404, "answered"
    row = json.loads(json_line(exchange, NOW))
    assert list(row) == MEMBERS
    assert (row["cause"], row["server"], row["attempts"], row["reused"]) == ("no-route", None, 0, None)


def test_failed_attempts_are_listed():
    exchange = served()
    failed = Attempt("app", "http://app:3000", 100.0)
    failed.address, failed.phase, failed.signal, failed.t_end = "10.0.0.4:3000", PHASES.index("connect"), "refused", 100.0005
    failed.cause, failed.verdict = catalogue()["connection-refused"], "again: nothing was sent"
    exchange.attempts.insert(0, failed)
    row = json.loads(json_line(exchange, NOW))
    assert list(row) == [*MEMBERS, "tries"]
    assert (row["status"], row["cause"], row["attempts"], row["server"]) == (200, None, 2, "10.0.0.5:3000")
    assert row["tries"][0] == {
        "server": "http://app:3000", "address": "10.0.0.4:3000", "phase": "connect", "signal": "refused",
        "cause": "connection-refused", "verdict": "again: nothing was sent", "ms": 0.5,
        "resolve_ms": None, "connect_ms": None, "tls_ms": None, "send_ms": None, "head_ms": None,
    }  # fmt: skip
    assert row["tries"][1]["signal"] is None


def test_a_second_attempt_without_a_failure_needs_no_list():
    exchange = served()
    exchange.attempts.append(exchange.attempts[0])
    assert list(json.loads(json_line(exchange, NOW))) == MEMBERS


def test_a_response_that_broke_off_keeps_its_numbers():
    exchange = served()
    exchange.attempts[0].signal, exchange.attempts[0].cause = "eof", catalogue()["body-truncated"]
    exchange.cause, exchange.outcome = catalogue()["body-truncated"], "cut"
    row = json.loads(json_line(exchange, NOW))
    assert (row["outcome"], row["cause"], row["head_ms"], row["tries"][0]["cause"]) == (
        "cut",
        "body-truncated",
        9.1,
        "body-truncated",
    )


ANY = st.binary(max_size=40) | st.sampled_from(
    [b'"', b"\\", b'", "status": 1, "x": "', b"\r\n", b"\x1b[2J", b"\xe2\x80\xa8", b"%s{}"]
)


@given(ANY, ANY, ANY, st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_json_is_one_valid_line_whatever_was_sent(target, host, method, client, reference, name):
    exchange = served(target, host, method, client, reference)
    exchange.route = exchange.upstream = exchange.attempts[0].address = name
    line = json_line(exchange, NOW)
    assert line.endswith(b"}\n")
    assert re.fullmatch(rb"[ -~]+", line[:-1])
    row = json.loads(line)
    assert list(row) == MEMBERS
    assert (row["target"], row["host"], row["method"]) == tuple(raw.decode("latin-1") for raw in (target, host, method))
    assert (row["client"], row["reference"], row["route"], row["server"]) == (client, reference, name, name)


COMBINED = re.compile(
    rb'(\S+) - - \[([^\]]+)\] "([^"\\]|\\x[0-9a-f]{2})*" (\d+) (\d+|-) "([^"\\]|\\x[0-9a-f]{2})*" "([^"\\]|\\x[0-9a-f]{2})*"\n'
)


def test_combined():
    assert combined_line(served(), "20/Nov/2026:10:15:30 +0000", b"https://example.org/", b"curl/8.9") == (
        b'192.0.2.1 - - [20/Nov/2026:10:15:30 +0000] "GET /a?b=1 HTTP/1.1" 200 1234 "https://example.org/" "curl/8.9"\n'
    )


def test_combined_without_a_request():
    exchange = served(method=b"", target=b"")
    exchange.status, exchange.sent = 408, 0
    assert combined_line(exchange, "T") == b'192.0.2.1 - - [T] "" 408 - "-" "-"\n'


@pytest.mark.parametrize("raw", [b'a"b', b"a\\b", b"a\r\nb", b"a\x1b[31mb", b"a\xffb"])
def test_combined_escapes(raw):
    line = combined_line(served(), "T", raw, raw)
    assert line.endswith(b'"' + b"".join(b"%c" % c if chr(c) in "ab[31m" else b"\\x%02x" % c for c in raw) + b'"\n')


@given(ANY, ANY, ANY, st.text(min_size=1, max_size=20))
def test_combined_is_one_line_with_its_quotes_in_place(target, referer, agent, client):
    line = combined_line(served(target, client=client), "T", referer, agent)
    assert re.fullmatch(rb"[ -~]+\n", line)
    assert COMBINED.fullmatch(line)


class TracedExchange(Exchange):
    __slots__ = ("trace",)


def test_a_trace_is_told_where_there_is_one():
    plain = served()
    assert traced_json_line(plain, NOW) == json_line(plain, NOW)
    exchange = served(kind=TracedExchange)
    exchange.trace = Trace(1, "1" * 32)
    row = json.loads(traced_json_line(exchange, NOW))
    assert list(row) == [*MEMBERS, "trace_id", "span_id"]
    assert (row["trace_id"], row["span_id"]) == (exchange.trace.trace_id, exchange.trace.span_id)
    exchange.attempts[0].signal = "eof"
    assert json.loads(traced_json_line(exchange, NOW))["span_id"] == exchange.trace.span_id


def test_every_field_has_its_row_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text().split("## The access log, field by field")[1]
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")]
    shown = [name for row in rows for name in row]
    exchange = served()
    exchange.attempts[0].signal = "eof"
    row = json.loads(json_line(exchange, NOW))
    assert set(shown) == {*row, *row["tries"][0], "trace_id", "span_id"}
