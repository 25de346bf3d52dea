"""The history keeps looks and changes in a file, adds them up by period, and refuses files that are not its own."""

import sqlite3
from pathlib import Path

import pytest

from headgate.watch.history import KEPT, BadHistory, History, availability
from headgate.watch.state import UP, Change, Sighting

SITE = "https://a.example/"


def test_looks_and_changes_survive(tmp_path: Path) -> None:
    path = tmp_path / "watch.db"
    with History(path) as history:
        history.add(SITE, Sighting(100.0, UP, 200, 0.1), Change(100.0, "", UP, -1.0))
        history.add(
            SITE, Sighting(110.0, "connection-refused", 0, 0.2), Change(110.0, UP, "connection-refused", 10.0, -1.0, "refused")
        )
    with History(path) as history:
        assert history.urls() == [SITE]
        assert history.last(SITE) == Sighting(110.0, "connection-refused", 0, 0.2)
        assert [one.new for one in history.changes(SITE)] == ["connection-refused", UP]
        assert history.last("https://b.example/") is None


def test_periods_add_up() -> None:
    with History(":memory:") as history:
        for at, state in ((101, UP), (102, UP), (111, "r"), (112, UP), (113, "r"), (129.9, UP)):
            history.add(SITE, Sighting(float(at), state), None)
        history.add("https://other.example/", Sighting(105.0, "r"), None)
        periods = history.periods(SITE, 3, 10.0, now=130.0)
    assert [(one.looks, one.up, one.worst) for one in periods] == [(2, 2, ""), (3, 1, "r"), (1, 1, "")]
    assert availability(periods) == pytest.approx(4 / 6)
    assert availability(()) == -1


def test_old_looks_are_forgotten() -> None:
    with History(":memory:") as history:
        history.add(SITE, Sighting(1000.0, UP), None)
        history.add(SITE, Sighting(KEPT + 2000.0, UP), None)
        history.forget(KEPT + 3000.0)
        last = history.last(SITE)
        assert last is not None
        assert sum(one.looks for one in history.periods(SITE, 1, 1e9, KEPT + 3000.0)) == 1


def test_another_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no database at all\n" * 50)
    with pytest.raises(BadHistory, match=r"text: expected a history written by headgate watch"):
        History(tmp_path / "text")
    with pytest.raises(BadHistory, match="expected a history"):
        History(tmp_path / "no" / "folder.db")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(BadHistory, match="written by a newer Headgate"):
        History(path)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE orders (id)")
    with pytest.raises(BadHistory, match="a database of something else"):
        History(path)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_tables_of_the_same_name_are_no_history(tmp_path: Path) -> None:
    path = tmp_path / "look.db"
    with sqlite3.connect(path) as other:
        other.executescript("CREATE TABLE look (x); PRAGMA user_version=1")
    with pytest.raises(BadHistory, match="expected a history written by headgate watch"):
        History(path)


def test_a_file_that_is_damaged_later_is_told(tmp_path: Path) -> None:
    path = tmp_path / "watch.db"
    with History(path) as history:
        for at in range(2000):
            history.add(SITE, Sighting(float(at), UP), None)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\x55" * (len(whole) - 4096))
    with pytest.raises(BadHistory, match=r"watch\.db: (cannot be read|expected)"), History(path) as history:
        history.last(SITE)


def test_old_looks_go_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.watch.history._TIDIED", 3)
    with History(":memory:") as history:
        for at in (1000.0, 1001.0, KEPT + 3000.0, KEPT + 3001.0):
            history.add(SITE, Sighting(at, UP), None)
        assert sum(one.looks for one in history.periods(SITE, 1, 1e9, KEPT + 4000.0)) == 2
