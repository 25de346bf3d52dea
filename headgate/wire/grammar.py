"""Owns the grammar of lines (RFC 9110 5.6, 9112 5) and finds what is wrong with an illegal one: the slow second reader."""

import re
from typing import Final

from .refusal import Refused, malformed

TOKEN_OCTETS: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""tchar of RFC 9110 5.6.2."""
ILLEGAL_OCTETS: Final = bytes({*range(0x20), 0x7F} - {0x09})
"""What never stands in a line: all controls but HTAB. CR and LF are among them, for a line is given without its end."""
OWS: Final = b" \t"

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_LINE_ENDS: Final = {0x0A: "bare-lf", 0x0D: "bare-cr"}


def is_token(data: bytes) -> bool:
    """Return whether `data` is a token (RFC 9110 5.6.2)."""
    return bool(data) and not data.translate(None, TOKEN_OCTETS)


def elements(value: bytes) -> list[bytes]:
    """Return the elements of a comma-separated list, stripped; empty ones are left out (RFC 9110 5.6.1)."""
    return [element for part in value.split(b",") if (element := part.strip(OWS))]


def line_fault(line: bytes) -> tuple[str, int] | None:
    """Return the rule that a field line (without CRLF) breaks first, and where; None when it is a legal field line."""
    name_end = _end(_TOKEN, line, 0)
    if name_end == len(line):
        return "no-colon", name_end
    octet = line[name_end]
    if octet != 0x3A:
        return _name_fault(line, name_end, octet)
    if name_end == 0:
        return "field-name", 0
    value_end = _end(_VALUE, line, name_end + 1)
    if value_end == len(line):
        return None
    return _LINE_ENDS.get(line[value_end], "field-value"), value_end


def _name_fault(line: bytes, at: int, octet: int) -> tuple[str, int]:
    """Return what is wrong with a field name that is interrupted by `octet` at `at`."""
    if octet in _LINE_ENDS:
        return _LINE_ENDS[octet], at
    if octet in OWS:
        if at == 0:
            return "obs-fold", 0
        if line[at:].lstrip(OWS)[:1] == b":":
            return "space-before-colon", at
    return ("field-name" if b":" in line else "no-colon"), at


def _end(pattern: re.Pattern[bytes], line: bytes, start: int) -> int:
    match = pattern.match(line, start)
    assert match is not None  # both patterns fit the empty string
    return match.end()


def fields_fault(head: bytes, start: int) -> Refused:
    """Return the refusal of the first illegal field line in `head` from `start` on. There must be one."""
    at = start
    while (end := head.find(b"\r\n", at)) >= 0:
        if fault := line_fault(head[at:end]):
            rule, offset = fault
            return malformed(rule, head, at + offset, _name(head[at:end]))
        at = end + 2
    return malformed("bare-lf", head, max(start, len(head) - 1))


def _name(line: bytes) -> bytes:
    name = line.partition(b":")[0].strip()
    return name if is_token(name) else b""


def bare_line_end(data: bytes, start: int = 0, *, whole: bool = False) -> Refused | None:
    """Return the refusal of the first LF without CR in `data`, or CR without LF.

    whole: no LF can follow a CR that is the last byte.
    """
    match = _BARE.search(data, start)
    if match is None or (match[0] == b"\r" and match.end() == len(data) and not whole):
        return None
    return malformed("bare-lf" if match[0] == b"\n" else "bare-cr", data, match.start())


def locate(head: bytes, name: bytes) -> int:
    """Return where the last field called `name` (lower case) has its value, or the end of the first line if there is none."""
    found = max(0, head.find(b"\r\n"))
    at = found + 2
    while (end := head.find(b"\r\n", at)) >= 0:
        before, _, value = head[at:end].partition(b":")
        if before.lower() == name:
            found = end - len(value.lstrip(OWS))
        at = end + 2
    return found


def largest_line(head: bytes, start: int) -> tuple[bytes, int]:
    """Return name and length (without CRLF) of the longest field line in `head` from `start` on."""
    line = max(head[start:].split(b"\r\n"), key=len)
    return _name(line), len(line)
