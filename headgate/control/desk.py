"""The incident desk: takes what workers report and what happens, keeps it, and tells those who listen what became of it.

Nothing here can fail for the traffic's sake: the store keeps in memory what a file does not take, and says so.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..config.incidents import Incidents
from ..incidents.retention import Retention
from ..incidents.schema import NewerStore
from ..incidents.store import Store
from .examining import Examining
from .signs import Signs
from .statefolder import forget, incident_file, passing_file
from .traffic import Traffic

if TYPE_CHECKING:
    from .process import Control

_TIDY: Final = 60.0
_TIDY_MORE: Final = 1.0
"""Seconds between two rounds of forgetting what is too old; while there is more of it."""
_SAME: Final = 30.0
"""Seconds within which the same event, told by several workers, is one."""

Change = tuple[str, dict[str, Any]]
"""What became of an incident ("opened", "worse", "changed", "resolved", "reopened"), and its summary."""
Listener = Callable[[float, Sequence[Change]], object]
"""Takes wall-clock seconds, and changes, oldest first."""


class Desk:
    """The incidents of one gateway, while its control process runs."""

    def __init__(self, control: "Control") -> None:
        self._control = control
        self._passing: Path | None = None  # the file of a store that ends with the gateway
        self.settings = control.desired.config.incidents
        self.store = self._open(self.settings, time.time())
        self.traffic = Traffic(control, self.store)
        self.history = self.traffic.history
        self.listeners: list[Listener] = []
        self.examining = Examining(control, self)
        self.signs = Signs(control, self)
        self.examining.resume()
        self._tidied = time.monotonic()
        self._more = False
        self._events: dict[tuple[str, ...], float] = {}  # when the same was last said, monotonic seconds

    def _open(self, settings: Incidents, now: float) -> Store:
        """Return the store: the file that is configured, or one that nobody else sees where that cannot be used."""
        say = self._control.journal.note
        retention = Retention(settings.days, settings.size)
        try:
            path = incident_file(settings.file, self._control.path, os.environ, os.geteuid())
            if path is not None:
                return Store(path, now, retention=retention, say=say)
        except OSError as problem:
            say(f"incidents are kept in memory only: {problem.filename or settings.file}: {problem.strerror or problem}")
        except NewerStore as problem:
            say(f"incidents are kept in memory only: {problem}")
        self._passing = passing_file(os.getppid(), os.environ, os.geteuid())
        return Store(self._passing, now, retention=retention, say=say)

    @property
    def in_memory(self) -> bool:
        """Whether they end with the gateway."""
        return self._passing is not None

    def close(self) -> None:
        """Write what is new, and end."""
        self.examining.end()
        self.traffic.write(time.time())
        self.store.close(time.time())
        if self._passing is not None:
            forget(self._passing)

    # In.

    def took(self, report: object) -> None:
        """Take in what a worker reports."""
        self.store.take(report, time.time())

    def event(self, kind: str, text: str, upstream: str = "", server: str = "") -> None:
        """Remember something that happened: incidents show what came before them."""
        now, key = time.monotonic(), (kind, text, upstream, server)
        if now - self._events.get(key, -_SAME) < _SAME:
            return
        if len(self._events) > 1000:
            self._events = {known: at for known, at in self._events.items() if now - at < _SAME}
        self._events[key] = now
        self.store.event(time.time(), kind, text, upstream, server)

    def tick(self) -> None:
        """Write, forget what is too old, and tell what changed. Called a few times a second."""
        now, monotonic = time.time(), time.monotonic()
        self._follow_settings(now)
        changes = self._changes(now)
        self.store.flush(now, at_once=bool(changes))
        self.traffic.tick(now)
        if monotonic - self._tidied >= (_TIDY_MORE if self._more else _TIDY):
            self._tidied, self._more = monotonic, self.store.tidy(now)
        self.signs.tick(now, monotonic)
        if changes:
            self.signs.before(changes)
            for listener in self.listeners:
                self._tell(listener, now, changes)
        self.examining.tick(now, monotonic, changes)

    def _tell(self, listener: Listener, now: float, changes: Sequence[Change]) -> None:
        try:
            listener(now, changes)
        except Exception as problem:  # whoever listens must not keep the others from it
            self._control.journal.note(f"internal error: a change of an incident could not be told: {problem!r}")

    def _changes(self, now: float) -> list[Change]:
        found = []
        for id, what in self.store.changes(now):
            summary = self.store.summary(id)
            if summary is not None:
                found.append((what, summary))
                self._note(what, summary)
        return found

    def _note(self, what: str, told: dict[str, Any]) -> None:
        where = told["server"] or told["upstream"] or "the gateway"
        seen = f", {told['seen']} seen by users" if told["seen"] else ""
        self._control.journal.note(f"incident {told['id']} {what}: {told['cause']} at {where}, {told['failed']} failures{seen}")

    def _follow_settings(self, now: float) -> None:
        """Take over what a reload changed."""
        settings = self._control.reloading.agreed.config.incidents
        if settings == self.settings:
            return
        before, self.settings = self.settings, settings
        if (before.file, before.days, before.size) != (settings.file, settings.days, settings.size):
            self.traffic.write(now)
            self.store.close(now)
            passing, self._passing = self._passing, None
            self.store = self._open(settings, now)
            self.history.follow(self.store)
            if passing is not None and self._passing is None:
                forget(passing)

    # What people do.

    def acknowledge(self, id: str, who: str, note: str, expected: float = 0.0) -> dict[str, Any] | None:
        """Say that somebody is on it, and when it should be over; return the incident's summary, None where there is none."""
        return self._acted("acknowledged", self.store.acknowledge(id, who, note, time.time(), expected), who, note)

    def resolve(self, id: str, who: str, note: str) -> dict[str, Any] | None:
        """Say that it is over; return the incident's summary, None where there is none."""
        return self._acted("resolved by hand", self.store.resolve(id, who, note, time.time()), who, note)

    def silence(self, id: str, who: str, note: str, seconds: float) -> dict[str, Any] | None:
        """Say that nobody is to be told for so long (0: again from now); return its summary, None where there is none."""
        now = time.time()
        until = now + seconds if seconds else 0.0
        return self._acted(
            "silenced" if seconds else "no longer silenced", self.store.silence(id, who, note, now, until), who, note
        )

    def _acted(self, what: str, told: dict[str, Any] | None, who: str, note: str) -> dict[str, Any] | None:
        if told is not None:
            by = f" by {who}" if who else ""
            self._control.journal.note(f"incident {told['id']} {what}{by}{': ' * bool(note)}{note}")
            if what == "acknowledged":  # whoever was paged may stop
                for listener in self.listeners:
                    self._tell(listener, time.time(), [(what, told)])
        return told

    def examine(self, id: str) -> bool:
        """Look into an incident again, as soon as possible; False where there is none."""
        return self.examining.ask(id)
