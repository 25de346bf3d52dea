"""Decides what the access log says of each request: as JSON lines, or in Apache's combined form.

On the path of every request. The happy case (one attempt, nothing failed, harmless characters) is one f-string; all else
takes the slow road through `json`. Either way a record is one line and, for JSON, valid, whatever clients and servers sent.

Targets are logged as they came, query included, as other servers do: whoever may read the access log may read them.
Durations are milliseconds, and null stands for what did not happen. Of several attempts, `server` and the times are those
of the last; as soon as one failed, `tries` lists them all.
"""

import json
from functools import lru_cache
from typing import Any, Final

from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES

_PLAIN: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""Bytes that stand for themselves within a JSON string."""
_ESCAPED: Final = {code: f"\\x{code:02x}" for code in range(256) if code not in _PLAIN}
"""For the combined form, as nginx does it: no quote and no backslash is left to mislead a reader's pattern."""
_quoted = lru_cache(4096)(json.dumps)
"""str → JSON string, for what comes back often: names of routes and upstreams, addresses of servers."""


def json_line(exchange: Exchange, now_text: str) -> bytes:
    """Return the line for a finished exchange, line feed included. now_text: its end, RFC 3339 with milliseconds."""
    attempts = exchange.attempts
    if len(attempts) != 1 or exchange.cause is not None:
        return _slow_line(exchange, now_text)
    attempt = attempts[0]
    reference, client, method, host, target = exchange.reference, exchange.client, exchange.method, exchange.host, exchange.target
    if (
        attempt.signal is not None
        or attempt.t_head < 0
        or (method + host + target + reference.encode() + client.encode()).translate(None, _PLAIN)
    ):
        return _slow_line(exchange, now_text)
    start = attempt.t_start
    connect = "null" if attempt.reused or attempt.t_connected < 0 else f"{(attempt.t_connected - start) * 1000:.1f}"
    return (
        f'{{"time": "{now_text}", "reference": "{reference}", "client": "{client}", "method": "{method.decode()}", '
        f'"host": "{host.decode()}", "target": "{target.decode()}", "version": "1.{exchange.version}", '
        f'"status": {exchange.status}, "outcome": "{exchange.outcome}", "cause": null, '
        f'"sent": {exchange.sent}, "received": {exchange.received}, '
        f'"duration_ms": {(exchange.t_end - exchange.t_begin) * 1000:.1f}, '
        f'"route": {_quoted(exchange.route)}, "upstream": {_quoted(exchange.upstream)}, '
        f'"server": {_quoted(attempt.address)}, "attempts": 1, "upstream_status": {attempt.status}, "connect_ms": {connect}, '
        f'"head_ms": {(attempt.t_head - start) * 1000:.1f}, "reused": {"true" if attempt.reused else "false"}}}\n'
    ).encode("ascii")


def combined_line(exchange: Exchange, now_text: str, referer: bytes | None = None, agent: bytes | None = None) -> bytes:
    """Return the line in Apache's combined form, line feed included.

    now_text: the time as "20/Nov/2026:10:15:30 +0000". referer, agent: the request's fields, None where absent. The size is
    that of the whole response, head included, because that is what was sent.
    """
    request = f"{_ascii(exchange.method)} {_ascii(exchange.target)} HTTP/1.{exchange.version}" if exchange.method else ""
    client = _ascii(exchange.client.encode("utf-8", "replace")).replace(" ", "_") or "-"
    return (
        f'{client} - - [{now_text}] "{request}" {exchange.status} {exchange.sent or "-"} '
        f'"{_ascii(referer or b"-")}" "{_ascii(agent or b"-")}"\n'
    ).encode("ascii")


def _ascii(raw: bytes) -> str:
    return raw.decode("latin-1").translate(_ESCAPED)


def _slow_line(exchange: Exchange, now_text: str) -> bytes:
    """The same line with everything looked after, and what only troubled exchanges have."""
    attempts = exchange.attempts
    last = attempts[-1] if attempts else None
    row: dict[str, Any] = {
        "time": now_text,
        "reference": exchange.reference,
        "client": exchange.client,
        "method": exchange.method.decode("latin-1"),
        "host": exchange.host.decode("latin-1"),
        "target": exchange.target.decode("latin-1"),
        "version": f"1.{exchange.version}",
        "status": exchange.status,
        "outcome": exchange.outcome,
        "cause": exchange.cause.code if exchange.cause else None,
        "sent": exchange.sent,
        "received": exchange.received,
        "duration_ms": _between(exchange.t_begin, exchange.t_end),
        "route": exchange.route,
        "upstream": exchange.upstream,
        "server": last.address if last else None,
        "attempts": len(attempts),
        "upstream_status": (last.status or None) if last else None,
        "connect_ms": _between(last.t_start, last.t_connected) if last and not last.reused else None,
        "head_ms": _between(last.t_start, last.t_head) if last else None,
        "reused": last.reused if last else None,
    }
    if any(attempt.signal is not None for attempt in attempts):
        row["tries"] = [_try(attempt) for attempt in attempts]
    return json.dumps(row).encode("ascii") + b"\n"


def _try(attempt: Attempt) -> dict[str, Any]:
    return {
        "server": attempt.server,
        "address": attempt.address,
        "phase": PHASES[attempt.phase],
        "signal": attempt.signal,
        "cause": attempt.cause.code if attempt.cause else None,
        "verdict": attempt.verdict,
        "ms": _between(attempt.t_start, attempt.t_end),
    }


def _between(start: float, end: float) -> float | None:
    return round((end - start) * 1000, 1) if end >= 0 else None
