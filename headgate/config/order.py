"""Which of two routes is the more specific: the one order that the router follows and the checks reason about.

1. host: a name with port, a name, a wildcard (longest suffix first, with port before without), any host;
2. path: path_exact, path_regex (file order), path (longest prefix first), none;
3. more header conditions before fewer;
4. routes with methods before routes without;
5. the order in the file.
"""

from collections.abc import Sequence

from .endpoints import split_host
from .schema import Route

Rank = tuple[tuple[int, int, int], tuple[int, int], int, bool, int]
"""Compares as the order above; the smaller one wins."""


def ranks(routes: Sequence[Route]) -> list[Rank]:
    """Return the rank of each route, in the order given. No two are equal."""
    regexes: dict[str, int] = {}
    for route in routes:
        if route.path_regex is not None:
            regexes.setdefault(route.path_regex, len(regexes))
    return [
        (_host_rank(route.host), _path_rank(route, regexes), -len(route.headers), not route.methods, number)
        for number, route in enumerate(routes)
    ]


def _host_rank(pattern: str) -> tuple[int, int, int]:
    if not pattern:
        return (2, 0, 0)
    host, port = split_host(pattern.removeprefix("*."))
    wildcard = pattern.startswith("*.")
    return (1, -len(host), port is None) if wildcard else (0, 0, port is None)


def _path_rank(route: Route, regexes: dict[str, int]) -> tuple[int, int]:
    if route.path_exact is not None:
        return (0, 0)
    if route.path_regex is not None:
        return (1, regexes[route.path_regex])
    return (2, -len(route.path)) if route.path else (3, 0)
