"""Owns the groups of causes that rows of knowledge may name as "@group": `knowledge/groups.toml`."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import rtoml


class BadKnowledge(ValueError):
    """A file of knowledge breaks its rules. The message names file, row, key and what was expected."""


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """Return the causes of each group, likeliest first."""
    text = (files("headgate") / "knowledge" / "groups.toml").read_text(encoding="utf-8")
    return {name: tuple(causes) for name, causes in rtoml.loads(text).items()}


def expanded(causes: Iterable[str], where: str) -> tuple[str, ...]:
    """Return causes with each "@group" replaced by its members, each once. Raises BadKnowledge; `where` says in which row."""
    found: list[str] = []
    for one in causes:
        if one.startswith("@") and one[1:] not in groups():
            raise BadKnowledge(f"{where}: {one!r}, expected one of {', '.join(sorted(groups()))}")
        found += groups()[one[1:]] if one.startswith("@") else [one]
    return tuple(dict.fromkeys(found))
