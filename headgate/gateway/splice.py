"""Bulk bodies between two plain sockets, moved by the kernel: splice(2) through a pipe, no byte ever enters Python.

Worth its set-up (some 30 µs) from about 128 KiB on; then a body costs a third of what copying it costs.
"""

import fcntl
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

WORTH: Final = 128 * 1024
"""Bytes still to come from which on splicing is cheaper than copying."""
PIPE: Final = 1 << 20
"""Capacity of a pipe: the most that is under way between the two sockets."""
ROUNDS: Final = 4
"""Pipe fillings in one wake-up: others get their turn after that."""
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_SPARE: Final[list[tuple[int, int]]] = []
_MOST_SPARE: Final = 16


class Splice:
    """One body on its way from `source` to `target`, both non-blocking sockets owned by somebody else."""

    __slots__ = ("_ended", "_held", "_left", "_loop", "_moved", "_pipe", "_reading", "_source", "_target", "_writing")

    def __init__(
        self,
        loop: "AbstractEventLoop",
        source: int,
        target: int,
        length: int,
        moved: Callable[[int, int], None],
        ended: Callable[[str, OSError | None], None],
    ) -> None:
        """Prepare to move `length` bytes. Raises OSError when descriptors run out.

        moved(taken, given): called after each wake-up that got anywhere: bytes from the source, bytes to the target.
        ended(how, error): called once: "done", "eof" (the source closed early), "source" or "target" (that socket failed).
        """
        self._loop = loop
        self._left = length  # still to be taken from the source
        self._held = 0  # in the pipe
        self._moved = moved
        self._ended = ended
        self._reading = self._writing = False
        self._pipe = _SPARE.pop() if _SPARE else _new_pipe()
        self._source = self._target = -1
        try:
            self._source = os.dup(source)  # the loop refuses to watch descriptors that its own transports watch
            self._target = os.dup(target)
        except OSError:
            self.stop()
            raise

    def start(self) -> None:
        """Move what can be moved now, then whenever the sockets allow."""
        self._pump()

    @property
    def blocked(self) -> bool:
        """Whether the target has to take bytes before anything can move."""
        return self._writing

    def stop(self) -> None:
        """Give back the descriptors. A pipe that still holds bytes is closed rather than reused."""
        if self._pipe == (-1, -1):
            return
        self._watch(reading=False, writing=False)
        for fd in (self._source, self._target):
            if fd >= 0:
                os.close(fd)
        if self._held == 0 and len(_SPARE) < _MOST_SPARE:
            _SPARE.append(self._pipe)
        else:
            os.close(self._pipe[0])
            os.close(self._pipe[1])
        self._pipe = (-1, -1)

    def _pump(self) -> None:
        taken = given = 0
        starved = blocked = False
        how: str | None = None
        error: OSError | None = None
        for _ in range(ROUNDS):
            starved = blocked = False
            if self._left and self._held < PIPE:
                try:
                    count = os.splice(self._source, self._pipe[1], min(self._left, PIPE - self._held), flags=_FLAGS)
                except BlockingIOError:
                    starved = True
                except OSError as problem:
                    how, error = "source", problem
                    break
                else:
                    if count == 0:
                        how = "eof"
                        break
                    taken += count
                    self._left -= count
                    self._held += count
            if self._held:
                try:
                    count = os.splice(self._pipe[0], self._target, self._held, flags=_FLAGS)
                except BlockingIOError:
                    blocked = True
                except OSError as problem:
                    how, error = "target", problem
                    break
                else:
                    given += count
                    self._held -= count
            if not self._left and not self._held:
                how = "done"
                break
            if blocked or (starved and not self._held):
                break
        self._after(taken, given, how, error, blocked)

    def _after(self, taken: int, given: int, how: str | None, error: OSError | None, blocked: bool) -> None:
        if how is None:
            full = self._held and (not self._left or self._held >= PIPE)
            self._watch(reading=not (blocked or full), writing=bool(blocked or full))
        else:
            self.stop()
        if taken or given:
            self._moved(taken, given)
        if how is not None:
            self._ended(how, error)

    def _watch(self, *, reading: bool, writing: bool) -> None:
        """Have the loop call `_pump` when the source can be read, or the target can be written."""
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self._source, self._pump)
            else:
                self._loop.remove_reader(self._source)
        if writing != self._writing:
            self._writing = writing
            if writing:
                self._loop.add_writer(self._target, self._pump)
            else:
                self._loop.remove_writer(self._target)


def _new_pipe() -> tuple[int, int]:
    pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, PIPE)
    except OSError:
        pass  # the system's limit for unprivileged users: the default capacity works too
    return pipe
