"""One log on its way out: a file that can be opened anew, or a standard stream. Writing never waits and never raises."""

import os
import select
import stat
from typing import Final

_PIPE_BUF: Final = 4096
"""Bytes that a pipe which says it can be written takes without blocking (pipe(7))."""


class LogFile:
    """A place for lines."""

    __slots__ = ("_fd", "_path", "_patient", "_standard", "_torn", "lost")

    def __init__(self, path: str, standard: int) -> None:
        """path: a file, or "-", "stdout" or "stderr" for the descriptor `standard`. Raises OSError."""
        self._path = path
        self._standard = standard
        self._fd = -1
        self._patient = True  # a regular file: a write does not depend on a reader
        self._torn = False  # the last line stands there in part: the disk was full
        self.lost = 0  # lines that could not be written
        self.reopen()

    def reopen(self) -> None:
        """Open the file anew. Raises OSError, and then goes on with the old one."""
        if self._path in ("-", "stdout", "stderr"):
            fd = self._standard
        else:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        old, self._fd, self._torn = self._fd, fd, False
        if old > 2:
            os.close(old)
        try:
            self._patient = stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            self._patient = False

    def close(self) -> None:
        """Close the file; standard streams stay open."""
        if self._fd > 2:
            os.close(self._fd)
            self._fd = -1

    def write(self, data: bytes, lines: int) -> None:
        """Write `lines` whole lines; what cannot be written now is lost, and counted."""
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        try:
            while view:
                if not self._patient and not self._ready():
                    raise BlockingIOError
                view = view[os.write(self._fd, view if self._patient else view[: _whole_lines(data, len(data) - len(view))]) :]
        except OSError:  # a full disk, a closed pipe, a reader that sleeps
            self.lost += min(lines, bytes(view).count(b"\n"))
            if len(view) < len(data):
                self._torn = data[-len(view) - 1] != 0x0A
        else:
            self._torn = False

    def _ready(self) -> bool:
        """Tell whether a pipe or terminal takes bytes now."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))


def _whole_lines(data: bytes, at: int) -> int:
    """Return how many bytes from `at` on go into a pipe in one piece: whole lines, for other processes write into it too."""
    end = data.rfind(b"\n", at, at + _PIPE_BUF)
    return end + 1 - at if end >= 0 else _PIPE_BUF
