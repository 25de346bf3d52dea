"""Owns what other programs' codes and sentences mean: dictionaries in `knowledge/codes/*.toml`, looked up by code or by phrase.

A dictionary's file says whose words these are and where they were read; each row is one code (`code`, met whole) or one sentence
(`has`, a fixed part of it that is looked for first, and where needed `match`, a pattern whose named groups become facts). Rows
that narrow down a general sentence stand before it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import rtoml

from .groups import BadKnowledge, expanded

EVIDENCE: Final = {
    "S": "read in the product's own source or its vendor's documentation",
    "W": "seen in the wild",
    "K": "general knowledge, not verified",
    "C": "captured from the running product",
}
"""How well a row is founded."""


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """One file: the words of one product."""

    id: str  # the file's name
    product: str  # id in knowledge/products; "" where the words belong to no single product (errno)
    title: str  # "HAProxy termination state"
    where: str  # where such a word is met: "in the log, after the captures"
    source: str
    evidence: str  # one of EVIDENCE, for rows that do not say their own
    shape: str = ""  # pattern of its codes, whole and case-insensitive, so that an unknown code of this shape is recognised
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One word or sentence, and what it stands for."""

    dictionary: Dictionary
    code: str  # as the product writes it; of a sentence: a short name for it, unique in its file
    name: str = ""  # the long form: "UpstreamConnectionFailure"
    means: str = ""  # what the product's own words mean, one or two sentences
    causes: tuple[str, ...] = ()  # of our catalogue or "@group" (groups.py), the likeliest first; empty where nothing failed
    aliases: tuple[str, ...] = ()  # other spellings of the code
    status: tuple[int, ...] = ()  # what the client gets with it
    has: str = ""  # sentence: fixed text that must be there, in lower case
    match: str = ""  # sentence: pattern (case-insensitive); named groups: errno, address, host, name, seconds, ...
    sample: str = ""  # sentence: a line that contains it
    tell: str = ""  # where several causes are possible: how to tell them apart
    visitor: str = ""  # advice where the causes' own does not fit
    check: tuple[str, ...] = ()  # commands of this product, before those of the cause
    fix: tuple[str, ...] = ()  # settings of this product
    proves: bool = False  # the product states the cause itself: with one cause it is proved
    evidence: str = "S"
    source: str = ""

    @property
    def product(self) -> str:
        """The product's id, "" for words of no single product."""
        return self.dictionary.product


@dataclass(frozen=True, slots=True)
class Found:
    """A row met in a text, and what the text adds."""

    row: Row
    text: str  # the part that matched
    at: int  # where it begins
    groups: Mapping[str, str] = field(default_factory=dict)


_HEAD: Final = {"product": str, "title": str, "where": str, "source": str, "evidence": str, "shape": str, "note": str}
_KINDS: Final = {
    **dict.fromkeys(("code", "name", "means", "has", "match", "sample", "tell", "visitor", "evidence", "source"), str),
    **dict.fromkeys(("causes", "aliases", "check", "fix", "status"), list),
    "proves": bool,
}
_WORDS: Final = {str: "text", list: "a list of text", bool: "true or false"}
_LISTS: Final = tuple(key for key, kind in _KINDS.items() if kind is list)


def parse(name: str, text: str) -> list[Row]:
    """Return the rows of a dictionary, the contents of `<name>.toml`. Raises BadKnowledge."""
    try:
        table = rtoml.loads(text)
    except rtoml.TomlParsingError as error:
        raise BadKnowledge(f"codes/{name}.toml: {error}") from None
    rows = table.pop("row", [])
    if not isinstance(rows, list):
        raise BadKnowledge(f"codes/{name}.toml: row = {rows!r}, expected tables, each under [[row]]")
    dictionary = _dictionary(name, table)
    return [_row(dictionary, number, row) for number, row in enumerate(rows, 1)]


def _dictionary(name: str, table: dict[str, Any]) -> Dictionary:
    if unknown := table.keys() - _HEAD.keys():
        raise BadKnowledge(f"codes/{name}.toml: unknown key {sorted(unknown)[0]!r}, expected some of {', '.join(_HEAD)}")
    for key in ("title", "where", "source", "evidence"):
        if not table.get(key):
            raise BadKnowledge(f"codes/{name}.toml: {key} is missing, expected text")
    for key, value in table.items():
        if not isinstance(value, str):
            raise BadKnowledge(f"codes/{name}.toml: {key} = {value!r}, expected text")
    _check_evidence(f"codes/{name}.toml", table["evidence"])
    return Dictionary(id=name, **({"product": ""} | table))


def _row(dictionary: Dictionary, number: int, row: Any) -> Row:
    if not isinstance(row, dict):
        raise BadKnowledge(f"codes/{dictionary.id}.toml, row {number}: {row!r}, expected a table")
    for key, value in row.items():
        if type(value) is not _KINDS.get(key) or (type(value) is list and not _fits(key, value)):
            _reject(_place(dictionary, number, row), key, value)
    for key in ("code", "means"):
        if not row.get(key):
            raise BadKnowledge(f"{_place(dictionary, number, row)}: {key} is missing")
    for key in _LISTS:
        row[key] = tuple(row.get(key, ()))
    if any(cause[:1] == "@" for cause in row["causes"]):
        row["causes"] = expanded(row["causes"], _place(dictionary, number, row))
    if row.setdefault("evidence", dictionary.evidence) not in EVIDENCE:
        _check_evidence(_place(dictionary, number, row), row["evidence"])
    if row.get("has", "") != row.get("has", "").lower():
        raise BadKnowledge(f"{_place(dictionary, number, row)}: has = {row['has']!r}, expected lower case")
    return Row(dictionary=dictionary, **row)


def _fits(key: str, value: list[Any]) -> bool:
    """Return whether the members of a list are what its key wants."""
    kind = int if key == "status" else str
    return all(type(one) is kind for one in value)


def _place(dictionary: Dictionary, number: int, row: dict[str, Any]) -> str:
    return f"codes/{dictionary.id}.toml, row {number} ({row.get('code', 'no code')})"


def _reject(where: str, key: str, value: object) -> None:
    if key not in _KINDS:
        raise BadKnowledge(f"{where}: unknown key {key!r}, expected some of {', '.join(_KINDS)}")
    raise BadKnowledge(
        f"{where}: {key} = {value!r}, expected {'a list of whole numbers' if key == 'status' else _WORDS[_KINDS[key]]}"
    )


def _check_evidence(where: str, letter: str) -> None:
    if letter not in EVIDENCE:
        raise BadKnowledge(f"{where}: evidence = {letter!r}, expected one of {', '.join(EVIDENCE)}")


def folder() -> Traversable:
    """Return where the dictionaries are."""
    return files("headgate") / "knowledge" / "codes"


@cache
def rows() -> tuple[Row, ...]:
    """Return every row of every dictionary, files in order of their names. Raises BadKnowledge."""
    names = sorted(entry.name for entry in folder().iterdir() if entry.name.endswith(".toml"))
    return tuple(row for name in names for row in parse(name[:-5], (folder() / name).read_text(encoding="utf-8")))


@cache
def _by_code() -> Mapping[str, tuple[Row, ...]]:
    found: dict[str, list[Row]] = {}
    for row in rows():
        if not row.has:
            for word in {normal(word) for word in (row.code, *row.aliases)}:
                found.setdefault(word, []).append(row)
    return {word: tuple(several) for word, several in found.items()}


def normal(code: str) -> str:
    """Return a code as it is compared: one blank between words, lower case."""
    return " ".join(code.split()).lower()


def lookup(code: str, product: str = "") -> tuple[Row, ...]:
    """Return the rows that are called `code`, in any dictionary or (where given) in those of one product.

    Case counts only where it tells the rows of one dictionary apart (HAProxy's SC and sC), and one of them is written so.
    """
    found = _by_code().get(normal(code), ())
    spelt = {row: " ".join(code.split()) in (row.code, *row.aliases) for row in found}
    settled = {row.dictionary for row in found if spelt[row]}
    return tuple(
        row for row in found if (spelt[row] or row.dictionary not in settled) and (not product or row.product == product)
    )


@cache
def _sentences() -> tuple[Row, ...]:
    return tuple(row for row in rows() if row.has)


@cache
def _pattern(match: str) -> re.Pattern[str]:
    return re.compile(match, re.IGNORECASE)


def phrases(text: str, product: str = "") -> Iterator[Found]:
    """Yield the sentences that occur in `text`, each row once, in the order of the files.

    Where several of one dictionary fit, the one that explains most of the text (the longest `Found.text`) is the finest; of
    equals the first, so that finer rows stand before the general one of their file.
    product: only those of one product, and of no single product.
    """
    small = text.lower()
    for row in _sentences():
        at = small.find(row.has)
        if at < 0 or (product and row.product not in (product, "")):
            continue
        if not row.match:
            yield Found(row, text[at : at + len(row.has)], at)
        elif hit := _pattern(row.match).search(text):
            yield Found(row, hit[0], hit.start(), {key: value for key, value in hit.groupdict().items() if value})


def shapes(code: str) -> list[Dictionary]:
    """Return the dictionaries whose codes look like `code`, whether or not they know it."""
    known = {row.dictionary.id: row.dictionary for row in rows() if row.dictionary.shape}
    return [one for one in known.values() if _pattern(one.shape).fullmatch(code.strip())]
