"""Owns what reading log files yields: the contract between those who read lines and those who make sense of them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .entry import Entry
from .tally import Tally

MOST_ENTRIES: Final = 50_000
"""Failing entries kept whole; all of them are counted in `Reading.groups`."""
MOST_GROUPS: Final = 100_000
"""Different groups counted apart; later ones are counted with the path `tally.OTHERS`."""
MOST_EXAMPLES: Final = 5
"""Unreadable lines shown of each file."""


class Group(NamedTuple):
    """What failures are counted by, exactly, however many there are."""

    cause: str  # the likeliest cause's code, "" where the log allows no conclusion (more than a few are possible)
    upstream: str  # the server asked, "" where not known
    minute: int  # minutes since the epoch, -1 not known
    path: str  # without query
    status: int
    made_by: str  # as Entry.made_by


@dataclass(slots=True)
class Unreadable:
    """A line that fits no format."""

    line: int  # number, from 1
    text: str  # at most 300 characters, control characters escaped, not redacted: renderers redact


@dataclass(slots=True)
class FileReading:
    """What one file was, and what was read from it."""

    path: str  # as given; "-" for standard input
    format: str = ""  # id of the format that most lines have; "" where none was recognised
    title: str = ""  # its name for people: "nginx access log (combined)"
    product: str = ""  # id in knowledge/products
    kind: str = ""  # "access", "error", "mixed" (both kinds in one file), "" nothing recognised
    formats: dict[str, int] = field(default_factory=dict)  # lines read by format id, every format met
    lines: int = 0
    bytes: int = 0  # after decompression
    compressed: str = ""  # "gzip", "bzip2", "xz"
    failures: int = 0  # failing entries in it; of an error log: lines that tell of a failure
    unreadable: int = 0  # lines that fit no format (blank lines and comments are not counted)
    examples: list[Unreadable] = field(default_factory=list)
    cut: bool = False  # the last line has no line feed and cannot be read: the file was cut, or is being written
    error: str = ""  # why it could not be read at all: a sentence for people (binary, no permission, unknown format)
    guess: str = ""  # with an error: id of the closest format, or ""
    notes: list[str] = field(default_factory=list)  # sentences for people
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Reading:
    """What all files together say.

    A failed request is in `failures` once: as the line of its access log, with cause, upstream and reason taken over from the
    error log where that was joined. Where no access log of the same product was read, the lines of error logs that tell of a
    failed request stand there themselves (`error_log` is True, `status` mostly what such a failure gives).
    An Entry there with status < 500 is an answer that was cut, or otherwise troubled, as the log itself states.
    """

    files: list[FileReading] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)  # of all access logs
    failures: list[Entry] = field(default_factory=list)  # in order of time; a sample when `sampled`
    others: list[Entry] = field(default_factory=list)  # lines of error logs that belong to no failed request: restarts, limits,
    # warnings, answers cut in mid-body, failures that another try cured; in order of time, at most MOST_ENTRIES
    groups: Counter[Group] = field(default_factory=Counter)  # every failure, exact: sum(groups.values()) == failed
    failed: int = 0  # failures in all
    sampled: bool = False  # more failed than MOST_ENTRIES: `failures` is an even sample, `groups` and `tally` are exact
    joined: int = 0  # failures that an error-log line explains
    offsets: dict[str, float] = field(default_factory=dict)  # file: seconds its clock was corrected by, for joining
    notes: list[str] = field(default_factory=list)  # sentences for people: sampled, clocks that differ, zones assumed

    @property
    def first(self) -> float:
        """When the earliest line was written, seconds since the epoch; -1 not known."""
        return min((file.tally.first for file in self.files if file.tally.first >= 0), default=-1.0)

    @property
    def last(self) -> float:
        """When the latest line was written, seconds since the epoch; -1 not known."""
        return max((file.tally.last for file in self.files), default=-1.0)

    @property
    def uncounted(self) -> int:
        """Failures that only an error log tells of: they are not among the requests counted."""
        return sum(entry.error_log for entry in self.failures)

    @property
    def unreadable(self) -> int:
        """Lines that fit no format, in all files."""
        return sum(file.unreadable for file in self.files)

    @property
    def lines(self) -> int:
        """Lines in all files."""
        return sum(file.lines for file in self.files)
