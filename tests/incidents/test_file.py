"""What may happen to the file: killed, locked, full, damaged, somebody else's, newer, removed. Counting goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate.incidents import schema
from headgate.incidents.schema import APPLICATION, STEPS, NewerStore
from headgate.incidents.store import Store

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]

WRITER = """
import sys, time
from headgate.incidents.store import Store
store, n = Store(sys.argv[1], time.time()), 0
while n < 100_000:
    n += 1
    now = time.time()
    sample = {"reference": f"r{n}", "filling": "x" * 2000}
    group = {"upstream": "u", "server": f"s{n % 9}", "cause": "connection-refused", "phase": "connect", "count": 1, "seen": 1}
    store.take({"at": now, "groups": [{**group, "samples": [sample]}]}, now)
    if store.flush(now, at_once=n % 10 == 0):
        print(n, flush=True)
"""
FULL = """
import json, resource, sys
from headgate.incidents.store import Store
said = []
store = Store(sys.argv[1], 0, say=said.append)
def take(n):
    sample = {"reference": f"r{n}", "filling": "x" * 20000}
    store.take({"at": n, "groups": [{"upstream": f"u{n % 50}", "cause": "x", "count": 2, "samples": [sample]}]}, n)
    store.event(n, "kind", "text")
    store.autopsy(store.open_incidents(1)[0]["id"], {"n": n}, n)
    store.tidy(n)
    return store.flush(n, at_once=True)
worked = [take(n) for n in range(10)]
size, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
full = [take(n) for n in range(10, 200)]
note = store.note
resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
again = take(200)
taken = sum(one["failed"] for one in store.incidents(limit=1000))
print(json.dumps([worked, full[-1], note, again, store.note, taken, store.lost, said]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "incidents.db"


def counted(store: Store) -> int:
    return sum(one["failed"] for one in store.incidents(limit=1000))


def asides(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.aside"))


def filled(path: Path, group: Group, report: Report, incidents: int = 20) -> None:
    store = Store(path, 0)
    samples = [{"reference": "r", "filling": "x" * 3000}] * 2
    store.take(report(0, *(group(upstream=f"u{n}", samples=samples) for n in range(incidents))), 0)
    store.close(0)


@pytest.mark.parametrize("after", [25, 57, 111])
def test_killed_in_the_midst_of_it_nothing_that_was_committed_is_lost(path: Path, after: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = 0
    with writer:
        for line in writer.stdout:
            last = int(line)
            if last >= after:
                os.kill(writer.pid, signal.SIGKILL)
                break
        for line in writer.stdout:
            last = int(line)
    assert last >= after
    store = Store(path, 0)
    assert store.note == ""
    (one,) = store.incidents()
    assert last <= one["failed"] < last + 20, "what was flushed is there, and hardly more than that was taken"
    whole = store.incident(one["id"])
    assert whole is not None
    assert sum(row[1] for row in whole["minutes"]) == one["failed"]
    assert len(whole["samples"]) == 8
    store.close(0)


@pytest.mark.parametrize("damage", ["text", "zeros", "middle", "cut", "tables"])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(path: Path, damage: str, group: Group, report: Report) -> None:
    filled(path, group, report)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "text":
            file.write(b"this is no database at all, but somebody's notes\n")
        elif damage == "zeros":
            file.write(bytes(size))
            file.truncate(size - 7)
        elif damage == "middle":
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        elif damage == "cut":
            file.truncate(size // 2)
        else:
            with sqlite3.connect(path) as db:
                db.execute("DROP TABLE sample")
    before = path.read_bytes()
    said: list[str] = []
    store = Store(path, 1_700_000_000, say=said.append)
    assert said == [store.note]
    assert "kept as incidents.db.20231114-221320.aside" in store.note
    assert [one.read_bytes() for one in asides(path)] == [before]
    store.take(report(1_700_000_000, group()), 1_700_000_000)
    assert store.flush(1_700_000_001, at_once=True)
    assert counted(store) == 1
    store.close(1_700_000_001)
    assert Store(path, 1_700_000_002).note == ""


def test_somebody_elses_database_is_kept_aside(path: Path, group: Group, report: Report) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cake (recipe)")
        db.execute("INSERT INTO cake VALUES ('eggs')")
    db.close()
    store = Store(path, 0)
    assert "something else" in store.note
    (aside,) = asides(path)
    kept = sqlite3.connect(aside)
    assert kept.execute("SELECT * FROM cake").fetchall() == [("eggs",)]
    kept.close()
    store.close(0)


def test_two_files_put_aside_in_one_second_are_two(path: Path) -> None:
    for n in range(3):
        path.write_text(f"no database {n}" * 100)
        Store(path, 0).close(0)
    assert len(asides(path)) == 3


def test_damaged_while_it_is_used(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take(report(0, group(clients=["00000000000000aa"])), 0)
    store.flush(1)
    store._file.run("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(size - 100))
    store._file.run("PRAGMA shrink_memory")
    for n in range(2, 6):
        store.take(report(n, group()), n)
        store.flush(n)
        store.incidents()
    assert "kept as" in store.note
    assert counted(store) == 5
    store.close(6)
    store = Store(path, 7)
    assert (counted(store), store.incidents()[0]["clients"]) == (5, 1)
    assert len(asides(path)) == 1
    store.close(7)


def test_a_newer_file_is_refused_and_left_as_it_is(path: Path, group: Group, report: Report) -> None:
    filled(path, group, report)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={len(STEPS) + 1}")
    db.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(
            NewerStore, match=rf"incidents\.db: written by a newer Headgate .format {len(STEPS) + 1}, this one knows {len(STEPS)}"
        ):
            Store(path, 0)
    assert path.read_bytes() == before
    assert not asides(path)


def test_an_older_file_is_brought_to_the_present_form(
    path: Path, group: Group, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, group, report, 3)
    monkeypatch.setattr(schema, "STEPS", (*STEPS, "CREATE TABLE more (x); INSERT INTO more VALUES (5)"))
    store = Store(path, 0)
    assert store._file.read("SELECT x FROM more") == [(5,)]
    assert store._file.read("PRAGMA user_version") == [(len(schema.STEPS),)]
    assert counted(store) == 3
    store.close(0)
    store = Store(path, 0)
    assert store._file.read("SELECT x FROM more") == [(5,)]
    store.close(0)


def test_a_step_that_fails_changes_nothing(path: Path, group: Group, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, group, report, 3)
    monkeypatch.setattr(schema, "STEPS", (*STEPS, "CREATE TABLE more (x); INSERT INTO nothing VALUES (5)"))
    store = Store(path, 0)
    assert "memory only" in store.note
    store.close(0)
    monkeypatch.undo()
    store = Store(path, 0)
    assert (store.note, counted(store)) == ("", 3)
    assert store._file.read("SELECT name FROM sqlite_master WHERE name = 'more'") == []
    store.close(0)


def test_a_new_file_says_what_it_is_and_is_nobody_elses_business(path: Path) -> None:
    Store(path, 0).close(0)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    db.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_locked_file_costs_nothing(path: Path, group: Group, report: Report) -> None:
    said: list[str] = []
    store = Store(path, 0, say=said.append)
    store.take(report(0, group()), 0)
    store.flush(1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for n in range(2, 6):
        store.take(report(n, group(upstream=f"u{n}")), n)
        store.event(n, "kind", "text")
        assert not store.flush(n)
        assert not store.tidy(n)
        assert "locked" in store.note
    assert counted(store) == 5
    other.execute("ROLLBACK")
    other.close()
    assert store.flush(7)
    assert store.note == ""
    assert len(said) == 2
    store.close(8)
    store = Store(path, 9)
    assert (counted(store), store.lost) == (5, 0)
    assert store._file.read("SELECT count(*) FROM event") == [(4,)]
    store.close(9)


def test_locked_from_the_beginning(path: Path, group: Group, report: Report) -> None:
    filled(path, group, report, 2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    store = Store(path, 10)
    assert "locked" in store.note
    store.take(report(10, group(upstream="u1"), group(upstream="new")), 10)
    assert not store.flush(11)
    assert counted(store) == 2
    other.close()
    assert store.flush(13)
    assert (store.note, counted(store)) == ("", 4)
    assert sorted(one["upstream"] for one in store.open_incidents()) == ["new", "u0", "u1"]
    store.close(14)


def test_there_is_one_writer(path: Path, group: Group, report: Report) -> None:
    first, second = Store(path, 0), Store(path, 0)
    assert first.note == ""
    assert "another process writes it" in second.note
    first.take(report(0, group(upstream="a")), 0)
    second.take(report(0, group(upstream="b")), 0)
    assert first.flush(1)
    assert not second.flush(1)
    first.close(2)
    assert second.flush(3)
    assert (second.note, counted(second)) == ("", 2)
    second.close(4)


def test_a_full_disk_costs_nothing_and_is_over_when_it_is_over(path: Path) -> None:
    import json

    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    worked, full, note, again, after, taken, lost, said = json.loads(done.stdout)
    assert all(worked)
    assert not full
    assert "memory only" in note
    assert (again, after) == (True, "")
    assert (taken, lost) == (201 * 2, 0)
    assert len(said) >= 2
    store = Store(path, 200)
    assert (counted(store), store.note) == (402, "")
    store.close(200)


def test_no_page_left_is_a_full_disk(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store._file.run("PRAGMA max_page_count=40")
    for n in range(100):
        sample = {"reference": f"r{n}", "filling": "x" * 4000}
        store.take(report(n, group(upstream=f"u{n}", samples=[sample])), n)
        store.flush(n, at_once=True)
    assert "full" in store.note
    assert counted(store) + store.lost == 100
    store._file.run("PRAGMA max_page_count=100000")
    assert store.flush(100, at_once=True)
    assert (store.note, counted(store)) == ("", 100)
    store.close(100)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_taken_away_is_begun_anew(path: Path, how: str, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take(report(0, group()), 0)
    store.flush(1)
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink()
    if how == "replaced":
        path.write_bytes(b"")
    store.take(report(2, group()), 2)
    assert store.flush(3)
    store.close(4)
    store = Store(path, 5)
    assert counted(store) == 2
    store.close(5)


def test_a_folder_that_is_not_there_yet(tmp_path: Path, group: Group, report: Report) -> None:
    path = tmp_path / "later" / "incidents.db"
    store = Store(path, 0)
    assert "memory only" in store.note
    store.take(report(0, group()), 0)
    assert not store.flush(1)
    path.parent.mkdir()
    assert store.flush(3)
    assert (store.note, counted(store)) == ("", 1)
    store.close(4)
