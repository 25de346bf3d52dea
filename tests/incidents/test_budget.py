"""Error budgets: what is spent, how fast it goes, and when it will be used up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.config.load import from_data
from headgate.config.schema import Config
from headgate.incidents.amounts import Body
from headgate.incidents.budget import budgets, exhausted_in
from headgate.incidents.history import History
from headgate.incidents.store import Store
from headgate.model.counted import BUCKETS

NOW = 1_790_000_000 // 3600 * 3600 + 1800.0
DAY = 86_400.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(tmp_path / "incidents", NOW)
    yield History(store)
    store.close(NOW)


def config(**slo: Any) -> Config:
    routes = [{"name": "/", "path": "/", "upstream": "app", **({"slo": slo} if slo else {})}]
    return from_data({"upstream": {"app": {"servers": ["http://10.0.0.5:80"]}}, "route": routes}, "/")


def count(history: History, at: float, requests: int, bad: int = 0, slow: int = 0, route: str = "/") -> None:
    spread = [0] * (len(BUCKETS) + 1)
    spread[BUCKETS.index(0.01)], spread[BUCKETS.index(1.0)] = requests - slow, slow
    body: Body = {"requests": requests, "bad": bad, "spread": spread}
    history.add(at, {("pair", "app", route): body, ("all", "", ""): body})
    history.flush(at, lambda: None, at_once=True)


def only(history: History, slo: Config | None) -> dict[str, Any]:
    (one,) = budgets(history, slo, NOW)
    return one


def test_a_budget_that_lasts(history: History) -> None:
    count(history, NOW - 20 * DAY, 90_000, 40)
    count(history, NOW - 10, 10_000, 1)
    one = only(history, config())
    assert (one["requests"], one["failed"], one["allowed"]) == (100_000, 41, 100.0)
    assert one["spent"] == pytest.approx(0.41)
    assert one["burn"]["1h"] == pytest.approx(0.1)
    assert one["exhausted_in"] == pytest.approx(0.59 * 30 * DAY / 0.1)
    assert one["state"] == "fine"


def test_one_that_goes_too_fast_and_one_that_is_gone(history: History) -> None:
    count(history, NOW - 2 * DAY, 1_000_000, 0)
    count(history, NOW - 60, 10_000, 200)
    one = only(history, config())
    assert one["burn"]["1h"] == pytest.approx(20)
    assert one["burn"]["3d"] < 1
    assert one["state"] == "burning"
    assert one["exhausted_in"] == pytest.approx((1 - one["spent"]) * 30 * DAY / 20, rel=1e-3)
    count(history, NOW - 30, 100_000, 5000)
    one = only(history, config())
    assert one["state"] == "exhausted"
    assert one["exhausted_in"] == 0
    assert one["spent"] > 1


def test_who_is_late_has_not_kept_the_promise_either(history: History) -> None:
    count(history, NOW - 60, 1000, 10, slow=100)
    assert only(history, config(target="95%"))["slow"] == 0
    one = only(history, config(target="95%", latency="500ms", window="7d"))
    assert one["failed"] == 10
    assert one["slow"] == 99  # of the late ones, one in a hundred failed as well
    assert one["spent"] == pytest.approx(109 / 50, rel=0.01)
    assert one["window"] == 7 * DAY


def test_too_few_requests_say_nothing_of_the_rate(history: History) -> None:
    count(history, NOW - 60, 5, 1)
    one = only(history, None)
    assert one["burn"] == {"1h": None, "6h": None, "3d": None}
    assert (one["target"], one["state"]) == (0.999, "exhausted")


def test_what_is_older_than_the_window_is_forgiven(history: History) -> None:
    count(history, NOW - 10 * DAY, 1000, 1000)
    count(history, NOW - 60, 1000)
    assert only(history, config(window="7d"))["spent"] == 0
    assert only(history, config())["spent"] > 1


def test_a_route_without_traffic_has_no_budget_and_each_route_has_its_own(history: History) -> None:
    assert budgets(history, config(target="99%"), NOW) == []
    count(history, NOW - 60, 100, 50, route="/bad")
    count(history, NOW - 60, 100)
    assert [(one["route"], one["target"]) for one in budgets(history, config(target="99%"), NOW)] == [
        ("/bad", 0.999),
        ("/", 0.99),
    ]


@pytest.mark.parametrize(
    ("spent", "burn", "seconds"),
    [(0.5, [1.0], 50.0), (1.0, [1.0], 0.0), (2.0, [], 0.0), (0.5, [None, 2.0], 25.0), (0.5, [None], None), (0.5, [0.0], None),
     (0.0, [1e-9], None)],
)  # fmt: skip
def test_when_it_is_used_up(spent: float, burn: list[float | None], seconds: float | None) -> None:
    assert exhausted_in(spent, 100.0, burn) == seconds
