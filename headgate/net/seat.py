"""What a process of the gateway is born with, and the present state: what all of them should do, in memory that outlives each."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .channel import Channel

CONTROL: Final = -1
"""The slot of the control process; workers have 0 and up."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a child process is born with."""

    slot: int
    channel: Channel  # to the parent
    sockets: Sequence[socket.socket]  # to accept from; none for the control process
    present: int  # descriptor of the present state


def write_state(state: dict[str, Any]) -> int:
    """Return a descriptor of new memory that holds a state. It is never changed: a new state gets new memory."""
    fd = os.memfd_create("headgate-state", os.MFD_CLOEXEC)
    data = json.dumps(state).encode()
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd


def read_state(fd: int) -> dict[str, Any]:
    """Return the state behind a descriptor. Raises ValueError when it holds none."""
    size = os.fstat(fd).st_size
    state = json.loads(os.pread(fd, size, 0))
    if not isinstance(state, dict):
        raise ValueError("the present state is not an object")
    return state
