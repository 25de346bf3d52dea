"""Owns what a log format is: how it is told from others, and how its lines are read. One file each in `knowledge/formats`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from importlib.resources import files
from typing import Any, Final

import rtoml

from .dialects import DIALECTS
from .entry import Entry
from .fields import FIELDS, Fields, fill
from .layout import COUNTED, BadLayout, Part, compile_pair, pattern_of, reduced
from .readers.errors import harmless
from .reasons import explain

Reader = Callable[[bytes], Fields | None]
"""Returns what a line says, None where it is no line of this format."""
_TEXT: Final = 2000
_KEYS: Final = {
    "product", "kind", "title", "source", "rank", "dialect", "layout", "pattern", "fast", "reader", "open_end", "hint", "own",
    "sample", "keys", "need", "counts", "note", "tail", "calm", "begins",
}  # fmt: skip


@dataclass(eq=False)
class Format:
    """One format. Compiled when it is first used."""

    id: str
    product: str
    kind: str  # "access" or "error"
    title: str
    source: str = ""
    rank: int = 50  # of two formats that fit a line equally well, the one of lower rank is taken
    dialect: str = ""
    layout: str = ""
    parts: Sequence[Part] = ()
    pattern: str = ""
    fast: str = ""  # pattern for counting, where it cannot be derived
    reader: str = ""  # "module.function" in logs/readers
    open_end: bool = False  # more fields may follow
    hint: tuple[str, ...] = ()  # patterns that speak for this format where several fit
    own: Mapping[str, str] = field(default_factory=dict)  # status → lengths of the product's own page: "150,154-175"
    sample: tuple[Mapping[str, Any], ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # JSON: field → names it may have, dotted where nested
    need: tuple[str, ...] = ()  # JSON: text that must stand in the line for it to be this format
    counts: str = "body"  # what `bytes` counts: "body" or "all" (heads too)
    tail: str = ""  # function in logs/readers that makes sense of the field `tail`
    calm: str = ""  # pattern of `flag` values that tell of no trouble
    begins: str = ""  # how a line begins, told before the whole pattern is tried
    note: str = ""

    @cached_property
    def patterns(self) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """The pattern that reads a whole line, and the one for counting. Raises BadLayout."""
        if self.reader and self.fast:
            return compile_pair(self.fast, self.fast)
        if self.keys:
            counting = _json_pattern(self.keys, self.need)
            return compile_pair(counting, counting)
        if self.pattern:
            return compile_pair(self.pattern, self.fast or reduced(self.pattern))
        parts = self.parts or DIALECTS[self.dialect](self.layout)
        return compile_pair(pattern_of(parts, None, self.open_end), pattern_of(parts, COUNTED))

    @cached_property
    def read(self) -> Reader:
        """The function that reads a line without its line feed."""
        if self.reader or self.keys:
            made = _function(self.reader or "json_lines.reader")
            found: Reader = made(self) if self.keys else made
            return found
        match, tail = self.patterns[0].match, _function(self.tail) if self.tail else None

        def read(line: bytes) -> Fields | None:
            found = match(line)
            if found is None:
                return None
            fields = {name: value.decode("utf-8", "backslashreplace") for name, value in found.groupdict().items() if value}
            return tail(fields) if tail else fields

        return read

    @cached_property
    def columns(self) -> Mapping[str, int] | None:
        """Where the fields of the counting pattern stand in what it finds; None where lines must be read one by one."""
        if (self.reader and not self.fast) or self.kind == "error" or "status" not in self.patterns[1].groupindex:
            return None
        places = {name: number - 1 for name, number in self.patterns[1].groupindex.items()}
        return places if len(places) > 1 else None  # a pattern with one group finds no rows

    @cached_property
    def quiet(self) -> Callable[[bytes], object] | None:
        """Tells of a value of `flag` whether nothing is wrong; None where the format has no such field."""
        return re.compile(self.calm.encode()).fullmatch if self.calm else None

    def entry(self, line: bytes, number: int, file: str) -> Entry | None:
        """Return what the line says, with causes; None where it is no line of this format.

        A line of an error log that only tells of normal life has neither causes nor reason.
        """
        fields = self.read(line)
        return None if fields is None else self.entry_of(fields, line, number, file)

    def entry_of(self, fields: Fields, line: bytes, number: int, file: str) -> Entry | None:
        """Return the entry of a line already read; None where the line is part of a request that is told later."""
        if "nothing" in fields:
            return None
        entry = Entry(fields.get("product") or self.product, file, number)
        entry.text = line[:_TEXT].decode("utf-8", "backslashreplace")
        entry.error_log = self.kind == "error"
        fill(entry, fields)
        explain(entry, fields, self.own, self.counts, self.troubled(fields.get("flag", "").encode()))
        if entry.error_log and not entry.causes and harmless(fields.get("level", "")):
            entry.reason = ""
        return entry

    def troubled(self, flag: bytes) -> bool:
        """Whether a flag says that something went wrong, whatever the status is."""
        return bool(flag and self.quiet and not self.quiet(flag))


def _function(name: str) -> Any:
    module, _, function = name.partition(".")
    return getattr(import_module(f".readers.{module}", __package__), function)


def _json_pattern(keys: Mapping[str, Iterable[str]], need: Iterable[str]) -> str:
    """Return the pattern that finds what counting needs within a JSON line, whatever the order of its members."""
    made = [r"^(?=[ \t]*\{)"]
    made += [rf"(?=[^\n]*{re.escape(text)})" for text in need]
    for name in COUNTED:
        if name in keys:
            names = "|".join(re.escape(key.rpartition(".")[2]) for key in keys[name])
            value = rf'[^\n]*"(?:{names})":[ ]*(?:\["?|")?(?P<{name}>[^"\],\n}}]*)'
            made.append(rf"(?={value})" if name == "status" else rf"(?:(?={value})|)")
    return "".join(made) + r"[^\n]*+$"


def parse(name: str, text: str) -> Format:
    """Return the format written in `text`, the contents of `<name>.toml`. Raises BadLayout."""
    where = f"formats/{name}.toml"
    try:
        table = rtoml.loads(text)
    except rtoml.TomlParsingError as error:
        raise BadLayout(f"{where}: {error}") from None
    if unknown := table.keys() - _KEYS:
        raise BadLayout(f"{where}: unknown key {sorted(unknown)[0]!r}, expected some of {', '.join(sorted(_KEYS))}")
    if table.get("kind") not in ("access", "error"):
        raise BadLayout(f"{where}: kind = {table.get('kind')!r}, expected access or error")
    made: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    made["keys"] = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in made.get("keys", {}).items()}
    if wrong := made["keys"].keys() - set(FIELDS):
        raise BadLayout(f"{where}: unknown field {sorted(wrong)[0]!r}")
    return Format(id=name, **made)


@cache
def formats() -> Mapping[str, Format]:
    """Return every known format by its id, the likeliest first. Raises BadLayout."""
    folder = files("headgate") / "knowledge" / "formats"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    known = [parse(name[:-5], (folder / name).read_text(encoding="utf-8")) for name in names]
    return {one.id: one for one in sorted(known, key=lambda one: (one.rank, one.id))}
