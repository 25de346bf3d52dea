"""What the workers of one gateway count together, as one worker sees it: gauges by name, and the buckets of rate limits.

The parent makes the memory before it starts the workers. Which name has which gauge is decided in one place, the control process,
and comes with the configuration; a worker that is the only one decides it for itself.
"""

import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from ..config.schema import Config
from ..traffic.gaugenames import gauge_names
from ..traffic.ratelimit import Buckets
from ..traffic.shared import Gauge, Gauges, Memory, create

GAUGES: Final = 4096
"""Counts that one gateway can keep: two for each server with limits, one for each route with limits."""
BUCKETS: Final = 65_536
"""Clients that rate limits can tell apart at a time; the one whose bucket is fullest makes room for a new one."""


class Memories(NamedTuple):
    """The memory that the processes of a gateway share, and what they have in common."""

    gauges: Memory
    buckets: Memory
    workers: int
    secret: bytes  # signs sticky cookies


def memories(workers: int, secret: bytes = b"") -> Memories:
    """Return new shared memory for so many workers. secret: a new one is made when empty."""
    gauges, buckets = create(Gauges.size(GAUGES, workers)), create(Buckets.size(BUCKETS))
    return Memories(gauges, buckets, workers, secret or secrets.token_bytes(32))


class Counting:
    """Gauges, buckets, and the secret of sticky cookies."""

    def __init__(self, shared: Memories, slot: int) -> None:
        """slot: of this worker, from 0."""
        self.workers = shared.workers
        self.secret = shared.secret
        self.buckets = Buckets(shared.buckets)
        self._slot = slot
        self._gauges = Gauges(shared.gauges, shared.workers)
        self._numbers: Mapping[str, int] = {}

    @staticmethod
    def alone() -> "Counting":
        """Return the counts of a worker that is the only one."""
        return Counting(memories(1), 0)

    def assign(self, config: Config, numbers: Mapping[str, int] | None) -> None:
        """Take over which name has which gauge; None: decide it.

        Raises ValueError when there are more names than gauges, or a name without a gauge; then all is as before.
        """
        names = gauge_names(config)
        if numbers is None:
            self._numbers = self._gauges.assign(names)
            return
        for name in names:
            number = numbers.get(name)
            if not isinstance(number, int) or not 0 <= number < self._gauges.capacity:
                raise ValueError(f"no gauge is assigned to {name!r}")
        self._numbers = dict(numbers)

    def of(self, name: str) -> Gauge:
        """Return the gauge of this name. Raises KeyError for one that was not assigned."""
        return self._gauges.gauge(self._numbers[name], self._slot)
