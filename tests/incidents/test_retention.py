"""What is forgotten: by age, by size, and a bounded part of it each time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headgate.incidents import retention
from headgate.incidents.retention import Retention
from headgate.incidents.store import Store

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]
DAY = 86_400


def rows(store: Store, table: str) -> int:
    return int(store._file.read(f"SELECT count(*) FROM {table}")[0][0])


def all_rows(store: Store) -> int:
    return sum(rows(store, table) for table in ("incident", "second", "minute", "sample", "verdict", "client", "event"))


def test_incidents_are_forgotten_whole_after_their_time(tmp_path: Path, group: Group, report: Report) -> None:
    store = Store(tmp_path / "i.db", 0, retention=Retention(days=30))
    for day in range(40):
        at = day * DAY
        store.event(at, "kind", "text")
        store.take(report(at, group(clients=["00000000000000aa"], samples=[{"reference": str(day)}])), at)
        store.autopsy(store.open_incidents()[0]["id"], {}, at)
        store.flush(at)
    now = 39 * DAY + 100
    while store.tidy(now):
        pass
    assert [one["first"] // DAY for one in store.incidents()] == list(range(39, 9, -1))
    assert (rows(store, "sample"), rows(store, "verdict"), rows(store, "minute"), rows(store, "event")) == (30, 30, 30, 30)
    store.flush(80 * DAY)
    while store.tidy(80 * DAY):
        pass
    assert all_rows(store) == 0
    store.close(0)


def test_an_open_incident_is_kept_and_its_oldest_minutes_are_not(tmp_path: Path, group: Group, report: Report) -> None:
    store = Store(tmp_path / "i.db", 0, retention=Retention(days=1))
    for n in range(2 * DAY // 600):
        store.take(report(n * 600, group()), n * 600)
        store.flush(n * 600)
    now = (n + 1) * 600
    while store.tidy(now):
        pass
    (one,) = store.open_incidents()
    whole = store.incident(one["id"])
    assert whole is not None
    assert whole["failed"] == n + 1
    assert whole["minutes"][0][0] >= now - DAY
    assert whole["seconds"][0][0] >= now - 3600
    assert len(whole["minutes"]) == DAY // 600
    store.close(now)


def test_each_call_does_a_bounded_part(tmp_path: Path, group: Group, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_INCIDENTS", 10)
    store = Store(tmp_path / "i.db", 0)
    store.take(report(0, *(group(upstream=f"u{n}") for n in range(35))), 0)
    store.flush(1000)
    left = []
    while store.tidy(31 * DAY):
        left.append(rows(store, "incident"))
    assert left == [25, 15, 5]
    assert rows(store, "incident") == 0
    store.close(0)


@pytest.mark.parametrize("over", [True, False])
def test_a_file_that_is_too_large_shrinks(tmp_path: Path, group: Group, report: Report, over: bool) -> None:
    path = tmp_path / "i.db"
    size = 1_000_000
    store = Store(path, 0, retention=Retention(size=size))
    filling = {"reference": "r", "filling": "x" * 20_000}
    for n in range(300):
        store.take(report(n / 20, group(upstream=f"u{n}", samples=[filling])), n / 20)
    store.flush(1000 if over else 20)
    assert path.stat().st_size + Path(f"{path}-wal").stat().st_size > 5 * size
    calls = 0
    now = 1000 if over else 21
    while store.tidy(now):
        calls += 1
        assert calls < 50
    for _ in range(10):
        store.tidy(now)
    kept = store.incidents(limit=1000)
    assert (0 < len(kept) < 300) if over else len(kept) == 300
    assert over is False or min(one["first"] for one in kept) > 5, "the oldest go first"
    store.close(now)
    assert path.stat().st_size <= size
