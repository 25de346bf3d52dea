"""Which server gets the next request: one small class a policy, one row each in POLICIES.

A policy only ever sees servers that may be used: the list is edited when a server's state changes, not searched per request.
"""

import random
from collections.abc import Sequence
from typing import Final, Protocol

from .pool import Server


class Policy(Protocol):
    """Chooses among servers."""

    def __init__(self, servers: Sequence[Server]) -> None: ...

    def pick(self) -> Server:
        """Return the server for the next request."""
        ...


class Only:
    """The only server there is."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._server = servers[0]

    def pick(self) -> Server:
        return self._server


class RoundRobin:
    """Each in turn, as often as its weight says, spread evenly (a smooth sequence computed once)."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._sequence = _smooth(servers)
        self._next = random.randrange(len(self._sequence))

    def pick(self) -> Server:
        self._next = (self._next + 1) % len(self._sequence)
        return self._sequence[self._next]


class LeastRequests:
    """The less busy, relative to its weight, of two chosen at random (by weight)."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._sequence = _smooth(servers)
        self._count = len(self._sequence)

    def pick(self) -> Server:
        first = self._sequence[int(random.random() * self._count)]
        second = self._sequence[int(random.random() * self._count)]
        return first if first.busy * second.weight <= second.busy * first.weight else second


def _smooth(servers: Sequence[Server]) -> list[Server]:
    """Return a sequence with each server as often as its weight, the repetitions spread (smooth weighted round robin)."""
    current = dict.fromkeys(servers, 0)
    total = sum(server.weight for server in servers)
    sequence = []
    for _ in range(total):
        for server in servers:
            current[server] += server.weight
        chosen = max(servers, key=lambda server: current[server])
        current[chosen] -= total
        sequence.append(chosen)
    return sequence


POLICIES: Final[dict[str, type[Policy]]] = {"least-requests": LeastRequests, "round-robin": RoundRobin}
"""Policies by their names in the configuration."""
