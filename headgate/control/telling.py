"""How the control process tells people: it hands changes of incidents, and counts of traffic, to the notifier.

What waits to be told is part of the present state that the parent holds: so it is told by the next process where this one is
killed. A gateway without a [destination.NAME] loads none of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .peers import told_by
from .sheet import Labels, Sheet

if TYPE_CHECKING:
    from ..config.schema import Config
    from ..notify.notifier import Notifier
    from ..notify.share import Traffic
    from .process import Control

_SAMPLE: Final = 1.0
"""Seconds between two looks at the counts."""
_RESULTS: Final = ("sent", "failed", "held", "lost")


class Telling:
    """What one control process tells people of its incidents."""

    def __init__(self, control: "Control", told: object = None) -> None:
        """told: the memory of a process before this one, None without one. To be made within the event loop."""
        self._control = control
        self._config: Config | None = None
        self._notifier: Notifier | None = None
        self._sampled = 0.0
        self._keeping = False
        self._follow(told)
        control.desk.listeners.append(self.changed)

    def _follow(self, told: object = None) -> None:
        """Go by the configuration that is served."""
        config = self._control.reloading.agreed.config
        if config is self._config:
            return
        before, self._config = self._config, config
        if before is not None and _rules(before) == _rules(config):
            return
        if self._notifier is None and not config.destination:
            return
        from ..notify.courier import origin
        from ..notify.notifier import Known, Notifier, Rules

        rules = Rules(config.destination, config.notify, origin(config.gateway.name))
        if self._notifier is not None:
            self._notifier.follow(rules)
            return
        note = self._control.journal.note
        self._notifier = Notifier(
            rules, say=note, link=self._link, known=Known(self._incident, self._open_incidents), moved=self._moved
        )
        if isinstance(told, dict):
            try:
                self._notifier.restore(told)
            except (KeyError, TypeError, ValueError, AttributeError) as problem:
                note(f"what a process before this one had to tell is not readable ({problem!r})")

    def _moved(self) -> None:
        """Give the parent what waits, and what was told, with the next turn of the loop: several messages are one word."""
        if not self._keeping:
            self._keeping = True
            asyncio.get_running_loop().call_soon(self._keep)

    def _keep(self) -> None:
        self._keeping = False
        self._control.keep()

    def _incident(self, id: str) -> dict[str, Any] | None:
        return self._control.desk.store.incident(id)  # a reload may have opened another store

    def _open_incidents(self) -> list[dict[str, Any]]:
        return self._control.desk.store.open_incidents()

    def _link(self, id: str) -> str:
        """Return the address of an incident's page, "" where there is no dashboard."""
        settings = self._control.reloading.agreed.config.gateway.admin
        base = settings.dashboard_url or self._control.dashboard
        return f"{base.rstrip('/')}/incidents/{id}" if base else ""

    # In.

    def changed(self, now: float, changes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Hear what became of incidents. now: wall-clock seconds."""
        if self._notifier is not None:
            self._notifier.changed(now, changes)

    def tick(self, now: float) -> None:
        """Look at what is due. Called a few times a second; now: wall-clock seconds."""
        self._follow()
        if self._notifier is None:
            return
        monotonic = time.monotonic()
        if self._notifier.wants_traffic and monotonic - self._sampled >= _SAMPLE and self._is_complete():
            self._sampled = monotonic
            self._notifier.traffic(now, self._traffic())
        self._notifier.tick(now)

    def _is_complete(self) -> bool:
        """Return whether every worker has told its counts: a process that just took over knows only those of the dead."""
        peers = self._control.peers.values()
        return len(peers) >= self._control.family.get("workers", 1) and all(peer.counts for peer in peers)

    def _traffic(self) -> "Traffic":
        from ..notify.share import Traffic

        tables = self._control.totals.tables.plus(told_by(self._control.peers.values()))
        requests: Counter[tuple[str, str, int]] = Counter()
        failures: Counter[tuple[str, str, str]] = Counter()
        for (route, upstream, status, _), count in tables.requests.items():
            requests[str(route), str(upstream), int(status)] += count
        for (route, upstream, cause, saved), count in tables.ends.items():
            if not saved:
                failures[str(route), str(upstream), str(cause)] += count
        return Traffic(requests, failures)

    # Out.

    async def close(self) -> None:
        """Give what is under way a short time, and end."""
        if self._notifier is not None and (left := await self._notifier.close()):
            self._control.journal.note(f"{left} message{'s' * (left > 1)} about incidents not sent before the end")

    def state(self) -> dict[str, Any]:
        """Return how each destination stands, by name (notify/lane.py, Lane.state); nothing without any."""
        return self._notifier.state() if self._notifier is not None else {}

    def snapshot(self) -> dict[str, Any] | None:
        """Return what the next process has to know, as JSON has it."""
        return self._notifier.snapshot() if self._notifier is not None else None


def _rules(config: "Config") -> tuple[object, ...]:
    return config.destination, config.notify, config.gateway.name


def add_messages(sheet: Sheet, control: "Control") -> None:
    """Write how destinations are told into the metrics."""
    states = control.telling.state()
    counts: dict[Labels, float] = {(name, result): state[result] for name, state in states.items() for result in _RESULTS}
    waiting: dict[Labels, float] = {(name,): state["waiting"] for name, state in states.items()}
    sheet.counter(
        "messages", "Messages about incidents: sent, failed, held back to be told with a later one, lost for want of room.",
        counts, ("destination", "result"),
    )  # fmt: skip
    sheet.gauge("messages_waiting", "Messages about incidents that wait to be sent.", waiting, ("destination",))
