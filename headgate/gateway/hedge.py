"""A second try beside the first, on another server, when the first is slow to answer: whichever answers first is relayed.

Only for requests without a body that may reach a server twice, within the retry budget, and when it was asked for. To its
connection it stands for the exchange until a response head comes; then it hands the connection over and is gone.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from ..diagnose.classify import classify
from ..model.exchange import Attempt
from ..model.facts import Facts
from ..model.phases import HEAD, SEND
from ..wire.response import ResponseHead
from .dial import Dial
from .evidence import gather
from .forwarding import request_lines
from .gate import FAILED, LEFT
from .upstream import Upstream

if TYPE_CHECKING:
    from .flow import Flow
    from .pool import Server


def may_be_hedged(flow: "Flow") -> bool:
    """Tell whether a request may be sent to two servers at once."""
    return flow.upload is None and not flow.head.upgrade and flow.repeatable()


class Hedge:
    """The second try of one exchange: first a timer, then a connection like the first one."""

    __slots__ = ("_dial", "_flow", "_pass", "_taken", "_timer", "attempt", "conn", "group", "idle", "method", "request_done",
                 "retrying", "running", "server", "started")  # fmt: skip

    attempt: Attempt  # these two are set when it begins
    server: "Server"

    def __init__(self, flow: "Flow", after: float) -> None:
        """after: seconds from now until the second server is asked."""
        self._flow = flow
        self.group = flow.group
        self.retrying = flow.retrying
        self.method = flow.method
        self.idle = flow.idle
        self.request_done = True
        self.started = False
        self.running = False
        self.conn: Upstream | None = None
        self._dial: Dial | None = None
        self._pass = 0
        self._taken = False  # the first try failed: this is the try now
        self._timer: asyncio.TimerHandle | None = flow.worker.loop.call_later(after, self._begin)

    def _begin(self) -> None:
        self._timer = None
        flow, group = self._flow, self.group
        now = flow.worker.clock()
        server = group.beside(flow)
        let_in = server is not None and (group.gate is None or group.gate.has_room_beside(server))
        if server is None or not let_in or not flow.spend_retry(now):
            flow.hedge = None
            return
        if group.gate is not None:
            self._pass = group.gate.enter_beside(server, now)
        self.running = True
        self.server = server
        server.busy += 1
        server.requests += 1
        self.attempt = Attempt(group.name, server.label, now)
        flow.attempts.append(self.attempt)
        conn = server.take()
        if conn is None:
            self._dial = Dial(server.target, self.attempt, lambda: Upstream(flow.worker, server), self._dialled, self.not_dialled)
            self._dial.start()
            return
        self.attempt.reused, self.attempt.address, self.attempt.opened = True, conn.address, conn.opened
        self.attempt.idle, self.attempt.requests = now - conn.rested_since, conn.served
        self._send(conn)

    def _dialled(self, transport: asyncio.BaseTransport, protocol: asyncio.BaseProtocol) -> None:
        self._dial = None
        if self._taken:
            self._flow.dialled(transport, protocol)
            return
        conn = cast(Upstream, protocol)
        conn.address = self.attempt.address
        self.attempt.opened = conn.opened
        self._send(conn)

    def not_dialled(self, phase: int, signal: str, facts: Facts) -> None:
        """The second server could not be reached."""
        self._dial = None
        if self._taken:
            self._flow.not_dialled(phase, signal, facts)
        else:
            self.fail(phase, signal, facts)

    def _send(self, conn: Upstream) -> None:
        self.conn = conn
        attempt, flow = self.attempt, self._flow
        head, worker = flow.head, flow.worker
        flow.mark(attempt)
        host = self.group.host_for(head.host, conn.server)
        data = request_lines(head, host, flow.down.forwarding(head), flow.reference, worker.via[head.minor])
        attempt.phase, attempt.sent = SEND, len(data)
        conn.begin(cast("Flow", self), data, whole=True)
        if self.conn is conn and not conn.paused:
            attempt.t_sent = now = worker.clock()
            attempt.phase = HEAD
            conn.arm(*self.retrying.until_head(attempt.t_start, now, self.group.settings.timeouts.head))

    # What its connection tells.

    def server_is_full(self) -> None:
        """The server takes no more for now: it has to come to that with a head alone."""

    def server_takes_more(self) -> None:
        """The server reads again."""

    def head_came(self, head: ResponseHead, rest: bytes, now: float) -> None:
        """This server is the quicker one: let the first go, and relay its answer. An interim response is none yet."""
        if head.status < 200 and head.status != 101:
            if rest and self.conn is not None:
                self.attempt.received -= len(rest)  # they are counted again
                self.conn.feed(rest)
            return
        self._flow.leave_try(now)
        self.take_over()
        self._flow.head_came(head, rest, now)

    def fail(self, phase: int, signal: str, facts: Facts | None = None) -> None:
        """The second try failed: it was one of two, so the first goes on."""
        flow, attempt, server = self._flow, self.attempt, self.server
        now = flow.worker.clock()
        attempt.phase, attempt.signal, attempt.t_end = phase, signal, now
        attempt.facts = facts = gather(attempt, self.conn, facts, now)
        attempt.cause = cause = classify(phase, signal, facts)
        attempt.verdict = "again-hedged"
        self._end(now, FAILED if cause.strike else LEFT)
        if cause.strike:
            self.group.bad(server, flow, now, unsent=phase < SEND)
        flow.tried.append(server)
        self._step_back()
        flow.worker.recorder.attempt_failed(flow, attempt)

    def client_late(self, what: str, limit: float) -> None:
        """The client was too slow (told by a connection that relays, which this one does not yet)."""
        self._flow.client_late(what, limit)

    # What the exchange asks for.

    def take_over(self) -> None:
        """Become the try of the exchange."""
        flow = self._flow
        self._taken = True
        flow.hedge = None
        flow.attempt, flow.server, flow.breaker_pass = self.attempt, self.server, self._pass
        flow.conn, flow.waiting_dial = self.conn, self._dial
        if self.conn is not None:
            self.conn.flow = flow
        else:
            flow.bound_try()

    def leave(self) -> None:
        """The first try answered, or nobody waits any more: let the second go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.running:
            now = self._flow.worker.clock()
            self.attempt.verdict = "hedged"
            self.attempt.t_end = now
            self._end(now, LEFT)
        self._step_back()

    def _step_back(self) -> None:
        """Leave the exchange to its first try, which is the last one in the record again: that is where the answer comes from."""
        flow, self.running = self._flow, False
        flow.hedge = None
        flow.attempts.remove(flow.attempt)
        flow.attempts.append(flow.attempt)

    def _end(self, now: float, how: str) -> None:
        """Let go of the connection and the server."""
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self.conn is not None:
            self.conn.abandon()
            self.conn = None
        self.server.busy -= 1
        if self.group.gate is not None:
            self.group.gate.ended(self._pass, self.server, now, how, -1.0)
