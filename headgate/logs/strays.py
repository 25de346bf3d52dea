"""Owns which lines have a time far from all others: a clock that was wrong must not squeeze a day into one bin of fifty years."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from .reading import Reading

_WEEK: Final = 7 * 24 * 60
_TIMES_THE_REST: Final = 3
_FEWEST: Final = 10
_SHARE: Final = 50
"""One line of so many may be astray, or a single one."""


class Span(NamedTuple):
    """From when to when a log goes, without lines that are astray."""

    first: float  # seconds since the epoch, -1 not known
    last: float
    strays: int  # requests and failures left out
    strayed: tuple[float, float]  # the earliest and latest of all times


def span_of(reading: Reading) -> Span:
    """Return when logs begin and end: as they say, but for a few lines more than a week and thrice the rest's span away."""
    counts: Counter[int] = Counter()
    for minute, number in reading.groups.items():
        counts[minute.minute] += number
    for at, cell in reading.tally.minutes.items():
        counts[at] = max(cell.requests, counts[at])
    del counts[-1]
    times = [
        time + reading.offsets.get(file.path, 0.0)
        for file in reading.files
        for time in (file.tally.first, file.tally.last)
        if time >= 0
    ]
    whole, minutes = (min(times, default=-1.0), max(times, default=-1.0)), sorted(counts)
    low, high = _core(minutes, [counts[one] for one in minutes])
    strays = sum(counts[one] for one in (*minutes[:low], *minutes[high + 1 :]))
    first = minutes[low] * 60.0 if low else whole[0]
    last = minutes[high] * 60.0 if high + 1 < len(minutes) else whole[1]
    return Span(first, last, strays, whole)


def _core(minutes: Sequence[int], counts: Sequence[int]) -> tuple[int, int]:
    """Return the places of the first and the last minute that belong to the rest."""
    total, end = sum(counts), len(minutes) - 1
    allowed = max(1, total // _SHARE) if total >= _FEWEST else 0
    low, high = _reached(counts, allowed), end - _reached(counts[::-1], allowed)
    if low >= high:
        return 0, end
    wide = max(_WEEK, _TIMES_THE_REST * (minutes[high] - minutes[low]))
    while low > 0 and minutes[low] - minutes[low - 1] <= wide:
        low -= 1
    while high < end and minutes[high + 1] - minutes[high] <= wide:
        high += 1
    return low, high


def _reached(counts: Sequence[int], allowed: int) -> int:
    """Return where so many lines are passed."""
    return next((at for at, number in enumerate(accumulate(counts)) if number > allowed), 0)
