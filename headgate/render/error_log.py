"""Decides what the error log says of a failed attempt: one line of key=value pairs (logfmt), the telling ones first.

    time=2026-11-20T10:15:30.123Z level=error status=502 cause=connection-refused message="Nothing listens on ..." ...

Log collectors parse it as it stands, `grep cause=connection-refused` finds it, and people read the message. A value with
anything but plain characters is quoted as in JSON; none can break out of its quotes or its line. Secrets are left out.
"""

import json
import re
from typing import Final

from ..diagnose.redact import redact_target
from ..diagnose.sentence import sentence, values
from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES

_LONGEST: Final = {"message": 640, "request": 300, "reference": 128, "server": 160, "address": 100, "host": 100}
"""Most characters of a value by its key, so that a line with all of them stays below 2 KiB."""
_LONGEST_OTHER: Final = 80
_BARE: Final = re.compile(r"[A-Za-z0-9._~:/\[\]@,+*%-]+")
_WHOLE_ESCAPES: Final = re.compile(r"(?:[^\\]|\\u[0-9a-f]{4}|\\[^u])*")


def error_line(exchange: Exchange, attempt: Attempt | None, now_text: str) -> str:
    """Return the line for a failed attempt, or for an exchange that failed outside any attempt (None); without line feed.

    now_text: the time of the failure, RFC 3339 with milliseconds. `status` is what the client got or is about to get; it is
    missing while the exchange goes on with another try. `verdict` is one of model.verdicts: tried again or not, and why.
    """
    failed = exchange if attempt is None else attempt
    cause = failed.cause
    assert cause is not None, "only failures have an error line"
    last = attempt or (exchange.attempts[-1] if exchange.attempts else None)
    status = exchange.status or (exchange.cause.status if exchange.cause else 0)
    pairs = {
        "time": now_text,
        "level": "error",
        "status": str(status) if status else "",
        "cause": cause.code,
        "message": sentence(cause, values(exchange, last, failed.facts or {}, cause)),
        "verdict": (attempt.verdict or "") if attempt is not None else "",
        **(_where(exchange, attempt) if attempt is not None else {}),
        "reference": exchange.reference,
        "client": exchange.client,
        "host": exchange.host.decode("latin-1"),
        "request": _request(exchange),
        "route": exchange.route,
    }
    return " ".join(f"{key}={_value(text, _LONGEST.get(key, _LONGEST_OTHER))}" for key, text in pairs.items() if text)


def _where(exchange: Exchange, attempt: Attempt) -> dict[str, str]:
    return {
        "phase": PHASES[attempt.phase],
        "upstream": attempt.upstream,
        "server": attempt.server,
        "address": attempt.address,
        "attempt": str(exchange.attempts.index(attempt) + 1) if attempt in exchange.attempts else "",
    }


def _request(exchange: Exchange) -> str:
    if not exchange.method:
        return ""
    return f"{exchange.method.decode('latin-1')} {redact_target(exchange.target.decode('latin-1'))} HTTP/1.{exchange.version}"


def _value(text: str, longest: int) -> str:
    """Return `text` bare or quoted, of at most `longest` characters between the quotes."""
    if len(text) <= longest and _BARE.fullmatch(text):
        return text
    inner = json.dumps(text)[1:-1]
    if len(inner) > longest:
        whole = _WHOLE_ESCAPES.match(inner[: longest - 3])
        inner = (whole[0] if whole else "") + "..."
    return f'"{inner}"'
