"""Owns what Connection, Keep-Alive, Upgrade and TE mean for this connection alone (RFC 9110 7.6.1, 7.8, 10.1.4)."""

import re
from typing import Final, NamedTuple

from .grammar import elements, is_token
from .memory import Memory

HOP_BY_HOP: Final = (
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"http2-settings",
)  # fmt: skip
"""Fields that end here, whether Connection names them or not.

RFC 9110 7.6.1 lists them. It no longer lists Proxy-Authenticate and Proxy-Authorization (RFC 2616 did): they concern the proxy
that asked for credentials (11.7), which a gateway is not, so they go on. Trailer goes on because the trailers do.
"""

_PROTOCOL = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
_TIMEOUT = re.compile(rb"(?:^|,)[ \t]*timeout[ \t]*=[ \t]*\"?([0-9]{1,9})\"?[ \t]*(?:,|;|$)", re.IGNORECASE)
_OURS: Final = frozenset((b"close", *HOP_BY_HOP))


class Options(NamedTuple):
    """What a Connection field says."""

    close: bool
    keep_alive: bool
    upgrade: bool
    nominated: frozenset[bytes]  # further fields that end here, in lower case


NO_OPTIONS: Final = Options(close=False, keep_alive=False, upgrade=False, nominated=frozenset())


def read_connection(value: bytes) -> Options:
    """Return what `value` (all Connection fields joined by ", ") says. What is not a token says nothing."""
    tokens = {element.lower() for element in elements(value) if is_token(element)}
    return Options(b"close" in tokens, b"keep-alive" in tokens, b"upgrade" in tokens, frozenset(tokens - _OURS))


OPTIONS: Final = Memory(read_connection)
"""`read_connection` with a memory."""


def persists(minor: int, options: Options) -> bool:
    """Return whether the connection outlives this message as far as its sender is concerned (RFC 9112 9.3)."""
    return not options.close and (minor == 1 or options.keep_alive)


def protocols(value: bytes) -> bytes:
    """Return the protocols of an Upgrade field but for h2c, which no gateway can pass on (RFC 9113 3.1); b"" for none."""
    found = [protocol for protocol in elements(value) if _PROTOCOL.fullmatch(protocol) and protocol.lower() != b"h2c"]
    return b", ".join(found)


def keep_alive_timeout(value: bytes) -> float:
    """Return the seconds that `Keep-Alive: timeout=` grants, or -1."""
    match = _TIMEOUT.search(value)
    return float(match[1]) if match else -1.0


TIMEOUTS: Final = Memory(keep_alive_timeout)
"""`keep_alive_timeout` with a memory."""
