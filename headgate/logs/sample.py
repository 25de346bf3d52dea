"""Owns what is known of healthy requests: runs of neighbouring lines, all of a small log, evenly spread ones of a large log.

Reading keeps failures only. Whether a path fails more than others, or only after a rest, is told by the requests around them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from .custom import of_option
from .entry import Entry
from .formats import Format, formats
from .reading import FileReading, Reading
from .recognise import SAMPLED, Recognised, Unrecognised, recognise
from .stream import Unusable, chunks, opened

MOST_LINES: Final = 40_000
"""Lines of all files up to which all are read again, and about as many as are read of more."""
_NEARLY: Final = 0.98
_WINDOW: Final = 65_536
_WINDOWS: Final = 100
_MOST_UNPACKED: Final = 256 << 20


class Seen(NamedTuple):
    """A request, healthy or not."""

    time: float
    upstream: str
    path: str  # without query
    client: str
    method: str
    status: int
    seconds: float
    failed: bool


@dataclass
class Sample:
    """Requests as the access logs have them."""

    runs: list[list[Seen]] = field(default_factory=list)  # each of neighbouring lines, in the order of the log
    exact: bool = False  # it is every request there was

    @property
    def all(self) -> Iterator[Seen]:
        """Every request of every run."""
        for run in self.runs:
            yield from run

    @property
    def size(self) -> int:
        """How many requests there are."""
        return sum(map(len, self.runs))


def sample_of(reading: Reading, format: str = "") -> Sample:
    """Return requests of the access logs that were read; none of standard input. format: as it was given for reading."""
    files = [file for file in reading.files if file.kind in ("access", "mixed")]
    readable = [file for file in files if file.path != "-" and not file.error]
    whole = sum(file.lines for file in readable) <= MOST_LINES
    size = sum(file.bytes for file in readable)
    made = Sample(exact=bool(files) and whole and len(readable) == len(files))
    for file in readable if whole else readable[:: 1 + len(readable) // _WINDOWS]:
        windows = 0 if whole else max(1, _WINDOWS * file.bytes // max(1, size))
        try:
            runs = _of_file(file, of_option(format), windows)
        except (OSError, EOFError, Unusable, Unrecognised):
            runs = []
        made.runs += runs
    made.exact = made.exact and made.size >= _NEARLY * reading.tally.requests
    return made


def _of_file(file: FileReading, form: Format | None, windows: int) -> list[list[Seen]]:
    """Return the requests of one file. windows: how many blocks are read, 0 all of it."""
    found: Recognised | None = None
    runs = []
    for window in _windows(file, windows):
        lines = [line.rstrip(b"\r") for line in window.split(b"\n")]
        if found is None:
            found = _formats_of(lines, file, form)
        run = list(_requests(lines if found.prefix is None else found.prefix.strip(window).split(b"\n"), found.formats, file))
        if run:
            runs.append(run)
    return runs


def _formats_of(lines: Sequence[bytes], file: FileReading, form: Format | None) -> Recognised:
    """Return the formats as reading met them, those that most lines have first."""
    found = recognise(lines[:SAMPLED], file.path)
    if form is not None:
        return Recognised([form], found.prefix, 1.0)
    met = {one.id: one for one in found.formats}
    names = sorted(file.formats, key=lambda name: -file.formats[name])
    further = [formats()[name] for name in names if name not in met and name in formats()]
    found.formats = sorted([*found.formats, *further], key=lambda one: -file.formats.get(one.id, 0))
    return found


def _windows(file: FileReading, windows: int) -> Iterator[bytes]:
    """Yield blocks of whole lines: so many that are evenly spread, or all in one."""
    if windows and not file.compressed and Path(file.path).is_file():
        yield from _spread(file, windows)
        return
    text, raw, _ = opened(file.path)
    step = max(1, file.bytes // windows >> 20) if windows else 1
    with raw, text:
        parts: list[bytes] = []
        done = 0
        for number, chunk in enumerate(chunks(text, raw)):
            done += len(chunk.data)
            if not windows:
                parts.append(chunk.data)
            elif number % step == 0:
                yield chunk.data[:_WINDOW].rpartition(b"\n")[0]
            if done > _MOST_UNPACKED:
                break
        if parts:
            yield b"".join(parts)  # one run: what is next to what must not be lost at a block's edge


def _spread(file: FileReading, windows: int) -> Iterator[bytes]:
    with open(file.path, "rb") as stream:
        size = stream.seek(0, 2)
        for number in range(windows):
            stream.seek(size * number // windows)
            if number:
                stream.readline(_WINDOW)
            data = stream.read(_WINDOW).rpartition(b"\n")[0]
            if data:
                yield data


def _requests(lines: Sequence[bytes], forms: Sequence[Format], file: FileReading) -> Iterator[Seen]:
    for line in lines:
        for form in forms:
            if form.kind == "error":
                continue
            entry = form.entry(line, 0, file.path)
            if entry is not None:
                yield seen(entry)
                break


def seen(entry: Entry) -> Seen:
    """Return what counts of an entry."""
    return Seen(
        entry.time, entry.upstream, entry.path.partition("?")[0], entry.client, entry.method, entry.status, entry.seconds,
        entry.failed or bool(entry.causes),
    )  # fmt: skip
