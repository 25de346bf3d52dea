"""Owns how strictly an autopsy reads an answer, and which of the gateway's own limits would have ended the attempt first."""

import time
from typing import Final

from ..config.schema import Timeouts
from ..diagnose.classify import classify
from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.facts import Facts
from ..model.phases import BODY, CONNECT, HEAD, TLS
from ..net.failing import Broken, fail
from ..net.streams import Link
from ..wire.limits import WireLimits
from ..wire.response import ResponseHead
from .answer import AnswerReader

_EXCERPT: Final = 64
_FLOWING: Final = 500
"""Milliseconds: a body that was silent for less is still coming."""


class StrictReader(AnswerReader):
    """Reads the answer to a GET that offered no upgrade; what the gateway would not take is a failure."""

    def __init__(self, link: Link, attempt: Attempt, end: float, limits: WireLimits) -> None:
        """end: when to give up, monotonic."""
        super().__init__(link, attempt, "GET", end, limits)

    async def read_head(self) -> tuple[ResponseHead, bytes]:
        """Return the final head, and its bytes. Raises Broken; 101 is a failure."""
        head, raw = await super().read_head()
        if head.status == 101:
            accepted = head.upgrade.decode("latin-1")[:_EXCERPT]
            raise Broken(HEAD, s.UPGRADE, {"accepted": accepted} if accepted else {})
        return head, raw

    async def _read_on(self) -> None:
        """Nothing is read after illegal bytes: the gateway does not either, and its limits would pass meanwhile."""

    def look_behind(self) -> None:
        """Write into the attempt that bytes stand behind the end of the answer, where some do."""
        if self.buffer and self.attempt.signal is None and self.attempt.t_head > NEVER:
            found: Facts = {"rule": "unsolicited", "excerpt": self.buffer[:_EXCERPT], "seen": len(self.buffer)}
            fail(self.attempt, Broken(BODY, s.MALFORMED, found))


def flowing(attempt: Attempt) -> bool:
    """Forget that an attempt's time was up where its body was still coming: a long answer is no failure."""
    facts = attempt.facts or {}
    if attempt.phase != BODY or attempt.signal != s.DEADLINE or facts.get("silent_ms", _FLOWING) >= _FLOWING:
        return False
    attempt.signal, attempt.facts, attempt.cause = None, None, None
    return True


Limit = tuple[float, int, str, str, float]
"""When a limit ends an attempt (monotonic), in which phase, by which signal, its key, and its value in seconds."""


def overdue(attempt: Attempt, timeouts: Timeouts) -> bool:
    """Make an attempt that is over what the gateway would have seen: the first of its limits that was passed ends it.

    Returns whether one was. What came after that, a late answer or another failure, is put into words elsewhere.
    """
    end = attempt.t_end if attempt.t_end > NEVER else time.monotonic()
    passed = [one for one in _limits(attempt, timeouts, end) if one[0] < end]
    if not passed:
        return False
    at, phase, signal, limit, value = min(passed)
    late = attempt.facts.copy() if attempt.facts is not None and attempt.signal == signal else Facts()
    came = attempt.received > 0 and NEVER < attempt.t_first < at
    facts: Facts = late | {
        "limit": limit, "limit_value": value, "untouched": not came, "sent": attempt.sent,
        "received": attempt.received if came else 0, "elapsed_ms": round((at - attempt.t_start) * 1000),
    }  # fmt: skip
    if phase == HEAD:
        facts["silent_ms"] = round(value * 1000) if signal == s.DEADLINE and not came else facts.get("silent_ms", -1)
    attempt.phase, attempt.signal, attempt.facts = phase, signal, facts
    attempt.cause = classify(phase, signal, facts)
    return True


def _limits(attempt: Attempt, timeouts: Timeouts, end: float) -> list[Limit]:
    """Return the limits of the phases that were reached, each with the moment at which it ends a phase that lasts longer."""
    found: list[Limit] = []
    connecting = attempt.t_connected if attempt.t_connected > NEVER else end
    if attempt.phase >= CONNECT and connecting > attempt.t_start + timeouts.connect:
        found.append((attempt.t_start + timeouts.connect, CONNECT, s.DEADLINE, "timeouts.connect", timeouts.connect))
    securing = attempt.t_secured if attempt.t_secured > NEVER else end if attempt.phase == TLS else attempt.t_connected
    if NEVER < attempt.t_connected < securing - timeouts.tls:
        found.append((attempt.t_connected + timeouts.tls, TLS, s.DEADLINE, "timeouts.tls", timeouts.tls))
    if attempt.t_sent > NEVER:
        heard = attempt.t_head if attempt.t_head > NEVER else end
        if heard > attempt.t_sent + timeouts.head:
            found.append((attempt.t_sent + timeouts.head, HEAD, s.DEADLINE, "timeouts.head", timeouts.head))
    if attempt.phase == BODY and attempt.signal == s.DEADLINE:
        last = end - (attempt.facts or {}).get("silent_ms", 0) / 1000
        if end - last > timeouts.idle:
            found.append((last + timeouts.idle, BODY, s.DEADLINE, "timeouts.idle", timeouts.idle))
    total = attempt.t_start + timeouts.total
    phase = BODY if NEVER < attempt.t_head < total else HEAD
    found.append((total, phase, s.TOTAL_DEADLINE, "timeouts.total", timeouts.total))
    return found
