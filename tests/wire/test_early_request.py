"""What is refused before a request head is complete."""

import pytest

from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.request import check_early_request

LIMITS = WireLimits()
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + b"\x5f" * 40
LEGAL = b"POST /a/b?c HTTP/1.1\r\nHost: a\r\nX: \t1\r\n\r"


def refused(buffer: bytes, limits: WireLimits = LIMITS, checked: int = 0) -> Refused:
    with pytest.raises(Refused) as caught:
        check_early_request(buffer, limits, checked)
    return caught.value


@pytest.mark.parametrize("size", range(len(LEGAL) + 1))
def test_the_beginning_of_a_legal_head_may_become_one(size: int) -> None:
    check_early_request(LEGAL[:size], LIMITS)
    check_early_request(LEGAL[:size], LIMITS, max(0, size - 3))


@pytest.mark.parametrize(
    ("rule", "kind", "buffer", "offset"),
    [
        ("not-http", "malformed", CLIENT_HELLO, 0),
        ("not-http", "malformed", CLIENT_HELLO[:3], 0),
        ("version", "unsupported", b"PRI * HTTP/2.0\r", 6),
        ("request-line", "malformed", b"GET /\0", 5),
        ("request-line", "malformed", b"GET\t/", 3),
        ("bare-lf", "malformed", b"GET / HTTP/1.1\n", 14),
        ("bare-lf", "malformed", b"GET / HTTP/1.1\r\nHost: a\nX: 1", 23),
        ("bare-cr", "malformed", b"GET / HTTP/1.1\r\nHost: a\rX: 1", 23),
    ],
)
def test_what_can_already_not_be_a_request(rule: str, kind: str, buffer: bytes, offset: int) -> None:
    refusal = refused(buffer)
    assert (refusal.facts["rule"], refusal.kind, refusal.facts["offset"]) == (rule, kind, offset)


def test_a_tls_client_is_recognised() -> None:
    assert refused(CLIENT_HELLO).facts["looks_like"] == "tls"


def test_bytes_seen_before_are_not_searched_again_but_for_the_last() -> None:
    buffer = b"GET / HTTP/1.1\r\nHost: a\r"
    assert refused(buffer + b"X", checked=len(buffer)).facts["rule"] == "bare-cr"
    assert refused(b"GET / HTTP/1.1\r\nX: 1\n", checked=19).facts["offset"] == 20


@pytest.mark.parametrize(
    ("limits", "buffer", "limit", "name"),
    [
        (WireLimits(request_line_bytes=10), b"GET /" + b"x" * 7, "request_line_bytes", None),
        (WireLimits(request_line_bytes=10), b"GET /123456\r\n", "request_line_bytes", None),
        (WireLimits(request_line_bytes=10), b"GET /" + b"x" * 30 + b"\r\n", "request_line_bytes", None),
        (WireLimits(request_header_bytes=30), b"GET / HTTP/1.1\r\nX: 1\r\nCookie: abc", "request_header_bytes", "Cookie"),
    ],
)
def test_limits_are_noticed_early(limits: WireLimits, buffer: bytes, limit: str, name: str | None) -> None:
    refusal = refused(buffer, limits)
    assert refusal.kind == "too-large"
    assert (refusal.facts["limit"], refusal.facts.get("header_name")) == (limit, name)
