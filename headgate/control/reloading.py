"""How another configuration takes the place of the present one: all workers serve by it, or everything stays as it was."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..net.tls import BadTlsFile
from ..traffic.shared import Gauges
from .changedfile import ChangedFile
from .desired import Desired, NotApplied

if TYPE_CHECKING:
    from .peers import Peer
    from .process import Control

_PATIENCE: Final = 10.0
"""Seconds within which every worker has to say whether it serves by a new configuration."""


class Reloading:
    """The reloads of one gateway."""

    def __init__(self, control: "Control", gauges: Gauges) -> None:
        """Raises OSError when the file cannot be looked at."""
        self._control, self._gauges = control, gauges
        self.agreed = control.desired  # what the workers serve by: not the one that a reload tries at this moment
        self.last: dict[str, Any] = {}  # when a reload was last asked for, and what came of it
        self._lock, self._waits = asyncio.Lock(), False
        self._answers: dict[int, asyncio.Future[str]] = {}  # by slot, while a reload waits for them
        self._file = ChangedFile(control.path)

    def file_changed(self) -> bool:
        """Tell whether the configuration file is another one than was last read."""
        return self._file.changed()

    def soon(self) -> None:
        """Reload; once for all that ask before it begins."""
        if not self._waits:
            self._waits = True
            self._control.spawn(self._quietly())

    async def _quietly(self) -> None:
        with suppress(NotApplied):  # it was noted
            await self.reload()

    async def reload(self) -> str:
        """Read the configuration file again and serve by it; return what was done. Raises NotApplied: then nothing changed."""
        async with self._lock:
            self._waits = False
            try:
                said = await self._reload()
            except NotApplied as problem:
                self._end(False, str(problem), "reload: nothing changed: ")
                raise
            self._end(True, said)
            return said

    def _end(self, ok: bool, said: str, preface: str = "") -> None:
        control = self._control
        control.journal.note(preface + said)
        self.last = {"at": time.time(), "ok": ok, "said": said}
        control.totals.reloaded(ok, self.last["at"])
        control.desk.event("reload", preface + said)
        control.keep()

    async def _reload(self) -> str:
        control = self._control
        if not control.path:
            raise NotApplied("this gateway was started without a configuration file (--to), so there is nothing to read again")
        self._file.read()
        before, desired = control.desired, control.desired.read(control.path, self._gauges)
        try:
            checks = control.checks.followed_by(desired.config)
        except BadTlsFile as problem:
            self._gauges.resume(before.numbers)
            raise NotApplied(str(problem)) from None
        control.desired = desired
        refused = await self._push()
        if refused:
            await self._go_back(before)
            raise NotApplied(refused)
        checks.start(control.checks)
        control.checks, self.agreed = checks, desired
        control.keep()
        control.seat.channel.send({"do": "drain", "seconds": desired.config.gateway.drain})
        if before.config.gateway.log.errors != desired.config.gateway.log.errors:
            control.journal.move(desired.config.gateway.log.errors)
            control.seat.channel.send({"do": "log", "path": desired.config.gateway.log.errors})
        many = "s" * (len(control.peers) != 1)
        return f"reload: configuration {desired.version} of {control.path} is served by {len(control.peers)} worker{many}"

    async def _go_back(self, before: Desired) -> None:
        """Serve by the configuration before again, and let the checks tell anew what they said meanwhile."""
        control = self._control
        control.desired = self.agreed = before.again(control.desired.version + 1)
        self._gauges.resume(before.numbers)
        control.checks.forget_all()
        await self._push()
        control.keep()

    async def _push(self) -> str:
        """Send the desired state to every worker; return why one refused it, "" when all took it."""
        self._answers = {}
        for peer in self._control.peers.values():
            if peer.link is not None:
                self._answers[peer.slot] = asyncio.get_running_loop().create_future()
                peer.tell(self._control.desired)
        if not self._answers:
            return ""
        done, late = await asyncio.wait(self._answers.values(), timeout=_PATIENCE)
        self._answers = {}
        refusals = [answer.result() for answer in done if answer.result()]
        if late:
            refusals.append(f"{len(late)} workers did not answer within {_PATIENCE:g} s")
        return refusals[0] if refusals else ""

    def answered(self, peer: "Peer", message: Mapping[str, Any]) -> None:
        """Hear which state a worker serves by ("applied"), or why not ("rejected"). Raises KeyError, TypeError, ValueError."""
        version = int(message.get("applied", message.get("rejected", 0)))
        refused = str(message["why"]) if "rejected" in message else ""
        if not refused:
            peer.version = version
        if version != self._control.desired.version:
            return
        if refused and peer.slot not in self._answers:
            self._control.journal.note(
                f"worker {peer.slot} cannot serve by configuration {version}, and keeps its own: {refused}"
            )
        self.settle(peer, refused)

    def settle(self, peer: "Peer", refused: str) -> None:
        """Let a reload know what a worker says to it: "" for yes, else why not."""
        answer = self._answers.get(peer.slot)
        if answer is not None and not answer.done():
            answer.set_result(refused)
