"""The retry settings of an upstream or a route, made ready: what may be tried again, how often, and after which pause."""

import random

from ..config.forms import statuses
from ..config.resilience import Retry
from ..traffic.backoff import pause
from ..traffic.budget import Budget

AT_ONCE = 0.0
"""No pause: the next try goes to another server, or replaces a kept connection that had closed."""
MOST_TRIES = 100
"""Tries of one request in all, those while it is held included: its record must stay small."""


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

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False when there is none left."""
        self.settle(now)
        return self.budget.spend(now)

    def settle(self, now: float) -> None:
        """Tell the budget of the requests since the last time."""
        if self.asked:
            self.budget.request(now, self.asked)
            self.asked = 0

    def pause(self, tries: int, *, same: bool, asked: float = -1.0) -> float:
        """Return the seconds to wait before another try, drawn at random (full jitter).

        tries: those made so far. same: the next one goes to a server that has failed already. asked: what the server named in
        Retry-After, -1 for nothing; waiting longer than its client may is no use, so it only counts where it is short.
        """
        if not same and asked < 0:
            return AT_ONCE
        settings = self.settings
        found = pause(max(1, tries), settings.backoff, settings.longest_backoff, random.random, asked)
        return settings.longest_backoff if found is None else found
