"""One server: its idle connections and which to use, what its closing teaches, and what those who choose know of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..config.schema import KeepAlive
from ..traffic.ejection import Record
from ..traffic.health import Health
from ..traffic.shared import Gauge
from .target import Target

if TYPE_CHECKING:
    from .upstream import Upstream

FORGET_AFTER: Final = 600.0
"""Seconds after which a learned limit is dropped and learned anew: servers get new settings."""
SAME: Final = 0.15
"""Two idle closes teach a limit when they lie within this share of each other: one alone may be a restart."""
SHORTEST: Final = 0.3
"""Idle closes after less than this many seconds say nothing about a keep-alive limit."""


def below(limit: float) -> float:
    """Return how long a connection may rest so that it is gone before a server with this keep-alive limit closes it (seconds)."""
    return max(limit - max(0.5, limit * 0.1), limit * 0.5)


class Server:
    """One server of an upstream, with its idle connections (the latest used first) and what it is busy with."""

    __slots__ = (
        "_clock", "_hint", "_learned_at", "answered", "busy", "cost", "cost_at", "ejected_at", "failed", "health",
        "idle", "idle_gauge", "idle_limit", "keeps", "label", "priority", "record", "requests", "retired",
        "settings", "share", "sticky_id", "suspect", "target", "warm_since", "weight",
    )  # fmt: skip

    health: Health  # these two are set by the group that it serves in
    record: Record

    def __init__(self, label: str, target: Target, settings: KeepAlive, clock: Callable[[], float]) -> None:
        self.label = label  # as people know it: "http://10.0.0.5:3000"
        self.target = target
        self.settings = settings
        self.weight = self.share = 1  # as configured; and at this moment (slow start), in other units
        self.priority = 0
        self.busy = 0  # exchanges under way in this worker
        self.requests = 0  # tries made
        self.failed = 0  # tries that failed on its account
        self.answered = 0  # tries that were answered, of which the judges of ejection have not been told yet
        self.suspect = False  # it failed, or was ejected, and has answered nothing since
        self.cost = 0.0  # usual seconds to answer (traffic/latency.py)
        self.cost_at = self.warm_since = self.ejected_at = -1.0
        self.sticky_id = b""
        self.retired = False  # no longer in the configuration: what runs may end
        self.keeps = settings.connections  # idle connections at most
        self.idle_gauge: Gauge | None = None  # counts them for all workers, where a limit needs that
        self.idle: list[Upstream] = []
        self.idle_limit = settings.idle
        self._clock = clock
        self._hint = -1.0  # the last idle time after which the server closed
        self._learned_at = -1.0

    def take(self) -> "Upstream | None":
        """Return an idle connection that is fit for use, or None. Connections that rested too long are closed on the way."""
        now = self._clock()
        while self.idle:
            connection = self.idle.pop()
            if self.idle_gauge is not None:
                self.idle_gauge.down()
            if now - connection.rested_since < self.idle_limit and connection.fit():
                return connection
            connection.close()
        return None

    def forgo(self) -> "Upstream | None":
        """Return None, as a new connection is wanted; where they are counted, one that rests gives way to it."""
        if self.idle_gauge is not None and (connection := self.take()) is not None:
            connection.close()
        return None

    def keep(self, connection: "Upstream") -> bool:
        """Take a connection back; False when it must be closed instead."""
        if len(self.idle) >= self.keeps or self.idle_limit <= 0 or self.retired:
            return False
        self.idle.append(connection)
        if self.idle_gauge is not None:
            self.idle_gauge.up()
        return True

    def limit_idle(self, keeps: int, gauge: Gauge | None) -> None:
        """Keep at most so many idle connections from now on, and count them in the gauge where there is one."""
        for _ in self.idle:
            if self.idle_gauge is not None:
                self.idle_gauge.down()
            if gauge is not None:
                gauge.up()
        self.keeps, self.idle_gauge = keeps, gauge
        while len(self.idle) > keeps:
            connection = self.idle[0]
            self.drop(connection)
            connection.close()

    def drop(self, connection: "Upstream") -> None:
        """Forget an idle connection that ended."""
        try:
            self.idle.remove(connection)
        except ValueError:
            return
        if self.idle_gauge is not None:
            self.idle_gauge.down()

    def told(self, timeout: float) -> None:
        """Learn from `Keep-Alive: timeout=` (seconds)."""
        self._learn(timeout)

    def closed_idle(self, rested: float) -> None:
        """Learn from an idle connection which the server closed after `rested` seconds."""
        if rested < SHORTEST or rested > self.idle_limit:
            return
        if abs(rested - self._hint) <= SAME * rested:
            self._learn(min(rested, self._hint))
        self._hint = rested

    def refresh(self) -> None:
        """Drop what was learned too long ago."""
        if self._learned_at >= 0 and self._clock() - self._learned_at > FORGET_AFTER:
            self._learned_at = self._hint = -1.0
            self.idle_limit = self.settings.idle

    def _learn(self, limit: float) -> None:
        if (safe := below(limit)) <= self.idle_limit:
            self.idle_limit = safe
            self._learned_at = self._clock()

    def close_idle(self) -> None:
        """Close every idle connection."""
        while self.idle:
            connection = self.idle.pop()
            if self.idle_gauge is not None:
                self.idle_gauge.down()
            connection.close()

    def retire(self) -> None:
        """Serve no more: idle connections end now, the others with their exchanges."""
        self.retired = True
        self.close_idle()
