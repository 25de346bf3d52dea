"""The record of an exchange → an explanation for people: what happened, how we know, when, and what to do next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..model.cause import Cause
from ..model.exchange import NEVER, Attempt, Exchange
from ..model.phases import CONNECT, HEAD, RESOLVE, SEND, TLS
from ..model.verdicts import VERDICTS
from .catalogue import bullets
from .evidence import evidence
from .redact import escape, redact_target
from .sentence import duration, sentence, values

__all__ = ["Explanation", "Step", "escape", "explain", "explain_attempt", "redact_target"]

_CHECKS_SHOWN: Final = 3
_RETRY_RULES: Final = {
    "never": "never tried again: the same request would fail the same way, or may have been carried out",
    "unsent": "may be tried again with any method: nothing of the request had been sent",
    "idempotent": "tried again only where repeating is harmless: an idempotent method and a body that was kept",
    "reused-only": "tried again on a new connection where repeating is harmless: the server most likely never saw the request",
}
"""What follows from a cause's retry class, for records without a verdict of their own."""
_NOT_ASKED: Final = "no server was asked: there was nothing to try again"
"""What is said instead where the exchange came to no attempt."""
_HOST_AND_PORT: Final = re.compile(r"([\w.-]+|\[[\w.:]+\]):(\d+)")
_STEPS: Final = (
    ("resolved", RESOLVE, "t_resolved"),
    ("connected", CONNECT, "t_connected"),
    ("TLS established", TLS, "t_secured"),
    ("request sent", SEND, "t_sent"),
    ("first byte", HEAD, "t_first"),
    ("head complete", HEAD, "t_head"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a timeline. Both times are milliseconds, -1 for what never happened."""

    name: str
    at_ms: float  # since the attempt (or the exchange) began
    took_ms: float  # since the step before

    @property
    def text(self) -> str:
        """The step as words: "connected at 2 ms (+1.5 ms)", "first byte never"."""
        return f"{self.name} never" if self.at_ms < 0 else f"{self.name} at {duration(self.at_ms)} (+{duration(self.took_ms)})"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one exchange, or one attempt, ended as it did. All texts are single lines of printable ASCII."""

    cause: Cause | None  # None: nothing failed
    headline: str  # "502 closed-before-answer: The server closed the connection without answering"
    sentence: str  # what happened, with the numbers
    evidence: tuple[str, ...]  # what was observed
    timeline: tuple[Step, ...]
    verdict: str  # whether another try was made or may be made, and why; "" when nothing failed
    next_steps: tuple[str, ...]  # what to check first, then the most likely fix
    bytes: str  # the offending bytes, escaped and redacted, or ""


def explain(exchange: Exchange) -> Explanation:
    """Explain what the client was told; for a request that was served on a later try, what went wrong before."""
    failed = [attempt for attempt in exchange.attempts if attempt.cause is not None]
    if exchange.cause is None:
        return explain_attempt(exchange, failed[-1]) if failed else _served(exchange)
    for attempt in reversed(failed):
        if attempt.cause is exchange.cause:
            return explain_attempt(exchange, attempt)
    last = exchange.attempts[-1] if exchange.attempts else None
    return _explain(exchange, last, exchange.cause, exchange.facts or {}, exchange.signal)


def explain_attempt(exchange: Exchange, attempt: Attempt) -> Explanation:
    """Explain one attempt of `exchange`, whatever became of the others."""
    if attempt.cause is None:
        return _served(exchange, attempt)
    return _explain(exchange, attempt, attempt.cause, attempt.facts or {}, attempt.signal)


def _explain(
    exchange: Exchange, attempt: Attempt | None, cause: Cause, facts: Mapping[str, Any], signal: str | None
) -> Explanation:
    known = values(exchange, attempt, facts, cause)
    told = exchange.status if exchange.cause is cause and exchange.status else cause.status
    return Explanation(
        cause=cause,
        headline=f"{told} {cause.code}: {cause.title}",
        sentence=sentence(cause, known),
        evidence=evidence(known, signal),
        timeline=timeline(attempt) if attempt is not None else _short_timeline(exchange),
        verdict=_verdict(attempt, cause),
        next_steps=_next_steps(cause, known),
        bytes=str(known.get("excerpt", "")),
    )


def _served(exchange: Exchange, attempt: Attempt | None = None) -> Explanation:
    attempt = attempt or (exchange.attempts[-1] if exchange.attempts else None)
    status = (attempt.status if attempt else 0) or exchange.status
    words = f"{exchange.outcome or 'running'}: nothing failed"
    steps = timeline(attempt) if attempt else _short_timeline(exchange)
    return Explanation(None, f"{status} {words}" if status else words, "Nothing failed.", (), steps, "", (), "")


def timeline(attempt: Attempt) -> tuple[Step, ...]:
    """Return the attempt's steps in order. Steps that did not apply (an address instead of a name, no TLS) are left out."""
    steps: list[Step] = []
    before = attempt.t_start
    for name, phase, slot in _STEPS:
        at: float = getattr(attempt, slot)
        if phase <= TLS and (attempt.reused or (at < 0 and not _awaited(attempt, phase))):
            continue
        steps.append(_step(name, attempt.t_start, before, at))
        before = max(before, at)
    steps.append(_step("failed" if attempt.signal else "end", attempt.t_start, before, attempt.t_end))
    return tuple(steps)


def _awaited(attempt: Attempt, phase: int) -> bool:
    """Whether a step before the request that did not happen was still due when the attempt ended."""
    return phase >= attempt.phase and (phase != TLS or attempt.server.startswith("https:"))


def _step(name: str, start: float, before: float, at: float) -> Step:
    return Step(name, -1, -1) if at < 0 else Step(name, (at - start) * 1000, max(0.0, at - before) * 1000)


def _short_timeline(exchange: Exchange) -> tuple[Step, ...]:
    return (_step("end", exchange.t_begin, exchange.t_begin, exchange.t_end),) if exchange.t_end > NEVER else ()


def _verdict(attempt: Attempt | None, cause: Cause) -> str:
    if attempt is not None and attempt.verdict and attempt.cause is cause:
        return VERDICTS.get(attempt.verdict, attempt.verdict)
    return _RETRY_RULES[cause.retry] if attempt is not None else _NOT_ASKED


def _next_steps(cause: Cause, known: Mapping[str, Any]) -> tuple[str, ...]:
    checks = bullets(cause.sections.get("What to check", ""))[:_CHECKS_SHOWN]
    fixes = bullets(cause.sections.get("How to fix", ""))[:1]
    return tuple(_addressed(line, known) for line in (*checks, *fixes))


def _addressed(line: str, known: Mapping[str, Any]) -> str:
    """Put this failure's address and names where the catalogue says HOST, PORT and NAME.

    A `:PORT` without a host stays: it is meant for the server itself, where a mapped port has another number.
    """
    address, name, upstream = (str(known.get(key, "")) for key in ("address", "name", "upstream"))
    if upstream:
        line = line.replace("upstream.NAME", f"upstream.{upstream}")
    if name:
        line = line.replace("-servername NAME", f"-servername {name}")
    if match := _HOST_AND_PORT.fullmatch(address):
        line = line.replace("HOST:PORT", address)
        line = re.sub(r"(?<!:)\bPORT\b", match[2], re.sub(r"\bHOST\b", match[1].strip("[]"), line))
    return line
