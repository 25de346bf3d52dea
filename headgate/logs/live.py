"""Owns logs that are still being written: failures are told as soon as they are understood, and at the end a report."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..diagnose.moments import moment
from ..diagnose.redact import clean, redact_target
from .analyse import TOP, analyse
from .custom import of_option
from .entry import Entry
from .formats import Format
from .join import join
from .keep import Keeper, group_of
from .read import Part, merged, opened_text
from .reading import FileReading
from .recognise import Recognised, Unrecognised, recognise
from .report import Report
from .sample import Sample
from .scan import Scanner
from .scrub import scrub
from .stream import BLOCK, LONGEST_LINE, Unusable, follow

_PAUSE: Final = 0.25
_AT_ONCE: Final = 2000
"""Lines taken from one file before the others have their turn."""
_LOOKED_AT: Final = 65536
_TRIALS: Final = 200
"""Lines of an unknown format that are kept to recognise it by."""
_HELD: Final = 1.0
"""Seconds that a failure waits for the line of the other log that explains it."""


@dataclass
class _Source:
    """One log that is followed."""

    part: Part
    lines: Iterator[bytes]
    scanner: Scanner | None = None
    first: list[bytes] = field(default_factory=list)  # lines before the format was known
    ended: bool = False


class Live:
    """Logs that are followed. `tick()` is to be called again and again; it waits a little where nothing comes."""

    def __init__(self, paths: Sequence[str], format: str = "", stop: Callable[[], bool] = lambda: False) -> None:
        """format: as `custom.of_option` takes it; raises BadLayout for a mistake in it. stop: ends what is waiting."""
        self._form = of_option(format)
        self._new: list[tuple[float, Entry]] = []
        pause = _PAUSE / max(1, len(paths))
        self._sources = [self._source(path, stop, pause) for path in paths]

    @property
    def ended(self) -> bool:
        """Whether nothing more can come: standard input was closed, and no file is followed."""
        return all(source.ended for source in self._sources)

    @property
    def requests(self) -> int:
        """Requests seen so far."""
        return sum(source.part.file.tally.requests for source in self._sources)

    @property
    def unknown(self) -> list[str]:
        """Paths whose format was not recognised though lines came."""
        return [one.part.file.path for one in self._sources if one.scanner is None and len(one.first) >= _TRIALS]

    def tick(self, all_of_it: bool = False) -> list[dict[str, Any]]:
        """Read what came, and return the failures that are understood by now, in order of time, each once, as `shown`.

        all_of_it: do not hold any back for a line that may still explain it.
        """
        for source in self._sources:
            self._read(source)
        ripe = self._ripe(time.monotonic() - (0 if all_of_it or self.ended else _HELD))
        return [shown(entry) for entry in ripe]

    def report(self, top: int = TOP) -> Report:
        """Return what was seen since the beginning as a report."""
        return analyse(merged([source.part for source in self._sources]), top=top, sample=Sample())

    def _source(self, path: str, stop: Callable[[], bool], pause: float) -> _Source:
        lines = _piped(pause, stop) if path == "-" else follow(path, stop, pause)
        source = _Source(Part(FileReading(path), Keeper()), lines)
        if found := _known(path, self._form):
            self._begin(source, found)
        return source

    def _begin(self, source: _Source, found: Recognised) -> None:
        def sink(entry: Entry) -> None:
            source.part.keeper.take(entry)
            self._new.append((time.monotonic(), entry))

        source.scanner = Scanner(found, source.part.file, sink)
        file, main = source.part.file, found.formats[0]
        file.format, file.title, file.product, file.kind = main.id, main.title, main.product, main.kind

    def _read(self, source: _Source) -> None:
        block: list[bytes] = []
        while len(block) < _AT_ONCE:
            line = next(source.lines, None)
            if not line:
                source.ended = line is None
                break
            block.append(line)
        if block and source.scanner is None:
            block = [*source.first, *block]
            try:
                self._begin(source, recognise(block[:_TRIALS], source.part.file.path))
            except Unrecognised:
                source.first = block[:_TRIALS]
        if block and source.scanner:
            source.scanner.feed(b"\n".join(block) + b"\n")

    def _ripe(self, before: float) -> list[Entry]:
        """Return failures that came before that moment, explained by the error lines that are here."""
        failures = [entry for _, entry in self._new if not entry.error_log]
        errors = [entry for _, entry in self._new if entry.error_log]
        alone = join(failures, errors).alone
        spent = {id(entry) for entry in errors} - {id(entry) for entry in alone}
        ripe = [entry for at, entry in self._new if at <= before and id(entry) not in spent]
        self._new = [(at, entry) for at, entry in self._new if at > before and id(entry) not in spent]
        return sorted((entry for entry in ripe if not entry.error_log or entry.causes), key=lambda entry: entry.time)


def shown(entry: Entry) -> dict[str, Any]:
    """Return a failure as plain data that may be shown: secrets left out, control characters escaped."""
    cause = group_of(entry).cause
    return {
        "time": entry.time, "moment": moment(entry.time), "status": entry.status, "cause": cause,
        "confidence": entry.confidence if cause else "", "causes": list(entry.causes), "upstream": clean(entry.upstream, 120),
        "method": clean(entry.method, 20), "path": clean(redact_target(entry.path), 200), "client": clean(entry.client, 80),
        "seconds": entry.seconds, "reason": scrub(entry.reason, 200), "product": entry.product, "file": clean(entry.file, 200),
    }  # fmt: skip


def _known(path: str, form: Format | None) -> Recognised | None:
    """Return the format that a file's beginning shows, before anything new comes."""
    if form is not None:
        return Recognised([form], None, 1.0)
    try:
        with opened_text(path) as text:
            return recognise(text.read(_LOOKED_AT).split(b"\n")[:-1], path)
    except (Unusable, Unrecognised, OSError, EOFError):
        return None


def _piped(pause: float, stop: Callable[[], bool]) -> Iterator[bytes]:
    """Yield lines of standard input as they come, b"" when nothing came for `pause` seconds; ends with it."""
    number, rest = sys.stdin.fileno(), b""
    while not stop():
        if not select.select([number], [], [], pause)[0]:
            yield b""
            continue
        data = os.read(number, BLOCK)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[:LONGEST_LINE]
        yield from (line[:LONGEST_LINE] for line in lines if line)
    if rest:
        yield rest
