"""The parent: holds the listening sockets, starts the processes, and starts again what dies. It does nothing else, so it stays.

It reads no configuration and no request. What it passes on are links (a socket pair for each worker and the control process)
and the present state, memory that the control process writes anew at each change, so that whoever starts later knows it too.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ..net.channel import Channel, Gone
from ..net.journal import Journal
from ..net.seat import CONTROL, Seat

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_STABLE: Final = 1.0
"""Seconds of life after which a process that dies is started again at once; one that dies sooner has to wait."""
_SHORTEST, _LONGEST = 0.1, 5.0
"""Seconds that it has to wait, doubled with each early death."""
_MERCY: Final = 5.0
"""Seconds beyond the time to drain, after which what is left is killed."""
_RELINKS: Final = 1.0
"""A broken link is made anew once in so many seconds at most."""


@dataclass(slots=True)
class _Child:
    """A process, or the place of one that is to start again at `due`."""

    slot: int
    pid: int = 0
    channel: Channel | None = None
    born: float = 0.0
    ready: bool = False
    early: int = 0  # deaths in a row soon after the start
    due: float = 0.0
    relinked: float = -_RELINKS

    @property
    def name(self) -> str:
        return "control process" if self.slot == CONTROL else f"worker {self.slot}"


class Parent:
    """Runs a gateway's processes until they are told to end."""

    def __init__(
        self,
        sockets: Sequence[Sequence[socket.socket]],
        present: int,
        *,
        worker: Callable[[Seat], int],
        control: Callable[[Seat], int],
        journal: Journal,
        died: Callable[[int], None],
        started: Callable[[], None],
        successor: Callable[[], int],
        drain: float,
    ) -> None:
        """sockets: what each worker accepts from. present: descriptor of the present state (see `Seat`).

        worker, control: what runs in the children; they return the exit code. died: the
        worker with this slot is gone. started: every process is ready for the first time. successor: starts a new version of
        the program with the same sockets, and returns its process id. drain: seconds that workers may take to finish.
        """
        self._sockets = sockets
        self._present = present
        self._worker, self._control = worker, control
        self._journal, self._note = journal, journal.note
        self._died, self._started, self._successor = died, started, successor
        self._drain = drain
        self._children = {slot: _Child(slot) for slot in (CONTROL, *range(len(sockets)))}
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._farewell = False  # the workers have ended, and the control process was told to
        self._deadline = float("inf")
        self._reload_due = False  # a reload was asked for while the control process was not there
        self._complete = False  # every process was ready once
        self._code = 0
        self._heir = 0  # process id of the new version, while it starts
        self._wake, self._waker = socket.socketpair()

    def run(self) -> int:
        """Start everything, and keep it running until a signal says otherwise. Return the exit code."""
        self._heed_signals()
        for child in self._children.values():
            self._start(child)
        while any(child.pid for child in self._children.values()):
            for key, _ in self._selector.select(self._pause()):
                if key.data is None:
                    self._signals()
                else:
                    self._listen(key.data)
            self._turn()
        return self._code

    def _heed_signals(self) -> None:
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._wake, selectors.EVENT_READ, None)

    def _pause(self) -> float | None:
        """Return how long nothing has to be done, seconds; None: until something happens."""
        dues = [child.due for child in self._children.values() if child.due]
        if self._stopping:
            dues = [self._deadline]
        return max(0.0, min(dues) - time.monotonic()) if dues and min(dues) < float("inf") else None

    def _turn(self) -> None:
        """Start what is due; kill what did not end in time."""
        now = time.monotonic()
        for child in self._children.values():
            if child.due and now >= child.due and not self._stopping:
                self._start(child)
            elif now >= self._deadline and child.pid:
                os.kill(child.pid, signal.SIGKILL)
        if now >= self._deadline:
            self._deadline = float("inf")
        if self._stopping and not self._farewell and not any(child.pid for child in self._workers()):
            self._farewell = True
            self._tell(self._children[CONTROL], signal.SIGTERM)

    def _workers(self) -> list[_Child]:
        return [child for child in self._children.values() if child.slot != CONTROL]

    # Starting.

    def _start(self, child: _Child) -> None:
        """Fork a child and give it its seat; then link it."""
        ours, theirs = Channel.pair()
        child.due = 0.0
        pid = os.fork()
        if pid == 0:
            self._be_child(child.slot, theirs, ours)
        theirs.close()
        child.pid, child.channel, child.born, child.ready = pid, ours, time.monotonic(), False
        self._selector.register(ours, selectors.EVENT_READ, child)
        others = self._workers() if child.slot == CONTROL else [child]
        for worker in others:
            self._link(worker)

    def _be_child(self, slot: int, channel: Channel, ours: Channel) -> None:
        """Become the process in this slot. Never returns."""
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):  # a terminal sends the last to all; the parent translates
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            self._wake.close()
            self._waker.close()
            ours.close()
            for child in self._children.values():
                if child.channel is not None:
                    child.channel.close()
            for other, sockets in enumerate(self._sockets):
                if other != slot:
                    for sock in sockets:
                        sock.close()
            run = self._control if slot == CONTROL else self._worker
            code = run(Seat(slot, channel, self._sockets[slot] if slot != CONTROL else (), self._present))
        except BaseException as error:  # whatever it is, it must not go on as a second parent
            with suppress(BaseException):
                self._note(f"{_Child(slot).name} cannot go on: {error!r}")
        finally:
            os._exit(code)

    def _link(self, worker: _Child) -> None:
        """Join a worker with the control process by a new pair of sockets."""
        control = self._children[CONTROL]
        if worker.channel is None or control.channel is None:
            return
        one, other = socket.socketpair()
        with one, other:
            worker.channel.send({"do": "link"}, [one.fileno()])
            control.channel.send({"do": "worker", "slot": worker.slot, "pid": worker.pid}, [other.fileno()])
        worker.relinked = time.monotonic()

    # What the children say.

    def _listen(self, child: _Child) -> None:
        while child.channel is not None:
            try:
                got = child.channel.receive()
            except Gone:
                self._let_go(child)  # its end is told by SIGCHLD
                return
            except ValueError as error:
                self._note(f"{child.name}: {error}")
                continue
            if got is None:
                return
            self._heed(child, *got)

    def _let_go(self, child: _Child) -> None:
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def _heed(self, child: _Child, message: Mapping[str, Any], fds: list[int]) -> None:
        """Do what a child asks for."""
        do = message.get("do")
        if do == "ready":
            child.ready = True
            if child.slot == CONTROL and self._reload_due:
                self._reload()
            self._first_time()
        elif do == "present" and fds:
            os.dup2(fds[0], self._present, inheritable=False)
        elif do == "drain":
            self._drain = float(message.get("seconds", self._drain))
        elif do == "relink":
            self._relink(message.get("slot", child.slot))
        elif do == "stop":
            self._stop()
        elif do == "upgrade":
            self._upgrade()
        elif do == "reopen":
            self._signal(signal.SIGUSR1)
        else:
            self._note(f"{child.name} sent a message that nobody understands: {do!r}")
        for fd in fds:
            os.close(fd)

    def _relink(self, slot: object) -> None:
        worker = self._children.get(slot) if isinstance(slot, int) else None
        if worker is not None and worker.slot != CONTROL and time.monotonic() - worker.relinked >= _RELINKS:
            self._link(worker)

    def _first_time(self) -> None:
        if not self._complete and all(child.ready for child in self._children.values()):
            self._complete = True
            self._started()

    # Signals.

    def _signals(self) -> None:
        with suppress(BlockingIOError):
            numbers = self._wake.recv(4096)
            for number in dict.fromkeys(numbers):
                self._signal(number)

    def _signal(self, number: int) -> None:
        match number:
            case signal.SIGCHLD:
                self._reap()
            case signal.SIGTERM | signal.SIGINT:
                self._stop()
            case signal.SIGUSR1:
                self._journal.reopen()
                for child in self._children.values():
                    self._tell(child, number)
            case signal.SIGHUP:
                self._reload()
            case signal.SIGUSR2:
                self._upgrade()

    def _tell(self, child: _Child, number: int) -> None:
        if child.pid:
            os.kill(child.pid, number)  # it is ours and not reaped yet, so the number is still its own

    def _reload(self) -> None:
        """Let the control process reload; one that is just starting is told when it is ready."""
        control = self._children[CONTROL]
        self._reload_due = not control.ready
        if control.ready:
            self._tell(control, signal.SIGHUP)

    def _stop(self) -> None:
        """Let the workers finish; the control process ends after them. A second call ends everything at once."""
        again, self._stopping = self._stopping, True
        for child in self._workers():
            self._tell(child, signal.SIGTERM)
        if not again:
            self._deadline = time.monotonic() + self._drain + _MERCY
            for sockets in self._sockets:
                for sock in sockets:
                    sock.close()

    def _upgrade(self) -> None:
        """Start a new version of the program, which ends this one when it is ready."""
        if self._heir or self._stopping:
            self._tell_upgrade(
                "no upgrade: " + ("one is under way" if self._heir else "this gateway is stopping"), not self._heir
            )
            return
        try:
            self._heir = self._successor()
        except OSError as error:
            self._tell_upgrade(f"the new version cannot be started: {error}; this one goes on", failed=True)
        else:
            self._tell_upgrade(f"upgrade: process {self._heir} takes over as soon as it is ready", failed=False)

    def _tell_upgrade(self, text: str, failed: bool) -> None:
        """Note how an upgrade goes, and let the control process know, which is asked for it."""
        self._note(text)
        control = self._children[CONTROL].channel
        if control is not None:
            control.send({"do": "upgrade", "pid": self._heir, "failed": failed, "said": text})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._heir:
                said = f"the new version {_ending(status)}, so this one goes on; what it says of it stands above"
                self._tell_upgrade(said, failed=True)
                self._heir = 0
            for child in self._children.values():
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: _Child, status: int) -> None:
        """A process ended: start it again, unless all is to end, or it never ran."""
        pid, child.pid, child.ready = child.pid, 0, False
        self._let_go(child)
        if child.slot != CONTROL:
            self._died(child.slot)
        if self._stopping:
            return
        if not self._complete:
            self._code = os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 70
            self._code = self._code or 70
            self._stop()
            return
        lived = time.monotonic() - child.born
        child.early = 0 if lived >= _STABLE else child.early + 1
        wait = min(_LONGEST, _SHORTEST * 2 ** (child.early - 1)) if child.early else 0.0
        child.due = time.monotonic() + wait
        when = f"in {wait:g} s" if wait else "at once"
        self._note(f"{child.name} (process {pid}) {_ending(status)} after {lived:.1f} s; it is started again {when}")


def _ending(status: int) -> str:
    """Return how a process ended, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hint = " (out of memory? `dmesg` tells)" if number == signal.SIGKILL else ""
        return f"was killed by signal {number} ({signal.Signals(number).name}){hint}"
    return f"ended with code {os.waitstatus_to_exitcode(status)}"
