"""Owns what patterns are looked for in: some failures, and the requests they are to be compared with."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final

from .entry import Entry
from .reading import Group, Reading
from .sample import Sample, Seen
from .strays import Span, span_of

_VARIABLE: Final = re.compile(
    r"^(?:\d+|[0-9a-f]{8}-[0-9a-f-]{20,}|(?=[^/]*\d)[0-9a-f]{8,}|(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w-]{20,})$", re.IGNORECASE
)
_SEGMENTS: Final = 5


@lru_cache(131_072)
def shape_of(path: str) -> str:
    """Return a path with what differs from request to request as `*`: /user/17/posts is /user/*/posts."""
    parts = path.partition("?")[0].split("/")
    return "/".join("*" if _VARIABLE.match(part) else part for part in parts[: _SEGMENTS + 1])


@dataclass
class Scene:
    """Failures of one cause, or of all, among all requests."""

    reading: Reading
    sample: Sample
    failures: list[Entry]  # in order of time; of many an even sample
    groups: "Counter[Group]"  # all of these failures, exact
    cause: str = ""  # "" all
    products: tuple[str, ...] = field(default_factory=tuple)

    @cached_property
    def failed(self) -> int:
        """How many failures there are."""
        return sum(self.groups.values())

    @cached_property
    def requests(self) -> int:
        """How many requests there were, 0 where no access log was read."""
        return self.reading.tally.requests

    @cached_property
    def scale(self) -> float:
        """How many failures each one that was kept stands for."""
        return self.failed / len(self.failures) if self.failures else 1.0

    @cached_property
    def by_minute(self) -> "Counter[int]":
        """These failures by minute, those without a time left out."""
        found: Counter[int] = Counter()
        for group, number in self.groups.items():
            if group.minute >= 0:
                found[group.minute] += number
        return found

    def asked_by(self, key: Callable[[Seen], str]) -> "Counter[str]":
        """Return the sampled requests by a quality."""
        return Counter(key(one) for one in self.sample.all)

    @cached_property
    def _marks(self) -> "set[tuple[float, str, str]] | set[int]":
        """What tells these failures among sampled requests: each by itself, or where not all were kept by their status."""
        if self.reading.sampled:
            return {one.status for one in self.failures}
        return {(one.time, one.client, one.path.partition("?")[0]) for one in self.failures}

    def mine(self, one: Seen) -> bool:
        """Whether a sampled request is one of these failures."""
        return one.failed and (one.status if self.reading.sampled else (one.time, one.client, one.path)) in self._marks

    @cached_property
    def span(self) -> Span:
        """When the log begins and ends, as exactly as is known: healthy requests are counted by the minute only."""
        told = span_of(self.reading)
        if told.last < 0:
            return told
        seen = [one.time for one in self.seen if told.first <= one.time < told.last + 60] if self.sample.exact else []
        times = seen + [one.time for one in self.failures if told.first <= one.time < told.last + 60]
        whole = seen or len(times) == self.requests  # the time of every request is known to the second
        first = min(times) if whole and times and min(times) < told.first + 60 else told.first
        return told._replace(first=first, last=max([*times, told.last]))

    @cached_property
    def seen(self) -> "list[Seen]":
        """All sampled requests, in order of time where they have one."""
        return sorted(self.sample.all, key=lambda one: one.time)


def whole_scene(reading: Reading, sample: Sample) -> Scene:
    """Return all failures but those where only the client went away (unless there are no others)."""
    gone = [group for group in reading.groups if _left(group)]
    if len(gone) == len(reading.groups):
        return Scene(reading, sample, reading.failures, reading.groups)
    groups = Counter({group: number for group, number in reading.groups.items() if not _left(group)})
    return Scene(reading, sample, [one for one in reading.failures if not is_gone(one)], groups)


def _left(group: Group) -> bool:
    return group.made_by == "client" or group.status in (460, 499)


def is_gone(entry: Entry) -> bool:
    """Whether the client went away: no server failed."""
    return entry.made_by == "client" or entry.status in (460, 499)
