"""Owns which failures belong together by their rhythm: every N seconds, only after a rest, every second request."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from ..diagnose.moments import span
from ..diagnose.redact import clean
from ..diagnose.timers import idle_name
from .chance import FEWEST, binomial, confidence, corrected, two_rates
from .finding import Finding, lines_of
from .sample import Seen
from .scene import Scene
from .where import percent

_QUIET: Final = (2.0, 30.0, 300.0)
"""Seconds of quiet after which failures are another episode, all of which are tried."""
_FEWEST_EPISODES: Final = 6
_RESTS: Final = (1, 2, 3, 4, 5, 8, 10, 15, 20, 25, 30, 45, 50, 55, 60, 65, 75, 90, 100, 120, 130, 180, 240, 300, 600)
_AT_ONCE: Final = 0.1
_RACE: Final = frozenset(
    ("closed-on-reuse", "reset-on-reuse", "send-reset-reused", "closed-before-answer", "reset-before-answer")
)
_ORDINALS: Final = {2: "second", 3: "third", 4: "fourth"}


def every_so_often(scene: Scene) -> list[Finding]:
    """Failures that come back after a fixed time: a schedule, a health check, a server that is tried again and again."""
    times = sorted(entry.time for entry in scene.failures if entry.time >= 0)
    found = []
    for quiet in _QUIET:
        starts = episodes(times, quiet)
        if len(starts) >= _FEWEST_EPISODES and (one := _period(scene, starts)):
            found.append(one)
    return sorted(found, key=lambda one: -one.weight)[:1]


def episodes(times: Sequence[float], quiet: float) -> list[float]:
    """Return when each group of failures begins, groups being `quiet` seconds apart or more."""
    return [time for at, time in enumerate(times) if at == 0 or time - times[at - 1] > quiet]


def _period(scene: Scene, starts: Sequence[float]) -> Finding | None:
    apart = [later - one for one, later in pairwise(starts)]
    period = median(apart)
    slack = max(1.0, 0.04 * period)
    if period < 4 * slack or starts[-1] == starts[0]:
        return None
    hits = [one for one in apart if 0.5 < one / period < 3.5 and abs(one - round(one / period) * period) <= slack]
    chance = min(0.9, 3 * 2 * (slack + 0.5) / period * 0.5)  # of a gap being near one of three multiples, whatever it is
    weight = corrected(binomial(len(hits) - 1, len(apart) - 1, chance), 4)
    sure = confidence(weight, len(apart))
    if not sure or len(hits) < 0.75 * len(apart):
        return None
    kept = [one / round(one / period) for one in hits]
    period = _rounded(sum(kept) / len(kept))
    words, asked = _of_period(scene, period)
    words = f"{len(starts)} times from the first to the last, {len(hits)} of {len(apart)} pauses of that length. {words}"
    return Finding(
        "periodic", f"Failures come back every {span(period)}", words, scene.failed, 1.0,
        "possible" if asked or not scene.requests else sure,  # where requests are not known they may come at this pace
        {"seconds": f"{period:.0f}"}, lines_of(scene.failures), scene.cause, weight,
    )  # fmt: skip


def _rounded(period: float) -> float:
    """Return a period as somebody will have set it, where it is that but for a hundredth."""
    step = next((step for step in (3600, 300, 60, 5, 1) if period >= step), 1)
    near = round(period / step) * step
    return float(near) if abs(near - period) <= 0.01 * period else period


def _of_period(scene: Scene, period: float) -> tuple[str, bool]:
    """Return what such a period mostly is, and whether requests themselves come at this pace."""
    one = {(entry.client, entry.path.partition("?")[0]) for entry in scene.failures}
    if len(one) == 1 and len(scene.failures) >= FEWEST and scene.sample.exact:
        client, path = next(iter(one))
        same = sum((request.client, request.path) == (client, path) for request in scene.sample.all)
        if same <= 1.2 * len(scene.failures):
            return f"All of one client ({clean(client, 60)}) that asks at this pace: a health check or a monitor.", True
    if abs(period - 10) <= 1 and {"nginx", "ingress-nginx", "openresty", "angie", "tengine"} & set(scene.products):
        return (
            "nginx tries a server that failed again after fail_timeout (10 s): one request each time finds it still down.",
            False,
        )
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if period >= unit * 0.99 and abs(period / unit - round(period / unit)) < 0.02:
            number = round(period / unit)
            every = name if number == 1 else f"{number} {name}s"
            return (
                f"Every {every}: look for something scheduled (cron, a timer, a backup, a rotation of logs, a deployment).",
                False,
            )
    return "Look for something with that rhythm: a health check, a restart that fails, a timer, a retry.", False


def only_after_rest(scene: Scene) -> list[Finding]:
    """Failures at once, on requests before which their server had nothing to do for some time: the keep-alive race."""
    if not _may_race(scene):
        return []
    rested = [(rest, one) for run in scene.sample.runs for rest, one in resting(run)]
    hit = sorted(rest for rest, one in rested if _at_once(scene, one))
    rests = sorted(rest for rest, _ in rested)
    if len(hit) < FEWEST // 2:
        return []
    best: tuple[float, int, tuple[float, float, float, float]] | None = None
    for least in _RESTS:
        busy, others = bisect_left(hit, least), bisect_left(rests, least)
        numbers = (float(len(hit) - busy), float(len(rests) - others), float(busy), float(others))
        weight = corrected(two_rates(*numbers), len(_RESTS))
        if numbers[0] >= 0.9 * len(hit) and (best is None or weight > best[0] + 0.5):
            best = (weight, least, numbers)
    if best is None:
        return []
    weight, least, numbers = best
    sure = confidence(weight, numbers[0])
    if not sure or numbers[0] * (numbers[3] + 1) < 3 * (numbers[2] + 0.5) * numbers[1]:
        return []
    return [_rested(scene, least, min(hit), numbers, sure, weight)]


def _may_race(scene: Scene) -> bool:
    """Whether these failures allow that a connection was closed while it rested; what a server answers itself may be so too."""
    causes = {code for entry in scene.failures for code in (scene.cause, *entry.causes)}
    return not scene.cause or bool(causes & _RACE) or scene.cause == "upstream-answered-error"


def resting(run: Sequence[Seen]) -> list[tuple[float, Seen]]:
    """Return each request with the seconds since its server's last one; the first of each server is left out."""
    last: dict[str, float] = {}
    found = []
    for one in sorted(run, key=lambda one: one.time):
        if one.time < 0:
            continue
        begun = one.time - max(one.seconds, 0.0)
        if one.upstream in last:
            found.append((max(0.0, begun - last[one.upstream]), one))
        last[one.upstream] = max(last.get(one.upstream, 0.0), one.time)
    return found


def _at_once(scene: Scene, one: Seen) -> bool:
    return scene.mine(one) and one.status in (502, 503, 500, 520, 0) and one.seconds < _AT_ONCE


def _rested(
    scene: Scene, least: int, shortest: float, numbers: tuple[float, float, float, float], sure: str, weight: float
) -> Finding:
    rested, rests, busy, others = numbers
    mine = [one for one in scene.failures if one.status in (502, 503, 500, 520, 0) and one.seconds < _AT_ONCE]
    words = (
        f"{percent(rested, rests)} of {rests:,.0f} requests after such a rest failed, at once; {percent(busy, others)} of "
        f"{others:,.0f} others. The server closes idle connections earlier than the gateway does, which then uses a dead one"
    )
    name = idle_name(shortest)
    words += f"; that is the default of {name}." if name else "."
    counted = rested if scene.sample.exact else len(mine) * scene.scale * rested / (rested + busy)
    count = min(scene.failed, round(counted))
    title = f"{'Mostly' if busy else 'Only'} after a rest of {least} s or more"
    return Finding(
        "idle", title, words, count, min(1.0, count / scene.failed), sure,
        {"seconds": str(least)}, lines_of(mine), scene.cause, weight,
    )  # fmt: skip


def alternating(scene: Scene) -> list[Finding]:
    """Every second (third, fourth) request fails, in order: one of as many servers is dead, and they take turns."""
    runs = [[_failed(scene, one) for one in run] for run in scene.sample.runs if len(run) > FEWEST]
    failed = sum(map(sum, runs))
    asked = sum(map(len, runs))
    if failed < FEWEST:
        return []
    for number, word in _ORDINALS.items():
        hits = sum(max(Counter(at % number for at, bad in enumerate(run) if bad).values(), default=0) for run in runs)
        weight = corrected(binomial(hits, failed, 1 / number), number ** min(len(runs), 8) * len(_ORDINALS))
        sure = confidence(weight, hits)
        if sure and hits >= 0.95 * failed and hits >= 0.85 * asked / number:
            title = f"Every {word} request fails: one of {number} servers that take turns is down"
            words = f"{hits} of {failed} failures come at the same place in rounds of {number}."
            return [Finding("alternating", title, words, scene.failed, 1.0, sure, {"every": str(number)},
                            lines_of(scene.failures), scene.cause, weight)]  # fmt: skip
    return []


def _failed(scene: Scene, one: Seen) -> bool:
    return scene.mine(one) and one.status not in (460, 499)
