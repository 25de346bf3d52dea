"""What the admin API says and takes: one type for each shape. OpenAPI, the checks of requests and `status` are made of them.

Times are wall-clock seconds since 1970; spans are seconds.
"""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict

_STRICT: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@with_config(_STRICT)
class Reload(TypedDict):
    """What came of a reload."""

    at: float
    ok: bool
    """The file is served now."""
    said: str
    """What was done, or every reason why nothing changed."""


@with_config(_STRICT)
class Upgrade(TypedDict):
    """A new version of the program, on its way."""

    at: float
    pid: int
    """Process that is to take over; 0 when none could be started."""
    failed: bool
    """It will not take over; this gateway goes on."""
    said: str


@with_config(_STRICT)
class GatewayStatus(TypedDict):
    """The gateway as a whole."""

    version: str
    """Of the program."""
    pid: int
    """The parent: the process to send signals to."""
    started: float
    uptime: float
    file: str
    """Configuration file; empty when there is none (`--to`)."""
    dashboard: str
    """Where browsers find the dashboard; empty where there is none."""
    configuration: int
    """Number of the configuration that is served: it grows with each that takes the place of another."""
    draining: bool
    """It accepts nothing any more, and ends when running exchanges have."""
    reload: Reload | None
    """The last one that was asked for."""
    upgrade: Upgrade | None


@with_config(_STRICT)
class WorkerStatus(TypedDict):
    """One process that moves traffic."""

    slot: int
    pid: int
    since: float
    version: int
    """Number of the configuration that it serves."""
    clients: int
    """Client connections."""
    under_way: int
    """Requests at this moment."""
    exchanges: int
    rate: float
    """Exchanges per second, over the last ten seconds."""
    draining: bool
    heard: float
    """Seconds since its last word, which it has every second."""
    linked: bool
    """It can be told what to do."""


@with_config(_STRICT)
class TotalStatus(TypedDict):
    """Sums over all workers, those that ended included."""

    exchanges: int
    rate: float
    failures: dict[str, int]
    """Failed attempts, by cause."""
    refusals: dict[str, int]
    """Requests refused, or left by their clients, by cause."""
    lost_lines: int
    """Log lines that could not be written."""


@with_config(_STRICT)
class GateStatus(TypedDict):
    """Limits of an upstream, over all workers; None where something is not configured."""

    under_way: int
    """Requests that were let in."""
    waiting: int | None
    """Requests in the queue."""
    circuit: str | None
    """The circuit breaker: of several workers' the one that lets in the least."""
    circuit_why: str
    adaptive_limit: int | None
    """Requests at once that adaptive concurrency allows."""


@with_config(_STRICT)
class CheckStatus(TypedDict):
    """What the last active check saw."""

    ok: bool | None
    """None: no check yet, or none that says anything about the server."""
    cause: str
    """Cause of a failure, as in `headgate explain`."""
    text: str
    latency_ms: float | None
    at: float | None
    count: int
    certificate_ends: str
    """RFC 3339; empty without TLS."""


@with_config(_STRICT)
class ChangeStatus(TypedDict):
    """One change of a server's state, as evidence."""

    at: float
    was: str
    now: str
    event: str
    why: str


@with_config(_STRICT)
class ServerStatus(TypedDict):
    """One server of an upstream."""

    url: str
    state: str
    """up, unchecked (no verdict yet, but used), draining, ejected, down or maintenance."""
    usable: bool
    """It gets new requests."""
    since: float
    why: str
    until: float | None
    """End of an ejection."""
    weight: int
    priority: int
    busy: int
    """Requests at this moment."""
    idle: int
    """Kept connections."""
    requests: int
    failed: int
    check: CheckStatus | None
    """None: this server is not checked actively."""
    changes: list[ChangeStatus]
    """The latest, oldest first."""


@with_config(_STRICT)
class UpstreamStatus(TypedDict):
    """One upstream."""

    policy: str
    requests: int
    retries: int
    retries_refused: int
    """Tries that the retry budget did not allow."""
    panic: bool
    """No server may be used, so all are."""
    gate: GateStatus | None
    """None: nothing is limited."""
    servers: list[ServerStatus]


@with_config(_STRICT)
class ToldStatus(TypedDict):
    """What came of the spans, or of the log records, for an OpenTelemetry collector."""

    sent: int
    lost: dict[str, int]
    """By why: worker, off, full, unreachable, refused, malformed, ended."""
    waiting: int
    trouble: str
    """Why none are delivered at this moment; empty while all is well."""


@with_config(_STRICT)
class TelemetryStatus(TypedDict):
    """What is told an OpenTelemetry collector."""

    endpoint: str
    """Empty where it cannot be used."""
    traces: ToldStatus
    logs: ToldStatus


@with_config(_STRICT)
class DestinationStatus(TypedDict):
    """How one of those who are told of incidents is reached. Times are wall-clock seconds, 0 for never."""

    kind: str
    where: str
    """Kind and host, without what is secret."""
    sent: int
    failed: int
    """Given up."""
    held: int
    """Told together with a later one."""
    lost: int
    """Left out for want of room."""
    tries: int
    waiting: int
    sent_at: float
    error: str
    """Why the last try failed; empty once one arrives."""
    error_at: float
    retry_in: float


@with_config(_STRICT)
class Status(TypedDict):
    """Everything that `headgate status` shows."""

    gateway: GatewayStatus
    workers: list[WorkerStatus]
    totals: TotalStatus
    upstreams: dict[str, UpstreamStatus]
    telemetry: TelemetryStatus | None
    """None where it is not configured."""
    destinations: dict[str, DestinationStatus]
    """Those who are told of incidents, by name."""


@with_config(_STRICT)
class Said(TypedDict):
    """What was done."""

    said: str


@with_config(_STRICT)
class Problem(TypedDict):
    """Why nothing was done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    """One sentence for people."""


# What requests bring.

Why = Annotated[str, StringConstraints(max_length=300)]


class Reason(BaseModel):
    """Why something is done to a server."""

    model_config = _STRICT

    why: Why = ""
    """Shown by `headgate status` and kept as evidence."""


class Ejection(Reason):
    """For how long a server gets no requests."""

    seconds: float = Field(gt=0, le=604_800, allow_inf_nan=False)
    """A week at most; `maintenance` has no end."""


class Weight(BaseModel):
    """A server's share of the requests, against the other servers' weights."""

    model_config = _STRICT

    weight: int = Field(strict=True, ge=1, le=1000)
    """Until the next start, or until a reload changes the server's table."""
