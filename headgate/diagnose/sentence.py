"""A cause's sentence with the numbers of one failure: what is known is filled in, what is not is put into words or dropped."""

import errno as errnos
import os
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from ..config.schema import ClientTimeouts, Gateway, Limits, Timeouts, Upstream
from ..model.cause import Cause
from ..model.exchange import Attempt, Exchange
from ..model.phases import PHASES
from .redact import REDACTED, clean, escape, is_secret

_UNKNOWN: Final = (
    # The unknown value, the piece of the template around it, and what to say instead. Finer pieces first.
    ("body_received", "{body_received} of {body_expected} bytes", "an unknown part of {body_expected} bytes"),
    ("body_expected", "{body_received} of {body_expected} bytes", "{body_received} bytes of a body of unknown length"),
    ("body_expected", "an unknown part of {body_expected} bytes", "an unknown part of the body"),
    ("body_received", "{body_received} body bytes", "part of its body"),
    ("body_received", " after {body_received} bytes", ""),
    ("elapsed_ms", " for {elapsed_ms} ms: no", ": no"),
    ("elapsed_ms", "ran for {elapsed_ms} ms", "did not finish"),
    ("elapsed_ms", " after {elapsed_ms} ms", ""),
    ("elapsed_ms", "{elapsed_ms} ms later ", ""),
    ("elapsed_ms", "{elapsed_ms} ms into the attempt, ", ""),
    ("elapsed_ms", "within {elapsed_ms} ms", "in time"),
    ("silent_ms", "for {silent_ms} ms", "for too long"),
    ("idle_ms", "reused after {idle_ms} ms idle", "reused after a rest"),
    ("sent", "after {sent} bytes of the request", "in the middle of the request"),
    ("sent", "{sent} bytes of the request", "part of the request"),
    ("received", " after {received} bytes", ""),
    ("received", "{received} bytes of the response header", "part of the response header"),
    ("seen", "has {seen}, more than", "has more than"),
    ("seen", "with {seen} bytes, more than", "with more than"),
    ("seen", "{seen} header lines, more than {limit_value}", "more than {limit_value} header lines"),
    ("seen", "{seen} interim (1xx) responses, more than {limit_value}", "more than {limit_value} interim (1xx) responses"),
    ("seen", "serves {seen} of at most", "serves no more than"),
    ("seen", "; {seen} bytes had come", ""),
    ("seen", "{seen} bytes beyond", "bytes beyond"),
    ("limit_value", "the {limit_value} s for", "the seconds allowed for"),
    ("limit_value", "within {limit_value} s", "within the time allowed"),
    ("limit_value", "er than {limit_value} bytes", "er than allowed"),
    ("limit_value", "{limit_value} bytes", "the size allowed"),
    ("limit_value", "with more than {limit_value}", "with more than the size allowed"),
    ("limit_value", "has more than {limit_value}", "has more than is allowed"),
    ("limit_value", "more than {limit_value} header lines", "more header lines than allowed"),
    ("limit_value", "more than {limit_value} interim (1xx) responses", "more interim (1xx) responses than allowed"),
    ("limit_value", "serves no more than {limit_value}", "serves all it may"),
    ("limit_value", "its limit of {limit_value}", "its limit"),
    ("limit_value", "{limit_value}", "the number allowed"),
    ("limit", "which {limit} forbids", "which the configuration forbids"),
    ("offset", ", at byte {offset}", ""),
    ("offset", " at byte {offset} of the body", ""),
    ("offset", " at byte {offset}", ""),
    ("rule", 'breaks the rule "{rule}"', "breaks the rules of HTTP"),
    ("rule", "with {rule}", "in an illegal way"),
    ("alert_name", "the TLS alert {alert_name}", "a TLS alert"),
    ("name", " for the name {name}", ""),
    ("name", "refuses {name}", "refuses the server's name"),
    ("name", "does not name {name}", "does not name the server"),
    ("name", "of {name}", "of the server"),
    ("header_name", " in {header_name}", ""),
    ("header_name", "the field {header_name}", "a field"),
    ("header_name", "the trailer {header_name}", "a trailer"),
    ("header_name", "; the largest line is {header_name}", ""),
    ("looks_like", "{looks_like} database", "database"),
    ("coding", "Content-Encoding {coding}", "a content coding"),
    ("excerpt", "Transfer-Encoding is {excerpt}", "transfer coding is another one"),
    ("excerpt", "Transfer-Encoding {excerpt}", "an unknown transfer coding"),
    ("excerpt", "in {excerpt}", "in another version"),
    ("excerpt", "uses {excerpt}", "uses another version"),
    ("accepted", "101 to {accepted}", "101 to another protocol"),
    ("offered", "had offered {offered}", "had offered no such thing"),
    ("server_count", "None of the {server_count} servers", "No server"),
    ("upstream", "Upstream {upstream}", "The upstream"),
    ("upstream", "upstream {upstream}", "the upstream"),
    ("route", "Route {route}", "This route"),
    ("route", "route {route}", "this route"),
    ("allow", "it accepts {allow}", "it accepts others"),
    ("host", "host {host}", "this host"),
    ("path", "path {path}", "this path"),
    ("path", "open {path}", "open the socket"),
    ("path", "{path} accepts", "The socket accepts"),
    ("path", "{path}", "the configured place"),
    ("phase", ", in phase {phase}", ""),
)  # fmt: skip
_NAMELESS: Final = {
    "address": "the server",
    "name": "the server's name",
    "resolver": "the DNS server",
    "client": "the client",
    "method": "this method",
}
"""Who or what, where the record has no name for it."""
_VALUE: Final = re.compile(r"\{(\w+)\}( ms| bytes)?")
_ASIDE: Final = re.compile(r" \([^()]*\{(\w+)\}[^()]*\)")  # " (error {verify_code})"
_TAIL: Final = re.compile(r": \{(\w+)\}([.;]| \()?")  # ": {excerpt}"


def sentence(cause: Cause, known: Mapping[str, Any]) -> str:
    """Return the cause's sentence filled from `known` (see `values`): one line of printable ASCII, whatever is missing."""
    text = _ASIDE.sub(lambda match: match[0] if match[1] in known else "", cause.sentence)
    text = _TAIL.sub(lambda match: match[0] if match[1] in known else match[2] or ".", text)
    for key, piece, words in _UNKNOWN:
        if key not in known:
            text = text.replace(piece, words)
    starts_with_words = (first := _VALUE.match(text)) is not None and first[1] not in known
    text = _VALUE.sub(lambda match: _fill(known, match[1], match[2] or ""), text)
    return (text[0].upper() + text[1:]) if starts_with_words else text


def _fill(known: Mapping[str, Any], key: str, unit: str) -> str:
    if key not in known:
        return _NAMELESS.get(key, "unknown") + unit
    value = known[key]
    if unit == " ms" and isinstance(value, int | float):
        return duration(value)
    if unit == " bytes" and value == 1:
        return "1 byte"
    return number(value) + unit if isinstance(value, int | float) else clean(str(value)) + unit


def number(value: float) -> str:
    """Return 8192.0 as "8192" and 0.25 as "0.25"."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def duration(milliseconds: float) -> str:
    """Return a time as people read it: "0.2 ms", "1243 ms", "61.5 s"."""
    if milliseconds >= 10_000:
        return f"{number(round(milliseconds / 1000, 1))} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{number(round(milliseconds, 1))} ms"


def values(exchange: Exchange, attempt: Attempt | None, facts: Mapping[str, Any], cause: Cause | None) -> dict[str, Any]:
    """Return everything that is known about one failure, by the names that sentences use; what is unknown is absent."""
    asked = cause.sentence if cause is not None else ""  # escaping is slow, and few sentences name host or method
    told: dict[str, Any] = {
        "client": exchange.client, "host": escape(exchange.host) if "{host}" in asked else "",
        "method": escape(exchange.method) if "{method}" in asked else "",
        "path": clean(exchange.path.decode("latin-1")), "route": exchange.route, "upstream": exchange.upstream,
        "elapsed_ms": _between(exchange.t_begin, exchange.t_end), "phase": PHASES[0],
    }  # fmt: skip
    if attempt is not None:
        told |= _of_attempt(attempt)
    told |= {key: value for key, value in facts.items() if not _missing(value)}
    told["error"] = told.get("error") or errno_text(told.get("errno", -1))
    told["server_count"] = len(told.get("servers", ()))
    if told["server_count"] < 2:  # "None of the 1 servers" is no English: "No server" is said instead
        told["server_count"] = -1
    if isinstance(excerpt := told.get("excerpt"), bytes):
        told["excerpt"] = REDACTED if is_secret(str(told.get("header_name", ""))) else escape(excerpt)
    if limit := told.get("limit"):
        told["limit"] = setting(str(limit), str(told.get("upstream", "")), cause)
    if isinstance(allow := told.get("allow"), list | tuple):
        told["allow"] = ", ".join(map(str, allow))
    return {key: value for key, value in told.items() if not _missing(value)}


def _of_attempt(attempt: Attempt) -> dict[str, Any]:
    address = attempt.address or attempt.server
    return {
        "address": address, "server": attempt.server, "upstream": attempt.upstream, "phase": PHASES[attempt.phase],
        "name": "" if attempt.server.startswith("unix:") else _host(attempt.server),
        "path": address.removeprefix("unix:") if address.startswith("unix:") else "",
        "sent": attempt.sent, "received": attempt.received, "body_received": attempt.body_received,
        "body_expected": attempt.body_expected, "requests": attempt.requests, "reused": attempt.reused,
        "idle_ms": attempt.idle * 1000, "age_ms": _between(attempt.opened, attempt.t_start),
        "elapsed_ms": _between(attempt.t_start, attempt.t_end),
    }  # fmt: skip


def setting(limit: str, upstream: str, cause: Cause | None) -> str:
    """Return a limit by its whole key in the configuration: "head" or "timeouts.head" → "upstream.app.timeouts.head"."""
    if limit.startswith(("gateway.", "upstream.")):
        return limit
    table, _, key = limit.rpartition(".")
    if key.startswith("response_trailer"):
        key = key.removeprefix("response_")
    if table in ("", "limits") and key in Limits.model_fields:
        return f"gateway.limits.{key}"
    if table == "" and cause is not None and cause.fault == "client" and key in ClientTimeouts.model_fields:
        return f"gateway.timeouts.{key}"
    if table in ("", "timeouts") and key in Timeouts.model_fields:
        return f"upstream.{upstream or 'NAME'}.timeouts.{key}"
    if table == "" and key in Upstream.model_fields:
        return f"upstream.{upstream or 'NAME'}.{key}"
    return f"gateway.{limit}" if table in Gateway.model_fields else limit


def errno_text(number: int) -> str:
    """Return "ECONNREFUSED: Connection refused" for 111, "" for a number that no error has."""
    name = errnos.errorcode.get(number)
    return f"{name}: {os.strerror(number)}" if name else ""


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _between(start: float, end: float) -> float:
    """Return milliseconds from `start` to `end`, -1 when one of them did not happen."""
    return (end - start) * 1000 if 0 <= start <= end else -1


def _missing(value: object) -> bool:
    return value is None or value in ("", b"") or (isinstance(value, int | float) and value < 0)
