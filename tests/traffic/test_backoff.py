"""How long to wait: spread evenly, bounded, and never sooner than a server asked."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.backoff import LONGEST_ASKED, Growing, pause

TIMES = st.floats(0, 1e6)


@given(st.integers(1, 10**6), TIMES, TIMES, st.floats(0, 1, exclude_max=True))
def test_it_lies_between_nothing_and_the_doubled_base_under_the_cap(attempt: int, base: float, cap: float, chance: float) -> None:
    seconds = pause(attempt, base, cap, lambda: chance)
    assert seconds is not None
    assert 0 <= seconds <= cap
    if attempt < 50:
        assert seconds <= base * 2 ** (attempt - 1)


@given(st.floats(0, LONGEST_ASKED), TIMES, st.floats(0, 1, exclude_max=True))
def test_a_server_that_asked_for_time_gets_it_in_full(asked: float, base: float, chance: float) -> None:
    seconds = pause(1, base, base, lambda: chance, asked)
    assert seconds is not None
    assert asked <= seconds <= asked + base


def test_a_server_that_asked_for_too_much_is_not_tried_again() -> None:
    assert pause(1, 0.1, 1.0, random.random, asked=LONGEST_ASKED + 0.1) is None
    assert pause(1, 0.1, 1.0, random.random, asked=30.0, longest=60.0) >= 30.0


def test_the_whole_range_is_used_evenly() -> None:
    rng = random.Random(4)
    found = [pause(3, 0.1, 10.0, rng.random) for _ in range(4000)]
    quarters = [sum(1 for seconds in found if low <= seconds < low + 0.1) for low in (0.0, 0.1, 0.2, 0.3)]
    assert sum(quarters) == 4000
    assert min(quarters) > 900


@pytest.mark.parametrize(("attempt", "base", "cap"), [(0, 1.0, 1.0), (1, -1.0, 1.0), (1, 1.0, -1.0)])
def test_what_makes_no_sense_is_refused(attempt: int, base: float, cap: float) -> None:
    with pytest.raises(ValueError, match="attempts count from 1"):
        pause(attempt, base, cap, random.random)


def test_a_rest_doubles_up_to_the_longest() -> None:
    rest = Growing(10.0, 300.0)
    assert [rest.next(0.0) for _ in range(8)] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_each_calm_time_as_long_as_the_rest_takes_one_doubling_back() -> None:
    rest = Growing(10.0, 300.0)
    for _ in range(3):
        rest.next(0.0)
    assert rest.next(39.9) == 80  # calm for less than the last rest of 40 s
    assert rest.next(80.0) == 80  # one taken back, one added
    assert rest.next(80.0 + 40.0 + 20.0 + 10.0) == 10


def test_however_often_it_rested_it_is_forgiven_in_bounded_time() -> None:
    rest = Growing(10.0, 300.0)
    for _ in range(1000):
        rest.next(0.0)
    assert rest.next(300.0 + 160 + 80 + 40 + 20 + 10) == 10


@given(st.floats(0.001, 100), st.floats(1, 50), st.lists(TIMES | st.just(0.0), max_size=50))
def test_a_rest_is_never_shorter_than_the_first_nor_longer_than_the_longest(
    base: float, times: float, calms: list[float]
) -> None:
    rest = Growing(base, base * times)
    for calm in calms:
        assert base <= rest.next(calm) <= base * times


@pytest.mark.parametrize(("base", "longest"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_a_rest_that_cannot_be_is_refused(base: float, longest: float) -> None:
    with pytest.raises(ValueError, match="first rest"):
        Growing(base, longest)
