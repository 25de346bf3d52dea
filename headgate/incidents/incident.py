"""Owns what is counted of one incident, and how it is described as JSON has it."""

from dataclasses import dataclass, field
from math import isfinite
from random import randrange
from typing import Any, Final

from . import lifecycle
from .grouping import ACCOMPANYING, Key
from .intake import Failure, clean
from .lifecycle import OPEN, Level

CLIENTS: Final = 10_000
"""Clients told apart in one incident. Beyond that it is "10,000+"."""
FIRST_SAMPLES: Final = 3
LATEST_SAMPLES: Final = 5
_ROUTES: Final = 200
OTHER_ROUTES: Final = "(other routes)"
_KEYS: Final = 5000
"""Servers times causes of one incident. Beyond that no further server joins it."""
_REOPENED: Final = 50
_ACTIONS: Final = 200
_FIGURES: Final = 64
_FIGURES_OF: Final = 8
_FIGURE_NAMES: Final = 16
"""Numbers kept of each kind, drawn at random from all; causes of which there are any; kinds of each."""
_HALF_LIFE: Final = 30.0
"""Seconds after which a failure weighs half as much when the present main cause is named."""
_SHOWN: Final = 50
"""Servers and routes in a summary."""


@dataclass(slots=True)
class Tally:
    """Counts of one cause in one phase."""

    first: float
    last: float
    failed: int = 0
    seen: int = 0
    rescued: int = 0
    weight: float = 0.0  # failures, of which the older count less
    weighed: float = 0.0

    def weight_at(self, at: float) -> float:
        """Return its weight at a time, which halves every half minute without failures."""
        return self.weight * float(0.5 ** (max(0.0, at - self.weighed) / _HALF_LIFE))


@dataclass(slots=True)
class Pending:
    """What was counted since the last commit, and goes into tables of its own."""

    seconds: dict[int, list[int]] = field(default_factory=dict)  # failed, seen, rescued
    minutes: dict[int, list[int]] = field(default_factory=dict)  # of seconds that are not kept, as the file cannot be written
    samples: dict[int, dict[str, Any]] = field(default_factory=dict)
    clients: list[str] = field(default_factory=list)

    def coarsen(self) -> None:
        """Keep minutes instead of seconds."""
        for at, counts in self.seconds.items():
            add_to(self.minutes, at // 60 * 60, counts)
        self.seconds = {}

    def all_minutes(self) -> dict[int, list[int]]:
        """Return the counts of every minute."""
        minutes = {at: list(counts) for at, counts in self.minutes.items()}
        for at, counts in self.seconds.items():
            add_to(minutes, at // 60 * 60, counts)
        return minutes


def add_to(series: dict[int, list[int]], at: int, counts: list[int]) -> None:
    """Add failed, seen and rescued to a time of a series."""
    there = series.setdefault(at, [0, 0, 0])
    for n in range(3):
        there[n] += counts[n]


@dataclass(slots=True, eq=False)
class Incident:
    """One incident. Times are wall-clock seconds; 0 means never."""

    id: str
    upstream: str
    first: float
    last: float
    state: str = OPEN
    opened: float = 0.0
    resolved: float = 0.0
    joined: float = 0.0  # when it began, was reopened, or a server joined it
    gap: float = 0.0  # the longest pause between failures while it was open
    failed: int = 0
    seen: int = 0
    rescued: int = 0
    reopenings: int = 0
    reopened: list[float] = field(default_factory=list)
    causes: dict[tuple[str, str], Tally] = field(default_factory=dict)
    servers: dict[str, list[int]] = field(default_factory=dict)  # failed, seen, rescued
    routes: dict[str, int] = field(default_factory=dict)
    keys: set[tuple[str, str, str]] = field(default_factory=set)  # server, cause, phase
    clients: set[str] = field(default_factory=set)
    many_clients: int = 0  # how many there were, where they are no longer told apart
    clients_more: bool = False  # there are more than are told apart
    samples: int = 0  # how many there were
    figures: dict[str, dict[str, list[Any]]] = field(default_factory=dict)  # by cause and kind: how many there were, and some
    actions: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: dict[str, Any] | None = None
    silenced_until: float = 0.0
    level: Level = field(default_factory=Level)
    pending: Pending = field(default_factory=Pending)
    saved: int = 0  # of `failed`, how many are in the file

    def count(self, failure: Failure, at: float) -> None:
        """Add failures of this time."""
        self.failed += failure.count
        self.seen += failure.seen
        self.rescued += failure.rescued
        tally = self.causes.get((failure.cause, failure.phase))
        if tally is None:
            tally = self.causes[failure.cause, failure.phase] = Tally(at, at, weighed=at)
        tally.weight, tally.weighed = tally.weight_at(at) + failure.count, at
        tally.last = at
        tally.failed += failure.count
        tally.seen += failure.seen
        tally.rescued += failure.rescued
        per_server = self.servers.get(failure.server)
        if per_server is None:
            per_server = self.servers[failure.server] = [0, 0, 0]
        second = self.pending.seconds.get(int(at))
        if second is None:
            second = self.pending.seconds[int(at)] = [0, 0, 0]
        for counts in (per_server, second):
            counts[0] += failure.count
            counts[1] += failure.seen
            counts[2] += failure.rescued
        if at > self.last:
            self.gap = max(self.gap, at - self.last) if self.state == OPEN else self.gap
            self.last = at
        self.first = min(self.first, at)
        key = (failure.server, failure.cause, failure.phase)
        if key not in self.keys and self.has_room():
            self.keys.add(key)
            if per_server[0] == failure.count:  # its first
                self.joined = at

    def count_routes(self, failure: Failure) -> None:
        """Add how often each route was affected."""
        for name, times in failure.routes.items():
            if isinstance(times, int) and times > 0:
                route = clean(name)
                if route not in self.routes and len(self.routes) >= _ROUTES:
                    route = OTHER_ROUTES
                self.routes[route] = self.routes.get(route, 0) + times

    def count_clients(self, failure: Failure, room: int) -> int:
        """Tell clients apart, as far as there is room for so many more. Returns how many were new."""
        known = self.clients
        room = min(room, CLIENTS - len(known)) if not self.many_clients else 0
        new = [one for one in failure.clients if isinstance(one, str) and len(one) <= 16 and one not in known]
        if len(new) > room:
            self.clients_more = True
            del new[max(room, 0) :]
        before = len(known)
        known.update(new)
        self.pending.clients += new
        return len(known) - before

    def keep_samples(self, failure: Failure) -> None:
        """Keep the first three samples ever, and the latest five."""
        waiting = self.pending.samples
        for sample in failure.samples:
            if isinstance(sample, dict):
                waiting[self.samples] = sample
                self.samples += 1
                waiting.pop(self.samples - LATEST_SAMPLES - 1 if self.samples - LATEST_SAMPLES > FIRST_SAMPLES else -1, None)

    def keep_figures(self, failure: Failure) -> None:
        """Keep some of the numbers of each kind: every one of them with the same chance."""
        kinds = self.figures.get(failure.cause)
        if kinds is None:
            if len(self.figures) >= _FIGURES_OF:
                return
            kinds = self.figures[failure.cause] = {}
        for name, values in failure.figures.items():
            if not isinstance(values, list) or not isinstance(name, str):
                continue
            known = kinds.get(name)
            if known is None:
                if len(kinds) >= _FIGURE_NAMES:
                    continue
                known = kinds[clean(name, 60)] = [0, []]
            for value in values[:_FIGURES]:
                if isinstance(value, (int, float)) and isfinite(value):
                    _draw(known, value)

    def leads(self) -> bool:
        """Return whether one of its causes is more than an accompanying one."""
        return any(cause not in ACCOMPANYING for cause, _ in self.causes)

    def has_cause(self, cause: str, phase: str) -> bool:
        """Return whether it has this cause, and room for another server."""
        return (cause, phase) in self.causes and self.has_room()

    def has_server(self, server: str) -> bool:
        """Return whether this server is in it."""
        return server in self.servers

    def only_unasked(self) -> bool:
        """Return whether no server was asked in any of its failures."""
        return not any(self.servers)

    def has_room(self) -> bool:
        """Return whether another server or cause can join."""
        return len(self.keys) < _KEYS

    def all_keys(self) -> list[Key]:
        """Return the keys of its failures."""
        return [(self.upstream, *key) for key in self.keys]

    def main(self) -> tuple[str, str]:
        """Return cause and phase that name it.

        While it is open: those of most failures, of which older ones count less, so that it names what is wrong now. Afterwards:
        those of most failures. What only accompanies names it where there is nothing else.
        """
        leading = self.leads()
        most, named = (-1.0, -1), ("", "")
        for key, tally in self.causes.items():
            if leading and key[0] in ACCOMPANYING:
                continue
            weight = tally.weight_at(self.last) if self.state == OPEN else float(tally.failed)
            if (weight, tally.failed) > most:
                most, named = (weight, tally.failed), key
        return named

    def asked_servers(self) -> int:
        """Return how many servers are in it."""
        return len(self.servers) - ("" in self.servers)

    def client_count(self) -> int:
        """Return how many clients were told apart."""
        return self.many_clients or len(self.clients)

    def act(self, action: str, who: str, note: str, now: float, **more: Any) -> None:
        """Remember what a person did."""
        self.actions.append({"at": now, "action": action, "who": clean(who), "note": clean(note, 2000), **more})
        if len(self.actions) > _ACTIONS:
            del self.actions[_ACTIONS // 2]

    def enter(self, event: str, now: float) -> str:
        """Change its state by the table of the lifecycle. Returns what is to be said of it."""
        self.state, said = lifecycle.TABLE[self.state, event]
        if said == lifecycle.RESOLVED:
            self.resolved = now
        elif said == lifecycle.REOPENED:
            self.reopenings += 1
            self.reopened = [*self.reopened[-_REOPENED + 1 :], now]
            self.joined, self.resolved, self.acknowledged = now, 0.0, None
        return said

    def until(self) -> float:
        """Return until when the same failure reopens it."""
        return lifecycle.reopens_until(self.first, self.last, self.resolved)

    def is_quiet(self, now: float) -> bool:
        """Return whether it is over."""
        if now < self.last:  # the clock was set back
            self.last = now
        return now - self.last >= self.sure_after()

    def sure_after(self) -> float:
        """Return how many seconds of quiet mean that it is over."""
        return lifecycle.sure_after(self.gap, self.reopenings)


def _draw(known: list[Any], value: float) -> None:
    """Add a number to some of many."""
    known[0] += 1
    if len(known[1]) < _FIGURES:
        known[1].append(value)
    elif (place := randrange(known[0])) < _FIGURES:  # nobody gains from guessing it
        known[1][place] = value


def summary(one: Incident) -> dict[str, Any]:
    """Return what lists show of an incident."""
    cause, phase = one.main()
    named = [server for server in one.servers if server]
    servers = sorted(one.servers.items(), key=lambda item: -item[1][0])
    routes = sorted(one.routes.items(), key=lambda item: -item[1])
    return {
        "id": one.id,
        "upstream": one.upstream,
        "server": named[0] if len(named) == 1 else "",
        "cause": cause,
        "phase": phase,
        "state": one.state,
        "severity": lifecycle.severity(one.seen),
        "first": one.first,
        "last": one.last,
        "opened": one.opened,
        "resolved": one.resolved or None,
        "reopened": list(one.reopened),
        "reopenings": one.reopenings,
        "sure_after": one.sure_after(),
        "failed": one.failed,
        "seen": one.seen,
        "rescued": one.rescued,
        "clients": one.client_count(),
        "clients_more": one.clients_more,
        "causes": [_cause(key, tally) for key, tally in sorted(one.causes.items(), key=lambda item: -item[1].failed)],
        "servers": [_server(server, counts) for server, counts in servers[:_SHOWN]],
        "servers_count": len(named),
        "routes": [{"route": route, "count": count} for route, count in routes[:_SHOWN]],
        "routes_count": len(routes),
        "acknowledged": one.acknowledged,
        "silenced_until": one.silenced_until or None,
    }


def _cause(key: tuple[str, str], tally: Tally) -> dict[str, Any]:
    return {
        "cause": key[0],
        "phase": key[1],
        "failed": tally.failed,
        "seen": tally.seen,
        "rescued": tally.rescued,
        "first": tally.first,
        "last": tally.last,
    }


def _server(server: str, counts: list[int]) -> dict[str, Any]:
    return {"server": server, "failed": counts[0], "seen": counts[1], "rescued": counts[2]}
