"""The waist: one record of a client's request (`Exchange`) and of each try at a server (`Attempt`).

The gateway, the probe, the log reader and the lab write them; everything that explains, counts or draws reads them.
Times are seconds of the monotonic clock, sizes are bytes, and -1 means "did not happen" or "not known".
"""

from .cause import Cause
from .facts import Facts
from .trace import Trace

NEVER = -1.0
"""A time that did not happen."""


class Attempt:
    """One try at one upstream server."""

    __slots__ = (
        "address", "body_expected", "body_received", "cause", "facts", "idle", "opened", "phase", "received", "requests",
        "reused", "sent", "server", "signal", "status", "t_connected", "t_end", "t_first", "t_head", "t_resolved",
        "t_secured", "t_sent", "t_start", "upstream", "verdict",
    )  # fmt: skip

    def __init__(self, upstream: str, server: str, now: float) -> None:
        self.upstream = upstream  # the upstream's name in the configuration
        self.server = server  # the server as configured: "http://app:3000", "unix:/run/app.sock"
        self.address = ""  # the socket address that was used: "10.0.0.5:3000", "[::1]:3000", "unix:/run/app.sock"
        self.reused = False  # the connection had served an exchange before
        self.opened = NEVER  # when the connection was opened (monotonic)
        self.idle = NEVER  # seconds a reused connection had rested
        self.requests = 0  # exchanges the connection had served before
        self.phase = 0  # the phase it is in, or died in
        self.signal: str | None = None
        self.facts: Facts | None = None
        self.cause: Cause | None = None
        self.verdict: str | None = None  # what was decided after the failure, and why: a key of VERDICTS
        self.status = 0  # the server's status, once known
        self.sent = 0
        self.received = 0
        self.body_received = 0
        self.body_expected = -1  # -1: not announced (chunked, or until close)
        self.t_start = now
        self.t_resolved = NEVER
        self.t_connected = NEVER
        self.t_secured = NEVER
        self.t_sent = NEVER  # the whole request was handed over
        self.t_first = NEVER  # first byte of the response
        self.t_head = NEVER  # final response head complete
        self.t_end = NEVER


class Exchange:
    """One client request and what became of it."""

    __slots__ = (
        "attempts", "cause", "client", "facts", "head_sent", "host", "method", "outcome", "path", "received", "reference",
        "route", "scheme", "sent", "signal", "status", "t_begin", "t_end", "target", "trusted", "upstream", "version",
    )  # fmt: skip

    def __init__(self, reference: str, client: str, scheme: str, now: float) -> None:
        self.reference = reference  # what a visitor quotes, and what joins page, log and trace
        self.client = client  # the client's address, as far as trusted proxies tell it
        self.trusted = False  # the client's network may see details
        self.scheme = scheme  # "http" or "https", as the client sees it
        self.method = b""
        self.target = b""  # as it came
        self.path = b""  # normalised, without query: what routes are matched against
        self.host = b""  # with port, lower case
        self.version = 1  # the client's HTTP minor version
        self.route = ""  # the route's name
        self.upstream = ""  # the upstream's name
        self.attempts: list[Attempt] = []
        self.status = 0  # what the client got; 499: it was gone; 0: nothing yet
        self.outcome = ""  # one of OUTCOMES
        self.signal: str | None = None  # of a failure that belongs to no attempt
        self.facts: Facts | None = None
        self.cause: Cause | None = None  # what the client was told, None when it was served
        self.received = 0  # request body bytes from the client
        self.sent = 0  # response bytes to the client, head included
        self.head_sent = 0  # those of the head and of interim responses
        self.t_begin = now
        self.t_end = NEVER

    @property
    def trace(self) -> Trace | None:
        """Its place in a trace, where exchanges are traced: those that are have an attribute of this name."""
        return None


OUTCOMES = (
    "served",  # a server's final response was relayed whole
    "answered",  # Headgate answered itself, on purpose or for want of a response
    "cut",  # the response broke off after its head had been sent: the client saw the break
    "gone",  # the client left first
    "tunnel",  # upgraded, and ended in order
)
"""What became of an exchange."""
