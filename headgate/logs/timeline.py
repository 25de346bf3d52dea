"""Owns how failures are drawn: over time by cause, by server and time, by how long they took."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from ..diagnose.redact import clean
from ..diagnose.timers import timers_at
from .keep import group_of
from .reading import Group
from .report import Bar, Heat, OverTime
from .scene import Scene
from .series import Bins, bins_of, width_for
from .tally import OTHERS

_CAUSES: Final = 6
_SERVERS: Final = 12
_COLUMNS: Final = 60
EDGES: Final = (
    0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.94, 3.3, 3.44, 3.9, 4.94, 5.4, 9.94, 10.5, 14.94, 15.6, 20.0, 28.94, 29.7, 29.94,
    31.0, 45.0, 59.94, 61.6, 74.9, 77.0, 99.9, 102.4, 119.9, 128.0, 229.0, 246.0, 299.0, 307.0,
)  # fmt: skip
"""Where bars begin, seconds: those that a known timer falls into are narrow."""


def over_time(scene: Scene) -> OverTime:
    """Return requests and failures in at most 120 bins, the commonest causes apart; without a cause, the statuses."""
    bins = bins_of(scene)
    if bins is None:
        return OverTime()
    numbers = _by_cause(scene, bins)
    total = Counter({code: sum(several) for code, several in numbers.items()})
    chosen = [code for code, _ in total.most_common(_CAUSES)]
    rows = [(code, tuple(numbers[code])) for code in chosen]
    rest = [sum(numbers[code][at] for code in numbers if code not in chosen) for at in range(len(bins.failed))]
    if any(rest):
        rows.append((OTHERS, tuple(rest)))
    requests = tuple(map(round, bins.requests)) if scene.requests else ()
    return OverTime(bins.begin, bins.width, requests, tuple(map(round, bins.failed)), tuple(rows))


def _by_cause(scene: Scene, bins: Bins) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for code, time, number in _timed(scene, bins.width):
        at = int((time - bins.begin) // bins.width)
        if 0 <= at < len(bins.failed):
            found.setdefault(code, [0] * len(bins.failed))[at] += number
    return found


def _timed(scene: Scene, width: float) -> list[tuple[str, float, int]]:
    """Return cause, time and number of failures: exact by minute, or single ones where bins are finer."""
    if width < 60:
        return [(_named(group_of(entry)), entry.time, 1) for entry in scene.failures if entry.time >= 0]
    return [(_named(group), group.minute * 60.0, number) for group, number in scene.groups.items() if group.minute >= 0]


def _named(group: Group) -> str:
    """Return by what a failure is counted: its cause, else its status, "" where the log has neither."""
    return group.cause or (str(group.status) if group.status else "")


def heat(scene: Scene) -> Heat:
    """Return failures by server and time, in at most 60 columns."""
    bins = bins_of(scene)
    if bins is None:
        return Heat()
    by_name: Counter[str] = Counter()
    for group, number in scene.groups.items():
        by_name[group.upstream] += number
    names = [name for name, _ in by_name.most_common(_SERVERS) if name]
    width = width_for(bins.width * len(bins.failed), bins.width, _COLUMNS)
    begin = bins.begin // width * width
    count = int((bins.at(len(bins.failed)) - begin - 1e-6) // width) + 1
    cells = {name: [0] * count for name in names}
    for name, time, number in _located(scene, bins.width):
        if name in cells and 0 <= (at := int((time - begin) // width)) < count:
            cells[name][at] += number
    return Heat(begin, width, tuple((clean(name, 80), tuple(row)) for name, row in cells.items()))


def _located(scene: Scene, width: float) -> list[tuple[str, float, int]]:
    if width < 60:
        return [(entry.upstream, entry.time, 1) for entry in scene.failures if entry.time >= 0]
    return [(group.upstream, group.minute * 60.0, number) for group, number in scene.groups.items() if group.minute >= 0]


def latency(scene: Scene) -> tuple[Bar, ...]:
    """Return how long failures took; of many an even sample."""
    times = [entry.seconds for entry in scene.failures if entry.seconds >= 0]
    if not times:
        return ()
    counts = Counter(bisect_right(EDGES, time) - 1 for time in times)
    last = max(counts)
    bars = []
    for at, (low, high) in enumerate(pairwise((*EDGES, -1.0))):
        if at > last:
            break
        bars.append(Bar(low, high, round(counts[at] * scene.scale), _timers(low, high, scene.products) if counts[at] else ()))
    return tuple(bars)


def _timers(low: float, high: float, products: Sequence[str]) -> tuple[str, ...]:
    """Return whose timers end within a bar; only narrow bars were made for timers."""
    if low < 2 or high < 0 or high > 1.13 * low:
        return ()
    known = timers_at(low + 0.06, products) or timers_at((low + high) / 2, products)
    return tuple(dict.fromkeys(one.name for one in known))
