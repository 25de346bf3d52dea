"""Decides what the access log says of each request: as JSON lines, or in Apache's combined form.

On the path of every request. The happy case (one attempt, nothing failed, harmless characters) is one template; all else
takes the slow road, where each text is quoted. Either way a record is one line and, for JSON, valid, whatever clients and
servers sent.

Targets are logged as they came, query included, as other servers do: whoever may read the access log may read them.
Durations are milliseconds, and null stands for what did not happen. Of several attempts, `server` and the times are those
of the last; as soon as one failed, `tries` lists them all.
"""

from functools import lru_cache
from json import JSONEncoder
from typing import Final

from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES

_PLAIN: Final = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""Bytes that stand for themselves within a JSON string."""
_ESCAPED: Final = {code: f"\\x{code:02x}" for code in range(256) if code not in _PLAIN}
"""For the combined form, as nginx does it: no quote and no backslash is left to mislead a reader's pattern."""
_quote: Final = JSONEncoder().encode
"""str → JSON string, None → null."""
_quoted = lru_cache(4096)(_quote)
"""The same for what comes back often: names of routes and upstreams, addresses of servers."""
_LINE: Final = (
    b'{"time": "%b", "reference": "%b", "client": "%b", "method": "%b", "host": "%b", "target": "%b", "version": "1.%d", '
    b'"status": %d, "outcome": "%b", "cause": null, "sent": %d, "received": %d, "duration_ms": %.1f, %b, "attempts": 1, '
    b'"upstream_status": %d, "connect_ms": %b, "head_ms": %.1f, "reused": %b}\n'
)
"""The line of a request that was served at the first try."""


def json_line(exchange: Exchange, now_text: str) -> bytes:
    """Return the line for a finished exchange, line feed included. now_text: its end, RFC 3339 with milliseconds."""
    attempts = exchange.attempts
    if len(attempts) != 1 or exchange.cause is not None:
        return _slow_line(exchange, now_text)
    attempt = attempts[0]
    reference, client = exchange.reference.encode(), exchange.client.encode()
    method, host, target = exchange.method, exchange.host, exchange.target
    if attempt.signal is not None or attempt.t_head < 0 or (method + host + target + reference + client).translate(None, _PLAIN):
        return _slow_line(exchange, now_text)
    start = attempt.t_start
    return _LINE % (
        now_text.encode(),
        reference,
        client,
        method,
        host,
        target,
        exchange.version,
        exchange.status,
        exchange.outcome.encode(),
        exchange.sent,
        exchange.received,
        (exchange.t_end - exchange.t_begin) * 1000,
        _place(exchange.route, exchange.upstream, attempt.address),
        attempt.status,
        b"null" if attempt.reused or attempt.t_connected < 0 else b"%.1f" % ((attempt.t_connected - start) * 1000),
        (attempt.t_head - start) * 1000,
        b"true" if attempt.reused else b"false",
    )


def traced_json_line(exchange: Exchange, now_text: str) -> bytes:
    """Return the same line with the exchange's place in a trace, where it has one."""
    line, trace = json_line(exchange, now_text), exchange.trace
    if trace is None:
        return line
    return b"".join((line[:-2], f', "trace_id": "{trace.trace_id}", "span_id": "{trace.span_id}"}}\n'.encode("ascii")))


@lru_cache(4096)
def _place(route: str, upstream: str, address: str) -> bytes:
    """Return the members that say where a request went: the same for most requests."""
    return f'"route": {_quote(route)}, "upstream": {_quote(upstream)}, "server": {_quote(address)}'.encode("ascii")


def combined_line(exchange: Exchange, now_text: str, referer: bytes | None = None, agent: bytes | None = None) -> bytes:
    """Return the line in Apache's combined form, line feed included.

    now_text: the time as "20/Nov/2026:10:15:30 +0000". referer, agent: the request's fields, None where absent. The size is
    that of the body as it was sent, chunk framing included.
    """
    request = f"{_ascii(exchange.method)} {_ascii(exchange.target)} HTTP/1.{exchange.version}" if exchange.method else ""
    body = exchange.sent - exchange.head_sent
    client = _ascii(exchange.client.encode("utf-8", "replace")).replace(" ", "_") or "-"
    return (
        f'{client} - - [{now_text}] "{request}" {exchange.status} {body or "-"} '
        f'"{_ascii(referer or b"-")}" "{_ascii(agent or b"-")}"\n'
    ).encode("ascii")


def _ascii(raw: bytes) -> str:
    return raw.decode("latin-1").translate(_ESCAPED)


def _slow_line(exchange: Exchange, now_text: str) -> bytes:
    """The same line with everything looked after, and what only troubled exchanges have."""
    attempts, cause = exchange.attempts, exchange.cause
    return (
        f'{{"time": "{now_text}", "reference": {_quote(exchange.reference)}, "client": {_quote(exchange.client)}, '
        f'"method": {_quote(exchange.method.decode("latin-1"))}, "host": {_quote(exchange.host.decode("latin-1"))}, '
        f'"target": {_quote(exchange.target.decode("latin-1"))}, "version": "1.{exchange.version}", '
        f'"status": {exchange.status}, "outcome": {_quoted(exchange.outcome)}, '
        f'"cause": {_quoted(cause.code if cause else None)}, "sent": {exchange.sent}, "received": {exchange.received}, '
        f'"duration_ms": {_between(exchange.t_begin, exchange.t_end)}, '
        f'"route": {_quoted(exchange.route)}, "upstream": {_quoted(exchange.upstream)}, '
        f"{_of_servers(attempts) if attempts else _NO_SERVER}}}\n"
    ).encode("ascii")


_NO_SERVER: Final = '"server": null, "attempts": 0, "upstream_status": null, "connect_ms": null, "head_ms": null, "reused": null'


def _of_servers(attempts: list[Attempt]) -> str:
    """Return the members that tell of the last attempt and, as soon as one failed, of each."""
    last = attempts[-1]
    start = last.t_start
    tries = ""
    if any(attempt.signal is not None for attempt in attempts):
        tries = f', "tries": [{", ".join([_try(attempt) for attempt in attempts])}]'
    return (
        f'"server": {_quoted(last.address)}, "attempts": {len(attempts)}, "upstream_status": {last.status or "null"}, '
        f'"connect_ms": {"null" if last.reused else _between(start, last.t_connected)}, '
        f'"head_ms": {_between(start, last.t_head)}, "reused": {"true" if last.reused else "false"}{tries}'
    )


def _try(attempt: Attempt) -> str:
    cause = attempt.cause.code if attempt.cause else None
    names = _names(attempt.server, attempt.address, attempt.phase, attempt.signal, cause, attempt.verdict)
    start = attempt.t_start
    return (
        f'{{{names}, "ms": {_between(start, attempt.t_end)}, "resolve_ms": {_between(start, attempt.t_resolved)}, '
        f'"connect_ms": {_between(start, attempt.t_connected)}, "tls_ms": {_between(start, attempt.t_secured)}, '
        f'"send_ms": {_between(start, attempt.t_sent)}, "head_ms": {_between(start, attempt.t_head)}}}'
    )


@lru_cache(1024)
def _names(server: str, address: str, phase: int, signal: str | None, cause: str | None, verdict: str | None) -> str:
    """Return the members that say in words what became of an attempt: they come back often."""
    return (
        f'"server": {_quote(server)}, "address": {_quote(address)}, "phase": {_quote(PHASES[phase])}, '
        f'"signal": {_quote(signal)}, "cause": {_quote(cause)}, "verdict": {_quote(verdict)}'
    )


def _between(start: float, end: float) -> str:
    """Return the milliseconds from `start` to `end` as JSON: null when the end did not happen."""
    return f"{(end - start) * 1000:.1f}" if end >= 0 else "null"
