"""A second way to read from a server while a request body is still going to it.

A server that answers 413 and hangs up breaks our write, and the loop closes a connection whose write broke: the answer, which is
already in the socket, would be lost with it.
"""

import os
from collections.abc import Iterator


class Spare:
    """A duplicate of a socket's descriptor."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        """Raises OSError when descriptors run out."""
        self._fd = os.dup(fd)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def left(self) -> Iterator[bytes]:
        """Yield what the peer had sent before the connection broke, at most 4 MiB."""
        for _ in range(64):
            try:
                data = os.read(self._fd, 65_536) if self._fd >= 0 else b""
            except OSError:
                return
            if not data:
                return
            yield data
