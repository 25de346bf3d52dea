"""Failures as OpenTelemetry log records: one for each failed attempt, or exchange that failed without one; and incidents."""

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from ..diagnose.sentence import sentence_of
from ..model.exchange import Attempt
from ..model.phases import PHASES
from ..model.trace import Trace
from .otlp import Value, attributes, text
from .otlp_spans import at, place, request
from .transcript import Told, failures_of

_ERROR: Final = (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR")
_WARN: Final = (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN")
_INFO: Final = (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO")


def records(told: Told, since: int, *, addresses: bool) -> list[LogRecord]:
    """Return the records of an exchange. since, addresses: as for spans."""
    return [_failure(told, failed, since, addresses=addresses) for failed in failures_of(told.exchange)]


def _failure(told: Told, failed: Attempt | None, since: int, *, addresses: bool) -> LogRecord:
    exchange, trace = told.exchange, told.trace
    cause = (failed or exchange).cause
    assert cause is not None, "what failed has a cause"
    seen = exchange.cause is not None
    last = failed or (exchange.attempts[-1] if exchange.attempts else None)
    severity, word = _ERROR if seen else _WARN
    says: dict[str, Value | None] = {
        **request(exchange),
        **place(exchange),
        "http.route": exchange.route,
        "http.response.status_code": exchange.status or None,
        "client.address": exchange.client if addresses else None,
        "error.type": cause.code,
        "headgate.cause": cause.code,
        "headgate.outcome": exchange.outcome,
        "headgate.upstream": exchange.upstream,
    }
    if failed is not None:
        says |= _of_attempt(failed, told.number[exchange.attempts.index(failed)])
    moment = at(failed.t_end if failed is not None else exchange.t_end, since)
    return LogRecord(
        time_unix_nano=moment,
        observed_time_unix_nano=at(exchange.t_end, since),
        severity_number=severity,
        severity_text=word,
        event_name="headgate.attempt.failed" if failed is not None else "headgate.exchange.failed",
        body=AnyValue(string_value=text(sentence_of(exchange, last, (failed or exchange).facts or {}, cause))),
        attributes=attributes(says),
        **_span(trace, failed),
    )


def _of_attempt(failed: Attempt, number: int) -> dict[str, Value | None]:
    return {
        "headgate.server": failed.server,
        "headgate.address": failed.address,
        "headgate.attempt": number + 1,
        "headgate.phase": PHASES[failed.phase],
        "headgate.signal": failed.signal,
        "headgate.verdict": failed.verdict,
    }


def _span(trace: Trace | None, failed: Attempt | None) -> dict[str, Any]:
    if trace is None:
        return {}
    span = trace.span_of(failed) if failed is not None else trace.span_id
    return {"trace_id": bytes.fromhex(trace.trace_id), "span_id": bytes.fromhex(span), "flags": trace.flags}


def incident(what: str, summary: Mapping[str, Any], headline: str, now: float) -> LogRecord:
    """Return the record of what became of an incident. now: wall-clock seconds."""
    severity, word = _INFO if what == "resolved" else _ERROR if summary.get("seen") else _WARN
    says: dict[str, Value | None] = {f"headgate.incident.{key}": value for key, value in summary.items() if _single(value)}
    return LogRecord(
        time_unix_nano=round(now * 1e9),
        observed_time_unix_nano=round(now * 1e9),
        severity_number=severity,
        severity_text=word,
        event_name=f"headgate.incident.{what}",
        body=AnyValue(string_value=text(headline)),
        attributes=attributes(says),
    )


def _single(value: object) -> bool:
    return isinstance(value, str | bool | int | float)
