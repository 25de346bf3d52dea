"""The tables about staying up: health, ejection, breaker, queue, limits, retries. Each default says why in docs/resilience.md."""

from typing import Literal

from pydantic import Field

from .values import FailingStatus, HostName, LimitKey, Rate, Seconds, Size, StatusRange, Table, TargetPath


class Sticky(Table):
    """A cookie that keeps each client with its server. It is signed, so nobody can choose a server by writing one."""

    cookie: str = Field("headgate", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
    """Name of the cookie."""
    max_age: Seconds | None = None
    """How long clients keep it; until the browser is closed when absent."""


class HealthCheck(Table):
    """Active checks: the control process asks each server by itself, once for the whole gateway."""

    kind: Literal["http", "tcp"] = "http"
    """What is asked: a GET, or just a connection (with TLS for https)."""
    path: TargetPath = "/"
    """Path and query of the GET."""
    host: HostName | None = None
    """Host of the GET; the server's own when absent."""
    status: tuple[StatusRange, ...] = ("200-399",)
    """Statuses that mean healthy: "200", "200-399"."""
    body: str = ""
    """Text that must be in the first 64 KiB of the response's body; not looked at when empty."""
    interval: Seconds = 5.0
    """Time between two checks of a server."""
    jitter: float = Field(0.2, ge=0, le=1)
    """Share of the interval by which it varies at random, so that checks do not come in step."""
    timeout: Seconds = 2.0
    """Time for one check, from the connection to the end."""
    rise: int = Field(2, ge=1, le=100)
    """Passed checks in a row after which a server that was down is up."""
    fall: int = Field(3, ge=1, le=100)
    """Failed checks in a row after which a server that was up is down."""
    initial: Literal["up", "down"] = "up"
    """What a server is before its first check."""
    certificate_days: int = Field(14, ge=0, le=365)
    """Warn when a server's certificate ends within so many days. 0: never."""


class Ejection(Table):
    """Passive checks: a server whose real traffic fails gets none for a while."""

    enabled: bool = True
    """Whether servers are ejected at all."""
    connects: int = Field(3, ge=1)
    """Failures in a row before anything was sent (refused, unreachable, TLS, ...) that eject a server."""
    share: float = Field(0.5, gt=0, le=1)
    """Share of a server's requests which have to fail, over several clients and paths, within the window."""
    failures: int = Field(5, ge=1)
    """Failed requests within the window that are the least to go by."""
    window: Seconds = 10.0
    """The window."""
    base: Seconds = 10.0
    """Length of the first ejection; each one soon after another is twice as long."""
    longest: Seconds = 300.0
    """Longest ejection."""
    statuses: tuple[FailingStatus, ...] = ()
    """Statuses of a server's responses that count as failures, such as "500-599"; none of its own accord: a program that
    answers is reached, and what it answers may be about the request."""
    most: float = Field(0.5, ge=0, le=1)
    """Largest share of an upstream's servers that may be ejected at once for failed requests; those that cannot be connected
    to are not bound by it. The last one that works never is ejected."""


class Breaker(Table):
    """A circuit breaker: when most requests to an upstream fail, it is left alone for a while, and then tried with a few."""

    share: float = Field(0.5, gt=0, le=1)
    """Share of the requests which have to fail within the window."""
    requests: int = Field(20, ge=1)
    """Requests within the window that are the least to go by."""
    window: Seconds = 10.0
    """The window."""
    open: Seconds = 5.0
    """How long requests get 503 before the first is let through on trial; twice as long each time the trial fails."""
    longest: Seconds = 60.0
    """Longest such time."""
    probes: int = Field(3, ge=1)
    """Requests on trial at once, all of which have to succeed."""


class Queue(Table):
    """Where requests wait that are above a limit of the upstream."""

    size: int = Field(128, ge=1)
    """Most requests waiting, in each worker."""
    wait: Seconds = 2.0
    """Longest time one waits; then 503."""


class Adaptive(Table):
    """A limit on requests at once that follows the servers' latency: lower when they slow down, higher while they keep up."""

    least: int = Field(10, ge=1)
    """Lowest limit, shared out among the workers."""
    most: int = Field(1000, ge=1)
    """Highest limit, shared out among the workers."""


class RateLimit(Table):
    """How often each client may ask: a token bucket, counted over all workers."""

    rate: Rate
    """"100/s", "600/min", "5000/h"."""
    burst: int = Field(0, ge=0)
    """How many may come at once; as many as the rate says for its unit of time when 0."""
    by: LimitKey = "client"
    """What is counted: "client" (its address; IPv6 by /64) or "header:NAME" (its value; requests without it by address)."""


class Budget(Table):
    """What bounds retries in all, so that they cannot become the outage."""

    share: float = Field(0.2, ge=0, le=10)
    """Retries as a share of the requests of the last ten seconds."""
    floor: float = Field(3.0, ge=0, le=1_000_000)
    """Retries per second, in each worker, that are allowed even when there are few requests."""


class Retry(Table):
    """When another try is made."""

    attempts: int = Field(3, ge=1, le=10)
    """Tries that reach a server, the first included. Those that could not connect do not count: the next server is asked, as
    long as there is one that was not, up to ten. 1: a single try, whatever becomes of it."""
    body_bytes: Size = 65_536
    """Largest request body kept for being sent again; larger ones are sent once."""
    statuses: tuple[FailingStatus, ...] = ()
    """Statuses of a server's response, such as "503" or "502-504", after which another server is asked; when that fails too, the
    last response is relayed."""
    per_try: Seconds | None = None
    """Time for one try until the response head has come; bounded only by `timeouts` when absent."""
    backoff: Seconds = 0.025
    """Longest pause before the second try of the same server; doubled with each further one, and drawn at random below it."""
    longest_backoff: Seconds = 1.0
    """Longest such pause."""
    hold: Seconds | None = None
    """How long requests are held while no server can be reached (a restart of the only one); not at all when absent."""
    hedge_after: Seconds | None = None
    """Time without a response head after which an idempotent request is sent to a second server too; never when absent."""
    idempotency_key: bool = True
    """A request with an Idempotency-Key field may be tried again whatever its method: its client says that it may be repeated."""
    budget: Budget = Budget()
