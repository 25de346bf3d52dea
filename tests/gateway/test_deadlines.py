"""The wheel of deadlines, turned by hand."""

import pytest

from headgate.gateway.deadlines import NONE, TICK, Deadlines


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Item:
    def __init__(self) -> None:
        self.deadline = NONE
        self.slot = Deadlines.FREE
        self.ended: list[float] = []

    def expired(self, now: float) -> None:
        self.ended.append(now)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def wheel(clock):
    return Deadlines(clock)


def turn(wheel, clock, seconds):
    """Let time pass, turning the wheel each tick as the worker does."""
    for _ in range(round(seconds / TICK)):
        clock.now += TICK
        wheel.turn()


def test_expires_once_and_not_before_its_time(wheel, clock):
    item = Item()
    wheel.arm(item, clock.now + 1)
    turn(wheel, clock, 0.95)
    assert item.ended == []
    turn(wheel, clock, 0.2)
    assert len(item.ended) == 1
    assert item.ended[0] >= 1_001
    turn(wheel, clock, 5)
    assert len(item.ended) == 1


def test_a_later_deadline_replaces_an_earlier_one(wheel, clock):
    item = Item()
    wheel.arm(item, clock.now + 1)
    wheel.arm(item, clock.now + 3)
    turn(wheel, clock, 2.9)
    assert item.ended == []
    turn(wheel, clock, 0.3)
    assert len(item.ended) == 1


def test_an_earlier_deadline_replaces_a_later_one(wheel, clock):
    item = Item()
    wheel.arm(item, clock.now + 3)
    wheel.arm(item, clock.now + 1)
    turn(wheel, clock, 1.2)
    assert len(item.ended) == 1
    turn(wheel, clock, 3)
    assert len(item.ended) == 1


def test_none_switches_it_off_and_it_can_be_set_again(wheel, clock):
    item = Item()
    wheel.arm(item, clock.now + 1)
    wheel.arm(item, NONE)
    turn(wheel, clock, 2)
    assert item.ended == []
    wheel.arm(item, clock.now + 1)
    turn(wheel, clock, 1.2)
    assert len(item.ended) == 1


def test_what_is_forgotten_never_expires(wheel, clock):
    item = Item()
    wheel.arm(item, clock.now + 1)
    wheel.forget(item)
    wheel.forget(item)
    turn(wheel, clock, 2)
    assert item.ended == []


def test_a_deadline_in_the_past_expires_at_the_next_turn(wheel, clock):
    turn(wheel, clock, 1)
    item = Item()
    wheel.arm(item, clock.now - 5)
    turn(wheel, clock, 2 * TICK)
    assert len(item.ended) == 1


def test_a_loop_that_was_held_up_catches_up(wheel, clock):
    items = [Item() for _ in range(10)]
    for number, item in enumerate(items):
        wheel.arm(item, clock.now + number)
    clock.now += 100
    wheel.turn()
    assert all(len(item.ended) == 1 for item in items)


def test_an_item_may_arm_itself_again_while_it_expires(wheel, clock):
    class Again(Item):
        def expired(self, now: float) -> None:
            super().expired(now)
            wheel.arm(self, now + 1)

    item = Again()
    wheel.arm(item, clock.now + 1)
    turn(wheel, clock, 3.5)
    assert len(item.ended) == 3


def test_one_that_expires_may_call_off_its_neighbour(wheel, clock):
    """An exchange that ends lets go of both its connections: neither may expire afterwards, in whatever order they stand."""
    one, other = Item(), Item()
    one.expired = lambda now: (Item.expired(one, now), wheel.forget(other))
    other.expired = lambda now: (Item.expired(other, now), wheel.forget(one))
    wheel.arm(one, clock.now + 1)
    wheel.arm(other, clock.now + 1)
    turn(wheel, clock, 2)
    assert len(one.ended) + len(other.ended) == 1


def test_an_error_in_one_does_not_keep_the_others_waiting_for_ever(wheel, clock):
    items = [Item() for _ in range(5)]

    class Broken(Item):
        def expired(self, now: float) -> None:
            raise ValueError("a mistake of ours")

    broken = Broken()
    for item in (*items, broken):
        wheel.arm(item, clock.now + 1)
    for _ in range(60):
        clock.now += TICK
        try:
            wheel.turn()
        except ValueError:
            pass
    assert all(len(item.ended) == 1 for item in items)


def test_nothing_is_kept_of_ten_thousand_items_that_ended(wheel, clock):
    for number in range(10_000):
        item = Item()
        wheel.arm(item, clock.now + number % 50)
        wheel.forget(item)
    turn(wheel, clock, 51)
    assert not any(wheel._slots.values())
