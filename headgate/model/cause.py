"""One row of the catalogue: a named reason why an exchange or an attempt failed, and what follows from it."""

from dataclasses import dataclass, field
from typing import Final

FAULTS: Final = (
    "upstream",  # the server or its program
    "network",  # something between the gateway and the server
    "dns",
    "tls",
    "configuration",  # the gateway was told something that cannot work
    "overload",  # too much at once, for the server or the gateway
    "gateway",  # Headgate itself
    "client",
)
"""Whose fault it is."""

RETRIES: Final = (
    "never",
    "unsent",  # nothing was sent: any method may be tried again
    "idempotent",  # only where RFC 9110 9.2.2 lets a proxy repeat the method
    "reused-only",  # as idempotent, and not counted as a try: that a kept connection closed says nothing about the server
)
"""What may be tried again after this cause (before any byte of the response went to the client)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cause:
    """A row of the catalogue. Loaded from `knowledge/causes/<code>.md`; one object per code, compared by identity."""

    code: str  # stable, public, never reused
    title: str  # one line, sentence case, no full stop
    phase: str  # the phase it belongs to (a name from PHASES), or "any"
    fault: str  # one of FAULTS
    error: str  # RFC 9209 section 2.3 error type
    status: int  # what the client gets; 499 only in logs (the client is gone)
    retry: str  # one of RETRIES
    strike: bool  # counts against the server's health
    temporary: bool  # waiting may help
    sentence: str  # the operator's sentence with the numbers, a str.format template over the facts
    wait: int = 5  # seconds after which a client may ask again, where the cause is temporary
    deviation: str = ""  # why the status differs from the one RFC 9209 recommends, if it does
    elsewhere: bool = False  # only the doctor names it, about other gateways and the way to them: Headgate never meets it itself
    aliases: tuple[str, ...] = ()  # what people call it
    sections: dict[str, str] = field(default_factory=dict)  # prose by heading: Visitor, Operator, Administrator, ...
