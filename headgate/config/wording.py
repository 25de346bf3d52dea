"""How pydantic's errors are said to people: what was found, what is expected, and what was probably meant."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from .findings import Bad, Path, Remark, dotted
from .schema import Config
from .units import A_DURATION, A_SHARE, A_SIZE, parse_duration, parse_share, parse_size, show_duration, show_share, show_size
from .values import Table

_TYPES = {
    "string_type": 'text in quotes, such as "text"',
    "bool_type": "true or false, without quotes",
    "int_type": "a whole number, without quotes",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list in square brackets",
    "model_type": "a table",
    "dict_type": "a table",
    "string_pattern_mismatch": "1 to 64 letters, digits and hyphens",  # only gateway.name has a pattern
}
"""What pydantic's type errors expect."""
_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than_equal": ("le", "at most {}"),
}


def remarks(errors: Iterable[ErrorDetails]) -> list[Remark]:
    """Return pydantic's errors in plain words.

    What only follows from another one is left out: a key that is missing because it is misspelt, a list that is short because its
    elements are wrong.
    """
    told = list(errors)
    places = [error["loc"] for error in told]
    misspelt = {_meant(error["loc"]) for error in told if error["type"] == "extra_forbidden"}
    return [
        _remark(error)
        for error in told
        if not (error["type"] == "missing" and error["loc"] in misspelt)
        and not (error["type"] == "too_short" and any(_within(place, error["loc"]) for place in places))
    ]


def _meant(path: Path) -> Path | None:
    """Return the path of the key that was probably meant by an unknown one."""
    *outer, key = path
    table = table_at(tuple(outer))
    close = get_close_matches(str(key), list(table.by_key()), 1) if table else []
    return (*outer, close[0]) if close else None


def _within(path: Path, outer: Path) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _remark(error: ErrorDetails) -> Remark:
    """Return one of pydantic's errors in plain words."""
    path, kind, value = error["loc"], error["type"], error["input"]
    if path[-1:] == ("[key]",):  # pydantic's mark for the name of a key in a dict
        path = path[:-1]
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        about = field_at(path)
        return Remark(path, "missing", expected=_lower(about.description) if about and about.description else "a value")
    if kind == "too_short":
        return Remark(path, "empty list", expected="one or more")
    if kind == "value_error":
        return _refused(path, value, error["ctx"]["error"])
    if kind == "literal_error":
        return _not_among(path, value)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return Remark(path, f"found {found(value)}", expected=words.format(_in_units(path, error["ctx"][key])))
    return _wrong_type(path, kind, value, error["msg"])


def _refused(path: Path, value: Any, error: Exception) -> Remark:
    """Return what one of our own validators had to say."""
    if isinstance(error, Bad):
        return Remark(path, error.message, error.hint, error.expected)
    return Remark(path, f"found {found(value)}", expected=str(error).removeprefix("expected "))


def _not_among(path: Path, value: Any) -> Remark:
    about = field_at(path)
    allowed = get_args(about.annotation) if about else ()
    if about is not None and get_origin(about.annotation) is tuple:
        allowed = get_args(allowed[0])
    close = get_close_matches(value, list(map(str, allowed)), 1) if isinstance(value, str) else []
    return Remark(path, f"found {found(value)}", did_you_mean(close), " or ".join(map(found, allowed)))


def _wrong_type(path: Path, kind: str, value: Any, message: str) -> Remark:
    about = field_at(path)
    expected = _TYPES.get(kind, message)
    if about is not None and kind in {"float_type", "int_type", "int_from_float"}:
        expected = {"duration": A_DURATION, "size": A_SIZE, "share": A_SHARE}.get(unit(about), expected)
    hint = ""
    if kind == "tuple_type" and path == ("route",):
        hint = "write [[route]], with double brackets" if isinstance(value, dict) else ""
    elif kind == "tuple_type" and isinstance(value, str):
        hint = f"write [{found(value)}]"
    elif kind in {"model_type", "dict_type"} and path[:1] == ("upstream",) and len(path) <= 2:
        hint = "every upstream has a name: write [upstream.NAME]"
    elif kind in {"model_type", "dict_type"}:
        hint = f"write [{dotted(path)}] and its keys below" if all(isinstance(part, str) for part in path) else ""
    return Remark(path, f"found {found(value)}", hint, expected)


def _unknown_key(path: Path) -> Remark:
    *outer, key = path
    table = table_at(tuple(outer))
    known = list(table.by_key()) if table else []
    if meant := _meant(path):
        return Remark(path, "unknown key", did_you_mean([str(meant[-1])]))
    if homes := [place for place, other in tables() if key in other.by_key()]:
        return Remark(path, "unknown key here", f"{key} belongs in {' or '.join(homes[:3])}")
    return Remark(path, "unknown key", expected=f"one of {', '.join(known)}" if known else "")


def did_you_mean(close: list[str]) -> str:
    """Return the question, or nothing when nothing is close."""
    return f'did you mean "{close[0]}"?' if close else ""


def found(value: Any) -> str:
    """Return a value as TOML writes it, shortened, so that the reader recognises it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = value.encode("unicode_escape").decode().replace('"', '\\"')
        return f'"{shown}"' if len(shown) <= 60 else f'"{shown[:60]}..."'
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else str(value)


def _in_units(path: Path, bound: float) -> str:
    about = field_at(path)
    kind = unit(about) if about else ""
    if kind == "share" and bound:
        return f'"{show_share(bound)}"'
    show = {"duration": show_duration, "size": show_size}.get(kind)
    return f'"{show(int(bound))}"' if show and bound else f"{bound:g}"


def unit(about: FieldInfo) -> str:
    """Return "duration", "size" or "share" for fields that are one, else an empty text."""
    parsers = {getattr(item, "func", None) for item in about.metadata}
    for inner in get_args(about.annotation):  # of an optional one
        parsers |= {getattr(item, "func", None) for item in getattr(inner, "__metadata__", ())}
    kinds = {parse_duration: "duration", parse_size: "size", parse_share: "share"}
    return next((kind for parser, kind in kinds.items() if parser in parsers), "")


def _lower(sentence: str) -> str:
    """Return the first sentence of a description, to stand within another."""
    first = sentence.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


# The schema as a tree of tables.


def table_in(annotation: Any) -> type[Table] | None:
    """Return the table that an annotation holds: itself, optional, in a tuple, or as the value of a dict."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    if get_origin(annotation) in {tuple, dict, Union, UnionType}:
        return next((table for table in map(table_in, get_args(annotation)) if table), None)
    return None


def table_at(path: Path) -> type[Table] | None:
    """Return the table that stands at a path of the configuration."""
    table: type[Table] | None = Config
    parts = iter(path)
    for part in parts:
        about = table.by_key().get(str(part)) if table else None
        if about is None:
            return None
        table = table_in(about.annotation)
        if get_origin(about.annotation) in {tuple, dict}:
            next(parts, None)  # the element's number or name
    return table


def field_at(path: Path) -> FieldInfo | None:
    """Return the field at a path of the configuration; for an element of a list, the list's field."""
    names = path[:-1] if path and isinstance(path[-1], int) else path
    table = table_at(names[:-1])
    return table.by_key().get(str(names[-1])) if table and names else None


def tables(table: type[Table] = Config, place: str = "") -> Iterator[tuple[str, type[Table]]]:
    """Yield (heading as it is written, table) for every table of the schema, outermost first."""
    for name, about in table.by_key().items():
        inner = table_in(about.annotation)
        if inner is not None:
            kind = get_origin(about.annotation)
            heading = f"{place}{name}" + (".NAME" if kind is dict else "")
            yield (f"[[{heading}]]" if kind is tuple else f"[{heading}]"), inner
            yield from tables(inner, f"{heading}.")
