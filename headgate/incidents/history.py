"""Owns the history of traffic: what was counted, by time, in memory for hours and in the store's file for months.

Differences come in, once a second; each is in a slot of ten seconds in memory, and in a minute that waits to be written. Once a
minute these are added to the file's minutes, ten minutes and hours, in one transaction with a mark that says up to which counts
of the workers that was, so that a successor of this process goes on from there. A file that takes nothing costs memory, within
bounds, and what no longer fits is counted in `lost`.
"""

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from . import traffic_rows as rows
from .amounts import Body, add, copied, portion
from .series import Series, Wanted
from .traffic_rows import ALL, Line, total

SLOT: Final = 10
"""Seconds of a slot in memory."""
_SLOTS: Final = 6 * 360
"""Slots in memory: six hours."""
_CELLS: Final = 30_000
"""Lines in all slots; above, the oldest slots keep only the sum of all traffic."""
_WAITING: Final = 60
"""Minutes that wait to be written; above, they become hours."""
_WAITING_CELLS: Final = 20_000
"""Lines in what waits."""
_WRITE_EVERY: Final = 60.0
_TIDY_EVERY: Final = 300.0
_FUTURE: Final = 3600
"""Seconds that a slot may lie ahead: a clock that was set back leaves some."""
_SHORT: Final = ("requests", "bad", "seen", "rescued", "spread")
"""What slots keep of all traffic."""


class Kept(Protocol):
    """What holds the file: a Store, which writes it, or an Archive, which only reads."""

    @property
    def size(self) -> int:
        """Bytes that the file may have."""
        ...

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows; none where the file cannot be read."""
        ...

    def commit(self, now: float, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do work within one transaction; return whether it is written."""
        ...


class History:
    """The history of one gateway's traffic. Times are wall-clock seconds. Nothing here raises for the file's sake."""

    def __init__(self, store: Kept) -> None:
        self._store = store
        self._slots: OrderedDict[int, dict[Line, Body]] = OrderedDict()
        self._cells = 0
        self._begin = 0  # the first slot of this process
        self._waiting: dict[int, dict[Line, Body]] = {}
        self._written = self._tidied = -1.0
        self.lost = 0  # requests that are not in the file, for want of room in memory

    def follow(self, store: Kept) -> None:
        """Go on in another store: what waits is written there."""
        self._store = store

    # In.

    def add(self, now: float, changes: Mapping[Line, Body], *, late: bool = False) -> None:
        """Add what was counted since the last call.

        late: it happened at `now`, but some time before this moment, nobody knows when exactly: it is in the minutes only.
        """
        if not changes:
            return
        minute = self._waiting.setdefault(int(now) // 60 * 60, {})
        for line, body in changes.items():
            add(minute.setdefault(line, {}), body)
        if not late:
            self._add_to_slot(int(now) // SLOT * SLOT, changes)

    def _add_to_slot(self, at: int, changes: Mapping[Line, Body]) -> None:
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = {}
            if not self._begin:
                self._begin = at
                self._recall(at)
            self._begin = min(self._begin, at)  # the clock was set back
            self._bound(at)
        self._fill(slot, changes)

    def _recall(self, at: int) -> None:
        """Have slots for what a process before this one wrote of the present minute: evenly, as nobody knows better."""
        minute = at // 60 * 60
        before = list(range(minute, at, SLOT)) or [at]
        found = [row for kind in ("all", "pair") for row in rows.bodies(self._store.read, 60, minute, minute + 60, kind)]
        for number, begin in enumerate(before if found else ()):
            changes = {line: portion(body, number, len(before)) for _, line, body in found}
            self._fill(self._slots.setdefault(begin, {}), changes)

    def _fill(self, slot: dict[Line, Body], changes: Mapping[Line, Body]) -> None:
        for line, body in changes.items():
            if line[0] not in ("all", "pair"):
                continue
            if line not in slot:
                self._cells += 1
                slot[line] = {}
            add(slot[line], _shortened(line, body))

    def _bound(self, now: int) -> None:
        """Forget slots that are too old, or too far ahead; and single lines of the oldest where there are too many."""
        if len(self._slots) > _SLOTS:
            oldest = min(self._slots)
            ahead = max(self._slots)
            self._cells -= len(self._slots.pop(ahead if ahead > now + _FUTURE else oldest))
        for slot in self._slots.values() if self._cells > _CELLS else ():
            kept = {ALL: slot[ALL]} if ALL in slot else {}
            self._cells -= len(slot) - len(kept)
            slot.clear()
            slot.update(kept)
            if self._cells <= _CELLS * 3 // 4:
                break

    # Out into the file.

    def flush(self, now: float, mark: Callable[[], object], *, at_once: bool = False) -> bool:
        """Write what waits, first at once and then every minute, and forget what is old. Returns whether nothing waits.

        mark: returns, as JSON has it, up to where the workers' counts have been added.
        """
        due = at_once or not 0.0 <= now - self._written < _WRITE_EVERY
        if not due or (not self._waiting and self._written >= 0):
            return not self._waiting
        self._written = now
        waiting = self._waiting

        def work(db: sqlite3.Connection) -> None:
            rows.save(db, waiting)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('traffic', ?)", (json.dumps(mark(), separators=(",", ":")),))

        if self._store.commit(now, work):
            self._waiting = {}
            self._tidy(now)
            return True
        self._bound_waiting()
        return False

    def mark(self) -> Any:
        """Return what the last `flush` of any process marked in the file; None where it is not known."""
        found = self._store.read("SELECT value FROM meta WHERE name = 'traffic'")
        try:
            return json.loads(found[0][0]) if found else None
        except ValueError:
            return None

    def _bound_waiting(self) -> None:
        """Hold what waits by the hour where there are too many minutes, and lose the oldest hours where that is too much."""
        if len(self._waiting) > _WAITING or self._waiting_cells() > _WAITING_CELLS:
            hours: dict[int, dict[Line, Body]] = {}
            for at, lines in sorted(self._waiting.items()):
                hour = hours.setdefault(at // 3600 * 3600, {})
                for line, body in lines.items():
                    add(hour.setdefault(line, {}), body)
            self._waiting = hours
        while len(self._waiting) > 1 and (self._waiting_cells() > _WAITING_CELLS or len(self._waiting) > _WAITING):
            oldest = self._waiting.pop(min(self._waiting))
            self.lost += oldest.get(ALL, {}).get("requests", 0)

    def _waiting_cells(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _tidy(self, now: float) -> None:
        if 0.0 <= now - self._tidied < _TIDY_EVERY:
            return
        more: list[bool] = []
        most = self._store.size // 4 // rows.ROW_BYTES
        self._store.commit(now, lambda db: more.append(rows.tidy(db, now, most)))
        self._tidied = -1.0 if any(more) else now

    # Out for people.

    def series(self, since: float, until: float, step: float = 60, by: str = "cause", *, latency: bool = False) -> dict[str, Any]:
        """Return traffic over time: {"step": seconds, "at": [...], "requests": [...], "failures": {...}, "rescued": [...]}.

        "at" are the beginnings of steps from `since` to `until`. The step is widened where there would be more than 2000 of
        them (by name 144), or where what is kept is not that fine. "failures": requests that users saw fail, by="cause".
        by="route" and by="upstream" give "failures", "requests_by" and "bad" (5xx answers of servers and broken-off ones
        included) by name: of the busiest, with the rest as "other".
        latency: with "p50", "p95" and "p99", in seconds, None where nothing happened.
        """
        wanted = Wanted.of(since, until, step, by, self._begin)
        series = Series(wanted)
        if wanted.source == SLOT:
            self._from_slots(series, latency)
        else:
            self._from_rows(series, latency)
        return series.told(latency)

    def _from_slots(self, series: Series, latency: bool) -> None:
        wanted = series.wanted
        for at, slot in self._slots.items():
            if wanted.since <= at < wanted.until:
                for line, body in slot.items():
                    series.add(at, line, body)
        whole = self._begin // 60 * 60  # before, only minutes are known: they are spread over their slots
        before = Wanted(wanted.since // 60 * 60, min(-(-wanted.until // 60) * 60, whole), 60, wanted.by, 60)
        if before.until > before.since:
            minutes = Series(before)
            self._from_rows(minutes, latency)
            series.spread(minutes, SLOT)

    def _from_rows(self, series: Series, latency: bool) -> None:
        wanted, read = series.wanted, self._store.read
        span = (wanted.source, wanted.since, wanted.until)
        if wanted.by == "cause":
            for at, requests, seen, rescued, body in rows.rows_of_all(read, *span):
                series.count(at, requests, seen, rescued, body)
        else:
            column = "name" if wanted.by == "route" else "upstream"
            for row in rows.rows_by_name(read, *span, wanted.step, column):
                series.count_name(*row)
        if latency:
            for at, body in rows.spreads_of_all(read, *span):
                series.add_spread(at, body.get("spread", ()))
        for at, lines in self._waiting.items():
            if wanted.since <= at < wanted.until:
                for line, body in lines.items():
                    series.add(at, line, body)

    def sums(self, since: float, until: float, kind: str) -> dict[Line, Body]:
        """Return all that was counted in a time, by line of a kind ("all", "pair", "upstream", "server").

        The time is widened to whole hours for servers, and to what is still known.
        """
        return rows.merged((line, body) for _, line, body in self.bodies(since, until, kind))

    def bodies(self, since: float, until: float, kind: str) -> Iterator[tuple[int, Line, Body]]:
        """Yield (at, line, amounts) of lines of a kind: by minutes within a day, by ten minutes within a week, else by hours."""
        step = 3600 if kind == "server" else _step_for(until - since)
        begin, end = int(since) // step * step, int(-(-until // step) * step)
        yield from rows.bodies(self._store.read, step, begin, end, kind)
        for at, lines in self._waiting.items():
            if begin <= at < end:
                yield from ((at, line, copied(body)) for line, body in lines.items() if line[0] == kind)

    def counts(self, since: float, until: float) -> dict[Line, tuple[int, int]]:
        """Return requests, and how many of them went wrong, of each route with its upstream. Quick, also for months."""
        step = _step_for(until - since)
        begin, end = int(since) // step * step, int(-(-until // step) * step)
        found = rows.counts(self._store.read, step, begin, end)
        for at, lines in self._waiting.items():
            for line, body in lines.items() if begin <= at < end else ():
                if line[0] == "pair":
                    requests, bad = found.get(line, (0, 0))
                    found[line] = (requests + body.get("requests", 0), bad + body.get("bad", 0))
        return found

    def spread(self, since: float, until: float, route: str) -> list[float]:
        """Return how long the requests of a route took, by the buckets of model/counted.py; empty where there were none."""
        step = _step_for(until - since)
        begin, end = int(since) // step * step, int(-(-until // step) * step)
        found: Body = {}
        for _, _, body in rows.bodies(self._store.read, step, begin, end, "pair", route):
            add(found, {"spread": body.get("spread", [])} if body.get("spread") else {})
        for at, lines in self._waiting.items():
            for line, body in lines.items() if begin <= at < end else ():
                if line[0] == "pair" and line[2] == route and body.get("spread"):
                    add(found, {"spread": body["spread"]})
        return list(found.get("spread", ()))


def _step_for(seconds: float) -> int:
    """Return the step of rows by which a time is summed up: exact enough, and quick."""
    return 60 if seconds <= 6 * 3600 else 600 if seconds <= 2 * 86_400 else 3600


def _shortened(line: Line, body: Body) -> Body:
    """Return what a slot keeps."""
    if line == ALL:
        return {name: body[name] for name in _SHORT if name in body}
    kept: Body = {name: body[name] for name in ("requests", "bad") if name in body}
    for name in ("seen", "rescued"):
        if body.get(name):
            kept[name] = {"": total(body[name])}
    return kept
