"""Which route a request takes: the routes compiled once into look-ups, and one look-up for each request.

The order is that of config/order.py. What follows from the configuration alone is decided when a table is made: a tree of path
segments holds in each node, in their order, the routes that may fit there. A look-up walks as deep as the tree knows the path;
header fields and regular expressions are read only where a route before the first unconditional one asks for them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..config import schema
from ..config.order import ranks
from ..config.paths import matching_form
from ..model.signals import METHOD_NOT_ALLOWED, NO_ROUTE
from ..wire.fields import find

if TYPE_CHECKING:
    from .door import Door
    from .retrying import Retrying

_PERCENT: Final = ord("%")
_MOST_HOSTS: Final = 1024
_LONGEST_HOST: Final = 262  # a DNS name of 255, a colon, a port


class Route:
    """A route as the gateway uses it."""

    __slots__ = (
        "allow", "deny", "door", "headers", "maintenance", "methods", "name", "path_regex", "plain", "retrying", "upstream",
    )  # fmt: skip

    def __init__(self, route: schema.Route) -> None:
        self.name = route.label
        self.upstream = route.upstream or ""
        self.door: Door | None = None  # its limits; set, as is the next, by whoever opens it to traffic
        self.retrying: Retrying | None = None  # retries of its own
        self.allow = route.allow
        self.deny = route.deny
        self.maintenance = route.maintenance
        self.methods = tuple(method.encode() for method in route.methods)
        self.headers = tuple((name.encode(), value.encode()) for name, value in route.headers.items())
        self.path_regex = re.compile(route.path_regex, re.DOTALL).fullmatch if route.path_regex is not None else None
        self.plain = not (self.methods or self.headers or self.path_regex)  # fits every request that host and path lead to

    def fits_head(self, head: bytes) -> bool:
        """Return whether every header condition is met."""
        for name, wanted in self.headers:
            value = find(head, name)
            if value is None or (wanted != b"*" and value != wanted):
                return False
        return True


class Miss:
    """No route fits."""

    __slots__ = ("allow", "signal")

    def __init__(self, signal: str, allow: str = "") -> None:
        self.signal = signal  # NO_ROUTE or METHOD_NOT_ALLOWED
        self.allow = allow  # for the Allow field: the methods of the routes that fit but for theirs


_NO_ROUTE: Final = Miss(NO_ROUTE)
_Choice = Route | tuple[Route, ...]
"""A route that fits in any case, or routes to be tried in order."""


class Router:
    """All routes, ready to be matched."""

    __slots__ = ("_memo", "_only", "_patterns", "_ranked", "_table", "_tables", "own")

    def __init__(self, routes: Sequence[schema.Route]) -> None:
        order = ranks(routes)
        ranked = [routes[number] for number in sorted(range(len(routes)), key=order.__getitem__)]
        self._ranked = [(route, Route(route)) for route in ranked]
        self._patterns = {route.host.encode() for route in ranked if route.host}
        self._table = None if self._patterns else _Table(self._ranked)
        self._only = self._table.only() if self._table else None
        self._tables: dict[tuple[bytes, ...], _Table] = {}  # by the patterns that fit
        self._memo: dict[bytes, _Table] = {}  # by Host as it came: a known one costs one look-up
        self.own: Mapping[bytes, list[tuple[bytes, Route]]] = {}  # by path: what the gateway answers itself, and for which Host

    def routes(self) -> list[tuple[schema.Route, Route]]:
        """Return every route of the configuration with what the gateway makes of it."""
        return self._ranked

    def match(self, host: bytes, path: bytes, method: bytes, head: bytes) -> Route | Miss:
        """Return the most specific route that fits, or why there is none.

        host: in lower case, possibly with port; path: without query, dots resolved; head: the raw request head.
        """
        if _PERCENT in path or path.find(b"//") >= 0:  # both faster than to ask for bytes with `in`
            path = matching_form(path)
        if path in self.own and (own := self._find_own(path, host)) is not None:
            return own
        if self._only is not None:
            return self._only
        choice = (self._table or self._memo.get(host) or self._find_table(host)).find(path).choice
        return choice if isinstance(choice, Route) else _choose(choice, path, method, head)

    def _find_own(self, path: bytes, host: bytes) -> Route | None:
        """Return what the gateway answers itself at a path, where that is so for this host."""
        names = _patterns_of(host)
        return next((route for wanted, route in self.own[path] if not wanted or wanted in names), None)

    def _find_table(self, host: bytes) -> "_Table":
        """Return the table for a host, made at the first request that needs it."""
        fitting = tuple(pattern for pattern in _patterns_of(host) if pattern in self._patterns)
        table = self._tables.get(fitting)
        if table is None:
            hosts = {"", *(pattern.decode() for pattern in fitting)}
            table = self._tables[fitting] = _Table([pair for pair in self._ranked if pair[0].host in hosts])
        if len(self._memo) >= _MOST_HOSTS:
            self._memo.clear()
        if len(host) <= _LONGEST_HOST:
            self._memo[host] = table
        return table


def _patterns_of(host: bytes) -> list[bytes]:
    """Return every pattern that would fit a host: the name and its wildcards, each with and without the port."""
    if len(host) > _LONGEST_HOST:
        return []
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):
        name, colon, port = host, b"", b""
    name = name.removesuffix(b".")
    patterns = [name]
    at = name.find(b".", 1)
    while at > 0:
        patterns.append(b"*" + name[at:])
        at = name.find(b".", at + 1)
    return [pattern + colon + port for pattern in patterns] + patterns if port else patterns


def _choose(choice: tuple[Route, ...], path: bytes, method: bytes, head: bytes) -> Route | Miss:
    """Return the first route whose conditions are met."""
    allowed: list[bytes] = []
    for route in choice:
        if route.plain:
            return route
        if route.path_regex is not None and route.path_regex(path.decode("utf-8", "surrogateescape")) is None:
            continue
        if route.headers and not route.fits_head(head):
            continue
        if not route.methods or method in route.methods:
            return route
        allowed += route.methods
    if allowed:
        return Miss(METHOD_NOT_ALLOWED, b", ".join(dict.fromkeys(allowed)).decode())
    return _NO_ROUTE


def _bytes(path: str) -> bytes:
    """Return a configured path as requests have it."""
    return path.encode("utf-8", "surrogateescape")


class _Spot:
    """Requests that end up at one place, and the routes that may fit them: their numbers, and what a look-up gets."""

    __slots__ = ("choice", "numbers")

    def __init__(self, numbers: list[int], routes: list[Route]) -> None:
        self.numbers = sorted(numbers)
        fitting: list[Route] = []
        for number in self.numbers:
            fitting.append(routes[number])
            if routes[number].plain:
                break
        self.choice: _Choice = fitting[0] if fitting and fitting[0].plain else tuple(fitting)


class _Node:
    """A place in the tree of path segments."""

    __slots__ = ("below", "children", "here", "prefixes", "slashed")

    here: _Spot  # for the path that ends at this node
    below: _Spot  # for paths that go on from it, where the tree does not

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.prefixes: list[int] = []  # routes of the prefix that ends here: "/api"
        self.slashed: list[int] = []  # routes of the prefix with a slash after it: "/api/"

    def settle(self, inherited: list[int], routes: list[Route]) -> None:
        """Fill in the spots of this node and those below it, given the routes that fit all of it."""
        self.here = _Spot(inherited + self.prefixes, routes)
        self.below = _Spot(self.here.numbers + self.slashed, routes)
        for child in self.children.values():
            child.settle(self.below.numbers, routes)


class _Table:
    """The routes of one host by path. While it is made, routes are numbers: their places in the order."""

    __slots__ = ("_depth", "_exact", "_root")

    def __init__(self, pairs: list[tuple[schema.Route, Route]]) -> None:
        routes = [route for _, route in pairs]
        self._root = _Node()
        self._depth = 0
        exact: dict[bytes, list[int]] = {}
        anywhere = []
        for number, (configured, _) in enumerate(pairs):
            if configured.path_exact is not None:
                exact.setdefault(_bytes(configured.path_exact), []).append(number)
            elif configured.path and configured.path_regex is None:
                self._grow(_bytes(configured.path), number)
            else:
                anywhere.append(number)
        self._root.settle(anywhere, routes)
        self._exact: dict[bytes, _Spot] = {}  # empty while the exact paths find where else they would lead
        self._exact = {path: _Spot(numbers + self.find(path).numbers, routes) for path, numbers in exact.items()}

    def _grow(self, prefix: bytes, number: int) -> None:
        """Add a route's prefix to the tree."""
        segments = prefix.removesuffix(b"/").split(b"/")
        self._depth = max(self._depth, len(segments))
        node = self._root
        for segment in segments:
            node = node.children.setdefault(segment, _Node())
        (node.slashed if prefix.endswith(b"/") else node.prefixes).append(number)

    def find(self, path: bytes) -> _Spot:
        """Return the routes that may fit a path."""
        if self._exact and (spot := self._exact.get(path)) is not None:
            return spot
        node = self._root
        for segment in path.split(b"/", self._depth):
            child = node.children.get(segment)
            if child is None:
                return node.below
            node = child
        return node.here

    def only(self) -> Route | None:
        """Return the route that fits every request, if one does."""
        choice = self._root.below.choice
        return choice if isinstance(choice, Route) and not self._root.children and not self._exact else None
