"""Owns how requests are counted: by minute, by status, by server, in constant memory, and so that counts can be added."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

BUCKETS: Final = (
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 100.0, 120.0, 240.0,
)  # fmt: skip
"""Upper bounds of the latency histogram, seconds; one more bucket counts what took longer."""
MOST_MINUTES: Final = 100_000
"""Minutes kept apart (69 days); later ones are counted in the totals only."""
MOST_UPSTREAMS: Final = 2_000
MOST_NAMES: Final = 20_000
OTHERS: Final = "(others)"
"""What stands for names that came after a table was full."""


class Minute:
    """What happened in one minute."""

    __slots__ = ("bytes", "classes", "failed", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0  # Entry.failed, or cut answers where the log tells of them
        self.classes = [0] * 6  # index 1 to 5: status 1xx to 5xx; 0: no status at all
        self.bytes = 0

    def add(self, other: "Minute") -> None:
        """Add another's counts."""
        self.requests += other.requests
        self.failed += other.failed
        self.bytes += other.bytes
        self.classes = [mine + more for mine, more in zip(self.classes, other.classes, strict=True)]


class Server:
    """What one upstream server was asked."""

    __slots__ = ("failed", "histogram", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.histogram = [0] * (len(BUCKETS) + 1)


class Tally:
    """Counts of all requests of a log, healthy ones included. Two are added with `merge`."""

    __slots__ = (
        "bytes",
        "clients",
        "failed",
        "first",
        "histogram",
        "last",
        "minutes",
        "paths",
        "requests",
        "statuses",
        "upstreams",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.bytes = 0  # sent to clients, as the logs count it
        self.first = -1.0  # seconds since the epoch, to the minute for requests that went well; -1: no time was read
        self.last = -1.0
        self.minutes: dict[int, Minute] = {}  # key: minutes since the epoch
        self.statuses: Counter[int] = Counter()
        self.upstreams: dict[str, Server] = {}  # by address as the log has it; the last one where several were asked
        self.histogram = [0] * (len(BUCKETS) + 1)  # durations of requests, where the log has them
        self.clients: Counter[str] = Counter()  # of failures only
        self.paths: Counter[str] = Counter()  # of failures only, without query

    def minute(self, number: int) -> Minute:
        """Return the counts of a minute; beyond MOST_MINUTES one that is not kept."""
        found = self.minutes.get(number)
        if found is None:
            found = Minute()
            if len(self.minutes) < MOST_MINUTES:
                self.minutes[number] = found
        return found

    def server(self, name: str) -> Server:
        """Return the counts of a server; beyond MOST_UPSTREAMS those of all others."""
        found = self.upstreams.get(name)
        if found is None:
            if len(self.upstreams) >= MOST_UPSTREAMS:
                name = OTHERS
            found = self.upstreams.setdefault(name, Server())
        return found

    def span(self, time: float) -> None:
        """Widen the range of time."""
        if time >= 0:
            self.first = time if self.first < 0 else min(self.first, time)
            self.last = max(self.last, time)

    def blame(self, client: str, path: str) -> None:
        """Count whom a failure hit."""
        count_bounded(self.clients, client, 1)
        count_bounded(self.paths, path.partition("?")[0], 1)

    def count(self, minute: int, status: int, number: int, failed: int, size: int) -> None:
        """Count `number` requests of one minute (-1: not known) and status, `failed` of them failed, with so many bytes."""
        self.requests += number
        self.failed += failed
        self.bytes += size
        self.statuses[status] += number
        if minute >= 0:
            cell = self.minute(minute)
            cell.requests += number
            cell.failed += failed
            cell.bytes += size
            cell.classes[status // 100 if 100 <= status < 600 else 0] += number

    def asked(self, upstream: str, number: int, failed: int) -> None:
        """Count `number` requests that a server was asked, where the log has no durations; "" is no server."""
        if upstream:
            server = self.server(upstream)
            server.requests += number
            server.failed += failed

    def took(self, seconds: float, upstream: str, failed: bool) -> None:
        """Count a request's duration (-1: not known) and its server ("": none)."""
        bucket = bisect_left(BUCKETS, seconds)
        if seconds >= 0:
            self.histogram[bucket] += 1
        if upstream:
            server = self.server(upstream)
            server.requests += 1
            server.failed += failed
            if seconds >= 0:
                server.histogram[bucket] += 1

    def merge(self, other: "Tally") -> None:
        """Add another's counts to these."""
        self.requests += other.requests
        self.failed += other.failed
        self.bytes += other.bytes
        self.span(other.first)
        self.span(other.last)
        self.statuses.update(other.statuses)
        self.histogram = _added(self.histogram, other.histogram)
        for number, cell in other.minutes.items():
            self.minute(number).add(cell)
        for name, theirs in other.upstreams.items():
            mine = self.server(name)
            mine.requests += theirs.requests
            mine.failed += theirs.failed
            mine.histogram = _added(mine.histogram, theirs.histogram)
        for name, number in other.clients.items():
            count_bounded(self.clients, name, number)
        for name, number in other.paths.items():
            count_bounded(self.paths, name, number)


def _added(one: Iterable[int], other: Iterable[int]) -> list[int]:
    return [mine + more for mine, more in zip(one, other, strict=True)]


def count_bounded(counter: "Counter[str]", name: str, number: int) -> None:
    """Count a name, those that come after MOST_NAMES together as OTHERS."""
    if not name:
        return
    if name not in counter and len(counter) >= MOST_NAMES:
        name = OTHERS
    counter[name] += number
