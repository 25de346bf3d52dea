"""Owns whether an upstream as a whole may be asked now: a circuit breaker that is closed, open or half-open."""

from typing import Final

from .backoff import Growing
from .window import Window

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"

CHANGES: Final = {
    (CLOSED, "tripped"): OPEN,  # too large a share of the requests failed
    (OPEN, "rested"): HALF_OPEN,  # its time is over and somebody asks
    (HALF_OPEN, "proved"): CLOSED,  # every probe succeeded
    (HALF_OPEN, "failed"): OPEN,  # a probe failed
}
"""The whole machine: what happened in which state leads where. Everything else changes nothing."""


class Breaker:
    """The breaker of one upstream, in one process.

    A request asks `allow` and hands the pass it got back to one of `succeeded`, `failed` and `abandoned`, once. A pass is void
    after the next change of state, so that what was sent before the circuit opened is not taken for a probe.
    What counts as a failure is the caller's decision: not a client that went away, not the gateway's own overload.
    """

    __slots__ = (
        "_again", "_bad", "_good", "_out", "_pass", "_proved", "_rest", "_until",
        "min_requests", "opened", "probes", "refused", "share", "since", "state", "why", "window",
    )  # fmt: skip

    def __init__(
        self,
        share: float = 0.5,
        min_requests: int = 20,
        window: int = 10,
        open_for: float = 5.0,
        longest: float = 60.0,
        probes: int = 1,
    ) -> None:
        """Take the rules; raises ValueError.

        share: failures per request that open the circuit, above 0 to 1. min_requests: fewer within the window prove nothing.
        window: whole seconds. open_for: seconds of the first opening, doubled each time up to `longest`.
        probes: requests let through when half-open, all of which must succeed.
        """
        if not (0 < share <= 1 and min_requests >= 1 and window >= 1 and probes >= 1):
            raise ValueError(
                f"share {share}, min_requests {min_requests}, window {window}, probes {probes}: no breaker can follow that"
            )
        self.share = share
        self.min_requests = min_requests
        self.window = window
        self.probes = probes
        self.state = CLOSED
        self.since = -1.0  # monotonic seconds of the last change; -1: none yet
        self.why = ""
        self.opened = 0  # times it opened, ever
        self.refused = 0  # requests not allowed, ever
        self._rest = Growing(open_for, longest)
        self._good = Window(window - 1)
        self._bad = Window(window - 1)
        self._pass = 1
        self._until = 0.0  # open: when it may be tried
        self._out = 0  # half-open: probes under way (without meaning when closed)
        self._proved = 0  # half-open: probes that succeeded
        self._again = 0.0  # half-open: when one more probe may go although none came back

    def allow(self, now: float) -> int:
        """Return a pass for one request, 0 when it must not be sent. Called per request."""
        return self._pass if self.state is CLOSED else self._probe(now)

    def succeeded(self, now: float, given: int) -> None:
        """Hear that the request with this pass was answered. Called per request."""
        if given != self._pass:
            return
        if self.state is CLOSED:
            self._good.add(now)
            return
        self._out -= 1
        self._proved += 1
        if self._proved >= self.probes:
            self._change("proved", now, f"{_count(self._proved, 'probe')} succeeded")

    def failed(self, now: float, given: int) -> None:
        """Hear that the request with this pass failed on the upstream's account."""
        if given != self._pass:
            return
        if self.state is not CLOSED:
            self._change("failed", now, "a probe failed")
            return
        self._bad.add(now)
        bad, total = self._bad.total(now), self._bad.total(now) + self._good.total(now)
        if total >= self.min_requests and bad >= self.share * total:
            self._change("tripped", now, f"{bad} of {_count(total, 'request')} failed within {self.window} s")

    def abandoned(self, now: float, given: int) -> None:
        """Hear that the request with this pass proved nothing, as its client went away: another may be the probe."""
        if given == self._pass:
            self._out -= 1

    def retry_after(self, now: float) -> float:
        """Return the seconds after which a request has a chance; 0 when it has one now."""
        if self.state is CLOSED:
            return 0.0
        if self.state is OPEN:
            return max(0.0, self._until - now)
        return max(0.0, self._again - now) if self._out + self._proved >= self.probes else 0.0

    def _probe(self, now: float) -> int:
        """Return a pass for a probe, if one is due.

        Probes that do not come back (long requests) must not keep the circuit half-open for ever: one more goes now and then.
        """
        if self.state is OPEN and now >= self._until:
            self._change("rested", now, f"{now - self.since:.3g} s are over")
        if self.state is OPEN or (self._out + self._proved >= self.probes and now < self._again):
            self.refused += 1
            return 0
        self._out += 1
        self._again = now + self._rest.base
        return self._pass

    def _change(self, event: str, now: float, why: str) -> None:
        calm = now - self.since if self.state is CLOSED else 0.0
        self.state = CHANGES[self.state, event]
        self.since = now
        self.why = why
        self._pass += 1
        self._out = self._proved = 0
        if self.state is OPEN:
            self.opened += 1
            self._until = now + self._rest.next(calm)
        self._good.clear()
        self._bad.clear()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
