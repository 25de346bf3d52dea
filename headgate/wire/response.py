"""Owns what a response head means: `read_response_head` turns legal bytes into a `ResponseHead` and refuses all others."""

from typing import Final

from .connection import HOP_BY_HOP, NO_OPTIONS, OPTIONS, TIMEOUTS, persists
from .fields import Splitter, without
from .framing import UNTIL_CLOSE, check_coding, read_length, response_announced, response_length
from .grammar import bare_line_end, elements, largest_line
from .limits import WireLimits
from .refusal import Refused, too_large
from .status_line import STATUS_LINES, not_http, status_line_fault

CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, KEEP_ALIVE, UPGRADE, DISCARD, CONTENT_ENCODING, VIA, PROXY_STATUS = range(1, 10)

SPECIAL: Final[dict[bytes, int]] = dict.fromkeys(HOP_BY_HOP, DISCARD) | {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"keep-alive": KEEP_ALIVE,
    b"upgrade": UPGRADE,
    b"content-encoding": CONTENT_ENCODING,
    b"via": VIA,
    b"proxy-status": PROXY_STATUS,
}
"""Fields that the gateway reads itself. Their lines do not go on as they came, but for those in `STAY`."""
STAY: Final = frozenset((CONTENT_ENCODING, VIA, PROXY_STATUS))
MANAGED: Final = frozenset((VIA, PROXY_STATUS))
"""Fields whose values are handed over in `ResponseHead.managed`."""

_STATUS_LINE: Final = b"the status line"
"""What the first line is called where a line is named by its field."""
_splitter = Splitter(SPECIAL, STAY, "response_header_count")


class ResponseHead:
    """A legal response head: its status, how its body is framed, and the lines that go on to the client."""

    __slots__ = (
        "announced", "coding", "forward", "keep_alive", "keep_alive_timeout", "length", "managed", "minor", "reason_line",
        "status", "upgrade",
    )  # fmt: skip

    status: int
    minor: int  # HTTP version: 0 or 1
    reason_line: bytes  # such as b"200 OK"
    forward: bytes  # the end-to-end lines as they came, without Content-Length
    length: int  # of the body that follows: n, CHUNKED, UNTIL_CLOSE; 0 where none may follow
    announced: int  # Content-Length to pass on, or -1; with HEAD and 304 no body follows it
    keep_alive: bool  # the server lets the connection persist
    keep_alive_timeout: float  # seconds granted by Keep-Alive: timeout=, or -1
    upgrade: bytes  # the protocols in Upgrade, b"" for none
    coding: bytes  # content coding in lower case, b"" for none
    managed: dict[int, bytes] | None  # values of the fields in MANAGED by id, repeated ones joined by ", "; None: none came


def read_response_head(head: bytes, method: bytes, limits: WireLimits) -> ResponseHead:
    """Return what `head` says, the answer to a request with `method`. It ends with the CRLF of its last line, no empty line.

    Raises Refused: malformed (RFC 9112 2 to 6) or too-large.
    """
    if fault := _size_fault(head, limits):
        raise fault
    end = head.find(b"\r\n")
    if end < 0:
        raise status_line_fault(head)
    response = ResponseHead()
    minor, status, response.reason_line = STATUS_LINES[head[:end]]
    response.minor = minor
    response.status = status
    response.forward, special = _splitter.split(head, end + 2, limits.response_header_count)
    fields = dict(special)
    if len(fields) < len(special):
        fields = _combine(special)
    announced = read_length(fields[CONTENT_LENGTH], head) if CONTENT_LENGTH in fields else -1
    chunked = TRANSFER_ENCODING in fields
    if chunked:
        check_coding(fields[TRANSFER_ENCODING], minor, announced >= 0, head, request=False)
    response.length = length = response_length(method, status, announced, chunked)
    response.announced = response_announced(status, announced)
    options = OPTIONS[fields[CONNECTION]] if CONNECTION in fields else NO_OPTIONS
    response.keep_alive = persists(minor, options) and length != UNTIL_CLOSE and status != 101
    if options.nominated:
        response.forward = without(response.forward, options.nominated - SPECIAL.keys())
    response.keep_alive_timeout = TIMEOUTS[fields[KEEP_ALIVE]] if KEEP_ALIVE in fields else -1.0
    response.upgrade = b", ".join(elements(fields[UPGRADE])) if UPGRADE in fields else b""
    response.coding = fields[CONTENT_ENCODING].lower() if CONTENT_ENCODING in fields else b""
    response.managed = None
    if VIA in fields or PROXY_STATUS in fields:
        response.managed = {field: value for field, value in fields.items() if field in MANAGED}
    return response


def _combine(special: list[tuple[int, bytes]]) -> dict[int, bytes]:
    """Return the fields by id, values of repeated ones joined by ", "."""
    fields: dict[int, bytes] = {}
    for field, value in special:
        fields[field] = value if field not in fields else fields[field] + b", " + value
    return fields


def check_early_response(buffer: bytes, limits: WireLimits, checked: int = 0) -> None:
    """Return when `buffer` may still become a response head. Raises Refused when it cannot, or has passed a limit.

    buffer: what came since the request, the head's end not among it; checked: how many bytes of it an earlier call has seen
    (they are not searched again). A server that speaks another protocol is recognised here, without waiting for an empty line.
    """
    if not buffer.startswith(b"HTTP/1."):
        if not b"HTTP/1.".startswith(buffer):
            raise status_line_fault(buffer) if buffer.startswith(b"HTTP/") else not_http(buffer)
        return
    if fault := bare_line_end(buffer, max(0, checked - 1)):
        raise fault
    if fault := _size_fault(buffer, limits):
        raise fault


def _largest_line(head: bytes) -> tuple[bytes, int]:
    """Return name and length of the longest field line, or those of a status line that has no end yet."""
    end = head.find(b"\r\n")
    return largest_line(head, end + 2) if end >= 0 else (_STATUS_LINE, len(head))


def _size_fault(head: bytes, limits: WireLimits) -> Refused | None:
    """Return the refusal of a head with a line or a section that is too large: the line is the finer reason."""
    if len(head) <= limits.response_header_line_bytes and len(head) <= limits.response_header_bytes:
        return None
    name, length = _largest_line(head)
    if length > limits.response_header_line_bytes:
        return too_large("response_header_line_bytes", limits.response_header_line_bytes, length, name)
    if len(head) > limits.response_header_bytes:
        return too_large("response_header_bytes", limits.response_header_bytes, len(head), name)
    return None
