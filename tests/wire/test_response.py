import pytest

from headgate.wire.framing import CHUNKED, UNTIL_CLOSE
from headgate.wire.limits import WireLimits
from headgate.wire.response import PROXY_STATUS, VIA, ResponseHead, read_response_head

LIMITS = WireLimits()
pytestmark = pytest.mark.usefixtures("implementation")


def read(status_line: bytes, *lines: bytes, method: bytes = b"GET") -> ResponseHead:
    return read_response_head(b"".join(line + b"\r\n" for line in (status_line, *lines)), method, LIMITS)


def ok(*lines: bytes) -> ResponseHead:
    return read(b"HTTP/1.1 200 OK", *lines)


def test_a_plain_response() -> None:
    head = ok(
        b"Date: now", b"Content-Type: text/html", b"Content-Length: 12", b"Connection: keep-alive", b"Content-Encoding: GZip"
    )
    assert (head.status, head.minor, head.reason_line) == (200, 1, b"200 OK")
    assert head.forward == b"Date: now\r\nContent-Type: text/html\r\nContent-Encoding: GZip\r\n"
    assert (head.length, head.announced, head.keep_alive, head.keep_alive_timeout) == (12, 12, True, -1.0)
    assert (head.upgrade, head.coding, head.managed) == (b"", b"gzip", None)


@pytest.mark.parametrize(
    ("line", "status", "minor", "reason_line"),
    [
        (b"HTTP/1.0 404 Not Found", 404, 0, b"404 Not Found"),
        (b"HTTP/1.1 200 ", 200, 1, b"200 "),
        (b"HTTP/1.1 200", 200, 1, b"200 "),
        (b"HTTP/1.1 599 \xc3\xa9 \t!", 599, 1, b"599 \xc3\xa9 \t!"),
        (b"HTTP/1.1 200  two spaces", 200, 1, b"200  two spaces"),
    ],
)
def test_status_lines(line: bytes, status: int, minor: int, reason_line: bytes) -> None:
    head = read(line)
    assert (head.status, head.minor, head.reason_line) == (status, minor, reason_line)


NONE, LENGTH, CODED = (), (b"Content-Length: 7",), (b"Transfer-Encoding: chunked",)


@pytest.mark.parametrize(
    ("method", "status", "lines", "length", "announced"),
    [
        # RFC 9112 6.3, in its order.
        (b"HEAD", 200, NONE, 0, -1),
        (b"HEAD", 200, LENGTH, 0, 7),
        (b"HEAD", 200, CODED, 0, -1),
        (b"GET", 100, NONE, 0, -1),
        (b"GET", 103, LENGTH, 0, -1),
        (b"GET", 101, LENGTH, 0, -1),
        (b"GET", 101, CODED, 0, -1),
        (b"GET", 204, NONE, 0, -1),
        (b"GET", 204, LENGTH, 0, -1),
        (b"GET", 204, CODED, 0, -1),
        (b"HEAD", 204, LENGTH, 0, -1),
        (b"GET", 304, NONE, 0, -1),
        (b"GET", 304, LENGTH, 0, 7),
        (b"GET", 304, CODED, 0, -1),
        (b"GET", 200, CODED, CHUNKED, -1),
        (b"GET", 404, LENGTH, 7, 7),
        (b"POST", 205, LENGTH, 7, 7),
        (b"GET", 200, (b"Content-Length: 0",), 0, 0),
        (b"GET", 200, (b"Content-Length: 7", b"Content-Length: 7"), 7, 7),
        (b"GET", 200, (b"Content-Length: 7, 7",), 7, 7),
        (b"GET", 200, NONE, UNTIL_CLOSE, -1),
    ],
)
def test_body_length(method: bytes, status: int, lines: tuple[bytes, ...], length: int, announced: int) -> None:
    head = read(b"HTTP/1.1 %d x" % status, *lines, method=method)
    assert (head.length, head.announced, head.forward) == (length, announced, b"")


@pytest.mark.parametrize(
    ("line", "lines", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", LENGTH, True),
        (b"HTTP/1.1 200 OK", (*LENGTH, b"Connection: close"), False),
        (b"HTTP/1.1 200 OK", (*LENGTH, b"Connection: x", b"connection: Close"), False),
        (b"HTTP/1.0 200 OK", LENGTH, False),
        (b"HTTP/1.0 200 OK", (*LENGTH, b"Connection: Keep-Alive"), True),
        (b"HTTP/1.1 200 OK", (b"Connection: keep-alive",), False),
        (b"HTTP/1.1 101 Switching Protocols", (b"Connection: upgrade",), False),
        (b"HTTP/1.1 100 Continue", (), True),
    ],
)
def test_persistence(line: bytes, lines: tuple[bytes, ...], keep_alive: bool) -> None:
    assert read(line, *lines).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5.0),
        (b"max=100, Timeout = 65", 65.0),
        (b'timeout="7", max=2', 7.0),
        (b"timeout=0", 0.0),
        (b"max=100", -1.0),
        (b"timeout=x", -1.0),
        (b"timeout=-1", -1.0),
        (b"notimeout=3", -1.0),
        (b"timeout=9999999999", -1.0),
    ],
)
def test_keep_alive_timeout(value: bytes, seconds: float) -> None:
    assert ok(b"Keep-Alive: " + value).keep_alive_timeout == seconds


def test_hop_by_hop_and_nominated_fields_end_here() -> None:
    head = ok(
        b"Connection: X-One, close",
        b"X-One: 1",
        b"X-Two: 2",
        b"Proxy-Connection: close",
        b"Keep-Alive: timeout=1",
        b"Upgrade: a, b",
        b"Trailer: X",
        b"Proxy-Authenticate: Basic",
        b"Content_Length: 3",
    )
    assert head.forward == b"X-Two: 2\r\nTrailer: X\r\nProxy-Authenticate: Basic\r\n"
    assert head.upgrade == b"a, b"


def test_managed_values() -> None:
    head = ok(b"Via: 1.1 a", b"Proxy-Status: b", b"Via: 1.1 c")
    assert head.managed == {VIA: b"1.1 a, 1.1 c", PROXY_STATUS: b"b"}
    assert head.forward == b"Via: 1.1 a\r\nProxy-Status: b\r\nVia: 1.1 c\r\n"
