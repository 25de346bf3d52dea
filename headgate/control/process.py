"""The control process: it holds the desired state, hears what the workers see, and tells all of them what follows from it.

Traffic goes on without it. When it is killed, its successor learns the desired state from the memory that the parent holds, and
the rest from the workers.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Final

import uvloop

from ..config.schema import Upstream
from ..net.channel import Gone
from ..net.journal import Journal
from ..net.link import Link
from ..net.resolve import Resolver
from ..net.seat import Seat, read_state, write_state
from ..traffic.shared import Gauges
from ..wire.limits import WireLimits
from .admin import Admin
from .checker import Checker
from .desired import Desired, NotApplied
from .peers import Peer, Totals
from .standing import Standing

TICK: Final = 0.2
"""Seconds between looks at what is due."""
_PATIENCE: Final = 10.0
"""Seconds within which every worker has to say whether it serves by a new configuration."""
_MOMENT: Final = 0.01
_FAREWELL: Final = 1.0
"""Seconds in which the last words of the workers are heard at the end."""


class Unknown(LookupError):
    """There is no such upstream or server. The message names those there are."""


class Control:
    """The control process."""

    def __init__(self, seat: Seat, gauges: Gauges, journal: Journal, path: str) -> None:
        """path: of the configuration file, "" without one. Raises ValueError when the present state is none."""
        self.desired = Desired.of(read_state(seat.present))
        self.path = path
        self.journal = journal
        self.started = time.time()
        self.peers: dict[int, Peer] = {}
        self.totals = Totals()
        self.reloaded: dict[str, Any] = {}  # when a reload was last asked for, and what came of it
        self.upgraded: dict[str, Any] = {}  # the same of a new version of the program
        self._seat = seat
        self._gauges = gauges
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        self._reloading = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[str]] = {}  # by slot, while a reload waits for them
        self._checkers: dict[str, Checker] = {}
        self._checked_by: dict[str, Upstream] = {}  # their settings
        self._spread = False  # word of servers is on its way
        self._stamp = self._file_stamp()
        self._orphaned = False
        self._tasks: set[asyncio.Task[Any]] = set()

    # Running.

    async def run(self) -> None:
        """Run until the parent says otherwise, or is gone."""
        self._loop.add_reader(self._seat.channel.fileno(), self._hear_parent)
        self._loop.add_signal_handler(signal.SIGTERM, self._end)
        self._loop.add_signal_handler(signal.SIGUSR1, self.journal.reopen)
        self._loop.add_signal_handler(signal.SIGHUP, lambda: self.spawn(self.reload()))
        self._check_health()
        ticking = self._loop.create_task(self._tick())
        self._seat.channel.send({"do": "ready"})
        admin = Admin(self)
        admin.start()
        await self._gone
        ticking.cancel()
        await admin.end()
        for checker in self._checkers.values():
            checker.stop()
        if not self._orphaned:
            await self._last_words()
            self._summarise()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine beside everything else."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def _last_words(self) -> None:
        """Hear what is still on its way from workers that have ended."""
        for _ in range(round(_FAREWELL / _MOMENT)):
            if all(peer.link is None for peer in self.peers.values()):
                return
            await asyncio.sleep(_MOMENT)

    def _summarise(self) -> None:
        """Note what was counted: failures of servers apart from what clients did wrong."""
        told = self.totals.of_all(peer.counts for peer in self.peers.values())
        for what, counts in (("failed attempts", told["failures"]), ("requests refused or left by clients", told["refusals"])):
            if counts:
                ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
                self.journal.note(f"{what}: " + ", ".join(f"{count} {code}" for code, count in ordered))
        lost = f", {told['lost_lines']} log lines lost" if told["lost_lines"] else ""
        self.journal.note(f"stopped after {told['exchanges']} exchanges{lost}")

    async def _tick(self) -> None:
        """Look at what is due: ends of ejections, and the configuration file where it is watched."""
        turns = 0
        while True:
            await asyncio.sleep(TICK)
            turns += 1
            for name, label in self.desired.standings.over(time.monotonic(), time.time()):
                self._changed(name, label)
            if self.desired.config.gateway.watch and turns % 5 == 0:
                self._look_at_file()

    # The parent.

    def _hear_parent(self) -> None:
        while True:
            try:
                got = self._seat.channel.receive()
            except Gone:
                self._loop.remove_reader(self._seat.channel.fileno())
                self._orphaned = True
                self._end()
                return
            except ValueError as error:
                self.journal.note(str(error))
                continue
            if got is None:
                return
            message, fds = got
            if message.get("do") == "worker" and fds:
                self.spawn(self._join(int(message["slot"]), int(message["pid"]), fds.pop(0)))
            elif message.get("do") == "upgrade":
                self.upgraded = {"at": time.time(), **{key: message[key] for key in ("pid", "failed", "said")}}
            for fd in fds:
                os.close(fd)

    def ask_parent(self, do: str) -> None:
        """Ask the parent to "stop", to "upgrade" or to "reopen" the logs."""
        self._seat.channel.send({"do": do})

    # The workers.

    async def _join(self, slot: int, pid: int, fd: int) -> None:
        """Take the link to a worker into use."""
        peer = self.peers.get(slot)
        if peer is None or peer.pid != pid:
            if peer is not None:
                self._bury(peer)
            peer = self.peers[slot] = Peer(slot, pid)
        elif peer.link is not None:
            peer.link.close()
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        link = Link(lambda message: self._hear(peer, message), lambda why: self._unlinked(peer, link, why))
        peer.link = link
        await self._loop.create_connection(lambda: link, sock=sock)

    def _unlinked(self, peer: Peer, link: Link, why: str) -> None:
        if peer.link is link:
            peer.link = None
        if (answer := self._answers.get(peer.slot)) is not None and not answer.done():
            answer.set_result("")  # it died; whoever takes its place begins with the state that holds then
        if why.startswith("malformed"):
            self.journal.note(f"the link to worker {peer.slot} ended: {why}")
            self._seat.channel.send({"do": "relink", "slot": peer.slot})

    def _bury(self, peer: Peer) -> None:
        self.totals.bury(peer.counts)
        peer.counts = {}

    def _hear(self, peer: Peer, message: Mapping[str, Any]) -> None:
        """Take in what a worker says. Raises KeyError, TypeError, ValueError for what makes no sense."""
        if "hello" in message:
            peer.version = int(message["version"])
            peer.counted(message["counts"])
            assert peer.link is not None
            if peer.version != self.desired.version:
                peer.link.send({"do": "state", "state": self.desired.state()}, important=True)
            else:
                peer.link.send({"do": "servers", "servers": self.desired.standings.snapshot()}, important=True)
        elif "counts" in message:
            peer.counted(message["counts"])
        elif "ejected" in message:
            self._ejected(message["ejected"], message["server"], float(message["until"]), str(message["why"]))
        elif "applied" in message or "rejected" in message:
            self._answered(peer, message)
        else:
            raise ValueError(f"nobody knows what {sorted(message)[:3]} means")

    def _ejected(self, upstream: str, label: str, until: float, why: str) -> None:
        """A worker ejected a server: so do all."""
        standing = self.desired.standings.of.get(upstream, {}).get(label)
        if standing is None:  # of a configuration that is no more
            return
        standing.until = max(standing.until, until)
        standing.health.hear("ejected", why, time.time())
        self._changed(upstream, label)

    # How servers stand.

    def standing(self, upstream: str, label: str) -> Standing:
        """Return how a server stands. Raises Unknown."""
        servers = self.desired.standings.of.get(upstream)
        if servers is None:
            raise Unknown(f'no upstream is called "{upstream}"; there are {", ".join(self.desired.standings.of)}')
        if label not in servers:
            raise Unknown(f'upstream {upstream} has no server "{label}"; it has {", ".join(servers)}')
        return servers[label]

    def act(self, upstream: str, label: str, event: str, why: str, seconds: float = 0.0) -> Standing:
        """Do to a server what an administrator says: an event of traffic/health.py. seconds: of an ejection. Raises Unknown."""
        standing = self.standing(upstream, label)
        if event == "ejected":
            standing.until = time.monotonic() + seconds
        elif event in ("told-up", "ejection-over"):
            standing.until, standing.pardoned = 0.0, time.monotonic()
        if event in ("told-up", "told-down") and upstream in self._checkers:
            self._checkers[upstream].forget(label)
        standing.health.hear(event, why, time.time())
        self._changed(upstream, label)
        self.journal.note(f"{upstream}: {label} is {standing.health.state}: {why}")
        return standing

    def weigh(self, upstream: str, label: str, weight: int) -> Standing:
        """Give a server another weight, until the next start. Raises Unknown, and ValueError for a weight outside 1 to 1000."""
        standing = self.standing(upstream, label)
        if not 1 <= weight <= 1000:
            raise ValueError(f"weight {weight}: from 1 to 1000")
        standing.weight = weight
        self._changed(upstream, label)
        self.journal.note(f"{upstream}: {label} has weight {weight}")
        return standing

    def _heard(self, upstream: str, label: str, event: str, why: str) -> None:
        """The active checks have a verdict."""
        standing = self.desired.standings.of.get(upstream, {}).get(label)
        if standing is not None and standing.health.hear(event, why, time.time()):
            self.journal.note(f"{upstream}: {label} is {standing.health.state}: {why}")
            self._changed(upstream, label)

    def _changed(self, _upstream: str, _label: str) -> None:
        """Tell every worker, and whoever starts later, with the next turn of the loop: several changes at once are one word."""
        if not self._spread:
            self._spread = True
            self._loop.call_soon(self._spread_word)

    def _spread_word(self) -> None:
        self._spread = False
        message = {"do": "servers", "servers": self.desired.standings.snapshot()}
        for peer in self.peers.values():
            if peer.link is not None and peer.version == self.desired.version:
                peer.link.send(message, important=True)
        self._keep()

    def _keep(self) -> None:
        """Give the parent the present state to hold."""
        fd = write_state(self.desired.state())
        try:
            self._seat.channel.send({"do": "present"}, [fd])
        finally:
            os.close(fd)

    def _check_health(self) -> None:
        """Check the servers of every upstream that asks for it; checks whose settings stayed go on."""
        config = self.desired.config
        wanted = {name: settings for name, settings in config.upstream.items() if settings.health is not None}
        kept = {name: one for name, one in self._checkers.items() if self._checked_by[name] == wanted.get(name)}
        for name, checker in self._checkers.items():
            if name not in kept:
                checker.stop()
        resolver, limits = Resolver(config.gateway.dns), WireLimits.of(config.gateway.limits)
        for name, settings in wanted.items():
            if name not in kept:
                kept[name] = Checker(name, settings, resolver, partial(self._heard, name), self.journal.note, limits)
                kept[name].start()
        self._checkers, self._checked_by = kept, wanted

    def checked(self, upstream: str) -> dict[str, Any]:
        """Return what the active checks last saw of an upstream's servers, by label; nothing where there are none."""
        checker = self._checkers.get(upstream)
        return checker.describe() if checker is not None else {}

    # Another configuration.

    async def reload(self) -> str:
        """Read the configuration file again and serve by it; return what was done. Raises NotApplied: then nothing changed."""
        async with self._reloading:
            try:
                said = await self._reload()
            except NotApplied as problem:
                self.journal.note(f"reload: nothing changed: {problem}")
                self.reloaded = {"at": time.time(), "ok": False, "said": str(problem)}
                raise
            self.journal.note(said)
            self.reloaded = {"at": time.time(), "ok": True, "said": said}
            return said

    async def _reload(self) -> str:
        if not self.path:
            raise NotApplied("this gateway was started without a configuration file (--to), so there is nothing to read again")
        self._stamp = self._file_stamp()
        before, desired = self.desired, self.desired.read(self.path, self._gauges)
        self.desired = desired
        refused = await self._push()
        if refused:
            back = Desired(desired.version + 1, before.data, before.folder, before.config, before.numbers)
            back.standings = before.standings
            self.desired = back
            await self._push()
            self._keep()
            raise NotApplied(refused)
        self._check_health()
        self._keep()
        self._seat.channel.send({"do": "drain", "seconds": desired.config.gateway.drain})
        return f"reload: configuration {desired.version} of {self.path} is served by {len(self.peers)} workers"

    async def _push(self) -> str:
        """Send the desired state to every worker; return why one refused it, "" when all took it."""
        self._answers = {}
        for peer in self.peers.values():
            if peer.link is not None:
                self._answers[peer.slot] = self._loop.create_future()
                peer.link.send({"do": "state", "state": self.desired.state()}, important=True)
        if not self._answers:
            return ""
        done, late = await asyncio.wait(self._answers.values(), timeout=_PATIENCE)
        self._answers = {}
        refusals = [answer.result() for answer in done if answer.result()]
        if late:
            refusals.append(f"{len(late)} workers did not answer within {_PATIENCE:g} s")
        return refusals[0] if refusals else ""

    def _answered(self, peer: Peer, message: Mapping[str, Any]) -> None:
        """A worker says whether it serves by a state."""
        version = int(message.get("applied", message.get("rejected", 0)))
        refused = str(message["why"]) if "rejected" in message else ""
        if not refused:
            peer.version = version
        answer = self._answers.get(peer.slot)
        if version == self.desired.version and answer is not None and not answer.done():
            answer.set_result(refused)

    def _file_stamp(self) -> tuple[int, int]:
        try:
            about = os.stat(self.path)
        except OSError:
            return 0, 0
        return about.st_mtime_ns, about.st_size

    def _look_at_file(self) -> None:
        """Reload when the file changed, and is not being written at this moment."""
        stamp = self._file_stamp()
        if stamp not in ((0, 0), self._stamp) and time.time_ns() - stamp[0] > 200_000_000:
            self._stamp = stamp
            self.spawn(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except NotApplied:
            pass  # it was noted


async def _control(seat: Seat, gauges: Gauges, journal: Journal, path: str) -> None:
    await Control(seat, gauges, journal, path).run()


def run_control(seat: Seat, gauges: Gauges, journal: Journal, path: str) -> int:
    """Be the control process. Return the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_control(seat, gauges, journal, path))
    return 0
