"""Owns how a line's layout, fixed text and fields in turn, becomes the patterns that read it."""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

QUOTED: Final = r'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
"""A value between quotes, whatever way of escaping."""
SHAPES: Final = {
    "status": r"-?\d{1,3}|-",
    "bytes": r"\+?\d+|-",
    "seconds": r"-?\d+(?:\.\d+)?|-",
    "ms": r"[-+]?\d+(?:\.\d+)?|-",
    "us": r"-?\d+|-",
    "ns": r"-?\d+|-",
    "list": r"[^\s,]++(?:(?:, ?| : )[^\s,]++)*+",
    "word": r"[^\s]*+",
    "any": r"[^\n]*?",
    "user": r"-|(?!- )(?:(?! - )[^\[\n])*?",
}
"""Patterns of values that say more than "up to what follows"."""
LISTS: Final = ("upstream", "upstream_status", "upstream_seconds", "upstream_length", "connect_seconds", "header_seconds")
COUNTED: Final = ("time", "date", "clock", "status", "bytes", "seconds", "ms", "us", "ns", "upstream", "flag")
"""Fields that counting needs; all others are read of failures only."""


class Slot(NamedTuple):
    """A field's place in a layout."""

    field: str = ""  # one of the names in `fields.FIELDS`; "" for what is of no interest
    shape: str = ""  # pattern of the value; "" up to the fixed text that follows


Part = bytes | Slot


class BadLayout(ValueError):
    """A layout cannot be read. The message is a sentence for people."""


def pattern_of(parts: Sequence[Part], wanted: Collection[str] | None = None, open_end: bool = False) -> str:
    """Return the pattern that reads a line of this layout, one named group per field.

    wanted: only these fields get groups, and what follows the last of them is not looked at. open_end: more may follow.
    """
    last = len(parts)
    if wanted is not None:
        last = max((number for number, part in enumerate(parts, 1) if isinstance(part, Slot) and part.field in wanted), default=0)
    made, seen = ["^"], set[str]()
    for number, part in enumerate(parts[:last]):
        if not isinstance(part, Slot):
            made.append(re.escape(part.decode("latin-1")))
            continue
        value = part.shape or _default(parts, number)
        if part.field and part.field not in seen and (wanted is None or part.field in wanted):
            seen.add(part.field)
            made.append(f"(?P<{part.field}>{value})")
        else:
            made.append(f"(?:{value})")
    whole = last == len(parts) and not open_end
    return "".join(made) + (r"\r?$" if whole else r"(?:[ \t,;|][^\n]*+)?$" if last == len(parts) else r"[^\n]*+$")


def _default(parts: Sequence[Part], number: int) -> str:
    """Return the pattern of a value that ends where the fixed text after it begins."""
    slot = parts[number]
    following = parts[number + 1] if number + 1 < len(parts) else None
    before = parts[number - 1] if number else None
    assert isinstance(slot, Slot), "asked for a field"
    quoted = isinstance(before, bytes) and before.endswith(b'"') and isinstance(following, bytes) and following.startswith(b'"')
    if slot.field in SHAPES:
        return SHAPES[slot.field]
    if slot.field in LISTS and not quoted:
        stop = re.escape(following[:1].strip().decode("latin-1")) if isinstance(following, bytes) else ""
        return SHAPES["list"].replace(r"[^\s,]", rf"[^\s,{stop}]")
    if following is None:
        return r"[^\r\n]*+" if slot.field in ("request", "agent", "") or quoted else r"\S*+"
    if isinstance(following, Slot) or (slot.field == "request" and not quoted):
        return SHAPES["any"]
    if quoted:
        return QUOTED
    end = re.escape(following[:1].decode("latin-1"))
    return f"[^{end}\\n]*+"


def compile_pair(full: str, fast: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return both patterns compiled for bytes. Raises BadLayout."""
    try:
        return re.compile(full.encode("latin-1"), re.MULTILINE), re.compile(fast.encode("latin-1"), re.MULTILINE)
    except (re.error, UnicodeEncodeError) as error:
        raise BadLayout(f"The format makes no usable pattern: {error}.") from None


_GROUP: Final = re.compile(r"\(\?P<(\w+)>")


def reduced(pattern: str, wanted: Collection[str] = COUNTED) -> str:
    """Return a pattern with groups for `wanted` fields only: what is not captured costs less."""
    return _GROUP.sub(lambda found: found[0] if found[1] in wanted else "(?:", pattern)
