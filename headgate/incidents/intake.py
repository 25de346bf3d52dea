"""Owns what is believed of a worker's report: the failures in it, with every text and number bounded, whatever was sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST: Final = 200
"""Characters kept of a name (upstream, server, route, person)."""
_MOST: Final = 2**53
"""Beyond it a number would no longer be exact in JSON."""
_LATE: Final = 10.0
"""Seconds that a report may lie in the past, before its own time is no longer believed."""


@dataclass(slots=True)
class Failure:
    """Failures that are alike, of one report."""

    upstream: str
    server: str  # "" where none was asked
    cause: str
    phase: str
    count: int  # failed attempts, or refused requests
    seen: int  # exchanges that users saw fail because of it
    rescued: int  # exchanges that another try, or the cache, saved
    routes: Mapping[Any, Any]
    clients: list[Any]
    samples: list[Any]
    figures: Mapping[Any, Any]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Upstream, server, cause and phase: what is the same for failures that are the same."""
        return self.upstream, self.server, self.cause, self.phase


def clean(text: object, most: int = LONGEST) -> str:
    """Return a text that a database and JSON can hold: bounded, and without halves of characters."""
    if not isinstance(text, str):
        text = "" if text is None else str(text)[:most]
    if len(text) > most:
        text = text[:most]
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()[:most]


def number(value: object) -> int:
    """Return a count: a whole number that is not negative; 0 for anything else."""
    if isinstance(value, int):  # the usual case first: this runs for every group of every report
        return value if 0 <= value <= _MOST else 0
    return 0


def failures(report: object) -> Iterator[Failure]:
    """Yield the failures of a report ({"groups": [...]}). What is not a group, or counts nothing, is left out."""
    groups = report.get("groups") if isinstance(report, dict) else None
    for group in groups if isinstance(groups, list) else ():
        if not isinstance(group, dict):
            continue
        get = group.get
        count = number(get("count"))
        if not count:
            continue
        routes, clients, samples = get("routes"), get("clients"), get("samples")
        yield Failure(
            clean(get("upstream")),
            clean(get("server")),
            clean(get("cause")),
            clean(get("phase")),
            count,
            number(get("seen")),
            number(get("rescued")),
            routes if isinstance(routes, dict) else {},
            clients if isinstance(clients, list) else [],
            samples if isinstance(samples, list) else [],
            figures if isinstance(figures := get("figures"), dict) else {},
        )


def told_at(report: object, now: float) -> float:
    """Return when the failures of a report happened: as it says, if that is at most ten seconds ago; else now."""
    at = report.get("at") if isinstance(report, dict) else None
    if isinstance(at, (int, float)) and now - _LATE <= at <= now:
        return float(at)
    return now


def dropped(report: object) -> int:
    """Return how many failures a worker could not group, and only counted."""
    return number(report.get("dropped")) if isinstance(report, dict) else 0
