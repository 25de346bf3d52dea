"""How a server's usual time to answer follows what is measured: up at once, down slowly.

A peak-sensitive, exponentially weighted average: one slow answer is believed at once, so that a server which stalls is left alone
within a request or two; that it is quick again has to be shown for a while. The averages of servers that are not asked fade, or a
server with one slow answer would never be asked again. (The idea is that of Finagle's Peak EWMA balancer.)
"""

from math import exp
from typing import Final

DECAY: Final = 10.0
"""Seconds after which what was known before counts for a third (1/e): long enough to bridge the pause between two slow answers of
a server with few requests, short enough that a recovered one has its full part again in about half a minute."""
LEAST: Final = 1e-6
"""A known time is never below this many seconds: 0 stands for "not known"."""


def observe(cost: float, sample: float, elapsed: float, decay: float = DECAY) -> float:
    """Return the new average after an answer.

    cost: the average so far, seconds, 0.0 when none is known. sample: seconds this answer took. elapsed: seconds since the
    average was last changed, by observe() or fade(). decay: seconds, above 0.
    """
    if sample < LEAST:
        sample = LEAST
    if sample >= cost:
        return sample
    return sample + (cost - sample) * exp(-elapsed / decay)


def fade(cost: float, elapsed: float, decay: float = DECAY) -> float:
    """Return the average of a server that had nothing to do for `elapsed` seconds since its average was last changed.

    To be called now and then for servers with no request under way and no answer since: not for one that keeps requests waiting.
    An average once known stays known.
    """
    return max(LEAST, cost * exp(-elapsed / decay)) if cost else 0.0
