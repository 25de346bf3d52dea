"""Decides what the error log says of a failed attempt: one line of key=value pairs (logfmt), the telling ones first.

    time=2026-11-20T10:15:30.123Z level=error status=502 cause=connection-refused message="Nothing listens on ..." ...

Log collectors parse it as it stands, `grep cause=connection-refused` finds it, and people read the message. A value with
anything but plain characters is quoted as in JSON; none can break out of its quotes or its line. Secrets are left out.
"""

import re
from functools import lru_cache
from json import JSONEncoder
from typing import Final

from ..diagnose.redact import redact_target
from ..diagnose.sentence import sentence_of
from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES

_LONGEST: Final = {"message": 640, "request": 300, "reference": 128, "server": 160, "address": 100, "host": 100}
"""Most characters of a value by its key, so that a line with all of them stays below 2 KiB."""
_LONGEST_OTHER: Final = 80
_BARE: Final = re.compile(r"[A-Za-z0-9._~:/\[\]@,+*%-]+")
_WHOLE_ESCAPES: Final = re.compile(r"(?:[^\\]|\\u[0-9a-f]{4}|\\[^u])*")

_quote: Final = JSONEncoder().encode
"""str → JSON string. json.dumps is the same with more ceremony."""


def error_line(exchange: Exchange, attempt: Attempt | None, now_text: str) -> str:
    """Return the line for a failed attempt, or for an exchange that failed outside any attempt (None); without line feed.

    now_text: the time of the failure, RFC 3339 with milliseconds. `status` is what the client got or is about to get; it is
    missing while the exchange goes on with another try. `verdict` is one of model.verdicts: tried again or not, and why.
    Level is `info` where no server was asked and the status blames the client (404, 405, 499, ...), else `error`.
    """
    failed = exchange if attempt is None else attempt
    cause = failed.cause
    assert cause is not None, "only failures have an error line"
    last = attempt or (exchange.attempts[-1] if exchange.attempts else None)
    status = exchange.status or (exchange.cause.status if exchange.cause else 0)
    level = "info" if attempt is None and not exchange.attempts and status < 500 else "error"
    return (
        f"time={now_text} level={level}{f' status={status}' if status else ''} cause={cause.code}"
        f"{_pair('message', sentence_of(exchange, last, failed.facts or {}, cause))}"
        f"{_where(exchange, attempt) if attempt is not None else ''}"
        f"{_pair('reference', exchange.reference)}{_pair('client', exchange.client)}"
        f"{_pair('host', exchange.host.decode('latin-1'))}{_pair('request', _request(exchange))}"
        f"{_often('route', exchange.route)}{_trace(exchange, attempt)}"
    )


def _trace(exchange: Exchange, attempt: Attempt | None) -> str:
    """Return the pairs that name the span of the attempt, or of the exchange, where it is part of a trace."""
    trace = exchange.trace
    if trace is None:
        return ""
    return f" trace_id={trace.trace_id} span_id={trace.span_of(attempt) if attempt is not None else trace.span_id}"


def _where(exchange: Exchange, attempt: Attempt) -> str:
    """Return what became of the attempt, and the pairs that tell where it was made."""
    attempts = exchange.attempts
    number = f" attempt={attempts.index(attempt) + 1}" if attempt in attempts else ""
    return _place(attempt.verdict or "", attempt.phase, attempt.upstream, attempt.server, attempt.address) + number


@lru_cache(1024)
def _place(verdict: str, phase: int, upstream: str, server: str, address: str) -> str:
    return (
        f"{_pair('verdict', verdict)}{_pair('phase', PHASES[phase])}"
        f"{_pair('upstream', upstream)}{_pair('server', server)}{_pair('address', address)}"
    )


def _request(exchange: Exchange) -> str:
    if not exchange.method:
        return ""
    return f"{exchange.method.decode('latin-1')} {redact_target(exchange.target.decode('latin-1'))} HTTP/1.{exchange.version}"


def _pair(key: str, text: str) -> str:
    """Return " key=value" with `text` bare or quoted, of at most so many characters as `key` may have; "" without a text."""
    if not text:
        return ""
    longest = _LONGEST.get(key, _LONGEST_OTHER)
    if len(text) <= longest and _BARE.fullmatch(text):
        return f" {key}={text}"
    quoted = _quote(text)
    if len(quoted) - len('""') > longest:
        whole = _WHOLE_ESCAPES.match(quoted, 1, longest - len("...") + 1)
        quoted = f'"{whole[0] if whole else ""}..."'
    return f" {key}={quoted}"


_often = lru_cache(1024)(_pair)
"""The same for texts of which there are few: what the configuration names."""
