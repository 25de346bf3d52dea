"""Owns how lines of access and error logs are found to tell of the same request.

By reference where both logs have one, else by client, request and time. A request takes over from the error log what that
knows better: cause, server, the product's words. Clocks that differ by whole half hours (zones) are found and put right.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .entry import Entry

_FAMILY: Final = {"ingress-nginx": "nginx", "openresty": "nginx", "angie": "nginx", "tengine": "nginx", "istio": "envoy"}
_AT_START: Final = ("apache", "traefik")
"""Products whose access log has the time when a request began; all others that when it ended."""
_TOGETHER: Final = 0.5
"""Seconds within which lines of one process and thread tell of one request."""
_SLACK: Final = 2.0
_PATIENCE: Final = 62.0  # how long a request may have taken, where the log does not say
_STEP: Final = 1800.0
_JUDGED: Final = 3000
_FEWEST: Final = 3
_STRENGTH: Final = {"proved": 3, "likely": 2, "possible": 1, "": 0}


@dataclass(slots=True)
class Joined:
    """What joining found."""

    joined: int = 0  # failures that a line of an error log explains
    alone: list[Entry] = field(default_factory=list)  # lines of error logs that belong to none
    offsets: dict[str, float] = field(default_factory=dict)  # error log → seconds added to its times


def family(product: str) -> str:
    """Return the product whose error log a product writes."""
    return _FAMILY.get(product, product)


class _Index:
    """The lines of error logs, by what they share with a request."""

    def __init__(self, errors: Iterable[Entry]) -> None:
        self.keyed: dict[tuple[str, ...], list[Entry]] = {}
        for error in errors:
            for key in _keys(error):
                self.keyed.setdefault(key, []).append(error)
        self.times: dict[tuple[str, ...], list[float]] = {}
        for key, entries in self.keyed.items():
            entries.sort(key=lambda entry: entry.time)
            self.times[key] = [entry.time for entry in entries]
        self.used: set[int] = set()

    def near(self, key: tuple[str, ...], low: float, high: float) -> list[Entry]:
        """Return the lines of this key within a time, those not yet used."""
        times = self.times.get(key)
        if not times:
            return []
        found = self.keyed[key][bisect_left(times, low) : bisect_right(times, high)]
        return [entry for entry in found if id(entry) not in self.used]


def _keys(entry: Entry) -> list[tuple[str, ...]]:
    """Return what an entry can be found by, the surest first."""
    whose = family(entry.product)
    found: list[tuple[str, ...]] = []
    if entry.key and not entry.key.startswith("*"):
        found.append((whose, "key", entry.key))
    if entry.client and entry.path:
        path = entry.path.partition("?")[0] if whose == "apache" else entry.path  # Apache's error log has no queries
        found.append((whose, "request", entry.client, path))
    elif entry.client and entry.error_log and whose == "apache":
        found.append((whose, "client", entry.client, str(entry.status)))
    elif entry.status and not entry.client and entry.error_log:
        found.append((whose, "server", entry.upstream, str(entry.status)))
    if not entry.error_log:
        found += [(whose, "client", entry.client, str(entry.status)), (whose, "server", entry.upstream, str(entry.status))]
        found.append((whose, "server", "", str(entry.status)))  # Traefik does not always name it
    return found


def join(failures: Sequence[Entry], errors: Sequence[Entry]) -> Joined:
    """Join the lines; failures are changed in place. Both in any order."""
    result = Joined()
    by_file: dict[str, list[Entry]] = {}
    for error in errors:
        by_file.setdefault(error.file, []).append(error)
    for name, entries in by_file.items():
        if offset := _offset(failures, entries):
            result.offsets[name] = offset
            for entry in entries:
                entry.time += offset if entry.time >= 0 else 0
    _complete(errors)
    index = _Index(errors)
    for failure in sorted(failures, key=lambda entry: entry.time):
        found = _of(failure, index)
        if found:
            index.used.update(id(entry) for entry in found)
            _take_over(failure, found)
            result.joined += 1
    result.alone = [error for error in errors if id(error) not in index.used]
    return result


def _of(failure: Entry, index: _Index) -> list[Entry]:
    """Return the lines that tell of a failure, in order: several where several servers were tried."""
    low, high = _window(failure)
    for key in _keys(failure):
        near = index.near(key, low, high)
        if not near:
            continue
        if key[1] == "key":
            return near
        wanted = failure.time + (max(failure.seconds, 0.0) if failure.product in _AT_START else 0.0)
        nearest = min(near, key=lambda entry: abs(entry.time - wanted))
        same = [
            entry
            for entry in near
            if entry is nearest or (entry.key and entry.key == nearest.key and _same_request(entry, nearest))
        ]
        if key[1] != "request" and {entry.causes[:1] for entry in near if entry not in same} - {nearest.causes[:1]}:
            _doubt(same)
        return same[-failure.tries :] if failure.tries else same
    return []


def _same_request(entry: Entry, nearest: Entry) -> bool:
    """Whether two lines of one connection, or of one thread, are near enough to be of one request."""
    if family(entry.product) == "apache":
        return abs(entry.time - nearest.time) <= _TOGETHER
    return entry.time <= nearest.time + 1


def _doubt(lines: Iterable[Entry]) -> None:
    """Other lines of this client would fit as well: nothing is proved."""
    for line in lines:
        line.confidence = "likely" if line.confidence == "proved" else line.confidence


def _complete(errors: Iterable[Entry]) -> None:
    """Let Apache's lines of one request share what only some of them say: client, path, server, status."""
    threads: dict[tuple[str, str], list[Entry]] = {}
    for error in errors:
        if family(error.product) == "apache" and error.key.startswith("*"):
            threads.setdefault((error.file, error.key), []).append(error)
    for lines in threads.values():
        lines.sort(key=lambda entry: entry.time)
        start = 0
        for number in range(1, len(lines) + 1):
            if number == len(lines) or lines[number].time - lines[number - 1].time > _TOGETHER:
                _share(lines[start:number])
                start = number


def _share(lines: Sequence[Entry]) -> None:
    for name in ("client", "path", "status"):
        known = next((getattr(line, name) for line in lines if getattr(line, name)), None)
        for line in lines:
            if known and not getattr(line, name):
                setattr(line, name, known)
    servers = [line.upstream for line in lines if line.upstream]
    best = next((name for name in servers if ":" in name), servers[0] if servers else "")
    for line in lines:
        if best.startswith(line.upstream):  # with its port, where another line has that
            line.upstream = best


def _window(failure: Entry) -> tuple[float, float]:
    """Return when its lines in the error log may have been written."""
    took = failure.seconds if failure.seconds >= 0 else _PATIENCE
    if failure.product in _AT_START:
        return failure.time - _TOGETHER, failure.time + took + _SLACK
    before = failure.seconds if failure.seconds >= 0 else 0.0
    return failure.time - before - _SLACK, failure.time + _SLACK


def _take_over(failure: Entry, lines: Sequence[Entry]) -> None:
    """The error log knows better: the line that is surest of a cause counts, of several the last."""
    telling = sorted([line for line in lines if line.causes], key=lambda line: (_STRENGTH[line.confidence], -len(line.causes)))
    if not telling:
        failure.reason = lines[-1].reason or failure.reason
        return
    last = telling[-1]
    if _STRENGTH[last.confidence] >= _STRENGTH[failure.confidence]:
        failure.causes, failure.confidence, failure.reason = last.causes, last.confidence, last.reason
        failure.made_by = last.made_by or failure.made_by
    failure.upstream = failure.upstream or last.upstream
    failure.cluster = failure.cluster or last.cluster
    failure.host = failure.host or last.host
    failure.key = failure.key or last.key
    if family(failure.product) != "apache":  # where each line is one try
        failure.tries = max(failure.tries, len(telling))


def _offset(failures: Sequence[Entry], errors: Sequence[Entry]) -> float:
    """Return by how many seconds an error log's times must be corrected: whole half hours, 0.0 where they agree."""
    asked: dict[tuple[str, ...], list[Entry]] = {}
    for failure in failures:
        if failure.client and failure.path and failure.time >= 0:
            asked.setdefault((family(failure.product), failure.client, failure.path), []).append(failure)
    steps: Counter[int] = Counter()
    for error in errors[:_JUDGED]:
        if error.time < 0:
            continue
        several = asked.get((family(error.product), error.client, error.path), ())
        steps.update({step for one in several[:50] if (step := _steps(one, error)) is not None})
    if not steps:
        return 0.0
    step, number = max(steps.items(), key=lambda pair: (pair[1], -abs(pair[0])))
    if step == 0 or number < _FEWEST or number <= 2 * steps[0]:
        return 0.0
    return step * _STEP


def _steps(failure: Entry, error: Entry) -> int | None:
    """Return how many half hours lie between two times, None where no whole number does."""
    apart = failure.time - error.time
    step = round(apart / _STEP)
    slack = _SLACK + max(failure.seconds, 0.0) + (_PATIENCE if failure.product in _AT_START and failure.seconds < 0 else 0)
    return step if abs(apart - step * _STEP) <= slack and abs(step) <= 28 else None
