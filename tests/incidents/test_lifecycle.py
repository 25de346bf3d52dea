"""When an incident is over, and when it is the same again."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.incidents.incident import Incident
from headgate.incidents.lifecycle import CHANGED, OPEN, RESOLVED, TABLE, WORSE, Level, reopens_until, sure_after

pauses = st.floats(0, 1e6)


@given(pauses, st.integers(0, 1000))
def test_sure_is_between_half_a_minute_and_a_quarter_of_an_hour(gap: float, reopened: int) -> None:
    assert 30 <= sure_after(gap, reopened) <= 900


@given(st.floats(0, 300), st.integers(0, 20))
def test_no_pause_that_was_seen_is_taken_for_the_end(gap: float, reopened: int) -> None:
    assert sure_after(gap, reopened) >= 3 * gap


@given(st.floats(1, 890))
def test_what_comes_back_regularly_is_open_in_the_end(period: float) -> None:
    reopened = 0
    while sure_after(0, reopened) <= period:
        reopened += 1
        assert reopened <= 5


@given(st.floats(0, 1e9), st.floats(0, 1e7), st.floats(0, 900))
def test_reopens_for_an_hour_at_least_and_a_day_at_most(first: float, length: float, quiet: float) -> None:
    resolved = first + length + quiet
    until = reopens_until(first, first + length, resolved)
    assert 3600 <= round(until - resolved, 3) <= 86_400
    if 1200 < length < 28_000:
        assert abs(until - resolved - 3 * length) < 1


def test_the_table_knows_every_state_with_every_event() -> None:
    assert {state for state, _ in TABLE} == {"", OPEN, RESOLVED}
    for state in (OPEN, RESOLVED):
        assert {event for its, event in TABLE if its == state} == {"failure", "quiet", "resolve"}
    assert {after for after, _ in TABLE.values()} == {OPEN, RESOLVED}


def test_users_see_it_now_is_said_at_once() -> None:
    level = Level()
    level.told(0, 1, "connection-refused", 100)
    assert level.change(1, 1, "connection-refused", 100.1) == WORSE


def test_more_of_it_is_said_by_the_power_of_ten_and_once_a_minute() -> None:
    level = Level()
    level.told(10, 1, "connection-refused", 100)
    assert level.change(99, 1, "connection-refused", 200) == ""
    assert level.change(100, 1, "connection-refused", 159) == ""
    assert level.change(100, 1, "connection-refused", 160) == WORSE
    assert level.change(999, 1, "connection-refused", 300) == ""
    assert level.change(1000, 1, "connection-refused", 300) == WORSE


def test_twice_as_many_servers_are_worse_and_another_cause_is_a_change() -> None:
    level = Level()
    level.told(1, 2, "connection-refused", 0)
    assert level.change(1, 3, "connection-refused", 100) == ""
    assert level.change(1, 4, "connection-refused", 100) == WORSE
    assert level.change(1, 4, "response-timeout", 200) == CHANGED
    assert level.change(1, 4, "response-timeout", 300) == ""


def test_a_clock_set_back_does_not_keep_it_open() -> None:
    one = Incident("A", "shop", 1_000_000, 1_000_000)
    assert not one.is_quiet(1000)
    assert one.is_quiet(1031)


def test_reopening_ends_the_acknowledgement_and_is_remembered() -> None:
    one = Incident("A", "shop", 0, 10)
    one.enter("quiet", 50)
    one.acknowledged = {"by": "x"}
    assert one.enter("failure", 60) == "reopened"
    assert (one.state, one.reopened, one.acknowledged, one.resolved) == (OPEN, [60], None, 0)
