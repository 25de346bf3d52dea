"""One connection to a server: its bytes become a response head, body pieces and an end, or a symptom, told to its exchange.

The reader changes with the state (`_reader`), because the loop holds on to `data_received` itself. An idle connection is still
watched: the server's closing it, or a byte nobody asked for, takes it out of the pool before it could be used.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from ..model.facts import Facts
from ..model.phases import BODY, HEAD, SEND
from ..model.signals import DEADLINE, EOF, MALFORMED, TOO_LARGE
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED, UNTIL_CLOSE
from ..wire.refusal import Refused
from ..wire.response import check_early_response, read_response_head
from .deadlines import NONE, Deadlines
from .dial import signal_of
from .splice import Splice

if TYPE_CHECKING:
    from .flow import Flow
    from .pool import Server
    from .worker import Worker

_REASONS: Final = {"send": SEND, "head": HEAD, "idle": BODY, "tunnel": BODY}
"""Deadlines by the key of their setting, and the phase whose time they bound."""
_GREETING: Final = 4096
"""Most bytes kept of what a server says before it was asked."""


class Upstream(asyncio.Protocol):
    """A connection to a server."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_early",
        "_left",
        "_reader",
        "_reason",
        "_spare",
        "_splice",
        "address",
        "deadline",
        "flow",
        "last_byte",
        "opened",
        "paused",
        "plain",
        "rested_since",
        "served",
        "server",
        "slot",
        "transport",
        "worker",
    )

    def __init__(self, worker: "Worker", server: "Server") -> None:
        self.worker = worker
        self.server = server
        self.flow: Flow | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.opened = self.rested_since = self.last_byte = worker.clock()
        self.served = 0  # exchanges begun on it
        self.paused = False  # the server takes no more bytes for now
        self.deadline = NONE
        self.slot = Deadlines.FREE
        self._reason = ""
        self._reader: Callable[[bytes], None] = self._read_idle
        self._buffer = b""
        self._early = b""  # came before the first request was sent
        self._left = 0
        self._chunks: ChunkReader | None = None
        self.address = ""
        self.plain = server.target.context is None
        self._splice: Splice | None = None
        self._spare = -1  # a second descriptor, while a broken write must not cost an answer that is already here

    # What the exchange asks for.

    def begin(self, flow: "Flow", data: bytes, *, whole: bool) -> None:
        """Serve an exchange: send the first bytes of its request. whole: they are all of it."""
        self.flow = flow
        self.served += 1
        self._reader = self._read_head
        self.last_byte = 0.0
        if not whole:
            self._keep_spare()
        if self._early:
            self.worker.loop.call_soon(self._read_early, flow)
        if not self.transport.is_closing():
            self.transport.write(data)

    def _read_early(self, flow: "Flow") -> None:
        """Read what a new connection brought before anything was asked: the greeting of some other protocol, or its end."""
        if self.flow is not flow:
            return
        data, self._early = self._early, b""
        self._reader(data)
        if self.flow is flow and self.transport.is_closing():
            self._broken(EOF, None)

    def arm(self, reason: str, when: float) -> None:
        """Set the deadline of the present phase: `reason` is the key of its timeout."""
        self._reason = reason
        self.worker.deadlines.arm(self, when)

    def disarm(self) -> None:
        """The peer of this phase is the client: nothing is expected of the server."""
        self.worker.deadlines.arm(self, NONE)

    def write(self, data: bytes) -> None:
        """Send more of the request, or of a tunnel."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def expect_body(self, length: int, chunks: ChunkReader | None) -> None:
        """Read a body next: `length` bytes, or CHUNKED, or UNTIL_CLOSE."""
        if length == CHUNKED:
            self._chunks = chunks
            self._reader = self._read_chunked
        elif length == UNTIL_CLOSE:
            self._reader = self._read_until_close
        else:
            self._left = length
            self._reader = self._read_length

    def splice(self) -> None:
        """Let the kernel move the rest of the body to the client, where it can."""
        flow = self.flow
        assert flow is not None
        target = flow.down.transport
        if target.get_write_buffer_size() or target.is_closing():
            return  # bytes wait in front: the ordinary way keeps the order
        try:
            sockets = self.transport.get_extra_info("socket"), target.get_extra_info("socket")
            splice = Splice(
                self.worker.loop, sockets[0].fileno(), sockets[1].fileno(), self._left, self._moved, self._splice_ended
            )
        except OSError:
            return
        self._splice = splice
        self.transport.pause_reading()
        splice.start()

    def _moved(self, taken: int, given: int) -> None:
        flow = self.flow
        if flow is None:
            return
        now = self.worker.clock()
        if taken:
            self.last_byte = now
        self._left -= taken
        flow.spliced(taken, given)
        stalled = self._splice is not None and self._splice.blocked  # then it is the client who has to read
        self.worker.deadlines.arm(self, now + (self.worker.client_timeouts["read"] if stalled else flow.idle))

    def _splice_ended(self, how: str, error: OSError | None) -> None:
        self._splice = None
        flow = self.flow
        if flow is None:
            return
        if how == "done":
            self._reader = self._read_surplus
            self.transport.resume_reading()
            flow.body_ended(b"", b"")
        elif how == "target":
            flow.client_left(str(error))
        else:
            signal, facts = signal_of(error) if error is not None else (EOF, None)
            flow.fail(BODY, signal, facts)

    def pause_reading(self) -> None:
        """The client takes no more for now."""
        if self._splice is None and not self.transport.is_closing():
            self.worker.deadlines.arm(self, NONE)
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The client reads again."""
        if self._splice is None and not self.transport.is_closing():
            self.transport.resume_reading()
            if self.flow is not None and self.flow.started:
                self.worker.deadlines.arm(self, self.worker.clock() + self.flow.idle)

    def expect_tunnel(self) -> None:
        """Read whatever comes next, for an upgraded connection."""
        self._reader = self._read_tunnel

    def feed(self, data: bytes) -> None:
        """Read bytes that came together with earlier ones."""
        self._reader(data)

    def rest(self, now: float) -> None:
        """The exchange is over: wait in the pool for the next."""
        self.flow = None
        self._reader = self._read_idle
        self.rested_since = now
        self._drop_spare()
        if self.server.keep(self):
            self.arm("rest", now + self.server.idle_limit)
        else:
            self.close()

    @property
    def greeted(self) -> bool:
        """Whether the server spoke before it was asked."""
        return bool(self._early)

    def fit(self) -> bool:
        """Tell whether an idle connection may be used."""
        return not self.transport.is_closing()

    def close(self) -> None:
        """Close in order; nothing is told to anyone any more."""
        self._leave()
        self.transport.close()

    def abandon(self) -> None:
        """Close at once, in the middle of something."""
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        self.flow = None
        self._reader = self._read_nothing
        self._drop_spare()
        if self._splice is not None:
            self._splice.stop()
            self._splice = None
        self.worker.deadlines.forget(self)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 when it is closed."""
        try:
            sock = self.transport.get_extra_info("socket")
            return sock.fileno() if sock is not None else -1
        except (OSError, RuntimeError):
            return -1

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader(data)

    def eof_received(self) -> bool:
        """Handle the server's FIN."""
        flow = self.flow
        if flow is None:
            self._closed_idle()
        elif self._reader == self._read_until_close:
            self._end_body(b"")
        elif self._reader == self._read_tunnel:
            flow.finish()
        else:
            self._broken(EOF, None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.flow is None:
            self._closed_idle()
        else:
            if self._early:
                self._read_early(self.flow)
            if self._spare >= 0:
                self._rescue()
            if self.flow is not None:
                self._broken(*(signal_of(exc) if exc is not None else (EOF, {})))
        self._leave()

    def pause_writing(self) -> None:
        self.paused = True
        if (flow := self.flow) is not None:
            flow.server_is_full()

    def resume_writing(self) -> None:
        self.paused = False
        if (flow := self.flow) is not None:
            flow.server_takes_more()

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        flow = self.flow
        if flow is None:
            self.server.drop(self)
            self.close()
            return
        if self._splice is not None and self._splice.blocked:
            flow.client_late("read", self.worker.client_timeouts["read"])
            return
        limit = f"timeouts.{self._reason}"
        value = getattr(flow.group.settings.timeouts, self._reason)
        facts: Facts = {"limit": limit, "limit_value": value}
        if self._reason == "tunnel":
            facts["rule"] = "tunnel"
        flow.fail(_REASONS[self._reason], DEADLINE, facts)

    # Readers, one for each state.

    def _read_head(self, data: bytes) -> None:
        flow = self.flow
        assert flow is not None
        attempt = flow.attempt
        now = self.worker.clock()
        if self.last_byte == 0.0:
            attempt.t_first = now
        self.last_byte = now
        attempt.received += len(data)
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
        try:
            if end < 0:
                self._buffer = data
                check_early_response(data, self.worker.wire_limits, seen)
                return
            if seen:
                self._buffer = b""
            head = read_response_head(data[: end + 2], flow.method, self.worker.wire_limits)
        except Refused as refused:
            flow.fail(HEAD, TOO_LARGE if refused.kind == "too-large" else MALFORMED, refused.facts)
            return
        flow.head_came(head, data[end + 4 :], now)

    def _read_length(self, data: bytes) -> None:
        flow = self.flow
        assert flow is not None
        size = len(data)
        flow.attempt.received += size
        left = self._left = self._left - size
        if left > 0:
            now = self.last_byte = self.worker.clock()
            self.worker.deadlines.arm(self, now + flow.idle)
            flow.body_came(data)
        elif left == 0:
            self._end_body(data)
        else:
            self._surplus(data[left:])
            self._end_body(data[:left])

    def _read_chunked(self, data: bytes) -> None:
        flow = self.flow
        chunks = self._chunks
        assert flow is not None
        assert chunks is not None
        flow.attempt.received += len(data)
        try:
            piece = chunks.feed(data)
        except Refused as refused:
            flow.fail(BODY, TOO_LARGE if refused.kind == "too-large" else MALFORMED, refused.facts)
            return
        if not chunks.done:
            now = self.last_byte = self.worker.clock()
            self.worker.deadlines.arm(self, now + flow.idle)
            if piece:
                flow.body_came(piece)
            return
        if chunks.rest:
            self._surplus(chunks.rest)
        self._end_body(piece, chunks.trailers)

    def _read_until_close(self, data: bytes) -> None:
        flow = self.flow
        assert flow is not None
        flow.attempt.received += len(data)
        now = self.last_byte = self.worker.clock()
        self.worker.deadlines.arm(self, now + flow.idle)
        flow.body_came(data)

    def _read_tunnel(self, data: bytes) -> None:
        flow = self.flow
        assert flow is not None
        flow.attempt.received += len(data)
        self.last_byte = self.worker.clock()
        assert flow.tunnel is not None
        flow.tunnel.from_server(data)

    def _read_idle(self, data: bytes) -> None:
        """A byte nobody asked for: a kept connection can no longer be trusted; a new one is about to show what it speaks."""
        if self.served:
            self.server.drop(self)
            self.close()
        elif len(self._early) < _GREETING:
            self._early += data

    def _read_nothing(self, data: bytes) -> None:
        """Ignore what still comes while closing."""

    # Ends.

    def _end_body(self, piece: bytes, trailers: bytes = b"") -> None:
        flow = self.flow
        assert flow is not None
        self._reader = self._read_surplus
        flow.body_ended(piece, trailers)

    def _read_surplus(self, data: bytes) -> None:
        """More bytes after the end of the body, before the exchange let go of the connection."""
        self._surplus(data)

    def _surplus(self, data: bytes) -> None:
        """The server sent more than its response: the response stands, the connection does not."""
        flow = self.flow
        assert flow is not None
        flow.surplus(data)

    def _broken(self, signal: str, facts: Facts | None) -> None:
        """The connection ended in the middle of an exchange."""
        flow = self.flow
        assert flow is not None
        if self._reader == self._read_head:
            phase = HEAD if flow.request_done and not self.paused else SEND
        else:
            phase = BODY
            if self._reader == self._read_tunnel:
                facts = {**(facts or {}), "rule": "tunnel"}
            elif self._reader == self._read_chunked:
                facts = {**(facts or {}), "rule": "chunked"}
            elif self._reader == self._read_until_close and signal == EOF:
                self._end_body(b"")
                return
            elif self._reader == self._read_surplus:
                return
        flow.fail(phase, signal, facts)

    def _closed_idle(self) -> None:
        if self.rested_since > self.opened:
            self.server.closed_idle(self.worker.clock() - self.rested_since)
        self.server.drop(self)

    def _keep_spare(self) -> None:
        """Keep a way to read: a server that answers 413 and hangs up breaks our write, and its answer must still arrive."""
        if self._spare < 0 and not isinstance(self.transport.get_extra_info("ssl_object"), ssl.SSLObject):
            try:
                self._spare = os.dup(self.fileno())
            except OSError:
                pass

    def _drop_spare(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _rescue(self) -> None:
        """Read what the server had sent before it broke the connection."""
        for _ in range(64):
            try:
                data = os.read(self._spare, 65536)
            except OSError:
                return
            if not data or self.flow is None:
                return
            self._reader(data)
