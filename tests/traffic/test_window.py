"""Counts of the last seconds, against a list that remembers every event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.window import LONGEST, Window

STEPS = st.lists(st.tuples(st.floats(0, 4) | st.sampled_from([0.0, 1.0, 3.0, 50.0]), st.integers(0, 3)), max_size=60)


@given(st.integers(0, 5), st.floats(0, 1e6), STEPS, st.integers(0, 8))
def test_total_is_what_a_list_would_count(seconds: int, start: float, steps: list[tuple[float, int]], back: int) -> None:
    window = Window(seconds)
    now, events = start, []
    for wait, count in steps:
        now += wait
        for _ in range(count):
            window.add(now)
            events.append(int(now))
        assert window.total(now) == sum(1 for event in events if event >= int(now) - seconds)
        asked = max(0.0, now - back)
        assert window.since(asked, now) == sum(1 for event in events if event >= max(int(asked), int(now) - seconds))


@given(STEPS)
def test_it_looks_back_at_least_its_seconds_and_less_than_one_more(steps: list[tuple[float, int]]) -> None:
    window = Window(3)
    now, events = 0.0, []
    for wait, count in steps:
        now += wait
        for _ in range(count):
            window.add(now)
            events.append(now)
        least = sum(1 for event in events if now - event <= 3)
        most = sum(1 for event in events if now - event < 4)
        assert least <= window.total(now) <= most


def test_ever_counts_what_was_forgotten() -> None:
    window = Window(2)
    for now in (0.5, 1.5, 1.6, 100.0):
        window.add(now)
    assert (window.total(100.0), window.ever) == (1, 3)
    window.clear()
    assert (window.total(100.0), window.ever) == (0, 4)
    window.add(100.1)
    assert window.total(101.0) == 1


def test_a_clock_that_is_a_little_late_counts_into_the_present_second() -> None:
    window = Window(1)
    window.add(5.0)
    window.add(4.99)
    assert window.total(6.5) == 2
    assert window.total(7.0) == 0


@pytest.mark.parametrize("seconds", [-1, LONGEST + 1])
def test_a_window_is_bounded(seconds: int) -> None:
    with pytest.raises(ValueError, match=str(seconds)):
        Window(seconds)
