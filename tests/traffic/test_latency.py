"""The average of a server's times: its laws."""

import math

from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.latency import DECAY, LEAST, fade, observe

TIMES = st.floats(LEAST, 1e4)
ELAPSED = st.floats(0, 1e6)
ROUNDED = 1 + 1e-12
"""What numbers with a floating point may add."""


@given(TIMES, ELAPSED)
def test_the_first_answer_is_believed(sample, elapsed):
    assert observe(0.0, sample, elapsed) == sample


@given(TIMES, TIMES, ELAPSED)
def test_a_peak_is_believed_at_once_and_less_is_believed_slowly(cost, sample, elapsed):
    new = observe(cost, sample, elapsed)
    if sample >= cost:
        assert new == sample
    else:
        assert sample <= new <= cost * ROUNDED


@given(TIMES, TIMES, ELAPSED, ELAPSED)
def test_the_longer_ago_the_less_it_counts(cost, sample, earlier, later):
    earlier, later = sorted((earlier, later))
    assert observe(cost, sample, later) <= observe(cost, sample, earlier)


def test_after_the_decay_time_a_third_is_left():
    assert math.isclose(observe(1.1, 0.1, DECAY), 0.1 + 1 / math.e)
    assert math.isclose(observe(1.1, 0.1, 2.0, decay=2.0), 0.1 + 1 / math.e)


def test_a_stalled_server_is_known_by_one_answer_and_forgiven_in_half_a_minute():
    cost = 0.010
    for _ in range(100):
        cost = observe(cost, 0.010, 0.1)
    cost = observe(cost, 5.0, 0.1)
    assert cost == 5.0
    for _ in range(300):
        cost = observe(cost, 0.010, 0.1)
    assert 0.010 < cost < 0.3


@given(st.lists(st.tuples(TIMES, ELAPSED), min_size=1, max_size=30))
def test_what_is_known_stays_known_and_within_what_was_seen(samples):
    cost = 0.0
    for sample, elapsed in samples:
        cost = observe(cost, sample, elapsed)
    assert min(sample for sample, _ in samples) <= cost <= max(sample for sample, _ in samples) * ROUNDED
    assert 0 < fade(cost, 1e9) <= cost


def test_an_answer_in_no_time_is_known_all_the_same():
    assert observe(0.0, 0.0, 0.0) == LEAST
    assert observe(0.0, -0.001, 0.0) == LEAST


@given(TIMES, st.floats(0, 100), st.floats(0, 100))
def test_fading_in_two_steps_is_fading_in_one(cost, first, second):
    assert math.isclose(fade(fade(cost, first), second), fade(cost, first + second), rel_tol=1e-9)


@given(ELAPSED)
def test_what_is_not_known_does_not_fade(elapsed):
    assert fade(0.0, elapsed) == 0.0
