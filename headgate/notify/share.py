"""Owns when a share of failures is too high: above its limit for so long without a break, and below for as long when it is over.

Only differences of counters that grow are used, and the monotonic clock: neither a process that starts anew nor a clock that is
set makes an alert. Times are monotonic where they are called `now`, and wall-clock seconds in what is told.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from ..config.forms import statuses
from ..config.notify import Notify
from .message import OPENED, RESOLVED

_SAMPLES: Final = 600
"""Samples within a window: a longer one is looked at less finely."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was counted since the gateway was started, over all its processes. Each count only grows."""

    requests: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    """Requests that are over, by route, upstream and the status that the client got (of statuses of servers the class: 500)."""
    failures: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """Requests that failed and were not made good by another try, by route, upstream and cause."""


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a name is one of those that are asked for; any is where none are."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


class Share:
    """One rule about a share of failures."""

    def __init__(self, rule: Notify, name: str) -> None:
        """name: by which it is known."""
        self.rule = rule
        self.name = name
        self.open = False
        self.first = 0.0  # wall-clock seconds when it went above
        self._is_failure = self._failing(rule)
        self._high: dict[str, int] = {"failures": 0, "requests": 0}
        self._past: deque[tuple[float, int, int]] = deque()  # when, failures, requests
        self._since = -1.0  # since when it is on the other side of the limit; -1: it is not
        self._since_wall = 0.0

    @staticmethod
    def _failing(rule: Notify) -> Callable[[int], bool]:
        return statuses(rule.statuses or ("500-599",)).__contains__

    def _count(self, traffic: Traffic) -> tuple[int, int]:
        """Return failures and requests so far, as far as the rule is about them."""
        rule, failures, requests = self.rule, 0, 0
        for (route, upstream, status), count in traffic.requests.items():
            if fits(route, rule.routes) and fits(upstream, rule.upstreams):
                requests += count
                failures += count if self._is_failure(status) else 0
        if rule.causes:
            failures = sum(
                count
                for (route, upstream, cause), count in traffic.failures.items()
                if fits(route, rule.routes) and fits(upstream, rule.upstreams) and fits(cause, rule.causes)
            )
        return failures, requests

    def sample(self, now: float, wall: float, traffic: Traffic) -> str:
        """Look at the counters; return OPENED or RESOLVED when that is to be told, else ""."""
        failures, requests = self._count(traffic)
        if self._past and (failures < self._past[-1][1] or requests < self._past[-1][2]):
            failures, requests = max(failures, self._past[-1][1]), max(requests, self._past[-1][2])  # some are not heard yet
        if self._past and now - self._past[-1][0] < self.rule.window / _SAMPLES:
            self._past[-1] = (self._past[-1][0], failures, requests)
        else:
            self._past.append((now, failures, requests))
        while len(self._past) > 2 and self._past[1][0] <= now - self.rule.window:
            self._past.popleft()
        return self._judge(now, wall)

    def counted(self) -> tuple[int, int]:
        """Return failures and requests within the window."""
        if len(self._past) < 2:
            return 0, 0
        (_, *first), (_, *last) = self._past[0], self._past[-1]
        return last[0] - first[0], last[1] - first[1]

    def _judge(self, now: float, wall: float) -> str:
        failures, requests = self.counted()
        share = min(failures / requests, 1.0) if requests else 0.0
        above = requests >= self.rule.requests and share > (self.rule.share or 0.0)
        if above == self.open:
            self._since = -1.0
            return ""
        if self._since < 0:
            self._since, self._since_wall = now, wall
        if now - self._since < self.rule.lasting:
            return ""
        self._since, self.open = -1.0, above
        if above:
            self.first = self._since_wall
        return OPENED if above else RESOLVED

    def told(self, wall: float) -> dict[str, Any]:
        """Return it as the subject of a message."""
        failures, requests = self.counted()
        rule = self.rule
        return {
            "name": self.name, "of": of(rule), "state": "open" if self.open else "resolved", "severity": "seen",
            "share": min(failures / requests, 1.0) if requests else 0.0, "limit": rule.share, "failures": failures,
            "requests": requests, "window": rule.window, "for": rule.lasting, "first": self.first,
            "resolved": None if self.open else wall, "upstream": rule.upstreams[0] if len(rule.upstreams) == 1 else "",
            "cause": rule.causes[0] if len(rule.causes) == 1 else "",
        }  # fmt: skip

    def follow(self, before: "Share") -> None:
        """Go on where the same rule was before a reload."""
        self.open, self.first = before.open, before.first
        if (before.rule.routes, before.rule.upstreams, before.rule.causes, before.rule.statuses) == (
            self.rule.routes, self.rule.upstreams, self.rule.causes, self.rule.statuses,
        ):  # fmt: skip
            self._past, self._since, self._since_wall = before._past, before._since, before._since_wall


def of(rule: Notify) -> str:
    """Return what a rule is about: "Status 502 of shop", "connection-refused of any upstream"."""
    what = ", ".join(rule.causes) if rule.causes else f"Status {', '.join(rule.statuses or ('500-599',))}"
    where = [", ".join(names) for names in (rule.routes, rule.upstreams) if names]
    return f"{what} of {', '.join(where)}" if where else what


def name_of(rule: Notify) -> str:
    """Return the name of a rule about a share."""
    return rule.name or f"{of(rule)} above {(rule.share or 0) * 100:.3g} %"
