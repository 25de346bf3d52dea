"""Owns which failures belong together by load: more requests, more failures; and clients that ask again at once."""

from collections.abc import Sequence
from typing import Final

from .chance import FEWEST, binomial, confidence, corrected, correlation
from .finding import Finding, lines_of
from .sample import Seen
from .scene import Scene
from .series import bins_of
from .where import percent

_FEWEST_BINS: Final = 12
_AGAIN: Final = 2.0
"""Seconds within which a client's next request for the same path is the same one again."""
_LEAST_REPEATED: Final = 0.3


def under_load(scene: Scene) -> list[Finding]:
    """The rate of failures grows with the number of requests."""
    bins = bins_of(scene)
    if bins is None or not scene.requests or scene.failed < FEWEST:
        return []
    used = [(asked, failed) for asked, failed in zip(bins.requests, bins.failed, strict=True) if asked > 0]
    if len(used) < _FEWEST_BINS:
        return []
    used.sort()
    half = len(used) // 2
    few, many = used[:half], used[-max(3, len(used) // 4) :]
    quiet, busy = _rate(few), _rate(many)
    if _mean(many) < 1.5 * _mean(few) or busy < 3 * max(quiet, 0.5 / max(1.0, sum(one[0] for one in few))):
        return []
    rho, weight = correlation([asked for asked, _ in used], [failed / asked for asked, failed in used])
    weight = corrected(weight, 4)
    sure = confidence(weight, scene.failed)
    if not sure or rho < 0.5:
        return []
    words = (
        f"At {_mean(few):,.0f} requests in {bins.width:g} s {percent(quiet, 1)} fail, at {_mean(many):,.0f} {percent(busy, 1)} "
        f"(rank correlation {rho:.2f}). Either there is too much to do, or failures make clients ask again."
    )
    return [Finding("overload", "The more requests, the more of them fail", words, scene.failed, 1.0, sure, {},
                    lines_of(scene.failures), scene.cause, weight)]  # fmt: skip


def _rate(bins: Sequence[tuple[float, float]]) -> float:
    return sum(failed for _, failed in bins) / sum(asked for asked, _ in bins)


def _mean(bins: Sequence[tuple[float, float]]) -> float:
    return sum(asked for asked, _ in bins) / len(bins)


def asked_again(scene: Scene) -> list[Finding]:
    """Clients repeat a failed request within two seconds, which they do not do otherwise."""
    after_failure = after_success = failures = successes = 0
    for run in scene.sample.runs:
        for one, repeated in _followed(run):
            if scene.mine(one):
                failures += 1
                after_failure += repeated
            elif not one.failed:
                successes += 1
                after_success += repeated
    if after_failure < FEWEST or after_failure < _LEAST_REPEATED * failures:
        return []
    usual = (after_success + 1) / (successes + 2) if successes else 0.5
    weight = corrected(binomial(after_failure, failures, min(0.95, usual)), 4)
    sure = confidence(weight, after_failure)
    if not sure or after_failure < 3 * usual * failures:
        return []
    words = (
        f"{percent(after_failure, failures)} of failed requests are asked again within {_AGAIN:g} s by the same client, "
        f"{percent(after_success, max(1, successes))} of others. Part of the failures are repetitions, and keep the load up: "
        "clients should wait longer each time, and give up."
    )
    share = min(1.0, after_failure / max(1, failures))
    return [Finding("retries", "Clients ask again at once when a request failed", words, after_failure, share, sure, {},
                    lines_of(scene.failures), scene.cause, weight)]  # fmt: skip


def _followed(run: Sequence[Seen]) -> list[tuple[Seen, bool]]:
    """Return each request with whether the same client asked for the same thing soon after."""
    following: dict[tuple[str, str, str], float] = {}
    found = []
    for one in sorted(run, key=lambda one: one.time, reverse=True):
        key = (one.client, one.path, one.method)
        found.append((one, one.time >= 0 and following.get(key, one.time + 1e9) - one.time <= _AGAIN))
        following[key] = one.time
    return found
