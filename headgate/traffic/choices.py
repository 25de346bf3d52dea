"""Which of two servers, drawn at random, is the better one at this moment.

Two draws spread load nearly as well as asking every server, cost the same for any number of them, and processes that know nothing
of each other do not all run to the same server at once (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing").
"""

from collections.abc import Collection, Sequence
from random import expovariate, random, sample
from typing import Final, Generic

from .candidate import S
from .turns import smooth

MOST_RIVALS: Final = 16
"""Servers that a retry compares: all of them in a small group, so many chosen at random in a large one."""


class Pairs(Generic[S]):
    """Servers drawn by their shares, each with another one to compare it with."""

    __slots__ = ("_count", "_next", "_round", "_servers")

    def __init__(self, servers: Sequence[S]) -> None:
        self._servers = tuple(servers)
        self._round = smooth(servers)
        self._next = _following(self._round)
        self._count = len(self._round)

    def _rivals(self, tried: Collection[S]) -> Sequence[S]:
        """Return servers to compare for a retry: those that are not in `tried`, any when every one is."""
        servers: Sequence[S] = self._servers
        if len(servers) > MOST_RIVALS + len(tried):
            servers = sample(servers, MOST_RIVALS + len(tried))
        return [server for server in servers if server not in tried] or servers


class LeastRequests(Pairs[S]):
    """The less busy of two, relative to its share. Of two servers both are compared, so the busier is never taken."""

    __slots__ = ()

    def pick(self, key: bytes = b"") -> S:
        """Return the server for the next request. key: not used."""
        count = self._count
        at = int(random() * count)
        first = self._round[at]
        second = self._round[int(random() * count)]
        if second is first:
            second = self._next[at]
        return first if first.busy * second.share <= second.busy * first.share else second

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return the least busy server that is not in `tried`; the least busy of all when every one is."""
        # Among equals by chance, in proportion to their shares: the least of exponential times whose rates are the shares.
        return min(self._rivals(tried), key=lambda server: (server.busy / server.share, expovariate(server.share)))


class PeakEwma(Pairs[S]):
    """Of two, the one which the request would burden less: its usual time to answer, times requests under way, over share.

    A server of which no time is known yet counts as quick as the one it is compared with: it gets requests to be judged by, and
    while these are under way it gets fewer, rather than all.
    """

    __slots__ = ()

    def pick(self, key: bytes = b"") -> S:
        """Return the server for the next request. key: not used."""
        count = self._count
        at = int(random() * count)
        first = self._round[at]
        second = self._round[int(random() * count)]
        if second is first:
            second = self._next[at]
        one: float = (first.busy + 1) * second.share
        other: float = (second.busy + 1) * first.share
        if first.cost and second.cost:
            one *= first.cost
            other *= second.cost
        return first if one <= other else second

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return the least burdened server that is not in `tried`; of all when every one is."""
        others = self._rivals(tried)
        quickest = min((server.cost for server in others if server.cost), default=1.0)
        return min(
            others,
            key=lambda server: ((server.cost or quickest) * (server.busy + 1) / server.share, expovariate(server.share)),
        )


def _following(turns: Sequence[S]) -> list[S]:
    """Return for each turn of a round the server of the next turn that is another's (its own, where there is only one server)."""
    following = list(turns)
    other = turns[0]
    for at in range(2 * len(turns) - 1, -1, -1):  # twice around: what follows the last turns stands at the beginning
        here = at % len(turns)
        after = turns[(here + 1) % len(turns)]
        if after is not turns[here]:
            other = after
        following[here] = other
    return following
