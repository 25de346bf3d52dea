"""Numbers of failures that advice is built on: kept within bounds, every one with the same chance, whatever is sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headgate.incidents.store import Store

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]


def figures(store: Store) -> dict[str, Any]:
    (one,) = store.incidents()
    whole = store.incident(one["id"])
    assert whole is not None
    found: dict[str, Any] = whole["figures"]
    return found


def test_they_survive_a_restart(tmp_path: Path, group: Group, report: Report) -> None:
    store = Store(tmp_path / "incidents", 0)
    for n in range(5):
        store.take(report(n, group("closed-on-reuse", figures={"idle": [5.0 + n, 6.0]})), n)
    expected = {"closed-on-reuse": {"idle": [10, [5.0, 6.0, 6.0, 6.0, 7.0, 6.0, 8.0, 6.0, 9.0, 6.0]]}}
    assert figures(store) == expected
    store.close(10)
    store = Store(tmp_path / "incidents", 10)
    assert figures(store) == expected
    store.take(report(11, group("closed-on-reuse", figures={"idle": [7.5]})), 11)
    assert figures(store)["closed-on-reuse"]["idle"][0] == 11
    store.close(12)


def test_many_are_drawn_fairly(tmp_path: Path, group: Group, report: Report) -> None:
    store = Store(tmp_path / "incidents", 0)
    for n in range(2000):
        store.take(report(1, group("closed-on-reuse", figures={"idle": [n]})), 1)
    count, some = figures(store)["closed-on-reuse"]["idle"]
    assert (count, len(some)) == (2000, 64)
    assert sum(value < 1000 for value in some) in range(12, 53)  # 32 are expected; others than these in one run of a million
    store.close(2)


def test_whatever_is_sent(tmp_path: Path, group: Group, report: Report) -> None:
    store = Store(tmp_path / "incidents", 0)
    hostile: list[Any] = [
        None, 7, [], {"idle": 5}, {"idle": ["x", None, {}, float("inf"), float("nan"), 3]}, {5: [1]}, {"\udc80" * 500: [1]},
        {f"name-{n}": [1] * 5000 for n in range(500)},
    ]  # fmt: skip
    for n in range(20):
        for one in hostile:
            store.take(report(1, group("closed-on-reuse" if not n else f"cause-{n}", figures=one)), 1)
    for one in store.incidents():
        whole = store.incident(one["id"])
        assert whole is not None
        assert len(whole["figures"]) <= 8
        for kinds in whole["figures"].values():
            assert len(kinds) <= 16
            assert all(len(name) <= 60 and len(some) <= 64 for name, (_, some) in kinds.items())
    assert store.flush(2, at_once=True)
    store.close(2)
