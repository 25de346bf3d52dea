"""Owns the open file: that this process alone writes it, and what happens when it cannot be used (nobody else notices)."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .schema import NewerStore, Unusable, connect, damaged

_AGAIN: Final = 1.0
"""Seconds after which a file that could not be used is tried again."""


class File:
    """A file that may be missing, locked, full or broken at any time. Nothing here raises for that, except the first opening."""

    def __init__(self, path: Path, now: float, say: Callable[[str], None]) -> None:
        """path: created where it is missing. say: hears of trouble and its end. Raises NewerStore."""
        self.path = path
        self.note = ""  # what is wrong at present, or was put aside
        self.generation = 0  # counts how often a file was opened: what was written to another one is not in this one
        self._say = say
        self._db: sqlite3.Connection | None = None
        self._lock = -1
        self._inode = 0
        self._tried = now
        self._trouble = ""
        try:
            self._open(now)
        except NewerStore:
            self.close()
            raise

    @property
    def works(self) -> bool:
        """Whether the last use of the file went well."""
        return self._db is not None and not self._trouble

    def _open(self, now: float, most: int = 2) -> None:
        """Open the file; put it aside and begin a new one where it is unusable."""
        self._tried = now
        try:
            self._take_lock()
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it tells of addresses and requests
            self._db = connect(self.path)
            self._inode = os.stat(self.path).st_ino
        except Unusable as problem:
            self._put_aside(str(problem), now)
            if most > 1 and not self._trouble:
                self._open(now, most - 1)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        else:
            self.generation += 1
            self._recover()

    def _take_lock(self) -> None:
        """Become the one writer. Raises OSError."""
        if self._lock >= 0:
            return
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise BlockingIOError("another process writes it") from None
        self._lock = lock

    def _put_aside(self, why: str, now: float) -> None:
        """Rename the file, with what belongs to it, so that a new one can be begun."""
        self._close_database()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        aside = self.path.with_name(f"{self.path.name}.{stamp}.aside")
        n = 1
        while aside.exists():
            n += 1
            aside = self.path.with_name(f"{self.path.name}.{stamp}-{n}.aside")
        try:
            os.rename(self.path, aside)
            for end in ("-wal", "-shm"):
                if os.path.exists(f"{self.path}{end}"):
                    os.rename(f"{self.path}{end}", f"{aside}{end}")
        except OSError as error:
            self._fail(error)
            return
        self.note = f"{self.path}: {why}; it is kept as {aside.name}, and a new one was begun"
        self._say(self.note)

    def _fail(self, error: Exception) -> None:
        why = str(error) or type(error).__name__
        if why != self._trouble:
            self._trouble = why
            self._say(f"{self.path}: incidents are kept in memory only, until it can be used again ({why})")
        self.note = f"{self.path}: incidents are kept in memory only, until it can be used again ({why})"

    def _recover(self) -> None:
        if self._trouble:
            self._trouble = self.note = ""
            self._say(f"{self.path}: incidents are written again")

    def is_there(self, now: float) -> bool:
        """Return whether there is an open file; open it where it is time to try, or it was replaced.

        Another file than before has another `generation`.
        """
        if self._db is not None:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    return True
            except OSError:
                pass
            self._close_database()
            self._say(f"{self.path}: it was removed or replaced; it is opened again")
        elif abs(now - self._tried) < _AGAIN:
            return False
        try:
            self._open(now)
        except NewerStore as problem:
            self._fail(problem)
        return self._db is not None

    def write(self, now: float, work: Callable[[sqlite3.Connection], None]) -> bool:
        """Do work within one transaction. Returns whether it is committed; if not, nothing of it is. See is_there first."""
        db = self._db
        if db is None:
            return False
        try:
            db.execute("BEGIN IMMEDIATE")
            work(db)
            db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo(db)
            self._judge(error, now)
            return False
        except BaseException:
            self._undo(db)
            raise
        self._recover()
        return True

    def _undo(self, db: sqlite3.Connection) -> None:
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self._close_database()

    def _judge(self, error: sqlite3.Error, now: float) -> None:
        if damaged(error):
            self._put_aside(f"it is damaged ({error})", now)
            if not self._trouble:
                self._open(now)
        else:
            self._fail(error)

    def run(self, query: str) -> None:
        """Run one statement outside of a transaction, as far as that works."""
        try:
            if self._db is not None:
                self._db.executescript(query)  # incremental_vacuum frees one page for each step, and execute takes only one
        except sqlite3.Error as error:
            self._fail(error)

    def read(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows; none where the file cannot be read. What is damaged is dealt with at the next write."""
        if self._db is None:
            return []
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            if damaged(error):
                self._put_aside(f"it is damaged ({error})", self._tried)
            else:
                self._fail(error)
            return []

    def _close_database(self) -> None:
        if self._db is not None:
            db, self._db = self._db, None
            try:
                db.close()
            except sqlite3.Error:
                pass

    def close(self) -> None:
        """Close the file, and let another process write it."""
        self._close_database()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
