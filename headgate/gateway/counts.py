"""What is counted of every exchange: by route, upstream, status and outcome, with how long it took; and of every failed attempt.

One look-up and two additions for each exchange. How many rows there can be is bounded: the rest is counted under other names.
"""

from bisect import bisect_left
from collections import Counter
from typing import Any, Final

from ..model.counted import BUCKETS, MOST, OTHER, SPANS, SPREADS
from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES

_LOOKS: Final = 8 * MOST
"""Combinations that are found at once. What a server may invent (statuses) can only make the others slower to find."""
_CELLS: Final = len(BUCKETS) + 1
_TIMED: Final = 17
"""Of so many exchanges, one is timed by what its time went into: a prime, so that it falls in with no rhythm of clients."""
Key = tuple[str, str, int, str]
"""Route, upstream, status and outcome."""


class Counts:
    """The counts of one worker."""

    __slots__ = ("_failed", "_found", "_paces", "_rows", "_spans", "_turn")

    def __init__(self) -> None:
        self._rows: dict[Key, list[float]] = {}  # exchanges by how long they took, and the sum of that in seconds
        self._found: dict[Key, list[float]] = {}  # the same rows, by what exchanges look like
        self._turn = _TIMED
        self._spans: dict[tuple[str, str], list[float]] = {}  # by route and upstream: how many were timed, and seconds by SPANS
        self._paces: dict[tuple[str, str], list[float]] = {}  # by upstream and server: how many, and seconds until the head
        self._failed: Counter[tuple[str, int, str, str]] = Counter()  # by upstream, phase, cause and verdict

    def ended(self, exchange: Exchange) -> None:
        """Count an exchange that is over. Called for each."""
        try:
            row = self._found[exchange.route, exchange.upstream, exchange.status, exchange.outcome]
        except KeyError:
            row = self._row(exchange)
        seconds = exchange.t_end - exchange.t_begin
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds
        self._turn -= 1
        if not self._turn:
            self._time(exchange)

    def _time(self, exchange: Exchange) -> None:
        """Add what the time of an exchange went into, where it was served."""
        self._turn = _TIMED
        if exchange.outcome != "served" or not exchange.attempts:
            return
        last = exchange.attempts[-1]
        spans = _sums(self._spans, (exchange.route, exchange.upstream), len(SPANS), SPREADS)
        pace = _sums(self._paces, (last.upstream, last.server), 1, MOST)
        spans[0] += 1
        spans[1] += last.t_start - exchange.t_begin
        before = last.t_start
        marks = (last.t_resolved, last.t_connected, last.t_secured, last.t_sent, last.t_first, last.t_head, last.t_end)
        for number, mark in enumerate(marks, 2):
            if mark > before:
                spans[number] += mark - before
                before = mark
        pace[0] += 1
        pace[1] += max(0.0, last.t_head - last.t_start)

    def _row(self, exchange: Exchange) -> list[float]:
        """Return the row that an exchange belongs to: of statuses that servers chose only the class is told apart."""
        route, upstream, status, outcome = exchange.route, exchange.upstream, exchange.status, exchange.outcome
        told = status if outcome == "answered" else status // 100 * 100
        row = self._rows.get((route, upstream, told, outcome))
        if row is None:
            key = (route, upstream, told, outcome) if len(self._rows) < MOST else (OTHER, OTHER, told, outcome)
            row = self._rows.setdefault(key, [0] * _CELLS + [0.0])
        if len(self._found) < _LOOKS:
            self._found[route, upstream, status, outcome] = row
        return row

    def attempt_failed(self, attempt: Attempt) -> None:
        """Count a failed attempt."""
        assert attempt.cause is not None
        key = (attempt.upstream, attempt.phase, attempt.cause.code, attempt.verdict or "")
        if key not in self._failed and len(self._failed) >= MOST:
            key = (OTHER, *key[1:])
        self._failed[key] += 1

    # What is told.

    @property
    def exchanges(self) -> int:
        """Exchanges that are over."""
        return sum(_count(row) for row in self._rows.values())

    @property
    def failures(self) -> Counter[str]:
        """Failed attempts by cause, near misses included."""
        found: Counter[str] = Counter()
        for (_, _, code, _), count in self._failed.items():
            found[code] += count
        return found

    def told(self) -> dict[str, Any]:
        """Return all of it as JSON has it: rows of labels and a count; of durations a list for the buckets, and the sum."""
        return {
            "requests": [[*key, _count(row)] for key, row in self._rows.items()],
            "failed": [
                [name, PHASES[phase], code, verdict, count] for (name, phase, code, verdict), count in self._failed.items()
            ],
            "spans": [[*key, *row] for key, row in self._spans.items()],
            "paces": [[*key, *row] for key, row in self._paces.items()],
            "durations": [[*key, [int(count) for count in row[:-1]], row[-1]] for key, row in self._spreads().items()],
        }

    def _spreads(self) -> dict[tuple[str, str], list[float]]:
        """Return how long exchanges took by route and upstream; not tunnels, which last as long as somebody likes."""
        found: dict[tuple[str, str], list[float]] = {}
        for (route, upstream, _, outcome), row in self._rows.items():
            if outcome == "tunnel":
                continue
            key = (route, upstream)
            if key not in found and len(found) >= SPREADS:
                key = (OTHER, OTHER)
            total = found.setdefault(key, [0.0] * len(row))
            for number, value in enumerate(row):
                total[number] += value
        return found


def _sums(table: dict[tuple[str, str], list[float]], key: tuple[str, str], numbers: int, most: int) -> list[float]:
    """Return the row of a key: how many, and so many sums."""
    row = table.get(key)
    if row is None:
        key = key if len(table) < most else (OTHER, OTHER)
        row = table.setdefault(key, [0.0] * (numbers + 1))
    return row


def _count(row: list[float]) -> int:
    return int(sum(row[:-1]))
