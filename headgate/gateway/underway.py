"""An exchange under way: its state, and how it waits for its next try, after a pause or in the queue of its upstream."""

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING

from ..model.exchange import Attempt, Exchange
from ..model.facts import Facts
from ..model.phases import SEND
from ..model.signals import DEADLINE, LIMIT, NO_SERVER
from ..wire.request import RequestHead
from ..wire.response import ResponseHead
from .bodycheck import BodyCheck

if TYPE_CHECKING:
    from ..traffic.shared import Gauge
    from .aside import Aside
    from .dial import Dial
    from .downstream import Downstream
    from .gate import Gate
    from .group import Group
    from .hedge import Hedge
    from .pool import Server
    from .retrying import Retrying
    from .tunnel import Tunnel
    from .upload import Upload
    from .upstream import Upstream
    from .worker import Worker


class UnderWay(Exchange):
    """What is known of an exchange while it is alive."""

    __slots__ = (
        "_check", "_continued", "_fresh", "_interim", "_keep", "_timer", "_waits_in", "aside", "attempt",
        "breaker_pass", "chunked", "conn", "down", "group", "head", "hedge", "held", "idle", "judged", "notes", "queued", "raw",
        "request_done", "response_head", "retrying", "rounds", "server", "setting_aside", "started", "t_limit", "tried", "tunnel",
        "upload", "wait_since", "waiting_dial", "worker",
    )  # fmt: skip

    head: RequestHead  # set by `open`, as are group and attempt by the steps that follow
    group: "Group"
    retrying: "Retrying"  # what the route or the upstream says of further tries
    wait_since: float  # when it began to wait in the queue
    breaker_pass: int  # what the circuit breaker gave it
    attempt: Attempt  # the try under way, or the last one

    def __init__(self, down: "Downstream", reference: str, now: float) -> None:
        Exchange.__init__(self, reference, down.client, down.scheme, now)
        self.down = down
        self.worker: Worker = down.worker
        self.trusted = down.details
        self.raw = b""  # the request head as it came, for look-ups that few requests need
        self.t_limit = now + 3600.0  # when the time for the whole exchange is up
        self.conn: Upstream | None = None
        self.upload: Upload | None = None
        self.tunnel: Tunnel | None = None
        self.request_done = True  # the request is complete, as far as the client goes
        self.started = False  # a byte of the final response went to the client
        self.chunked = False  # the response body is written in chunks
        self.idle = 0.0  # timeout of the response body, seconds of silence
        self.response_head: ResponseHead | None = None
        self._check: BodyCheck | None = None
        self.waiting_dial: Dial | None = None
        self.server: Server | None = None  # counted as busy with this exchange
        self._timer: asyncio.TimerHandle | None = None  # it waits for its next try, or the time of a try is bounded
        self._waits_in: Gate | None = None  # it waits in this queue
        self.queued = False  # it has waited in a queue, and need not wait behind others again
        self.tried: list[Server] = []  # servers that failed
        self.rounds = 0  # times that it was held because no server could be reached
        self.held: tuple[Gauge, ...] = ()  # counted in these until it ends
        self.notes = b""  # header lines to be added to the response
        self.aside: Aside | None = None  # a server's answer that is relayed if no better one is found
        self.setting_aside: Aside | None = None  # one that is not yet complete
        self.hedge: Hedge | None = None  # a second try beside the first
        self.judged = False  # the response under way counts as a failure of its server
        self._fresh = False  # the next try must not use a kept connection
        self._interim = 0  # interim responses so far
        self._continued = False  # the client was told 100 (Continue)
        self._keep = False  # the client's connection may serve another request

    @abstractmethod
    def pick(self, now: float) -> None:
        """Choose a server and begin a try."""

    @abstractmethod
    def fail(self, phase: int, signal: str, facts: Facts | None = None) -> None:
        """The try under way failed."""

    @abstractmethod
    def refuse(self, signal: str, facts: Facts | None = None) -> None:
        """The request ends before any try, or for want of a server for another."""

    def mark(self, attempt: Attempt) -> None:
        """The head is about to go to the server of this try: exchanges that are traced let it say so."""

    # The time of one try, until its connection stands.

    def bound_try(self) -> None:
        """Bound the time until the connection stands, where tries have a time of their own."""
        if self.retrying.per_try:
            left = self.attempt.t_start + self.retrying.per_try - self.worker.clock()
            self._timer = self.worker.loop.call_later(max(0.0, left), self._try_late)

    def _try_late(self) -> None:
        self._timer = None
        self.fail(min(self.attempt.phase, SEND), DEADLINE, {"limit": "retry.per_try", "limit_value": self.retrying.per_try})

    # Waiting for the next try.

    def spend_retry(self, now: float) -> bool:
        """Take one retry out of the budget; False when there is none left."""
        granted = self.retrying.spend(now)
        if granted:
            self.group.retries += 1
        else:
            self.group.retries_refused += 1
        return granted

    def may_be_held(self, now: float) -> bool:
        """Tell whether the request may wait for a server to come back."""
        hold = self.retrying.hold
        return hold > 0 and now < self.t_begin + hold

    def hold(self) -> None:
        """No server can be reached: wait a little, longer each time, and see again."""
        self.rounds += 1
        left = self.t_begin + self.retrying.hold - self.worker.clock()
        self.wait(min(self.retrying.pause(self.rounds), max(0.0, left)))

    def wait(self, seconds: float) -> None:
        """Go on with `pick` after a pause."""
        self._timer = self.worker.loop.call_later(seconds, self._pause_over)

    def _pause_over(self) -> None:
        self._timer = None
        self.pick(self.worker.clock())

    def wait_in(self, gate: "Gate") -> None:
        """It stands in the queue of its upstream, and is told when that is over."""
        self._waits_in = gate
        self.wait_since = self.worker.clock()

    def waited(self, too_long: Facts | None) -> None:
        """The time in the queue is over: there is room, or (with the facts) it was too long."""
        self._waits_in = None
        if too_long is not None:
            self.refuse(LIMIT, too_long)
        else:
            self.queued = True
            self.pick(self.worker.clock())

    def stop_timer(self) -> bool:
        """End a pause, or the watch over a try's time; False when there was none."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def stop_waiting(self) -> None:
        """Leave the queue, or end the pause."""
        self.stop_timer()
        gate, self._waits_in = self._waits_in, None
        if gate is not None:
            gate.forget(self)

    def out_of_patience(self, now: float) -> tuple[str, Facts] | None:
        """Return signal and facts for a request whose time is up while it waits, and that no server has seen; else None."""
        if self._waits_in is not None:
            return LIMIT, self._waits_in.late(self, now)
        if self._timer is not None and not self.attempts:
            return NO_SERVER, {"servers": self.group.describe()}
        return None

    @property
    def waits(self) -> bool:
        """Whether it waits: for room, or for its next try."""
        return self._timer is not None or self._waits_in is not None
