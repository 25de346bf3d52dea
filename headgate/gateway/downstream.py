"""One connection from a client: its bytes become requests, one after the other; its silence or leaving is told to the exchange.

The reader changes with the state (`_reader`). Requests that a client sends ahead (pipelining) wait in `_buffer` until their turn.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, cast

from ..model.facts import Facts
from ..model.signals import CLIENT_DEADLINE, CLIENT_MALFORMED, CLIENT_TOO_LARGE, CLIENT_UNSUPPORTED, STOPPING
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED
from ..wire.heads import skip_empty_lines
from ..wire.refusal import Refused
from ..wire.request import RequestHead, check_early_request, read_request_head
from .answering import answer_bytes
from .deadlines import NONE, Deadlines
from .ending import Ending
from .flow import Flow
from .forwarding import forwarding_lines, told_client, told_reference, told_scheme, within
from .silence import read_nothing

if TYPE_CHECKING:
    from .worker import Worker

AHEAD: Final = 65_536
"""Bytes a client may send ahead of its turn before it has to wait."""
LINGER: Final = 2.0
"""Seconds in which what a client still sends is read and dropped, so that the answer survives on its way."""
PARTING: Final = 0.5
"""Seconds in which an idle client may still send a last request when the gateway stops."""
_SIGNALS: Final = {"malformed": CLIENT_MALFORMED, "too-large": CLIENT_TOO_LARGE, "unsupported": CLIENT_UNSUPPORTED}
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Downstream(asyncio.Protocol):
    """A connection from a client."""

    __slots__ = (
        "_buffer", "_chunks", "_forwarding", "_forwarding_host", "_full", "_head_began", "_left", "_pauses", "_reader",
        "_reason", "client", "deadline", "details", "flow", "plain", "scheme", "slot", "surplus_connection",
        "transport", "trusts", "worker",
    )  # fmt: skip

    def __init__(self, worker: "Worker", scheme: str) -> None:
        self.worker = worker
        self.scheme = scheme
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.client = ""
        self.trusts = False  # the peer is a trusted proxy: what it says of the client is believed
        self.details = False  # the client may see addresses and bytes in error answers
        self.plain = scheme == "http"
        self.surplus_connection = False  # one more than the limit: it gets one answer
        self.flow: Flow | None = None
        self.deadline = NONE
        self.slot = Deadlines.FREE
        self._reason = "idle"
        self._reader: Callable[[bytes], None] = self._read_head
        self._buffer = b""
        self._left = 0
        self._chunks: ChunkReader | None = None
        self._pauses: set[str] = set()
        self._forwarding = b""
        self._forwarding_host: bytes | None = None
        self._head_began = 0.0  # when the first byte of the head under way came
        self._full = False  # it takes no more bytes for now

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else "unix"
        self.surplus_connection = not self.worker.welcome(self)
        self.arm("head")

    def data_received(self, data: bytes) -> None:
        self._reader(data)

    def eof_received(self) -> bool:
        """Handle the client's FIN: nobody waits for an answer any more, as nginx and Envoy see it too."""
        if self.flow is not None:
            self.flow.client_left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader = read_nothing
        self.worker.goodbye(self)
        if self.flow is not None:
            self.flow.client_left(str(exc) if exc is not None else "")
        self.flow = None

    def pause_writing(self) -> None:
        self._full = True
        if self.flow is not None:
            self.flow.client_is_full()

    def resume_writing(self) -> None:
        self._full = False
        if self.flow is not None:
            self.flow.client_takes_more()
        elif self._reader == self._hold:
            self._await_next()

    # Deadlines.

    def arm(self, reason: str) -> None:
        """Start the time of a phase, "head", "body", "read", "idle" or "linger", within the time for the whole exchange."""
        when = self.worker.clock() + self.worker.client_timeouts[reason]
        flow = self.flow
        if flow is not None and flow.t_limit < when:
            self.arm_total(flow.t_limit)
        else:
            self._reason = reason
            self.worker.deadlines.arm(self, when)

    def arm_total(self, when: float) -> None:
        """The client has no more to do than to wait: only the time for the whole exchange bounds it."""
        self._reason = "total"
        self.worker.deadlines.arm(self, when)

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        flow, reason = self.flow, self._reason
        if flow is None:
            if reason == "head" and self._buffer:
                self._too_slow()
            else:
                self._close_now()
        elif reason == "total":
            flow.out_of_time()
        else:
            limit = self.worker.client_timeouts[reason]
            facts: Facts = {
                "rule": reason,
                "limit": f"gateway.timeouts.{reason}",
                "limit_value": limit,
                "silent_ms": round(limit * 1000),
            }
            flow.fail_client(CLIENT_DEADLINE, facts)

    def _too_slow(self) -> None:
        limit = self.worker.client_timeouts["head"]
        facts: Facts = {"rule": "head", "limit": "gateway.timeouts.head", "limit_value": limit, "seen": len(self._buffer)}
        self._refuse(CLIENT_DEADLINE, facts, self._buffer)

    # Readers, one for each state.

    def _read_head(self, data: bytes) -> None:
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
        if data[:2] == b"\r\n":
            data = data[skip_empty_lines(data) :]
            seen = 0
        end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
        worker = self.worker
        try:
            if end < 0:
                self._buffer = data
                if data:
                    check_early_request(data, worker.wire_limits, seen)
                    if not self._head_began:
                        self._head_began = worker.clock()
                        self.arm("head")
                return
            raw = data[: end + 2]
            self._buffer = data[end + 4 :]
            head = read_request_head(raw, worker.wire_limits)
        except Refused as refused:
            self._buffer = b""
            self._refuse(_SIGNALS[refused.kind], refused.facts, data)
            return
        self._head_began = 0.0
        flow = self.flow = worker.flow(self, worker.reference(), worker.clock())
        length = head.length
        if length == 0:
            self._reader = self._hold
            flow.open(head, raw)
            return
        if length == CHUNKED:
            self._chunks = ChunkReader(worker.wire_limits, "request")
            self._reader = self._read_chunked
        else:
            self._left = length
            self._reader = self._read_length
        rest, self._buffer = self._buffer, b""
        flow.open(head, raw)
        if rest and self.flow is flow:
            self._reader(rest)

    def _read_length(self, data: bytes) -> None:
        flow = self.flow
        assert flow is not None
        assert flow.upload is not None
        left = self._left = self._left - len(data)
        if left > 0:
            self.arm("body")
            flow.upload.came(data)
            return
        self._reader = self._hold
        if left < 0:
            self._buffer = data[left:]
            data = data[:left]
        flow.upload.came(data)
        if self.flow is flow:
            flow.request_ended(b"")

    def _read_chunked(self, data: bytes) -> None:
        flow = self.flow
        chunks = self._chunks
        assert flow is not None
        assert flow.upload is not None
        assert chunks is not None
        try:
            piece = chunks.feed(data)
        except Refused as refused:
            flow.fail_client(_SIGNALS[refused.kind], refused.facts)
            return
        if chunks.done:
            self._reader = self._hold
            self._buffer = chunks.rest
        else:
            self.arm("body")
        if piece:
            flow.upload.came(piece)
        if chunks.done and self.flow is flow:
            flow.request_ended(chunks.trailers)

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends ahead of its turn."""
        self._buffer += data
        if len(self._buffer) > AHEAD:
            self.pause("ahead")

    def _read_tunnel(self, data: bytes) -> None:
        assert self.flow is not None
        assert self.flow.tunnel is not None
        self.flow.tunnel.from_client(data)

    def _refuse(self, signal: str, facts: Facts, data: bytes) -> None:
        """Answer what is not a request: its framing is in doubt, so the connection ends with it."""
        flow = self.flow = Flow(self, self.worker.reference(), self._head_began or self.worker.clock())
        words = data.split(b"\r\n", 1)[0].split(b" ")
        flow.method, flow.target = words[0][:32], words[1][:2048] if len(words) > 1 else b""
        flow.raw = data
        self._reader = read_nothing
        flow.refuse(signal, facts)

    # What the exchange asks for.

    def told(self, flow: Flow, managed: Mapping[int, bytes]) -> None:
        """Take over what a trusted proxy says of the client."""
        flow.client = told_client(managed, self.client, self.worker.trusted_proxies)
        flow.scheme = told_scheme(managed, self.scheme)
        flow.reference = told_reference(managed) or flow.reference
        flow.trusted = within(flow.client, self.worker.details_for)

    def forwarding(self, head: RequestHead) -> bytes:
        """Return the Forwarded and X-Forwarded-* lines; those of an untrusted client are the same as long as its Host is."""
        if self.trusts:
            return forwarding_lines(self.client, self.scheme, head.host, head.managed)
        if head.host != self._forwarding_host:
            self._forwarding_host = head.host
            self._forwarding = forwarding_lines(self.client, self.scheme, head.host)
        return self._forwarding

    def expect_tunnel(self) -> None:
        """Read whatever comes next, for an upgraded connection."""
        self._reader = self._read_tunnel
        self.worker.deadlines.arm(self, NONE)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._read_tunnel(data)

    def answer(self, flow: Ending, *, keep: bool) -> None:
        """Send an answer of the gateway's own."""
        flow.write(answer_bytes(self.worker, flow, keep=keep))

    def done(self, *, close: bool, linger: bool) -> None:
        """The exchange is over: read the next request, or close (after a pause in which the client can still read its answer)."""
        self.flow = None
        if close or self.transport.is_closing():
            self._close(linger=linger)
            return
        self._await_next()

    def _await_next(self) -> None:
        """Read the next request, or serve the one that was sent ahead: once the client has taken most of what it was sent."""
        self._reader = self._hold if self._buffer or self._full else self._read_head
        if self._pauses:
            self._pauses &= {"ahead"}
            self._release()
        self.arm("read" if self.transport.get_write_buffer_size() else "idle")
        if self._buffer and not self._full:
            self.worker.loop.call_soon(self._next)

    def _next(self) -> None:
        """Serve the request that was sent ahead."""
        if self.flow is None and self._reader == self._hold and not self._full and not self.transport.is_closing():
            data, self._buffer = self._buffer, b""
            self._reader = self._read_head
            self._read_head(data)
            if len(self._buffer) <= AHEAD:
                self.resume("ahead")

    def drop(self) -> None:
        """The client is gone: let the connection go."""
        self.flow = None
        self._close_now()

    def cut(self, *, hard: bool) -> None:
        """Break the connection visibly. hard: by a reset, since an orderly end would look like the response's."""
        self.flow = None
        if hard and (sock := self.transport.get_extra_info("socket")) is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            except OSError:
                pass
        self._close_now()

    def _close(self, *, linger: bool) -> None:
        self._reader = read_nothing
        self._buffer = b""
        unsent = self.transport.get_write_buffer_size() if not self.transport.is_closing() else 0
        if linger and not self.transport.is_closing() and self.transport.can_write_eof():
            self._pauses.clear()
            self._release()
            self.transport.write_eof()
        else:
            self.transport.close()
        self.arm("read" if unsent else "linger")  # then it is over, whatever the client does

    def _close_now(self) -> None:
        self._reader = read_nothing
        self.transport.abort()

    def pause(self, why: str) -> None:
        """Stop reading from the client, for one reason more."""
        if not self._pauses and not self.transport.is_closing():
            self.transport.pause_reading()
            if self.flow is not None and self.flow.tunnel is None:
                self.arm_total(self.flow.t_limit)  # its silence is our doing now
        self._pauses.add(why)

    def resume(self, why: str) -> None:
        """Read on, once no reason to wait is left."""
        if why in self._pauses:
            self._pauses.discard(why)
            self._release()
            if not self._pauses and self.flow is not None and not self.flow.request_done:
                self.arm("body")

    def _release(self) -> None:
        if not self._pauses and not self.transport.is_closing():
            self.transport.resume_reading()

    def drain(self) -> None:
        """The gateway stops: what runs, or comes within a moment, is the last on this connection; then it closes.

        Closing at once would lose the request that is on its way at this very moment.
        """
        if self.flow is None and not self._buffer and self._reader == self._read_head:
            self._reason = "idle"
            self.worker.deadlines.arm(self, self.worker.clock() + PARTING)

    def stopped(self) -> None:
        """The time to drain is over."""
        if self.flow is not None:
            self.flow.fail_client(STOPPING)
        self._close_now()
