"""Decides what a visitor is told beside the catalogue's words: a headline, whether waiting helps, and what to do."""

from typing import Final, NamedTuple

from ..model.cause import Cause
from ..model.exchange import Exchange
from ..model.phases import SEND

READING: Final = frozenset((b"GET", b"HEAD"))
"""Methods whose page may be loaded again without asking (RFC 9110 9.2.1: safe)."""
IDEMPOTENT: Final = READING | {b"PUT", b"DELETE", b"OPTIONS", b"TRACE"}
"""Methods that may be repeated by a client (RFC 9110 9.2.2)."""


class Story(NamedTuple):
    """The words of one answer. Nothing in it comes from the request or from a server."""

    headline: str
    hope: str  # does waiting help?
    steps: tuple[str, ...]  # what the reader can do
    broken: str  # the place in the chain: visitor, gateway, link, service


def nothing_sent(exchange: Exchange) -> bool:
    """Tell whether no byte of the request can have reached a server: every attempt died before SEND."""
    return all(attempt.phase < SEND for attempt in exchange.attempts)


def retryable(cause: Cause, method: bytes, unsent: bool) -> bool:
    """Tell whether the client may repeat this request: the cause passes, and doing it twice is impossible or harmless."""
    return cause.temporary and (unsent or method in IDEMPOTENT)


def tell(cause: Cause, *, reading: bool, unsent: bool) -> Story:
    """Return the words for a cause.

    reading: the request was a GET or HEAD; otherwise it carried something that may have been lost, or may have arrived.
    unsent: no server has seen any of it.
    """
    ours = cause.fault == "client" or cause.status < 500
    headline = _CLIENT_HEADLINES.get(cause.status, _CLIENT_HEADLINES[400]) if ours else _headline(cause)
    if cause.temporary:
        hope = "Waiting usually helps." if not ours else "Trying again may help."
    else:
        hope = "Waiting will not help: the request has to change." if ours else _REPAIR
    steps: list[str] = []
    if not reading and not ours:
        steps.append(_NOT_PROCESSED if unsent else _PERHAPS_PROCESSED)
    if ours:
        steps.append(_CLIENT_STEPS.get(cause.status, _CLIENT_STEPS[400]))
    steps.append(_TELL if not cause.temporary else _TELL_LATER)
    return Story(headline, hope, tuple(steps), _BROKEN[cause.fault] if cause.status >= 500 else "visitor")


def _headline(cause: Cause) -> str:
    if cause.code == "maintenance":
        return "Closed for maintenance"
    if cause.fault == "overload":
        return "The service is very busy right now"
    if cause.status == 504:
        return "The service is taking too long"
    if cause.temporary:
        return "The service cannot be reached right now"
    return (
        "The service gave an answer that cannot be used" if cause.phase in ("head", "body") else "The service cannot be reached"
    )


_REPAIR: Final = "Waiting alone will probably not help: somebody has to repair this."
_TELL: Final = "Tell the people who run this site, and give them the reference below."
_TELL_LATER: Final = "If it lasts, tell the people who run this site, and give them the reference below."
_NOT_PROCESSED: Final = "What you sent was certainly not processed. You can safely send it again later."
_PERHAPS_PROCESSED: Final = (
    "What you sent may not have arrived, or it may have been processed without an answer. "
    "Before you send it again, check whether it was done: an order, a payment, a message."
)

_CLIENT_HEADLINES: Final = {
    400: "This request could not be understood",
    403: "You may not open this page",
    404: "There is nothing at this address",
    405: "This cannot be done here",
    408: "Sending took too long",
    413: "This is too large to send",
    414: "This address is too long",
    431: "Your browser sent too much with its request",
    499: "The connection was closed",
    501: "This kind of request is not supported here",
    505: "This kind of request is not supported here",
}

_CLIENT_STEPS: Final = {
    400: "Go back and try again. If you typed the address, check it.",
    403: "If you should have access, ask the people who run this site.",
    404: "Check the address for typing errors, or start from the home page.",
    405: "Go back, and start from the page before.",
    408: "Check your connection, then try again.",
    413: "Send something smaller.",
    414: "Use a shorter address, or start from the home page.",
    431: "Delete the cookies of this site in your browser, then try again.",
    499: "Try again.",
    501: "Try again with a usual browser.",
    505: "Try again with a usual browser.",
}

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
"""Fault → the place of the drawing that is marked."""
