"""Owns the pass over a log: healthy requests are counted block by block, only failures become entries.

A block of whole lines is searched once with the format's counting pattern. Where that finds as many rows as there are lines,
nothing else is looked at but the rows' columns; a block with other lines in it is read line by line, by all formats met.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Final

from .entry import Entry
from .fields import fill
from .formats import Format, formats
from .layout import BadLayout
from .reading import MOST_EXAMPLES, FileReading, Unreadable
from .recognise import Recognised, fields_line
from .times import Minutes

Row = Sequence[bytes]
_TRIALS: Final = 2000
"""Unreadable lines for which every known format is tried, before only those met count."""
_LONGEST_READ: Final = 65536
_SHOWN: Final = 300
_CONTINUED: Final = (b" ", b"\t", b"PHP message:", b"PHP Stack", b"Stack trace", b"#", b"thrown in", b"  ", b"}", b")")
_GAVE_UP: Final = (460, 499)
_UNITS: Final = (("seconds", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


class Scanner:
    """Reads blocks of one file into a FileReading, and hands failures and lines of error logs to `sink`."""

    def __init__(self, found: Recognised, into: FileReading, sink: Callable[[Entry], None]) -> None:
        self.forms = list(found.formats)
        self.prefix = found.prefix
        self.into = into
        self.sink = sink
        self.number = 0  # lines read
        self.trials = 0
        self.minutes = Minutes()
        self.statuses: dict[bytes, tuple[int, bool]] = {}
        self.after_error = False  # the last line was one of an error log: what follows may belong to it

    def feed(self, block: bytes) -> None:
        """Read a block of whole lines; only the last one of a file may lack its line feed."""
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        self.into.bytes += len(block)
        self.into.lines += lines
        inner = self.prefix.strip(block) if self.prefix else block
        form = self.forms[0]
        rows = form.patterns[1].findall(inner) if form.columns and b"#Fields:" not in inner else ()
        if form.columns and len(rows) == lines:
            self._count(form, rows, inner.split(b"\n"), None)
        else:
            self._each(inner)
        self.number += lines

    def _each(self, block: bytes) -> None:
        """Read line by line; what one format counts is collected and counted at once."""
        batches: dict[Format, tuple[list[Row], list[bytes], list[int]]] = {}
        lines = block.split(b"\n")
        if block.endswith(b"\n"):
            lines.pop()
        for number, line in enumerate(lines, self.number + 1):
            if not line.strip(b" \t\r\0"):
                continue
            form, row = self._fitting(line[:_LONGEST_READ], number)
            if form is None:
                continue
            if row is not None:
                batch = batches.setdefault(form, ([], [], []))
                batch[0].append(row)
                batch[1].append(line)
                batch[2].append(number)
        for form, (rows, texts, numbers) in batches.items():
            self._count(form, rows, texts, numbers)

    def _fitting(self, line: bytes, number: int) -> tuple[Format | None, Row | None]:
        """Return the format a line has and, of an access log, what counts."""
        if line.startswith(b"#"):
            self._directive(line)
            return None, None
        for form in self.forms:
            if form.columns:
                if found := form.patterns[1].match(line):
                    self.after_error = False
                    return form, found.groups(b"")
            elif self._whole(form, line, number):
                return form, None
        return self._other(line, number)

    def _directive(self, line: bytes) -> None:
        if line.startswith(b"#Fields:"):
            try:
                self.forms.insert(0, fields_line(line))
            except BadLayout as error:
                self.into.notes.append(str(error))
            del self.forms[8:]

    def _other(self, line: bytes, number: int) -> tuple[Format | None, Row | None]:
        """A line that no format met so far fits: another one, the rest of a message, or unreadable."""
        if self.after_error and line.startswith(_CONTINUED):
            return None, None
        if self.trials < _TRIALS:
            self.trials += 1
            for form in formats().values():
                if form not in self.forms and form.read(line) is not None:
                    self.forms.append(form)
                    return self._fitting(line, number)
        self.into.unreadable += 1
        if len(self.into.examples) < MOST_EXAMPLES:
            self.into.examples.append(Unreadable(number, _shown(line)))
        return None, None

    def _whole(self, form: Format, line: bytes, number: int) -> bool:
        """Read a line of a format that has no counting pattern: of an error log, mostly."""
        fields = form.read(line)
        if fields is None:
            return False
        self._met(form, 1)
        entry = form.entry_of(fields, line, number, self.into.path)
        self.after_error = entry is not None and entry.error_log
        if entry is None:
            return True
        self.into.tally.span(entry.time)
        if not entry.error_log:
            failed = entry.failed or bool(entry.causes)
            minute = int(entry.time // 60) if entry.time >= 0 else -1
            self.into.tally.count(minute, entry.status, 1, int(failed), max(entry.bytes, 0))
            self.into.tally.took(entry.seconds, entry.upstream, failed)
            if failed:
                self._failure(entry)
        elif entry.causes or entry.reason:
            self.sink(entry)
        return True

    def _met(self, form: Format, lines: int) -> None:
        self.into.formats[form.id] = self.into.formats.get(form.id, 0) + lines

    def _failure(self, entry: Entry) -> None:
        self.into.failures += 1
        self.into.tally.blame(entry.client, entry.path)
        self.sink(entry)

    def _count(self, form: Format, rows: Sequence[Row], lines: Sequence[bytes], numbers: Sequence[int] | None) -> None:
        """Count rows, and read those lines whole that tell of failures. numbers: of the lines, None for one after the other."""
        places = form.columns
        assert places is not None, "only formats with a counting pattern"
        self._met(form, len(rows))
        columns: list[Sequence[bytes]] = list(zip(*rows, strict=True))
        statuses: Sequence[bytes] = columns[places["status"]]
        flags: Sequence[bytes] = columns[places["flag"]] if "flag" in places else ()
        failed = self._failed_rows(form, statuses, flags)
        self._by_minute(places, columns, statuses, failed)
        self._durations(places, columns, failed)
        for at in failed:
            number = numbers[at] if numbers else self.number + 1 + at
            line = lines[at].rstrip(b"\r")[:_LONGEST_READ]
            self._failure(form.entry(line, number, self.into.path) or self._bare(form, rows[at], line, number))

    def _failed_rows(self, form: Format, statuses: Sequence[bytes], flags: Sequence[bytes]) -> dict[int, bool]:
        """Return the rows that failed, in order."""
        bad = {status for status in set(statuses) if self._status(status)[1]}
        if flags:
            bad.discard(b"")  # a connection without requests: its flag says how it ended
        loud = {flag for flag in set(flags) if form.troubled(flag)}
        found = {at: True for at, status in enumerate(statuses) if status in bad} if bad else {}
        if loud:
            found |= {at: True for at, flag in enumerate(flags) if flag in loud}
            found = dict(sorted(found.items()))
        return found

    def _status(self, text: bytes) -> tuple[int, bool]:
        """Return a status as a number, and whether it tells of a failure. Anything but a number is none: 0."""
        known = self.statuses.get(text)
        if known is None:
            value = int(text) if text.isdigit() and len(text) < 4 else 0
            known = value, value >= 500 or value == 0 or value in _GAVE_UP
            if len(self.statuses) < 1000:
                self.statuses[text] = known
        return known

    def _by_minute(
        self, places: Mapping[str, int], columns: Sequence[Sequence[bytes]], statuses: Sequence[bytes], failed: dict[int, bool]
    ) -> None:
        """Count by minute and status; the sizes are added up by minute."""
        tally = self.into.tally
        if "date" in places and "clock" in places:
            texts: Sequence[bytes] = [
                date + b" " + clock for date, clock in zip(columns[places["date"]], columns[places["clock"]], strict=True)
            ]
        else:
            texts = columns[places["time"]] if "time" in places else [b""] * len(statuses)
        minutes = list(map(self.minutes.__getitem__, texts))
        bad = Counter([(minutes[at], statuses[at]) for at in failed])
        sizes = _sizes(minutes, statuses, columns[places["bytes"]]) if "bytes" in places else {}
        for (minute, status), number in Counter(zip(minutes, statuses, strict=True)).items():
            value = self._status(status)[0]
            if not status and not bad[minute, status]:
                value = 200
            tally.count(minute, value, number, bad[minute, status], sizes.get((minute, status), 0))
            if minute >= 0:
                tally.span(minute * 60.0)

    def _durations(self, places: Mapping[str, int], columns: Sequence[Sequence[bytes]], failed: dict[int, bool]) -> None:
        unit = next(((name, factor) for name, factor in _UNITS if name in places), None)
        if unit is None and "upstream" not in places:
            return
        upstreams = columns[places["upstream"]] if "upstream" in places else repeat(b"")
        if unit is None:
            for (name, bad), number in Counter((name, at in failed) for at, name in enumerate(upstreams)).items():
                self.into.tally.asked(_NAMES[name], number, number if bad else 0)
            return
        factor, took = unit[1], self.into.tally.took
        for at, (text, name) in enumerate(zip(columns[places[unit[0]]], upstreams, strict=False)):
            try:
                seconds = float(text.rstrip(b"s").lstrip(b"+")) * factor
            except ValueError:
                seconds = -1.0
            took(seconds, _NAMES[name], at in failed)

    def _bare(self, form: Format, row: Row, line: bytes, number: int) -> Entry:
        """Return an entry of what was counted, for a line whose rest does not fit the format."""
        entry = Entry(form.product, self.into.path, number)
        entry.text = line[:2000].decode("utf-8", "backslashreplace")
        places = form.columns or {}
        entry.status = self._status(row[places["status"]])[0]
        if "time" in places:
            minute = self.minutes[row[places["time"]]]
            entry.time = minute * 60.0 if minute >= 0 else -1.0
        return entry


def _sizes(minutes: Sequence[int], statuses: Sequence[bytes], sizes: Sequence[bytes]) -> dict[tuple[int, bytes], int]:
    """Return the bytes sent by minute and status."""
    sums: dict[tuple[int, bytes], int] = {}
    for key, size in zip(zip(minutes, statuses, strict=True), sizes, strict=True):
        if size.isdigit():
            sums[key] = sums.get(key, 0) + int(size)
    return sums


def _name(raw: bytes) -> str:
    """Return a server's name as entries have it: the last of several, without scheme."""
    text = raw.decode("utf-8", "backslashreplace").strip('"')
    if text in ("-", "<NOSRV>", ""):
        return ""
    entry = Entry("", "", 0)
    fill(entry, {"upstream": text})
    return entry.upstream


class _Names(dict[bytes, str]):
    def __missing__(self, raw: bytes) -> str:
        if len(self) > 10_000:
            self.clear()
        name = self[raw] = _name(raw)
        return name


_NAMES: Final = _Names()


def _shown(line: bytes) -> str:
    """Return a line for people: short, and without anything that moves a terminal's cursor."""
    text = line[:_SHOWN].decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
