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
from typing import Any, Final

from ..net.channel import Channel, Gone
from ..net.journal import Journal
from ..net.seat import CONTROL, Seat
from .child import HEIR, LONGEST, Child, ending, told_of
from .signals import Signals

_MERCY: Final = 5.0
"""Seconds beyond the time to drain, after which what is left is killed."""
_RELINKS: Final = 1.0
"""A broken link is made anew once in so many seconds at most."""
_CRASHES: Final = 3
"""Early deaths in a row after which a worker's new connections go to the others, until it accepts again."""
_LONGEST_DRAIN: Final = 1e7
_FAULT: Final = 70
"""Exit code of what ended by a fault of ours (EX_SOFTWARE)."""


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
        failed: Callable[[str], None],
        successor: Callable[[], tuple[int, Channel]],
        drain: float,
    ) -> None:
        """sockets: what each worker accepts from. present: descriptor of the present state (see `Seat`).

        worker, control: what runs in the children; they return the exit code. died: the worker with this slot is gone. started:
        every process is ready for the first time. failed: that will not be, for this reason. successor: starts a new version of
        the program with the same sockets, and returns its process id and the channel on which it will speak. drain: seconds that
        workers may take to finish.
        """
        self._sockets = sockets
        self._present = present
        self._worker, self._control = worker, control
        self._journal, self._note = journal, journal.note
        self._died, self._started, self._failed, self._successor = died, started, failed, successor
        self._drain = drain
        self._children = {slot: Child(slot) for slot in (CONTROL, *range(len(sockets)))}
        self._workers = [child for slot, child in self._children.items() if slot != CONTROL]
        self._heir = Child(HEIR)  # a process only while it starts
        self._selector = selectors.DefaultSelector()
        self._signals = Signals()
        self._stopping = False
        self._farewell = False  # the workers have ended, and the control process was told to
        self._deadline = float("inf")
        self._reload_due = False  # a reload was asked for while the control process was not there
        self._complete = False  # every process was ready once
        self._code = 0

    def run(self) -> int:
        """Start everything, and keep it running until a signal says otherwise. Return the exit code. Raises OSError."""
        self._signals.heed()
        self._selector.register(self._signals, selectors.EVENT_READ, None)
        for child in self._children.values():
            self._start(child)
        while any(child.pid for child in self._children.values()):
            for key, _ in self._selector.select(self._pause()):
                if key.data is not None:
                    self._listen(key.data)
            self._heed_signalled()
            self._turn()
        return self._code

    def _pause(self) -> float | None:
        """Return how long nothing has to be done, seconds; None: until something happens."""
        dues = [self._deadline]
        if not self._stopping:
            dues += [due for child in self._children.values() for due in (child.due, child.relink) if due]
        if self._signals.waiting:
            return 0.0
        return max(0.0, min(dues) - time.monotonic()) if min(dues) < float("inf") else None

    def _turn(self) -> None:
        """Start and link what is due; kill what did not end in time."""
        now = time.monotonic()
        if self._stopping:
            self._see_off(now)
            return
        for child in self._children.values():
            if child.due and now >= child.due:
                self._start(child)
            elif child.relink and now >= child.relink:
                self._link(child)

    def _see_off(self, now: float) -> None:
        """First the workers end, then the control process, which sums up what they did."""
        left = [child for child in self._workers if child.pid]
        if not left and not self._farewell:
            self._farewell = True
            self._deadline = now + _MERCY
            self._children[CONTROL].bid("stop")
        if now >= self._deadline:
            self._deadline = float("inf")
            for child in left or [self._children[CONTROL]]:
                child.signal(signal.SIGKILL)

    # Starting.

    def _start(self, child: Child) -> None:
        """Fork a child and give it its seat; then link it. Raises OSError at the first start; later it is tried again."""
        child.due = 0.0
        try:
            self._fork(child)
        except OSError as error:  # no descriptor, no process, no memory
            if not self._complete:
                raise
            child.due = time.monotonic() + LONGEST
            self._note(f"{child.name} cannot be started: {error.strerror}; it is tried again in {LONGEST:g} s")
            return
        for worker in self._workers if child.slot == CONTROL else [child]:
            self._link(worker)

    def _fork(self, child: Child) -> None:
        ours, theirs = Channel.pair()
        try:
            with self._signals.blocked():
                pid = os.fork()
                if pid == 0:
                    self._be_child(child.slot, theirs, ours)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        child.pid, child.channel, child.born, child.why, child.starts = pid, ours, time.monotonic(), "", child.starts + 1
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _be_child(self, slot: int, channel: Channel, ours: Channel) -> None:
        """Become the process in this slot. Never returns."""
        code = _FAULT
        try:
            self._forget_parenthood(slot, ours)
            run = self._control if slot == CONTROL else self._worker
            code = run(Seat(slot, channel, self._sockets[slot] if slot != CONTROL else (), self._present))
        except BaseException as error:  # whatever it is, it must not go on as a second parent
            with suppress(BaseException):
                channel.send({"do": "unusable", "why": told_of(error)})
        finally:
            os._exit(code)

    def _forget_parenthood(self, slot: int, ours: Channel) -> None:
        """Close what is the parent's, or another child's."""
        self._signals.forget(mortal=slot != CONTROL)
        self._selector.close()
        ours.close()
        for child in (*self._children.values(), self._heir):
            if child.channel is not None:
                child.channel.close()
        for other, sockets in enumerate(self._sockets):
            if other != slot:
                for sock in sockets:
                    sock.close()

    def _link(self, worker: Child) -> None:
        """Join a worker with the control process by a new pair of sockets. What fails is tried again."""
        control = self._children[CONTROL]
        worker.relink = 0.0
        if worker.channel is None or control.channel is None:
            return  # it is done when both are there
        worker.linked = time.monotonic()
        try:
            one, other = socket.socketpair()
        except OSError:
            worker.relink = worker.linked + _RELINKS
            return
        with one, other:
            restarts = {"worker": sum(max(0, one.starts - 1) for one in self._workers), "control": control.starts - 1}
            family = {"workers": len(self._workers), "restarts": restarts}
            message = {"do": "worker", "slot": worker.slot, "pid": worker.pid, "family": family}
            told = control.channel.send(message, [other.fileno()])
            if not (told and worker.channel.send({"do": "link"}, [one.fileno()])):
                worker.relink = worker.linked + _RELINKS

    # What the children say.

    def _listen(self, child: Child) -> None:
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
            message, fds = got
            try:
                self._heed(child, message, fds)
            except (KeyError, TypeError, ValueError, OSError) as error:
                self._note(f"{child.name} sent a message that makes no sense: {error!r}")
            for fd in fds:
                os.close(fd)

    def _let_go(self, child: Child) -> None:
        if child.channel is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            child.channel = None

    def _heed(self, child: Child, message: Mapping[str, Any], fds: list[int]) -> None:
        """Do what a child asks for. Raises KeyError, TypeError, ValueError for what nobody understands, and OSError."""
        match message.get("do"):
            case "ready":
                self._ready(child)
            case "unusable":
                child.why = str(message["why"])
            case "present" if fds:
                os.dup2(fds[0], self._present, inheritable=False)
            case "drain":
                self._drain = _seconds(message["seconds"])
            case "log":
                self._journal.move(str(message["path"]))
            case "relink":
                self._relink(int(message["slot"]), message.get("pid"))
            case "stop":
                self._stop()
            case "upgrade":
                self._upgrade()
            case "reopen":
                self._reopen()
            case other:
                raise ValueError(f"nobody knows how to {other!r:.80}")

    def _ready(self, child: Child) -> None:
        child.ready = True
        if child is self._heir:
            self._heir = Child(HEIR)
            self._let_go(child)
            if not self._stopping:
                self._stop()
            return
        if child.missed:
            child.missed = False
            child.signal(signal.SIGUSR1)
        if child.slot == CONTROL and self._reload_due:
            self._reload()
        if not self._complete and all(child.ready for child in self._children.values()):
            self._complete = True
            self._started()

    def _relink(self, slot: int, pid: object) -> None:
        """Link a worker again, soon: unless it is another process by now, which got a link of its own."""
        worker = self._children[slot]
        if slot != CONTROL and worker.pid and worker.pid == pid:
            worker.relink = max(time.monotonic(), worker.linked + _RELINKS)

    # Signals.

    def _heed_signalled(self) -> None:
        for number in self._signals.take():
            match number:
                case signal.SIGCHLD:
                    self._reap()
                case signal.SIGTERM | signal.SIGINT:
                    self._stop()
                case signal.SIGUSR1:
                    self._reopen()
                case signal.SIGHUP:
                    self._reload()
                case signal.SIGUSR2:
                    self._upgrade()

    def _reopen(self) -> None:
        """Open the log files anew; one that just starts may have the old ones, and is told when it is ready."""
        self._journal.reopen()
        for child in self._children.values():
            child.missed = not child.ready
            if child.ready:
                child.signal(signal.SIGUSR1)

    def _reload(self) -> None:
        """Let the control process reload; one that is just starting is told when it is ready."""
        control = self._children[CONTROL]
        self._reload_due = not control.ready
        if control.ready:
            control.signal(signal.SIGHUP)

    def _stop(self) -> None:
        """Let the workers finish; the control process ends after them. A second call ends everything at once."""
        again, self._stopping = self._stopping, True
        for child in self._workers:
            child.bid("end" if again else "stop")
        if again:
            return
        self._deadline = time.monotonic() + self._drain + _MERCY
        for sockets in self._sockets:
            for sock in sockets:
                sock.close()
        if self._heir.pid:
            self._note(f"the new version, process {self._heir.pid}, is not ready yet, and ends too")
            self._heir.signal(signal.SIGTERM)

    def _upgrade(self) -> None:
        """Start a new version of the program, which ends this one when it is ready."""
        heir = self._heir
        if heir.pid or self._stopping:
            under_way = f"one is under way, process {heir.pid}" if heir.pid else "this gateway is stopping"
            self._tell_upgrade(f"no upgrade: {under_way}", failed=not heir.pid)
            return
        try:
            heir.pid, heir.channel = self._successor()
        except OSError as error:
            self._tell_upgrade(f"the new version cannot be started: {error}; this one goes on", failed=True)
            return
        self._selector.register(heir.channel, selectors.EVENT_READ, heir)
        self._tell_upgrade(f"upgrade: process {heir.pid} takes over as soon as it is ready", failed=False)

    def _tell_upgrade(self, text: str, failed: bool) -> None:
        """Note how an upgrade goes, and let the control process know, which is asked for it."""
        self._note(text)
        self._children[CONTROL].say({"do": "upgrade", "pid": self._heir.pid, "failed": failed, "said": text})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in (*self._children.values(), self._heir):
                if child.pid == pid:
                    self._listen(child)  # its last words
                    self._let_go(child)
                    self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        """A process ended: start it again, unless all is to end, or it never ran."""
        because = f": {child.why}" if child.why else ""
        if child.slot == HEIR:
            if child is self._heir:
                self._heir = Child(HEIR)
                self._tell_upgrade(f"the new version {ending(status)}, so this one goes on{because}", failed=True)
            return
        pid, wait = child.pid, child.ended(time.monotonic())
        if child.slot != CONTROL:
            self._died(child.slot)
        if self._stopping:
            return
        if not self._complete:
            self._code = (os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 0) or _FAULT
            self._failed(child.why or f"{child.name} {ending(status)} before the gateway was ready")
            self._stop()
            return
        self._step_aside(child)
        when = f"in {wait:g} s" if wait else "at once"
        lived = time.monotonic() - child.born
        self._note(f"{child.name} (process {pid}) {ending(status)} after {lived:.1f} s{because}; it is started again {when}")

    def _step_aside(self, child: Child) -> None:
        """Give the connections of a worker that crashes again and again to the others, until it accepts again.

        Not while a new version starts, for it has the same sockets; nor those of a unix socket, whose one queue is for all.
        """
        others = any(other.ready for other in self._workers if other is not child)
        if child.slot == CONTROL or child.early < _CRASHES or not others or self._heir.pid:
            return
        for sock in self._sockets[child.slot]:
            if sock.family != socket.AF_UNIX:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def _seconds(told: Any) -> float:
    """Return a time to drain. Raises TypeError or ValueError for what is none."""
    seconds = float(told)
    if not 0 <= seconds <= _LONGEST_DRAIN:
        raise ValueError(f"{told!r:.40} seconds to drain")
    return seconds
