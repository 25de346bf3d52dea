"""Decides which format a log has, from its first lines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath
from typing import Final

from .dialects import w3c
from .entry import Entry
from .formats import Format, formats
from .layout import BadLayout
from .prefixes import Prefix, candidates

SAMPLED: Final = 200
"""Lines looked at."""
_GENERIC: Final = 40
"""Formats of this rank and above fit much: they are taken only for lines that fit no other."""
_ENOUGH: Final = 0.2
"""The least share of lines that must be readable."""
_LONGEST: Final = 16384
_MOST_FORMATS: Final = 5


class Unrecognised(ValueError):
    """No format fits. The message is a sentence for people; `guess` is the id of the closest format, or ""."""

    def __init__(self, message: str, guess: str) -> None:
        super().__init__(message)
        self.guess = guess


@dataclass
class Recognised:
    """What a log is."""

    formats: list[Format]  # the first is what most lines have
    prefix: Prefix | None  # what stands before each line
    share: float  # of the lines looked at, how many could be read


def fields_line(line: bytes) -> Format:
    """Return the format that a `#Fields:` line declares. Raises BadLayout."""
    names = line.partition(b":")[2].decode("utf-8", "replace").strip()
    base = formats()["cloudfront" if "x-edge-" in names else "iis"]
    return replace(base, parts=tuple(w3c(names)), layout=names, open_end=False)


def recognise(lines: Iterable[bytes], name: str = "") -> Recognised:
    """Return the formats of a log's first lines (line feeds taken off); name: the file's, which may tell the product.

    Raises Unrecognised.
    """
    sample = [line[:_LONGEST].rstrip(b"\r") for line in lines][:SAMPLED]
    sample = [line for line in sample if line.strip(b" \t\0")]
    best = _fitting(sample, name, None)
    if best.share < 0.9:
        for prefix in candidates(sample):
            inner = prefix.strip(b"\n".join(sample)).split(b"\n")
            found = _fitting([line for line in inner if line], name, prefix)
            if found.share > best.share:
                best = found
    if best.share < _ENOUGH:
        raise _unrecognised(sample)
    return best


def _fitting(sample: Sequence[bytes], name: str, prefix: Prefix | None) -> Recognised:
    """Return the formats that cover the lines, the one with most lines first."""
    known = list(formats().values())
    for line in sample:
        if line.startswith(b"#Fields:"):
            known = [*_declared(line), *known]
    lines = [line for line in sample if not line.startswith(b"#")]
    fits = {form: {number for number, line in enumerate(lines) if form.read(line) is not None} for form in known}
    left, chosen = set(range(len(lines))), list[tuple[int, Format]]()
    while left and len(chosen) < _MOST_FORMATS:
        best = max(known, key=lambda form: _rating(form, len(fits[form] & left), lines, name))
        covered = len(fits[best] & left)
        if not covered:
            break
        chosen.append((covered, best))
        left -= fits[best]
    chosen.sort(key=lambda pair: -pair[0])
    share = 1 - len(left) / len(lines) if lines else 0.0
    if not lines and (declared := [form for form in known if form.parts]):
        return Recognised(declared[:1], prefix, 1.0)
    return Recognised([form for _, form in chosen], prefix, share)


def _declared(line: bytes) -> list[Format]:
    try:
        return [fields_line(line)]
    except BadLayout:
        return []


def _rating(form: Format, covered: int, lines: Sequence[bytes], name: str) -> tuple[bool, bool, int, int, int, int]:
    """Return how well a format fits: specific ones first, then lines covered, then what speaks for its product, then rank."""
    if not covered:
        return (False, False, 0, 0, 0, -form.rank)
    named = form.product in PurePath(name).as_posix().lower() or (form.product == "apache" and "httpd" in name.lower())
    return (True, form.rank < _GENERIC, covered, named, _hints(form, tuple(lines[:100])), -form.rank)


@lru_cache(256)
def _hints(form: Format, lines: tuple[bytes, ...]) -> int:
    patterns = [re.compile(pattern.encode()) for pattern in form.hint]
    return sum(any(pattern.search(line) for pattern in patterns) for line in lines)


def _unrecognised(sample: Sequence[bytes]) -> Unrecognised:
    if not sample:
        return Unrecognised("It is empty: there is no line in it.", "")
    help_text = "Give --format with the server's own log_format, LogFormat or log-format string, or the name of a known format."
    guess = max(formats().values(), key=lambda form: _resembles(form, sample))
    if not _resembles(guess, sample):
        return Unrecognised(f"Its lines fit no known format. {help_text}", "")
    return Unrecognised(f"Its lines fit no known format; they come closest to: {guess.title}. {help_text}", guess.id)


_MARKS: Final = {
    "haproxy-http": rb"\d+/-?\d+/-?\d+/-?\d+/\+?\d+ (?:\d{3}|-1)|haproxy\[",
    "nginx-combined": rb"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
    "nginx-error": rb"\[(?:error|crit|warn|alert|emerg)\] \d+#\d+",
    "apache-error": rb"\[\w+:(?:error|warn|notice)\]|\bAH\d{5}:",
    "nginx-json": rb'^\s*\{.*"(?:status\w*|request\w*)"\s*:',
    "envoy": rb'^\[20\d\d-\d\d-\d\dT[\d:.]+Z?\] "',
    "aws-alb": rb"\bapp/\S+/[0-9a-f]{16}\b",
    "squid": rb"\bTCP_(?:MISS|HIT|DENIED|TUNNEL)",
    "heroku-router": rb"heroku\[router\]",
}
"""What betrays a kind of log whose lines are not as its format wants them."""


def _resembles(form: Format, sample: Sequence[bytes]) -> int:
    mark = _MARKS.get(form.id)
    return sum(bool(re.search(mark, line)) for line in sample) if mark else 0


def entry_of_line(line: str | bytes) -> Entry | None:
    """Return what one line of any log says, whatever stands before it; None where it fits no known format."""
    raw = (line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line).strip(b"\r\n")
    try:
        found = recognise([raw])
    except Unrecognised:
        return None
    inner = found.prefix.strip(raw) if found.prefix else raw
    return found.formats[0].entry(inner, 1, "")
