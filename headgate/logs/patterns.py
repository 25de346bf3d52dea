"""Owns which patterns are looked for among failures, and which of those found are worth telling."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from .finding import Finding
from .lasting import at_a_timer
from .load import asked_again, under_load
from .pace import alternating, every_so_often, only_after_rest
from .scene import Scene
from .when import bursts
from .where import one_client, one_method, one_path, one_server

Pattern = Callable[[Scene], list[Finding]]
PATTERNS: Final[tuple[Pattern, ...]] = (
    one_server, one_path, one_client, one_method, bursts, every_so_often, only_after_rest, alternating, at_a_timer, asked_again,
    under_load,
)  # fmt: skip
"""What is looked for. A further pattern is one function and one name here."""
_LIKELY: Final = "likely"
_ONE_MOMENT: Final = 120.0


def find(scene: Scene) -> list[Finding]:
    """Return what failures have in common, the surest and largest first."""
    if not scene.groups:
        return []
    return ranked(_sensible([one for pattern in PATTERNS for one in pattern(scene)]))


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings in the order in which they are told: sure ones first, then by the failures they cover."""
    return sorted(findings, key=lambda one: (one.confidence != _LIKELY, -one.count, -one.weight))


def _sensible(found: list[Finding]) -> list[Finding]:
    """Leave out what another finding says better."""
    kinds = {one.kind: one.confidence for one in found}
    covered: set[str] = set()
    if "alternating" in kinds:
        covered |= {"periodic", "burst"}
    if "periodic" in kinds:  # its episodes are no bursts of their own, and their requests no load
        covered |= {"burst", "overload"}
    sure = {kind for kind in ("alternating", "periodic") if kinds.get(kind) == _LIKELY}
    return [one for one in found if one.kind not in covered or (one.confidence == _LIKELY and not sure)]


def merged(whole: Sequence[Finding], parts: Sequence[Sequence[Finding]]) -> list[Finding]:
    """Return the findings about all failures and about single causes' failures, each once, ranked.

    What is true of one cause only is told of that; what is true of nearly all failures is told of all.
    """
    chosen = list(whole)
    for several in parts:
        for one in several:
            same = next((other for other in chosen if _same(one, other)), None)
            if same is None:
                chosen.append(one)
            elif not same.cause and one.count >= 0.9 * same.count and one.weight > same.weight:
                chosen[chosen.index(same)] = one
    return ranked(chosen)


def _same(one: Finding, other: Finding) -> bool:
    """Whether two findings say the same thing."""
    if one.kind in _TIMES and other.kind in _TIMES:
        return one.keys.keys() == other.keys.keys() and all(_near(one.keys[name], other.keys[name]) for name in one.keys)
    if one.kind != other.kind:
        return False
    return one.keys == other.keys or (not one.keys and not other.keys)


def _near(one: str, other: str) -> bool:
    """Whether two moments are as good as one: the first failures of two causes seldom come in the same second."""
    if one == other:
        return True
    if "?" in (one, other):
        return False
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) <= _ONE_MOMENT


_TIMES: Final = ("burst", "onset", "ended", "gap")
