"""The phases of an attempt, in the order in which they happen: where it died says what had already worked.

`phase < SEND` proves that no byte of the request left the gateway, so trying again cannot execute anything twice.
Plain ints, because the data plane assigns and compares them on every request.
"""

from typing import Final

ADMIT: Final = 0  # routing, limits, access: before any server was chosen (and whatever the client did wrong)
RESOLVE: Final = 1  # the server's name → addresses
CONNECT: Final = 2  # TCP or unix socket connection
TLS: Final = 3  # handshake and certificate
SEND: Final = 4  # request bytes going out, no byte of the response yet and the request not complete
HEAD: Final = 5  # request sent, response head awaited or arriving
BODY: Final = 6  # response head relayed, body, trailers or tunnel running

PHASES: Final = ("admit", "resolve", "connect", "tls", "send", "head", "body")
"""Names by number, as they appear in logs, causes and JSON."""
