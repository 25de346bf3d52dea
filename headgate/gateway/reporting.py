"""What a worker tells the control process of failures: each is counted, a few are told whole, four times a second.

Failures that are alike (same upstream, server, cause and phase) are one group with its counts, so that a burst of a hundred
thousand costs as much to tell as a hundred. What does not fit into the bounds is counted. What clients did is no failure.
"""

from collections import Counter
from hashlib import blake2b
from typing import Any, Final

from ..diagnose.classify import classify
from ..model.cause import Cause
from ..model.counted import MOST, OTHER
from ..model.exchange import Exchange
from ..model.facts import Facts
from ..model.phases import ADMIT, HEAD, PHASES
from ..model.signals import ANSWERED
from ..render.record import record

EVERY: Final = 0.25
"""Seconds between two reports."""
_GROUPS: Final = 256
_ROUTES: Final = 32
_CLIENTS: Final = 64
_FIGURES: Final = 32
_SAMPLES: Final = 2
_ALL_SAMPLES: Final = 16
"""Bounds of one report: groups, routes, clients and figures of each kind of a group, samples of a group and of all."""

_UNAVAILABLE: Final = (502, 503, 504)
"""Statuses by which a server itself says that it, or what is behind it, cannot serve. A 500 is a matter of its program."""

_ORDERLY: Final = frozenset({"maintenance", "no-route", "gateway-stopping"})
"""Causes of refusals that somebody wanted, or that anybody who asks for nonsense can bring about: no incidents."""

_MEASURED: Final = (
    ("idle", "idle_ms", 0.001),
    ("age", "age_ms", 0.001),
    ("elapsed", "elapsed_ms", 0.001),
    ("silent", "silent_ms", 0.001),
    ("requests", "requests", 1),
    ("body", "body_received", 1),
    ("expected", "body_expected", 1),
    ("size", "seen", 1),
    ("offset", "offset", 1),
)
"""Figures of a group: their name, the key of the facts, and what makes seconds of it.

idle: a kept connection's rest before this request; age: of the connection; silent: since the server's last byte; size: what a
limit was compared with. A limit that was reached is a figure of its own: "limit timeouts.head" with its value.
"""

Key = tuple[str, str, str, int]
"""Upstream, server, cause, phase."""
End = tuple[str, str, str, str]
"""Route, upstream, cause, and the verdict by which it was saved ("": users saw it)."""


class _Group:
    """Failures that are alike, since the last report."""

    __slots__ = ("clients", "count", "figures", "rescued", "routes", "samples", "seen")

    def __init__(self) -> None:
        self.count = self.seen = self.rescued = 0
        self.figures: dict[str, list[float]] = {}
        self.routes: dict[str, int] = {}
        self.clients: set[str] = set()
        self.samples: list[dict[str, Any]] = []


class Reporting:
    """Collects failures until they are told."""

    def __init__(self, secret: bytes) -> None:
        """secret: keys the hashes that clients are counted by, so that they are no addresses."""
        self._secret = secret[:32]
        self._groups: dict[Key, _Group] = {}
        self._samples = 0
        self.dropped = 0  # failures beyond the bounds, since the last report
        self.ends: Counter[End] = Counter()  # since the start

    def ended(self, exchange: Exchange, wall: float) -> None:
        """Take in an exchange of which something failed, at its end (wall-clock seconds)."""
        cause = exchange.cause or _answered(exchange)
        failed = [attempt for attempt in exchange.attempts if attempt.cause is not None and attempt.cause.fault != "client"]
        keys = [(attempt.upstream, attempt.server, attempt.cause.code, attempt.phase) for attempt in failed if attempt.cause]
        final: Key | None = None
        if cause is not None and cause.fault != "client" and cause.code not in _ORDERLY:
            final = next((key for key in reversed(keys) if key[2] == cause.code), None)
            if final is None:  # it failed without, or beside, a server's doing
                final = (exchange.upstream, "", cause.code, ADMIT)
                keys.append(final)
        for number, key in enumerate(keys):
            group = self._groups.get(key)
            if group is None:
                if len(self._groups) >= _GROUPS:
                    self.dropped += 1
                    continue
                group = self._groups[key] = _Group()
            group.count += 1
            if final is None:
                group.rescued += 1
            if group.count <= _FIGURES:
                _measure(group.figures, (failed[number] if number < len(failed) else exchange).facts)
        if keys:
            self._count_end(exchange, (final or keys[0])[2], "" if final is not None else failed[0].verdict or "")
        if (group := self._groups.get(final or keys[0]) if keys else None) is not None:
            group.seen += final is not None
            self._describe(group, exchange, wall)

    def _count_end(self, exchange: Exchange, cause: str, how: str) -> None:
        """Count an exchange that failed of a cause (how: ""), or was saved from it."""
        key = (exchange.route, exchange.upstream, cause, how)
        if key not in self.ends and len(self.ends) >= MOST:
            key = (OTHER, OTHER, cause, how)
        self.ends[key] += 1

    def _describe(self, group: _Group, exchange: Exchange, wall: float) -> None:
        """Add who was affected, and a sample."""
        route = exchange.route
        if route in group.routes or len(group.routes) < _ROUTES:
            group.routes[route] = group.routes.get(route, 0) + 1
        if len(group.clients) < _CLIENTS:
            group.clients.add(blake2b(exchange.client.encode("utf-8", "replace"), digest_size=8, key=self._secret).hexdigest())
        if len(group.samples) < _SAMPLES and self._samples < _ALL_SAMPLES:
            self._samples += 1
            before, exchange.cause = exchange.cause, exchange.cause or _answered(exchange)
            group.samples.append(record(exchange, wall))
            exchange.cause = before

    def take(self, wall: float) -> dict[str, Any] | None:
        """Return what is to be told, as JSON has it, and begin anew; None when nothing failed."""
        if not self._groups and not self.dropped:
            return None
        groups, self._groups = self._groups, {}
        dropped, self.dropped = self.dropped, 0
        self._samples = 0
        return {"at": wall, "dropped": dropped, "groups": [_told(key, group) for key, group in groups.items()]}


def _answered(exchange: Exchange) -> Cause | None:
    """Return the cause where the last try was answered by a server's own 502, 503 or 504, which was relayed; else None.

    Such an answer ends nothing in the gateway. The try is given its cause here, once everything else is done with it.
    """
    last = exchange.attempts[-1] if exchange.attempts else None
    if last is None or last.status not in _UNAVAILABLE or exchange.status != last.status or exchange.outcome != "served":
        return None
    if last.cause is None:
        last.phase, last.signal = HEAD, ANSWERED
        last.facts = {**(last.facts or {}), "status": last.status}
        last.cause = classify(HEAD, ANSWERED, last.facts)
    return last.cause


def _measure(figures: dict[str, list[float]], facts: Facts | None) -> None:
    """Put down the numbers of a failure that advice can be built on: times in seconds, sizes in bytes."""
    if not facts:
        return
    for name, key, scale in _MEASURED:
        value = facts.get(key)
        if isinstance(value, (int, float)):
            figures.setdefault(name, []).append(round(value * scale, 3))
    if limit := facts.get("limit"):
        figures.setdefault(f"limit {limit}", []).append(facts.get("limit_value", 0))


def _told(key: Key, group: _Group) -> dict[str, Any]:
    upstream, server, cause, phase = key
    return {
        "upstream": upstream, "server": server, "cause": cause, "phase": PHASES[phase], "count": group.count, "seen": group.seen,
        "rescued": group.rescued, "routes": group.routes, "clients": sorted(group.clients), "samples": group.samples,
        "figures": group.figures,
    }  # fmt: skip
