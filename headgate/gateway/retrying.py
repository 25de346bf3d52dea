"""The retry settings of an upstream or a route, made ready: what may be tried again, how often, and after which pause."""

import random

from ..config.forms import statuses
from ..config.resilience import Retry
from ..traffic.backoff import pause
from ..traffic.budget import Budget

MOST_SERVERS = 10
"""Servers that are asked for one request when none can be connected to."""
KEPT = 32
"""Tries that the record of a request keeps while it is held, the first and the last ones: it must stay small."""


class Retrying:
    """What an exchange needs to know about its own retries."""

    __slots__ = (
        "asked",
        "attempts",
        "body_bytes",
        "budget",
        "hedge_after",
        "hold",
        "keyed",
        "per_try",
        "plain",
        "settings",
        "statuses",
    )

    def __init__(self, settings: Retry) -> None:
        self.settings = settings
        self.attempts = settings.attempts
        self.body_bytes = settings.body_bytes
        self.statuses = statuses(settings.statuses)
        self.per_try = settings.per_try or 0.0  # seconds, 0: bounded by the timeouts only
        self.hold = settings.hold or 0.0
        self.hedge_after = settings.hedge_after or 0.0
        self.keyed = settings.idempotency_key
        self.asked = 0  # requests that the budget has not been told of yet
        self.plain = not (self.per_try or self.hedge_after)  # a try is bounded by the timeouts alone
        self.budget = Budget(settings.budget.share, settings.budget.floor)

    @staticmethod
    def like(settings: Retry, before: "Retrying | None") -> "Retrying":
        """Return what stands for these settings: what was there before, with its budget, where they are the same."""
        return before if before is not None and before.settings == settings else Retrying(settings)

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False when there is none left."""
        self.settle(now)
        return self.budget.spend(now)

    def settle(self, now: float) -> None:
        """Tell the budget of the requests since the last time."""
        if self.asked:
            self.budget.request(now, self.asked)
            self.asked = 0

    def until_head(self, start: float, now: float, usual: float) -> tuple[str, float]:
        """Return the setting that bounds a try until its response head, and until when.

        start: of the try. now: the request has been handed over. usual: `timeouts.head`, seconds from now.
        """
        own, limit = start + self.per_try if self.per_try else now + usual, now + usual
        return ("per_try", own) if own < limit else ("head", limit)

    def pause(self, tries: int) -> float:
        """Return the seconds to wait before a server is asked again, drawn at random (full jitter). tries: those made so far."""
        return pause(max(1, tries), self.settings.backoff, self.settings.longest_backoff, random.random) or 0.0
