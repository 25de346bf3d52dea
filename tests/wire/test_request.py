import pytest

from headgate.wire.framing import CHUNKED
from headgate.wire.limits import WireLimits
from headgate.wire.request import (
    CDN_LOOP,
    FORWARDED,
    MAX_FORWARDS,
    VIA,
    X_FORWARDED_FOR,
    X_REQUEST_ID,
    RequestHead,
    read_request_head,
)

LIMITS = WireLimits()
pytestmark = pytest.mark.usefixtures("implementation")


def read(*lines: bytes) -> RequestHead:
    return read_request_head(b"".join(line + b"\r\n" for line in lines), LIMITS)


def get(*lines: bytes) -> RequestHead:
    return read(b"GET / HTTP/1.1", b"Host: a", *lines)


def test_a_plain_request() -> None:
    head = read(
        b"GET /a/b?c=d HTTP/1.1", b"Host: Example.ORG:8080", b"Accept: */*", b"accept:  text/html ", b"Connection: keep-alive"
    )
    assert (head.method, head.target, head.forward_target, head.path) == (b"GET", b"/a/b?c=d", b"/a/b?c=d", b"/a/b")
    assert (head.host, head.minor, head.keep_alive, head.length) == (b"example.org:8080", 1, True, 0)
    assert (head.expect, head.upgrade, head.te_trailers, head.managed) == (False, b"", False, None)
    assert head.forward == b"Accept: */*\r\naccept:  text/html \r\n"


def test_the_same_bytes_give_the_same_again() -> None:
    lines = (
        b"POST /?x HTTP/1.1",
        b"Host: a",
        b"Via: 1.1 b",
        b"X_Forwarded_For: 1",
        b"Content-Length: 3",
        b"Expect: 100-continue",
        b"A: b",
    )
    first, second = ({name: getattr(head, name) for name in RequestHead.__slots__} for head in (read(*lines), read(*lines)))
    assert first == second


def test_a_request_without_end_to_end_fields_forwards_nothing() -> None:
    assert get().forward == b""


def test_http_1_0_needs_no_host_and_closes() -> None:
    head = read(b"GET / HTTP/1.0")
    assert (head.host, head.minor, head.keep_alive, head.forward) == (b"", 0, False, b"")


@pytest.mark.parametrize(("version", "minor"), [(b"HTTP/1.0", 0), (b"HTTP/1.1", 1), (b"HTTP/1.2", 1), (b"HTTP/1.9", 1)])
def test_later_minor_versions_are_read_as_1_1(version: bytes, minor: int) -> None:
    assert read(b"GET / " + version, b"Host: a").minor == minor


@pytest.mark.parametrize(
    ("minor", "connection", "keep_alive"),
    [
        (1, b"close", False),
        (1, b"Close", False),
        (1, b"keep-alive, close", False),
        (1, b"Keep-Alive", True),
        (1, b"x", True),
        (1, b"", True),
        (0, b"keep-alive", True),
        (0, b"Keep-Alive, x", True),
        (0, b"keep-alive, close", False),
        (0, b"x", False),
    ],
)
def test_persistence(minor: int, connection: bytes, keep_alive: bool) -> None:
    assert read(b"GET / HTTP/1.%d" % minor, b"Host: a", b"Connection: " + connection).keep_alive is keep_alive


def test_hop_by_hop_and_nominated_fields_end_here() -> None:
    head = get(
        b"Connection: close, X-One ,x-two,, TE",
        b"X-One: 1",
        b"X-Two: 2",
        b"X-Three: 3",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers, deflate",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Upgrade: h2c",
        b"Trailer: Checksum",
        b"Proxy-Authorization: Basic eA==",
    )
    assert head.forward == b"X-Three: 3\r\nTrailer: Checksum\r\nProxy-Authorization: Basic eA==\r\n"
    assert head.te_trailers
    assert head.upgrade == b""


def test_nominating_a_field_of_the_gateway_changes_nothing() -> None:
    head = get(
        b"Connection: Via, Host, X-Forwarded-For, Content-Length", b"Via: 1.1 x", b"X-Forwarded-For: 1", b"Content-Length: 2"
    )
    assert head.forward == b"Via: 1.1 x\r\n"
    assert head.length == 2
    assert head.managed == {VIA: b"1.1 x", X_FORWARDED_FOR: b"1"}


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: websocket"), b"websocket"),
        ((b"Connection: keep-alive, upgrade", b"Upgrade: h2c, WebSocket"), b"WebSocket"),
        ((b"Connection: upgrade", b"Upgrade: a/1", b"Upgrade: b, ,c d, /"), b"a/1, b"),
        ((b"Upgrade: websocket",), b""),
        ((b"Connection: upgrade",), b""),
    ],
)
def test_upgrade_is_offered_only_where_connection_says_so(lines: tuple[bytes, ...], upgrade: bytes) -> None:
    head = get(*lines)
    assert (head.upgrade, head.forward) == (upgrade, b"")


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_an_offer_with_a_body_is_withdrawn(framing: bytes) -> None:
    """Some servers take what follows such a head for the other protocol, or for the next request, instead of its body."""
    assert get(b"Connection: upgrade", b"Upgrade: websocket", framing).upgrade == b""


def test_http_1_0_cannot_upgrade() -> None:
    assert read(b"GET / HTTP/1.0", b"Connection: upgrade", b"Upgrade: websocket").upgrade == b""


def test_managed_values_are_joined_and_their_lines_removed_but_for_via_and_cdn_loop() -> None:
    head = get(
        b"Via: 1.1 a",
        b"X-Forwarded-For: 1.2.3.4",
        b"x-forwarded-for:  5.6.7.8 ",
        b"CDN-Loop: b",
        b"Forwarded: for=c",
        b"X-Request-Id: d",
        b"VIA: 1.0 e",
        b"Max-Forwards: 3",
        b"X-Real-IP: f",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: g",
        b"X-Forwarded-Port: 443",
        b"X-Forwarded-Server: h",
    )
    assert head.forward == b"Via: 1.1 a\r\nCDN-Loop: b\r\nVIA: 1.0 e\r\nX-Forwarded-Server: h\r\n"
    assert head.managed is not None
    assert len(head.managed) == 10
    assert head.managed[VIA] == b"1.1 a, 1.0 e"
    assert head.managed[X_FORWARDED_FOR] == b"1.2.3.4, 5.6.7.8"
    assert (head.managed[CDN_LOOP], head.managed[FORWARDED], head.managed[X_REQUEST_ID]) == (b"b", b"for=c", b"d")
    assert head.managed[MAX_FORWARDS] == b"3"


@pytest.mark.parametrize(
    "name",
    [b"Content_Length", b"Transfer_Encoding", b"X_Forwarded_For", b"x-forwarded_for", b"X_REAL_IP", b"Keep_Alive", b"CDN_Loop"],
)
def test_names_that_a_cgi_server_would_confuse_are_dropped(name: bytes) -> None:
    head = get(name + b": 7", b"X_Other: 1")
    assert (head.forward, head.length, head.managed) == (b"X_Other: 1\r\n", 0, None)


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ((b"Content-Length: 0",), 0),
        ((b"Content-Length: 5",), 5),
        ((b"content-length:5 ",), 5),
        ((b"Content-Length:\t05\t",), 5),
        ((b"Content-Length: 5, 5",), 5),
        ((b"Content-Length: 5", b"CONTENT-LENGTH: 5"), 5),
        ((b"Content-Length: 999999999999999999",), 10**18 - 1),
        ((b"Transfer-Encoding: chunked",), CHUNKED),
        ((b"transfer-encoding:\tChunked ",), CHUNKED),
    ],
)
def test_framing_has_one_canonical_form(lines: tuple[bytes, ...], length: int) -> None:
    head = get(*lines)
    assert (head.length, head.forward, head.keep_alive) == (length, b"", True)


@pytest.mark.parametrize(
    ("start", "lines", "expect", "forward"),
    [
        (b"POST / HTTP/1.1", (b"Expect: 100-continue", b"Content-Length: 1"), True, b""),
        (b"POST / HTTP/1.1", (b"expect: 100-Continue", b"Transfer-Encoding: chunked"), True, b""),
        (b"POST / HTTP/1.1", (b"Expect: 100-continue, tea", b"Content-Length: 1"), True, b"Expect: tea\r\n"),
        (b"POST / HTTP/1.1", (b"Expect: tea=green", b"Content-Length: 1"), False, b"Expect: tea=green\r\n"),
        (b"POST / HTTP/1.1", (b"Expect: 100-continue",), False, b""),
        (b"POST / HTTP/1.0", (b"Expect: 100-continue", b"Content-Length: 1"), False, b""),
    ],
)
def test_expectations(start: bytes, lines: tuple[bytes, ...], expect: bool, forward: bytes) -> None:
    head = read(start, b"Host: a", *lines)
    assert (head.expect, head.forward) == (expect, forward)


@pytest.mark.parametrize(
    ("request_line", "forward_target", "path", "host"),
    [
        (b"GET http://Other:81/x?y HTTP/1.1", b"/x?y", b"/x", b"other:81"),
        (b"GET HTTPS://other HTTP/1.1", b"/", b"/", b"other"),
        (b"GET http://other?x HTTP/1.1", b"/?x", b"/", b"other"),
        (b"GET http://other/a/../b HTTP/1.1", b"/b", b"/b", b"other"),
        (b"OPTIONS http://other HTTP/1.1", b"*", b"*", b"other"),
        (b"OPTIONS http://other/ HTTP/1.1", b"/", b"/", b"other"),
        (b"OPTIONS * HTTP/1.1", b"*", b"*", b"a"),
        (b"GET //other/x HTTP/1.1", b"//other/x", b"//other/x", b"a"),
        (b"GET http://[::1]:80/ HTTP/1.1", b"/", b"/", b"[::1]:80"),
    ],
)
def test_targets_in_other_forms(request_line: bytes, forward_target: bytes, path: bytes, host: bytes) -> None:
    head = read(request_line, b"Host: a")
    assert (head.forward_target, head.path, head.host) == (forward_target, path, host)
    assert head.target == request_line.split()[1]


def test_an_absolute_target_serves_http_1_0_without_host() -> None:
    assert read(b"GET http://other/ HTTP/1.0").host == b"other"


def test_dot_segments_are_resolved_for_matching_and_for_the_server_alike() -> None:
    head = read(b"GET /public/%2E%2e/admin/./x?a=/../b HTTP/1.1", b"Host: a")
    assert (head.path, head.forward_target) == (b"/admin/x", b"/admin/x?a=/../b")


def test_a_method_nobody_registered_goes_on() -> None:
    assert read(b"PURGE!x / HTTP/1.1", b"Host: a").method == b"PURGE!x"
