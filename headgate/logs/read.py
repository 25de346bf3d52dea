"""Owns the reading of several log files: in parallel where that pays, joined, merged into one `Reading`."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from queue import Empty
from threading import Thread, active_count
from typing import Any, BinaryIO, Final

from ..diagnose.catalogue import catalogue
from .custom import of_option
from .entry import Entry
from .formats import Format, formats
from .join import family, join
from .keep import Keeper, count, group_of
from .reading import FileReading, Reading
from .reasons import OWN
from .recognise import SAMPLED, Recognised, Unrecognised, recognise
from .scan import Scanner
from .stream import Chunk, Unusable, chunks, opened, refuse_binary

Progress = Callable[[int, int], None]
"""Called with bytes read and bytes in all (of the files on disk; 0 where not known)."""
_WORTH: Final = 16 << 20
"""Bytes in all from which several processes are worth their start."""
_LOOKED_AT: Final = 65536
_BESIDE: Final = 60.0
_WATCHED: Final = 0.5
"""Seconds after which a reader looks whether it is still wanted."""


@dataclass
class Part:
    """What one file gave."""

    file: FileReading
    keeper: Keeper


def read(paths: Sequence[str], format: str = "", workers: int | None = None, progress: Progress | None = None) -> Reading:
    """Read log files ("-" is standard input) and return what they say.

    format: "" recognises each file by itself; else as `custom.of_option` takes it. workers: processes, None decides. A file
    that cannot be read is told in its FileReading.error, the others are read. Raises BadLayout for a bad `format`.
    """
    of_option(format)  # a mistake in it is told before anything is read
    sizes = {path: _size(path) for path in paths}
    total = sum(sizes.values())
    hint = _company(paths)
    several = min(len(paths), workers or os.cpu_count() or 1)
    if several > 1 and (workers or total > _WORTH) and "-" not in paths:
        parts = _parallel(paths, format, several, total, progress, hint)
    else:
        parts = list(_in_turn(paths, format, sizes, total, progress, hint))
    if progress:
        progress(total, total)
    return merged(parts)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size if path != "-" else 0
    except OSError:
        return 0


def _in_turn(
    paths: Sequence[str], format: str, sizes: dict[str, int], total: int, progress: Progress | None, hint: str
) -> Iterator[Part]:
    before = 0
    for path in paths:
        yield read_file(path, format, _shifted(progress, before, total) if progress else None, hint)
        before += sizes[path]


def _shifted(progress: Progress, base: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(base + done, total)


_told: Any = None


def _begin(queue: Any, parent: int) -> None:
    global _told
    _told = queue
    Thread(target=_outlive_nobody, args=(parent,), daemon=True).start()


def _outlive_nobody(parent: int) -> None:
    """End this reader once who started it was killed: nobody waits for what it reads."""
    while os.getppid() == parent:
        time.sleep(_WATCHED)
    os._exit(1)


def _work(path: str, format: str, hint: str) -> Part:
    return read_file(path, format, lambda done: _told.put((path, done)), hint)


def _parallel(paths: Sequence[str], format: str, several: int, total: int, progress: Progress | None, hint: str) -> list[Part]:
    # A fork starts at once, but copies no threads: with others about (a progress bar), their locks would stay locked for good.
    context = get_context("fork" if active_count() == 1 else "spawn")
    queue: Any = context.Queue()
    done: dict[str, int] = {}
    with ProcessPoolExecutor(several, context, initializer=_begin, initargs=(queue, os.getpid())) as pool, _ended_early():
        jobs: list[Future[Part]] = [pool.submit(_work, path, format, hint) for path in paths]
        waiting: set[Future[Part]] = set(jobs)
        while waiting:
            _, waiting = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
            try:
                while True:
                    path, read_so_far = queue.get_nowait()
                    done[path] = read_so_far
            except Empty:
                pass
            if progress:
                progress(min(sum(done.values()), total), total)
        return [job.result() for job in jobs]


@contextmanager
def _ended_early() -> Iterator[None]:
    """End the readers where reading is interrupted: they would go on to the end of their files."""
    try:
        yield
    except BaseException:
        for process in active_children():
            process.terminate()
        raise


def _company(paths: Sequence[str]) -> str:
    """Return the product of the error logs among the files, where it is one: the access logs beside it are its own."""
    found = set()
    for path in paths if len(paths) > 1 else ():
        try:
            with opened_text(path) as text:
                known = recognise(text.read(_LOOKED_AT).split(b"\n")[:-1], path).formats
        except (Unusable, Unrecognised, OSError, EOFError):
            continue
        found |= {form.product for form in known if form.kind == "error" or form.id == "varnishlog"}
    return found.pop() if len(found) == 1 else ""


@contextmanager
def opened_text(path: str) -> Iterator[BinaryIO]:
    """Open a file for a look at its beginning; standard input cannot be looked at twice. Raises Unusable, OSError."""
    if not Path(path).is_file():
        raise Unusable("It is no file that can be read twice.")
    text, raw, _ = opened(path)
    with raw, text:
        yield text


def read_file(path: str, format: str = "", progress: Callable[[int], None] | None = None, hint: str = "") -> Part:
    """Read one file. hint: the product that the files beside it are of.

    What is wrong with it is told in `file.error`, nothing is raised but BadLayout for `format`."""
    part = Part(FileReading(path), Keeper())
    try:
        text, raw, part.file.compressed = opened(path)
    except Unusable as error:
        part.file.error = str(error)
        return part
    except OSError as error:
        part.file.error = f"It cannot be read: {error.strerror or error}."
        return part
    try:
        _scan(chunks(text, raw), part, of_option(format), progress, hint)
    except (Unusable, Unrecognised) as error:
        part.file.error = str(error)
        part.file.guess = getattr(error, "guess", "")
    except OSError as error:
        part.file.error = f"It could not be read to its end: {error.strerror or error}."
    finally:
        if path != "-":
            text.close()
            raw.close()
    return part


def _scan(blocks: Iterator[Chunk], part: Part, form: Format | None, progress: Callable[[int], None] | None, hint: str) -> None:
    file, scanner, whole = part.file, None, True
    try:
        for chunk in blocks:
            if scanner is None:
                found = _found(chunk.data, file, form, hint)
                scanner = Scanner(found, file, part.keeper.take)
            unread = file.unreadable
            scanner.feed(chunk.data)
            whole = chunk.whole or file.unreadable == unread
            if progress:
                progress(max(chunk.done, 0))
        if scanner is None:
            raise Unrecognised("It is empty: there is no line in it.", "")
    finally:
        if scanner is not None:
            _conclude(file, scanner, whole)


def _found(data: bytes, file: FileReading, form: Format | None, hint: str) -> Recognised:
    if file.compressed:
        refuse_binary(data[:8192])
    lines = data[: 1 << 20].split(b"\n", SAMPLED + 1)[: SAMPLED + 1]
    if form is None:
        return recognise(lines[:SAMPLED], f"{file.path}/{hint}")
    try:
        prefix = recognise(lines[:SAMPLED], file.path).prefix
    except Unrecognised:
        prefix = None
    found = Recognised([form], prefix, 1.0)
    inner = prefix.strip(b"\n".join(lines)).split(b"\n") if prefix else lines
    if not any(form.read(line.rstrip(b"\r")) is not None for line in inner if line):
        raise Unrecognised(f"None of its first lines fits the format given ({form.title}).", form.id)
    return found


def _conclude(file: FileReading, scanner: Scanner, whole: bool) -> None:
    """Say what the file was, once it is read."""
    if not whole and file.unreadable:
        file.cut = True
        file.unreadable -= 1
        file.examples = [one for one in file.examples if one.line != file.lines]
    known = {form.id: form for form in scanner.forms}
    most = max(file.formats, key=lambda name: file.formats[name], default=scanner.forms[0].id)
    main = known.get(most, scanner.forms[0])
    file.format, file.title, file.product = main.id, main.title, main.product
    kinds = {known[name].kind for name in file.formats if name in known}
    file.kind = main.kind if len(kinds) < 2 else "mixed"
    if file.kind == "mixed":
        most_first = sorted(file.formats, key=lambda name: -file.formats[name])
        file.title = ", ".join(dict.fromkeys(known[name].title for name in most_first if name in known))
    if main.note:
        file.notes.append(main.note)
    if scanner.prefix:
        file.notes.append(f"Each line is wrapped by {scanner.prefix.name}.")


def merged(parts: Sequence[Part]) -> Reading:
    """Return what several files say together."""
    reading = Reading(files=[part.file for part in parts])
    keeper = Keeper()
    strides = max((part.keeper.stride for part in parts), default=1)
    for part in parts:
        keeper.dropped_errors += part.keeper.dropped_errors
        for group, number in part.keeper.dropped.items():
            count(keeper.dropped, group, number)
        if part.file.kind != "error":
            reading.tally.merge(part.file.tally)
        keeper.failures += part.keeper.failures
        keeper.errors += part.keeper.errors
    while strides > keeper.stride or len(keeper.failures) > keeper.most or len(keeper.errors) > keeper.most:
        keeper.thin(max(keeper.stride * 2, strides))
    found = join(keeper.failures, keeper.errors)
    reading.joined, reading.offsets = found.joined, found.offsets
    _passed_on(keeper.failures, parts)
    alone, others = _alone(found.alone, parts)
    reading.failures = sorted([*keeper.failures, *alone], key=lambda entry: entry.time)
    reading.others = sorted(others, key=lambda entry: entry.time)
    for group, number in keeper.dropped.items():
        count(reading.groups, group, number)
    for entry in reading.failures:
        count(reading.groups, group_of(entry))
    reading.failed = sum(reading.groups.values())
    reading.sampled = bool(keeper.dropped)
    _notes(reading, keeper)
    return reading


def _passed_on(failures: Sequence[Entry], parts: Sequence[Part]) -> None:
    """Where nginx's error log tells of that time and says nothing, the answer was its server's own: nginx logs what it makes."""
    spans = [
        (part.file.tally.first, part.file.tally.last)
        for part in parts
        if "nginx-error" in part.file.formats and family(part.file.product) == "nginx"
    ]
    for entry in failures:
        silent = entry.confidence == "possible" and entry.causes[:1] == (OWN,) and family(entry.product) == "nginx"
        if silent and any(first <= entry.time <= last + _BESIDE for first, last in spans):
            entry.causes, entry.confidence, entry.made_by = (OWN,), "likely", "upstream"


def _alone(errors: Sequence[Entry], parts: Sequence[Part]) -> tuple[list[Entry], list[Entry]]:
    """Part the lines of error logs that no request was found for: failures of their own, and the rest.

    A line stands for a failed request where no access log of its product tells of that time.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for part in parts:
        for product in _counted(part.file):
            spans.setdefault(product, []).append((part.file.tally.first, part.file.tally.last))
    alone, others = [], []
    for entry in errors:
        covered = any(first - _BESIDE <= entry.time <= last + 2 * _BESIDE for first, last in spans.get(family(entry.product), ()))
        if entry.causes and (entry.path or entry.client or entry.status >= 500) and not covered:
            cause = catalogue().get(entry.causes[0])
            entry.status = entry.status or (cause.status if cause else 0)
            alone.append(entry)
        else:
            others.append(entry)
    return alone, others


def _counted(file: FileReading) -> set[str]:
    """Return the products (families) whose requests a file counts: of a mixed one those of its access logs."""
    if file.kind == "mixed":
        known = [formats()[name] for name in file.formats if name in formats()]
        found = {family(form.product) for form in known if form.kind == "access"}
        return found or {family(file.product)}
    return {family(file.product)} if file.kind == "access" else set()


def _notes(reading: Reading, keeper: Keeper) -> None:
    if reading.sampled:
        reading.notes.append(
            f"{reading.failed:,} requests failed: {len(reading.failures):,} of them were kept whole, an even sample; "
            "counts are exact."
        )
    if keeper.dropped_errors:
        reading.notes.append(f"{keeper.dropped_errors:,} lines of error logs were not kept.")
    for name, offset in reading.offsets.items():
        hours = abs(offset) / 3600
        reading.notes.append(
            f"The clock of {name} is {hours:g} h {'behind' if offset > 0 else 'ahead of'} that of the access log: "
            "their time zones differ. It was put right for joining."
        )
