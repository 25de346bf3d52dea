"""Owns how the file of incidents is read without being its writer: of a gateway that runs, or of one that is down."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

from .incident import Incident
from .queries import Wanted
from .rows import COLUMNS, load
from .schema import APPLICATION, STEPS

_BUSY: Final = 2.0
"""Seconds to wait for the process that writes."""


class Unreadable(Exception):
    """The file cannot be read, or is no file of incidents. The message says which."""


class Archive:
    """The file, for reading. One thread, one object."""

    size = 0
    """It writes nothing."""

    def __init__(self, path: Path | str) -> None:
        """Raises Unreadable."""
        self._path = Path(path)
        self.trouble = ""  # what could not be read
        try:
            self._path.stat()
            self._db = self._opened()
        except OSError as problem:
            raise Unreadable(f"{self._path}: {problem.strerror or problem}") from None
        try:
            ours = self._db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as problem:
            self._db.close()
            raise Unreadable(f"{self._path}: not a file of incidents ({problem})") from None
        if not ours or version > len(STEPS):
            self._db.close()
            why = f"written by a newer Headgate (format {version})" if ours else "a database, but none of incidents"
            raise Unreadable(f"{self._path}: {why}")

    def _opened(self) -> sqlite3.Connection:
        """Return a connection that cannot write. In a folder that cannot be written either, the file is read as it is."""
        name = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=_BUSY, check_same_thread=False)
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                return db
            db.close()
            db = sqlite3.connect(f"{name}&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
        except sqlite3.Error:
            pass  # what it is comes to light with the next question
        return db

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows; none where they cannot be read, and `trouble` says why."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as problem:
            if "no such table" not in str(problem):  # a file of an older format, which has not been opened for writing since
                self.trouble = self.trouble or f"{self._path}: not all of it can be read ({problem})"
            return []

    def commit(self, now: float, work: object) -> bool:
        """Write nothing; return so."""
        return False

    def incidents(self, since: float, until: float, limit: int) -> list[Incident]:
        """Return incidents that failed within a time, the newest first."""
        query, values = Wanted(since, until).query()
        found = []
        for (id,) in self.read(query, (*values, limit)):
            for row in self.read(f"SELECT {COLUMNS} FROM incident WHERE id = ?", (id,)):  # noqa: S608
                try:
                    found.append(load(row))
                except (ValueError, KeyError, TypeError):
                    self.trouble = self.trouble or f"{self._path}: incident {id} is damaged"
        return found

    def within(self, id: str, since: float, until: float) -> tuple[int, int, int]:
        """Return what an incident failed, seen and rescued within a time, by the minute."""
        query = "SELECT sum(failed), sum(seen), sum(rescued) FROM minute WHERE incident = ? AND at > ? AND at <= ?"
        rows = self.read(query, (id, since - 60, until))
        failed, seen, rescued = rows[0] if rows and rows[0][0] is not None else (0, 0, 0)
        return failed, seen, rescued

    def events(self, since: float, until: float, limit: int = 20_000) -> list[tuple[float, str, str, str, str]]:
        """Return what happened within a time, oldest first: at, kind, text, upstream, server."""
        query = "SELECT at, kind, text, upstream, server FROM event WHERE at >= ? AND at <= ? ORDER BY at DESC LIMIT ?"
        return [
            (at, kind, text, upstream, server) for at, kind, text, upstream, server in self.read(query, (since, until, limit))
        ][::-1]

    def begin(self) -> float:
        """Return since when traffic is known, 0 where it is not."""
        rows = self.read("SELECT min(at) FROM traffic WHERE step = 3600 AND line = (SELECT id FROM line WHERE kind = 'all')")
        hour = int(rows[0][0]) if rows and rows[0][0] is not None else 0
        finer = self.read(
            "SELECT min(at) FROM traffic WHERE step = 60 AND line = (SELECT id FROM line WHERE kind = 'all') AND at < ?",
            (hour + 3600,),
        )
        return float(finer[0][0]) if finer and finer[0][0] is not None else float(hour)
