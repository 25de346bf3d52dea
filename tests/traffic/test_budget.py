"""The retry budget: its law over any history, and its borders by example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.budget import Budget

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["request", "retry"]), st.integers(1, 40), st.floats(0, 3) | st.sampled_from([0.0, 1.0, 9.99, 10.0])
    ),
    max_size=60,
)


@given(st.sampled_from([0.0, 0.1, 0.2, 1.0]), st.sampled_from([0.0, 0.3, 3.0]), st.integers(1, 12), EVENTS)
def test_retries_never_exceed_their_share_and_the_floor(share: float, floor: float, window: int, events: list) -> None:
    budget = Budget(share, floor, window)
    now, requests, retries = 0.0, [], []
    for kind, times, wait in events:
        now += wait
        for _ in range(times):
            if kind == "request":
                budget.request(now)
                requests.append(now)
            elif budget.spend(now):
                retries.append(now)
                lately = [sum(1 for at in all_of if at > now - window) for all_of in (requests, retries)]
                assert lately[1] <= share * lately[0] + floor * window + 1e-6
    assert budget.spent == len(retries)


@given(EVENTS)
def test_over_any_ten_seconds_retries_are_paid_by_the_twenty_before_their_end(events: list) -> None:
    budget = Budget()
    now, requests, retries = 0.0, [], []
    for kind, times, wait in events:
        now += wait
        for _ in range(times):
            if kind == "request":
                budget.request(now)
                requests.append(now)
            elif budget.spend(now):
                retries.append(now)
    for start in retries:
        spent = sum(1 for at in retries if start <= at < start + 10)
        assert spent <= 0.2 * sum(1 for at in requests if start - 10 < at < start + 10) + 3 * 10 + 1e-6


def test_a_quiet_service_may_retry_out_of_the_floor() -> None:
    budget = Budget(share=0.2, floor=3.0, window=10)
    assert [budget.spend(100.0) for _ in range(31)] == [True] * 30 + [False]
    assert (budget.spent, budget.refused, budget.left(100.0)) == (30, 1, 0)
    assert budget.left(111.0) == 30


def test_an_upstream_that_fails_every_request_gets_a_fifth_more() -> None:
    budget = Budget(share=0.2, floor=0.0)
    granted = 0
    for number in range(10_000):  # 100 per second, each one failing
        budget.request(number / 100)
        granted += budget.spend(number / 100)
    assert 1600 <= granted <= 2000


def test_what_was_requested_long_ago_pays_for_nothing() -> None:
    budget = Budget(share=0.5, floor=0.0)
    for _ in range(10):
        budget.request(50.0)
    assert budget.left(50.0) == 5
    assert budget.left(59.9) == 5
    assert budget.left(60.0) == 0
    assert not budget.spend(60.0)


def test_a_share_is_counted_as_people_do() -> None:
    budget = Budget(share=0.29, floor=0.0)
    for _ in range(100):
        budget.request(1.0)
    assert budget.left(1.0) == 29


def test_without_share_and_floor_there_is_no_retry() -> None:
    budget = Budget(share=0.0, floor=0.0)
    budget.request(1.0)
    assert not budget.spend(1.0)


@pytest.mark.parametrize(
    ("share", "floor", "window"),
    [(-0.1, 3.0, 10), (0.2, -1.0, 10), (0.2, 3.0, 0), (float("nan"), 3.0, 10), (0.2, float("inf"), 10)],
)
def test_what_makes_no_sense_is_refused(share: float, floor: float, window: int) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        Budget(share, floor, window)
