"""Owns what a pattern among failures is: which failures belong together, how sure that is, and the lines that show it."""

from dataclasses import dataclass, field
from typing import Final

from ..diagnose.redact import clean
from .entry import Entry
from .scrub import scrub

KINDS: Final = (
    "server",  # one server fails far more than its siblings
    "path",  # one path, or all below one
    "client",  # one client
    "method",  # one method, or only requests with a body
    "burst",  # within a time only
    "onset",  # since a moment: a deployment, a crash
    "ended",  # until a moment
    "gap",  # since the log begins again after a silence: the gateway was restarted
    "periodic",  # every so many seconds
    "idle",  # only after a rest: a kept connection that the server had closed
    "alternating",  # every second (third, fourth) request
    "timer",  # after the same time: somebody's limit
    "retries",  # clients that ask again at once
    "overload",  # the more requests, the more failures
)
"""What failures may have in common."""
CONFIDENCE: Final = ("likely", "possible")
"""A pattern is never proved: it is counted, not told by the log."""
MOST_LINES: Final = 3
_LINE: Final = 300


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log as it may be shown: secrets left out, control characters escaped."""

    file: str
    number: int  # from 1
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Failures that belong together."""

    kind: str  # one of KINDS
    title: str  # what they have in common, a sentence without full stop
    detail: str  # the numbers behind it, and what it mostly means: sentences
    count: int  # failures it covers
    share: float  # of the failures looked at, 0 to 1
    confidence: str  # one of CONFIDENCE
    keys: dict[str, str] = field(default_factory=dict)  # upstream, path, client, method, begin, end, seconds: as they were found
    evidence: tuple[Line, ...] = ()
    cause: str = ""  # code of the cause whose failures were looked at; "" all
    weight: float = 0.0  # how unlikely it is by chance: minus the logarithm of that probability


def line_of(entry: Entry) -> Line:
    """Return an entry's line as it may be shown."""
    return Line(clean(entry.file, 200), entry.line, scrub(entry.text, _LINE))


def lines_of(entries: "list[Entry]") -> tuple[Line, ...]:
    """Return some lines of these failures: the first, one of the middle, the last."""
    count = len(entries)
    if count <= MOST_LINES:
        return tuple(map(line_of, entries))
    return tuple(line_of(entries[at]) for at in (0, count // 2, count - 1))
