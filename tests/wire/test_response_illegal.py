"""Illegal responses, each with the rule it breaks; "@@" marks the byte that is blamed."""

import pytest

from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.response import check_early_response, read_response_head

LIMITS = WireLimits()
OK = b"HTTP/1.1 200 OK\r\n"

EXAMPLES = [
    ("not-http", b"@@SSH-2.0-OpenSSH_9.6\r\n"),
    ("not-http", b"@@<html>\r\n"),
    ("not-http", b"@@\r\nHTTP/1.1 200 OK\r\n"),
    ("not-http", b"@@ HTTP/1.1 200 OK\r\n"),
    ("not-http", b"@@http/1.1 200 OK\r\n"),
    ("not-http", b"HTTP@@ 200 OK\r\n"),
    ("not-http", b"HTTP@@\r\n"),
    ("not-http", b"@@"),
    ("not-http", b"HTT@@"),
    ("not-http", b"@@X"),
    ("version", b"HTTP/@@2.0 200 OK\r\n"),
    ("version", b"HTTP/@@2 200\r\n"),
    ("version", b"HTTP/@@1.2 200 OK\r\n"),
    ("version", b"HTTP/@@0.9 200 OK\r\n"),
    ("version", b"HTTP/@@1.10 200 OK\r\n"),
    ("version", b"HTTP/@@x\r\n"),
    ("version", b"HTTP/@@\r\n"),
    ("status-line", b"HTTP/1.1@@"),
    ("status-line", b"HTTP/1.1@@\t200 OK\r\n"),
    ("version", b"HTTP/@@1.1200 OK\r\n"),
    ("status-line", b"HTTP/1.1 @@ 200 OK\r\n"),
    ("status-line", b"HTTP/1.1@@\r\n"),
    ("status-line", b"HTTP/1.1 @@\r\n"),
    ("status-code", b"HTTP/1.1 @@099 OK\r\n"),
    ("status-code", b"HTTP/1.1 @@600 OK\r\n"),
    ("status-code", b"HTTP/1.1 @@20 OK\r\n"),
    ("status-code", b"HTTP/1.1 @@2000 OK\r\n"),
    ("status-code", b"HTTP/1.1 @@OK\r\n"),
    ("status-code", b"HTTP/1.1 @@200OK\r\n"),
    ("status-code", b"HTTP/1.1 @@+20 OK\r\n"),
    ("status-code", b"HTTP/1.1 @@200\tOK\r\n"),
    ("reason", b"HTTP/1.1 200 O@@\0K\r\n"),
    ("reason", b"HTTP/1.1 200 @@\x7f\r\n"),
    ("reason", b"HTTP/1.1 200 \t@@\x1b[0m\r\n"),
    ("bare-lf", b"HTTP/1.1 200 OK@@\nX: 1\r\n"),
    ("bare-lf", b"HTTP/1.1 200@@\n\r\n"),
    ("bare-lf", OK + b"X: 1@@\nSet-Cookie: a\r\n"),
    ("bare-cr", b"HTTP/1.1 200 O@@\rK\r\n"),
    ("bare-cr", b"HTTP/1.1 200 OK@@\r\r\n"),
    ("bare-cr", OK + b"X: 1@@\r2\r\n"),
    ("obs-fold", OK + b"X: 1\r\n@@ 2\r\n"),
    ("obs-fold", OK + b"Content-Length: 1\r\n@@\t0\r\n"),
    ("space-before-colon", OK + b"Content-Length@@ : 5\r\n"),
    ("field-name", OK + b"X@@ Y: 1\r\n"),
    ("field-name", OK + b"@@: 1\r\n"),
    ("field-value", OK + b"X: @@\0\r\n"),
    ("no-colon", OK + b"X@@\r\n"),
    ("no-colon", OK + b"HTTP@@/1.1 200 OK\r\n"),
    ("length-invalid", OK + b"Content-Length: @@-1\r\n"),
    ("length-invalid", OK + b"Content-Length: @@\r\n"),
    ("length-conflict", OK + b"Content-Length: 5\r\nContent-Length: @@6\r\n"),
    ("length-and-coding", OK + b"Content-Length: 5\r\nTransfer-Encoding: @@chunked\r\n"),
    ("length-and-coding", b"HTTP/1.1 304 x\r\nContent-Length: 5\r\nTransfer-Encoding: @@chunked\r\n"),
    ("transfer-coding", OK + b"Transfer-Encoding: @@gzip\r\n"),
    ("transfer-coding", OK + b"Transfer-Encoding: @@gzip, chunked\r\n"),
    ("transfer-coding", OK + b"Transfer-Encoding: @@\r\n"),
    ("transfer-coding-position", OK + b"Transfer-Encoding: @@chunked, gzip\r\n"),
    ("transfer-coding-position", OK + b"Transfer-Encoding: @@chunked,chunked\r\n"),
    ("transfer-coding-version", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: @@chunked\r\n"),
]

pytestmark = pytest.mark.usefixtures("implementation")


def refused(head: bytes, limits: WireLimits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        read_response_head(head, b"GET", limits)
    return caught.value


def refused_early(buffer: bytes, limits: WireLimits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        check_early_response(buffer, limits)
    return caught.value


@pytest.mark.parametrize(("rule", "marked"), EXAMPLES)
def test_names_rule_and_offset(rule: str, marked: bytes) -> None:
    refusal = refused(marked.replace(b"@@", b""))
    assert (refusal.kind, refusal.facts["rule"], refusal.facts["offset"]) == ("malformed", rule, marked.index(b"@@"))


@pytest.mark.parametrize(
    ("buffer", "rule", "looks_like"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not-http", "ssh"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "not-http", "tls"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "not-http", "http2"),
        (b"X", "not-http", None),
        (b"HTTP 200", "not-http", None),
        (b"HTTP/2.0 200 OK", "version", None),
        (b"HTTP/2", "version", None),
        (b"HTTP/1.1 200 OK\nX: 1\n\n", "bare-lf", None),
        (b"HTTP/1.1 200 OK\r\nX: 1\rY", "bare-cr", None),
    ],
)
def test_another_protocol_is_recognised_by_its_first_bytes(buffer: bytes, rule: str, looks_like: str | None) -> None:
    refusal = refused_early(buffer)
    assert (refusal.facts["rule"], refusal.facts.get("looks_like")) == (rule, looks_like)


@pytest.mark.parametrize("size", range(len(OK) + 1))
def test_the_beginning_of_a_legal_head_may_become_one(size: int) -> None:
    check_early_response(OK[:size], LIMITS)


SMALL = {"response_header_line_bytes": 30, "response_header_bytes": 60, "response_header_count": 2}


@pytest.mark.parametrize(
    ("head", "limit", "seen", "name"),
    [
        (OK + b"Short: 1\r\nCookie: " + b"c" * 30 + b"\r\n", "response_header_line_bytes", 38, "Cookie"),
        (OK + b"A: 12345678901234567890\r\nB: 1234567890123456789\r\n", "response_header_bytes", 66, "A"),
        (b"HTTP/1.1 200 " + b"x" * 30 + b"\r\n", None, 0, None),
        (OK + b"A: 1\r\nB: 2\r\nC: 3\r\n", "response_header_count", 3, None),
    ],
)
def test_each_limit_names_itself(head: bytes, limit: str | None, seen: int, name: str | None) -> None:
    if limit is None:
        read_response_head(head, b"GET", WireLimits(**SMALL))
        return
    refusal = refused(head, WireLimits(**SMALL))
    assert refusal.kind == "too-large"
    assert (refusal.facts["limit"], refusal.facts["limit_value"], refusal.facts["seen"]) == (limit, SMALL[limit], seen)
    assert refusal.facts.get("header_name") == name


def test_limits_are_noticed_early() -> None:
    line = refused_early(OK + b"Cookie: " + b"c" * 30, WireLimits(**SMALL))
    assert (line.facts["limit"], line.facts["header_name"]) == ("response_header_line_bytes", "Cookie")
    section = refused_early(OK + b"A: 12345678901234567890\r\nB: 1234567890123456789", WireLimits(**SMALL))
    assert (section.facts["limit"], section.facts["seen"]) == ("response_header_bytes", 64)


def test_a_status_line_that_is_too_long_is_called_so() -> None:
    endless = refused_early(b"HTTP/1.1 200 " + b"x" * 30, WireLimits(**SMALL))
    assert (endless.facts["limit"], endless.facts["header_name"]) == ("response_header_line_bytes", "the status line")


@pytest.mark.parametrize(
    ("head", "coding"),
    [
        (OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: Cow\r\nX: 1\r\n", "gzip, Cow"),
        (OK + b"Transfer-Encoding: chunked, chunked\r\n", "chunked, chunked"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", "chunked"),
        (OK + b"Transfer-Encoding: " + b"c" * 70 + b"\r\n", "c" * 64),
    ],
)
def test_a_refused_coding_is_told_whole(head: bytes, coding: str) -> None:
    assert refused(head).facts["coding"] == coding


def test_a_version_is_shown_with_its_line_and_nothing_else() -> None:
    assert refused(b"HTTP/2 200 OK\r\nSecret: x\r\n").facts["excerpt"] == b"HTTP/2 200 OK"
    assert refused_early(b"HTTP/2 200 OK\r\nSecret: x").facts["excerpt"] == b"HTTP/2 200 OK"


def test_the_section_limit_holds_where_it_is_below_that_of_a_line() -> None:
    limits = WireLimits(response_header_bytes=20)
    assert refused(OK + b"A: 12\r\n", limits).facts["limit"] == "response_header_bytes"
    assert refused_early(OK + b"A: 12", limits).facts["limit"] == "response_header_bytes"
