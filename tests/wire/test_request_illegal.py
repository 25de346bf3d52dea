"""Illegal requests, each with the rule it breaks; "@@" marks the byte that is blamed."""

import pytest

from headgate.wire.limits import WireLimits
from headgate.wire.refusal import RULES, Refused
from headgate.wire.request import read_request_head

LIMITS = WireLimits()
HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST

LINES = [
    ("request-line", b"@@\r\nGET / HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET /@@\r\nHost: a\r\n"),
    ("request-line", b"GET@@\r\n"),
    ("request-line", b"@@ GET / HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"@@ / HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET @@ / HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET @@ HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET / @@ HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET / HTTP/1.1 @@\r\nHost: a\r\n"),
    ("request-line", b"GET / HTTP/1.1 @@x\r\nHost: a\r\n"),
    ("request-line", b"GET /a b @@HTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET@@\t/\tHTTP/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET / @@http/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET / @@HTTP/1.10\r\nHost: a\r\n"),
    ("request-line", b"GET / @@HTTP/1\r\nHost: a\r\n"),
    ("request-line", b"GET / @@HTTPS/1.1\r\nHost: a\r\n"),
    ("request-line", b"GET /@@\0 HTTP/1.1 \r\nHost: a\r\n"),
    ("request-line", b"@@"),
    ("request-line", b"GET / HTTP/1.1@@"),
    ("version", b"GET / @@HTTP/2.0\r\nHost: a\r\n"),
    ("version", b"GET / @@HTTP/0.9\r\nHost: a\r\n"),
    ("version", b"PRI * @@HTTP/2.0\r\n"),
    ("bare-lf", b"GET / HTTP/1.1@@\nHost: a\r\n"),
    ("bare-lf", b"GET / HTTP/1.1@@\nHost: a\n"),
    ("bare-lf", b"GET /@@\nHTTP/1.1\r\nHost: a\r\n"),
    ("bare-cr", b"GET / HTTP/1.1@@\r\r\nHost: a\r\n"),
    ("bare-cr", b"GET / HTTP/1.1@@\rHost: a\r\n"),
    ("bare-cr", b"GET /@@\rx HTTP/1.1\r\nHost: a\r\n"),
    ("method", b"@@CONNECT a:443 HTTP/1.1\r\nHost: a\r\n"),
    ("method", b"@@TRACE / HTTP/1.1\r\nHost: a\r\n"),
    ("method", b"@@head / HTTP/1.1\r\nHost: a\r\n"),
    ("method", b"G@@(T / HTTP/1.1\r\nHost: a\r\n"),
    ("method", b"GE\xc3T / HTTP/1.1\r\nHost: a\r\n".replace(b"\xc3", b"@@\xc3")),
    ("target", b"GET @@index.html HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET @@* HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"OPTIONS @@** HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET @@a:443 HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET @@ftp://a/ HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET @@http:/a/ HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET /@@#x HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET /@@\xc3\xa9 HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET /@@\x7f HTTP/1.1\r\nHost: a\r\n"),
    ("target", b"GET /a@@\tb HTTP/1.1\r\nHost: a\r\n"),
]

FIELDS = [
    ("obs-fold", GET + b"X: 1\r\n@@ 2\r\n"),
    ("obs-fold", GET + b"X: 1\r\n@@\t2\r\n"),
    ("obs-fold", b"GET / HTTP/1.1\r\n@@ Host: a\r\n"),
    ("obs-fold", b"GET / HTTP/1.1\r\n@@ Host: a\r\nHost: b\r\n"),
    ("space-before-colon", GET + b"Transfer-Encoding@@ : chunked\r\n"),
    ("space-before-colon", GET + b"X@@\t: 1\r\n"),
    ("field-name", GET + b"@@: 1\r\n"),
    ("field-name", GET + b"X@@\0: 1\r\n"),
    ("field-name", GET + b"X@@ Y: 1\r\n"),
    ("field-name", GET + b"X@@\x0b: 1\r\n"),
    ("field-name", GET + b"X@@(: 1\r\n"),
    ("field-name", GET + b"@@\xef\xbb\xbfX: 1\r\n"),
    ("no-colon", GET + b"X@@\r\n"),
    ("no-colon", GET + b"Host@@\r\n"),
    ("no-colon", GET + b"X@@ 1\r\n"),
    ("no-colon", GET + b"@@\r\nX: 1\r\n"),
    ("no-colon", GET + b"X@@\0\r\n"),
    ("field-value", GET + b"X: @@\x00\r\n"),
    ("field-value", GET + b"X: a@@\x7f\r\n"),
    ("field-value", GET + b"X: a@@\x0bb\r\n"),
    ("field-value", GET + b"X: @@\x1b[31m\r\n"),
    ("field-value", GET + b"Transfer-Encoding: chunked@@\x0b\r\n"),
    ("field-value", GET + b"Transfer-Encoding:@@\x0cchunked\r\n"),
    ("field-value", GET + b"Expect: @@y 100-continue\r\n"),
    ("bare-lf", GET + b"X: 1@@\nTransfer-Encoding: chunked\r\n"),
    ("bare-lf", GET + b"X@@\nY: 1\r\n"),
    ("bare-lf", GET + b"X: 1@@\n"),
    ("bare-lf", GET + b"X: @@1"),
    ("bare-cr", GET + b"X: 1@@\rTransfer-Encoding: chunked\r\n"),
    ("bare-cr", GET + b"X: 1@@\r\r\n"),
    ("bare-cr", GET + b"X@@\rY: 1\r\n"),
    ("host-missing", b"GET / HTTP/1.1\r\nX: 1@@\r\n"),
    ("host-missing", b"GET / HTTP/1.1@@\r\n"),
    ("host-missing", b"GET http://a/ HTTP/1.1@@\r\n"),
    ("host-missing", b"GET / HTTP/1.1\r\nHo_st: a\r\nX_Host: a@@\r\n"),
    ("host-repeated", GET + b"Host: @@a\r\n"),
    ("host-repeated", GET + b"HOST: @@b\r\n"),
    ("host-repeated", b"GET / HTTP/1.0\r\nHost: a\r\nHost: @@a\r\n"),
]

HOSTS = [
    b"", b"a b", b"a,b", b"a/b", b"user@a", b"user:password@a", b"a:b", b"a:65536", b"a:123456", b"a:-1", b"a:80:80", b":80",
    b"[::1", b"::1", b"[::1]]", b"[::g]", b"[1]", b"[::1%25eth0]", b"[v1.x]", b"a\xe9", b"%61", b"a'b", b"a;b", b"a?b", b"a\\b",
    b"x" * 300, b"a\tb", b"[]", b"[::1]x",
]  # fmt: skip

FRAMING = [
    ("length-invalid", POST + b"Content-Length: @@\r\n"),
    ("length-invalid", POST + b"Content-Length: @@+5\r\n"),
    ("length-invalid", POST + b"Content-Length: @@-5\r\n"),
    ("length-invalid", POST + b"Content-Length: @@0x5\r\n"),
    ("length-invalid", POST + b"Content-Length: @@5.0\r\n"),
    ("length-invalid", POST + b"Content-Length: @@5_0\r\n"),
    ("length-invalid", POST + b"Content-Length: @@5 5\r\n"),
    ("length-invalid", POST + b"Content-Length: @@5,\r\n"),
    ("length-invalid", POST + b"Content-Length: @@,5\r\n"),
    ("length-invalid", POST + b"Content-Length: @@5;a=b\r\n"),
    ("length-invalid", POST + b'Content-Length: @@"5"\r\n'),
    ("length-invalid", POST + b"Content-Length: @@\xb2\r\n"),
    ("length-invalid", POST + b"Content-Length: @@1000000000000000000\r\n"),
    ("length-invalid", POST + b"Content-Length: @@18446744073709551621\r\n"),
    ("length-invalid", POST + b"Content-Length: 5\r\nContent-Length: @@\r\n"),
    ("length-conflict", POST + b"Content-Length: 5\r\nContent-Length: @@6\r\n"),
    ("length-conflict", POST + b"Content-Length: 5\r\nX: 1\r\ncontent-length: @@0\r\n"),
    ("length-conflict", POST + b"Content-Length: @@5, 6\r\n"),
    ("length-conflict", POST + b"Content-Length: @@5, 05\r\n"),
    ("length-and-coding", POST + b"Content-Length: 5\r\nTransfer-Encoding: @@chunked\r\n"),
    ("length-and-coding", POST + b"Transfer-Encoding: @@chunked\r\nContent-Length: 5\r\n"),
    ("length-and-coding", POST + b"Transfer-Encoding: @@identity\r\nContent-Length: 5\r\n"),
    ("length-and-coding", POST + b"Transfer-Encoding: @@chunked\r\nContent-Length: 0\r\n"),
    ("transfer-coding-version", b"POST / HTTP/1.0\r\nTransfer-Encoding: @@chunked\r\n"),
    ("transfer-coding-version", b"POST / HTTP/1.0\r\nTransfer-Encoding: @@chunked\r\nContent-Length: 5\r\n"),
    ("transfer-coding-position", POST + b"Transfer-Encoding: @@chunked, chunked\r\n"),
    ("transfer-coding-position", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: @@chunked\r\n"),
    ("transfer-coding-position", POST + b"Transfer-Encoding: @@chunked, identity\r\n"),
    ("transfer-coding-position", POST + b"Transfer-Encoding: chunked\r\nTransfer-encoding: @@cow\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@xchunked\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@identity\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@gzip, chunked\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@,chunked\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@chunked,\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@chunked;q=1\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@chunked foo\r\n"),
    ("transfer-coding", POST + b"Transfer-Encoding: @@chunke\xe4\r\n"),
    ("transfer-coding", POST + b'Transfer-Encoding: @@"chunked"\r\n'),
    ("transfer-coding", POST + b"Transfer-Encoding: cow\r\nTransfer-Encoding: @@chunked\r\n"),
]

UNSUPPORTED = {"version", "transfer-coding"}
"""Rules whose refusal is a matter of what is spoken here, not of legality; so is "method" for the methods of the standard."""

pytestmark = pytest.mark.usefixtures("implementation")


def refused(head: bytes, limits: WireLimits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        read_request_head(head, limits)
    return caught.value


@pytest.mark.parametrize(("rule", "marked"), LINES + FIELDS + FRAMING)
def test_names_rule_and_offset(rule: str, marked: bytes) -> None:
    head = marked.replace(b"@@", b"")
    refusal = refused(head)
    assert (refusal.facts["rule"], refusal.facts["offset"]) == (rule, marked.index(b"@@"))
    assert refusal.facts["excerpt"] in head
    assert len(refusal.facts["excerpt"]) <= 64
    assert RULES[rule] in str(refusal)
    if rule != "method":
        assert refusal.kind == ("unsupported" if rule in UNSUPPORTED else "malformed")


@pytest.mark.parametrize("host", HOSTS)
def test_refuses_a_host_that_two_readers_could_understand_differently(host: bytes) -> None:
    refusal = refused(b"GET / HTTP/1.1\r\nX: 1\r\nHost: " + host + b"\r\nY: 2\r\n")
    assert (refusal.kind, refusal.facts["rule"], refusal.facts["offset"]) == ("malformed", "host-invalid", 28)
    assert refusal.facts["header_name"] == "Host"


@pytest.mark.parametrize("authority", [b"", b"user@a", b"a,b", b"a:x", b"[::1"])
def test_refuses_such_a_host_in_an_absolute_target_too(authority: bytes) -> None:
    refusal = refused(b"GET http://" + authority + b"/ HTTP/1.1\r\nHost: a\r\n")
    assert (refusal.facts["rule"], refusal.facts["offset"]) == ("host-invalid", 11)


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"get", b"Head", b"tRACE"])
def test_methods_of_the_standard_that_are_not_served_are_unsupported(method: bytes) -> None:
    assert refused(method + b" / HTTP/1.1\r\nHost: a\r\n").kind == "unsupported"


def test_a_method_that_is_no_token_is_malformed() -> None:
    assert refused(b"G(T / HTTP/1.1\r\nHost: a\r\n").kind == "malformed"


def test_the_field_concerned_is_named() -> None:
    assert refused(GET + b"X-Thing: \0\r\n").facts["header_name"] == "X-Thing"
    assert refused(POST + b"content-length: x\r\n").facts["header_name"] == "Content-Length"


@pytest.mark.parametrize(
    ("limit", "value", "head", "seen"),
    [
        ("request_line_bytes", 20, b"GET /1234567 HTTP/1.1\r\nHost: a\r\n", 21),
        ("request_header_bytes", 40, b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: 1234567\r\n", 42),
        ("request_header_count", 2, b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n", 3),
    ],
)
def test_each_limit_names_itself(limit: str, value: int, head: bytes, seen: int) -> None:
    refusal = refused(head, WireLimits(**{limit: value}))
    assert refusal.kind == "too-large"
    assert (refusal.facts["limit"], refusal.facts["limit_value"], refusal.facts["seen"]) == (limit, value, seen)
    assert limit in str(refusal)
    read_request_head(head, WireLimits(**{limit: seen}))


@pytest.mark.parametrize("head", [b"\n" + b"x" * 200, b"x" * 200, b"\r\n" + b"x" * 200])
def test_a_large_head_without_a_first_line_is_too_large(head: bytes) -> None:
    assert refused(head, WireLimits(request_header_bytes=100)).facts["limit"] == "request_header_bytes"


def test_the_largest_line_is_named_when_the_section_is_too_large() -> None:
    refusal = refused(GET + b"X: 1\r\nCookie: " + b"c" * 90 + b"\r\nY: 2\r\n", WireLimits(request_header_bytes=100))
    assert refusal.facts["header_name"] == "Cookie"
