"""On which line of a TOML file each key stands: an index over text that tomllib has already accepted, so it judges nothing.

tomllib gives no positions, and the libraries that do are parsers of their own; this reads just enough syntax to follow keys.
"""

import re
import tomllib

from .findings import Path

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def index(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table, key and array element in `text`, which must be valid TOML.

    A key that dots or headers only imply (`a` in `[a.b]`) has the line on which it is implied first.
    """
    return _Reader(text).read()


class _Reader:
    """A cursor over the text, and the lines found so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.arrays: dict[Path, int] = {}  # arrays of tables, and how many elements each has so far

    def read(self) -> dict[Path, int]:
        table: Path = ()
        self._blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._blank()
        return self.lines

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        taken = found[0] if found else ""
        self.at += len(taken)
        self.line += taken.count("\n")
        return taken

    def _blank(self) -> None:
        self._take(_BLANK)

    def _step(self, size: int = 1) -> None:
        self.at += size

    def _note(self, path: Path) -> Path:
        self.lines.setdefault(path, self.line)
        return path

    def _keys(self) -> list[str]:
        """Read `a."b c".d` and return its parts."""
        keys = []
        while True:
            raw = self._take(_KEY)
            keys.append(tomllib.loads(f"k={raw}")["k"] if raw[:1] in {'"', "'"} else raw)
            if not self._take(_DOT):
                return keys

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]` and return the table's path."""
        array = self.text.startswith("[[", self.at)
        self._step(1 + array)
        self._blank()
        path: Path = ()
        *outer, last = self._keys()
        for key in outer:
            path = self._note((*path, key))
            if path in self.arrays:
                path = (*path, self.arrays[path] - 1)
        path = self._note((*path, last))
        if array:
            self.arrays[path] = self.arrays.get(path, 0) + 1
            path = self._note((*path, self.arrays[path] - 1))
        self._blank()
        self._step(1 + array)
        return path

    def _pair(self, table: Path) -> None:
        """Read `key = value` within a table."""
        for key in self._keys():
            table = self._note((*table, key))
        self._blank()
        self._step()  # the equals sign
        self._blank()
        self._value(table)

    def _value(self, path: Path) -> None:
        first = self.text[self.at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline(path)
        elif first in "\"'":
            self._take(_STRING)
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self._step()
        self._blank()
        number = 0
        while self.text[self.at] != "]":
            self._value(self._note((*path, number)))
            number += 1
            self._separator()
        self._step()

    def _inline(self, path: Path) -> None:
        self._step()
        self._blank()
        while self.text[self.at] != "}":
            self._pair(path)
            self._separator()
        self._step()

    def _separator(self) -> None:
        self._blank()
        if self.text[self.at] == ",":
            self._step()
            self._blank()
