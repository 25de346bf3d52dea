"""Where `headgate incidents` reads: a running gateway's admin API, or a copy of the file of one that does not run."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import quote, urlencode

from ..diagnose.redact import clean
from ..incidents.schema import APPLICATION, STEPS, NewerStore
from ..incidents.store import Store
from ..render.incident import headline, title
from .admin_client import Client, Refusal, told
from .main import stop

_MISSING: Final = 404
_MOST: Final = 1000


class Source(Protocol):
    """What incidents are read from. Each method ends the command where nothing can be asked."""

    def listed(self, state: str, upstream: str, since: float, limit: int) -> dict[str, Any]:
        """Return {"incidents", "lost", "dropped", "note"}."""
        ...

    def incident(self, id: str) -> dict[str, Any] | None:
        """Return all of an incident, None where there is none."""
        ...

    def reference(self, reference: str) -> dict[str, Any] | None:
        """Return {"incident", "record"} of an exchange, None where it is not kept."""
        ...


class Gateway:
    """A running gateway."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def listed(self, state: str, upstream: str, since: float, limit: int) -> dict[str, Any]:
        """Return what the gateway lists."""
        asked = {"state": state, "upstream": upstream, "since": since or "", "limit": limit}
        query = urlencode({key: value for key, value in asked.items() if value != ""})
        found: dict[str, Any] = told(self.client, "GET", f"/api/incidents?{query}")
        return found

    def incident(self, id: str) -> dict[str, Any] | None:
        """Return what the gateway knows of one."""
        return self._asked(f"/api/incidents/{quote(id, safe='')}")

    def reference(self, reference: str) -> dict[str, Any] | None:
        """Return what the gateway knows of an exchange."""
        return self._asked(f"/api/references/{quote(reference, safe='')}")

    def _asked(self, path: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.client.ask("GET", path)
        except Refusal as refusal:
            if refusal.status in (_MISSING, 422):
                return None
            return dict(told(self.client, "GET", path))
        except Exception:  # Unreachable: `told` says so, and ends the command
            return dict(told(self.client, "GET", path))
        return found


class Kept:
    """A copy of a file: the file itself is not touched, whatever form it has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def listed(self, state: str, upstream: str, since: float, limit: int) -> dict[str, Any]:
        """Return what the file lists."""
        found = self._store.incidents(since, state=state, upstream=upstream, limit=limit)
        store = self._store
        return {"incidents": [_worded(one) for one in found], "lost": store.lost, "dropped": store.dropped, "note": ""}

    def incident(self, id: str) -> dict[str, Any] | None:
        """Return what the file has of one."""
        found = self._store.incident(id)
        if found is None:
            return None
        samples = found["samples"]
        similar = [_worded(one) for one in self._store.similar(found["id"])]
        return {**_worded(found), "similar": similar, "sentence": samples[-1].get("sentence", "") if samples else ""}

    def reference(self, reference: str) -> dict[str, Any] | None:
        """Return what the file has of an exchange."""
        return self._store.find(reference)


def _worded(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "title": title(one), "headline": headline(one)}


@contextmanager
def kept(path: Path) -> Iterator[Kept]:
    """Yield what a file holds. Ends the command where it is none of Headgate's."""
    shown = clean(str(path))
    with tempfile.TemporaryDirectory(prefix="headgate-incidents-") as folder:
        copy = Path(folder) / "incidents"
        try:
            _copy(path, copy)
            _check(copy)
            store = Store(copy, time.time())
        except OSError as problem:
            stop(f"--store {shown}: {(problem.strerror or str(problem)).lower()}")
        except NewerStore:
            stop(f"--store {shown}: written by a newer Headgate; use that one to read it")
        except (sqlite3.Error, ValueError) as problem:
            stop(f"--store {shown}: no file of incidents, or damaged ({clean(str(problem))})")
        if store.note:
            stop(f"--store {shown}: damaged: {clean(store.note.partition(': ')[2].partition(';')[0])}")
        try:
            yield Kept(store)
        finally:
            store.close(time.time())


def _copy(path: Path, copy: Path) -> None:
    """Copy a database: through SQLite where a gateway has it open, else file by file, with what is not yet merged into it."""
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file", str(path))
    if Path(f"{path}-shm").exists():
        try:
            with (
                closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as there,
                closing(sqlite3.connect(copy)) as here,
            ):
                there.backup(here)
            return
        except sqlite3.Error:
            copy.unlink(missing_ok=True)
    shutil.copyfile(path, copy)
    if Path(f"{path}-wal").exists():
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")


def _check(copy: Path) -> None:
    """Raise ValueError or sqlite3.Error unless it is a file of incidents."""
    with closing(sqlite3.connect(copy)) as db:
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise ValueError("another program's")
        if db.execute("PRAGMA user_version").fetchone()[0] > len(STEPS):
            raise NewerStore("newer")


def meant(source: Source, name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return an incident by its id, the begin of it, or the reference of one of its exchanges (then with that exchange).

    Ends the command where nothing is known by this name.
    """
    if (found := source.incident(name)) is not None:
        return found, None
    if (sample := source.reference(name)) is not None and (found := source.incident(sample["incident"])) is not None:
        return found, sample["record"]
    begun = [one["id"] for one in source.listed("", "", 0.0, _MOST)["incidents"] if one["id"].startswith(name.upper())]
    if len(begun) == 1 and (found := source.incident(begun[0])) is not None:
        return found, None
    return _unknown(clean(name, 60), begun)


def _unknown(shown: str, begun: list[str]) -> NoReturn:
    if begun:
        stop(f'"{shown}" begins {len(begun)} incidents: {", ".join(begun[:10])}')
    stop(
        f'"{shown}" is no incident (`headgate incidents` lists them), and not the reference of an exchange that is kept: of each '
        "incident at most eight are; the error log has all"
    )
