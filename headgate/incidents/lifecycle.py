"""Owns when an incident is over, when it is the same one again, and when it got worse.

    state      what happens                                 state afterwards   said
    (none)     a failure                                    open               opened
    open       a failure                                    open               worse or changed, where `Level` says so
    open       quiet for `sure_after` seconds               resolved           resolved
    open       an operator resolves it                      resolved           resolved
    resolved   the same failure, before `reopens_until`     open               reopened
    resolved   the same failure, later                      (another one)      opened

Acknowledging says that somebody is on it, and ends when it is reopened. Silencing says that nobody is to be told, until a
time. Neither changes the state. An operator who resolves what still fails is contradicted by the next failure.
"""

from dataclasses import dataclass
from typing import Final

OPEN: Final = "open"
RESOLVED: Final = "resolved"
OPENED: Final = "opened"
REOPENED: Final = "reopened"
WORSE: Final = "worse"
CHANGED: Final = "changed"
"""It has another main cause now."""

SEEN: Final = "seen"
"""Severity: users saw it."""
NEAR_MISS: Final = "near-miss"
"""Severity: every request was saved by another try or the cache."""

TABLE: Final = {
    ("", "failure"): (OPEN, OPENED),
    (OPEN, "failure"): (OPEN, ""),
    (OPEN, "quiet"): (RESOLVED, RESOLVED),
    (OPEN, "resolve"): (RESOLVED, RESOLVED),
    (RESOLVED, "failure"): (OPEN, REOPENED),
    (RESOLVED, "quiet"): (RESOLVED, ""),
    (RESOLVED, "resolve"): (RESOLVED, ""),
}
"""By state and what happens: the state afterwards, and what is said of it ("" for nothing)."""

_SURE_LEAST: Final = 30.0
_SURE_MOST: Final = 900.0
_SURE_GAPS: Final = 3.0
_REOPENS_LEAST: Final = 3600.0
_REOPENS_MOST: Final = 86_400.0
_REOPENS_LENGTHS: Final = 3.0
_WORSE_FROM: Final = 100
_AGAIN_WORSE: Final = 60.0
"""Seconds between two times that it is said to be worse."""


def sure_after(gap: float, reopened: int) -> float:
    """Return how many seconds of quiet mean that it is over.

    gap: the longest pause between failures so far, while it was open. Three times that pause without a failure is no longer
    a pause. Each time that it came back after it was thought over, this was too short, and doubles: so failures that come
    every ten minutes become one incident that stays open, and not one that opens every ten minutes.
    """
    return min(max(_SURE_LEAST, _SURE_GAPS * gap) * 2.0 ** min(reopened, 10), _SURE_MOST)


def reopens_until(first: float, last: float, resolved: float) -> float:
    """Return until when the same failure reopens it: an hour, or three times its length, at most a day after it was resolved."""
    return resolved + min(max(_REOPENS_LEAST, _REOPENS_LENGTHS * (last - first)), _REOPENS_MOST)


def severity(seen: int) -> str:
    """Return how bad it is, from how many exchanges users saw fail."""
    return SEEN if seen else NEAR_MISS


@dataclass(slots=True)
class Level:
    """How bad an incident was when somebody was last told of it."""

    seen: int = 0
    servers: int = 1
    cause: str = ""
    at: float = 0.0

    def change(self, seen: int, servers: int, cause: str, now: float) -> str:
        """Return WORSE, CHANGED or "", and remember what was said.

        Worse: users see it now; ten times as many of them as when it was last said (from a hundred); twice as many servers. That
        users see it is said at once, the rest at most once a minute.
        """
        if seen and not self.seen:
            said = WORSE
        elif abs(now - self.at) < _AGAIN_WORSE:
            return ""
        elif seen >= max(_WORSE_FROM, 10 * self.seen) or servers >= 2 * self.servers:
            said = WORSE
        else:
            said = CHANGED if cause != self.cause else ""
        if said:
            self.told(seen, servers, cause, now)
        return said

    def told(self, seen: int, servers: int, cause: str, now: float) -> None:
        """Remember how bad it was when it was said."""
        self.seen, self.servers, self.cause, self.at = seen, max(servers, 1), cause, now
