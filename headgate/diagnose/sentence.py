"""A cause's sentence with the numbers of one failure: what is known is filled in, what is not is put into words or dropped."""

import errno as errnos
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from ..config.schema import ClientTimeouts, Gateway, Limits, Route, Timeouts, Upstream
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
    ("seen", ": it has {seen}, where {limit_value} is allowed", " (at most {limit_value})"),
    ("seen", "with {seen} bytes, more than", "with more than"),
    ("seen", "{seen} header lines, more than {limit_value}", "more than {limit_value} header lines"),
    ("seen", "{seen} interim (1xx) responses, more than {limit_value}", "more than {limit_value} interim (1xx) responses"),
    ("seen", "serves {seen} of at most", "serves no more than"),
    ("seen", "; {seen} bytes had come", ""),
    ("seen", "{seen} bytes beyond", "bytes beyond"),
    ("limit_value", ": it has {seen}, where {limit_value} is allowed", ": it has {seen}"),
    ("limit_value", " (at most {limit_value})", ""),
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
    ("limit", "passes {limit}", "is too large"),
    ("limit", "{limit} is reached", "a limit is reached"),
    ("limit", "which {limit} forbids", "which the configuration forbids"),
    ("error", "than the {error} that {limit} allows", "than {limit} allows"),
    ("limit", "than the {error} that {limit} allows", "than the {error} that are allowed"),
    ("limit", "than {limit} allows", "than a limit of the gateway or the platform allows"),
    ("retry_after", "; it may ask again in {retry_after} s", ""),
    ("retry_after", "; the next trial is due in {retry_after} s", ""),
    ("status", "answered {status} itself", "answered with this error itself"),
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
    ("header_name", "sent {header_name} with", "sent a line with"),
    ("header_name", "the field {header_name}", "a field"),
    ("header_name", "the trailer {header_name}", "a trailer"),
    ("header_name", "; the largest line is {header_name}", ""),
    ("looks_like", "{looks_like} database", "database"),
    ("coding", "Content-Encoding {coding}", "a content coding"),
    ("coding", "Transfer-Encoding is {coding}", "transfer coding is another one"),
    ("coding", "Transfer-Encoding {coding}", "an unknown transfer coding"),
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


Slots = tuple[tuple[str, Callable[[object], str]], ...]
"""Names of values, in the order in which a wording shows them, each with what makes it text."""


def sentence(cause: Cause, known: Mapping[str, Any]) -> str:
    """Return the cause's sentence filled from `known` (see `values`): one line of printable ASCII, whatever is missing."""
    text, slots = _wording(cause.sentence, frozenset([name for name in names(cause.sentence) if name in known]))
    return text % tuple([shown(known[name]) for name, shown in slots])


def sentence_of(exchange: Exchange, attempt: Attempt | None, facts: Mapping[str, Any], cause: Cause) -> str:
    """Return the sentence of one failure: that of all its `values`, but only those which the sentence names are looked up."""
    return sentence(cause, values(exchange, attempt, facts, cause, names(cause.sentence)))


@lru_cache(1024)
def names(template: str) -> tuple[str, ...]:
    """Return the names of the values that a sentence asks for, each once."""
    return tuple(dict.fromkeys(found[1] for found in _VALUE.finditer(template)))


@lru_cache(4096)
def _wording(template: str, known: frozenset[str]) -> tuple[str, Slots]:
    """Return how a sentence is worded where just these of its values are known: as text for the % operator, and its slots."""
    text = _ASIDE.sub(lambda match: match[0] if match[1] in known else "", template)
    text = _TAIL.sub(lambda match: match[0] if match[1] in known else match[2] or ".", text)
    for name, piece, words in _UNKNOWN:
        if name not in known:
            text = text.replace(piece, words)
    starts_with_words = (first := _VALUE.match(text)) is not None and first[1] not in known
    text = _VALUE.sub(lambda match: match[0] if match[1] in known else _nameless(match), text)
    text = (text[0].upper() + text[1:]) if starts_with_words else text
    slots = tuple((found[1], _SHOWN[found[2] or ""]) for found in _VALUE.finditer(text))
    return _VALUE.sub("%s", text.replace("%", "%%")), slots


def _nameless(match: re.Match[str]) -> str:
    return _NAMELESS.get(match[1], "unknown") + (match[2] or "")


def _plain(value: object) -> str:
    return number(value) if isinstance(value, int | float) else clean(str(value))


def _time(value: object) -> str:
    return duration(value) if isinstance(value, int | float) else f"{_plain(value)} ms"


def size(value: object) -> str:
    """Return 1 as "1 byte" and 40 as "40 bytes"."""
    return "1 byte" if value == 1 else f"{_plain(value)} bytes"


_SHOWN: Final[Mapping[str, Callable[[object], str]]] = {"": _plain, " ms": _time, " bytes": size}
"""How a value becomes text, by the unit that follows it in the sentence."""


def number(value: float) -> str:
    """Return 8192.0 as "8192" and 0.25 as "0.25"."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def duration(milliseconds: float) -> str:
    """Return a time as people read it: "0.2 ms", "1243 ms", "61.5 s"."""
    if milliseconds >= 10_000:
        return f"{number(round(milliseconds / 1000, 1))} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{number(round(milliseconds, 1))} ms"


class _Failure(NamedTuple):
    """All that is on record of one failure."""

    exchange: Exchange
    attempt: Attempt | None
    facts: Mapping[str, Any]
    cause: Cause | None

    def known(self, name: str) -> Any:
        """Return what is on record under one name, None for nothing: in the facts, else of the attempt, else of the exchange."""
        value = self.facts.get(name)
        if _missing(value):
            if self.attempt is not None and name in _OF_ATTEMPT:
                value = _OF_ATTEMPT[name](self.attempt)
            elif name in _OF_EXCHANGE:
                value = _OF_EXCHANGE[name](self.exchange)
        if name in _WORDED:
            value = _WORDED[name](self, None if _missing(value) else value)
        return None if _missing(value) else value


def values(
    exchange: Exchange,
    attempt: Attempt | None,
    facts: Mapping[str, Any],
    cause: Cause | None,
    wanted: Iterable[str] | None = None,
) -> dict[str, Any]:
    """Return what is known about one failure, by the names that sentences use; what is unknown is absent.

    wanted: the names to look up, None for all that there are.
    """
    failure = _Failure(exchange, attempt, facts, cause)
    looked_up = _NAMES | facts.keys() if wanted is None else wanted
    return {name: value for name in looked_up if (value := failure.known(name)) is not None}


@lru_cache(1024)
def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _socket_path(address: str) -> str:
    return address.removeprefix("unix:") if address.startswith("unix:") else ""


def _between(start: float, end: float) -> float:
    """Return milliseconds from `start` to `end`, -1 when one of them did not happen."""
    return (end - start) * 1000 if 0 <= start <= end else -1


_OF_EXCHANGE: Final[Mapping[str, Callable[[Exchange], object]]] = {
    "client": attrgetter("client"),
    "host": lambda exchange: escape(exchange.host),
    "method": lambda exchange: escape(exchange.method),
    "path": lambda exchange: clean(exchange.path.decode("latin-1")),
    "route": attrgetter("route"),
    "upstream": attrgetter("upstream"),
    "elapsed_ms": lambda exchange: _between(exchange.t_begin, exchange.t_end),
    "phase": lambda exchange: PHASES[0],
}
"""What an exchange tells, by name."""
_OF_ATTEMPT: Final[Mapping[str, Callable[[Attempt], object]]] = {
    "address": lambda attempt: attempt.address or attempt.server,
    "server": attrgetter("server"),
    "upstream": attrgetter("upstream"),
    "phase": lambda attempt: PHASES[attempt.phase],
    "name": lambda attempt: "" if attempt.server.startswith("unix:") else _host(attempt.server),
    "path": lambda attempt: _socket_path(attempt.address or attempt.server),
    "sent": attrgetter("sent"),
    "received": attrgetter("received"),
    "body_received": attrgetter("body_received"),
    "body_expected": attrgetter("body_expected"),
    "requests": attrgetter("requests"),
    "reused": attrgetter("reused"),
    "idle_ms": lambda attempt: attempt.idle * 1000,
    "age_ms": lambda attempt: _between(attempt.opened, attempt.t_start),
    "elapsed_ms": lambda attempt: _between(attempt.t_start, attempt.t_end),
}
"""What an attempt tells, by name. It comes before the exchange, even where it has to say that something is unknown."""


def _error(failure: _Failure, value: Any) -> Any:
    return value or errno_text(failure.known("errno") or -1)


def _server_count(failure: _Failure, value: Any) -> int:
    count = len(failure.known("servers") or ())
    return count if count > 1 else -1  # "None of the 1 servers" is no English: "No server" is said instead


def _excerpt(failure: _Failure, value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return REDACTED if is_secret(str(failure.known("header_name") or "")) else escape(value)


def _verify_message(failure: _Failure, value: Any) -> Any:
    return value.rstrip(". ") if isinstance(value, str) else value  # some of OpenSSL's end with a full stop, as sentences do


def _limit(failure: _Failure, value: Any) -> Any:
    return setting(str(value), str(failure.known("upstream") or ""), failure.cause) if value else value


def _allow(failure: _Failure, value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


_WORDED: Final[Mapping[str, Callable[[_Failure, Any], Any]]] = {
    "error": _error, "server_count": _server_count, "excerpt": _excerpt, "limit": _limit, "allow": _allow,
    "verify_message": _verify_message,
}  # fmt: skip
"""What is put into words, counted or left out before anybody may see it."""
_NAMES: Final = frozenset((*_OF_EXCHANGE, *_OF_ATTEMPT, *_WORDED))


@lru_cache(1024)
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
    if table in Gateway.model_fields:
        return f"gateway.{limit}"
    if table in Upstream.model_fields:
        return f"upstream.{upstream or 'NAME'}.{limit}"
    return f"route.{limit}" if table in Route.model_fields else limit


@lru_cache(256)
def errno_text(number: int) -> str:
    """Return "ECONNREFUSED: Connection refused" for 111, "" for a number that no error has."""
    name = errnos.errorcode.get(number)
    return f"{name}: {os.strerror(number)}" if name else ""


def _missing(value: object) -> bool:
    return value is None or value in ("", b"") or (isinstance(value, int | float) and value < 0)
