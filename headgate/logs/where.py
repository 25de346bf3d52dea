"""Owns which failures belong together by place: one server, one path or all below one, one client, one method.

A place is named only when its requests fail more often than others; where only failures are known, that is said.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ..diagnose.redact import clean
from .chance import FEWEST, binomial, confidence, corrected, two_rates
from .entry import Entry
from .finding import Finding, lines_of
from .sample import Seen
from .scene import Scene, shape_of
from .scrub import shown_path
from .tally import OTHERS

_RATIO: Final = 3.0
"""By how much a rate must exceed the others' to be worth a word."""
_LEAST_SHARE: Final = 0.1
_MOST: Final = 3
_ALONE: Final = 0.8
_BODIES: Final = ("POST", "PUT", "PATCH")
_WITH_BODY: Final = "with a body"


class Place(NamedTuple):
    """How often requests to a place, and elsewhere, were made and failed."""

    hits: float
    asked: float
    others: float
    others_asked: float

    @property
    def ratio(self) -> float:
        """How many times as often as elsewhere they fail."""
        return (self.hits / max(self.asked, 1e-9)) / ((self.others + 0.5) / (self.others_asked + 1))

    def words(self, exact: bool, elsewhere: str) -> str:
        """Return the numbers as a sentence."""
        if not exact:
            share, part = self.hits / (self.hits + self.others), self.asked / (self.asked + self.others_asked)
            return f"{share:.0%} of the failures, about {part:.1%} of the requests."
        rates = f"{percent(self.hits, self.asked)} of its {self.asked:,.0f} requests failed"
        return f"{rates}, {percent(self.others, self.others_asked)} of {self.others_asked:,.0f} {elsewhere}."


def percent(part: float, whole: float) -> str:
    """Return a share as people read it: "0 %", "0.03 %", "96 %"."""
    share = 100 * part / whole if whole else 0.0
    if share == 0 or share >= 10:
        return f"{share:.0f} %" if share < 99.5 or part == whole else f"{share:.1f} %"
    return f"{share:.1f} %" if share >= 1 else f"{share:.2g} %"


def one_server(scene: Scene) -> list[Finding]:
    """Servers whose rate of failures is far above that of their siblings."""
    hits = Counter[str]()
    for group, number in scene.groups.items():
        hits[group.upstream] += number
    asked = _asked_servers(scene)
    names = [name for name in asked if name and name != OTHERS and asked[name] > 0]
    if len(names) < 2:
        return []
    rate = {name: min(1.0, hits[name] / asked[name]) for name in names}
    found = []
    for name in sorted(names, key=lambda one: -rate[one])[:_MOST]:
        others = [one for one in names if rate[one] < rate[name] / 2]
        place = Place(hits[name], asked[name], sum(hits[one] for one in others), sum(asked[one] for one in others))
        if not others or place.ratio < _RATIO:
            continue
        weight = corrected(two_rates(*place), len(names) ** 2)
        if sure := confidence(weight, hits[name]):
            servers = "the other server" if len(others) == 1 else f"the other {len(others)} servers"
            title = f"{clean(name, 80)} fails" + (f", {servers} not" if not place.others else " far more often than its siblings")
            mine = [one for one in scene.failures if one.upstream == name]
            words = place.words(True, f"to {servers}")
            found.append(_made("server", title, words, scene, mine, hits[name], sure, weight, {"upstream": clean(name, 120)}))
    return found


def _asked_servers(scene: Scene) -> dict[str, float]:
    """Return how many requests each server was asked."""
    known = {name: float(server.requests) for name, server in scene.reading.tally.upstreams.items() if server.requests}
    if known:
        return known
    asked = scene.asked_by(lambda one: one.upstream)
    factor = scene.requests / scene.sample.size if scene.sample.size else 0.0
    return {name: number * factor for name, number in asked.items()}


def one_path(scene: Scene) -> list[Finding]:
    """Paths, or all below one, that fail far more than others."""
    return _places(scene, "path", lambda one: path_labels(one.path), lambda one: path_labels(one.path))


def path_labels(path: str) -> tuple[str, ...]:
    """Return a path's shape and all that it lies below: "/a/7/x" is "/a/*/x", "/a/*/", "/a/"."""
    return _labels(shape_of(path))


@lru_cache(16_384)
def _labels(shape: str) -> tuple[str, ...]:
    if not shape.startswith("/"):
        return (shape,) if shape else ()
    parts = shape.split("/")
    below = ["/".join(parts[:end]) + "/" for end in range(2, len(parts))]
    return (shape, *(one for one in below if one != shape))


def one_client(scene: Scene) -> list[Finding]:
    """Clients whose requests fail far more than those of others."""
    return _places(scene, "client", lambda one: (one.client,), lambda one: (one.client,))


def one_method(scene: Scene) -> list[Finding]:
    """Methods that fail far more than others; those with a body together."""
    return _places(scene, "method", lambda one: _methods(one.method), lambda one: _methods(one.method))


def _methods(method: str) -> tuple[str, ...]:
    return (method, _WITH_BODY) if method in _BODIES else (method,)


Labels = tuple[str, ...]


def _places(scene: Scene, kind: str, of_entry: Callable[[Entry], Labels], of_seen: Callable[[Seen], Labels]) -> list[Finding]:
    failures = [of_entry(entry) for entry in scene.failures]
    requests = [of_seen(one) for one in scene.sample.all]
    if len(failures) < FEWEST // 2:
        return []
    if not requests:
        return _only_failures(scene, kind, failures, of_entry)
    found: list[Finding] = []
    while len(found) < _MOST:
        best = _best(scene, failures, requests)
        if best is None:
            break
        label, place, weight, sure = best
        words = place.words(scene.sample.exact, "elsewhere" if kind == "path" else "of all others")
        mine = [one for one in scene.failures if label in of_entry(one)]
        count, keys = round(place.hits * scene.scale), {kind: shown_path(label, 200)}
        found.append(_made(kind, _title(kind, label, place), words, scene, mine, count, sure, weight, keys))
        failures = [one for one in failures if label not in one]
        requests = [one for one in requests if label not in one]
    return found


def _best(scene: Scene, failures: Sequence[Labels], requests: Sequence[Labels]) -> tuple[str, Place, float, str] | None:
    """Return the place that stands out most, None where none does."""
    hits, asked = _count(failures), _count(requests)
    whole, size = len(failures), len(requests)
    best: tuple[str, Place, float, str] | None = None
    for label, number in hits.items():
        if not label or number < _LEAST_SHARE * len(scene.failures) or label in ("(others)",):
            continue
        place = _place(scene, number, whole, asked[label], size)
        if place.ratio < _RATIO:
            continue
        weight = corrected(_weight(scene, place), len(hits))
        sure = confidence(weight, number)
        if sure and (best is None or (weight, len(label)) > (best[2] + 0.01, len(best[0]))):
            best = (label, place, weight, sure)
    return best


def _count(labels: Iterable[Labels]) -> "Counter[str]":
    return Counter(label for several in labels for label in several)


def _place(scene: Scene, hits: int, failures: int, asked: int, requests: int) -> Place:
    """Return the numbers of a place; from a sample the share of requests is taken as high as it may well be."""
    if scene.sample.exact:
        return Place(hits, max(asked, hits), failures - hits, max(requests - asked, failures - hits))
    share = asked / requests
    share = min(1.0, share + 3 * (share * (1 - share) / requests) ** 0.5 + 3 / requests)
    total = max(scene.requests, failures)
    return Place(hits, share * total, failures - hits, (1 - share) * total)


def _weight(scene: Scene, place: Place) -> float:
    if scene.sample.exact:
        return two_rates(*place)
    return binomial(place.hits, place.hits + place.others, place.asked / (place.asked + place.others_asked))


def _title(kind: str, label: str, place: Place) -> str:
    shown = shown_path(label, 80)
    only = not place.others
    if kind == "path":
        name = f"Everything below {shown}" if label.endswith("/") and len(label) > 1 else shown
        return f"Only {shown} fails" if only and name == shown else f"{name} fails" + ("" if only else " far more than the rest")
    if kind == "client":
        return f"Only requests of {shown} fail" if only else f"Requests of {shown} fail far more often than those of others"
    if label == _WITH_BODY:
        return "Only requests with a body fail" if only else "Requests with a body (uploads) fail far more often than others"
    return f"Only {shown} fails" if only else f"{shown} requests fail far more often than others"


def _only_failures(scene: Scene, kind: str, failures: Sequence[Labels], of_entry: Callable[[Entry], Labels]) -> list[Finding]:
    """What failures have in common where nothing is known of healthy requests: worth a word, no more."""
    names = {one[0] for one in failures if one}
    for label, number in _count(one[:1] for one in failures).most_common(1):
        if label and number >= FEWEST and number >= _ALONE * len(failures) and len(names) >= 3:
            words = "Where healthy requests go is not known: only failures were seen."
            shown = shown_path(label, 80)
            mine = [one for one in scene.failures if label in of_entry(one)[:1]]
            count = round(number * scene.scale)
            return [_made(kind, f"Most failures are of {shown}", words, scene, mine, count, "possible", 0.0, {kind: shown})]
    return []


def _made(
    kind: str, title: str, detail: str, scene: Scene, mine: list[Entry], count: float, sure: str, weight: float,
    keys: dict[str, str],
) -> Finding:  # fmt: skip
    return Finding(
        kind, title, detail, int(count), min(1.0, count / scene.failed) if scene.failed else 0.0, sure, keys,
        lines_of(mine), scene.cause, weight,
    )  # fmt: skip
