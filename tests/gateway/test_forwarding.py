"""What the heads that go on say, as bytes in and bytes out."""

import re
from ipaddress import ip_network

import pytest

from headgate.gateway.forwarding import (
    forwarding_lines,
    is_loop,
    request_lines,
    response_lines,
    told_client,
    told_reference,
    told_scheme,
    within,
)
from headgate.wire.limits import WireLimits
from headgate.wire.request import (
    CDN_LOOP,
    FORWARDED,
    VIA,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    X_REQUEST_ID,
    read_request_head,
)
from headgate.wire.response import read_response_head

LIMITS = WireLimits()
TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
VIA_LINES = b"Via: 1.1 headgate-1\r\nCDN-Loop: headgate-1\r\n"


def request(text):
    return read_request_head(text.replace(b"\n", b"\r\n"), LIMITS)


def response(text, method=b"GET"):
    return read_response_head(text.replace(b"\n", b"\r\n"), method, LIMITS)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("fd00::1%eth0", True),
        ("unix", False),
        ("", False),
        ("10.1.2.3:80", False),
    ],
)
def test_within(address, inside):
    assert within(address, TRUSTED) is inside
    assert not within(address, [])


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"", "10.0.0.1"),
        (b"203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (b"10.0.0.9,10.0.0.8", "10.0.0.9"),
        (b"203.0.113.9, rubbish, 10.0.0.7", "10.0.0.7"),
        (b"rubbish", "10.0.0.1"),
        (b", ,203.0.113.9,", "203.0.113.9"),
        (b"2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_trusted(chain, client):
    assert told_client({X_FORWARDED_FOR: chain}, "10.0.0.1", TRUSTED) == client


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        (b"abc-1", "abc-1"),
        (b"", None),
        (b"a b", None),
        (b"x" * 128, "x" * 128),
        (b"x" * 129, None),
        (b"a\xff", None),
        (b'"', None),
    ],
)
def test_the_reference_is_one_plain_token(value, reference):
    assert told_reference({X_REQUEST_ID: value}) == reference
    assert told_reference({}) is None


def test_the_scheme():
    assert told_scheme({}, "http") == "http"
    assert told_scheme({X_FORWARDED_PROTO: b"HTTPS"}, "http") == "https"
    assert told_scheme({X_FORWARDED_PROTO: b"https, http"}, "http") == "http"
    assert told_scheme({X_FORWARDED_PROTO: b"gopher"}, "http") == "http"


def test_lines_about_an_untrusted_client():
    assert forwarding_lines("192.0.2.1", "https", b"example.org") == (
        b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n"
        b"Forwarded: for=192.0.2.1;host=example.org;proto=https\r\n"
    )


@pytest.mark.parametrize(
    ("peer", "host", "element"),
    [
        ("2001:db8::1", b"a", b'for="[2001:db8::1]";host=a;proto=http'),
        ("192.0.2.1", b"a:8080", b'for=192.0.2.1;host="a:8080";proto=http'),
        ("192.0.2.1", b"[::1]:80", b'for=192.0.2.1;host="[::1]:80";proto=http'),
        ("unix", b"a", b"for=_unix;host=a;proto=http"),
    ],
)
def test_forwarded_quotes_what_is_no_token(peer, host, element):
    assert forwarding_lines(peer, "http", host).endswith(b"Forwarded: %b\r\n" % element)


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "unix"])
def test_forwarded_is_left_out_of_no_grammar(peer):
    """Without a Host (HTTP/1.0) too, the element is one that RFC 7239 section 4 allows."""
    lines = forwarding_lines(peer, "http", b"")
    element = lines.split(b"Forwarded: ")[1].rstrip(b"\r\n")
    value = rb'([!#$%&\'*+.^_`|~0-9A-Za-z-]+|"[^"\\]*")'
    assert re.fullmatch(rb"[a-z]+=%b(;[a-z]+=%b)*" % (value, value), element)


def test_the_chain_of_a_trusted_proxy_is_continued():
    managed = {
        X_FORWARDED_FOR: b"203.0.113.9",
        X_FORWARDED_PROTO: b"https",
        X_FORWARDED_HOST: b"shop.example",
        FORWARDED: b"for=203.0.113.9",
    }
    assert forwarding_lines("10.0.0.1", "http", b"inner", managed) == (
        b"X-Forwarded-For: 203.0.113.9, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n"
        b"Forwarded: for=203.0.113.9, for=10.0.0.1;host=inner;proto=https\r\n"
    )


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"Via: 1.1 headgate-1", "Via"),
        (b"Via: 1.0 fred, 1.1 headgate-1 (comment)", "Via"),
        (b"Via: 1.1 headgate-12", None),
        (b"Via: 1.1 x-headgate-1", None),
        (b"CDN-Loop: other, headgate-1; a=b", "CDN-Loop"),
        (b"CDN-Loop: other", None),
        (b"X-Via: 1.1 headgate-1", None),
    ],
)
def test_loops(line, field):
    assert is_loop(request(b"GET / HTTP/1.1\nHost: a\n" + line + b"\n"), b"headgate-1") == field


def sent(text, host=b"a"):
    lines = request_lines(request(text), host, b"X-Forwarded-For: 1\r\n", "ref-1", VIA_LINES)
    assert lines.endswith(b"\r\n\r\n")
    return lines


def test_the_head_for_the_server():
    assert sent(b"GET /a/../b?c HTTP/1.1\nHost: A\nAccept: */*\nVia: 1.0 fred\nConnection: X\nX: 1\n") == (
        b"GET /b?c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nVia: 1.0 fred\r\nX-Forwarded-For: 1\r\nX-Request-Id: ref-1\r\n"
        + VIA_LINES
        + b"\r\n"
    )


@pytest.mark.parametrize(
    ("text", "framing"),
    [
        (b"GET / HTTP/1.1\nHost: a\n", None),
        (b"POST / HTTP/1.1\nHost: a\n", b"Content-Length: 0"),
        (b"GET / HTTP/1.1\nHost: a\nContent-Length: 0\n", None),
        (b"PUT / HTTP/1.1\nHost: a\nContent-Length: 007\n", b"Content-Length: 7"),
        (b"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n", b"Transfer-Encoding: chunked"),
        (b"DELETE / HTTP/1.1\nHost: a\n", None),
    ],
)
def test_one_canonical_framing(text, framing):
    lines = [line for line in sent(text).split(b"\r\n") if line.lower().startswith((b"content-length", b"transfer-encoding"))]
    assert lines == ([framing] if framing else [])


def test_expect_te_and_upgrade_are_said_anew():
    lines = sent(b"POST / HTTP/1.1\nHost: a\nExpect: 100-Continue\nContent-Length: 5\n")
    assert b"\r\nExpect: 100-continue\r\n" in lines
    lines = sent(b"GET / HTTP/1.1\nHost: a\nTE: trailers, gzip\nConnection: TE, Upgrade, close\nUpgrade: websocket\n")
    assert b"\r\nTE: trailers\r\nUpgrade: websocket\r\nConnection: TE, Upgrade\r\n" in lines
    assert b"close" not in lines
    assert b"gzip" not in lines


@pytest.mark.parametrize(
    ("text", "minor", "keep", "expected"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 5\nX: y\n", 1, True, b"HTTP/1.1 200 OK\nX: y\nContent-Length: 5\n"),
        (b"HTTP/1.0 200 OK\nContent-Length: 5\n", 1, True, b"HTTP/1.1 200 OK\nContent-Length: 5\n"),
        (b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", 1, True, b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n"),
        (b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", 0, False, b"HTTP/1.1 200 OK\nConnection: close\n"),
        (b"HTTP/1.0 200 OK\n", 1, True, b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n"),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n", 0, True, b"HTTP/1.1 200 OK\nContent-Length: 5\nConnection: keep-alive\n"),
        (b"HTTP/1.1 204 No Content\n", 1, True, b"HTTP/1.1 204 No Content\n"),
        (b"HTTP/1.1 304 Not Modified\nContent-Length: 9\n", 1, True, b"HTTP/1.1 304 Not Modified\nContent-Length: 9\n"),
        (
            b"HTTP/1.1 200 OK\nConnection: close, X\nX: y\nKeep-Alive: timeout=5\nContent-Length: 0\n",
            1,
            True,
            b"HTTP/1.1 200 OK\nContent-Length: 0\n",
        ),
        (b"HTTP/1.1 200\nContent-Length: 0\n", 1, True, b"HTTP/1.1 200 \nContent-Length: 0\n"),
    ],
)
def test_the_head_for_the_client(text, minor, keep, expected):
    assert response_lines(response(text), minor=minor, keep=keep, extra=b"") == (expected + b"\n").replace(b"\n", b"\r\n")


def test_the_answer_to_head_announces_its_body():
    head = response(b"HTTP/1.1 200 OK\nContent-Length: 5000\n", b"HEAD")
    assert b"Content-Length: 5000\r\n" in response_lines(head, minor=1, keep=True, extra=b"")


def test_managed_fields_are_known_by_their_numbers():
    head = request(b"GET / HTTP/1.1\nHost: a\nVia: 1.1 a\nVia: 1.1 b\nCDN-Loop: c\n")
    assert head.managed == {VIA: b"1.1 a, 1.1 b", CDN_LOOP: b"c"}
