"""Owns whether visitors are served by an upstream: what they saw succeed and fail lately, in one process and in several together.

Tries that were rescued do not count: this is about answers that people got. Times are monotonic seconds, which all processes of a
machine share; 0 means never.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

_HALF_LIFE: Final = 5.0
"""Seconds after which an answer weighs half as much in a share."""
QUIET: Final = 2.0
"""Seconds without a failure after which a single success means that it works again."""
_FEW: Final = 3.0
"""Successes, by weight, from which on the share of failures is to be believed."""
_BROKEN: Final = 0.2
_DISTURBED: Final = 0.05
"""Shares of failures from which on it does not work, and from which on it is disturbed."""
_SOME: Final = 0.5
"""Weight of failures below which there is no disturbance left."""
_DOWN: Final = 3
"""Failures without a success between them after which it is down, not disturbed."""
CALM: Final = 10.0
"""Seconds in which it has to work for its trouble to be over, so that the next one has a beginning of its own."""
_SHORTEST: Final = 2.0
_LONGEST: Final = 15.0
_PATIENCE: Final = 20.0
"""Seconds between two trials: at least, at most, and how many times shorter than the trouble so far."""


class Evidence(NamedTuple):
    """What answers showed, at a time."""

    at: float = 0.0  # what the weights are as of
    failed: float = 0.0  # last failure
    answered: float = 0.0  # last success
    good: float = 0.0  # successes and failures, by weight
    bad: float = 0.0
    run: int = 0  # failures since the last success
    begun: float = 0.0  # when the present trouble began

    @staticmethod
    def of(data: Any) -> "Evidence":
        """Read one from JSON. Raises TypeError or ValueError for what is none."""
        if not isinstance(data, list | tuple) or len(data) != len(Evidence._fields):
            raise ValueError(f"evidence has {len(Evidence._fields)} numbers")
        if any(type(value) not in (int, float) or not isfinite(value) or value < 0 for value in data):
            raise ValueError("evidence is numbers from 0 on")
        at, failed, answered, good, bad, run, begun = data
        return Evidence(at, failed, answered, good, bad, int(run), begun)

    def weighed(self, now: float) -> "Evidence":
        """Return the same with the weights of this time."""
        fade = 0.5 ** (max(0.0, now - self.at) / _HALF_LIFE)
        return self._replace(at=now, good=self.good * fade, bad=self.bad * fade)


def together(several: Iterable[Evidence], now: float) -> Evidence:
    """Return what several processes saw as one."""
    found = [one.weighed(now) for one in several]
    answered = max((one.answered for one in found), default=0.0)
    return Evidence(
        now,
        max((one.failed for one in found), default=0.0),
        answered,
        sum(one.good for one in found),
        sum(one.bad for one in found),
        sum(one.run for one in found if one.failed >= answered),
        min((one.begun for one in found if one.begun), default=0.0),
    )


def works(seen: Evidence, now: float) -> bool:
    """Tell whether the next visitor is probably served. Without any evidence: yes."""
    if not seen.failed or (seen.answered > seen.failed and now - seen.failed >= QUIET):
        return True
    seen = seen.weighed(now)
    return seen.good >= _FEW and seen.bad < _BROKEN * (seen.good + seen.bad)


def is_disturbed(seen: Evidence, now: float) -> bool:
    """Tell whether too many of the last answers were failures, though it works."""
    seen = seen.weighed(now)
    return seen.bad >= _SOME and seen.bad >= _DISTURBED * (seen.good + seen.bad)


def is_down(seen: Evidence) -> bool:
    """Tell, of what does not work, whether nobody is served at all."""
    return seen.run >= _DOWN


def between_trials(trouble: float) -> float:
    """Return how many seconds lie between two trials, after so many of trouble."""
    return min(_LONGEST, max(_SHORTEST, trouble / _PATIENCE))


class Serving:
    """What one process sees of one upstream."""

    __slots__ = ("answered_at", "bad", "begun", "failed_at", "good", "news", "ran", "run", "tried_at", "weighed_at")

    def __init__(self) -> None:
        self.weighed_at = self.failed_at = self.answered_at = self.good = self.bad = self.begun = 0.0
        self.tried_at = 0.0  # when somebody was last sent to try it
        self.run = self.ran = 0  # failures since the last success; the same before it
        self.news = False  # it works, or does not, since this was last told

    def failed(self, now: float) -> None:
        """Count a visitor who got an error.

        One that was counted as served at this very moment is the same one: a server answered, and said that it cannot serve.
        """
        if self.answered_at == now:
            self.run = self.ran
        self.news = self.news or self.run == 0
        self._weigh(now)
        self.bad += 1
        self.run += 1
        self.failed_at = now
        self.begun = self.begun or now

    def answered(self, now: float, count: int) -> None:
        """Count visitors who were served."""
        self.news = self.news or self.run > 0
        if self.failed_at:
            self._weigh(now)
            self.good += count
        self.answered_at = now
        self.run, self.ran = 0, self.run

    def _weigh(self, now: float) -> None:
        fade = 0.5 ** (max(0.0, now - self.weighed_at) / _HALF_LIFE)
        self.good, self.bad, self.weighed_at = self.good * fade, self.bad * fade, now

    def evidence(self) -> Evidence:
        """Return what it saw."""
        return Evidence(self.weighed_at, self.failed_at, self.answered_at, self.good, self.bad, self.run, self.begun)

    def told(self) -> Evidence:
        """Return what it saw, to be told."""
        self.news = False
        return self.evidence()

    def settle(self, seen: Evidence, now: float) -> bool:
        """Forget trouble that is over; return whether there is any. seen: by all processes."""
        if self.failed_at and now - seen.failed >= CALM and works(seen, now):
            self.failed_at = self.begun = self.good = self.bad = 0.0
            self.run = 0
        return self.failed_at > 0

    def may_be_tried(self, seen: Evidence, now: float) -> bool:
        """Tell whether somebody is to try it now, since nobody has for a while; True counts as such a trial.

        seen: by all processes.
        """
        last = max(seen.failed, seen.answered, self.tried_at)
        if now - last < between_trials(now - (seen.begun or now)):
            return False
        self.tried_at = now
        return True


def packed(evidence: Evidence) -> Sequence[float]:
    """Return it as JSON has it, without more digits than anybody needs."""
    return [round(value, 3) for value in evidence]
