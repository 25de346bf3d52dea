"""Owns what is forgotten, and when: by age, and by the size of the file, a bounded part of it each time."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from .rows import remove

_DAY: Final = 86_400.0
_SECONDS_KEPT: Final = 3600.0
"""Counts by second are kept for an hour; those by minute as long as the incident."""
_INCIDENTS: Final = 200
_SMALL: Final = 5000
"""Rows removed in one call: incidents; seconds, minutes and events."""
_SLICE: Final = 10
_SLICES: Final = 20
"""Incidents, or samples, removed before the size is looked at again, and how often in one call."""
PAGES: Final = 2000
"""Free pages given back to the file system in one call."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept."""

    days: float = 30.0
    size: int = 256 * 1024 * 1024  # bytes of the file

    def tidy(self, db: sqlite3.Connection, now: float) -> bool:
        """Remove what is too old or too much. Returns whether there may be more. Raises sqlite3.Error."""
        oldest = now - self.days * _DAY
        ids = db.execute(
            "SELECT id FROM incident WHERE last < ? AND state = 'resolved' ORDER BY last LIMIT ?", (oldest, _INCIDENTS)
        ).fetchall()
        remove(db, [id for (id,) in ids])
        counts = [len(ids) - _INCIDENTS + 1]
        still = "incident IN (SELECT id FROM incident WHERE state = 'open') AND"  # with the others all of it goes
        for table, which, before in (("second", "", now - _SECONDS_KEPT), ("minute", still, oldest)):
            chosen = f"SELECT incident, at FROM {table} WHERE {which} at < ? LIMIT {_SMALL}"  # noqa: S608
            done = db.execute(f"DELETE FROM {table} WHERE (incident, at) IN ({chosen})", (before,))  # noqa: S608
            counts.append(done.rowcount - _SMALL + 1)
        db.execute("DELETE FROM event WHERE rowid IN (SELECT rowid FROM event WHERE at < ? LIMIT ?)", (oldest, _SMALL))
        db.execute(
            "DELETE FROM client WHERE rowid IN (SELECT client.rowid FROM client JOIN incident ON incident.id = client.incident"
            " WHERE incident.state = 'resolved' AND incident.until < ? LIMIT ?)",
            (now, _SMALL),
        )
        return self._shrink(db) or any(count > 0 for count in counts)

    def _shrink(self, db: sqlite3.Connection) -> bool:
        """Where the file is too large, remove the oldest incidents; where all are open, their oldest samples."""
        for _ in range(_SLICES):
            if used(db) <= self.size:
                return False
            ids = db.execute("SELECT id FROM incident WHERE state = 'resolved' ORDER BY last LIMIT ?", (_SLICE,)).fetchall()
            remove(db, [id for (id,) in ids])
            if not ids:
                db.execute("DELETE FROM sample WHERE rowid IN (SELECT rowid FROM sample ORDER BY rowid LIMIT ?)", (_SLICE,))
        return used(db) > self.size


def used(db: sqlite3.Connection) -> int:
    """Return how many bytes of the file hold something."""
    pages, free, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size)
