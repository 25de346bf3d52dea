"""Decides what the Proxy-Status field (RFC 9209) says, and to whom. Serialised as RFC 9651 asks."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from ..diagnose.explain import explain
from ..model.cause import Cause
from ..model.exchange import Exchange
from ..wire.grammar import is_token
from ..wire.write import RENAMED

_TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")  # RFC 9651 3.3.4
_DETAILS_LENGTH: Final = 512

_SIZES: Final = {
    "http_response_header_section_size": "header-section-size",
    "http_response_header_size": "header-size",
    "http_response_body_size": "body-size",
    "http_response_trailer_section_size": "trailer-section-size",
    "http_response_trailer_size": "trailer-size",
}
"""Error type → its parameter for the size that was seen (RFC 9209 2.3). Numbers of ours: they disclose nothing."""

_NAMES: Final = {"http_response_header_size": "header-name", "http_response_trailer_size": "trailer-name"}
"""Error type → its parameter for the field's name. The server chose the name: only for trusted readers."""

_CODINGS: Final = frozenset(("br", "chunked", "compress", "deflate", "gzip", "identity", "zstd"))
"""Registered codings: an unregistered one is text of the server's, and not for the public."""

_RCODES: Final = frozenset(
    ("FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "BADVERS")
)


def proxy_status(name: str, cause: Cause, exchange: Exchange, *, details: bool) -> bytes:
    """Return the value of Proxy-Status for an answer that the gateway made itself.

    name: the gateway's pseudonym. details: the client may know addresses, names and the sentence (RFC 9209 section 4 on
    what these disclose); without it only the type and harmless numbers are named.
    """
    member, read = _constant(name, cause), _OF_FACTS.get(cause.error)
    if read is not None:
        found = read(_facts(exchange), cause.error, details)
        member += "".join([f"; {key}={value}" for key, value in found.items()])
    if details:
        address = exchange.attempts[-1].address if exchange.attempts else ""
        if address:
            member += f"; next-hop={sf_string(address)}"
        member += f"; details={sf_string(explain(exchange).sentence[:_DETAILS_LENGTH])}"
    return member.encode("ascii")


@lru_cache(1024)
def _constant(name: str, cause: Cause) -> str:
    """Return the member as far as it follows from the cause."""
    member = f"{sf_name(name)}; error={cause.error}"
    if cause.error == "http_request_error":
        member += f"; status-code={cause.status}; status-phrase={sf_string(phrase(cause.status))}"
    return member


def received_status(name: str, status: int) -> bytes:
    """Return the value of Proxy-Status for a response that is relayed as it came: the status is the server's own."""
    return f"{sf_name(name)}; received-status={status}".encode("ascii")


def sf_name(name: str) -> str:
    """Return a list member: as a token where the name allows it, else as a string (RFC 9209 section 2)."""
    return name if _TOKEN.fullmatch(name) else sf_string(name)


def sf_string(text: str) -> str:
    """Return `text` as an RFC 9651 string: only printable ASCII, other characters become Python escapes."""
    plain = "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode("ascii") for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _facts(exchange: Exchange) -> Mapping[str, Any]:
    """Return the evidence behind the exchange's cause: its own, or that of the attempt it came from."""
    if exchange.facts is not None:
        return exchange.facts
    for attempt in reversed(exchange.attempts):
        if attempt.facts is not None:
            return attempt.facts
    return {}


def _dns(facts: Mapping[str, Any], kind: str, details: bool) -> dict[str, str]:
    found = {}
    if facts.get("rcode") in _RCODES:
        found["rcode"] = sf_string(facts["rcode"])
    if isinstance(facts.get("ede"), int):
        found["info-code"] = str(facts["ede"])
    return found


def _alert(facts: Mapping[str, Any], kind: str, details: bool) -> dict[str, str]:
    found = {}
    if isinstance(facts.get("alert"), int):
        found["alert-id"] = str(facts["alert"])
    if details and facts.get("alert_name"):
        found["alert-message"] = sf_string(str(facts["alert_name"]))
    return found


def _size(facts: Mapping[str, Any], kind: str, details: bool) -> dict[str, str]:
    found = {}
    name = str(facts.get("header_name", ""))
    if details and kind in _NAMES and is_token(name.encode("utf-8")):  # "the status line" is no field
        found[_NAMES[kind]] = sf_string(name)
    if isinstance(facts.get("seen"), int):
        found[_SIZES[kind]] = str(facts["seen"])
    return found


def _coding(facts: Mapping[str, Any], kind: str, details: bool) -> dict[str, str]:
    coding = str(facts.get("coding", "")).lower()
    return {"coding": coding} if coding in _CODINGS or (details and _TOKEN.fullmatch(coding)) else {}


_OF_FACTS: Final[Mapping[str, Callable[[Mapping[str, Any], str, bool], dict[str, str]]]] = {
    "dns_error": _dns,
    "tls_alert_received": _alert,
    **dict.fromkeys(_SIZES, _size),
    "http_response_transfer_coding": _coding,
    "http_response_content_coding": _coding,
}
"""Error type → its parameters, as far as the facts have them and the reader may know them (details)."""


_PHRASES: Final = {**RENAMED, 499: "Client Closed Request"}
"""Where Python's table is older than RFC 9110, or has no row."""


def phrase(status: int) -> str:
    """Return the reason phrase of a status (RFC 9110 section 15)."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase
