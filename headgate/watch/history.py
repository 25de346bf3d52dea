"""Owns what is remembered of watched sites: every look and every change, in one SQLite file."""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .state import UP, Change, Sighting

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE look (url TEXT NOT NULL, at REAL NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL, seconds REAL NOT NULL);
CREATE INDEX look_of ON look (url, at);
CREATE TABLE change (url TEXT NOT NULL, at REAL NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, lasted REAL NOT NULL,
  down REAL NOT NULL, text TEXT NOT NULL, status INTEGER NOT NULL);
CREATE INDEX change_of ON change (url, at);
"""
_BOTH: Final = "SELECT look.url, look.at, state, look.status, seconds, old, new, lasted, down, text FROM look, change LIMIT 0"
KEPT: Final = 100 * 86_400.0
"""Seconds for which looks are kept."""
_CHANGES_SHOWN: Final = 50
_TIDIED: Final = 10_000
"""Looks after which old ones are removed."""


class BadHistory(Exception):
    """The file cannot be used. The message names it and says why."""


@dataclass(frozen=True, slots=True)
class Period:
    """One stretch of time of a status bar."""

    begin: float
    end: float
    looks: int
    up: int
    worst: str  # the most frequent state that is not up, "" where all were up or nobody looked


class History:
    """An open history. Use it as a context manager."""

    def __init__(self, path: Path | str) -> None:
        """path: the file, created where it is missing; ":memory:" for none. Raises BadHistory."""
        self.path = str(path)
        self._added = 0
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=5)
            self._prepare()
        except sqlite3.Error as error:
            raise BadHistory(f"{self.path}: expected a history written by headgate watch, or a new file ({error})") from None

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise BadHistory(
                f"{self.path}: a database of something else; expected a history written by headgate watch, or a new file"
            )
        if version > _VERSION:
            raise BadHistory(f"{self.path}: written by a newer Headgate (format {version}, this one knows {_VERSION})")
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        self._db.execute(_BOTH)  # both tables are there, with their columns
        if self.path != ":memory:":
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")

    def __enter__(self) -> "History":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()

    def add(self, url: str, sighting: Sighting, change: Change | None) -> None:
        """Remember a look, and the change it completed. Raises BadHistory (a full disk, a file that went away)."""
        try:
            row = (url, sighting.at, sighting.state, sighting.status, sighting.seconds)
            self._db.execute("INSERT INTO look VALUES (?, ?, ?, ?, ?)", row)
            if change is not None:
                values = (url, change.at, change.old, change.new, change.lasted, change.down, change.text, change.status)
                self._db.execute("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            self._added += 1
            if self._added % _TIDIED == 1:
                self.forget(sighting.at)
        except sqlite3.Error as error:
            raise BadHistory(f"{self.path}: cannot be written ({error})") from None

    def _read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows. Raises BadHistory where the file is damaged."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise BadHistory(f"{self.path}: cannot be read ({error})") from None

    def forget(self, now: float | None = None) -> None:
        """Remove looks that are older than KEPT."""
        self._db.execute("DELETE FROM look WHERE at < ?", ((time.time() if now is None else now) - KEPT,))

    def urls(self) -> list[str]:
        """Return every site that was ever looked at."""
        return [row[0] for row in self._read("SELECT DISTINCT url FROM look ORDER BY url")]

    def last(self, url: str) -> Sighting | None:
        """Return the last look at a site."""
        rows = self._read("SELECT at, state, status, seconds FROM look WHERE url = ? ORDER BY at DESC LIMIT 1", (url,))
        return Sighting(*rows[0]) if rows else None

    def changes(self, url: str, most: int = _CHANGES_SHOWN) -> list[Change]:
        """Return the last changes of a site, the newest first."""
        query = "SELECT at, old, new, lasted, down, text, status FROM change WHERE url = ? ORDER BY at DESC LIMIT ?"
        return [Change(*row) for row in self._read(query, (url, most))]

    def periods(self, url: str, count: int, seconds: float, now: float | None = None) -> list[Period]:
        """Return `count` periods of `seconds` each, the last of which ends now: how many looks, how many of them up."""
        end = time.time() if now is None else now
        start = end - count * seconds
        query = """SELECT CAST((at - ?) / ? AS INTEGER) AS slot, state, COUNT(*) FROM look
          WHERE url = ? AND at > ? AND at <= ? GROUP BY slot, state"""
        seen: dict[int, dict[str, int]] = {}
        for slot, state, number in self._read(query, (start, seconds, url, start, end)):
            seen.setdefault(min(slot, count - 1), {})[state] = number
        return [_period(start + n * seconds, seconds, seen.get(n, {})) for n in range(count)]


def _period(begin: float, seconds: float, states: dict[str, int]) -> Period:
    bad = {state: number for state, number in states.items() if state != UP}
    worst = max(bad, key=lambda state: bad[state]) if bad else ""
    return Period(begin, begin + seconds, sum(states.values()), states.get(UP, 0), worst)


def availability(periods: Sequence[Period]) -> float:
    """Return the share of looks that were up, from 0 to 1; -1 where nobody looked."""
    looks = sum(one.looks for one in periods)
    return sum(one.up for one in periods) / looks if looks else -1.0
