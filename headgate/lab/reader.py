"""Reads one response strictly: knows when it is complete, when it was cut, and when it is not HTTP/1.1 at all.

Independent of the gateway's own reader on purpose: the lab is a second opinion.
"""

import re

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n\x00]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*")
_KEEP = 1 << 20


class Garbled(Exception):
    """The bytes cannot be read as HTTP/1.1. The message says which ones."""


class ResponseReader:
    """Feed it bytes as they come; `rest` keeps those beyond the response."""

    def __init__(self, method: str) -> None:
        self.interim: list[int] = []
        self.status = 0
        self.fields: list[tuple[str, str]] = []
        self.trailers: list[str] = []
        self.body = bytearray()  # up to 1 MiB of it
        self.body_bytes = 0
        self.complete = False
        self.rest = bytearray()
        self._method = method
        self._read = self._head
        self._left = 0

    def field(self, name: str) -> str:
        """Return the values of a field, joined by commas; "" when absent."""
        return ", ".join(value for known, value in self.fields if known == name.lower())

    def feed(self, data: bytes) -> None:
        """Take more bytes. Raises Garbled."""
        self.rest += data
        while not self.complete and self._read():
            pass

    def eof(self) -> bool:
        """The connection closed in order: return whether that completes the response (RFC 9112 section 6.3, rule 8)."""
        if self._read == self._until_close:
            self.complete = True
        return self.complete

    def _line(self) -> bytes | None:
        end = self.rest.find(b"\n")
        if end < 0:
            if len(self.rest) > _KEEP:
                raise Garbled("a line of more than 1 MiB")
            return None
        line = bytes(self.rest[: end + 1])
        del self.rest[: end + 1]
        if not line.endswith(b"\r\n"):
            raise Garbled(f"a line that does not end in CRLF: {line[:60]!r}")
        return line[:-2]

    def _head(self) -> bool:
        if not b"HTTP/1.".startswith(self.rest[:7]) and not self.rest.startswith(b"HTTP/1."):
            raise Garbled(f"not a status line: {bytes(self.rest[:60])!r}")
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self.rest) > _KEEP:
                raise Garbled("a head of more than 1 MiB")
            return False
        lines = bytes(self.rest[:end]).split(b"\r\n")
        del self.rest[: end + 4]
        found = _STATUS_LINE.fullmatch(lines[0])
        if not found:
            raise Garbled(f"not a status line: {lines[0][:60]!r}")
        self.fields = [_field(line) for line in lines[1:]]
        status = int(found[1])
        if 100 <= status < 200 and status != 101:
            self.interim.append(status)
            return True
        self.status = status
        self._frame()
        return True

    def _frame(self) -> None:
        """Choose how the body ends (RFC 9112 section 6.3)."""
        lengths = {value for name, value in self.fields if name == "content-length"}
        coding = self.field("transfer-encoding").lower()
        if self._method == "HEAD" or self.status in (101, 204, 304):
            self.complete = True
        elif coding:
            if coding != "chunked" or lengths:
                raise Garbled(f"Transfer-Encoding {coding!r}, Content-Length {lengths or 'absent'}")
            self._read = self._chunk_size
        elif lengths:
            value = lengths.pop()
            if lengths or not (value.isascii() and value.isdigit()):
                raise Garbled(f"Content-Length {value!r}")
            self._left = int(value)
            self._read = self._sized
            self.complete = self._left == 0
        else:
            self._read = self._until_close

    def _keep(self, count: int) -> None:
        self.body_bytes += count
        self.body += self.rest[: min(count, max(0, _KEEP - len(self.body)))]
        del self.rest[:count]

    def _sized(self) -> bool:
        count = min(self._left, len(self.rest))
        self._keep(count)
        self._left -= count
        self.complete = self._left == 0
        return False

    def _until_close(self) -> bool:
        self._keep(len(self.rest))
        return False

    def _chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        digits = line.split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            raise Garbled(f"not a chunk size: {line[:60]!r}")
        self._left = int(digits, 16)
        self._read = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        count = min(self._left, len(self.rest))
        self._keep(count)
        self._left -= count
        if self._left:
            return False
        self._read = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        line = self._line()
        if line:
            raise Garbled(f"bytes after a chunk: {line[:60]!r}")
        if line is None:
            return False
        self._read = self._chunk_size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            _field(line)
            self.trailers.append(line.decode("latin-1"))
        self.complete = not line
        return True


def _field(line: bytes) -> tuple[str, str]:
    found = _FIELD.fullmatch(line)
    if not found:
        raise Garbled(f"not a header line: {line[:60]!r}")
    return found[1].decode().lower(), found[2].decode("latin-1")
