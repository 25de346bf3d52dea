"""A request body on its way to the server: passed on as it comes, and kept while it is small enough to be sent again."""

from typing import TYPE_CHECKING, Final

from ..model.signals import CLIENT_TOO_LARGE
from ..wire.framing import CHUNKED
from ..wire.write import chunk, last_chunk

if TYPE_CHECKING:
    from .flow import Flow

WAITING: Final = 65_536
"""Bytes that may wait for a connection before the client has to."""


class Upload:
    """The body of one request. Exists only where there is one."""

    __slots__ = ("_chunked", "_flow", "_keep", "_limit", "_pieces", "_size", "replayable")

    def __init__(self, flow: "Flow", keep: int, limit: int) -> None:
        """keep: bytes kept for another try; limit: most bytes accepted, 0 for any number."""
        self._flow = flow
        self._chunked = flow.head.length == CHUNKED
        self._keep = keep
        self._limit = limit
        self._pieces: list[bytes] = []  # what came so far, as it is to be sent
        self._size = 0
        self.replayable = True  # all of it is still here

    def came(self, piece: bytes) -> None:
        """Pass on a piece of the body."""
        flow = self._flow
        flow.received += len(piece)
        if self._limit and flow.received > self._limit:
            flow.fail_client(CLIENT_TOO_LARGE, {"limit": "request_body_bytes", "limit_value": self._limit, "seen": flow.received})
            return
        self._pass_on(chunk(piece) if self._chunked else piece)

    def ended(self, trailers: bytes) -> None:
        """Pass on the end of the body."""
        if self._chunked:
            self._pass_on(last_chunk(trailers))

    def _pass_on(self, data: bytes) -> None:
        flow = self._flow
        conn = flow.conn
        if self.replayable or conn is None:
            self._pieces.append(data)
            self._size += len(data)
        if conn is not None:
            flow.attempt.sent += len(data)
            conn.write(data)
            self._forget_if_large()
        elif self._size > WAITING:
            flow.down.pause("dial")

    def so_far(self) -> bytes:
        """Return what came until now: a new try begins with it."""
        data = b"".join(self._pieces)
        self._forget_if_large()
        self._flow.down.resume("dial")
        return data

    def _forget_if_large(self) -> None:
        if self._size > self._keep:
            self.replayable = False
            self._pieces = []
            self._size = 0
