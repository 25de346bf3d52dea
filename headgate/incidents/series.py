"""Owns how traffic over time is asked for and told: which steps, from where, and lists of the same length for a chart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from .amounts import Body, quantile
from .traffic_rows import ALL, KEPT, KEPT_ALL, STEPS, Line, total

POINTS: Final = 2000
_POINTS_BY: Final = 144
"""Points of a chart: of all traffic, and where names are told apart."""
_SLOT: Final = 10
_SLOTS_KEPT: Final = 6 * 3600
_NAMES: Final = 20
"""Names told apart in a chart; the others are added up."""
_OTHER: Final = "other"
_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. Times are whole seconds, and multiples of the step."""

    since: int
    until: int
    step: int
    by: str  # "cause", "route" or "upstream"
    source: int  # seconds of what it is put together from: 10 in memory, else rows of the file

    @staticmethod
    def of(since: float, until: float, step: float, by: str, begin: int) -> "Wanted":
        """Return what is asked for with a step that can be had. begin: the first slot in memory, 0 without any."""
        if by not in ("cause", "route", "upstream"):
            raise ValueError(f'by is "cause", "route" or "upstream", not "{by}"')
        since, until = max(0.0, since), max(since, until)
        least = max(float(step), (until - since) / (POINTS if by == "cause" else _POINTS_BY), _SLOT)
        kept = KEPT_ALL if by == "cause" else KEPT
        if least < STEPS[0] and until - since <= _SLOTS_KEPT and begin:
            source = _SLOT
        else:
            fitting = [one for one in STEPS if one <= max(least, STEPS[0])]
            source = next((one for one in reversed(fitting)), STEPS[0])
            while source < STEPS[-1] and until - since > kept[source]:
                source = STEPS[STEPS.index(source) + 1]
        width = -int(-max(least, source) // source) * source
        return Wanted(int(since) // width * width, -int(-until // width) * width, width, by, source)


class Series:
    """Lists of numbers for each step of a time."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        count = max(0, (wanted.until - wanted.since) // wanted.step)
        self._count = count
        self.requests = [0] * count
        self.rescued = [0] * count
        self.failures: dict[str, list[int]] = {}
        self.bad: dict[str, list[int]] = {}
        self.of: dict[str, list[int]] = {}
        self.spreads: dict[int, list[float]] = {}

    def _index(self, at: int) -> int:
        return (at - self.wanted.since) // self.wanted.step

    def _list(self, table: dict[str, list[int]], name: str) -> list[int]:
        found = table.get(name)
        if found is None:
            found = table[name] = [0] * self._count
        return found

    def add(self, at: int, line: Line, body: Body) -> None:
        """Add what was counted of a line, where it is asked for."""
        if line == ALL:
            if self.wanted.by == "cause":
                self.count(at, body.get("requests", 0), 1, total(body.get("rescued")), body)
            self.add_spread(at, body.get("spread", ()))
        elif line[0] == "pair" and self.wanted.by != "cause":
            name = line[2] if self.wanted.by == "route" else line[1]
            numbers = (body.get("requests", 0), body.get("bad", 0), total(body.get("seen")), total(body.get("rescued")))
            self.count_name(at, name, *numbers)

    def count(self, at: int, requests: int, seen: int, rescued: int, body: Body | None) -> None:
        """Add what was counted of all traffic."""
        index = self._index(at)
        self.requests[index] += requests
        self.rescued[index] += rescued
        failed = body.get("seen") if seen and body else None
        for cause, count in failed.items() if isinstance(failed, dict) else ():
            self._list(self.failures, cause)[index] += count

    def count_name(self, at: int, name: str, requests: int, bad: int, seen: int, rescued: int) -> None:
        """Add what was counted of a route or an upstream."""
        index = self._index(at)
        self.requests[index] += requests
        self.rescued[index] += rescued
        self._list(self.of, name)[index] += requests
        if seen:
            self._list(self.failures, name)[index] += seen
        if bad:
            self._list(self.bad, name)[index] += bad

    def add_spread(self, at: int, spread: Iterable[float]) -> None:
        """Add how long requests took."""
        more = list(spread)
        if more:
            known = self.spreads.get(self._index(at))
            self.spreads[self._index(at)] = [a + b for a, b in zip(known, more, strict=True)] if known else more

    def spread(self, coarse: "Series", width: int) -> None:
        """Add the numbers of longer steps, evenly over times of `width` seconds in them."""
        begin, step = coarse.wanted.since, coarse.wanted.step
        parts, wanted = step // width, self.wanted
        tables = [({"": coarse.requests}, {"": self.requests}), ({"": coarse.rescued}, {"": self.rescued})]
        tables += [(coarse.failures, self.failures), (coarse.bad, self.bad), (coarse.of, self.of)]
        for source, target in tables:
            for name, numbers in source.items():
                into = self._list(target, name)
                for index, number in enumerate(numbers):
                    for part in range(parts) if number else ():
                        if wanted.since <= (at := begin + index * step + part * width) < wanted.until:
                            into[self._index(at)] += number * (part + 1) // parts - number * part // parts
        for index, spread in coarse.spreads.items():
            for part in range(parts):
                if wanted.since <= (at := begin + index * step + part * width) < wanted.until:
                    self.add_spread(at, [count / parts for count in spread])

    def told(self, latency: bool) -> dict[str, Any]:
        """Return the lists, as JSON has them."""
        wanted = self.wanted
        told: dict[str, Any] = {
            "step": wanted.step, "at": list(range(wanted.since, wanted.until, wanted.step)), "requests": self.requests,
            "failures": self._bounded(self.failures), "rescued": self.rescued,
        }  # fmt: skip
        if wanted.by != "cause":
            told |= {"requests_by": self._bounded(self.of), "bad": self._bounded(self.bad)}
        if latency:
            for name, share in _SHARES:
                told[name] = [
                    quantile(self.spreads[index], share) if index in self.spreads else None for index in range(self._count)
                ]
        return told

    def _bounded(self, table: dict[str, list[int]]) -> dict[str, list[int]]:
        """Return the names with the most, most first, and the sum of the others."""
        ranked = sorted(table, key=lambda name: (-sum(table[name]), name))
        kept = {name: table[name] for name in ranked[:_NAMES]}
        if rest := [table[name] for name in ranked[_NAMES:]]:
            rest += [kept[_OTHER]] if _OTHER in kept else []
            kept[_OTHER] = [sum(column) for column in zip(*rest, strict=True)]
        return kept
