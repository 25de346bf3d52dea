"""One process of a gateway as its parent sees it: how it is told to end, how its end reads, and when it may start again."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ..net.channel import Channel
from ..net.seat import CONTROL

HEIR: Final = -2
"""The slot of a new version of the program, while it starts."""
STABLE: Final = 1.0
"""Seconds of life after which a process that dies is started again at once; one that dies sooner has to wait."""
SHORTEST, LONGEST = 0.1, 5.0
"""Seconds that it has to wait, doubled with each early death."""
_DOUBLINGS: Final = 16
_LONGEST_REASON: Final = 8_000
"""Characters."""


@dataclass(slots=True)
class Child:
    """A process, or the place of one that is to start again at `due`. Times are monotonic seconds, 0 for none."""

    slot: int
    pid: int = 0
    channel: Channel | None = None
    born: float = 0.0
    ready: bool = False
    why: str = ""  # it cannot go on, in its own words
    starts: int = 0
    early: int = 0  # deaths in a row soon after the start
    due: float = 0.0
    linked: float = 0.0  # when it last got a link to the control process
    relink: float = 0.0  # when it is to get another
    missed: bool = False  # the logs were opened anew while it started

    @property
    def name(self) -> str:
        """What it is called in notes."""
        return {CONTROL: "control process", HEIR: "new version"}.get(self.slot, f"worker {self.slot}")

    def say(self, message: dict[str, Any]) -> bool:
        """Send it a message; False when it cannot take one."""
        return self.channel is not None and self.channel.send(message)

    def signal(self, number: int) -> None:
        """Send it a signal, where it runs."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)  # it is ours and not reaped yet, so the number is still its own

    def bid(self, do: str) -> None:
        """Tell it to "stop" in order, or to "end" at once.

        That is no signal, since those of a whole group of processes (a service manager's, a terminal's) reach it as well, and two
        of them would be taken for impatience. A worker that does not listen yet has nothing to finish: it may die of one.
        """
        said = self.say({"do": do})
        if self.slot != CONTROL and not (said and self.ready):
            self.signal(signal.SIGTERM)

    def ended(self, now: float) -> float:
        """Take in its end; return the seconds until it may start again."""
        self.early = 0 if now - self.born >= STABLE else self.early + 1
        wait = min(LONGEST, SHORTEST * 2 ** min(self.early - 1, _DOUBLINGS)) if self.early else 0.0
        self.pid, self.ready, self.missed, self.relink, self.due = 0, False, False, 0.0, now + wait
        return wait


def told_of(error: BaseException) -> str:
    """Return an error in words: the one that began it, and the last of those it led to."""
    first = error
    while first.__context__ is not None:
        first = first.__context__
    told = first.strerror or repr(first) if isinstance(first, OSError) else repr(first)
    return (told if first is error else f"{told}, and then {error!r}")[:_LONGEST_REASON]


def ending(status: int) -> str:
    """Return how a process ended, in words. status: as of waitpid(2)."""
    if not os.WIFSIGNALED(status):
        return f"ended with code {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = "real-time"
    hint = " (out of memory? `dmesg` tells)" if number == signal.SIGKILL else ""
    return f"was killed by signal {number} ({name}){hint}"
