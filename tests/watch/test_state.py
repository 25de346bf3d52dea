"""A change is believed when enough looks agree, told once with its durations; a site that turns again and again is flapping."""

import pytest

from headgate.watch.state import FLAPPING, UP, Change, Sighting, State


def play(states: str, need: int = 2, window: int = 3) -> list[Change]:
    """Feed one look every 10 seconds; U is up, other letters are causes."""
    state = State(need, window)
    seen = [state.see(Sighting(10.0 * at, UP if letter == "U" else letter)) for at, letter in enumerate(states)]
    return [change for change in seen if change]


def told(states: str, need: int = 2, window: int = 3) -> list[tuple[str, str]]:
    return [(change.old, change.new) for change in play(states, need, window)]


@pytest.mark.parametrize(("states", "expected"), [
    ("U", [("", UP)]),
    ("UUUU", [("", UP)]),
    ("UrUUUU", [("", UP)]),  # one glitch is no change
    ("UUrr", [("", UP), (UP, "r")]),
    ("UUrrUU", [("", UP), (UP, "r"), ("r", UP)]),
    ("rrsss", [("", "r"), ("r", "s")]),  # another cause is a change too
    ("rsrsrr", [("", "r")]),  # causes that take turns are no change, and no flapping: it is down all the time
    ("UrUrUrUr", [("", UP), (UP, FLAPPING)]),
    ("UrUrUrUUUUUUU", [("", UP), (UP, FLAPPING), (FLAPPING, UP)]),
])  # fmt: skip
def test_changes(states: str, expected: list[tuple[str, str]]) -> None:
    assert told(states) == expected


def test_one_of_one_believes_each_look() -> None:
    assert told("UrU", 1, 1) == [("", UP), (UP, "r"), ("r", UP)]


def test_times_are_those_of_the_first_look_that_agreed() -> None:
    down, up = play("UUrrrUU")[1:]
    assert (down.old, down.lasted) == (UP, 20.0)  # up from 0, down since 20
    assert (up.lasted, up.down) == (30.0, 30.0)
    assert up.at == 60.0


def test_down_lasts_across_causes() -> None:
    changes = play("UUrrssUU")
    assert [one.new for one in changes] == [UP, "r", "s", UP]
    assert changes[-1].down == 40.0
    assert changes[-1].lasted == 20.0


def test_down_from_the_beginning_counts() -> None:
    assert play("rrUU")[-1].down == 20.0


@pytest.mark.parametrize(("need", "window"), [(0, 3), (4, 3), (-1, 1)])
def test_nonsense_is_refused(need: int, window: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        State(need, window)


def test_an_earlier_watch_is_gone_on_from() -> None:
    state = State(2, 3)
    state.resume(
        [
            Change(at=200.0, old="connection-refused", new="503", lasted=100.0),
            Change(at=100.0, old="up", new="connection-refused", lasted=50.0),
            Change(at=50.0, old="", new="up", lasted=-1.0),
        ]
    )
    assert (state.now, state.latest) == ("503", "")
    assert state.see(Sighting(300.0, "up")) is None
    change = state.see(Sighting(310.0, "up"))
    assert change is not None
    assert (change.old, change.new, change.lasted, change.down) == ("503", "up", 100.0, 200.0)


def test_without_an_earlier_watch_nothing_is_resumed() -> None:
    state = State()
    state.resume([])
    assert (state.now, state.latest) == ("", "")
