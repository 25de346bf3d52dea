"""Which incident is looked into, and when: at once, again while it lasts, and never so often that it adds to the trouble."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..config.schema import Server
from ..net.resolve import Resolver
from ..wire.limits import WireLimits

if TYPE_CHECKING:
    from .desk import Change, Desk
    from .process import Control

_AT_ONCE: Final = 4
"""Looks under way at the same time."""
_WAITING: Final = 200
"""Incidents that wait for a look."""
_AGAIN: Final = (0.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds from one look at an incident to the next, as long as it lasts; from then on every `_LATER`."""
_LATER: Final = 300.0
_SERVER_REST: Final = 2.0
"""Seconds in which one server is not examined a second time, whatever asks for it."""
_GONE: Final = 3600.0
"""Seconds after which an incident that nothing was heard of is forgotten here."""


@dataclass(slots=True)
class _Case:
    """An incident, and its looks. Times are monotonic seconds."""

    id: str
    due: float
    looks: int = 0
    heard: float = 0.0
    running: bool = False
    asked: bool = False  # by a person: also when it is over


class Examining:
    """The looks into incidents."""

    def __init__(self, control: "Control", desk: "Desk") -> None:
        self._control, self._desk = control, desk
        self._cases: dict[str, _Case] = {}
        self._rested: dict[str, float] = {}  # by server, until when
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """Break off what runs."""
        for task in self._tasks:
            task.cancel()

    def ask(self, id: str) -> bool:
        """Look into an incident as soon as possible; False where there is none."""
        summary = self._desk.store.summary(id)
        if summary is None:
            return False
        now = time.monotonic()
        case = self._cases.setdefault(summary["id"], _Case(summary["id"], now))
        case.due, case.heard, case.asked = now, now, True
        return True

    def resume(self) -> None:
        """Look again into what is open since before this process began."""
        now = time.monotonic()
        for summary in self._desk.store.open_incidents(_WAITING):
            self._cases[summary["id"]] = _Case(summary["id"], now, 1, now)

    def tick(self, now: float, monotonic: float, changes: "Sequence[Change]") -> None:
        """Begin what is due. now: wall-clock, monotonic: monotonic seconds."""
        for what, summary in changes:
            self._heed(what, summary["id"], monotonic)
        if self._control.tools.examine is None:
            return
        for case in sorted(self._cases.values(), key=lambda case: (not case.asked, case.looks, case.due)):
            if case.due > monotonic or case.running:
                continue
            if len(self._tasks) >= _AT_ONCE:
                return
            self._begin(case, monotonic)

    def _heed(self, what: str, id: str, now: float) -> None:
        """An incident is news, or over."""
        if what == "resolved":
            self._cases.pop(id, None)
            return
        if id not in self._cases and len(self._cases) >= _WAITING:
            self._cases = {known: case for known, case in self._cases.items() if now - case.heard < _GONE and known != id}
            if len(self._cases) >= _WAITING:
                return
        case = self._cases.setdefault(id, _Case(id, now))
        case.heard = now
        if what in ("reopened", "changed", "worse"):
            case.due = min(case.due, now)
            case.looks = min(case.looks, 1)

    def _begin(self, case: _Case, now: float) -> None:
        told = self._desk.store.summary(case.id)
        if told is None or (told["state"] != "open" and not case.asked):
            self._cases.pop(case.id, None)
            return
        if not self._desk.settings.examine and not case.asked:
            return
        server = self._which(told)
        if server is None:
            self._plan(case, now)
            return
        key = server.url
        if self._rested.get(key, 0.0) > now:
            return
        self._rested = {label: until for label, until in self._rested.items() if until > now}
        self._rested[key] = now + _SERVER_REST
        case.running = True
        task = asyncio.get_running_loop().create_task(self._look(case, told, server))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _plan(self, case: _Case, now: float) -> None:
        """Set the time of the next look."""
        case.running = case.asked = False
        case.looks += 1
        case.due = now + (_AGAIN[case.looks] if case.looks < len(_AGAIN) else _LATER)

    def _which(self, told: Mapping[str, Any]) -> Server | None:
        """Return the server to examine: the one with most failures that still is configured; else one that gets no requests."""
        upstream = self._control.desired.config.upstream.get(told["upstream"])
        if upstream is None:
            return None
        by_label = {server.url: server for server in upstream.servers}
        for one in told["servers"]:
            if one["server"] in by_label:
                return by_label[one["server"]]
        standings = self._control.desired.standings.of.get(told["upstream"], {})
        return next((by_label[label] for label, one in standings.items() if label in by_label and not one.health.usable), None)

    async def _look(self, case: _Case, told: Mapping[str, Any], server: Server) -> None:
        control, desk = self._control, self._desk
        examine = control.tools.examine
        assert examine is not None
        try:
            config = control.desired.config
            resolver = Resolver(config.gateway.dns)
            try:
                verdict = await examine(
                    server,
                    config.upstream[told["upstream"]],
                    self._failure(case.id, told, server.url),
                    resolver,
                    seconds=desk.settings.examine_for,
                    last_success=desk.signs.last_success(told["upstream"], server.url),
                    limits=WireLimits.of(config.gateway.limits),
                )
            finally:
                resolver.close()
            desk.store.autopsy(case.id, verdict, time.time())
        except KeyError:
            pass  # the upstream went with a reload
        except Exception as problem:  # a look that fails must not end anything else
            control.journal.note(f"internal error: incident {case.id} could not be examined: {problem!r}")
        finally:
            self._plan(case, time.monotonic())

    def _failure(self, id: str, told: Mapping[str, Any], label: str) -> dict[str, Any]:
        """Return what traffic last saw of a server: an attempt of the latest sample, with the upstream's name and Host."""
        found: dict[str, Any] = {"cause": told["cause"], "phase": told["phase"]}
        for sample in self._desk.store.samples(id):
            for attempt in sample.get("attempts", ()):
                if attempt.get("server") == label and attempt.get("cause") == told["cause"]:
                    found = {**attempt, "host": sample.get("host", "")}
        return {**found, "upstream": told["upstream"]}
