"""Owns error budgets: how much of what may fail has failed, how fast it goes, and when it will be used up at this rate.

An objective of 99.9 % over 30 days allows one request of a thousand to go wrong in 30 days: that is the budget. A burn rate of 1
uses it up in exactly this time, one of 14.4 in two days.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..config.schema import Config
from ..config.slo import Slo
from .amounts import slower
from .history import History

BURN: Final = {"1h": 3600.0, "6h": 6 * 3600.0, "3d": 3 * 86_400.0}
"""Times over which burn rates are told."""
_FAST, _SLOW, _AT_ALL = 14.4, 6.0, 1.0
"""Burn rates that are too fast for an hour, for six hours and for three days (Google's SRE workbook, chapter 5)."""
_FEW: Final = 20
"""Requests of an hour below which a burn rate says nothing."""
_AHEAD: Final = 365 * 86_400.0


def budgets(history: History, config: Config | None, now: float) -> list[dict[str, Any]]:
    """Return the error budget of each route with traffic, those that need a look first.

    config: says what is promised; the default is taken for every route where there is none.
    """
    promised = _promised(config)
    default = config.gateway.slo if config is not None else Slo()
    windows = {*BURN.values(), default.window, *(slo.window for slo in promised.values())}
    counts = {window: _by_route(history.counts(now - window, now)) for window in windows}
    routes = sorted({route for found in counts.values() for route in found} | set(promised))
    told = []
    for route in routes:
        slo = promised.get(route, default)
        if counts[slo.window].get(route, (0, 0))[0]:
            told.append(_budget(history, route, slo, counts, now))
    return sorted(told, key=lambda one: (-one["spent"], one["route"]))


def _promised(config: Config | None) -> dict[str, Slo]:
    return {route.label: route.slo for route in config.route if route.slo is not None} if config is not None else {}


def _by_route(counts: Mapping[tuple[str, str, str], tuple[int, int]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for (_, _, route), (requests, bad) in counts.items():
        before = found.get(route, (0, 0))
        found[route] = (before[0] + requests, before[1] + bad)
    return found


def _budget(
    history: History, route: str, slo: Slo, counts: Mapping[float, Mapping[str, tuple[int, int]]], now: float
) -> dict[str, Any]:
    allowed = 1 - slo.target
    requests, failed = counts[slo.window][route]
    slow = _slow(history, route, slo, slo.window, now, counts)
    bad = failed + slow
    burn = {
        name: _burn(counts[window].get(route, (0, 0)), _slow(history, route, slo, window, now, counts), allowed)
        for name, window in BURN.items()
    }
    spent = bad / (requests * allowed)
    left = exhausted_in(spent, slo.window, burn.values())
    return {
        "route": route, "target": slo.target, "latency": slo.latency, "window": slo.window, "requests": requests,
        "failed": failed, "slow": round(slow), "good": round(1 - bad / requests, 6),
        "allowed": round(requests * allowed, 3), "spent": round(spent, 4),
        "burn": burn, "exhausted_in": left, "state": _state(spent, burn),
    }  # fmt: skip


def _slow(
    history: History, route: str, slo: Slo, window: float, now: float, counts: Mapping[float, Mapping[str, tuple[int, int]]]
) -> float:
    """Return about how many requests took longer than promised, beside those that failed."""
    requests, failed = counts[window].get(route, (0, 0))
    if slo.latency is None or not requests:
        return 0.0
    spread = history.spread(now - window, now, route)
    return slower(spread, slo.latency) * (requests - failed) / requests if spread else 0.0


def _burn(counts: tuple[int, int], slow: float, allowed: float) -> float | None:
    """Return how many times faster than allowed the budget is used; None where there is too little to go by."""
    requests, failed = counts
    return round((failed + slow) / requests / allowed, 4) if requests >= _FEW else None


def exhausted_in(spent: float, window: float, burn: Iterable[float | None]) -> float | None:
    """Return the seconds until nothing is left at the latest rate: 0 when it is used up, None when not within a year."""
    if spent >= 1:
        return 0.0
    rate = next((one for one in burn if one is not None), None)
    if not rate:
        return None
    seconds = (1 - spent) * window / rate
    return seconds if seconds < _AHEAD else None


def _state(spent: float, burn: Mapping[str, float | None]) -> str:
    """Return "exhausted", "burning" (too fast at present), or "fine"."""
    if spent >= 1:
        return "exhausted"
    known = {name: rate or 0.0 for name, rate in burn.items()}
    fast = known["1h"] >= _FAST or known["6h"] >= _SLOW or (known["3d"] >= _AT_ALL and spent >= 0.5)
    return "burning" if fast else "fine"
