"""Owns how one HTTP/1.1 answer is read: judged by the strict reader, kept by a lenient one, and never for ever."""

import time
import zlib
from typing import Final

from ..diagnose.captured import BODY_MAX, Captured, lower
from ..diagnose.heads import heads
from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.phases import BODY, HEAD
from ..net.failing import Broken, fail
from ..net.incoming import Incoming
from ..wire.response import ResponseHead

_MOST: Final = 4 * BODY_MAX
"""Most bytes of a body that are read; then the connection is closed, and what there is counts."""
_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's window bits by coding; "deflate" is sent with and without zlib's frame."""
_MORE: Final = 0.7
"""Seconds to read on after illegal bytes, so that there is something to show."""


class AnswerReader(Incoming):
    """Reads the answer to one request of the probe."""

    keep_alive = False
    """The connection can serve another request."""

    async def read(self, url: str) -> Captured | None:
        """Return the answer, None where there was none; what went wrong stands in the attempt."""
        self.attempt.phase = HEAD
        try:
            head, raw = await self.read_head()
        except Broken as broken:
            if broken.signal in (s.MALFORMED, s.TOO_LARGE):
                await self._read_on()
            fail(self.attempt, broken)
            return self._leniently(url)
        self.attempt.t_head, self.attempt.status = time.monotonic(), head.status
        fields = _fields(raw)
        self.attempt.phase = BODY
        body, complete, size = await self._body(head)
        if self.attempt.signal is None:
            self.attempt.t_end = time.monotonic()
        coding = dict(fields).get("content-encoding", "")
        shown = self._decoded(body, coding)
        seconds, length = self.attempt.t_head - self.begun, head.announced if head.announced >= 0 else size
        reason = head.reason_line[4:].decode("utf-8", "replace")
        return Captured(head.status, reason, f"1.{head.minor}", fields, shown[:BODY_MAX], length, seconds, url, complete)

    async def _read_on(self) -> None:
        """After illegal bytes read a little more, for the lenient reader."""
        self.end = min(self.end, time.monotonic() + _MORE)
        try:
            while len(self.buffer) < _MOST and (data := await self.more(HEAD)):
                self.buffer += data
        except Broken:
            pass

    def _leniently(self, url: str) -> Captured | None:
        """Return what a forgiving reader makes of the bytes, None where they resemble no answer."""
        begun = self.buffer.startswith(b"HTTP/") and b"\n" in self.buffer  # the first line is complete
        found = heads(self.buffer) if begun else []
        if not found or not 100 <= found[0].status <= 599:
            return None
        one = found[0]
        first = self.attempt.t_first if self.attempt.t_first > NEVER else time.monotonic()
        return Captured(
            one.status, one.reason, one.version, one.fields, one.body, one.length, first - self.begun, url, complete=False
        )

    async def _body(self, head: ResponseHead) -> tuple[bytes, bool, int]:
        """Return the payload, whether it is complete, and its size (-1: not known). A failure goes into the attempt."""
        payload = b""
        try:
            async for piece in self.pieces(head):
                payload += piece
                if len(payload) >= _MOST and len(payload) != head.length:
                    return payload, True, -1  # we stop: nothing is wrong with it
        except Broken as broken:
            fail(self.attempt, broken)
            return payload, False, len(payload)
        self.keep_alive = head.keep_alive and not self.buffer
        return payload, True, len(payload)

    def _decoded(self, body: bytes, coding: str) -> bytes:
        """Return the body without its content coding; where it does not decode, that is the failure."""
        return body if self.method == b"HEAD" else decoded(self.attempt, body, coding)


def decoded(attempt: Attempt, body: bytes, coding: str) -> bytes:
    """Return at most BODY_MAX bytes without their content coding; where it does not decode, that is the attempt's failure."""
    windows = _WINDOWS.get(coding.strip().lower(), ())
    error = ""
    for window in windows if body else ():
        try:
            return zlib.decompressobj(window).decompress(body, BODY_MAX)
        except zlib.error as found:
            error = str(found)
    if error and attempt.signal is None:
        fail(attempt, Broken(BODY, s.CODING, {"coding": coding, "error": error}))
    return body[:BODY_MAX]


def _fields(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a legal head."""
    lines = raw.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines if b":" in line)
    return lower((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, _, value in pairs)
