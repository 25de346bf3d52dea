"""Owns where a message body ends (RFC 9112 6.3): what Content-Length and Transfer-Encoding say, and the table of responses."""

from typing import Final

from .grammar import elements, locate
from .refusal import EXCERPT, Refused, malformed, unsupported

CHUNKED: Final = -1
"""The body's length is told by its chunks."""
UNTIL_CLOSE: Final = -2
"""The body ends with the connection."""

_MOST_DIGITS: Final = 18  # stays below 2^63, where other readers would overflow

BODILESS: Final[dict[int | bytes, str]] = {
    b"HEAD": "announced",
    304: "announced",
    101: "switched",
    204: "none",
}
"""Responses that have no body whatever they announce, by request method or status; so has every 1xx.

announced: Content-Length tells what a GET would have got; none: it means nothing; switched: another protocol follows.
"""


def read_length(value: bytes, head: bytes) -> int:
    """Return the number that Content-Length announces. Raises Refused: length-invalid, length-conflict.

    value: all its values joined by ", ". Equal repetitions are one value (RFC 9112 6.3 item 5).
    """
    if value.isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    values = [part.strip(b" \t") for part in value.split(b",")]
    if not all(part.isdigit() and len(part) <= _MOST_DIGITS for part in values):
        raise malformed("length-invalid", head, locate(head, b"content-length"), b"Content-Length")
    if len(set(values)) > 1:
        raise malformed("length-conflict", head, locate(head, b"content-length"), b"Content-Length")
    return int(values[0])


def check_coding(value: bytes, minor: int, lengthy: bool, head: bytes, *, request: bool) -> None:
    """Return when Transfer-Encoding says just "chunked". Raises Refused otherwise.

    value: all its values joined by ", "; minor: the message's HTTP version; lengthy: it has a Content-Length too.
    """
    if minor == 1 and not lengthy and value.lower() == b"chunked":
        return
    raise coding_fault(value, minor, lengthy, head, request=request)


def coding_fault(value: bytes, minor: int, lengthy: bool, head: bytes, *, request: bool) -> Refused:
    """Return what is wrong with a Transfer-Encoding that is not "chunked" alone, in HTTP/1.1, without Content-Length."""
    at = locate(head, b"transfer-encoding")
    name = b"Transfer-Encoding"
    if minor == 1 and lengthy:
        return malformed("length-and-coding", head, at, name)
    if minor == 0:
        fault = malformed("transfer-coding-version", head, at, name)
    elif b"chunked" in elements(value.lower())[:-1]:
        fault = malformed("transfer-coding-position", head, at, name)
    elif request:
        fault = unsupported("transfer-coding", head, at)
    else:
        fault = malformed("transfer-coding", head, at, name)
    fault.facts["coding"] = value[:EXCERPT].decode("latin-1")
    return fault


def response_length(method: bytes, status: int, announced: int, chunked: bool) -> int:
    """Return the body length of a response (RFC 9112 6.3): n, CHUNKED, or UNTIL_CLOSE.

    announced: the Content-Length, -1 without one. It never comes together with chunked: that is refused before.
    """
    if status < 200 or status in BODILESS or method in BODILESS:
        return 0
    if chunked:
        return CHUNKED
    return announced if announced >= 0 else UNTIL_CLOSE


def response_announced(status: int, announced: int) -> int:
    """Return the Content-Length that goes on to the client, -1 for none: 1xx and 204 have none (RFC 9110 8.6)."""
    if status < 200 or BODILESS.get(status) == "none":
        return -1
    return announced
