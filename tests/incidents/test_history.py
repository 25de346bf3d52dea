"""The history of traffic: what goes in comes out, by time, whatever the clock, the file and the processes do."""

import gzip
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.incidents import history as module
from headgate.incidents.amounts import Body, add, quantile, slower
from headgate.incidents.history import History
from headgate.incidents.schema import STEPS
from headgate.incidents.store import Store
from headgate.incidents.traffic_rows import ALL, Line
from headgate.model.counted import BUCKETS

BEGIN = 1_790_000_000 // 3600 * 3600 + 0.5
OLD = Path(__file__).parent.parent / "fixtures" / "format-1.incidents.gz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "incidents.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path, BEGIN)
    yield opened
    opened.close(BEGIN)


def no_mark() -> None:
    return None


def body(requests: int = 1, *, seen: dict[str, int] | None = None, rescued: int = 0, fast: bool = True) -> Body:
    spread = [0] * (len(BUCKETS) + 1)
    spread[3 if fast else 9] = requests
    told: Body = {"requests": requests, "spread": spread, "seconds": 0.01 * requests}
    if seen:
        told |= {"seen": seen, "bad": sum(seen.values())}
    if rescued:
        told["rescued"] = {"connection-refused again-unsent": rescued}
    return told


def counted(*pairs: tuple[str, str, Body]) -> dict[Line, Body]:
    """Return changes: those of (route, upstream, body), and of all traffic."""
    changes: dict[Line, Body] = {ALL: {}}
    for route, upstream, one in pairs:
        changes["pair", upstream, route] = one
        add(changes[ALL], one)
    return changes


def test_ten_seconds_in_memory(store: Store) -> None:
    history = History(store)
    for second in range(60):
        failed = {"connection-refused": 2} if second >= 30 else None
        history.add(BEGIN + second, counted(("/", "shop", body(10, seen=failed, rescued=1))))
    told = history.series(BEGIN, BEGIN + 60, 10)
    assert told["step"] == 10
    assert told["at"] == [int(BEGIN) + 10 * n for n in range(7)]
    assert told["requests"] == [100] * 6 + [0]
    assert told["rescued"] == [10] * 6 + [0]
    assert told["failures"] == {"connection-refused": [0, 0, 0, 20, 20, 20, 0]}
    thirty = history.series(BEGIN, BEGIN + 60, 30)
    assert (thirty["requests"], thirty["failures"]) == ([300, 300, 0], {"connection-refused": [0, 60, 0]})


def test_minutes_survive_a_restart_and_are_one_with_what_is_not_yet_written(path: Path) -> None:
    store = Store(path, BEGIN)
    history = History(store)
    for second in range(150):
        history.add(BEGIN + second, counted(("/", "shop", body(2, seen={"response-timeout": 1}))))
        history.flush(BEGIN + second, no_mark)
    before = history.series(BEGIN, BEGIN + 179, 60)
    assert before["requests"] == [120, 120, 60]
    assert before["failures"] == {"response-timeout": [60, 60, 30]}
    history.flush(BEGIN + 150, no_mark, at_once=True)
    store.close(BEGIN + 150)
    store = Store(path, BEGIN + 160)
    after = History(store)
    assert after.series(BEGIN, BEGIN + 179, 60) == before
    after.add(BEGIN + 160, counted(("/", "shop", body(5))))
    assert after.series(BEGIN, BEGIN + 179, 60)["requests"] == [120, 120, 65]
    after.flush(BEGIN + 161, no_mark, at_once=True)
    assert after.series(BEGIN, BEGIN + 179, 60)["requests"] == [120, 120, 65]
    assert sum(after.series(BEGIN, BEGIN + 179, 10)["requests"]) == 305  # what was before is spread over its slots
    for step in (600, 3600):
        assert sum(after.series(BEGIN, BEGIN + 179, step)["requests"]) == 305
    store.close(BEGIN + 162)


def test_by_route_and_by_upstream(store: Store) -> None:
    history = History(store)
    history.add(BEGIN, counted(("/a", "shop", body(3, seen={"x": 1})), ("/b", "shop", body(4)), ("/b", "blog", body(5))))
    for written in (False, True):
        if written:
            history.flush(BEGIN, no_mark, at_once=True)
        by_route = history.series(BEGIN, BEGIN + 1, 60, "route")
        assert by_route["requests"] == [12]
        assert by_route["requests_by"] == {"/b": [9], "/a": [3]}
        assert (by_route["failures"], by_route["bad"]) == ({"/a": [1]}, {"/a": [1]})
        assert history.series(BEGIN, BEGIN + 1, 60, "upstream")["requests_by"] == {"shop": [7], "blog": [5]}
    with pytest.raises(ValueError, match="by is"):
        history.series(BEGIN, BEGIN + 1, 60, "server")


def test_many_names_are_bounded_and_none_is_lost(store: Store) -> None:
    history = History(store)
    history.add(BEGIN, counted(*((f"/{n}", "shop", body(n + 1)) for n in range(50))))
    told = history.series(BEGIN, BEGIN + 1, 60, "route")
    assert len(told["requests_by"]) == 21
    assert sum(numbers[0] for numbers in told["requests_by"].values()) == sum(range(51)) == told["requests"][0]


def test_latency(store: Store) -> None:
    history = History(store)
    history.add(BEGIN, counted(("/", "shop", body(98)), ("/slow", "shop", body(2, fast=False))))
    for _ in range(2):
        told = history.series(BEGIN, BEGIN + 70, 60, latency=True)
        assert told["p50"][1] is None
        assert 0.005 < told["p50"][0] < 0.01
        assert 0.5 < told["p99"][0] <= 1.0
        history.flush(BEGIN, no_mark, at_once=True)


def test_quantiles_and_slow_shares() -> None:
    spread = [0] * (len(BUCKETS) + 1)
    assert quantile(spread, 0.5) is None
    spread[BUCKETS.index(0.5)] = 10  # above 0.25 s
    assert quantile(spread, 0.5) == pytest.approx(0.375)
    assert slower(spread, 0.25) == 10
    assert slower(spread, 0.5) == 0
    assert slower(spread, 0.375) == pytest.approx(5)
    spread[-1] = 4
    assert quantile(spread, 1.0) == BUCKETS[-1]
    assert slower(spread, 120) == 4


@given(st.lists(st.tuples(st.integers(-20_000, 20_000), st.integers(1, 5)), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_no_clock_makes_numbers_wrong(steps: list[tuple[int, int]]) -> None:
    """Whatever the clock does, every request is counted exactly once, and none is negative."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "incidents", BEGIN)
        history = History(store)
        now, fed = BEGIN, 0
        for jump, count in steps:
            now += jump
            history.add(now, counted(("/", "shop", body(count))))
            fed += count
            history.flush(now, no_mark)
        far = 20_000 * 41
        for step in (60, 3600):
            told = history.series(BEGIN - far, BEGIN + far, step)
            assert sum(told["requests"]) == fed
            assert min(told["requests"]) >= 0
        store.close(now)


def test_memory_is_bounded_whatever_the_clock_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLOTS", 50)
    monkeypatch.setattr(module, "_CELLS", 100)
    history = History(store)
    history.add(BEGIN + 10**7, counted(("/", "shop", body())))  # the clock was wrong for a moment
    for n in range(500):
        history.add(BEGIN + 10 * n, counted(*((f"/{m}", "shop", body()) for m in range(20))))
    assert len(history._slots) <= 50
    assert history._cells == sum(map(len, history._slots.values())) <= 100 + 21
    assert max(history._slots) < BEGIN + 10**6
    assert history.series(BEGIN + 4900, BEGIN + 4999, 10)["requests"] == [20] * 10


def test_a_file_that_takes_nothing_costs_no_number(path: Path) -> None:
    store = Store(path, BEGIN)
    history = History(store)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    for minute in range(200):
        history.add(BEGIN + 60 * minute, counted(("/", "shop", body(3))))
        history.flush(BEGIN + 60 * minute, no_mark)
    assert history._waiting_cells() < 100
    other.rollback()
    other.close()
    assert history.flush(BEGIN + 12_000, no_mark, at_once=True)
    assert history.lost == 0
    assert sum(history.series(BEGIN, BEGIN + 12_000, 3600)["requests"]) == 600
    store.close(BEGIN + 12_001)


def test_what_no_longer_fits_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_CELLS", 10)
    store = Store(path, BEGIN)
    history = History(store)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    for hour in range(20):
        history.add(BEGIN + 3600 * hour, counted(("/", "shop", body(3))))
        history.flush(BEGIN + 3600 * hour, no_mark, at_once=True)
    other.rollback()
    other.close()
    assert history.flush(BEGIN + 72_000, no_mark, at_once=True)
    assert history.lost == 45
    assert sum(history.series(BEGIN, BEGIN + 72_000, 3600)["requests"]) == 15
    store.close(BEGIN + 72_001)


def test_the_mark_is_written_with_the_numbers(path: Path) -> None:
    store = Store(path, BEGIN)
    history = History(store)
    assert history.mark() is None
    history.add(BEGIN, counted(("/", "shop", body())))
    history.flush(BEGIN, lambda: {"run": "1-2", "rows": [["\udc80", 1]]}, at_once=True)
    store.close(BEGIN)
    store = Store(path, BEGIN)
    assert History(store).mark() == {"run": "1-2", "rows": [["\udc80", 1]]}
    store.close(BEGIN)


def test_hostile_names_and_damaged_rows(store: Store) -> None:
    history = History(store)
    name = "\x00<script>\udc80'; DROP TABLE line; --" + "é" * 500
    history.add(BEGIN, counted((name, "shop", body(3)), ("/", "shop", body(4))))
    assert history.flush(BEGIN, no_mark, at_once=True)
    assert sum(history.sums(BEGIN, BEGIN + 60, "pair")[line]["requests"] for line in history.sums(BEGIN, BEGIN + 60, "pair")) == 7
    store.commit(BEGIN, lambda db: db.execute('UPDATE traffic SET body = \'{"requests":"x"\' WHERE step = 60').close())
    store.commit(BEGIN, lambda db: db.execute("UPDATE traffic SET body = '{\"requests\":[1]}' WHERE step = 600").close())
    history.add(BEGIN, counted(("/", "shop", body(1))))
    assert history.flush(BEGIN, no_mark, at_once=True)
    assert history.sums(BEGIN, BEGIN + 60, "pair")
    assert history.series(BEGIN, BEGIN + 60, 600)["requests"] == [1]


def test_old_rows_are_forgotten_and_many_earlier(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path, BEGIN)
    history = History(store)
    for hour in range(24 * 10):
        history.add(BEGIN + 3600 * hour, counted(("/", "shop", body())))
        history.flush(BEGIN + 3600 * hour, no_mark, at_once=True)
    end = BEGIN + 3600 * 24 * 10
    count = "SELECT count(*) FROM traffic JOIN line ON line.id = traffic.line WHERE step = ? AND kind = ?"
    found = {(step, kind): store.read(count, (step, kind))[0][0] for step in (60, 600, 3600) for kind in ("all", "pair")}
    assert 24 <= found[60, "pair"] <= 26
    assert 168 <= found[600, "pair"] <= 170
    assert (found[3600, "pair"], found[600, "all"], found[3600, "all"]) == (240, 240, 240)
    monkeypatch.setattr(Store, "size", 4 * 300 * 100)  # room for a hundred rows
    for minute in range(60):
        history.add(end + 600 * minute, counted(("/", "shop", body())))
        history.flush(end + 600 * minute, no_mark, at_once=True)
    assert store.read(count, (3600, "pair"))[0][0] <= 60
    assert store.read(count, (3600, "all"))[0][0] == 250
    store.close(end)


def test_a_file_of_the_first_format_is_brought_to_this_one(path: Path) -> None:
    path.write_bytes(gzip.decompress(OLD.read_bytes()))
    store = Store(path, BEGIN)
    (one,) = store.incidents()
    whole: dict[str, Any] | None = store.incident(one["id"])
    assert whole is not None
    assert (whole["failed"], whole["seen"], whole["clients"], len(whole["verdicts"])) == (15, 10, 5, 1)
    assert store.find("old-4") is not None
    history = History(store)
    history.add(BEGIN, counted(("/", "shop", body(7))))
    assert history.flush(BEGIN, no_mark, at_once=True)
    assert store.read("PRAGMA user_version") == [(len(STEPS),)]
    assert history.series(BEGIN, BEGIN + 1, 60)["requests"] == [7]
    assert not store.note
    store.close(BEGIN)
