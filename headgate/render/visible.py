"""Owns which characters of a foreign text people get to see: what controls a terminal or turns a line around is spelled out."""

import unicodedata
from typing import Final

_SPELLED: Final = frozenset(("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"))
"""Kinds of characters that are invisible, or change what stands beside them (Unicode Standard Annex 44)."""
_JOINED: Final = 4
"""Marks above and below one letter that are shown; with more of them a letter covers the lines around it."""


def visible(text: str, longest: int = 0) -> str:
    r"""Return a text as one line that looks like what it is: control and format characters as \u202e, longest 0 for any length.

    It still holds `<`, `&` and quotes: escaping for HTML, Markdown or a shell is the caller's.
    """
    if longest and len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind in _SPELLED or marks > _JOINED:
            shown.append(_spelled(character))
        else:
            shown.append(" " if kind == "Zs" else character)
    return "".join(shown)


def _spelled(character: str) -> str:
    number = ord(character)
    named = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}.get(number)
    if named:
        return named
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
