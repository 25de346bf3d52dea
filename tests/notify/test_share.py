"""When a share of failures is too high: not before its time, not for a moment, and neither for counters nor clocks that jump."""

from typing import Any

import pytest

from headgate.config.notify import Notify
from headgate.notify.share import Share, Traffic, name_of


def share(**keys: Any) -> Share:
    rule = Notify.model_validate({"share": "1%", "for": 120.0, "window": 60.0, "requests": 20, **keys})
    return Share(rule, name_of(rule))


class Bench:
    def __init__(self, one: Share) -> None:
        self.share, self.now, self.good, self.bad = one, 1000.0, 0, 0
        self.told: list[tuple[float, str]] = []

    def run(self, seconds: int, good: int, bad: int, wall: float = 0.0) -> None:
        """Let time pass, with so many requests in each second."""
        for _ in range(seconds):
            self.now += 1.0
            self.good, self.bad = self.good + good, self.bad + bad
            what = self.share.sample(self.now, wall or self.now, self.traffic())
            if what:
                self.told.append((self.now - 1000.0, what))

    def traffic(self) -> Traffic:
        return Traffic(
            {("/", "shop", 200): self.good, ("/", "shop", 502): self.bad}, {("/", "shop", "connection-refused"): self.bad}
        )


def test_above_for_so_long_and_below_for_so_long() -> None:
    bench = Bench(share())
    bench.run(200, 100, 0)
    assert bench.told == []
    bench.run(300, 98, 2)
    assert bench.told == [(351.0, "opened")]  # the share of a minute is above 1 % after 31 seconds, and then for 120
    bench.run(300, 100, 0)
    ((at, what),) = bench.told[1:]
    assert what == "resolved"
    assert 640 <= at <= 660


def test_a_moment_is_not_enough() -> None:
    bench = Bench(share())
    for _ in range(10):
        bench.run(60, 0, 50)
        bench.run(70, 50, 0)
    assert bench.told == []


def test_a_share_at_the_limit_is_not_above_it() -> None:
    bench = Bench(share())
    bench.run(1000, 99, 1)
    assert bench.told == []


def test_few_requests_are_nothing_to_go_by() -> None:
    bench = Bench(share(requests=100))
    bench.run(600, 0, 1)
    assert bench.told == []


def test_counts_that_stood_there_before_are_no_traffic() -> None:
    bench = Bench(share())
    bench.good, bench.bad = 10, 10_000_000
    bench.run(600, 100, 0)
    assert bench.told == []


def test_counters_that_fall_and_come_back_are_no_traffic() -> None:
    bench = Bench(share())
    bench.good, bench.bad = 100_000, 100_000
    bench.run(100, 100, 0)
    good, bad = bench.good, bench.bad
    bench.good, bench.bad = 0, 0  # a process that started anew has not heard everybody yet
    bench.run(5, 0, 0)
    bench.good, bench.bad = good, bad
    bench.run(400, 100, 0)
    assert bench.told == []


def test_clocks_that_jump_change_nothing() -> None:
    bench = Bench(share())
    bench.run(100, 98, 2, wall=4e9)
    bench.run(20, 98, 2, wall=5.0)
    assert bench.told == []
    bench.run(60, 98, 2, wall=9e9)
    assert [what for _, what in bench.told] == ["opened"]


@pytest.mark.parametrize(("keys", "counted"), [
    ({}, (5, 15)), ({"statuses": ("502",)}, (2, 15)), ({"statuses": ("400-499",)}, (4, 15)), ({"upstreams": ("shop",)}, (5, 12)),
    ({"routes": ("/a*",)}, (2, 8)), ({"causes": ("tls-*",)}, (6, 15)), ({"causes": ("tls-*",), "upstreams": ("other",)}, (0, 3)),
    ({"causes": ("tls-reset",), "routes": ("/b",)}, (6, 7)),
])  # fmt: skip
def test_what_counts(keys: dict[str, Any], counted: tuple[int, int]) -> None:
    one = share(**keys)
    one.sample(1.0, 1.0, Traffic())
    requests = {
        ("/a", "shop", 200): 4, ("/a", "shop", 502): 2, ("/ab", "shop", 404): 2, ("/b", "shop", 500): 3, ("/b", "shop", 404): 1,
        ("/b", "other", 404): 1, ("/b", "other", 200): 2,
    }  # fmt: skip
    one.sample(2.0, 2.0, Traffic(requests, {("/b", "shop", "tls-reset"): 6, ("/a", "shop", "connection-refused"): 9}))
    assert one.counted() == counted


def test_long_windows_keep_few_samples() -> None:
    bench = Bench(share(window=86_400.0))
    bench.run(20_000, 1, 0)
    assert len(bench.share._past) < 700


def test_what_is_told_has_the_numbers() -> None:
    bench = Bench(share(name="too many", upstreams=("shop",)))
    bench.run(300, 95, 5)
    told = bench.share.told(77.0)
    assert told["name"] == "too many"
    assert told["share"] == pytest.approx(0.05, abs=0.001)
    assert (told["limit"], told["state"], told["resolved"], told["upstream"]) == (0.01, "open", None, "shop")


def test_a_rule_without_a_name_has_one() -> None:
    assert share(statuses=("502",), upstreams=("shop",)).name == "Status 502 of shop above 1 %"
    assert share(causes=("tls-*",)).name == "tls-* above 1 %"
