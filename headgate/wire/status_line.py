"""Owns the status line: which ones are read, in which form they go on, and what is wrong with one that is refused."""

import re
from typing import Final, NamedTuple

from .grammar import ILLEGAL_OCTETS, OWS, bare_line_end
from .memory import Memory
from .refusal import Refused, malformed
from .sniff import looks_like


class StatusLine(NamedTuple):
    """A legal status line."""

    minor: int
    status: int
    reason_line: bytes  # code and reason, such as b"404 Not Found"; the space stays where the reason is empty


_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_VERSION = re.compile(rb"[^ \t]*")
_CODE = re.compile(rb"[1-5][0-9]{2}(?: |$)")


def read_status_line(line: bytes) -> StatusLine:
    """Return what a status line (without CRLF) says. Raises Refused: not-http, version, status-code, reason, ...

    A missing reason, and the space before it, are tolerated: many servers send "HTTP/1.1 200" (RFC 9112 4 asks for the space).
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise status_line_fault(line)
    return StatusLine(int(match[1]), int(match[2]), match[2] + b" " + (match[3] or b""))


STATUS_LINES: Final = Memory(read_status_line)
"""`read_status_line` with a memory."""


def status_line_fault(line: bytes) -> Refused:
    """Return what is wrong with a status line that is not legal."""
    if not line.startswith(b"HTTP/"):
        return not_http(line)
    if fault := bare_line_end(line, whole=True):
        return fault
    version = _VERSION.match(line, 5)
    assert version is not None  # it fits the empty string
    if version[0] not in (b"1.0", b"1.1"):
        return malformed("version", line.partition(b"\r\n")[0], 5)
    if line[8:9] != b" " or not line[9:].strip(OWS) or line[9] in OWS:
        return malformed("status-line", line, min(9, len(line)) if line[8:9] == b" " else 8)
    if not _CODE.match(line, 9):
        return malformed("status-code", line, 9)
    for at in range(13, len(line)):
        if line[at] in ILLEGAL_OCTETS:
            return malformed("reason", line, at)
    return malformed("status-line", line, len(line))  # it is legal, but has no end


def not_http(first: bytes) -> Refused:
    """Return the refusal of bytes that do not begin like HTTP, with the protocol they resemble."""
    wanted = b"HTTP/"
    offset = next((at for at in range(min(len(first), 5)) if first[at] != wanted[at]), min(len(first), 5))
    fault = malformed("not-http", first, offset)
    protocol = looks_like(first)
    if protocol:
        fault.facts["looks_like"] = protocol
    return fault
