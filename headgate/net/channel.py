"""Short messages between two processes of one gateway, with file descriptors beside them (unix(7), SCM_RIGHTS)."""

import array
import json
import socket
from collections.abc import Sequence
from typing import Any, Final

LARGEST: Final = 65_536
"""Bytes of a message: what is larger goes through a descriptor."""
_MOST_FDS: Final = 8


class Gone(ConnectionError):
    """The other process has ended."""


class Channel:
    """One end of a pair. Messages are JSON objects, each sent and received whole."""

    def __init__(self, sock: socket.socket) -> None:
        """sock: one end of `pair()`; it is made non-blocking."""
        sock.setblocking(False)
        self.sock = sock

    @staticmethod
    def pair() -> "tuple[Channel, Channel]":
        """Return two ends. Raises OSError when descriptors run out."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Channel(one), Channel(other)

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self.sock.fileno()

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> bool:
        """Send a message; False when the other end is gone, or has left too many unread. Descriptors go as duplicates."""
        data = json.dumps(message).encode()
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([data], beside)
        except OSError:
            return False
        return True

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next message and its descriptors, which are the caller's now; None when there is none yet.

        Raises Gone at the end, ValueError when a message is not a JSON object (its descriptors are closed).
        """
        try:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, LARGEST, _MOST_FDS)
            except ConnectionResetError:  # it ended without reading all; that is told first, once, and its last words after it
                data, fds, _, _ = socket.recv_fds(self.sock, LARGEST, _MOST_FDS)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise Gone(str(error)) from None
        if not data:
            raise Gone("closed")
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            for fd in fds:
                socket.close(fd)
            raise ValueError(f"a message between processes is not a JSON object: {data[:80]!r}")
        return message, fds

    def close(self) -> None:
        """Close this end."""
        self.sock.close()
