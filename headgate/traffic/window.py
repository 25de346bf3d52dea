"""Owns how events are counted over the last seconds: a ring of one-second buckets, and not one allocation per event."""

from typing import Final

LONGEST: Final = 3600
"""Most seconds a window may look back."""


class Window:
    """Events of the present second and of the `seconds` whole seconds before it.

    It looks back at least `seconds` and less than `seconds + 1` from now. Times are monotonic seconds, not negative; one that
    lies before the present second counts into it (clocks cached by an event loop may be a little late).
    """

    __slots__ = ("_edge", "_now", "_past", "_second", "_sum", "ever")

    def __init__(self, seconds: int) -> None:
        """seconds: whole ones, 0 to LONGEST; raises ValueError."""
        if not 0 <= seconds <= LONGEST:
            raise ValueError(f"a window looks back 0 to {LONGEST} seconds, not {seconds}")
        self.ever = 0  # events of all completed seconds, also those forgotten since
        self._past = [0] * seconds
        self._sum = 0  # of _past
        self._now = 0  # events of the present second
        self._second = 0
        self._edge = 0.0  # when the present second is over

    def add(self, now: float) -> None:
        """Count one event. Called per request."""
        if now >= self._edge:
            self._turn(now)
        self._now += 1

    def add_many(self, now: float, count: int) -> None:
        """Count several events at once, as if they all happened now."""
        if now >= self._edge:
            self._turn(now)
        self._now += count

    def total(self, now: float) -> int:
        """Return the number of events in the window."""
        if now >= self._edge:
            self._turn(now)
        return self._sum + self._now

    def since(self, start: float, now: float) -> int:
        """Return the number of events from the second `start` lies in until now, as far as the window goes back."""
        if now >= self._edge:
            self._turn(now)
        size = len(self._past)
        first = max(int(start), self._second - size)
        return self._now + sum(self._past[second % size] for second in range(first, self._second))

    def clear(self) -> None:
        """Forget the events in the window."""
        self.ever += self._now
        self._past[:] = [0] * len(self._past)
        self._sum = self._now = 0

    def _turn(self, now: float) -> None:
        """Make the second of `now` the present one; what was counted becomes the past."""
        second = int(now)
        past, size = self._past, len(self._past)
        count, self._now = self._now, 0
        self.ever += count
        for gone in range(self._second, min(second, self._second + size)):
            self._sum += count - past[gone % size]
            past[gone % size] = count
            count = 0
        if second - self._second > size:  # nothing in the ring is that young
            past[:] = [0] * size
            self._sum = 0
        self._second = second
        self._edge = second + 1.0
