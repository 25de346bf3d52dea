"""An exchange that failed, as plain data: what the control process keeps as a sample, and every page and export is made of.

It holds what operators may see: addresses, evidence, the offending bytes. Secrets in the target and in bytes are left out, and
every text is bounded, whatever clients and servers sent.
"""

from typing import Any, Final

from ..diagnose.explain import Step, explain, explain_attempt
from ..diagnose.redact import REDACTED, redact_target
from ..model.exchange import NEVER, Attempt, Exchange
from ..model.phases import PHASES

_LONGEST: Final = 500
"""Characters of a text."""
_ATTEMPTS: Final = 12
"""Attempts told of one exchange: the first ones and the last."""


def record(exchange: Exchange, ended: float) -> dict[str, Any]:
    """Return an exchange as JSON has it. ended: wall-clock seconds of its end."""
    told = explain(exchange)
    attempts = exchange.attempts
    if len(attempts) > _ATTEMPTS:
        attempts = attempts[: _ATTEMPTS - 1] + attempts[-1:]
    return {
        "reference": _text(exchange.reference),
        "at": round(ended - (exchange.t_end - exchange.t_begin), 3) if exchange.t_end > NEVER else round(ended, 3),
        "client": _text(exchange.client),
        "method": _raw(exchange.method),
        "host": _raw(exchange.host),
        "target": _text(redact_target(exchange.target.decode("latin-1"))),
        "route": _text(exchange.route),
        "upstream": _text(exchange.upstream),
        "status": exchange.status,
        "outcome": exchange.outcome,
        "cause": exchange.cause.code if exchange.cause is not None else None,
        "duration_ms": _between(exchange.t_begin, exchange.t_end),
        "headline": _text(told.headline),
        "sentence": _text(told.sentence),
        "next_steps": [_text(step) for step in told.next_steps],
        "tries": len(exchange.attempts),
        "attempts": [_attempt(exchange, attempt) for attempt in attempts],
    }


def _attempt(exchange: Exchange, attempt: Attempt) -> dict[str, Any]:
    told = explain_attempt(exchange, attempt)
    facts = attempt.facts or {}
    excerpt = facts.get("excerpt", b"")
    return {
        "server": _text(attempt.server),
        "address": _text(attempt.address),
        "phase": PHASES[attempt.phase],
        "signal": attempt.signal,
        "cause": attempt.cause.code if attempt.cause is not None else None,
        "verdict": told.verdict,
        "reused": attempt.reused,
        "status": attempt.status,
        "began_ms": _between(exchange.t_begin, attempt.t_start),
        "took_ms": _between(attempt.t_start, attempt.t_end),
        "steps": [_step(step) for step in told.timeline],
        "sentence": _text(told.sentence),
        "evidence": [_text(line) for line in told.evidence],
        "bytes": _text(told.bytes),
        "excerpt": excerpt[:64].hex() if isinstance(excerpt, bytes) and REDACTED not in told.bytes else "",
        "offset": facts.get("offset", -1),
    }


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "at_ms": round(step.at_ms, 1), "took_ms": round(step.took_ms, 1)}


def _between(start: float, end: float) -> float | None:
    return round((end - start) * 1000, 1) if end > NEVER else None


def _raw(value: bytes) -> str:
    return _text(value.decode("latin-1"))


def _text(value: str) -> str:
    """Return a text that JSON, a database and a page can hold: bounded, and without halves of characters."""
    return value[:_LONGEST].encode("utf-8", "backslashreplace").decode()
