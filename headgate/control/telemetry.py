"""Telemetry in the control process: what workers hand over, and what becomes of incidents, goes to a collector, or is counted.

Nothing here is loaded, and nothing kept, while the configuration has no table [telemetry].
"""

import asyncio
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from .. import __version__
from ..config.findings import Bad
from ..config.telemetry import BadHeaders, destination
from ..config.telemetry import Telemetry as Settings
from ..render.incident import headline
from .answers import ToldStatus
from .exporter import Exporter, Item
from .status import born

if TYPE_CHECKING:
    from ..render.otlp import Sender
    from .collector import Collector
    from .process import Control

KINDS: Final = ("traces", "logs")
LOST: Final = ("worker", "off", "full", "unreachable", "refused", "malformed", "ended")
"""Why spans and log records are lost: too many for a worker, switched off, too many for the control process, the collector was
not reached, did not take them, nobody understood them, the gateway ended first."""
_FAREWELL: Final = 1.0
"""Seconds in which the last ones are delivered at the end."""
_KEEP: Final = 5.0
"""Seconds between two times at which the counts are put where the next control process finds them."""
_TOLD: Final = ("opened", "worse", "resolved", "reopened")
"""What becomes of an incident that is told."""

Made = Callable[[], Sequence[Any]]
"""Makes the messages of one item: beside the loop, and only when they go out."""


class Telemetry:
    """What one gateway tells an OpenTelemetry collector."""

    def __init__(self, control: "Control") -> None:
        self._control = control
        self._settings: Settings | None = None
        self._name = ""
        self._collector: Collector | None = None
        self._exporters: dict[str, Exporter] = {}
        self.endpoint = ""  # where it goes, "" while it goes nowhere
        self._trouble = ""  # why it cannot go anywhere
        self._kept = time.monotonic()
        known = control.totals.events
        self.counts = {
            kind: Counter({why: int(known.get(_key(kind, why), 0)) for why in ("sent", *LOST)}) for kind in KINDS
        }  # fmt: skip
        control.desk.listeners.append(self._changed)

    def tick(self) -> None:
        """Follow the configuration, and keep the counts. Called a few times a second."""
        self._follow()
        now = time.monotonic()
        if self._settings is not None and now - self._kept >= _KEEP:
            self._kept = now
            told = {_key(kind, why): float(count) for kind in KINDS for why, count in self.counts[kind].items()}
            if not told.items() <= self._control.totals.events.items():
                self._control.totals.events.update(told)
                self._control.keep()

    # Where it goes.

    def _follow(self) -> None:
        config = self._control.desired.config
        settings, name = config.telemetry, config.gateway.name
        if settings == self._settings and name == self._name:
            return
        self._settings, self._name = settings, name
        left = {kind: exporter.leave() for kind, exporter in self._exporters.items()}
        self._exporters = {}
        if self._collector is not None:
            self._control.spawn(self._collector.close())
        self._collector, self.endpoint, self._trouble = None, "", ""
        if settings is not None:
            self._begin(settings, name)
        for kind, items in left.items():
            self._put(kind, items)

    def _begin(self, settings: Settings, name: str) -> None:
        """Begin to tell. The libraries for it are loaded now, and not before."""
        from ..render.otlp import Sender
        from .collector import Collector

        try:
            where = destination(settings, name, os.environ)
            collector = self._collector = Collector(where.endpoint, where.headers, settings.timeout, settings.ca)
        except (Bad, BadHeaders, OSError, ssl.SSLError) as problem:
            self._trouble = str(problem)
            self._control.journal.note(f"telemetry: nothing can be told: {problem}")
            return
        host = socket.gethostname()
        started = born(os.getppid(), self._control.started)
        sender = Sender(
            where.service, __version__, host, str(uuid5(NAMESPACE_URL, f"{host} {os.getppid()} {started}")), where.resource
        )
        self.endpoint = where.endpoint
        posts = {"traces": collector.traces, "logs": collector.logs}
        for kind in KINDS:
            if getattr(settings, kind):
                encode = partial(_encode, kind, sender)
                self._exporters[kind] = Exporter(kind, encode, posts[kind], self._control.journal.note, self.counts[kind])

    async def end(self) -> None:
        """Deliver the last ones, if that is quick."""
        await asyncio.gather(*(exporter.end(_FAREWELL) for exporter in self._exporters.values()))
        if self._collector is not None:
            await self._collector.close()

    # What is told.

    def took(self, told: Mapping[str, Any]) -> None:
        """Take in what a worker hands over. Raises KeyError, TypeError, ValueError for what makes no sense."""
        self._follow()
        since = int(told["since"])
        addresses = self._settings is not None and self._settings.client_address
        exchanges = [(one, _count(one["spans"]), _count(one["logs"])) for one in told["exchanges"]]
        for kind, lost in zip(KINDS, told["lost"], strict=True):
            self.counts[kind]["worker"] += _count(lost)
        self._put(
            "traces", [Item(spans, partial(_made, "traces", one, since, addresses)) for one, spans, _ in exchanges if spans]
        )
        self._put("logs", [Item(logs, partial(_made, "logs", one, since, addresses)) for one, _, logs in exchanges if logs])

    def _put(self, kind: str, items: Sequence[Item]) -> None:
        exporter = self._exporters.get(kind)
        if exporter is not None:
            exporter.put(items)
        else:
            self.counts[kind]["off"] += sum(item.weight for item in items)

    def _changed(self, now: float, changes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Incidents have changed."""
        self._follow()
        exporter = self._exporters.get("logs")
        if exporter is not None:
            told = [(what, dict(summary)) for what, summary in changes if what in _TOLD]
            exporter.put([Item(1, partial(_incident, what, summary, now)) for what, summary in told])

    # Seeing.

    def status(self, kind: str) -> ToldStatus:
        """Return what came of one kind: "traces" or "logs"."""
        exporter, counts = self._exporters.get(kind), self.counts[kind]
        return {
            "sent": counts["sent"],
            "lost": {why: counts[why] for why in LOST if counts[why]},
            "waiting": exporter.waiting if exporter is not None else 0,
            "trouble": exporter.trouble if exporter is not None else self._trouble,
        }


def _key(kind: str, why: str) -> str:
    return f"telemetry_{kind}_{why}"


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"a count is a whole number, not {value!r:.40}")
    return value


def _made(kind: str, told: Mapping[str, Any], since: int, addresses: bool) -> Sequence[Any]:
    from ..render.otlp_logs import records
    from ..render.otlp_spans import spans
    from ..render.transcript import told_by

    return (spans if kind == "traces" else records)(told_by(told), since, addresses=addresses)


def _incident(what: str, summary: Mapping[str, Any], now: float) -> Sequence[Any]:
    from ..render.otlp_logs import incident

    return [incident(what, summary, f"incident {summary['id']} {what}: {headline(summary)}", now)]


def _encode(kind: str, sender: "Sender", whats: Sequence[Made]) -> tuple[bytes, int]:
    """Return the body of a request, and how many messages it has. What makes no sense is left out."""
    from ..render.otlp import logs_request, trace_request

    found: list[Any] = []
    for made in whats:
        try:
            found += made()
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, OverflowError):
            continue  # it came from another process: whatever it is, the others go on
    return (trace_request if kind == "traces" else logs_request)(sender, found), len(found)
