"""Owns how validated knowledge is remembered: by the exact bytes, short ones only, and never more than a fixed number."""

from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class Memory(dict[bytes, Value]):
    """What `make` returned, by its argument: `memory[key]` computes it the first time. Emptied when full."""

    __slots__ = ("_longest", "_make", "_most")

    def __init__(self, make: Callable[[bytes], Value], most: int = 1024, longest: int = 256) -> None:
        super().__init__()
        self._make = make
        self._most = most
        self._longest = longest

    def __missing__(self, key: bytes) -> Value:
        made = self._make(key)
        if len(key) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[key] = made
        return made
