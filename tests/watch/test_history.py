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
