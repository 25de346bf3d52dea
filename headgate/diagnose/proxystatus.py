"""Owns how a Proxy-Status field (RFC 9209) is read: its members and their parameters, leniently."""

import re
from typing import Final

_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[,;]|[^",;]+')
"""A quoted string (RFC 9651 3.3.3; one that is not closed reaches to the end), a separator, or what is between."""
_MOST: Final = 20
"""Most members that are read: a longer list is no list of hops."""


def members(value: str) -> list[tuple[str, dict[str, str]]]:
    """Return the members in order, nearest to the origin first: each one's name and its parameters, names in lower case.

    A parameter without a value is "?1" (RFC 9651 3.1.2). What is no list gives whatever could be read of it.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for parts in _split(value)[:_MOST]:
        name = _plain(parts[0])
        parameters: dict[str, str] = {}
        for part in parts[1:]:
            key, _, text = part.strip().partition("=")
            if key:
                parameters.setdefault(key.strip().lower(), _plain(text) or "?1")
        if name:
            found.append((name, parameters))
    return found


def _split(value: str) -> list[list[str]]:
    """Return the members of a list, each as its item and its parameters."""
    every: list[list[str]] = [[""]]
    for piece in _PIECE.findall(value):
        if piece == ",":
            every.append([""])
        elif piece == ";":
            every[-1].append("")
        else:
            every[-1][-1] += piece
    return every


def _plain(text: str) -> str:
    """Return a token or string without its quotes."""
    text = text.strip()
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:].removesuffix('"'), flags=re.DOTALL)
    return text
