"""Owns how unlikely a count is by chance: bounds that hold for every size, so that a few failures make no claims.

Weights are minus the natural logarithm of a probability: 14 is one in a million. They add where tests are many: `corrected`.
Bounds are Chernoff's: never larger than the truth, so that what is claimed is at least as sure as said.
"""

from collections.abc import Sequence
from math import atanh, log, sqrt
from typing import Final

LIKELY: Final = log(1e7)
"""Weight from which a pattern is called likely, after correction."""
POSSIBLE: Final = log(1e3)
"""Weight from which it is worth a word."""
FEWEST: Final = 8
"""Failures below which nothing is likely."""
FEWEST_POSSIBLE: Final = 5


def binomial(hits: float, trials: float, chance: float) -> float:
    """Return the weight of at least `hits` of `trials` where each comes with probability `chance`."""
    if trials <= 0 or hits <= trials * chance:
        return 0.0
    chance = min(max(chance, 1e-12), 1 - 1e-12)
    seen = min(hits / trials, 1.0)
    if seen == 1.0:
        return -trials * log(chance)
    return trials * (seen * log(seen / chance) + (1 - seen) * log((1 - seen) / (1 - chance)))


def two_rates(hits: float, trials: float, others: float, other_trials: float) -> float:
    """Return the weight of a rate being higher than another one, both of them only estimated: the likelihood ratio."""
    if trials <= 0 or other_trials <= 0:
        return 0.0
    whole = (hits + others) / (trials + other_trials)
    if hits / trials <= whole:
        return 0.0
    below = _against(others, other_trials, whole)
    return binomial(hits, trials, whole) + below


def _against(hits: float, trials: float, chance: float) -> float:
    """Return the weight of at most `hits`."""
    return binomial(trials - hits, trials, 1 - chance)


def correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return Spearman's rank correlation, -1 to 1, and its weight (for more than 0)."""
    count = len(first)
    if count < 8:
        return 0.0, 0.0
    one, other = _ranks(first), _ranks(second)
    mean = (count - 1) / 2
    across = sum((a - mean) * (b - mean) for a, b in zip(one, other, strict=True))
    spread = sqrt(sum((a - mean) ** 2 for a in one) * sum((b - mean) ** 2 for b in other))
    if spread == 0:
        return 0.0, 0.0
    rho = max(-0.9999, min(0.9999, across / spread))
    return rho, (atanh(rho) ** 2 * (count - 3) / 2 if rho > 0 else 0.0)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank from 0; equal values share theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or values[order[at]] != values[order[start]]:
            for place in order[start:at]:
                ranks[place] = (start + at - 1) / 2
            start = at
    return ranks


def corrected(weight: float, tests: int) -> float:
    """Return a weight less what is due to having looked in so many places."""
    return weight - log(max(tests, 1))


def confidence(weight: float, count: float) -> str:
    """Return "likely", "possible", or "" for what may as well be chance."""
    if weight >= LIKELY and count >= FEWEST:
        return "likely"
    return "possible" if weight >= POSSIBLE and count >= FEWEST_POSSIBLE else ""
