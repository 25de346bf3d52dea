"""Owns whether there may be one more retry: a share of the recent requests, so that retries can never become the load."""

import math
from typing import Final

from .window import Window

SHARE: Final = 0.2
"""Retries per request. Finagle, Linkerd and Envoy use the same 20 %: rare failures are all hidden, and no load is multiplied."""
FLOOR: Final = 3.0
"""Retries per second that are free, so that a quiet service can retry at all. Finagle and Linkerd grant 10 per client process; a
budget here is that of one worker process among several, which together grant about the same."""
WINDOW: Final = 10
"""Seconds that count as recent (as with the same peers): long enough to smooth bursts, too short to save up a storm."""


class Budget:
    """The retries of one upstream, in one process.

    The law: when a retry is granted, the retries of the `window` seconds before, itself included, are no more than
    share * (requests of those seconds) + floor * window. So an upstream that fails every request gets 1.2 times its usual load,
    not attempts times. Retries are counted a little longer than the window and requests a little shorter: errors of the buckets
    fall on the safe side.

    To be spent for a try that repeats what a server has already seen a part of. A connection that could not be made put no
    load on a program: going to the next server needs no budget, only the bounded number of tries.
    """

    __slots__ = ("_requests", "_reserve", "_retries", "refused", "share", "spent")

    def __init__(self, share: float = SHARE, floor: float = FLOOR, window: int = WINDOW) -> None:
        """share: retries per request, 0 or more. floor: retries per second, 0 or more. window: whole seconds, 1 or more.

        Raises ValueError.
        """
        if not (0 <= share < math.inf and 0 <= floor < math.inf and window >= 1):
            raise ValueError(f"a retry budget of share {share}, floor {floor} per second, window {window} s makes no sense")
        self.share = share
        self.spent = 0  # retries granted, ever
        self.refused = 0  # retries not granted, ever
        self._reserve = floor * window
        self._requests = Window(window - 1)
        self._retries = Window(window)

    def request(self, now: float, count: int = 1) -> None:
        """Count requests of clients (not their retries)."""
        self._requests.add_many(now, count)

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False when there is none left."""
        if self.left(now) < 1:
            self.refused += 1
            return False
        self._retries.add(now)
        self.spent += 1
        return True

    def left(self, now: float) -> int:
        """Return how many retries the budget has now."""
        # A hair is added: 0.29 * 100 is 29 to people.
        allowed = int(self.share * self._requests.total(now) + self._reserve + 1e-9)
        return max(0, allowed - self._retries.total(now))
