"""Owns when the next look is due: steady while it is up, sooner right after a change, later the longer it stays down."""

import random
from typing import Final

FASTEST: Final = 0.2
"""Least seconds between two looks, whatever is asked for: a watch must not be an attack."""
_SOON: Final = 4
"""After a change the next looks come at a quarter of the interval, until the state is settled."""
_GROWTH: Final = 1.5
_MOST: Final = 8
"""A site that stays down is looked at ever more rarely, down to this many intervals."""
_JITTER: Final = 0.1
_LONGEST_WAIT: Final = 3600.0
"""Most seconds that a server's Retry-After can put off the next look."""


class Schedule:
    """The waiting times for one site."""

    def __init__(self, interval: float, steady: bool = False) -> None:
        """interval: seconds between looks. steady: no backing off (for somebody who waits in front of the screen)."""
        self.interval = max(interval, FASTEST)
        self._steady = steady
        self._down = 0

    def next(self, up: bool, changed: bool, retry_after: float = -1.0) -> float:
        """Return the seconds until the next look.

        up, changed: what the last one showed; changed also stands for a difference that is not believed yet.
        retry_after: what the server asked for; it is honoured as a minimum, up to an hour.
        """
        self._down = 0 if up or changed else self._down + 1
        wait = self.interval
        if changed:
            wait = self.interval / _SOON
        elif not up and not self._steady:
            wait = self.interval * min(_MOST, _GROWTH ** max(0, self._down - 3))
        wait *= 1 + random.uniform(-_JITTER, _JITTER)
        return max(FASTEST, wait, min(retry_after, _LONGEST_WAIT))
