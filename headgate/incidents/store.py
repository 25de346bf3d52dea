"""Owns the store of incidents: one writer, a commit about once a second, and no failure of the disk that anybody else notices.

What is counted is in memory first, and written by `flush`. So a file that is locked, full or broken costs nothing but
memory, within bounds: it is said in `note`, and what no longer fits is counted in `lost`. The sum of `failed` over all
incidents, and `lost`, is what was taken in.
"""

import json
import sqlite3
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, Final

from . import queries
from .file import File
from .incident import Incident, summary
from .intake import clean
from .ledger import Ledger, normal_id
from .lifecycle import OPEN
from .retention import PAGES, Retention
from .rows import COLUMNS, load, pack, save

COMMIT_EVERY: Final = 1.0
"""Seconds between two commits: what a killed process loses at most."""
_WAITING: Final = 1000
"""Events, and verdicts, that wait to be written."""
_VERDICTS: Final = 20
"""Verdicts kept of an incident: the first, and the latest."""
_VERDICTS_BETWEEN: Final = (
    "DELETE FROM verdict WHERE incident = ? AND rowid > (SELECT min(rowid) FROM verdict WHERE incident = ?)"
    " AND rowid NOT IN (SELECT rowid FROM verdict WHERE incident = ? ORDER BY rowid DESC LIMIT ?)"
)
_REMEMBERED: Final = 5000
"""Resolved incidents that may be reopened, brought to mind at the start."""
_TEXT: Final = 1000


def _silent(_: str) -> None:
    """Say nothing."""


class Store:
    """The incidents of a gateway. Times are wall-clock seconds. Only the first opening raises (NewerStore)."""

    def __init__(
        self, path: Path | str, now: float, *, retention: Retention | None = None, say: Callable[[str], None] = _silent
    ) -> None:
        """path: the file, created where it is missing. say: hears of trouble with the file, and its end. Raises NewerStore."""
        self._file = File(Path(path), now, say)
        self._ledger = Ledger(self._fetch)
        self._retention = retention or Retention()
        self._events: list[queries.Event] = []
        self._verdicts: list[tuple[str, float, str]] = []
        self._written = ""  # the totals in the file
        self._flushed = now
        self._generation = 0
        self._adopt(now)

    @property
    def note(self) -> str:
        """What is wrong with the file at present, or that one was put aside; "" where nothing is."""
        return self._file.note

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def size(self) -> int:
        """Bytes that the file may have."""
        return self._retention.size

    @property
    def lost(self) -> int:
        """How many failures are in no incident."""
        return self._ledger.lost

    @property
    def dropped(self) -> int:
        """How many failures the workers could not group, and only counted."""
        return self._ledger.dropped

    # In.

    def take(self, batch: object, now: float) -> None:
        """Count the failures of a report of a worker ({"at", "dropped", "groups"}), in memory."""
        if isinstance(batch, dict) and isinstance(batch.get("report"), dict):
            batch = batch["report"]
        self._ledger.take(batch, now)

    def event(self, at: float, kind: str, text: str, upstream: str = "", server: str = "") -> None:
        """Remember something that happened, which incidents of this upstream show (of every upstream where it names none)."""
        self._events.append((at, clean(kind), clean(text, _TEXT), clean(upstream), clean(server)))
        if len(self._events) > _WAITING:
            del self._events[0]

    def autopsy(self, id: str, verdict: dict[str, Any], now: float) -> bool:
        """Attach what an examination found (plain data). Returns whether there is such an incident."""
        one = self._ledger.bring(normal_id(id))
        if one is None:
            return False
        self._verdicts.append((one.id, now, pack(verdict)))
        if len(self._verdicts) > _WAITING:
            del self._verdicts[0]
        return True

    def acknowledge(self, id: str, who: str, note: str, now: float, expected: float = 0.0) -> dict[str, Any] | None:
        """Say that somebody is on it, and when it is expected to be over (0: nobody knows). Returns the incident's summary; None
        where there is none.
        """
        one = self._act(id, "acknowledge", who, note, now)
        if one is not None:
            one.acknowledged = {"by": clean(who), "note": clean(note, 2000), "at": now}
            if expected > 0:
                one.acknowledged["expected"] = expected
        return summary(one) if one is not None else None

    def resolve(self, id: str, who: str, note: str, now: float) -> dict[str, Any] | None:
        """Say that it is over. The next failure reopens it. Returns the incident's summary; None where there is none."""
        one = self._act(id, "resolve", who, note, now)
        if one is not None:
            self._ledger.resolve(one, "resolve", now)
        return summary(one) if one is not None else None

    def silence(self, id: str, who: str, note: str, now: float, until: float) -> dict[str, Any] | None:
        """Say that nobody is to be told of it until a time; 0 ends this. Returns its summary; None where there is none."""
        one = self._act(id, "silence", who, note, now, until=until)
        if one is not None:
            one.silenced_until = until
        return summary(one) if one is not None else None

    def _act(self, id: str, action: str, who: str, note: str, now: float, **more: Any) -> Incident | None:
        one = self._ledger.bring(normal_id(id))
        if one is not None:
            one.act(action, who, note, now, **more)
            self._ledger.dirty.add(one.id)
        return one

    # Over time.

    def changes(self, now: float) -> list[tuple[str, str]]:
        """Return what changed since the last call, oldest first: (id, "opened", "worse", "changed", "resolved" or "reopened").

        A change is told again after a restart where it was not written that it was told.
        """
        self._ledger.settle(now)
        return self._ledger.told(now)

    def flush(self, now: float, *, at_once: bool = False) -> bool:
        """Write what is new, at most once a second unless at once. Returns whether all that was taken is in the file."""
        if not at_once and 0.0 <= now - self._flushed < COMMIT_EVERY:
            return not self._ledger.dirty
        self._flushed = now
        self._ledger.settle(now)
        if self._file.is_there(now) and self._file.works and not self._is_news() and not self._is_another():
            return True
        if self.commit(now, self._write) or (self._adopt(now) and self.commit(now, self._write)):
            self._written = self._totals()
            self._events.clear()
            self._verdicts.clear()
            self._ledger.written()
            return True
        self._ledger.not_written()
        return False

    def _is_news(self) -> bool:
        return bool(self._ledger.dirty or self._events or self._verdicts) or self._totals() != self._written

    def _is_another(self) -> bool:
        return self._file.generation != self._generation

    def _totals(self) -> str:
        return json.dumps(self._ledger.described())

    def commit(self, now: float, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do work within one transaction of the present file. Returns whether it is written; if not, nothing of it is."""
        if not self._file.is_there(now):
            return False
        self._adopt(now)
        return self._file.write(now, work)

    def _write(self, db: sqlite3.Connection) -> None:
        for id in self._ledger.dirty:
            one = self._ledger.live.get(id)
            if one is not None:
                save(db, one)
        db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", self._events)
        db.executemany("INSERT INTO verdict VALUES (?, ?, ?)", self._verdicts)
        for id in {id for id, _, _ in self._verdicts}:
            db.execute(_VERDICTS_BETWEEN, (id, id, id, _VERDICTS - 1))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('totals', ?)", (self._totals(),))

    def tidy(self, now: float) -> bool:
        """Resolve what is over, and forget a bounded part of what is too old or too much. Returns whether there may be more."""
        self._ledger.settle(now)
        more: list[bool] = []
        if not self.commit(now, lambda db: more.append(self._retention.tidy(db, now))):
            return False
        self._file.run(f"PRAGMA incremental_vacuum({PAGES})")
        return more[-1]

    def close(self, now: float) -> None:
        """Write what is new, and close the file."""
        self.flush(now, at_once=True)
        self._file.close()

    # From the file.

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the file; none where it cannot be read."""
        return self._file.read(query, values)

    def _adopt(self, now: float) -> bool:
        """Where another file was opened: learn what it holds, and have everything written to it. Returns whether it was."""
        if self._file.generation == self._generation:
            return False
        first, self._generation = self._generation == 0, self._file.generation
        self._ledger.rewrite()
        self._written = ""
        if first:
            self._adopt_totals()
        for row in self._file.read(f"SELECT {COLUMNS} FROM incident WHERE state = ?", (OPEN,)):  # noqa: S608
            if row[0] not in self._ledger.live and (one := self._load(row)) is not None:
                self._ledger.adopt(one, now)
        over = f"SELECT {COLUMNS} FROM incident WHERE until > ? AND state = 'resolved' ORDER BY last DESC LIMIT {_REMEMBERED}"  # noqa: S608
        ended = [self._load(row, clients=False) for row in self._file.read(over, (now,))]
        self._ledger.remember(one for one in reversed(ended) if one is not None)
        return True

    def _adopt_totals(self) -> None:
        try:
            rows = self._file.read("SELECT value FROM meta WHERE name = 'totals'")
            totals = json.loads(rows[0][0]) if rows else {}
            self._ledger.lost += int(totals.get("lost", 0))
            self._ledger.dropped += int(totals.get("dropped", 0))
            self._ledger.changes[:0] = [(str(id), str(what)) for id, what in totals.get("changes", [])]
        except (ValueError, TypeError, AttributeError):
            self._file.note = f"{self._file.path}: its totals are not readable; they begin anew"

    def _fetch(self, id: str, clients: bool = True) -> Incident | None:
        rows = self._file.read(f"SELECT {COLUMNS} FROM incident WHERE id = ?", (id,))  # noqa: S608
        return self._load(rows[0], clients) if rows else None

    def _load(self, row: tuple[Any, ...], clients: bool = True) -> Incident | None:
        """Return the incident of a row; None where the row is damaged."""
        packed = self._file.read("SELECT packed FROM client WHERE incident = ?", (row[0],)) if clients else []
        try:
            return load(row, packed)
        except (ValueError, KeyError, TypeError):
            return None

    # Out.

    def open_incidents(self, limit: int = 500) -> list[dict[str, Any]]:
        """Return summaries of open incidents: first those that users saw, the newest first."""
        ranked = sorted(self._ledger.open.values(), key=lambda one: (one.seen == 0, -one.first))
        return [summary(one) for one in ranked[:limit]]

    def incidents(
        self,
        since: float = 0.0,
        until: float = inf,
        state: str = "",
        upstream: str = "",
        limit: int = 50,
        *,
        cause: str = "",
        after: tuple[float, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return summaries, the newest first, of incidents that failed within a time. state, upstream, cause: "" for any.

        after: "first" and "id" of the last one of the page before.
        """
        wanted = queries.Wanted(since, until, state, upstream, cause, after=after)
        return [summary(one) for one in self._select(wanted, limit)]

    def similar(self, id: str, limit: int = 10) -> list[dict[str, Any]]:
        """Return summaries of other incidents with the same upstream and main cause, the newest first."""
        one = self._peek(id)
        if one is None:
            return []
        wanted = queries.Wanted(upstream=one.upstream, cause=one.main()[0], of_any=False)
        return [summary(other) for other in self._select(wanted, limit + 1) if other.id != one.id][:limit]

    def _select(self, wanted: queries.Wanted, limit: int) -> list[Incident]:
        """Return incidents as memory has them, and those that are only in the file."""
        limit = max(0, min(limit, _WAITING))
        live = self._ledger.live
        found = [one for one in live.values() if wanted.has(one)]
        query, values = wanted.query()
        kept = [id for (id,) in self._file.read(query, (*values, limit + len(live))) if id not in live]
        found += [one for id in kept[:limit] if (one := self._fetch(id, clients=False)) is not None]
        return sorted(found, key=lambda one: (-one.first, one.id))[:limit]

    def troubled_minutes(self, since: float) -> list[tuple[str, int, int]]:
        """Return (upstream, day since 1970, minutes in which users saw failures) since a time, as far as it is in the file."""
        return queries.troubled_minutes(self.read, since)

    def known_since(self) -> float:
        """Return since when traffic was counted, as far as it is in the file; 0 where none was."""
        return queries.known_since(self.read)

    def _peek(self, id: str) -> Incident | None:
        """Return an incident without keeping it in memory."""
        id = normal_id(id)
        return self._ledger.live.get(id) or self._fetch(id)

    def summary(self, id: str) -> dict[str, Any] | None:
        """Return what lists show of an incident; None where there is none."""
        one = self._peek(id)
        return summary(one) if one is not None else None

    def samples(self, id: str) -> list[dict[str, Any]]:
        """Return the exchanges that are kept of an incident, oldest first."""
        one = self._peek(id)
        return queries.samples(self._file.read, one) if one is not None else []

    def incident(self, id: str) -> dict[str, Any] | None:
        """Return all that is known of an incident, as JSON has it; None where there is none."""
        one = self._peek(id)
        if one is None:
            return None
        verdicts = [(at, text) for its, at, text in self._verdicts if its == one.id]
        return queries.whole(self._file.read, one, self._events, verdicts)

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return {"incident": id, "record": the exchange} by the reference that an error page showed; None where it is not known.

        Only samples are kept (of each incident the first three and the latest five), so most references of a long incident
        are not: the error log has all of them.
        """
        return queries.find(self._file.read, self._ledger.live.values(), clean(reference))
