"""Which server gets the next request: one small class a policy, one row each in POLICIES.

A policy only ever sees servers that may be used: it is made anew when one of them comes, goes or changes its share, and searches
nothing per request. Making it takes a millisecond or less, a keyed one 10 ms for a hundred servers and at most some 40 ms.
"""

from collections.abc import Collection, Sequence
from random import randrange
from typing import Any, Final, Generic, Protocol

from .candidate import S
from .choices import LeastRequests, PeakEwma
from .hashing import Maglev, RingHash
from .turns import smooth


class Policy(Protocol[S]):
    """Chooses among servers."""

    def __init__(self, servers: Sequence[S]) -> None: ...

    def pick(self, key: bytes = b"") -> S:
        """Return the server for the next request. key: what a consistent hash goes by, b"" when the request has none."""
        ...

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return a server for the next try, one not in `tried` as long as there is one."""
        ...


class Only(Generic[S]):
    """The only server there is."""

    __slots__ = ("_server",)

    def __init__(self, servers: Sequence[S]) -> None:
        self._server = servers[0]

    def pick(self, key: bytes = b"") -> S:
        """Return the server."""
        return self._server

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return the server: there is no other."""
        return self._server


class RoundRobin(Generic[S]):
    """Each in turn, as often as its share says, spread evenly (a round computed once)."""

    __slots__ = ("_next", "_round")

    def __init__(self, servers: Sequence[S]) -> None:
        self._round = smooth(servers)
        self._next = randrange(len(self._round))  # or the workers would all begin with the same server

    def pick(self, key: bytes = b"") -> S:
        """Return the server whose turn it is. key: not used."""
        at = self._next
        self._next = at + 1 if at + 1 < len(self._round) else 0
        return self._round[at]

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return the next server in turn that is not in `tried`; just the next when every one is."""
        for _ in self._round:
            if (server := self.pick()) not in tried:
                return server
        return self.pick()


POLICIES: Final[dict[str, type[Policy[Any]]]] = {
    "least-requests": LeastRequests,
    "round-robin": RoundRobin,
    "peak-ewma": PeakEwma,
    "ring-hash": RingHash,
    "maglev": Maglev,
}
"""Policies by their names in the configuration."""
KEYED: Final = frozenset({"ring-hash", "maglev"})
"""Those that go by a key; without one they choose as least-requests does."""
