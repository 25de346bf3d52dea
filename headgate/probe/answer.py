"""Owns how one HTTP/1.1 answer is read: judged by the strict reader, kept by a lenient one, and never for ever."""

import asyncio
import time
import zlib
from typing import Final

from ..diagnose.captured import BODY_MAX, Captured, lower
from ..diagnose.heads import heads
from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.phases import BODY, HEAD
from ..net.failing import Broken, fail, late, of_stream
from ..net.streams import Link
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED, UNTIL_CLOSE
from ..wire.limits import WireLimits
from ..wire.refusal import Refused
from ..wire.response import ResponseHead, check_early_response, read_response_head

_LIMITS: Final = WireLimits()
_READ: Final = 65_536
_MOST: Final = 4 * BODY_MAX
"""Most bytes of a body that are read; then the connection is closed, and what there is counts."""
_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's window bits by coding; "deflate" is sent with and without zlib's frame."""
_INTERIM_MOST: Final = 20
_MORE: Final = 0.7
"""Seconds to read on after illegal bytes, so that there is something to show."""


class AnswerReader:
    """Reads the answer to one request."""

    def __init__(self, link: Link, attempt: Attempt, method: str, end: float) -> None:
        """end: when to give up, monotonic."""
        self.link, self.attempt, self.method, self.end = link, attempt, method.encode(), end
        self.keep_alive = False  # the connection can serve another request
        self._begun = time.monotonic()
        self._buffer = b""

    async def read(self, url: str) -> Captured | None:
        """Return the answer, None where there was none; what went wrong stands in the attempt."""
        self.attempt.phase = HEAD
        try:
            head, raw = await self._head()
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
        seconds, length = self.attempt.t_head - self._begun, head.announced if head.announced >= 0 else size
        reason = head.reason_line[4:].decode("utf-8", "replace")
        return Captured(head.status, reason, f"1.{head.minor}", fields, shown[:BODY_MAX], length, seconds, url, complete)

    # The head.

    async def _head(self) -> tuple[ResponseHead, bytes]:
        """Return the final head, and its bytes. Raises Broken."""
        for _ in range(_INTERIM_MOST):
            raw = await self._next_head()
            try:
                head = read_response_head(raw, self.method, _LIMITS)
            except Refused as refused:
                self._buffer = raw + b"\r\n" + self._buffer  # for the lenient reader
                raise _refused(refused, HEAD) from None
            if head.status >= 200 or head.status == 101:
                return head, raw
        raise Broken(HEAD, s.TOO_LARGE, {"limit": "interim_responses", "limit_value": _INTERIM_MOST, "seen": _INTERIM_MOST})

    async def _next_head(self) -> bytes:
        checked = 0
        while (at := self._buffer.find(b"\r\n\r\n")) < 0:
            if self._buffer:
                try:
                    check_early_response(self._buffer, _LIMITS, checked)
                except Refused as refused:
                    raise _refused(refused, HEAD) from None
            checked = len(self._buffer)
            data = await self._more(HEAD)
            if not data:
                raise Broken(HEAD, s.EOF)
            self._buffer += data
        raw, self._buffer = self._buffer[: at + 2], self._buffer[at + 4 :]
        return raw

    async def _more(self, phase: int) -> bytes:
        """Return the next bytes, b"" at the end. Raises Broken."""
        left = self.end - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                data = await self.link.reader.read(_READ)
        except TimeoutError:
            raise late(phase, time.monotonic() - self._begun) from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise of_stream(error, phase) from None
        if data and self.attempt.t_first == NEVER:
            self.attempt.t_first = time.monotonic()
        self.attempt.received += len(data)
        return data

    async def _read_on(self) -> None:
        """After illegal bytes read a little more, for the lenient reader."""
        self.end = min(self.end, time.monotonic() + _MORE)
        try:
            while len(self._buffer) < _MOST and (data := await self._more(HEAD)):
                self._buffer += data
        except Broken:
            pass

    def _leniently(self, url: str) -> Captured | None:
        """Return what a forgiving reader makes of the bytes, None where they resemble no answer."""
        begun = self._buffer.startswith(b"HTTP/") and b"\n" in self._buffer  # the first line is complete
        found = heads(self._buffer) if begun else []
        if not found or not 100 <= found[0].status <= 599:
            return None
        one = found[0]
        first = self.attempt.t_first if self.attempt.t_first > NEVER else time.monotonic()
        return Captured(
            one.status, one.reason, one.version, one.fields, one.body, one.length, first - self._begun, url, complete=False
        )

    # The body.

    async def _body(self, head: ResponseHead) -> tuple[bytes, bool, int]:
        """Return the payload, whether it is complete, and its size (-1: not known). A failure goes into the attempt."""
        chunks = ChunkReader(_LIMITS) if head.length == CHUNKED else None
        self.attempt.body_expected = head.length if head.length >= 0 else -1
        payload, data = b"", self._buffer
        try:
            while True:
                payload += chunks.feed(data) if chunks else data
                self.attempt.body_received = len(payload)
                if _done(head, chunks, payload):
                    self.keep_alive = head.keep_alive and len(payload) <= max(head.length, 0) if not chunks else head.keep_alive
                    return payload[: head.length] if head.length >= 0 else payload, True, len(payload)
                if len(payload) >= _MOST:
                    return payload, True, -1  # we stopped: nothing is wrong with it
                data = await self._more(BODY)
                if not data:
                    break
        except Refused as refused:
            fail(self.attempt, _refused(refused, BODY))
            return payload, False, len(payload)
        except Broken as broken:
            if chunks is not None:
                broken.facts["rule"] = "chunked"
            fail(self.attempt, broken)
            return payload, False, len(payload)
        if head.length == UNTIL_CLOSE:
            return payload, True, len(payload)
        facts = {"rule": "chunked"} if chunks else {}
        fail(self.attempt, Broken(BODY, s.EOF, facts))  # type: ignore[arg-type]
        return payload, False, len(payload)

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


def _done(head: ResponseHead, chunks: ChunkReader | None, payload: bytes) -> bool:
    return chunks.done if chunks else 0 <= head.length <= len(payload)


def _refused(refused: Refused, phase: int) -> Broken:
    return Broken(phase, s.TOO_LARGE if refused.kind == "too-large" else s.MALFORMED, refused.facts)


def _fields(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a legal head."""
    lines = raw.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines if b":" in line)
    return lower((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, _, value in pairs)
