"""A worker among the other processes: what it is told to do, and what it tells. When nobody speaks, it serves on."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..config.load import from_data
from ..net.channel import Gone
from ..net.link import Link
from ..net.seat import Seat
from ..render.page import BadTemplate
from .reporting import EVERY as REPORT_EVERY
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
        self._dropped = 0  # messages that could not be said
        self._joining: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._reporting: asyncio.TimerHandle | None = None
        worker.tell, worker.hand_over = self.tell, self.hand_over

    def begin(self) -> None:
        """Listen to the other processes."""
        self._worker.loop.add_reader(self._seat.channel.fileno(), self._hear_parent)
        self._timer = self._worker.loop.call_later(EVERY, self._report)
        self._reporting = self._worker.loop.call_later(REPORT_EVERY, self._report_failures)

    def ready(self) -> None:
        """Tell the parent that connections are accepted."""
        self._seat.channel.send({"do": "ready"})

    def stop(self) -> None:
        """Finish what runs, then end. A service manager may say it to the whole group of processes, beside the parent."""
        if not self._worker.stopping:
            self._worker.stop()

    def tell(self, message: dict[str, Any]) -> None:
        """Tell the control process something; lost, and counted, when it does not listen."""
        if self._link is None or not self._link.send(message):
            self._dropped += 1

    def hand_over(self, message: dict[str, Any]) -> bool:
        """Tell the control process something that may be lost: only while it keeps up, so that nothing else has to wait."""
        return self._link is not None and self._link.idle and self._link.send(message)

    def end(self) -> None:
        """Say the last word."""
        self._worker.loop.remove_reader(self._seat.channel.fileno())
        for timer in (self._timer, self._reporting):
            if timer is not None:
                timer.cancel()
        if self._worker.tracer is not None:
            self._worker.tracer.flush()
        if self._link is not None:
            self._send_failures(self._link)
            self._link.send({"counts": self._tally(), "last": True}, important=True)

    def _tally(self) -> dict[str, Any]:
        return {**tally(self._worker), "dropped": self._dropped}

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
            self._obey(message.get("do"), fds)
            for fd in fds:
                os.close(fd)

    def _obey(self, do: object, fds: list[int]) -> None:
        """Do what the parent says."""
        if do == "link" and fds:  # without: descriptors ran out; the control process sees the link end, and asks for another
            task = self._worker.loop.create_task(self._join(fds.pop(0)))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)
        elif do == "stop":
            self.stop()
        elif do == "end":
            self._worker.stopping = True
            self._worker.stop()

    async def _join(self, fd: int) -> None:
        """Take a new link into use, and leave the old one."""
        old, self._link = self._link, None
        if old is not None:
            old.close()
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        link = Link(self._hear, lambda why: self._unlinked(link, why))
        await self._worker.loop.create_connection(lambda: link, sock=sock)
        self._link = link
        link.send({"hello": self._seat.slot, "pid": os.getpid(), "version": self._version, "counts": self._tally()})

    def _unlinked(self, link: Link, why: str) -> None:
        """The link ended: by the control process's death, or by a message that made no sense. Either brings a new one."""
        if self._link is link:
            self._link = None
        if why.startswith("malformed"):
            self._worker.recorder.note(f"the link to the control process ended: {why}")

    # The control process.

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Do what the control process says. Raises KeyError, TypeError, ValueError for what makes no sense."""
        if message["do"] == "state":
            self._take(message["state"])
        elif message["do"] == "servers":
            self._worker.told(message["servers"])
        elif message["do"] == "public":
            self._worker.public.told(message)
        else:
            raise ValueError(f"nobody knows how to {message['do']!r}")

    def _take(self, state: Mapping[str, Any]) -> None:
        """Apply a whole state, and say whether that worked."""
        version = int(state["version"])
        try:
            self._worker.apply(from_data(state["data"], state["folder"]), state["gauges"])
        except (BadTemplate, OSError, ValueError) as problem:
            self.tell({"rejected": version, "why": str(problem)})
            return
        self._version = version
        self._worker.told(state["servers"])
        self.tell({"applied": version})

    def _report(self) -> None:
        self._timer = self._worker.loop.call_later(EVERY, self._report)
        self.tell({"counts": self._tally()})

    def _report_failures(self) -> None:
        self._reporting = self._worker.loop.call_later(REPORT_EVERY, self._report_failures)
        if self._link is not None and self._link.takes:  # else they are counted on until somebody listens
            self._send_failures(self._link)
            if (seen := self._worker.public.take()) is not None:
                self._link.send({"public": seen})

    def _send_failures(self, link: Link) -> None:
        report = self._worker.reporting.take(self._worker.wall())
        if report is not None:
            link.send({"report": report}, important=True)
