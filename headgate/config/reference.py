"""The reference of every table and key, made from the schema.

`python -m headgate.config.reference` prints it; with a file as argument it replaces what follows MARK in that file.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .checks import CHECKS
from .schema import Server
from .units import show_duration, show_size
from .values import Network, Table
from .wording import found, table_in, tables, unit

MARK = "<!-- From here on made by: python -m headgate.config.reference docs/configuration.md -->\n"
"""The line in docs/configuration.md above which people write, and below which this module does."""


def reference() -> str:
    """Return a section for each table of the schema, in Markdown."""
    return "\n".join([*(_section(heading, table) for heading, table in tables()), _checks()])


def updated(page: str) -> str:
    """Return a page with its generated part made anew. Raises ValueError when it has no MARK."""
    if MARK not in page:
        raise ValueError(f"the page has no line {MARK.strip()}")
    return page[: page.index(MARK)] + MARK + "\n" + reference()


def _section(heading: str, table: type[Table]) -> str:
    keys = {name: about for name, about in table.by_key().items() if _is_key(about)}
    rows = [
        f"| `{name}` | {_type(about)} | {_default(about)} | {_cell(about.description or '')} |" for name, about in keys.items()
    ]
    lines = [f"### `{heading}`", "", str(table.__doc__), ""]
    return "\n".join([*lines, "| Key | Type | Default | Meaning |", "|---|---|---|---|", *rows, ""])


def _checks() -> str:
    """Return the table of the checks."""
    rows = sorted(f"| `{check.id}` | {check.level} | {_cell(str(check.run.__doc__))} |" for check in CHECKS)
    opening = "Each is valid, and `headgate check` says where it stands, what it leads to, and what to write instead."
    head = ["## What is warned of", "", opening, "", "| Id | Level | Meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _is_key(about: FieldInfo) -> bool:
    """Return whether a field is written as a key, rather than as a table of its own."""
    return table_in(about.annotation) in {None, Server}


def _type(about: FieldInfo) -> str:
    annotation = about.annotation
    said = unit(about) or _named(annotation) + _bounds(about)
    return said.replace("|", "\\|")


def _named(annotation: Any) -> str:
    """Return what people call a type."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return f"list of {_plural(inner[0])}"
    if origin is dict:
        return "table of texts"
    optional = [item for item in inner if item is not type(None)]
    if type(None) in inner:
        return _named(optional[0])
    if origin is not None and str(origin) == "typing.Literal":
        return " or ".join(f"`{found(item)}`" for item in inner)
    return {bool: "`true` or `false`", int: "number", float: "number"}.get(annotation, "text")


def _plural(annotation: Any) -> str:
    return "networks" if annotation == Network else "URLs or tables" if annotation is Server else "texts"


def _bounds(about: FieldInfo) -> str:
    """Return the range of a number, if it has one."""
    low = next((item.ge for item in about.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in about.metadata if hasattr(item, "le")), None)
    if low is None:
        return ""
    return f", from {low}" + (f" to {high}" if high is not None else "")


def _default(about: FieldInfo) -> str:
    value = about.default
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(found, value))}]`"
    shown = {"duration": show_duration, "size": show_size}.get(unit(about))
    return f'`"{shown(value)}"`' if shown and value else f"`{found(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: Iterable[str]) -> None:
    """Print the reference, or write it into the files that are named."""
    names = list(arguments)
    for name in names:
        page = Path(name)
        page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    if not names:
        sys.stdout.write(reference())


if __name__ == "__main__":
    main(sys.argv[1:])
