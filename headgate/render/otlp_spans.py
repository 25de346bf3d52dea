"""An exchange as OpenTelemetry spans: one for the request, a child for each try at a server, with the phases as events.

Names follow the semantic conventions for HTTP; what they have no name for begins with "headgate.".
"""

from functools import lru_cache
from typing import Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from ..config.endpoints import parse_server
from ..config.findings import Bad
from ..diagnose.redact import redact_target
from ..diagnose.sentence import sentence_of
from ..model.cause import Cause
from ..model.exchange import NEVER, Attempt, Exchange
from ..model.phases import PHASES
from ..model.trace import Trace
from .otlp import Value, attributes, text
from .transcript import Told

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_EVENTS: Final = (
    ("resolve", "t_resolved"), ("connect", "t_connected"), ("tls", "t_secured"), ("send", "t_sent"), ("first byte", "t_first"),
    ("head", "t_head"),
)  # fmt: skip
"""The end of each phase; that of the body is the end of the span."""


def spans(told: Told, since: int, *, addresses: bool) -> list[Span]:
    """Return the spans of an exchange that has a trace; none without.

    since: wall-clock nanoseconds at which the monotonic clock was 0. addresses: the client's may be told.
    """
    exchange, trace = told.exchange, told.trace
    if trace is None:
        return []
    tries = [
        _client(exchange, attempt, trace, number, since) for attempt, number in zip(exchange.attempts, told.number, strict=True)
    ]
    return [_server(exchange, trace, since, addresses=addresses), *tries]


def at(moment: float, since: int) -> int:
    """Return a monotonic time as wall-clock nanoseconds."""
    return since + round(moment * 1e9)


def request(exchange: Exchange) -> dict[str, Value | None]:
    """Return what both kinds of spans, and log records, say of the request."""
    method = exchange.method.decode("latin-1")
    known = method in _METHODS
    return {
        "http.request.method": method if known else "_OTHER",
        "http.request.method_original": None if known else method,
        "headgate.reference": exchange.reference,
    }


def place(exchange: Exchange) -> dict[str, Value | None]:
    """Return path and query, secrets left out, as logs have them."""
    path, _, query = redact_target(exchange.target.decode("latin-1")).partition("?")
    return {"url.path": path, "url.query": query}


def _server(exchange: Exchange, trace: Trace, since: int, *, addresses: bool) -> Span:
    method = request(exchange)["http.request.method"]
    host, port = _host(exchange.host.decode("latin-1"))
    status = exchange.status if exchange.outcome != "gone" else 0
    cause = exchange.cause
    failed = status >= 500 or (cause is not None and cause.fault != "client")
    told = {
        **request(exchange),
        **place(exchange),
        "url.scheme": exchange.scheme,
        "server.address": host,
        "server.port": port,
        "network.protocol.version": f"1.{exchange.version}",
        "http.route": exchange.route,
        "http.response.status_code": status or None,
        "http.request.body.size": exchange.received or None,
        "client.address": exchange.client if addresses else None,
        "error.type": _error(cause, status) if failed else None,
        "headgate.outcome": exchange.outcome,
        "headgate.cause": cause.code if cause is not None else None,
        "headgate.upstream": exchange.upstream,
        "headgate.attempts": len(exchange.attempts),
    }
    words = _words(exchange, exchange.attempts[-1] if exchange.attempts else None, cause) if failed and cause is not None else ""
    return Span(
        trace_id=bytes.fromhex(trace.trace_id),
        span_id=bytes.fromhex(trace.span_id),
        parent_span_id=bytes.fromhex(trace.parent_id),
        trace_state=trace.state,
        flags=_flags(trace, remote=bool(trace.parent_id)),
        name=text(f"{'HTTP' if method == '_OTHER' else method} {exchange.route}".strip(), 255),
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=at(exchange.t_begin, since),
        end_time_unix_nano=at(max(exchange.t_begin, exchange.t_end), since),
        attributes=attributes(told),
        status=_status(words, failed=failed),
    )


def _client(exchange: Exchange, attempt: Attempt, trace: Trace, number: int, since: int) -> Span:
    method = request(exchange)["http.request.method"]
    cause = attempt.cause
    failed = cause is not None or attempt.status >= 400
    told = {
        **request(exchange),
        **_whereto(attempt, redact_target(exchange.target.decode("latin-1"))),
        "http.response.status_code": attempt.status or None,
        "http.request.resend_count": number or None,
        "error.type": _error(cause, attempt.status) if failed else None,
        "headgate.upstream": attempt.upstream,
        "headgate.server": attempt.server,
        "headgate.attempt": number + 1,
        "headgate.phase": PHASES[attempt.phase] if attempt.signal is not None else None,
        "headgate.signal": attempt.signal,
        "headgate.cause": cause.code if cause is not None else None,
        "headgate.verdict": attempt.verdict,
        "headgate.connection.reused": attempt.reused,
        "headgate.connection.requests": attempt.requests if attempt.reused else None,
    }
    return Span(
        trace_id=bytes.fromhex(trace.trace_id),
        span_id=bytes.fromhex(trace.span_of(attempt)),
        parent_span_id=bytes.fromhex(trace.span_id),
        trace_state=trace.state,
        flags=_flags(trace, remote=False),
        name="HTTP" if method == "_OTHER" else str(method),
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=at(attempt.t_start, since),
        end_time_unix_nano=at(_end(exchange, attempt), since),
        attributes=attributes(told),
        events=_events(exchange, attempt, since),
        status=_status(_words(exchange, attempt, cause) if cause is not None else "", failed=failed),
    )


def _end(exchange: Exchange, attempt: Attempt) -> float:
    return max(attempt.t_start, attempt.t_end if attempt.t_end > NEVER else exchange.t_end)


def _events(exchange: Exchange, attempt: Attempt, since: int) -> list[Span.Event]:
    """Return the end of each phase that ended, and what ended the last one."""
    found = [(getattr(attempt, when), name) for name, when in _EVENTS if getattr(attempt, when) > NEVER]
    end = _end(exchange, attempt)
    events = [Span.Event(name=name, time_unix_nano=at(moment, since)) for moment, name in found]
    if attempt.signal is not None and attempt.cause is not None:
        why = attributes({"headgate.signal": attempt.signal, "headgate.cause": attempt.cause.code})
        events.append(Span.Event(name=f"{PHASES[attempt.phase]} failed", time_unix_nano=at(end, since), attributes=why))
    elif attempt.t_head > NEVER and attempt.t_end > NEVER:
        events.append(Span.Event(name="body", time_unix_nano=at(end, since)))
    return events


def _whereto(attempt: Attempt, target: str) -> dict[str, Value | None]:
    """Return the server that was asked, and the address that stood for it."""
    scheme, host, port = _server_of(attempt.server)
    local = "localhost" if scheme == "unix" else f"[{host}]" if ":" in host else host
    origin = f"{'http' if scheme == 'unix' else scheme}://{local}" + (f":{port}" if port else "")
    where: dict[str, Value | None] = {
        "server.address": host,
        "server.port": port or None,
        "url.full": origin + target if target.startswith("/") else origin if target == "*" else target,
    }
    if attempt.address.startswith("unix:"):
        return {**where, "network.transport": "unix", "network.peer.address": attempt.address.removeprefix("unix:")}
    peer, peer_port = _host(attempt.address)
    return {**where, "network.peer.address": peer, "network.peer.port": peer_port}


@lru_cache(1024)
def _server_of(label: str) -> tuple[str, str, int]:
    """Return scheme, host (or a socket's path) and port of a server as it is configured."""
    try:
        endpoint = parse_server(label)
    except Bad:
        return "http", label, 0
    return endpoint.scheme, endpoint.host or endpoint.path, endpoint.port


def _host(written: str) -> tuple[str, int | None]:
    """Return host and port of "example.org:8080" or "[::1]:8080"; no port where none is written."""
    host, colon, port = written.rpartition(":")
    if not colon or not port.isdigit() or len(port) > 5:
        host, port = written, ""
    return host.removeprefix("[").removesuffix("]"), int(port) if port else None


def _error(cause: Cause | None, status: int) -> str:
    return cause.code if cause is not None else str(status)


def _words(exchange: Exchange, attempt: Attempt | None, cause: Cause | None) -> str:
    """Return the sentence of a failure."""
    if cause is None:
        return ""
    facts = (attempt.facts if attempt is not None and attempt.cause is cause else exchange.facts) or {}
    return sentence_of(exchange, attempt, facts, cause)


def _status(words: str, *, failed: bool) -> Status:
    return Status(code=Status.STATUS_CODE_ERROR, message=text(words)) if failed else Status()


def _flags(trace: Trace, *, remote: bool) -> int:
    """Return the flags of traceparent, and where the parent is."""
    known = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    return trace.flags | known | (SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK if remote else 0)
