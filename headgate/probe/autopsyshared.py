"""Owns how often this machine is searched through: autopsies that run at the same time share what one of them found."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import psutil

from . import machine
from .autopsykernel import Death, deaths
from .machine import Container, Listening

T = TypeVar("T")
_FRESH: Final = 0.7
"""Seconds for which a finding is fresh: many servers fail at the same moment, and /proc may be large."""
_PROCESSES: Final = 20_000


class Shared(Generic[T]):
    """Something that is costly to find out, found out once for all who ask within a moment. For threads."""

    def __init__(self, find: Callable[[], T]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._found: T | None = None

    def get(self) -> T:
        """Return it; the first who asks finds it out, the others wait for him. Raises what finding raises."""
        with self._lock:
            if self._found is None or time.monotonic() - self._at > _FRESH:
                self._found = self._find()
                self._at = time.monotonic()
            return self._found

    def forget(self) -> None:
        """Find it out anew at the next question."""
        with self._lock:
            self._found = None


@dataclass(frozen=True, slots=True)
class Program:
    """A process that runs here."""

    pid: int
    name: str
    words: tuple[str, ...]  # its command line: never shown, it may hold secrets
    begun: float  # wall-clock seconds


def _programs() -> list[Program]:
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline", "create_time"]):
        info = process.info
        found.append(Program(info["pid"], info["name"] or "", tuple(info["cmdline"] or ())[:200], info["create_time"] or 0.0))
        if len(found) == _PROCESSES:
            break
    return found


def _deaths() -> tuple[list[Death] | None]:
    return (deaths(time.time()),)


SOCKETS: Final[Shared[list[Listening]]] = Shared(machine.listening)
PROGRAMS: Final[Shared[list[Program]]] = Shared(_programs)
CONTAINERS: Final[Shared[list[Container]]] = Shared(machine.containers)
DEATHS: Final[Shared[tuple[list[Death] | None]]] = Shared(_deaths)
"""One in a tuple: None means that the kernel's log may not be read."""


def forget() -> None:
    """Look at everything anew."""
    SOCKETS.forget()
    PROGRAMS.forget()
    CONTAINERS.forget()
    DEATHS.forget()
