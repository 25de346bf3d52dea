"""Owns the strict reading of a field section: which lines are legal, which go on untouched, which mean something to us."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from itertools import filterfalse
from typing import Final, cast

from .grammar import ILLEGAL_OCTETS, OWS, fields_fault, is_token
from .memory import Memory
from .refusal import too_large

_PLAIN: Final = 0
_DROPPED: Final = -1
_ILLEGAL: Final = -2
_NOTHING: Final = (_PLAIN, b"")
_MOST_LINES: Final = 1024
_LONGEST_LINE: Final = 256


class PureSplitter:
    """Splits a field section into lines that go on as they came and special fields.

    special: lower-case names of special fields and their ids (above 0). stay: ids of special fields whose lines go on too.
    count_limit: the setting that bounds the number of lines, named when it is passed.

    Validated lines and names are remembered, so that repeated ones cost one look-up.
    """

    __slots__ = ("_count_limit", "_is_plain", "_names", "_odd", "_plain", "_special", "_stay")

    def __init__(self, special: Mapping[bytes, int], stay: Collection[int] = (), count_limit: str = "") -> None:
        assert all(number > 0 and name == name.lower() and is_token(name) for name, number in special.items())
        self._special = dict(special)
        self._stay = frozenset(stay)
        self._count_limit = count_limit
        self._names = Memory(self._name, longest=64)
        self._plain: set[bytes] = set()  # lines without meaning to us
        self._is_plain = self._plain.__contains__
        self._odd: dict[bytes, tuple[int, bytes]] = {}  # special lines, and those to be dropped

    def split(self, head: bytes, start: int, most: int = 1 << 30, /) -> tuple[bytes, list[tuple[int, bytes]]]:
        """Return (the lines that go on, joined, each with its CRLF; the special fields in order as (id, value without OWS)).

        Reads `head` from `start` to its end, which is the CRLF of the last line (the empty line is not part of it).
        A name that becomes special when "_" is read as "-" is dropped: CGI-like servers confuse the two.
        Raises Refused: a line is illegal (RFC 9112 5), or there are more than `most` lines.
        """
        lines = head[start:].split(b"\n")  # on one octet: twice as fast as on two; each line keeps its CR, which _read checks
        if lines.pop():
            raise fields_fault(head, start)
        if len(lines) > most:
            raise too_large(self._count_limit, most, len(lines))
        special = []
        odd = self._odd.get
        for line in list(filterfalse(self._is_plain, lines)):
            found = odd(line) or self._read(line)
            number = found[0]
            if number > 0:
                special.append(found)
            elif number == _PLAIN:
                continue
            elif number == _ILLEGAL:
                raise fields_fault(head, start)
            if number not in self._stay:
                lines.remove(line)
        if not lines:
            return b"", special
        lines.append(b"")
        return b"\n".join(lines), special

    def _read(self, line: bytes) -> tuple[int, bytes]:
        """Return (id, value) of a line that has its CR, but not its LF. The id may be _PLAIN, _DROPPED or _ILLEGAL."""
        name, colon, value = line.partition(b":")
        number = self._names[name]
        if not colon or number == _ILLEGAL or line.translate(None, ILLEGAL_OCTETS) + b"\r" != line:
            return _ILLEGAL, b""
        if len(line) > _LONGEST_LINE:
            return number, value.strip(b" \t\r")
        if len(self._plain) + len(self._odd) >= _MOST_LINES:
            self._plain.clear()
            self._odd.clear()
        if number == _PLAIN:
            self._plain.add(line)
            return _NOTHING
        found = self._odd[line] = number, value.strip(b" \t\r")
        return found

    def _name(self, name: bytes) -> int:
        """Return what a name means: the id of a special field, _PLAIN, _DROPPED or _ILLEGAL."""
        if not is_token(name):
            return _ILLEGAL
        lower = name.lower()
        if lower in self._special:
            return self._special[lower]
        return _DROPPED if lower.replace(b"_", b"-") in self._special else _PLAIN


def _splitter() -> type[PureSplitter]:
    """Return the compiled twin where it was built, unless the environment says HEADGATE_PURE=1."""
    if os.environ.get("HEADGATE_PURE"):
        return PureSplitter
    try:
        from . import _fields
    except ImportError:
        return PureSplitter
    return cast(type[PureSplitter], _fields.Splitter)


Splitter: Final = _splitter()


def find(head: bytes, name: bytes) -> bytes | None:
    """Return the value of the field called `name` (lower case) in a head or in lines, repeated ones joined by ", ", or None."""
    values = _finder(name)(b"\r\n" + head)
    return b", ".join([value.strip(OWS) for value in values]) if values else None


@lru_cache(256)
def _finder(name: bytes) -> Callable[[bytes], list[bytes]]:
    """Return a search for the lines of one name. Its literal start lets the engine skip over all others at the speed of C."""
    octets = (name[at : at + 1] for at in range(len(name)))
    either = b"".join(b"[%b%b]" % (octet, octet.upper()) if octet.isalpha() else re.escape(octet) for octet in octets)
    return re.compile(b"\r\n" + either + b":([^\r\n]*)").findall


def without(forward: bytes, names: Collection[bytes]) -> bytes:
    """Return the lines of `forward` (each ends in CRLF) but for those with a name (lower case) among `names`."""
    lines = forward.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in names])
