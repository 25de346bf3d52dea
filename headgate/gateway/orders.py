"""A worker among the other processes: what it is told to do, and what it tells. When nobody speaks, it serves on."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from ..config.load import from_data
from ..net.channel import Gone
from ..net.link import Link
from ..net.seat import Seat
from ..net.tls import BadTlsFile
from ..render.page import BadTemplate
from .tally import tally

if TYPE_CHECKING:
    from .worker import Worker

EVERY: Final = 1.0
"""Seconds between two tallies."""


class Orders:
    """The channel to the parent, and the link to the control process, of one worker."""

    def __init__(self, worker: "Worker", seat: Seat, version: int) -> None:
        """version: of the state that the worker began with."""
        self._worker = worker
        self._seat = seat
        self._version = version
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        worker.tell = self.tell

    def begin(self) -> None:
        """Listen to the other processes."""
        self._worker.loop.add_reader(self._seat.channel.fileno(), self._hear_parent)
        self._timer = self._worker.loop.call_later(EVERY, self._report)

    def ready(self) -> None:
        """Tell the parent that connections are accepted."""
        self._seat.channel.send({"do": "ready"})

    def tell(self, message: dict[str, Any]) -> None:
        """Tell the control process something; lost, and counted by the link, when it does not listen."""
        if self._link is not None:
            self._link.send(message)

    def end(self) -> None:
        """Say the last word."""
        self._worker.loop.remove_reader(self._seat.channel.fileno())
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.send({"counts": tally(self._worker), "last": True}, important=True)

    # The parent.

    def _hear_parent(self) -> None:
        while True:
            try:
                got = self._seat.channel.receive()
            except Gone:
                self._worker.loop.remove_reader(self._seat.channel.fileno())
                self._worker.orphaned()
                return
            except ValueError as error:
                self._worker.recorder.note(str(error))
                continue
            if got is None:
                return
            message, fds = got
            if message.get("do") == "link" and fds:
                self._worker.loop.create_task(self._join(fds.pop(0)))
            for fd in fds:
                os.close(fd)

    async def _join(self, fd: int) -> None:
        """Take a new link into use, and leave the old one."""
        old, self._link = self._link, None
        if old is not None:
            old.close()
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        link = Link(self._hear, self._unlinked)
        await self._worker.loop.create_connection(lambda: link, sock=sock)
        self._link = link
        link.send({"hello": self._seat.slot, "pid": os.getpid(), "version": self._version, "counts": tally(self._worker)})

    def _unlinked(self, why: str) -> None:
        """The link ended: by the control process's death, which brings a new one, or by a message that made no sense."""
        self._link = None
        if why.startswith("malformed"):
            self._worker.recorder.note(f"the link to the control process ended: {why}")
            self._seat.channel.send({"do": "relink", "slot": self._seat.slot})

    # The control process.

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Do what the control process says. Raises KeyError, TypeError, ValueError for what makes no sense."""
        if message["do"] == "state":
            self._take(message["state"])
        elif message["do"] == "servers":
            self._worker.told(message["servers"])
        else:
            raise ValueError(f"nobody knows how to {message['do']!r}")

    def _take(self, state: Mapping[str, Any]) -> None:
        """Apply a whole state, and say whether that worked."""
        version = int(state["version"])
        try:
            self._worker.apply(from_data(state["data"], state["folder"]), state["gauges"])
        except (BadTemplate, BadTlsFile, OSError, ValidationError) as problem:
            self.tell({"rejected": version, "why": str(problem)})
            return
        self._version = version
        self._worker.told(state["servers"])
        self.tell({"applied": version})

    def _report(self) -> None:
        self._timer = self._worker.loop.call_later(EVERY, self._report)
        self.tell({"counts": tally(self._worker)})
