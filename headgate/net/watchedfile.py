"""Owns when a small system file is read again: when its time stamp or size changed, looked at once a second at most."""

import os
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_LOOK_EVERY: Final = 1.0
_SIZE_MAX: Final = 4 * 1024 * 1024
"""Bytes read at most: a hosts file of this size has 100,000 names."""


class WatchedFile(Generic[T]):
    """The parsed content of a file that may change at any time. A missing file counts as empty."""

    def __init__(self, path: str, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._value = parse("")

    def get(self) -> T:
        """Return the parsed content, at most a second old."""
        now = monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look()
        return self._value

    def _look(self) -> None:
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read(_SIZE_MAX)
        except (FileNotFoundError, NotADirectoryError):
            stamp, text = None, ""
        except OSError:  # out of descriptors, say: what was read before still holds
            return
        self._stamp = stamp
        self._value = self._parse(text)
