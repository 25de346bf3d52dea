"""How the parent hears signals: each is remembered until it is heeded, none is lost, and a child that is forked hears its own."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

HEEDED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
HELD: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Those that wait while the program starts, as they would end it before somebody heeds them."""


def hold() -> None:
    """Let the signals that ask for something wait until `Signals.heed`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


class Signals:
    """Signals that came to this process. It can be selected on: readable when some did."""

    def __init__(self) -> None:
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._came: dict[int, None] = {}

    def heed(self) -> None:
        """From now on they are remembered. Those that were blocked until now come at once."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)  # full or not, it wakes
        for number in HEEDED:
            signal.signal(number, lambda number, _: self._came.update({number: None}))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)

    def fileno(self) -> int:
        """Return what is to be selected on."""
        return self._wake.fileno()

    @property
    def waiting(self) -> bool:
        """Whether one came that was not taken yet."""
        return bool(self._came)

    def take(self) -> list[int]:
        """Return those that came since the last time, each once, in order."""
        with suppress(BlockingIOError):
            self._wake.recv(4096)
        came, self._came = self._came, {}
        return list(came)

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Around a fork: what comes for the child then must find the child's handlers, not a copy of the parent's."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)

    def forget(self, mortal: bool) -> None:
        """In a child: heed nothing that is meant for the parent, as a whole group of processes may get it.

        mortal: SIGTERM ends it as long as it has no handler of its own.
        """
        signal.set_wakeup_fd(-1)
        for number in (*HEEDED, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if mortal:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        self._wake.close()
        self._waker.close()
