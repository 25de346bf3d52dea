"""Owns how long to wait before something is tried again: a request (shorter by chance) or a server (longer each time)."""

from collections.abc import Callable
from typing import Final

LONGEST_ASKED: Final = 5.0
"""Most seconds of a server's Retry-After that are waited for while a client waits too."""
_DOUBLINGS: Final = 60
"""More would make a float of any use overflow, and every bound has been reached long before."""


def pause(
    attempt: int, base: float, cap: float, rng: Callable[[], float], asked: float = -1.0, longest: float = LONGEST_ASKED
) -> float | None:
    """Return the seconds to wait before retry number `attempt` (1 is the first); None when it must not be tried again.

    Full jitter: anything between 0 and base * 2**(attempt - 1), at most `cap`, evenly. Clients that failed at the same moment
    come back spread over the whole time, not in waves.

    rng: returns a number from 0 up to, without, 1, such as random.random. asked: seconds that the server's Retry-After named
    (RFC 9110 section 10.2.3), -1 when it named none. They are waited for in full, and the jitter after them; where they are more
    than `longest`, coming sooner would be disobedience and holding the client so long no help: None.
    Raises ValueError for an attempt below 1 or a negative time.
    """
    if attempt < 1 or base < 0 or cap < 0:
        raise ValueError(f"attempt {attempt}, base {base}, cap {cap}: attempts count from 1 and times are not negative")
    if asked > longest:
        return None
    return max(0.0, asked) + rng() * min(cap, base * 2.0 ** min(attempt - 1, _DOUBLINGS))


class Growing:
    """A rest that doubles each time it is needed, and halves again for every calm time as long as itself."""

    __slots__ = ("base", "level", "longest")

    def __init__(self, base: float, longest: float) -> None:
        """base, longest: seconds of the first rest and of the longest one; raises ValueError unless 0 < base <= longest."""
        if not 0 < base <= longest:
            raise ValueError(f"a first rest of {base} s must be above 0 and not above the longest one, {longest} s")
        self.base = base
        self.longest = longest
        self.level = 0  # rests taken lately and not forgiven yet

    def next(self, calm: float) -> float:
        """Return the seconds of the rest that begins now, after `calm` seconds without trouble since the last one."""
        while self.level and calm >= self._length():
            calm -= self._length()
            self.level -= 1
        if self.level == 0 or self._length() < self.longest:
            self.level += 1
        return self._length()

    def _length(self) -> float:
        return min(self.longest, self.base * 2.0 ** min(self.level - 1, _DOUBLINGS))
