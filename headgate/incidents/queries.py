"""Owns what is asked of the file, and how it is joined with what is not yet written."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from .incident import FIRST_SAMPLES, LATEST_SAMPLES, Incident, add_to, summary
from .lifecycle import OPEN
from .rows import pack

Read = Callable[[str, tuple[object, ...]], list[tuple[Any, ...]]]
Event = tuple[float, str, str, str, str]
"""At, kind, text, upstream, server."""
BEFORE: Final = 600.0
"""Seconds before the first failure, of which an incident shows what happened."""
_EVENTS: Final = 100
"""Events shown of an incident: so many of the first, and so many of the last."""
_SERIES: Final = 50_000
"""Rows of a chart."""
_LAST: Final = 9e15


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents are asked for."""

    since: float = 0.0
    until: float = inf
    state: str = ""
    upstream: str = ""
    cause: str = ""
    of_any: bool = True  # upstream "" means any
    after: tuple[float, str] | None = None  # first failure and id of the last one of the page before, where lists have pages

    def has(self, one: Incident) -> bool:
        """Return whether an incident is one of them."""
        return (
            one.first <= self.until
            and one.last >= self.since
            and self.state in ("", one.state)
            and ((self.of_any and not self.upstream) or one.upstream == self.upstream)
            and (not self.cause or one.main()[0] == self.cause)
            and (self.after is None or (-one.first, one.id) > (-self.after[0], self.after[1]))
        )

    def query(self) -> tuple[str, tuple[object, ...]]:
        """Return a query for their identifiers, newest first, whose last value is a limit, and its other values."""
        conditions = ["first <= ?", "last >= ?"]
        values: list[object] = [min(self.until, _LAST), self.since]
        for name, value in (("state", self.state), ("upstream", self.upstream), ("cause", self.cause)):
            if value or (name == "upstream" and not self.of_any):
                conditions.append(f"{name} = ?")
                values.append(value)
        if self.after is not None:
            conditions.append("first <= ? AND (first < ? OR id > ?)")
            values += (self.after[0], *self.after)
        return f"SELECT id FROM incident WHERE {' AND '.join(conditions)} ORDER BY first DESC, id LIMIT ?", tuple(values)  # noqa: S608


def whole(read: Read, one: Incident, events: list[Event], verdicts: list[tuple[float, str]]) -> dict[str, Any]:
    """Return all that is known of an incident. events, verdicts: those not yet written."""
    told = summary(one)
    told["servers"] = [
        {"server": server, "failed": counts[0], "seen": counts[1], "rescued": counts[2]}
        for server, counts in sorted(one.servers.items(), key=lambda item: -item[1][0])
    ]
    told["routes"] = [{"route": route, "count": n} for route, n in sorted(one.routes.items(), key=lambda item: -item[1])]
    told["actions"] = [dict(action) for action in one.actions]
    told["figures"] = {
        cause: {name: [n, list(some)] for name, (n, some) in kinds.items()} for cause, kinds in one.figures.items()
    }
    told["seconds"] = _series(read, "second", one.id, one.pending.seconds)
    told["minutes"] = _series(read, "minute", one.id, one.pending.all_minutes())
    told["samples"] = samples(read, one)
    kept = read("SELECT at, body FROM verdict WHERE incident = ? ORDER BY rowid", (one.id,))
    told["verdicts"] = [{"at": at, "verdict": json.loads(text)} for at, text in (*kept, *verdicts)]
    told["events"] = _events(read, one, events)
    return told


def _series(read: Read, table: str, id: str, waiting: dict[int, list[int]]) -> list[list[int]]:
    """Return [at, failed, seen, rescued] of each second or minute with failures, oldest first."""
    query = f"SELECT at, failed, seen, rescued FROM {table} WHERE incident = ? ORDER BY at DESC LIMIT {_SERIES}"  # noqa: S608
    series = {at: list(counts) for at, *counts in read(query, (id,))}
    for at, counts in waiting.items():
        add_to(series, at, counts)
    return [[at, *series[at]] for at in sorted(series)]


def samples(read: Read, one: Incident) -> list[Any]:
    """Return the samples that are kept, oldest first."""
    rows = read("SELECT number, body FROM sample WHERE incident = ? ORDER BY number", (one.id,))
    kept = {number: json.loads(text) for number, text in rows}
    kept.update({number: json.loads(pack(sample)) for number, sample in one.pending.samples.items()})
    latest = one.samples - LATEST_SAMPLES
    return [kept[number] for number in sorted(kept) if number < FIRST_SAMPLES or number >= latest]


def _events(read: Read, one: Incident, waiting: list[Event]) -> list[dict[str, Any]]:
    """Return what happened in the ten minutes before its first failure, and during it: to this upstream, or to all."""
    begin = one.first - BEFORE
    end = one.resolved if one.state != OPEN else _LAST
    query = "SELECT at, kind, text, upstream, server FROM event WHERE at >= ? AND at <= ? AND upstream IN ('', ?) ORDER BY at"
    values = (begin, end, one.upstream)
    found = read(f"{query} LIMIT {_EVENTS}", values)
    known = set(found)
    found += [row for row in reversed(read(f"{query} DESC LIMIT {_EVENTS}", values)) if row not in known]
    found += [event for event in waiting if begin <= event[0] <= end and event[3] in ("", one.upstream)]
    names = ("at", "kind", "text", "upstream", "server")
    return [dict(zip(names, event, strict=True)) for event in sorted(found)]


def troubled_minutes(read: Read, since: float) -> list[tuple[str, int, int]]:
    """Return (upstream, day since 1970, minutes in which users saw failures) since a time."""
    query = (
        "SELECT upstream, minute.at / 86400, count(DISTINCT minute.at) FROM minute JOIN incident ON incident.id = minute.incident"
        " WHERE minute.at >= ? AND minute.seen > 0 GROUP BY 1, 2"
    )
    return [(str(name), int(day), int(count)) for name, day, count in read(query, (since,))]


def known_since(read: Read) -> float:
    """Return since when traffic was counted (wall-clock seconds); 0 where none was."""
    rows = read("SELECT min(at) FROM traffic", ())
    return float(rows[0][0]) if rows and rows[0][0] else 0.0


def find(read: Read, live: Iterable[Incident], reference: str) -> dict[str, Any] | None:
    """Return {"incident", "record"} of the sample with a reference."""
    if not reference:
        return None
    for one in live:
        for sample in one.pending.samples.values():
            if sample.get("reference") == reference:
                return {"incident": one.id, "record": json.loads(pack(sample))}
    rows = read("SELECT incident, body FROM sample WHERE reference = ? ORDER BY rowid DESC LIMIT 1", (reference,))
    return {"incident": rows[0][0], "record": json.loads(rows[0][1])} if rows else None
