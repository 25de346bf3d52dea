"""Owns how a failed step of a request of our own (a probe's, a check's) becomes an attempt with its cause."""

import time

from ..diagnose.classify import classify
from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.facts import Facts
from .errnos import TCP, UNIX, errno_text
from .symptoms import signal_of


class Broken(Exception):
    """A step failed: in which phase, by which signal, with which facts."""

    def __init__(self, phase: int, signal: str, facts: Facts | None = None) -> None:
        super().__init__(signal)
        self.phase, self.signal, self.facts = phase, signal, facts or Facts()


def of_connect(error: OSError, phase: int, path: str = "") -> Broken:
    """Return what a failed connect means."""
    number = error.errno or 0
    facts: Facts = {"errno": number, "error": errno_text(number) if number else str(error)}
    if path:
        facts["path"] = path
    return Broken(phase, (UNIX if path else TCP).get(number, s.UNEXPECTED), facts)


def of_stream(error: BaseException, phase: int) -> Broken:
    """Return what an exception on an established connection, or in a handshake, means."""
    return Broken(phase, *signal_of(error))


def late(phase: int, seconds: float) -> Broken:
    """Return that a step was not finished in time."""
    return Broken(phase, s.DEADLINE, {"limit": "timeout", "limit_value": round(seconds, 3)})


def fail(attempt: Attempt, broken: Broken) -> Attempt:
    """Write a failure into its attempt, and name the cause."""
    now = time.monotonic()
    attempt.phase, attempt.signal, attempt.t_end = broken.phase, broken.signal, now
    known: Facts = {
        "sent": attempt.sent, "received": attempt.received, "untouched": attempt.received == 0, "reused": attempt.reused,
        "elapsed_ms": round((now - attempt.t_start) * 1000),
    }  # fmt: skip
    if attempt.status:
        known["status"] = attempt.status
    if attempt.reused:
        known |= {"idle_ms": round(attempt.idle * 1000), "requests": attempt.requests}
    if attempt.t_head > NEVER:
        known["body_received"] = attempt.body_received
        if attempt.body_expected >= 0:
            known["body_expected"] = attempt.body_expected
    attempt.facts = known | broken.facts
    attempt.cause = classify(attempt.phase, attempt.signal, attempt.facts)
    return attempt
