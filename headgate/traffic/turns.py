"""In which order servers take turns, so that each has its share and its turns lie far apart."""

from collections.abc import Sequence
from math import gcd
from typing import Final

from .candidate import S

MOST_TURNS: Final = 2048
"""Turns in one round, about: shares are rounded so that they fit, each server having one turn at least."""


def reduced(shares: Sequence[int], most: int = MOST_TURNS) -> list[int]:
    """Return the shares in the smallest numbers that say the same, or nearly the same where these add up to over `most`."""
    divisor = gcd(*shares)
    total = sum(shares) // divisor
    if total <= most:
        return [share // divisor for share in shares]
    return [max(1, round(share / divisor * most / total)) for share in shares]


def smooth(servers: Sequence[S], most: int = MOST_TURNS) -> list[S]:
    """Return one round of `most` turns or fewer: each server as often as its share (once at least), its turns evenly spaced.

    A server with share s has its turns at every (1/s)th of the round. Each begins a little later than the one before it, so that
    servers with equal shares alternate and the light ones do not all come in the middle.
    """
    shares = reduced([server.share for server in servers], most)
    count = len(servers)
    turns = sorted(((turn + (place + 0.5) / count) / share, place) for place, share in enumerate(shares) for turn in range(share))
    return [servers[place] for _, place in turns]
