"""How counts with labels are summed up over all workers that ever were: one table for each kind, bounded in rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..model.counted import BUCKETS, MOST, OTHER, SPANS

_ROWS: Final = 2 * MOST
"""Rows of a table; of the rest the names are not told apart."""
_CELLS: Final = len(BUCKETS) + 1
_SUMS: Final = ("uncounted", "dropped", "unsent")
"""Single numbers: requests without a rate limit, words lost to the control process, and from it."""
_SAMPLED: Final = (("spans", len(SPANS) + 1), ("paces", 2))
"""Tables of what a part of the exchanges was timed for, and their numbers: how many, and seconds."""
Labels = tuple[str | int, ...]


class Tables:
    """Sums over workers, by labels."""

    def __init__(self) -> None:
        self.requests: Counter[Labels] = Counter()  # exchanges by route, upstream, status and outcome
        self.failed: Counter[Labels] = Counter()  # failed attempts by upstream, phase, cause and verdict
        self.ends: Counter[Labels] = Counter()  # exchanges that failed or were saved, by route, upstream, cause and how
        self.durations: dict[tuple[str, str], list[float]] = {}  # by route and upstream: exchanges in each bucket, and seconds
        self.spans: dict[tuple[str, str], list[float]] = {}  # by route and upstream: exchanges that were timed, seconds by SPANS
        self.paces: dict[tuple[str, str], list[float]] = {}  # by upstream and server: the same, seconds until the response head
        self.sums: Counter[str] = Counter()

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add what a worker counted: a tally that was checked."""
        for *labels, count in counts.get("requests", ()):
            self.requests[_place(self.requests, tuple(labels), 2)] += count
        for *labels, count in counts.get("failed", ()):
            self.failed[_place(self.failed, tuple(labels), 1)] += count
        for *labels, count in counts.get("ends", ()):
            self.ends[_place(self.ends, tuple(labels), 2)] += count
        for route, upstream, cells, seconds in counts.get("durations", ()):
            _sum(self.durations, (route, upstream), (*cells, seconds))
        for name, _ in _SAMPLED:
            for first, second, *numbers in counts.get(name, ()):
                _sum(getattr(self, name), (first, second), numbers)
        self.sums.update({key: counts.get(key, 0) for key in _SUMS})

    def plus(self, living: Iterable[Mapping[str, Any]]) -> "Tables":
        """Return these sums and what workers count that live."""
        found = Tables()
        found.requests, found.failed, found.sums = Counter(self.requests), Counter(self.failed), Counter(self.sums)
        found.ends, found.durations = Counter(self.ends), dict(self.durations)
        found.spans, found.paces = dict(self.spans), dict(self.paces)
        for counts in living:
            found.add(counts)
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return the sums as a tally has them."""
        return {
            "requests": [[*key, count] for key, count in self.requests.items()],
            "failed": [[*key, count] for key, count in self.failed.items()],
            "ends": [[*key, count] for key, count in self.ends.items()],
            **{name: [[*key, *numbers] for key, numbers in getattr(self, name).items()] for name, _ in _SAMPLED},
            "durations": [[*key, row[:-1], row[-1]] for key, row in self.durations.items()],
            **self.sums,
        }


def restored(told: Mapping[str, Any]) -> Tables:
    """Return tables as a snapshot says. Raises TypeError or ValueError for what is none."""
    check(told)
    found = Tables()
    found.add(told)
    return found


def _place(table: Mapping[Any, Any], labels: Labels, names: int) -> Labels:
    """Return the labels to count under: where a table is full, those with other names. names: how many of the first are names."""
    return labels if labels in table or len(table) < _ROWS else (OTHER,) * names + labels[names:]


def _sum(table: dict[tuple[str, str], list[float]], labels: tuple[str, str], numbers: Sequence[float]) -> None:
    """Add numbers to those of a row."""
    key: Any = _place(table, labels, 2)
    known = table.get(key)
    table[key] = [was + more for was, more in zip(known, numbers, strict=True)] if known else list(numbers)


def check(counts: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError unless a tally has tables, where it has any."""
    for kind, shape in (("requests", (str, str, int, str)), ("failed", (str, str, str, str)), ("ends", (str, str, str, str))):
        for *labels, count in counts.get(kind, ()):
            _check_row(labels, shape)
            _check_row([count], (int,))
    for route, upstream, cells, seconds in counts.get("durations", ()):
        _check_row([route, upstream, *cells], (str, str, *((int,) * _CELLS)))
        if type(seconds) not in (int, float):
            raise TypeError(f"seconds are a number, not {seconds!r:.40}")
    for name, width in _SAMPLED:
        for first, second, *numbers in counts.get(name, ()):
            _check_row([first, second], (str, str))
            if len(numbers) != width or any(type(number) not in (int, float) for number in numbers):
                raise TypeError(f"a row of {name} is not {numbers!r:.80}")
    _check_row([counts.get(key, 0) for key in _SUMS], (int,) * len(_SUMS))


def _check_row(values: list[Any], shape: tuple[type, ...]) -> None:
    if len(values) != len(shape) or any(type(value) is not kind for value, kind in zip(values, shape, strict=True)):
        raise TypeError(f"a row of {', '.join(kind.__name__ for kind in shape)} is not {values!r:.80}")
