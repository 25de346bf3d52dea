"""Owns what a row of looks at a site means: which state it is in, and when that changed. Pure: time comes in with each look.

A state is "up" or the code of a cause. One look that differs is no change yet: `need` of the last `window` looks must agree, so
that a site which answers every other time is called flapping, once, instead of being announced up and down all night.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

UP: Final = "up"
FLAPPING: Final = "flapping"
"""The state while up and not up take turns again and again."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a site."""

    at: float  # seconds since the epoch
    state: str  # UP, or a cause's code
    status: int = 0  # of the answer, 0: none
    seconds: float = -1.0  # until the head was complete, or until it failed
    text: str = ""  # in words: "connection refused"
    retry_after: float = -1.0  # seconds the server asked to wait


@dataclass(frozen=True, slots=True)
class Change:
    """The state is another one."""

    at: float  # when it was noticed
    old: str  # "" at the beginning
    new: str
    lasted: float  # seconds the old state lasted, -1 at the beginning
    down: float = -1.0  # new is UP: seconds for which it was not up
    text: str = ""  # of the look that decided
    status: int = 0


class State:
    """The state of one site."""

    def __init__(self, need: int = 2, window: int = 3) -> None:
        """need: so many of the last `window` looks must agree before a change is believed (1 of 1: each look counts)."""
        if not 1 <= need <= window:
            raise ValueError(f"{need} of {window}: expected at least 1, and no more than the window")
        self.need, self.now, self.since = need, "", -1.0
        self._down_since = -1.0
        self._window = window
        self._recent: deque[Sighting] = deque(maxlen=window)
        self._ups: deque[bool] = deque(maxlen=2 * window)

    @property
    def latest(self) -> str:
        """What the last look saw, whether it is believed yet or not; "" before the first."""
        return self._recent[-1].state if self._recent else ""

    def resume(self, changes: Sequence[Change]) -> None:
        """Go on from where an earlier watch ended. changes: the last ones, the newest first."""
        if not changes:
            return
        self.now, self.since = changes[0].new, changes[0].at
        for change in changes:
            if change.new == UP:
                break
            self._down_since = change.at

    def see(self, sighting: Sighting) -> Change | None:
        """Take a look; return the change that it completes. The first look decides at once: there is nothing to flap from."""
        self._recent.append(sighting)
        self._ups.append(sighting.state == UP)
        new = sighting.state if not self.now else self._agreed()
        if new in ("", self.now):
            return None
        begun = self._begun(new)
        old, lasted = self.now, begun - self.since if self.now else -1.0
        down = -1.0
        if new == UP and self._down_since >= 0:
            down, self._down_since = begun - self._down_since, -1.0
        elif new != UP and self._down_since < 0:
            self._down_since = begun
        self.now, self.since = new, begun
        return Change(sighting.at, old, new, lasted, down, sighting.text, sighting.status)

    def _agreed(self) -> str:
        """Return the state that is to be believed now; "" where the looks do not say."""
        newest = self._recent[-1].state
        if self.need > 1 and self._turns() > self._window:
            return FLAPPING
        count = sum(one.state == newest for one in self._recent)
        if self.now == FLAPPING:
            return newest if count == self._window else ""
        twice = self.need == 1 or (
            len(self._recent) > 1 and self._recent[-2].state == newest
        )  # causes that take turns are no news each time
        return newest if count >= self.need and twice else ""

    def _turns(self) -> int:
        """Return how often up and not up took turns, as far back as is remembered."""
        return sum(first != second for first, second in pairwise(self._ups))

    def _begun(self, new: str) -> float:
        """Return when the new state was first seen in the row of looks that ends now."""
        begun = self._recent[-1].at
        for one in reversed(self._recent):
            if one.state != new:
                break
            begun = one.at
        return begun
