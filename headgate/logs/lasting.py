"""Owns which failures belong together by how long they took: the same time, so that somebody's timer ended them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from ..diagnose.moments import span
from ..diagnose.timers import timers_at
from .chance import FEWEST_POSSIBLE, binomial, confidence, corrected
from .entry import Entry
from .finding import Finding, lines_of
from .scene import Scene
from .where import percent

_SHORTEST: Final = 0.9
"""Seconds from which a duration may be a timer's; failures are mostly quicker than that."""
_WIDE: Final = 0.015
_NEIGHBOURS: Final = 6
_LEAST_SHARE: Final = 0.1
_MOST: Final = 3
_MANY: Final = 4


def at_a_timer(scene: Scene) -> list[Finding]:
    """Failures that ended after the same time, in far greater numbers than a little earlier or later."""
    entries = sorted((one for one in scene.failures if one.seconds >= _SHORTEST), key=lambda one: one.seconds)
    found: list[Finding] = []
    while len(found) < _MOST and len(entries) >= FEWEST_POSSIBLE:
        peak = _peak([one.seconds for one in entries])
        if peak is None or peak[1] - peak[0] < _LEAST_SHARE * len(scene.failures):
            break
        start, end, weight = peak
        sure = confidence(weight, end - start)
        if not sure:
            break
        found.append(_told(scene, entries[start:end], sure, weight))
        entries = entries[:start] + entries[end:]
    return found


def resolution(times: Sequence[float]) -> float:
    """Return in which steps a log measures durations: 1.0, 0.1, 0.01 or 0.001 s."""
    for step in (1.0, 0.1, 0.01):
        if sum(abs(time / step - round(time / step)) < 1e-6 for time in times) >= 0.98 * len(times):
            return step
    return 0.001


def _peak(times: Sequence[float]) -> tuple[int, int, float] | None:
    """Return the densest group among sorted times, as their places, and how unlikely it is beside its neighbourhood."""
    step = resolution(times)
    best: tuple[int, int, float] | None = None
    for start, low in enumerate(times):
        if start and low == times[start - 1]:
            continue
        wide = max(_WIDE * low, 1.01 * step, 0.04)
        end = bisect_right(times, low + wide)
        around = bisect_right(times, low + wide * (1 + _NEIGHBOURS)) - bisect_left(times, low - wide * _NEIGHBOURS)
        if (hits := end - start) < FEWEST_POSSIBLE or hits < 2 * (around - hits):
            continue
        below = min(_NEIGHBOURS, (low - 0.3) / wide)
        weight = corrected(binomial(hits, around, 1 / (1 + _NEIGHBOURS + max(1.0, below))), len(times))
        if best is None or weight > best[2]:
            best = (start, end, weight)
    return best


def _told(scene: Scene, mine: Sequence[Entry], sure: str, weight: float) -> Finding:
    middle = mine[len(mine) // 2].seconds
    shown = round(middle, 1) if middle < 20 else round(middle)
    known = timers_at(mine[0].seconds, scene.products) or timers_at(middle, scene.products)
    names = list(dict.fromkeys(one.name for one in known))
    count = round(len(mine) * scene.scale)
    least, longest = span(mine[0].seconds), span(mine[-1].seconds)
    took = least if least == longest else f"{least} to {longest}"
    words = f"{percent(len(mine), len(scene.failures))} of the failures took {took}. "
    words += f"That is {_list(names)}." if names else "No default is known that long: somebody set a timer to it."
    return Finding(
        "timer", f"Failures come after {shown:g} s: a timer ends them", words, count, min(1.0, count / scene.failed), sure,
        {"seconds": f"{shown:g}"}, lines_of(sorted(mine, key=lambda one: one.time)), scene.cause, weight,
    )  # fmt: skip


def _list(names: Sequence[str]) -> str:
    return " or ".join(names) if len(names) <= _MANY else "the limit of several products: " + "; ".join(names[:_MANY])
