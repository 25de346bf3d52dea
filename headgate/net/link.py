"""The stream between the two planes: JSON objects, each behind its length; bounded, what does not fit is counted as dropped.

A message that cannot be read ends the link: after it nothing on the stream can be trusted. Its owner asks for a new one.
"""

import asyncio
import json
import struct
from collections.abc import Callable
from typing import Any, Final, cast

LARGEST: Final = 16 << 20
"""Bytes of one message: a configuration may have 4 MiB, and JSON escapes it."""
WAITING: Final = 4 << 20
"""Bytes that may wait for the other process before further messages are dropped."""
KEEPING_UP: Final = 256 << 10
"""Bytes that may wait before what is not important is not even sent."""
_LENGTH: Final = struct.Struct(">I")


class Link(asyncio.Protocol):
    """One end of the stream between two processes."""

    def __init__(self, heard: Callable[[dict[str, Any]], None], ended: Callable[[str], None]) -> None:
        """heard: gets each message; it may raise AttributeError, KeyError, TypeError or ValueError at one that makes no sense.

        ended: is called once, with the reason, when nothing more will come.
        """
        self._heard = heard
        self._ended: Callable[[str], None] | None = ended
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.dropped = 0  # messages that were not sent, for the other end is too slow or gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read every message that is complete."""
        self._buffer += data
        buffer = self._buffer
        at = 0
        try:
            while len(buffer) - at >= 4:
                (size,) = _LENGTH.unpack_from(buffer, at)
                if size > LARGEST:
                    raise ValueError(f"a message of {size} bytes, more than {LARGEST}")
                if len(buffer) - at - 4 < size:
                    break
                message = json.loads(bytes(buffer[at + 4 : at + 4 + size]))
                at += 4 + size
                if not isinstance(message, dict):
                    raise TypeError(f"not an object but {type(message).__name__}")
                self._heard(message)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            self._end(f"malformed message: {error!r}")
            return
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._end(f"connection lost: {exc}" if exc is not None else "closed by the other end")

    def _end(self, why: str) -> None:
        ended, self._ended = self._ended, None
        self._buffer.clear()
        self.close()
        if ended is not None:
            ended(why)

    @property
    def takes(self) -> bool:
        """Whether a message that is sent now is not dropped."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() <= WAITING

    @property
    def idle(self) -> bool:
        """Whether the other end keeps up: hardly anything waits for it."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() <= KEEPING_UP

    def send(self, message: dict[str, Any], *, important: bool = False) -> bool:
        """Send a message; False (and counted) when it was dropped. important: may go beyond the bound, as few messages do."""
        transport = self._transport
        if transport is None or transport.is_closing() or not (important or self.takes):
            self.dropped += 1
            return False
        data = json.dumps(message).encode()
        transport.write(_LENGTH.pack(len(data)) + data)
        return True

    def close(self) -> None:
        """Close, without another word."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
