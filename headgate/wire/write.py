"""Owns how HTTP/1.1 is written: status lines, framing fields and chunks, each in one canonical form."""

from http import HTTPStatus
from typing import Final

CRLF: Final = b"\r\n"
CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE: Final = b"Connection: close\r\n"
KEEP_ALIVE_LINE: Final = b"Connection: keep-alive\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
"""The end of a chunked body without trailers."""

RENAMED: Final = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
"""RFC 9110 gave these statuses new phrases, which http.HTTPStatus does not know yet."""
STATUS_LINES: Final[dict[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {RENAMED.get(status.value, status.phrase)}\r\n".encode("ascii")
    for status in HTTPStatus
}
"""Status lines with the registered reason phrases, by status."""


def status_line(reason_line: bytes) -> bytes:
    """Return the status line for `ResponseHead.reason_line`, such as b"404 Not Found"."""
    return b"HTTP/1.1 " + reason_line + CRLF


def field(name: bytes, value: bytes) -> bytes:
    """Return a field line. Both must be legal: see `grammar.line_fault` for values of unknown origin."""
    return name + b": " + value + CRLF


def content_length(length: int) -> bytes:
    """Return the Content-Length line."""
    return b"Content-Length: %d\r\n" % length


def upgrade_lines(protocols: bytes) -> bytes:
    """Return the lines that offer or accept a switch to `protocols`."""
    return b"Connection: Upgrade\r\nUpgrade: " + protocols + CRLF


def chunk(payload: bytes) -> bytes:
    """Return `payload` as one chunk; b"" for no payload, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def last_chunk(trailers: bytes) -> bytes:
    """Return the end of a chunked body with `trailers`: validated lines, each with its CRLF."""
    return b"0\r\n" + trailers + CRLF
