"""The control process: it holds the desired state, hears what the workers see, and tells all of them what follows from it.

Traffic goes on without it. When it is killed, its successor learns the desired state from the memory that the parent holds, and
the rest from the workers.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

import uvloop

from ..net.channel import Gone
from ..net.journal import Journal
from ..net.link import Link
from ..net.seat import Seat, read_state, write_state
from ..traffic.shared import Gauges
from .admin import Admin
from .checks import Checks
from .desired import Desired
from .desk import Desk
from .peers import Peer, Totals, told_by
from .publicstatus import PublicStatus
from .reloading import Reloading
from .standing import Standing
from .telemetry import Telemetry
from .telling import Telling
from .tools import Tools

TICK: Final = 0.2
"""Seconds between looks at what is due."""
_MOMENT: Final = 0.01
_FAREWELL: Final = 1.0
"""Seconds in which the last words of the workers are heard at the end."""


class Unknown(LookupError):
    """There is no such upstream or server. The message names those there are."""


class Control:
    """The control process."""

    def __init__(self, seat: Seat, gauges: Gauges, journal: Journal, path: str, tools: Tools) -> None:
        """path: of the configuration file, "" without one. Raises ValueError when the present state is none."""
        state = read_state(seat.present)
        self.desired = Desired.of(state)
        self.path = path
        self.tools = tools
        self.dashboard = ""  # where browsers find it, once it is there
        self.journal = journal
        self.started = time.time()
        self.peers: dict[int, Peer] = {}
        self.totals = Totals()
        if "past" in state:
            self.totals.restore(state["past"])
        gauges.resume(self.desired.numbers)  # the parent, whose copy it is, knows those of the start only
        self.family: Mapping[str, Any] = {}  # how many workers there are, and what was started again, as the parent has it
        self.upgraded: dict[str, Any] = {}  # the same of a new version of the program
        self.seat = seat
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        self.reloading = Reloading(self, gauges)
        self.desk = Desk(self)
        self.telemetry = Telemetry(self)
        self.telling = Telling(self, state.get("telling"))
        self.public = PublicStatus(self)
        self._kept = True  # the parent has the present state
        self.checks = Checks(self._heard, journal.note)
        self._spread = self._orphaned = False  # word of servers is on its way; the parent is gone
        self._tasks: set[asyncio.Task[Any]] = set()

    # Running.

    async def run(self) -> None:
        """Run until the parent says otherwise, or is gone."""
        self._loop.add_reader(self.seat.channel.fileno(), self._hear_parent)
        self._loop.add_signal_handler(signal.SIGUSR1, self.journal.reopen)
        self._loop.add_signal_handler(signal.SIGHUP, self.reloading.soon)
        self.checks = self.checks.followed_by(self.desired.config, self.journal.note)
        self.checks.start()
        ticking = self._loop.create_task(self._tick())
        self.seat.channel.send({"do": "ready"})
        places = self._admin()
        for place in places:
            place.start()
        await self._gone
        ticking.cancel()
        await asyncio.gather(*(place.end() for place in places))
        self.checks.stop()
        if not self._orphaned:
            await self._last_words()
            await self.telemetry.end()
            for line in self.totals.summary(told_by(self.peers.values())):
                self.journal.note(line)
        await self.telling.close()
        self.desk.close()

    def _admin(self) -> list[Admin]:
        """Return where the admin API can be asked: the usual place, and one for browsers."""
        settings = self.desired.config.gateway.admin
        dashboard = "off" if settings.listen == "off" else settings.dashboard
        return [Admin(self, settings.listen), Admin(self, dashboard, browsers=True)]

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

    async def _tick(self) -> None:
        """Look at what is due: ends of ejections, words that were not taken, the configuration file where it is watched."""
        while True:
            await asyncio.sleep(TICK)
            for name, label in self.desired.standings.over(time.monotonic(), time.time()):
                self._changed(name, label)
            for peer in self.peers.values():
                if peer.behind:
                    peer.tell(self.desired)
            if not self._kept:
                self.keep()
            self.desk.tick()
            self.telemetry.tick()
            self.telling.tick(time.time())
            self.public.tick(time.time(), time.monotonic())
            if self.desired.config.gateway.watch and self.reloading.file_changed():
                self.reloading.soon()

    # The parent.

    def _hear_parent(self) -> None:
        while True:
            try:
                got = self.seat.channel.receive()
            except Gone:
                self._loop.remove_reader(self.seat.channel.fileno())
                self._orphaned = True
                self._end()
                return
            except ValueError as error:
                self.journal.note(str(error))
                continue
            if got is None:
                return
            message, fds = got
            self._obey(message, fds)
            for fd in fds:
                os.close(fd)

    def _obey(self, message: Mapping[str, Any], fds: list[int]) -> None:
        """Do what the parent says."""
        do, self.family = message.get("do"), message.get("family", self.family)
        if do == "worker" and fds:
            self.spawn(self._join(int(message["slot"]), int(message["pid"]), fds.pop(0)))
        elif do == "worker":  # descriptors ran out
            self._ask_for_link(int(message["slot"]), int(message["pid"]))
        elif do == "upgrade":
            self.upgraded = {"at": time.time(), **{key: message[key] for key in ("pid", "failed", "said")}}
        elif do == "stop":
            self._end()

    def _ask_for_link(self, slot: int, pid: int) -> None:
        self.seat.channel.send({"do": "relink", "slot": slot, "pid": pid})

    def ask_parent(self, do: str) -> None:
        """Ask the parent to "stop", to "upgrade" or to "reopen" the logs."""
        self.seat.channel.send({"do": do})

    # The workers.

    async def _join(self, slot: int, pid: int, fd: int) -> None:
        """Take the link to a worker into use."""
        peer = self.peers.get(slot)
        if peer is None or peer.pid != pid:
            before, peer = peer, Peer(slot, pid, peer)
            self.peers[slot] = peer
            if before is not None and before.link is None:
                self._bury(before)  # else its last words are still on their way
        elif peer.link is not None:
            peer.link.close()
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        link = Link(lambda message: self._hear(peer, message), lambda why: self._unlinked(peer, link, why))
        peer.link = link
        await self._loop.create_connection(lambda: link, sock=sock)

    def _unlinked(self, peer: Peer, link: Link, why: str) -> None:
        """A link ended: with its worker, or alone, and then the worker needs another. What was asked of it is asked again."""
        if why.startswith("malformed"):
            self.journal.note(f"the link to worker {peer.slot} ended: {why}")
        if peer.link is not link:
            return
        peer.link, peer.behind = None, False
        if self.peers[peer.slot] is not peer:
            self._bury(peer)
        else:
            self._ask_for_link(peer.slot, peer.pid)

    def _bury(self, peer: Peer) -> None:
        self.totals.bury(peer.leave())
        self.keep()

    def _hear(self, peer: Peer, message: Mapping[str, Any]) -> None:
        """Take in what a worker says. Raises KeyError, TypeError, ValueError for what makes no sense."""
        if "hello" in message:
            self._counted(peer, message["counts"])
            peer.version = peer.sent = int(message["version"])
            peer.tell(self.desired)
            self.public.joined(peer)
            if peer.version == self.desired.version:
                self.reloading.settle(peer, "")
        elif "counts" in message:
            self._counted(peer, message["counts"])
        elif "report" in message:
            self.desk.took(message["report"])
        elif "telemetry" in message:
            self.telemetry.took(message["telemetry"])
        elif "public" in message:
            self.public.heard(peer, message["public"])
        elif "event" in message:
            self._told_of(message["event"])
        elif "ejected" in message:
            self._ejected([message])
        elif "applied" in message or "rejected" in message:
            self.reloading.answered(peer, message)
        else:
            raise ValueError(f"nobody knows what {sorted(message)[:3]} means")

    def _counted(self, peer: Peer, counts: Any) -> None:
        before = peer.counts
        self._ejected(peer.counted(counts))
        self.desk.signs.counted(before, counts, time.time())

    def _told_of(self, event: Mapping[str, Any]) -> None:
        """A worker noticed something that concerns the servers of a name: another DNS answer."""
        name, text = str(event["name"]), str(event["text"])
        for upstream, settings in self.desired.config.upstream.items():
            if any(server.endpoint.host == name for server in settings.servers):
                self.desk.event(str(event["kind"]), text, upstream)

    def _ejected(self, told: Sequence[Mapping[str, Any]]) -> None:
        """A worker ejected servers: so do all."""
        for one in told:
            if self.desired.standings.ejected(one, time.monotonic(), time.time()):
                self.totals.ejected(one["ejected"], one["server"])
                self.desk.event("ejected", f"{one['server']} was ejected: {one['why']}", one["ejected"], one["server"])
                self._changed(one["ejected"], one["server"])

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
        if event in ("told-up", "told-down"):
            self.checks.forget(upstream, label)
        standing.health.hear(event, why, time.time())
        self._changed(upstream, label)
        self._say(upstream, label, standing, why)
        return standing

    def _say(self, upstream: str, label: str, standing: Standing, why: str) -> None:
        text = f"{label} is {standing.health.state}: {why}"
        self.journal.note(f"{upstream}: {text}")
        self.desk.event("server", text, upstream, label)

    def weigh(self, upstream: str, label: str, weight: int) -> Standing:
        """Give a server another weight, until the next start. Raises Unknown, and ValueError for a weight outside 1 to 1000."""
        standing = self.standing(upstream, label)
        if not 1 <= weight <= 1000:
            raise ValueError(f"weight {weight}: from 1 to 1000")
        standing.weight = weight
        self._changed(upstream, label)
        self.journal.note(f"{upstream}: {label} has weight {weight}")
        self.desk.event("server", f"{label} was given weight {weight}", upstream, label)
        return standing

    def _heard(self, upstream: str, label: str, event: str, why: str) -> None:
        """The active checks have a verdict."""
        standing = self.desired.standings.of.get(upstream, {}).get(label)
        if standing is not None and standing.health.hear(event, why, time.time()):
            self._say(upstream, label, standing, why)
            self._changed(upstream, label)

    def _changed(self, _upstream: str, _label: str) -> None:
        """Tell every worker, and whoever starts later, with the next turn of the loop: several changes at once are one word."""
        if not self._spread:
            self._spread = True
            self._loop.call_soon(self._spread_word)

    def _spread_word(self) -> None:
        self._spread = False
        for peer in self.peers.values():
            if peer.sent:
                peer.tell(self.desired)
        self.keep()

    def keep(self) -> None:
        """Give the parent the present state to hold, now or as soon as that works."""
        try:
            past = {"past": self.totals.snapshot(), "telling": self.telling.snapshot()}
            fd = write_state({**self.reloading.agreed.state(), **past})
        except OSError:
            self._kept = False
            return
        self._kept = self.seat.channel.send({"do": "present"}, [fd])
        os.close(fd)

    def checked(self, upstream: str) -> dict[str, Any]:
        """Return what the active checks last saw of an upstream's servers, by label; nothing where there are none."""
        return self.checks.describe(upstream)


async def _control(seat: Seat, gauges: Gauges, journal: Journal, path: str, tools: Tools) -> None:
    await Control(seat, gauges, journal, path, tools).run()


def run_control(seat: Seat, gauges: Gauges, journal: Journal, path: str, tools: Tools) -> int:
    """Be the control process. Return the exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_control(seat, gauges, journal, path, tools))
    return 0
