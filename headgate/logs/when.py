"""Owns which failures belong together by time: within a time only, since a moment, until one, after a silence of the log."""

from bisect import bisect_left
from itertools import accumulate
from typing import Final, NamedTuple

from ..diagnose.moments import moment, several_days, span
from ..diagnose.redact import clean
from .chance import FEWEST_POSSIBLE, confidence, corrected, two_rates
from .entry import Entry
from .finding import Finding, lines_of
from .scene import Scene
from .scrub import scrub
from .series import Bins, bins_of
from .where import percent

_RATIO: Final = 3.0
_LEAST_SHARE: Final = 0.1
_MOST: Final = 3
_TELLING: Final = 7.0
"""Failures that must be missing before or after, for it to be said that they began or ended: by chance e^-7."""
_SILENCE: Final = 20.0
"""Requests that must be missing: by chance e^-20."""
_SHORTEST_SILENCE: Final = 3.0
"""Seconds; a shorter one is a hiccup, no restart."""
_JUST_BEFORE: Final = 120.0


class Interval(NamedTuple):
    """Bins from `start` to before `end`, in which requests fail more than outside."""

    start: int
    end: int
    weight: float
    hits: float
    asked: float
    others: float
    others_asked: float

    @property
    def ratio(self) -> float:
        """How many times as often as outside requests fail."""
        return (self.hits / self.asked) / ((self.others + 0.5) / (self.others_asked + 1)) if self.asked else 0.0


def bursts(scene: Scene) -> list[Finding]:
    """Times in which far more requests fail than otherwise."""
    bins = bins_of(scene)
    if bins is None or scene.failed < FEWEST_POSSIBLE:
        return []
    found = []
    left = bins
    for _ in range(_MOST):
        interval = strongest(left)
        if interval is None or interval.hits < _LEAST_SHARE * scene.failed or interval.ratio < _RATIO:
            break
        weight = corrected(interval.weight, len(bins.requests) ** 2)
        sure = confidence(weight, interval.hits)
        if not sure:
            break
        found.append(_told(scene, bins, interval, sure if scene.requests else "possible", weight))
        left = _without(left, interval)
    return found


def strongest(bins: Bins) -> Interval | None:
    """Return the interval that stands out most; None where there is none. It never is the whole time."""
    asked, hits = [0.0, *accumulate(bins.requests)], [0.0, *accumulate(bins.failed)]
    count, whole, failed = len(bins.requests), asked[-1], hits[-1]
    best: Interval | None = None
    for start in range(count):
        if not bins.failed[start]:  # no interval begins or ends with bins in which nothing failed
            continue
        for end in range(start + 1, count + 1):
            if not bins.failed[end - 1]:
                continue
            n, f = asked[end] - asked[start], hits[end] - hits[start]
            if f < FEWEST_POSSIBLE or n >= whole or f * whole <= failed * n:
                continue
            weight = two_rates(f, n, failed - f, whole - n)
            if best is None or weight > best.weight + 1e-9:
                best = Interval(start, end, weight, f, n, failed - f, whole - n)
    return best


def _without(bins: Bins, interval: Interval) -> Bins:
    """Return the bins without those of an interval."""
    inside = range(interval.start, interval.end)
    return bins._replace(
        requests=[0.0 if at in inside else value for at, value in enumerate(bins.requests)],
        failed=[0.0 if at in inside else value for at, value in enumerate(bins.failed)],
    )


def _told(scene: Scene, bins: Bins, interval: Interval, sure: str, weight: float) -> Finding:
    low, high = _edges(scene, bins, interval)
    mine = [entry for entry in scene.failures if low <= entry.time < high]
    begin = mine[0].time if mine else low
    end = mine[-1].time if mine else high
    rate = interval.hits / interval.asked
    began = rate * sum(bins.requests[: interval.start]) >= _TELLING
    ended = rate * sum(bins.requests[interval.end :]) >= _TELLING
    silence = _silence_before(scene, bins, interval.start)
    kind = "gap" if silence and began else "burst" if began and ended else "onset" if began else "ended" if ended else "burst"
    dated = several_days(*scene.span[:2])
    title = _title(kind, moment(begin, dated), moment(end, dated), end - begin, interval, silence, ended)
    detail = _numbers(scene, interval)
    if kind in ("onset", "gap", "burst") and began and (said := _just_before(scene, begin)):
        detail += f" Just before, at {moment(said.time, dated)}, {clean(said.product, 40)} said: {scrub(said.reason, 120)}."
    elif kind == "onset":
        detail += " Something changed then: a deployment, a configuration, a server that went down."
    keys = {"begin": moment(begin, True)} if began else {}
    keys |= {"end": moment(end, True)} if ended else {}
    return Finding(
        kind, title, detail, round(interval.hits), min(1.0, interval.hits / scene.failed), sure, keys, lines_of(mine),
        scene.cause, weight,
    )  # fmt: skip


def _edges(scene: Scene, bins: Bins, interval: Interval) -> tuple[float, float]:
    """Return when an interval begins and ends, more finely where bins are coarse."""
    low, high = bins.at(interval.start), bins.at(interval.end)
    if bins.width > 60 and (finer := bins_of(scene, low - bins.width, high + bins.width)) and finer.width < bins.width:
        inner = strongest(finer)
        if inner is not None and inner.hits >= 0.8 * interval.hits:
            return finer.at(inner.start), finer.at(inner.end)
    return low, high


def _silence_before(scene: Scene, bins: Bins, start: int) -> float:
    """Return how many seconds before a bin were without any request, where that is no chance; else 0."""
    at = start
    while at > 0 and not bins.requests[at - 1]:
        at -= 1
    mean = sum(bins.requests) / max(1, sum(value > 0 for value in bins.requests))
    empty = start - at
    lasted = empty * bins.width
    if at == 0 or lasted < _SHORTEST_SILENCE or empty * mean < _SILENCE:
        return 0.0
    times = [one.time for one in scene.seen] if scene.sample.exact else []
    after = bisect_left(times, bins.at(start))
    return max(lasted, times[after] - times[after - 1]) if 0 < after < len(times) else lasted


def _title(kind: str, begin: str, end: str, lasted: float, interval: Interval, silence: float, ended: bool) -> str:
    more = "Failing" if not interval.others else "Failing far more"
    if kind == "onset":
        return f"{more} since {begin} UTC" + ("; nothing failed before" if not interval.others else "")
    if kind == "ended":
        return f"{more} until {end} UTC, then " + ("no more" if not interval.others else "hardly any")
    if kind == "gap":
        until = f" until {end}" if ended else ""
        return f"{more} from {begin}{until} UTC, as the log goes on after {span(silence)} without a line: a restart"
    if lasted < 1:
        return f"All at once, at {begin} UTC" if not interval.others else f"A burst at {begin} UTC"
    return f"A burst from {begin} to {end} UTC ({span(lasted)})"


def _numbers(scene: Scene, interval: Interval) -> str:
    if not scene.requests:
        whole = interval.hits + interval.others
        return f"{interval.hits:,.0f} of {whole:,.0f} failures fall into it; how many requests came is not known."
    inside = f"{percent(interval.hits, interval.asked)} of {interval.asked:,.0f} requests failed then"
    return f"{inside}, {percent(interval.others, interval.others_asked)} of {interval.others_asked:,.0f} at other times."


def _just_before(scene: Scene, begin: float) -> Entry | None:
    """Return what an error log said shortly before that is no failed request: a restart, a server going down."""
    told = [one for one in scene.reading.others if begin - _JUST_BEFORE <= one.time <= begin + 1 and one.reason and not one.path]
    return told[-1] if told else None
