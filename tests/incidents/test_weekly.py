"""The weekly report as data: made of a file, of one that is empty, old, foreign, locked, or in the making."""

import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate.incidents.archive import Archive, Unreadable
from headgate.incidents.history import History
from headgate.incidents.store import Store
from headgate.incidents.traffic_rows import ALL
from headgate.incidents.weekly import weekly
from headgate.model.counted import BUCKETS, SPANS

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]
NOW = 1_790_000_000 // 3600 * 3600 + 1800.0
WEEK = 7 * 86_400.0
OLD = Path(__file__).parent.parent / "fixtures" / "format-1.incidents.gz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "incidents"


def made(path: Path, since: float = NOW - WEEK, until: float = NOW) -> dict[str, Any]:
    with Archive(path) as archive:
        told = weekly(archive, since, until, NOW)
    json.dumps(told, allow_nan=False)
    return told


def filled(path: Path, group: Group, report: Report) -> Store:
    store = Store(path, NOW - 3600)
    history = History(store)
    spread = [0] * (len(BUCKETS) + 1)
    spread[4] = 100
    body = {
        "requests": 100, "bad": 4, "seen": {"connection-refused": 4}, "rescued": {"reset-on-reuse again-reused": 6},
        "spread": spread, "seconds": 2.0, "spans": [10, *([0.0] * 5), 1.0, 0.0, 1.0][: len(SPANS) + 1],
    }  # fmt: skip
    for hour in range(5):
        history.add(NOW - 3600 * hour, {ALL: body, ("pair", "shop", "/"): body})
        history.flush(NOW - 3600 * hour, lambda: None, at_once=True)
    store.take(report(NOW - 600, group(count=4)), NOW - 600)
    store.flush(NOW - 599, at_once=True)
    return store


def test_a_whole_one_is_made_while_the_file_is_written(path: Path, group: Group, report: Report) -> None:
    store = filled(path, group, report)
    told = made(path)
    assert told["traffic"]["requests"] == 500
    assert (told["traffic"]["seen"], told["traffic"]["rescued"], told["traffic"]["good"]) == (20, 30, 0.96)
    assert sum(told["chart"]["requests"]) == 500
    assert told["incidents_count"] == 1
    assert told["incidents"][0]["headline"].startswith("The server refused the connection")
    assert told["near_misses"][0]["count"] == 30
    assert [one["route"] for one in told["budgets"]] == ["/"]
    (route,) = told["routes"]
    assert (route["slowest"], route["timed"]) == ("wait", 50)
    assert told["servers"][0]["server"] == "a:1"
    assert told["known_since"] == pytest.approx(NOW - 4 * 3600, abs=60)
    store.close(NOW)
    assert made(path)["traffic"] == told["traffic"]


def test_only_what_lies_within_the_time_counts(path: Path, group: Group, report: Report) -> None:
    store = filled(path, group, report)
    for minute in range(30):
        at = NOW - 600 + 60 * minute
        store.take(report(at, group(count=4)), at)
        store.flush(at, at_once=True)
    told = made(path, NOW - 7200, NOW - 300)
    assert told["traffic"]["requests"] < 500
    assert told["incidents"][0]["failed"] == 4 + 4 * 6
    assert made(path, NOW - WEEK, NOW - 2 * 3600)["incidents_count"] == 0
    store.close(NOW)


def test_an_empty_one(path: Path) -> None:
    Store(path, NOW).close(NOW)
    told = made(path)
    assert (told["traffic"]["requests"], told["incidents"], told["advice"], told["budgets"]) == (0, [], [], [])
    assert told["known_since"] is None
    assert any("nothing was counted yet" in note for note in told["notes"])


def test_one_of_the_first_format_has_incidents_only(path: Path) -> None:
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    before = path.read_bytes()
    told = made(path, 1_790_000_000 - WEEK, 1_790_000_000 + 60)
    assert (told["incidents_count"], told["traffic"]["requests"]) == (1, 0)
    assert path.read_bytes() == before


def test_what_is_no_such_file_is_said(path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        Archive(path)
    path.write_text("hello " * 1000)
    with pytest.raises(Unreadable, match="not a file of incidents"):
        Archive(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(Unreadable, match="a database, but none of incidents"):
        Archive(path)
    path.unlink()
    Store(path, NOW).close(NOW)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Unreadable, match="written by a newer Headgate"):
        Archive(path)


def test_a_damaged_one_tells_what_it_can(path: Path, group: Group, report: Report) -> None:
    filled(path, group, report).close(NOW)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE incident SET body = 'x'")
        db.execute("UPDATE traffic SET body = '[' WHERE step = 60")
    db.close()
    told = made(path)
    assert told["incidents_count"] == 0
    assert any("is damaged" in note for note in told["notes"])


def test_one_that_cannot_be_written_can_be_read(path: Path, group: Group, report: Report) -> None:
    filled(path, group, report).close(NOW)
    os.chmod(path, 0o400)
    os.chmod(path.parent, 0o500)
    try:
        assert made(path)["traffic"]["requests"] == 500
    finally:
        os.chmod(path.parent, 0o700)
