"""When time runs out: every connection has at most one deadline, kept in slots of a wheel that one coarse tick turns.

Setting a deadline is a comparison and, mostly, nothing else: an entry that fires early looks at the deadline again and moves on.
A timer per request would cost more than the rest of its bookkeeping.
"""

from collections.abc import Callable
from typing import Final, Protocol

TICK: Final = 0.05
"""Seconds between turns: the precision of every timeout."""
NONE: Final = float("inf")
"""No deadline."""
_NO_SLOT: Final = 1 << 60


class Timed(Protocol):
    """Something with a deadline. `slot` belongs to the wheel, and starts as `Deadlines.FREE`."""

    deadline: float
    slot: int

    def expired(self, now: float) -> None:
        """The deadline has passed."""


class Deadlines:
    """A wheel of deadlines."""

    FREE: Final = _NO_SLOT

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: dict[int, set[Timed]] = {}
        self._next = int(clock() / TICK)

    def arm(self, item: Timed, when: float) -> None:
        """Let `item` expire at `when` (seconds, monotonic) instead of at whatever was set before; NONE switches it off."""
        item.deadline = when
        if when is not NONE:
            slot = int(when / TICK) + 1
            if slot < item.slot:
                self._move(item, slot)

    def _move(self, item: Timed, slot: int) -> None:
        self.forget(item)
        slot = max(slot, self._next)
        item.slot = slot
        self._slots.setdefault(slot, set()).add(item)

    def forget(self, item: Timed) -> None:
        """Let go of an item that has ended."""
        if (items := self._slots.get(item.slot)) is not None:
            items.discard(item)
        item.slot = _NO_SLOT

    def turn(self) -> None:
        """Call `expired` on every item whose deadline has passed. Called once each TICK."""
        now = self._clock()
        due = int(now / TICK)
        while self._next <= due:
            items = self._slots.pop(self._next, None)
            self._next += 1
            if items:
                self._fire(items, now)

    def _fire(self, items: set[Timed], now: float) -> None:
        try:
            while items:
                item = items.pop()
                if item.slot != _NO_SLOT:  # else a neighbour's end was its end too
                    item.slot = _NO_SLOT
                    self._look(item, now)
        finally:
            for item in items:  # an error in one must not cost the others their deadlines
                if item.slot != _NO_SLOT:
                    item.slot = _NO_SLOT
                    self._move(item, self._next)

    def _look(self, item: Timed, now: float) -> None:
        if item.deadline <= now:
            item.deadline = NONE
            item.expired(now)
        elif item.deadline is not NONE:
            self._move(item, int(item.deadline / TICK) + 1)
