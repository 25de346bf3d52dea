"""Which server a key belongs to: the same in every process, and changed for few keys when servers change.

Two ways with one contract. RingHash: when a server goes only its own keys move, and they go where a retry would have gone; shares
are met roughly (a tenth off is usual). Maglev: shares are met almost exactly, the lookup is quicker, and a few other keys move.
"""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Sequence
from hashlib import blake2b
from math import ceil, log
from struct import unpack
from typing import Final, Generic
from zlib import crc32

from .candidate import S
from .choices import LeastRequests
from .turns import smooth

POINTS: Final = 160
"""Points on the ring for each unit of share, as long as the shares add up to 409 or less: the part of a server with one unit
strays by about 8 %."""
MOST_POINTS: Final = 65_536
"""Points on the ring in all (or one for each server), to keep building it at some 30 ms."""
STEP: Final = 1.1
"""When there must be fewer points for each unit, it is a step of this size fewer: most changes then leave the points as they are,
and one that does not moves a tenth of the keys."""
SLOTS: Final = 16_381
"""Entries of Maglev's table, a prime: 160 for each of 100 servers: shares are met within 1 %, built in 10 ms (65,537 would
take 40 ms, each time that a server's state changes). Always the same: another size would move nearly every key."""
FAR: Final = 512
"""Entries that are searched for a server which was not tried yet, before one is taken without a search."""


def place_of(key: bytes) -> int:
    """Return where a key lies, 0 to 2³² - 1.

    CRC-32, multiplied so that keys which differ in one digit lie far apart: a fifth of BLAKE2b's time. A cryptographic hash would
    guard nothing: whoever chooses keys can find by trying which ones share a server.
    """
    return crc32(key) * 0x9E3779B1 & 0xFFFFFFFF


class Keyed(Generic[S]):
    """A circle of entries, each owned by a server; a key belongs to the owner of the entry it meets."""

    __slots__ = ("_any", "_count", "_owners", "_servers")
    _owners: list[S]
    _count: int

    def __init__(self, servers: Sequence[S]) -> None:
        # By their labels: the order in which servers are listed must not matter.
        self._servers = sorted(servers, key=lambda server: server.label)
        self._any = LeastRequests(servers)

    @abstractmethod
    def _entry(self, key: bytes) -> int:
        """Return the number of the entry which a key meets."""

    def pick(self, key: bytes = b"") -> S:
        """Return the key's server; for an empty key the less busy of two."""
        return self._owners[self._entry(key)] if key else self._any.pick()

    def pick_other(self, key: bytes, tried: Collection[S]) -> S:
        """Return the next server on the circle that is not in `tried`; the key's own when every one is."""
        if not key:
            return self._any.pick_other(key, tried)
        entry = self._entry(key)
        for at in range(entry, entry + FAR):
            if (server := self._owners[at % self._count]) not in tried:
                return server
        others = [server for server in self._servers if server not in tried]
        return others[entry % len(others)] if others else self._owners[entry]


class RingHash(Keyed[S]):
    """Consistent hashing on a ring: each server owns many points, a key belongs to the first point at or after its place."""

    __slots__ = ("_points",)

    def __init__(self, servers: Sequence[S]) -> None:
        super().__init__(servers)
        count = len(servers)
        each = _points_per_unit([server.share for server in servers])
        # A point and its owner in one number: sorted as fast as numbers are, and equal points always in the order of labels.
        points = sorted(
            point * count + owner
            for owner, server in enumerate(self._servers)
            for point in _points(server.label, max(1, int(server.share * each)))
        )
        self._points = [number // count for number in points]
        self._owners = [self._servers[number % count] for number in points]
        self._count = len(points)

    def _entry(self, key: bytes) -> int:
        entry = bisect_left(self._points, place_of(key))
        return entry if entry < self._count else 0


class Maglev(Keyed[S]):
    """Consistent hashing with a table: servers take turns to claim the next free entry of a sequence of their own.

    Source: Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load Balancer", section 3.4.
    """

    __slots__ = ()

    def __init__(self, servers: Sequence[S]) -> None:
        super().__init__(servers)
        self._owners = _claimed(self._servers)
        self._count = SLOTS

    def _entry(self, key: bytes) -> int:
        return place_of(key) % SLOTS


def _points_per_unit(shares: Sequence[int]) -> float:
    """Return how many points a unit of share is worth.

    It should not change when one server comes or goes or starts slowly, since that moves everybody's keys. So it does not hang on
    a common divisor or on the largest share; and where it must change, for the sum, it does so by about as much as the sum.
    """
    fit = min(POINTS, MOST_POINTS / sum(shares))
    return POINTS * STEP ** -ceil(log(POINTS / fit, STEP))


def _points(label: str, count: int) -> list[int]:
    """Return the first `count` points of a server, 32 bits each; sixteen come out of one hash of "label#number"."""
    name = label.encode("utf-8", "surrogateescape")
    points: list[int] = []
    for block in range((count + 15) // 16):
        points += unpack(">16I", blake2b(b"%b#%d" % (name, block)).digest())
    return points[:count]


def _claimed(servers: Sequence[S]) -> list[S]:
    """Return Maglev's table. servers: in the order of their labels."""
    table: list[S | None] = [None] * SLOTS
    sequences = [
        unpack(">QQ", blake2b(server.label.encode("utf-8", "surrogateescape"), digest_size=16).digest()) for server in servers
    ]
    at = {server: offset % SLOTS for server, (offset, _) in zip(servers, sequences, strict=True)}
    skips = {server: skip % (SLOTS - 1) + 1 for server, (_, skip) in zip(servers, sequences, strict=True)}
    turns = smooth(servers, SLOTS // 2)
    for turn in range(SLOTS):
        server = turns[turn % len(turns)]
        entry, skip = at[server], skips[server]
        while table[entry] is not None:
            entry = (entry + skip) % SLOTS
        table[entry] = server
        at[server] = entry
    return table  # type: ignore[return-value]  # every entry is claimed by now
