"""Owns what a request head means: `read_request_head` turns legal bytes into a `RequestHead` and refuses all others."""

from typing import Final

from .connection import HOP_BY_HOP, NO_OPTIONS, OPTIONS, persists, protocols
from .fields import Splitter, without
from .framing import CHUNKED, check_coding, read_length
from .grammar import bare_line_end, elements, is_token, locate
from .limits import WireLimits
from .refusal import Refused, malformed
from .request_line import MINORS, check_method, first_bytes_fault, line_fault, size_fault, target_fault
from .target import HOSTS, TARGET_OCTETS, has_dots, read_target

(
    HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, TE, UPGRADE, EXPECT, DISCARD, VIA, CDN_LOOP, X_FORWARDED_FOR,
    X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT, X_REAL_IP, FORWARDED, X_REQUEST_ID, MAX_FORWARDS,
) = range(1, 19)  # fmt: skip

SPECIAL: Final[dict[bytes, int]] = dict.fromkeys(HOP_BY_HOP, DISCARD) | {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"te": TE,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"via": VIA,
    b"cdn-loop": CDN_LOOP,
    b"x-forwarded-for": X_FORWARDED_FOR,
    b"x-forwarded-proto": X_FORWARDED_PROTO,
    b"x-forwarded-host": X_FORWARDED_HOST,
    b"x-forwarded-port": X_FORWARDED_PORT,
    b"x-real-ip": X_REAL_IP,
    b"forwarded": FORWARDED,
    b"x-request-id": X_REQUEST_ID,
    b"max-forwards": MAX_FORWARDS,
}
"""Fields that the gateway reads itself. Their lines do not go on as they came, but for those in `STAY`."""
STAY: Final = frozenset((VIA, CDN_LOOP))
MANAGED: Final = frozenset(range(VIA, MAX_FORWARDS + 1))
"""Fields whose values are handed over in `RequestHead.managed`."""

_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_SLASH, _MARK = b"/?"  # as numbers, which are searched for fastest
_splitter = Splitter(SPECIAL, STAY, "request_header_count")


class RequestHead:
    """A legal request head: what it asks for, how its body is framed, and the lines that go on to the server."""

    __slots__ = (
        "expect", "forward", "forward_target", "host", "keep_alive", "length", "managed", "method", "minor", "path", "target",
        "te_trailers", "upgrade",
    )  # fmt: skip

    method: bytes
    target: bytes  # as it came
    minor: int  # HTTP version: 0 or 1; 1.2 to 1.9 are read as 1.1 (RFC 9110 2.5)
    host: bytes  # lower case, with port if given; of the target if that is absolute-form; b"" only in HTTP/1.0
    forward_target: bytes  # what to send on: origin-form or "*", dot segments resolved
    path: bytes  # its path, without query
    forward: bytes  # the end-to-end lines as they came, without Host, Content-Length and what the gateway writes itself
    length: int  # of the body: n, 0 for none, CHUNKED
    keep_alive: bool  # the client lets the connection persist
    expect: bool  # it waits for 100 (Continue) before it sends the body
    upgrade: bytes  # protocols it offers to switch to, without h2c; b"" for none, or where a body would stand in between
    te_trailers: bool  # it accepts trailers
    managed: dict[int, bytes] | None  # values of the fields in MANAGED by id, repeated ones joined by ", "; None: none came


def read_request_head(head: bytes, limits: WireLimits) -> RequestHead:
    """Return what `head` says. It ends with the CRLF of its last line; the empty line is not part of it.

    Raises Refused: malformed (RFC 9112 2 to 6), unsupported (version, method, transfer coding) or too-large.
    """
    end = head.find(10)  # the line keeps its CR, which stands in the keys of MINORS: faster than searching for two octets
    if end > limits.request_line_bytes + 1 or len(head) > limits.request_header_bytes:
        raise size_fault(head, end - 1, limits)
    request = RequestHead()
    try:
        method, target, version = head[:end].split(b" ")
        request.minor = minor = MINORS[version]
        first = target[0]
    except (ValueError, KeyError, IndexError):
        raise line_fault(head) from None
    if method not in _METHODS:
        check_method(method, head)
    request.method, request.target, request.forward_target = method, target, target
    request.path = target[: target.index(_MARK)] if _MARK in target else target
    plain = first == _SLASH and not target.translate(None, TARGET_OCTETS) and not has_dots(request.path)
    authority = None if plain else _set_target(request, head)
    request.forward, special = _splitter.split(head, end + 1, limits.request_header_count)
    host, usual = None, minor == 1
    for field, value in special:
        if field == HOST and host is None:
            host = HOSTS[value]
            if host is None:
                raise _host_fault(head, 1)
        elif field != CONNECTION or value != b"keep-alive":
            usual = False
    if host is None and minor == 1:
        raise _host_fault(head, 0)
    request.host = authority or host or b""
    if usual:
        request.expect = request.te_trailers = False
        request.length, request.keep_alive, request.upgrade, request.managed = 0, True, b"", None
    else:
        _read_special(request, special, head)
    return request


def _host_fault(head: bytes, count: int) -> Refused:
    """Return the refusal of a head with none, one illegal, or several Host fields."""
    if count == 0:
        return malformed("host-missing", head, max(0, len(head) - 2))
    return malformed("host-invalid" if count == 1 else "host-repeated", head, locate(head, b"host"), b"Host")


def _set_target(request: RequestHead, head: bytes) -> bytes | None:
    """Set the target's canonical form where it is not a plain path. Return the host of an absolute-form target."""
    target = read_target(request.method, request.target)
    if isinstance(target, int):
        raise target_fault(head, request.method, target)
    request.forward_target = target.forward
    request.path = target.path
    if target.authority is None:
        return None
    host = HOSTS[target.authority]
    if host is None:
        raise malformed("host-invalid", head, head.index(b"://") + 3)
    return host


def _read_special(request: RequestHead, special: list[tuple[int, bytes]], head: bytes) -> None:
    """Set what the special fields say."""
    fields: dict[int, bytes] = {}
    for field, value in special:
        if field not in fields:
            fields[field] = value
        elif field == HOST:
            raise _host_fault(head, 2)
        else:
            fields[field] += b", " + value
    request.length = _length(request, fields, head)
    options = OPTIONS[fields[CONNECTION]] if CONNECTION in fields else NO_OPTIONS
    request.keep_alive = persists(request.minor, options)
    request.upgrade = b""
    if options.upgrade and request.minor == 1 and request.length == 0 and UPGRADE in fields:
        request.upgrade = protocols(fields[UPGRADE])
    request.te_trailers = TE in fields and b"trailers" in elements(fields[TE].lower())
    if options.nominated:
        request.forward = without(request.forward, options.nominated - SPECIAL.keys())
    request.expect = EXPECT in fields and _expects(request, fields[EXPECT], head)
    request.managed = {field: value for field, value in fields.items() if field in MANAGED} or None


def _length(request: RequestHead, fields: dict[int, bytes], head: bytes) -> int:
    """Return the body's length (RFC 9112 6.3): a request without framing fields has none."""
    if TRANSFER_ENCODING in fields:
        check_coding(fields[TRANSFER_ENCODING], request.minor, CONTENT_LENGTH in fields, head, request=True)
        return CHUNKED
    if CONTENT_LENGTH in fields:
        return read_length(fields[CONTENT_LENGTH], head)
    return 0


def _expects(request: RequestHead, value: bytes, head: bytes) -> bool:
    """Return whether the client waits for 100 (Continue); other expectations go on to the server (RFC 9110 10.1.1)."""
    expectations = elements(value)
    others = [expectation for expectation in expectations if expectation.lower() != b"100-continue"]
    for expectation in others:
        if not _is_expectation(expectation):
            raise malformed("field-value", head, locate(head, b"expect"), b"Expect")
        request.forward += b"Expect: " + expectation + b"\r\n"
    return len(others) < len(expectations) and request.minor == 1 and request.length != 0


def _is_expectation(value: bytes) -> bool:
    name, _, argument = value.partition(b"=")
    return is_token(name) and (not argument or is_token(argument))


def check_early_request(buffer: bytes, limits: WireLimits, checked: int = 0) -> None:
    """Return when `buffer` may still become a request head. Raises Refused when it cannot, or has passed a limit.

    buffer: what came since the last request, empty lines skipped, the head's end not among it; checked: how many bytes of it
    an earlier call has seen (they are not searched again).
    """
    end = buffer.find(b"\r\n", 0, limits.request_line_bytes + 2)
    line_bytes = len(buffer) if end < 0 else end
    if checked <= line_bytes and (fault := first_bytes_fault(buffer[:line_bytes])):
        raise fault
    if fault := bare_line_end(buffer, max(0, checked - 1)):
        raise fault
    if line_bytes > limits.request_line_bytes + 1 or len(buffer) > limits.request_header_bytes + 1:
        raise size_fault(buffer, line_bytes, limits)
