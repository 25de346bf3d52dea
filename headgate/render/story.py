"""Decides what a visitor is told: a headline, the catalogue's words, a word on what was sent, and what the drawing shows."""

import re
from typing import Final, NamedTuple

from ..model.cause import Cause
from ..model.exchange import Exchange
from ..model.methods import IDEMPOTENT
from ..model.phases import SEND


class Story(NamedTuple):
    """The words of one answer. Nothing in it comes from the request, a server or the configuration."""

    headline: str
    visitor: str  # the catalogue's words, without advice that would send a form twice
    sent: str  # what became of what the visitor sent; "" for a GET, and where the request itself was refused
    broken: str  # the place in the chain that the drawing marks: visitor, gateway, link, service, or rest (none: maintenance)
    drawing: str  # the drawing in words


def nothing_sent(exchange: Exchange) -> bool:
    """Tell whether no byte of the request can have reached a server: every attempt died before SEND."""
    return all(attempt.phase < SEND for attempt in exchange.attempts)


def repeatable(exchange: Exchange, cause: Cause) -> bool:
    """Tell whether the client may send the request again by itself: it may help, and cannot execute anything twice."""
    return cause.temporary and (exchange.method in IDEMPOTENT or nothing_sent(exchange))


def tell(cause: Cause, *, reading: bool, unsent: bool) -> Story:
    """Return the words for a cause.

    reading: the request was a GET or HEAD; any other carried something that may be lost, or may have arrived.
    unsent: no server has seen any of it.
    """
    refused = cause.status < 500 or cause.fault == "client"
    headline = _REFUSED.get(cause.status, _REFUSED[400]) if refused else _headline(cause)
    broken = "visitor" if refused else _place(cause)
    if reading or refused:
        return Story(headline, _words(cause, None), "", broken, _DRAWINGS[broken])
    if unsent:
        sent = _NOT_PROCESSED + (_LATER if cause.temporary else "")
        return Story(headline, _words(cause, _RELOAD), sent, broken, _DRAWINGS[broken])
    return Story(headline, _words(cause, _AGAIN), _PERHAPS_PROCESSED, broken, _DRAWINGS[broken])


def _words(cause: Cause, unwanted: re.Pattern[str] | None) -> str:
    """Return the Visitor section as one paragraph, without the sentences that give unwanted advice."""
    words = " ".join(cause.sections.get("Visitor", "").split())
    if unwanted is None:
        return words
    return " ".join(sentence for sentence in re.split(r"(?<=[.!?]) ", words) if not unwanted.search(sentence))


def _place(cause: Cause) -> str:
    if cause.code == "maintenance":
        return "rest"
    return "gateway" if cause.error.startswith("proxy_internal") else _BROKEN[cause.fault]


def _headline(cause: Cause) -> str:
    if cause.code == "maintenance":
        return "Closed for maintenance"
    if cause.fault == "overload":
        return "The service is very busy right now"
    if cause.status == 504:
        return "The service is taking too long"
    if cause.temporary:
        return "The service is not available right now"
    return "The service's answer cannot be used" if cause.phase in ("head", "body") else "The service is not available"


_RELOAD: Final = re.compile(r"\breload\b", re.IGNORECASE)
"""Unwanted on the answer to a form: a reload there sends the form again, unasked or after a puzzling question."""
_AGAIN: Final = re.compile(r"\b(?:reload|try(?:ing)? again|start the download again|sent a form)\b", re.IGNORECASE)
"""Unwanted where what was sent may have been processed: it contradicts, or repeats, what is said there of it."""

_NOT_PROCESSED: Final = "What you sent was certainly not processed."
_LATER: Final = " You can safely send it again later."
_PERHAPS_PROCESSED: Final = (
    "What you sent may not have arrived, or it may have been processed without an answer. "
    "Before you send it again, check whether it was done: an order, a payment, a message."
)

_REFUSED: Final = {
    400: "This request could not be understood",
    403: "You may not open this page",
    404: "There is nothing at this address",
    405: "This cannot be done here",
    408: "Sending took too long",
    413: "This is too large to send",
    414: "This address is too long",
    429: "Too many requests in a short time",
    431: "Your browser sent too much",
    499: "The connection was closed",
    501: "This kind of request is not supported",
    505: "This kind of request is not supported",
}
"""Headlines by status, where the request itself was refused."""

_BROKEN: Final = {
    "upstream": "service",
    "network": "link",
    "dns": "link",
    "tls": "link",
    "configuration": "link",
    "overload": "service",
    "gateway": "gateway",
    "client": "visitor",
}
"""Whose fault it is → the place in the chain."""

_DRAWINGS: Final = {
    "visitor": "Your request was not accepted by the gateway.",
    "gateway": "Your request reached the gateway. The fault is there.",
    "link": "Your request reached the gateway. Between the gateway and the service the way is broken.",
    "service": "Your request reached the gateway. The fault is at the service behind it.",
    "rest": "Your request reached the gateway. The service behind it is switched off on purpose.",
}
