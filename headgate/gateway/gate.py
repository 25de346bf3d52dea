"""What may go to one upstream at this moment: limits, queue, circuit breaker. An upstream without any of these has no gate.

Counts that hold for all workers together stand in shared memory (traffic/shared.py), each worker's in a cell of its own.
"""

from typing import TYPE_CHECKING, Final

from ..config.resilience import Adaptive
from ..config.resilience import Breaker as BreakerRules
from ..config.schema import Upstream as Settings
from ..model.facts import Facts
from ..model.signals import CIRCUIT, LIMIT
from ..traffic.breaker import CLOSED, OPEN, Breaker
from ..traffic.gaugenames import busy, of_upstream
from ..traffic.gradient import Gradient
from ..traffic.queue import WaitingRoom
from ..traffic.shared import Gauge

if TYPE_CHECKING:
    from .ending import Ending
    from .group import Group
    from .pool import Server
    from .underway import UnderWay


def _adaptive(rules: Adaptive, workers: int) -> Gradient:
    """Return what finds this worker's part of the limit."""
    least, most = max(1, rules.least // workers), max(1, rules.most // workers)
    return Gradient(least, most, min(most, max(least, 20 // workers)))


def _breaker(rules: BreakerRules) -> Breaker:
    window = max(1, round(rules.window))
    return Breaker(rules.share, rules.requests, window, rules.open, rules.longest, rules.probes)


SERVED: Final = "served"
FAILED: Final = "failed"  # on the server's account
LEFT: Final = "left"  # by the client, or for a reason that says nothing about the servers


class Gate:
    """The limits of one upstream."""

    __slots__ = (
        "_adaptive",
        "_breaker",
        "_busy",
        "_circuit",
        "_each",
        "_group",
        "_links",
        "_room",
        "_settings",
        "_total",
        "_under_way",
    )

    @staticmethod
    def of(group: "Group") -> "Gate | None":
        """Return the gate of an upstream, None when it has no limits."""
        wanted = group.settings
        limited = wanted.max_requests or wanted.max_connections or wanted.max_total_requests
        return Gate(group, wanted) if limited or wanted.breaker or wanted.adaptive else None

    def __init__(self, group: "Group", settings: Settings) -> None:
        counting, name = group.worker.counting, group.name
        self._group = group
        self._settings = settings
        self._under_way = 0  # in this worker
        self._total = counting.of(of_upstream(name)) if settings.max_total_requests else None
        self._busy: dict[Server, Gauge] = {}
        self._each = settings.max_requests or settings.max_connections
        self._links = settings.max_connections
        for server in group.servers:
            if self._each:
                self._busy[server] = counting.of(busy(name, server.label))
        queue, breaker, adaptive = settings.queue, settings.breaker, settings.adaptive
        self._room: WaitingRoom[UnderWay] | None = WaitingRoom(queue.size, queue.wait) if queue is not None else None
        self._adaptive = _adaptive(adaptive, counting.workers) if adaptive is not None else None
        self._breaker = _breaker(breaker) if breaker is not None else None
        self._circuit = CLOSED  # the breaker's state as it was last noted

    # Coming in.

    def let_in(self, flow: "Ending", server: "Server", now: float) -> "Server | None":
        """Return the server that takes this try: the one chosen, or another with room.

        None: the try does not begin now. The flow waits in the queue, or has been refused.
        """
        breaker = self._breaker
        if breaker is not None and (wait := breaker.retry_after(now)) > 0:
            self._broken(flow, breaker, wait)
            return None
        waits = self._room is not None and len(self._room) > 0 and not flow.queued
        full = self._full() if not waits else ("queue", 0)
        room = None if full else self._with_room(server, flow.tried)
        if room is None:
            self._turn_away(flow, full or self._full_server(server), now)
            return None
        given = breaker.allow(now) if breaker is not None else 0
        if breaker is not None and not given:
            self._broken(flow, breaker, max(1.0, breaker.retry_after(now)))
            return None
        flow.breaker_pass = given
        self._enter(room)
        return room

    def has_room_beside(self, server: "Server") -> bool:
        """Tell whether a second try of a request may go to a server, beside the first: never instead of one that waits."""
        calm = self._breaker is None or self._breaker.state is CLOSED
        waiting = self._room is not None and len(self._room) > 0
        return calm and not waiting and not self._full() and (not self._each or self._has_room(server))

    def enter_beside(self, server: "Server", now: float) -> int:
        """Let a second try in; return the breaker's pass."""
        self._enter(server)
        return self._breaker.allow(now) if self._breaker is not None else 0

    def _enter(self, server: "Server") -> None:
        self._under_way += 1
        if self._total is not None:
            self._total.up()
        if self._each:
            self._busy[server].up()

    def _full(self) -> tuple[str, int] | None:
        """Return the limit of the upstream as a whole that is reached, and its value."""
        most = self._settings.max_total_requests
        if self._total is not None and self._total.total() >= most:
            return "max_total_requests", most
        if self._adaptive is not None and self._under_way >= self._adaptive.limit:
            return "adaptive", self._adaptive.limit
        return None

    def _with_room(self, server: "Server", tried: "list[Server]") -> "Server | None":
        """Return the server, or the least busy usable one that has room, one that was not tried where there is one."""
        if not self._each or self._has_room(server):
            return server
        others = [other for other in self._group.usable if self._has_room(other)]
        return min(others, key=lambda other: (other in tried, other.busy / other.share)) if others else None

    def _has_room(self, server: "Server") -> bool:
        under_way = self._busy[server].total()
        if self._settings.max_requests and under_way >= self._settings.max_requests:
            return False
        if not self._links or server.idle:
            return True
        resting = server.idle_gauge
        return under_way + (resting.total() if resting is not None else 0) < self._links

    def _full_server(self, server: "Server") -> tuple[str, int]:
        most = self._settings.max_requests
        if most and self._busy[server].total() >= most:
            return "max_requests", most
        return "max_connections", self._links

    def _turn_away(self, flow: "Ending", full: tuple[str, int], now: float) -> None:
        """Let a request wait, or refuse it."""
        if self._room is not None and self._room.enter(flow, now):
            flow.wait_in(self)
            return
        limit, value = full
        if limit == "queue":
            limit, value = "queue.size", self._settings.queue.size if self._settings.queue is not None else 0
        flow.refuse(LIMIT, {"limit": limit, "limit_value": value, "seen": value})

    def _broken(self, flow: "Ending", breaker: Breaker, wait: float) -> None:
        why = breaker.why if breaker.state is OPEN else "requests on trial are under way"
        self._note(breaker)
        flow.refuse(CIRCUIT, {"error": why, "retry_after": round(wait, 1)})

    def _note(self, breaker: Breaker) -> None:
        """Write down that the circuit opened, closed, or is tried."""
        if breaker.state is not self._circuit:
            self._circuit = breaker.state
            self._group.worker.recorder.note(f"{self._group.name}: the circuit is {breaker.state}: {breaker.why}")

    # Going out.

    def ended(self, given: int, server: "Server", now: float, how: str, seconds: float) -> None:
        """A try that was let in is over.

        given: the breaker's pass. seconds: from its begin to the response head, below 0 without one.
        """
        self._under_way -= 1
        if self._total is not None:
            self._total.down()
        if self._each:
            self._busy[server].down()
        breaker, adaptive = self._breaker, self._adaptive
        if breaker is not None:
            {SERVED: breaker.succeeded, FAILED: breaker.failed, LEFT: breaker.abandoned}[how](now, given)
            self._note(breaker)
        if adaptive is not None:
            if how == SERVED and seconds >= 0:
                adaptive.sample(seconds, self._under_way + 1, now)
            elif how == FAILED:
                adaptive.dropped(now)
        if self._room is not None and len(self._room):
            self._group.worker.loop.call_soon(self.advance)

    def shut_for(self, now: float) -> float:
        """Return for how many seconds the circuit lets nobody in; 0 where it may be asked."""
        return self._breaker.retry_after(now) if self._breaker is not None else 0.0

    def forget(self, flow: "UnderWay") -> None:
        """A waiting request waits no more."""
        if self._room is not None:
            self._room.leave(flow)

    def advance(self) -> None:
        """Let waiting requests in while there is room; answer those that waited too long. Called often while any wait."""
        room = self._room
        if room is None or not len(room):
            return
        now = self._group.clock()
        for flow in room.overdue(now):
            flow.waited(self.late(flow, now))
        for _ in range(len(room)):
            if self._full() or (self._each and not any(self._has_room(server) for server in self._group.usable)):
                return
            following = room.next(now)
            if following is None:
                return
            following.waited(None)

    def late(self, flow: "UnderWay", now: float) -> Facts:
        """Return what is known of a request that waited too long."""
        queue = self._settings.queue
        assert queue is not None
        waited = round((now - flow.wait_since) * 1000)
        return {"rule": "queue", "limit": "queue.wait", "limit_value": queue.wait, "elapsed_ms": waited}

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._room) if self._room is not None else 0

    # Seeing.

    def describe(self) -> dict[str, object]:
        """Return what is limited, and how it stands in this worker."""
        told: dict[str, object] = {"under_way": self._under_way}
        if self._room is not None:
            told["waiting"] = len(self._room)
        if self._adaptive is not None:
            told["adaptive_limit"] = self._adaptive.limit
        if self._breaker is not None:
            told |= {"circuit": self._breaker.state, "circuit_why": self._breaker.why}
        return told
