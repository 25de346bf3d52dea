"""Owns the decoding of chunked bodies (RFC 9112 7.1): payload out, framing checked octet by octet, trailers validated."""

import re
from typing import Final

from .connection import HOP_BY_HOP
from .fields import Splitter
from .grammar import bare_line_end
from .limits import WireLimits
from .refusal import Refused, malformed, too_large

_LONGEST_SIZE_LINE: Final = 1024
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_NEXT_SIZE = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})\r\n")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENDED = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*\r\n")
_DIGITS = re.compile(rb"[0-9A-Fa-f]*")

SPECIAL: Final = dict.fromkeys((
    *HOP_BY_HOP, b"host", b"content-length", b"trailer",  # framing and routing
    b"content-encoding", b"content-type", b"content-range",  # the content's format
    b"authorization", b"proxy-authorization", b"cookie", b"set-cookie",  # who asks
    b"cache-control", b"expect", b"max-forwards", b"range",  # how to answer
    b"via", b"cdn-loop", b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
    b"x-real-ip", b"x-request-id",  # what the gateway says itself
), 1)  # fmt: skip
"""Dropped, for a server that merges trailers into the header section would believe them (RFC 9110 6.5.1)."""
_splitter = Splitter(SPECIAL)
_TRAILER_RULES: Final = {
    "no-colon": "trailer-name",
    "space-before-colon": "trailer-name",
    "field-name": "trailer-name",
    "field-value": "trailer-value",
}


class ChunkReader:
    """Decodes one chunked body, in whatever pieces it comes. What it keeps between pieces is bounded.

    prefix: "request" or "response", for the names of the limits of its trailer section.
    """

    __slots__ = (
        "_held", "_in_trailers", "_left", "_limits", "_offset", "_pattern", "_prefix", "_trailer_bytes", "done", "received",
        "rest", "trailers",
    )  # fmt: skip

    def __init__(self, limits: WireLimits, prefix: str = "response") -> None:
        self.done = False  # the body is complete
        self.rest = b""  # what came after its end
        self.trailers = b""  # validated trailer lines, each with its CRLF
        self.received = 0  # payload bytes so far
        self._limits = limits
        self._prefix = prefix
        self._held = b""  # the beginning of a size line or trailer line
        self._left = 0  # payload bytes of the current chunk that are still to come
        self._pattern = _SIZE  # what comes next when none are
        self._in_trailers = False
        self._trailer_bytes = 0
        self._offset = 0  # in the body, of the first byte in hand

    def feed(self, data: bytes) -> bytes:
        """Return the payload in this piece, b"" for none. Raises Refused; `offset` counts from the body's first byte."""
        size = len(data)
        if self._left > size:
            self._left -= size
            self._offset += size
            self.received += size
            return data
        if self.done:
            self.rest += data
            return b""
        data = self._held + data
        payload, at = (b"", 0) if self._in_trailers else self._read_chunks(data)
        if self._in_trailers:
            at = self._read_trailers(data, at)
        self._held = data[at:]
        self._offset += at
        return payload

    def _read_chunks(self, data: bytes) -> tuple[bytes, int]:
        """Return the payload in `data`, and where what is not decoded yet begins."""
        pieces = []
        at, left, pattern = 0, self._left, self._pattern
        while True:
            if left:
                piece = data[at : at + left]
                pieces.append(piece)
                at += len(piece)
                left -= len(piece)
                if left:
                    break
            line = pattern.match(data, at) or self._unusual_line(data, at, first=pattern is _SIZE)
            if line is None:
                break
            at = line.end()
            left = int(line[1], 16)
            pattern = _NEXT_SIZE
            if not left:
                self._in_trailers = True
                break
        self._left, self._pattern = left, pattern
        payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.received += len(payload)
        return payload, at

    def _unusual_line(self, data: bytes, at: int, *, first: bool) -> re.Match[bytes] | None:
        """Return the match of a size line with extensions at `at`, or None while it is incomplete. Raises Refused.

        first: no chunk stands before it, whose data would have to end with CRLF.
        """
        if not first:
            ending = data[at : at + 2]
            if ending != b"\r\n":
                if b"\r\n".startswith(ending):
                    return None
                raise self._malformed("chunk-ending", data, at + (ending[:1] == b"\r"))
            at += 2
        window = at + _LONGEST_SIZE_LINE + 2
        match = _EXTENDED.match(data, at, window)
        if match is None and (fault := self._size_line_fault(data, at, window)):
            raise fault
        return match

    def _size_line_fault(self, data: bytes, at: int, window: int) -> Refused | None:
        """Return what is wrong with the size line at `at`, None if it may still become one. No legal line stands there."""
        digits = _DIGITS.match(data, at)
        assert digits is not None  # it fits the empty string
        after = digits.end()
        if after - at > 16:
            return self._malformed("chunk-size", data, at + 16)
        following = data[after : after + 2]
        if following in (b"", b"\r") and (after > at or not following):
            return None
        if after == at or following[:1] not in (b";", b" ", b"\t"):
            return self._malformed("chunk-size", data, after)
        end = data.find(b"\r\n", after, window)
        bare = data.find(b"\n", after, window if end < 0 else end)
        if bare >= 0:
            return self._malformed("chunk-extension", data, bare)
        if end >= 0 or len(data) >= window:
            return self._malformed("chunk-extension", data, after)
        return None

    def _read_trailers(self, data: bytes, at: int) -> int:
        """Read trailer lines from `at` on. Return where what is not read yet begins."""
        while True:
            end = data.find(b"\r\n", at)
            if end == at:
                self.done = True
                self.rest = data[end + 2 :]
                return len(data)
            self._check_trailer_size(data, at, (len(data) if end < 0 else end) - at)
            if fault := bare_line_end(data[: end + 2] if end >= 0 else data, at):
                raise self._shifted(fault)
            if end < 0:
                return at
            self.trailers += self._read_trailer(data[: end + 2], at)
            self._trailer_bytes += end + 2 - at
            at = end + 2

    def _check_trailer_size(self, data: bytes, at: int, size: int) -> None:
        """Return if a trailer line of `size` bytes (so far) is within the limits. Raises Refused."""
        line_bytes, section_bytes = self._limits.trailer_line_bytes, self._limits.trailer_bytes
        allowed = min(line_bytes, section_bytes - self._trailer_bytes)
        if size <= allowed:
            return
        if fault := bare_line_end(data[: at + allowed + 1], at):
            raise self._shifted(fault)
        if allowed == line_bytes:
            name = data[at : at + size].partition(b":")[0]
            raise too_large(f"{self._prefix}_trailer_line_bytes", line_bytes, size, name)
        raise too_large(f"{self._prefix}_trailer_bytes", section_bytes, self._trailer_bytes + size)

    def _read_trailer(self, data: bytes, at: int) -> bytes:
        """Return the trailer line from `at` to the end of `data`, or b"" for one that must not go on. Raises Refused."""
        try:
            return _splitter.split(data, at)[0]
        except Refused as refused:
            refused.facts["rule"] = _TRAILER_RULES.get(refused.facts["rule"], refused.facts["rule"])
            raise self._shifted(refused) from None

    def _malformed(self, rule: str, data: bytes, at: int) -> Refused:
        return self._shifted(malformed(rule, data, at))

    def _shifted(self, fault: Refused) -> Refused:
        """Return `fault` with its offset counted from the body's first byte."""
        fault.facts["offset"] += self._offset
        return fault
