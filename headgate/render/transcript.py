"""An exchange as plain data from which the exchange can be made again: for another process, that has the time to explain it.

What is made on the path of traffic is little more than a copy of the record; texts come later, elsewhere.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ..diagnose.catalogue import catalogue
from ..model.cause import Cause
from ..model.exchange import Attempt, Exchange
from ..model.trace import Trace

MOST_ATTEMPTS: Final = 12
"""Attempts that are told of one exchange: the first ones and the last."""
_LONGEST: Final = 1024
_LONGEST_FACT: Final = 500
_MOST_FACTS: Final = 32
_BYTES: Final = ("method", "target", "host")
_OF_EXCHANGE: Final = (
    "reference", "client", "scheme", "version", "route", "upstream", "status", "outcome", "signal", "received", "sent",
    "t_begin", "t_end",
)  # fmt: skip
_OF_ATTEMPT: Final = (
    "upstream", "server", "address", "reused", "opened", "idle", "requests", "phase", "signal", "verdict", "status", "sent",
    "received", "body_received", "body_expected", "t_start", "t_resolved", "t_connected", "t_secured", "t_sent", "t_first",
    "t_head", "t_end",
)  # fmt: skip
_exchange: Final = attrgetter(*_OF_EXCHANGE)
_attempt: Final = attrgetter(*_OF_ATTEMPT)


class Told(NamedTuple):
    """What a transcript told of."""

    exchange: Exchange
    trace: Trace | None
    number: tuple[int, ...]  # of each attempt in the list of all, from 0


def transcript(exchange: Exchange, trace: Trace | None) -> dict[str, Any]:
    """Return an exchange that is over, and its trace, as JSON has it."""
    attempts, numbers = exchange.attempts, _numbers(exchange)
    told: dict[str, Any] = {
        "exchange": _exchange(exchange),
        "bytes": [getattr(exchange, name)[:_LONGEST].decode("latin-1") for name in _BYTES],
        "attempts": [[number, *_attempt(attempts[number]), *_why(attempts[number])] for number in numbers],
    }
    if exchange.cause is not None:
        told["cause"] = _why(exchange)
    if trace is not None:
        spans = [trace.span_of(attempts[number]) for number in numbers]
        told["trace"] = [trace.trace_id, trace.flags, trace.parent_id, trace.state, trace.span_id, spans]
    return told


def _numbers(exchange: Exchange) -> list[int]:
    """Return which attempts are told of, as places in the list of all."""
    numbers = list(range(len(exchange.attempts)))
    return numbers if len(numbers) <= MOST_ATTEMPTS else [*numbers[: MOST_ATTEMPTS - 1], numbers[-1]]


def _why(failed: Exchange | Attempt) -> tuple[str | None, Any]:
    """Return the code of a cause, and the facts."""
    return failed.cause.code if failed.cause is not None else None, _plain(failed.facts) if failed.facts else None


def _plain(value: Any) -> Any:
    """Return a value of the facts as JSON has it, within bounds. Bytes become a text of as many characters."""
    if isinstance(value, bytes):
        return value[:_LONGEST_FACT].decode("latin-1")
    if isinstance(value, str):
        return value[:_LONGEST_FACT]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in list(value.items())[:_MOST_FACTS]}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:_MOST_FACTS]]
    return value


def told_by(transcript: Mapping[str, Any]) -> Told:
    """Return what a transcript tells of. Raises KeyError, TypeError or ValueError for what is none."""
    exchange = Exchange("", "", "", 0.0)
    _set(exchange, _OF_EXCHANGE, transcript["exchange"])
    for name, text in zip(_BYTES, transcript["bytes"], strict=True):
        setattr(exchange, name, text.encode("latin-1"))
    exchange.cause, exchange.facts = _because(transcript.get("cause", (None, None)))
    numbers = []
    for number, *values, code, facts in transcript["attempts"]:
        attempt = Attempt("", "", 0.0)
        _set(attempt, _OF_ATTEMPT, values)
        attempt.cause, attempt.facts = _because((code, facts))
        exchange.attempts.append(attempt)
        numbers.append(int(number))
    trace = _trace(transcript["trace"], exchange.attempts) if "trace" in transcript else None
    return Told(exchange, trace, tuple(numbers))


def _set(record: Exchange | Attempt, names: tuple[str, ...], values: list[Any]) -> None:
    for name, value in zip(names, values, strict=True):
        setattr(record, name, value)


def _because(why: Any) -> tuple[Cause | None, Any]:
    code, facts = why
    if facts and "excerpt" in facts:
        facts = {**facts, "excerpt": facts["excerpt"].encode("latin-1")}
    return catalogue()[code] if code is not None else None, facts


def _trace(values: Any, attempts: list[Attempt]) -> Trace:
    trace_id, flags, parent_id, state, span_id, spans = values
    return Trace(int(flags), trace_id, parent_id, state, span_id, dict(zip(attempts, spans, strict=True)))


def failures_of(exchange: Exchange) -> list[Attempt | None]:
    """Return the attempts that failed, and None where the exchange failed without, or beside, one; not for what clients did.

    Of attempts that are told of, as in a transcript.
    """
    attempts = (exchange.attempts[number] for number in _numbers(exchange))
    found: list[Attempt | None] = [one for one in attempts if one.cause is not None and one.cause.fault != "client"]
    if exchange.signal is not None and exchange.cause is not None and exchange.cause.fault != "client":
        found.append(None)
    return found
