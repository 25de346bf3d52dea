"""The waiting room: its laws whatever comes in which order, and what it is for, a server that is too slow for a while."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headgate.traffic.queue import WaitingRoom

SIZE, PATIENCE, STRESS = 5, 2.0, 0.5


def test_the_oldest_is_next_while_the_wait_is_short():
    room: WaitingRoom[str] = WaitingRoom(3, 10.0)
    assert [room.enter(item, now) for now, item in enumerate("abcd")] == [True, True, True, False]
    assert not room.stressed(2.5)
    assert [room.next(2.5) for _ in range(4)] == ["a", "b", "c", None]


def test_the_newest_is_next_when_the_oldest_waited_long():
    room: WaitingRoom[str] = WaitingRoom(9, 10.0)
    for now, item in enumerate("abc"):
        room.enter(item, now)
    assert room.stressed(2.6)
    assert [room.next(2.6) for _ in range(2)] == ["c", "b"]
    room.leave("a")
    room.enter("d", 2.6)
    room.enter("e", 2.7)
    assert room.next(3) == "d", "the queue was empty: all is well again"


def test_who_waited_too_long_is_not_served_but_told():
    room: WaitingRoom[str] = WaitingRoom(2, 1.0)
    room.enter("a", 0)
    room.enter("b", 0.5)
    assert room.next(1.0) == "b"
    assert len(room) == 1
    assert room.overdue(1.0) == ["a"]
    assert room.overdue(9.0) == []
    assert len(room) == 0


def test_who_left_is_gone():
    room: WaitingRoom[str] = WaitingRoom(3, 1.0)
    for item in "abc":
        room.enter(item, 0)
    assert room.leave("b")
    assert not room.leave("b")
    assert room.next(0.1) == "a"
    assert room.next(1.0) is None
    assert room.leave("c"), "late, not yet told, and now nobody is left to tell"
    assert room.overdue(2.0) == []


def test_nobody_waits_twice():
    room: WaitingRoom[str] = WaitingRoom(3, 1.0)
    room.enter("a", 0)
    with pytest.raises(ValueError, match="'a' waits already"):
        room.enter("a", 0)


def test_nobody_waits_where_there_is_no_room():
    room: WaitingRoom[str] = WaitingRoom(0, 1.0)
    assert not room.enter("a", 0)
    assert room.next(0) is None


@pytest.mark.parametrize("load", [0.8, 1.5, 3.0])
def test_overload_serves_as_many_as_the_server_can_and_most_of_them_at_once(load):
    """A server of 100 requests a second gets more: it is never idle, and half of those served waited next to nothing."""
    room: WaitingRoom[int] = WaitingRoom(200, 1.0)
    came: dict[int, float] = {}
    waits, refused, late = [], 0, 0
    for step in range(1_000):  # of 10 ms, one request served in each
        now = step / 100
        for number in range(int(step * load), int((step + 1) * load)):
            came[number] = now
            refused += not room.enter(number, now)
        late += len(room.overdue(now))
        item = room.next(now)
        if item is not None:
            waits.append(now - came[item])
    assert len(waits) + refused + late + len(room) == len(came)
    assert len(waits) >= min(load, 1.0) * 1_000 - 1
    assert max(waits) < 1.0
    assert sorted(waits)[len(waits) // 2] <= 0.02


class Rooms(RuleBasedStateMachine):
    """Any sequence of calls, beside a plain model: a list of (item, entered)."""

    def __init__(self) -> None:
        super().__init__()
        self.room: WaitingRoom[int] = WaitingRoom(SIZE, PATIENCE, STRESS)
        self.inside: deque[tuple[int, float]] = deque()
        self.out: list[int] = []
        self.now = 0.0
        self.count = 0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def enter(self) -> None:
        self.count += 1
        let_in = self.room.enter(self.count, self.now)
        assert let_in == (len(self.inside) < SIZE)
        if let_in:
            self.inside.append((self.count, self.now))

    @rule()
    def next(self) -> None:
        item = self.room.next(self.now)
        fit = [entry for entry in self.inside if self.now - entry[1] < PATIENCE]
        if not fit:
            assert item is None
            return
        entry = fit[-1] if self.now - fit[0][1] > STRESS else fit[0]
        assert item == entry[0]
        self.inside.remove(entry)
        self.out.append(entry[0])

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data) -> None:
        entry = data.draw(st.sampled_from(list(self.inside)))
        assert self.room.leave(entry[0])
        assert not self.room.leave(entry[0])
        self.inside.remove(entry)
        self.out.append(entry[0])

    @rule()
    def overdue(self) -> None:
        late = [entry for entry in self.inside if self.now - entry[1] >= PATIENCE]
        assert self.room.overdue(self.now) == [item for item, _ in late]
        for entry in late:
            self.inside.remove(entry)
            self.out.append(entry[0])

    @invariant()
    def nobody_is_lost_or_told_twice(self) -> None:
        assert len(self.room) == len(self.inside) <= SIZE
        assert len(self.out) == len(set(self.out))


TestLaws = Rooms.TestCase
TestLaws.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
