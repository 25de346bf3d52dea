"""Which routes no request can reach, because preferred ones take all that would fit.

What cannot be decided, such as whether one regular expression covers another, is not said.
"""

from collections.abc import Iterator, Sequence

from .order import ranks
from .schema import Route

_ANY_PATH = frozenset({".*", "/.*", "(.*)", "/(.*)", ".+"})
"""Regular expressions that every path fits."""


def hidden(routes: Sequence[Route]) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of a route that is never reached, numbers of the routes that take its requests)."""
    order = ranks(routes)
    for number, route in enumerate(routes):
        takers = [other for other in range(len(routes)) if order[other] < order[number] and _covers(routes[other], route)]
        takers.sort(key=order.__getitem__)
        if chosen := _enough(routes, takers, route):
            yield number, chosen


def _covers(taker: Route, route: Route) -> bool:
    """Return whether `taker` fits all that `route` fits, methods aside. As `taker` ranks before, few cases are left."""
    same_host = taker.host == route.host
    fewer_headers = taker.headers.items() <= route.headers.items()
    return same_host and fewer_headers and _covers_path(taker, route)


def _covers_path(taker: Route, route: Route) -> bool:
    if taker.path_exact is not None:
        return taker.path_exact == route.path_exact
    if taker.path_regex is not None:
        return taker.path_regex in _ANY_PATH or taker.path_regex == route.path_regex
    if route.path_exact is not None or route.path_regex is not None:
        return False  # then the route with a mere prefix does not rank before
    return taker.path == route.path


def _enough(routes: Sequence[Route], takers: Sequence[int], route: Route) -> list[int]:
    """Return the takers that together accept every method that `route` accepts, or nothing."""
    chosen: list[int] = []
    left = set(route.methods)
    for taker in takers:
        methods = routes[taker].methods
        if not methods:
            return [taker]
        if left & set(methods):
            chosen.append(taker)
            left -= set(methods)
            if not left:
                return chosen
    return []
