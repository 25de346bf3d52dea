"""Owns how the answer to a request of our own is read: by the strict reader, piece by piece, and never beyond its time."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.phases import BODY, HEAD
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED, UNTIL_CLOSE
from ..wire.limits import WireLimits
from ..wire.refusal import Refused
from ..wire.response import ResponseHead, check_early_response, read_response_head
from .failing import Broken, late, of_stream
from .streams import Link

_READ: Final = 65_536
_INTERIM_MOST: Final = 20


class Incoming:
    """Reads the answer to one request: `read_head`, then `pieces`. What came is counted in the attempt."""

    def __init__(self, link: Link, attempt: Attempt, method: str, end: float, limits: WireLimits | None = None) -> None:
        """end: when to give up, monotonic. limits: the usual ones when None."""
        self.link, self.attempt, self.method, self.end = link, attempt, method.encode(), end
        self.begun = self._heard = time.monotonic()
        self.buffer = b""  # what came and is not read yet
        self._limits = limits or WireLimits()

    async def read_head(self) -> tuple[ResponseHead, bytes]:
        """Return the final head, and its bytes without the empty line. Raises Broken; illegal bytes are then in the buffer."""
        for _ in range(_INTERIM_MOST):
            raw = await self._next_head()
            try:
                head = read_response_head(raw, self.method, self._limits)
            except Refused as refused:
                self.buffer = raw + b"\r\n" + self.buffer
                raise _broken(refused, HEAD) from None
            if head.status >= 200 or head.status == 101:
                return head, raw
        raise Broken(HEAD, s.TOO_LARGE, {"limit": "interim_responses", "limit_value": _INTERIM_MOST, "seen": _INTERIM_MOST})

    async def _next_head(self) -> bytes:
        checked = 0
        while (at := self.buffer.find(b"\r\n\r\n")) < 0:
            if self.buffer:
                try:
                    check_early_response(self.buffer, self._limits, checked)
                except Refused as refused:
                    raise _broken(refused, HEAD) from None
            checked = len(self.buffer)
            data = await self.more(HEAD)
            if not data:
                raise Broken(HEAD, s.EOF)
            self.buffer += data
        raw, self.buffer = self.buffer[: at + 2], self.buffer[at + 4 :]
        return raw

    async def pieces(self, head: ResponseHead) -> AsyncIterator[bytes]:
        """Yield the body, without its chunks; what came after its end is left in the buffer. Raises Broken (BODY)."""
        attempt = self.attempt
        chunks = ChunkReader(self._limits) if head.length == CHUNKED else None
        attempt.body_expected = head.length if head.length >= 0 else -1
        data, self.buffer = self.buffer, b""
        while True:
            if head.length >= 0:
                left = head.length - attempt.body_received
                data, self.buffer = data[:left], data[left:]
            try:
                piece = chunks.feed(data) if chunks else data
            except Refused as refused:
                raise _broken(refused, BODY) from None
            attempt.body_received += len(piece)
            if piece:
                yield piece
            if chunks.done if chunks else attempt.body_received == head.length:
                self.buffer += chunks.rest if chunks else b""
                return
            data = await self._more_body(chunks is not None)
            if not data and head.length == UNTIL_CLOSE:
                return
            if not data:
                raise Broken(BODY, s.EOF, {"rule": "chunked"} if chunks else {})

    async def _more_body(self, chunked: bool) -> bytes:
        try:
            return await self.more(BODY)
        except Broken as broken:
            if chunked:
                broken.facts["rule"] = "chunked"
            raise

    async def more(self, phase: int) -> bytes:
        """Return the next bytes, b"" at the end. Raises Broken."""
        try:
            async with asyncio.timeout(max(0.0, self.end - time.monotonic())):
                data = await self.link.reader.read(_READ)
        except TimeoutError:
            now = time.monotonic()
            broken = late(phase, now - self.begun)
            broken.facts["silent_ms"] = round((now - self._heard) * 1000)
            raise broken from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise of_stream(error, phase) from None
        self._heard = time.monotonic()
        if data and self.attempt.t_first == NEVER:
            self.attempt.t_first = self._heard
        self.attempt.received += len(data)
        return data


def _broken(refused: Refused, phase: int) -> Broken:
    return Broken(phase, s.TOO_LARGE if refused.kind == "too-large" else s.MALFORMED, refused.facts)
