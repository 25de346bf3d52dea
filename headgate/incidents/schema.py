"""Owns the form of the file that incidents are kept in: its tables, the steps from older forms, and what is no such file."""

import sqlite3
from pathlib import Path
from typing import Final

APPLICATION: Final = 0x48474943
"""SQLite's application_id of our files ("HGIC"): what carries another one, and has tables, is somebody else's."""

STEPS: Final[tuple[str, ...]] = (
    """
CREATE TABLE incident (id TEXT PRIMARY KEY, upstream TEXT NOT NULL, cause TEXT NOT NULL, state TEXT NOT NULL, first REAL NOT NULL,
  last REAL NOT NULL, opened REAL NOT NULL, resolved REAL NOT NULL, until REAL NOT NULL, failed INTEGER NOT NULL,
  seen INTEGER NOT NULL, rescued INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX incident_first ON incident (first);
CREATE INDEX incident_last ON incident (last);
CREATE INDEX incident_state ON incident (state, first);
CREATE INDEX incident_cause ON incident (upstream, cause, first);
CREATE INDEX incident_upstream ON incident (upstream, first);
CREATE TABLE second (incident TEXT NOT NULL, at INTEGER NOT NULL, failed INTEGER NOT NULL, seen INTEGER NOT NULL,
  rescued INTEGER NOT NULL, PRIMARY KEY (incident, at)) WITHOUT ROWID;
CREATE INDEX second_at ON second (at);
CREATE TABLE minute (incident TEXT NOT NULL, at INTEGER NOT NULL, failed INTEGER NOT NULL, seen INTEGER NOT NULL,
  rescued INTEGER NOT NULL, PRIMARY KEY (incident, at)) WITHOUT ROWID;
CREATE TABLE sample (incident TEXT NOT NULL, number INTEGER NOT NULL, reference TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (incident, number));
CREATE INDEX sample_reference ON sample (reference);
CREATE TABLE verdict (incident TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX verdict_incident ON verdict (incident);
CREATE TABLE client (incident TEXT NOT NULL, packed BLOB NOT NULL);
CREATE INDEX client_incident ON client (incident);
CREATE TABLE event (at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, upstream TEXT NOT NULL, server TEXT NOT NULL);
CREATE INDEX event_at ON event (at);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
""",
    """
CREATE TABLE line (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, upstream TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE (kind, upstream, name));
CREATE TABLE traffic (step INTEGER NOT NULL, line INTEGER NOT NULL, at INTEGER NOT NULL, requests INTEGER NOT NULL,
  bad INTEGER NOT NULL, seen INTEGER NOT NULL, rescued INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (step, line, at)) WITHOUT ROWID;
""",
)
"""What brings a file from each version to the next: the number of steps done is its user_version. Only ever added to."""

PARTS: Final = ("second", "minute", "sample", "verdict", "client")
"""Tables with rows of an incident."""
_LOOKS: Final = (
    "SELECT id, upstream, cause, state, first, last, opened, resolved, until, failed, seen, rescued, body FROM incident LIMIT 0",
    "SELECT incident, at, failed, seen, rescued FROM second LIMIT 0",
    "SELECT incident, at, failed, seen, rescued FROM minute LIMIT 0",
    "SELECT incident, number, reference, body FROM sample LIMIT 0",
    "SELECT incident, at, body FROM verdict LIMIT 0",
    "SELECT incident, packed FROM client LIMIT 0",
    "SELECT at, kind, text, upstream, server FROM event LIMIT 0",
    "SELECT name, value FROM meta LIMIT 0",
    "SELECT id, kind, upstream, name FROM line LIMIT 0",
    "SELECT step, line, at, requests, bad, seen, rescued, body FROM traffic LIMIT 0",
)
_BUSY: Final = 0.05
"""Seconds to wait for another process: the one that waits is the control process, which has other things to do."""


class NewerStore(Exception):
    """The file was written by a newer Headgate. The message names it and says what to do."""


class Unusable(Exception):
    """The file is damaged, or somebody else's. The message says which."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for writing, made or brought to the present form where needed.

    Raises NewerStore, Unusable, and sqlite3.Error for what may pass (locked, no space, no permission).
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY, check_same_thread=False)
    try:
        _prepare(db, path)
    except sqlite3.Error as error:
        db.close()
        if damaged(error):
            raise Unusable(f"it is damaged, or no database ({error})") from None
        raise
    except BaseException:
        db.close()
        raise
    return db


def damaged(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file itself is not, or no longer, a database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    if not ours and (version or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
        raise Unusable("it is a database of something else")
    if version > len(STEPS):
        raise NewerStore(
            f"{path}: written by a newer Headgate (format {version}, this one knows {len(STEPS)}); "
            "use that one, or move the file away and a new one is started"
        )
    if version:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise Unusable(f"it is damaged ({verdict})")
    else:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")  # in WAL mode a killed process loses nothing that was committed
    db.execute("PRAGMA journal_size_limit=4194304")
    if version < len(STEPS):
        _migrate(db)
    _look(db)


def _migrate(db: sqlite3.Connection) -> None:
    """Take every step that is missing, each of them whole or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        for step in STEPS[version:]:
            for statement in filter(str.strip, step.split(";")):
                db.execute(statement)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={len(STEPS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _look(db: sqlite3.Connection) -> None:
    """See that every table is there, with its columns. Raises Unusable."""
    for look in _LOOKS:
        try:
            db.execute(look)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:
                raise Unusable(f"it is damaged ({error})") from None
            raise
