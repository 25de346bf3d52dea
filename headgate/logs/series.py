"""Owns how requests and failures are put in order of time: in equal bins, fine for a short log, coarse for a long one."""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from .scene import Scene

MOST_BINS: Final = 120
_BY_SECOND: Final = 40 * 60.0
WIDTHS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
)  # fmt: skip
"""Seconds that a bin may stand for."""


class Bins(NamedTuple):
    """Bins of equal width from `begin` on."""

    begin: float  # seconds since the epoch
    width: float
    requests: list[float]
    failed: list[float]

    def at(self, number: int) -> float:
        """Return when a bin begins."""
        return self.begin + number * self.width


def width_for(span: float, least: float = 1.0, most: int = MOST_BINS) -> float:
    """Return the smallest round width by which `most` bins hold so many seconds."""
    return next((float(width) for width in WIDTHS if width >= least and span / width < most), max(1.0, ceil(span / most)))


def bins_of(scene: Scene, begin: float = -1.0, end: float = -1.0) -> Bins | None:
    """Return requests and failures between two times (-1: all the log's), None where there are no times."""
    first = max(scene.span.first, begin)
    last = min(scene.span.last, end) if end >= 0 else scene.span.last
    if first < 0 or last < first:
        return None
    if scene.sample.exact and last - first <= _BY_SECOND:
        return _by_second(scene, first, last)
    return _by_minute(scene, first, last)


def _by_second(scene: Scene, first: float, last: float) -> Bins:
    width = width_for(last - first)
    begin = first // width * width
    count = int((last - begin) // width) + 1
    requests = _binned([one.time for one in scene.seen], begin, width, count)
    failed = _binned([one.time for one in scene.failures], begin, width, count)
    return Bins(begin, width, [max(pair) for pair in zip(requests, failed, strict=True)], failed)


def _by_minute(scene: Scene, first: float, last: float) -> Bins:
    width = width_for(last - first, 60.0)
    begin = first // width * width
    count = int((last - begin) // width) + 1
    requests, failed = [0.0] * count, [0.0] * count
    for minute, number in scene.by_minute.items():
        if 0 <= (at := int((minute * 60 - begin) // width)) < count:
            failed[at] += number
    for minute, cell in scene.reading.tally.minutes.items():
        if 0 <= (at := int((minute * 60 - begin) // width)) < count:
            requests[at] += cell.requests
    if not scene.requests:
        requests = [max(1.0, *failed) * 2] * count  # only failures are known: as if requests came evenly
    return Bins(begin, width, [max(pair) for pair in zip(requests, failed, strict=True)], failed)


def _binned(times: Sequence[float], begin: float, width: float, count: int) -> list[float]:
    numbers = Counter(int((time - begin) // width) for time in times if time >= begin)
    return [float(numbers[at]) for at in range(count)]
