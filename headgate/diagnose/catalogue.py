"""The catalogue of causes, read once from `knowledge/causes/*.md`: front matter between `+++` lines, then prose by heading."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ..model.cause import FAULTS, RETRIES, Cause
from ..model.phases import PHASES

SECTIONS = (
    "Visitor", "Operator", "Administrator", "How we know", "Usual reasons", "What to check", "How to fix", "How to prevent",
)  # fmt: skip
"""Headings that every cause has, in this order."""

_TYPES = {field.name: field.type for field in fields(Cause) if field.name != "sections"} | {"aliases": list}
"""What the front matter may say: type by key."""


class BadCause(ValueError):
    """A cause's file breaks the catalogue's rules. The message names file, key and what was expected."""


def parse_cause(name: str, text: str) -> Cause:
    """Return the cause written in `text`, the contents of `<name>.md`. Raises BadCause."""
    try:
        _, front, prose = text.split("+++\n", 2)
        row = tomllib.loads(front)
    except ValueError as error:
        raise BadCause(f"causes/{name}.md: expected TOML between two lines of +++ ({error})") from None
    if unknown := row.keys() - _TYPES.keys():
        raise BadCause(f"causes/{name}.md: unknown key {sorted(unknown)[0]!r}, expected some of {', '.join(sorted(_TYPES))}")
    for key, value in row.items():
        if type(value) is not _TYPES[key]:
            raise BadCause(f"causes/{name}.md: {key} = {value!r}, expected {getattr(_TYPES[key], '__name__', '')}")
    for key, allowed in (("phase", (*PHASES, "any")), ("fault", FAULTS), ("retry", RETRIES)):
        if row.get(key) not in allowed:
            raise BadCause(f"causes/{name}.md: {key} = {row.get(key)!r}, expected one of {', '.join(allowed)}")
    if row.get("code") != name:
        raise BadCause(f"causes/{name}.md: code = {row.get('code')!r}, expected the file's name, {name!r}")
    row["aliases"] = tuple(row.get("aliases", ()))
    try:
        return Cause(**row, sections=_sections(prose))
    except TypeError as error:
        raise BadCause(f"causes/{name}.md: {error}") from None


def _sections(prose: str) -> dict[str, str]:
    """Return the text below each `## Heading`."""
    parts = ("\n" + prose).split("\n## ")[1:]
    return {heading.strip(): body.strip() for heading, _, body in (part.partition("\n") for part in parts)}


@cache
def catalogue() -> Mapping[str, Cause]:
    """Return every cause by its code, in the order of the phases, then of the codes."""
    folder = files("headgate") / "knowledge" / "causes"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    causes = [parse_cause(name[:-3], (folder / name).read_text(encoding="utf-8")) for name in names]
    order = {phase: number for number, phase in enumerate((*PHASES, "any"))}
    return MappingProxyType({cause.code: cause for cause in sorted(causes, key=lambda cause: order[cause.phase])})


def title_of(group: str) -> str:
    """Return what a group of failures is called: a cause's title; for a status, or for "", that its cause is not known."""
    cause = catalogue().get(group)
    if cause is not None:
        return cause.title
    unsaid = "the log does not say why"
    return f"{group}, {unsaid}" if group.isdigit() else group.strip("()") or unsaid


def bullets(text: str) -> tuple[str, ...]:
    """Return the items of a list in the catalogue's prose, each as one line."""
    items = re.split(r"^[-*] ", text, flags=re.MULTILINE)
    return tuple(" ".join(item.split()) for item in items[1:])
