"""One connection to a server: its bytes become a response head, body pieces and an end, or a symptom, told to its exchange.

The reader changes with the state (`_reader`), because the loop holds on to `data_received` itself. An idle connection is still
watched: the server's closing it, or a byte nobody asked for, takes it out of the pool before it could be used.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from ..model.facts import Facts
from ..model.phases import BODY, HEAD, SEND
from ..model.signals import DEADLINE, EOF, MALFORMED, TOO_LARGE
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED, UNTIL_CLOSE
from ..wire.refusal import Refused
from ..wire.response import check_early_response, read_response_head
from .bulk import Bulk
from .deadlines import NONE, Deadlines
from .dial import signal_of
from .silence import read_nothing
from .spare import Spare

if TYPE_CHECKING:
    from .flow import Flow
    from .pool import Server
    from .worker import Worker

_REASONS: Final = {"send": SEND, "head": HEAD, "idle": BODY, "tunnel": BODY, "per_try": HEAD}
"""Deadlines by the key of their setting, and the phase whose time they bound."""
_GREETING: Final = 4096
"""Most bytes kept of what a server says before it was asked."""


class Upstream(asyncio.Protocol):
    """A connection to a server."""

    __slots__ = (
        "_buffer", "_chunks", "_early", "_reader", "_reason", "_spare", "address", "bulk", "deadline", "flow", "held",
        "last_byte", "left", "opened", "paused", "plain", "rested_since", "served", "server", "slot", "transport",
        "worker",
    )  # fmt: skip

    def __init__(self, worker: "Worker", server: "Server") -> None:
        self.worker = worker
        self.server = server
        self.flow: Flow | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.opened = self.rested_since = self.last_byte = worker.clock()
        self.served = 0  # exchanges begun on it
        self.paused = False  # the server takes no more bytes for now
        self.held = False  # it is not read from, because the client takes no more
        self.deadline = NONE
        self.slot = Deadlines.FREE
        self._reason = ""
        self._reader: Callable[[bytes], None] = self._read_idle
        self._buffer = b""
        self._early = b""  # came before the first request was sent
        self.left = 0
        self._chunks: ChunkReader | None = None
        self.address = ""
        self.plain = server.target.context is None
        self.bulk: Bulk | None = None
        self._spare: Spare | None = None

    # What the exchange asks for.

    def begin(self, flow: "Flow", data: bytes, *, whole: bool) -> None:
        """Serve an exchange: send the first bytes of its request. whole: they are all of it."""
        self.flow = flow
        self.served += 1
        self._reader = self._read_head
        self.last_byte = 0.0
        if not whole:
            self._keep_spare()
        ended = self.transport.is_closing()
        if self._early or ended:
            self.worker.loop.call_soon(self._read_early, flow)
        if not ended:
            self.transport.write(data)

    def _read_early(self, flow: "Flow") -> None:
        """Read what a new connection brought before anything was asked: the greeting of some other protocol, or its end."""
        if self.flow is not flow:
            return
        data, self._early = self._early, b""
        if data:
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
            self.left = length
            self._reader = self._read_length

    def hand_to_kernel(self) -> None:
        """Let the kernel move the rest of the body to the client, where it can."""
        self.bulk = Bulk.begin(self)
        if self.bulk is not None:
            self.bulk.start()

    def pause_reading(self) -> None:
        """The client takes no more for now."""
        if self.bulk is None and not self.transport.is_closing():
            self.held = True
            self.worker.deadlines.arm(self, NONE)
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The client reads again."""
        if self.held and not self.transport.is_closing():
            self.held = False
            self.transport.resume_reading()
            if self.flow is not None and self._reason == "tunnel":
                self.arm("tunnel", self.worker.clock() + self.flow.group.settings.timeouts.tunnel)
            elif self.flow is not None and self.flow.started:
                self.arm("idle", self.worker.clock() + self.flow.idle)

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
        self.resume_reading()
        if self.server.keep(self):
            self.arm("rest", now + self.server.idle_limit)
        else:
            self.close()

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
        self._reader = read_nothing
        self._drop_spare()
        self.rested_since = self.opened  # what we close ourselves teaches nothing
        if self.bulk is not None:
            self.bulk.stop()
            self.bulk = None
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
        """Handle the server's orderly end: a FIN; over TLS its close_notify, without which `connection_lost` comes alone."""
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
            if self._spare is not None:
                self._rescue(self._spare)
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
        if self.bulk is not None and self.bulk.blocked:
            flow.client_late("read", self.worker.client_timeouts["read"])
            return
        reason = self._reason
        group, of = ("retry", flow.retrying) if reason == "per_try" else ("timeouts", flow.group.settings.timeouts)
        facts: Facts = {"limit": f"{group}.{reason}", "limit_value": getattr(of, reason)}
        flow.fail(_REASONS[reason], DEADLINE, facts | {"rule": "tunnel"} if reason == "tunnel" else facts)

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
        left = self.left = self.left - size
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
            elif self._reader == self._read_surplus:
                return
        flow.fail(phase, signal, facts)

    def _closed_idle(self) -> None:
        """The server closed a connection that rested in the pool: that teaches how long it keeps them. Told once."""
        if self.rested_since > self.opened:
            self.server.closed_idle(self.worker.clock() - self.rested_since)
            self.rested_since = self.opened
        self.server.drop(self)

    def _rescue(self, spare: Spare) -> None:
        """Read what the server had sent before it broke the connection."""
        for data in spare.left():
            if self.flow is None:
                return
            self._reader(data)

    def _keep_spare(self) -> None:
        if self._spare is None and self.plain:
            try:
                self._spare = Spare(self.fileno())
            except OSError:
                pass

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None
