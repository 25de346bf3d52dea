"""Owns how amounts are added up: numbers, lists and tables of numbers; and what a spread of durations tells."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..model.counted import BUCKETS

Body = dict[str, Any]
"""What was counted: names with numbers, lists of numbers, or such tables again."""


def add(into: Body, more: Mapping[str, Any]) -> None:
    """Add all amounts of one table to another. Raises TypeError where they are not alike."""
    for name, value in more.items():
        known = into.get(name)
        if known is None:
            into[name] = copied(value)
        elif isinstance(value, dict):
            add(known, value)
        elif isinstance(value, list):
            into[name] = [one + other for one, other in zip(known, value, strict=True)]
        else:
            into[name] = known + value


def copied(value: Any) -> Any:
    """Return a copy that can be added to."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in value.items()}
    return list(value) if isinstance(value, list) else value


def portion(value: Any, part: int, parts: int) -> Any:
    """Return one of so many equal portions of all amounts: whole numbers, which together are the whole."""
    if isinstance(value, dict):
        return {name: portion(one, part, parts) for name, one in value.items()}
    if isinstance(value, list):
        return [portion(one, part, parts) for one in value]
    return value * (part + 1) // parts - value * part // parts if isinstance(value, int) else value / parts


def quantile(spread: Sequence[float], share: float) -> float | None:
    """Return below how many seconds a share of all durations lies; None where there are none.

    spread: how many are in each bucket of model/counted.py, and above the last. Within a bucket they are taken for evenly
    spread; of those above the last bound, that bound is returned.
    """
    wanted = sum(spread) * share
    if wanted <= 0:
        return None
    lower = 0.0
    for bound, count in zip(BUCKETS, spread, strict=False):
        if count and wanted <= count:
            return lower + (bound - lower) * wanted / count
        wanted -= count
        lower = bound
    return lower


def slower(spread: Sequence[float], seconds: float) -> float:
    """Return how many durations are longer than so many seconds: an estimate where this is not a bucket's bound."""
    above, lower = 0.0, 0.0
    for bound, count in zip((*BUCKETS, float("inf")), spread, strict=False):
        if lower >= seconds:
            above += count
        elif bound > seconds:  # of what lies above the last bound nothing is known: it counts as slower
            above += count if bound == float("inf") else count * (bound - seconds) / (bound - lower)
        lower = bound
    return above
