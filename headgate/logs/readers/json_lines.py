"""Owns how lines of JSON are read: which member is which field, whatever their order and nesting."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..fields import Fields
    from ..formats import Format


def reader(form: "Format") -> "Callable[[bytes], Fields | None]":
    """Return the function that reads a line by the format's `keys`, None for a line that lacks what the format needs."""
    need = tuple(text.encode() for text in form.need)
    wanted = [(name, [tuple(key.split(".")) for key in keys]) for name, keys in form.keys.items()]

    def read(line: bytes) -> "Fields | None":
        if any(text not in line for text in need):
            return None
        found = loaded(line)
        if found is None:
            return None
        fields: dict[str, str] = {}
        for name, paths in wanted:
            for path in paths:
                if text := member(found, path):
                    fields[name] = text
                    break
        if "message" in fields and form.kind == "access":
            del fields["message"]
        return fields if "status" in fields or form.kind == "error" else None

    return read


def loaded(line: bytes) -> Mapping[str, Any] | None:
    """Return the object of a line, None where it is none."""
    start = line.find(b"{")
    if start < 0 or line[:start].strip():
        return None
    try:
        found = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def member(found: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return a member as text, "" where there is none. Of a list the first element counts."""
    value: Any = found.get(".".join(path)) if len(path) > 1 else None
    if value is None:
        value = found
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, dict | bool):
        return ""
    return str(value)
