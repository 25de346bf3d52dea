"""Owns what a report on logs holds: plain data, ready to be shown; everything in it is redacted and printable."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ..model.diagnosis import Action
from .finding import Finding, Line

OUTCOMES: Final = (
    "clean",  # requests were read, none failed
    "failures",  # some failed
    "nothing",  # nothing could be read
)
"""What reading came to."""


@dataclass(frozen=True, slots=True)
class File:
    """One file that was read, or could not be."""

    path: str
    title: str  # its format in words, "" where not recognised
    format: str
    product: str
    kind: str  # "access", "error", "mixed", ""
    lines: int
    failures: int
    unreadable: int
    examples: tuple[Line, ...]  # lines that could not be read
    first: float  # seconds since the epoch, -1 not known
    last: float
    cut: bool
    error: str  # why it could not be read, "" where it could
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Failures that share one quality."""

    name: str  # cause code, server, path, client, status, method
    title: str  # for people, "" where the name says it
    count: int
    share: float  # of all failures
    requests: int = 0  # all requests of it, 0 where not known
    rate: float = -1.0  # of them that failed, -1 not known
    confidence: str = ""  # of causes
    made_by: str = ""  # of causes: who made the answer, mostly
    cause: str = ""  # of servers and paths: the code of most of their failures


@dataclass(frozen=True, slots=True)
class Root:
    """A likely root cause: what is wrong, where, since when, how sure, what shows it, what to do."""

    cause: str  # code in the catalogue, "" where the log allows too many
    word: str  # in the product's own words where the cause is not one: "SC--"
    title: str
    status: int
    confidence: str  # one of model.diagnosis.CONFIDENCE
    made_by: str
    product: str
    count: int
    share: float
    follows: int  # further failures that only follow from it: no server was left
    servers: tuple[Row, ...]
    begin: float  # seconds since the epoch, -1 not known
    end: float
    summary: tuple[str, ...]  # what, how many and where, how sure: a sentence or two each
    others: tuple[str, ...]  # codes of further causes that it may be
    tell: str  # how to tell these apart
    findings: tuple[Finding, ...]  # what its failures have in common
    evidence: tuple[Line, ...]
    actions: tuple[Action, ...]
    who: tuple[str, ...]  # who can act
    operator: str  # the catalogue's paragraph for whoever runs the program
    admin: str  # and for whoever runs the gateway


@dataclass(frozen=True, slots=True)
class OverTime:
    """Requests and failures in equal bins."""

    begin: float = -1.0
    width: float = 0.0  # seconds
    requests: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    causes: tuple[
        tuple[str, tuple[int, ...]], ...
    ] = ()  # code, "503" where no cause is told ("": no status either), "(others)"; and failures in each bin


@dataclass(frozen=True, slots=True)
class Heat:
    """Failures by server and time."""

    begin: float = -1.0
    width: float = 0.0
    rows: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """Failures that took from `low` to below `high` seconds."""

    low: float
    high: float  # -1: no end
    count: int
    timers: tuple[str, ...] = ()  # whose default lies there


@dataclass(frozen=True, slots=True)
class Report:
    """What logs tell."""

    outcome: str  # one of OUTCOMES
    verdict: str  # one or two sentences
    first: float
    last: float
    requests: int
    failed: int
    rate: float  # -1 where requests are not known
    lines: int
    unreadable: int
    joined: int
    sampled: bool
    files: tuple[File, ...] = ()
    roots: tuple[Root, ...] = ()
    findings: tuple[Finding, ...] = ()
    causes: tuple[Row, ...] = ()
    upstreams: tuple[Row, ...] = ()
    paths: tuple[Row, ...] = ()
    clients: tuple[Row, ...] = ()
    statuses: tuple[Row, ...] = ()
    methods: tuple[Row, ...] = ()
    makers: dict[str, int] = field(default_factory=dict)  # of answers 5xx: "gateway", "upstream", "" not known
    over_time: OverTime = field(default_factory=OverTime)
    heat: Heat = field(default_factory=Heat)
    latency: tuple[Bar, ...] = ()
    near_misses: tuple[Row, ...] = ()  # failures of single tries that another try cured, by cause
    events: tuple[Line, ...] = ()  # what error logs say that is no request's: restarts, limits
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain data, keys as the fields above."""
        return asdict(self)
