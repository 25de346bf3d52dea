"""Owns what is known of healthy requests: runs of neighbouring lines, all of a small log, evenly spread ones of a large log.

Reading keeps failures only. Whether a path fails more than others, or only after a rest, is told by the requests around them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from .custom import of_option
from .entry import Entry
from .formats import Format
from .reading import FileReading, Reading
from .recognise import SAMPLED, Recognised, Unrecognised, recognise
from .stream import Unusable, chunks, opened

MOST_LINES: Final = 40_000
"""Lines of a file up to which all are read again, and about as many as are read of a larger one."""
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
    made = Sample(exact=bool(files) and len(readable) == len(files))
    for file in readable:
        try:
            runs, whole = _of_file(file, of_option(format))
        except (OSError, EOFError, Unusable, Unrecognised):
            runs, whole = [], False
        made.runs += runs
        made.exact = made.exact and whole
    return made


def _of_file(file: FileReading, form: Format | None) -> tuple[list[list[Seen]], bool]:
    whole = file.lines <= MOST_LINES
    found: Recognised | None = None
    runs = []
    for window in _windows(file, whole):
        lines = [line.rstrip(b"\r") for line in window.split(b"\n")]
        if found is None:
            found = recognise(lines[:SAMPLED], file.path)
            if form is not None:
                found = Recognised([form], found.prefix, 1.0)
            elif file.format not in [one.id for one in found.formats]:
                found.formats = sorted(found.formats, key=lambda one: one.product != file.product)
        run = list(_requests(lines if found.prefix is None else found.prefix.strip(window).split(b"\n"), found.formats, file))
        if run:
            runs.append(run)
    return runs, whole and not file.error


def _windows(file: FileReading, whole: bool) -> Iterator[bytes]:
    """Yield blocks of whole lines: all, or evenly spread ones."""
    if not whole and not file.compressed and Path(file.path).is_file():
        yield from _spread(file)
        return
    text, raw, _ = opened(file.path)
    step = 1 if whole else max(1, file.bytes // _WINDOWS >> 20)
    with raw, text:
        parts: list[bytes] = []
        done = 0
        for number, chunk in enumerate(chunks(text, raw)):
            done += len(chunk.data)
            if whole:
                parts.append(chunk.data)
            elif number % step == 0:
                yield chunk.data[:_WINDOW].rpartition(b"\n")[0]
            if done > _MOST_UNPACKED:
                break
        if parts:
            yield b"".join(parts)  # one run: what is next to what must not be lost at a block's edge


def _spread(file: FileReading) -> Iterator[bytes]:
    with open(file.path, "rb") as stream:
        size = stream.seek(0, 2)
        for number in range(_WINDOWS):
            stream.seek(size * number // _WINDOWS)
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
