"""Owns which advice the recorded numbers prove, and how it is put: rules find numbers, knowledge/advice.toml has the words."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ..config.schema import Config, Upstream
from ..diagnose.moments import span
from .amounts import Body
from .incident import Incident

FEW: Final = 3
"""Failures below which nothing is concluded from what they have in common."""
MOST: Final = 0.8
"""Share of the failures that has to agree."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of one kind of some failures."""

    of: int  # failures that there were
    values: Sequence[float]  # of those that were looked at


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a time."""

    since: float
    until: float
    incidents: Sequence[Incident] = ()
    upstreams: Mapping[str, Body] = field(default_factory=dict)  # by upstream
    pairs: Mapping[tuple[str, str], Body] = field(default_factory=dict)  # by upstream and route
    servers: Mapping[tuple[str, str], Body] = field(default_factory=dict)  # by upstream and server
    events: Sequence[tuple[float, str, str, str, str]] = ()  # at, kind, text, upstream, server
    config: Config | None = None
    present: Mapping[str, Any] = field(default_factory=dict)  # how the gateway is now: "certificates", "names"

    def names(self) -> list[str]:
        """Return the upstreams of which anything is known."""
        known = {*self.upstreams, *(name for name, _ in self.pairs), *(one.upstream for one in self.incidents)}
        return sorted(known - {""})

    def settings(self, upstream: str) -> Upstream | None:
        """Return an upstream's settings as they are now; None where it is no more, or nothing is known of the configuration."""
        return self.config.upstream.get(upstream) if self.config is not None else None

    def figures(self, upstream: str, causes: Sequence[str] | frozenset[str], name: str) -> Figures:
        """Return the numbers of a kind of failures by one of these causes."""
        values: list[float] = []
        failed = 0
        for one in self.incidents:
            if one.upstream == upstream:
                failed += sum(tally.failed for (cause, _), tally in one.causes.items() if cause in causes)
                for cause in causes:
                    values += one.figures.get(cause, {}).get(name, (0, ()))[1]
        return Figures(failed, values)

    def verdicts(self, upstream: str) -> dict[str, dict[str, int]]:
        """Return how many tries failed, by verdict and cause."""
        found: dict[str, dict[str, int]] = {}
        for key, count in self.upstreams.get(upstream, {}).get("failed", {}).items():
            cause, _, verdict = key.rpartition(" ")
            found.setdefault(verdict, {})[cause] = found.get(verdict, {}).get(cause, 0) + count
        return found

    def of_upstream(self, upstream: str, name: str) -> list[float]:
        """Return the sum of a list of all routes that lead to an upstream ("spread", "spans"); empty where there is none."""
        rows = [body[name] for (of, _), body in self.pairs.items() if of == upstream and body.get(name)]
        return [sum(column) for column in zip(*rows, strict=True)] if rows else []


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule proved."""

    rule: str
    numbers: Mapping[str, Any]  # the words in braces of its texts
    weight: float  # users, or failures, that it would have helped: what comes first
    worry: str = ""  # the server concerned


Rule = Callable[[Case], Iterator[Finding]]


@cache
def knowledge() -> dict[str, dict[str, str]]:
    """Return the texts of each rule."""
    return tomllib.loads((files("headgate") / "knowledge" / "advice.toml").read_text())


def advice(case: Case, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return what should be changed, what helps most first, as JSON has it."""
    found = [finding for rule in rules for finding in rule(case)]
    return [told(finding) for finding in sorted(found, key=lambda one: -one.weight)]


def told(finding: Finding) -> dict[str, Any]:
    """Return a finding in words."""
    texts = knowledge()[finding.rule]
    filled = {name: text.format_map(finding.numbers) for name, text in texts.items()}
    return {
        "rule": finding.rule, "upstream": str(finding.numbers.get("upstream", "")),
        "server": str(finding.numbers.get("server", "")), **filled, "to": str(finding.numbers.get("to", "")),
        "now": str(finding.numbers.get("now", "")), "weight": finding.weight,
    }  # fmt: skip


def gathered(values: Sequence[float], spread: float = 0.03, slack: float = 0.15) -> tuple[float, int]:
    """Return the least of the numbers that lie closest together, and how many these are: (0, 0) without any."""
    ordered = sorted(values)
    best, begin = (0.0, 0), 0
    for end, value in enumerate(ordered):
        while value > ordered[begin] * (1 + spread) + slack:
            begin += 1
        if end - begin + 1 > best[1]:
            best = (ordered[begin], end - begin + 1)
    return best


def below(seconds: float) -> float:
    """Return a round duration that is shorter by a fifth."""
    wanted = 0.8 * seconds
    for unit in (60.0, 5.0, 1.0, 0.5, 0.1, 0.05):
        if wanted >= 4 * unit:
            return round(int(wanted / unit + 1e-9) * unit, 3)
    return round(wanted, 3)


def above(seconds: float) -> float:
    """Return a round duration that is not shorter."""
    for bound in (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0):
        if seconds <= bound:
            return bound
    return float(-int(-seconds // 60) * 60)


def of(found: Figures) -> str:
    """Return of how many failures hits are said: all, or those that were looked at."""
    looked = len(found.values)
    return f"{looked:,}" if found.of <= looked else f"the {looked:,} that were looked at, of {found.of:,},"


def time(seconds: float) -> str:
    """Return a duration as people read it: "12 ms", "5 s", "2 min"."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else span(seconds)


def percent(share: float) -> str:
    """Return a share as people read it: "12 %", "0.3 %"."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
