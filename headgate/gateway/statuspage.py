"""What the public status page tells: each service by its public name, how it is, and of past days. Made at most once a second.

Names of upstreams, addresses and causes are no part of it.
"""

from typing import TYPE_CHECKING, Any, Final

from ..config.schema import Config
from ..config.statuspage import PublicService
from ..config.statuspage import StatusPage as Settings
from ..render.negotiate import Offer, choose
from ..render.publicpage import STATES, PublicPage, headline
from ..wire.fields import find
from .publicstatus import DISTURBED, DOWN, MAINTENANCE, WORKING, Condition, rfc3339

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

_OFFERS: Final = (Offer("html", b"text/html"), Offer("json", b"application/json"))
_DAY: Final = 86_400
_ALL: Final = 1440
"""Minutes of a day."""


class StatusPage:
    """The status page of one worker."""

    def __init__(self, config: Config, settings: Settings) -> None:
        """Raises BadTemplate."""
        self._settings = settings
        self._page = PublicPage(settings.template)
        self._upstreams = {route.label: route.upstream or "" for route in config.route}
        self._services = settings.service or (PublicService(name=settings.title, upstreams=tuple(config.upstream)),)
        self._json_path = settings.paths[-1].encode("utf-8", "surrogateescape") if settings.paths else b""
        self._ready: dict[str, tuple[int, bytes, bytes]] = {}  # by form: second, header lines, body

    @staticmethod
    def of(config: Config) -> "StatusPage | None":
        """Return the page of a configuration, None without one. Raises BadTemplate."""
        return StatusPage(config, config.status_page) if config.status_page is not None else None

    def answer(self, worker: "Worker", flow: "Ending") -> tuple[bytes, bytes, bytes]:
        """Return status, header lines and body for a request."""
        form = "json" if flow.path == self._json_path else choose(find(flow.raw, b"accept"), _OFFERS, "html")
        at = int(worker.wall())
        second, fields, body = self._ready.get(form, (0, b"", b""))
        if second != at:
            told = self._told(worker, at)
            fields, body = self._page.json(told) if form == "json" else self._page.html(told)
            self._ready[form] = (at, fields, body)
        return b"200 OK", fields, body

    def _told(self, worker: "Worker", at: int) -> dict[str, Any]:
        services = [self._service(worker, service, at) for service in self._services]
        return {
            "title": self._settings.title,
            "home": self._settings.home,
            "state": max((one["state"] for one in services), key=STATES.index),
            "headline": headline(services),
            "acknowledged": any(one["acknowledged"] for one in services),
            "at": rfc3339(at),
            "messages": [
                {"text": one.text, "kind": one.kind, "since": one.since, "until": one.until}
                for one in self._settings.message if one.holds(at)
            ],
            "services": services,
        }  # fmt: skip

    def _service(self, worker: "Worker", service: PublicService, at: int) -> dict[str, Any]:
        parts = [worker.public.condition("", name) for name in service.upstreams]
        parts += [worker.public.condition(label, self._upstreams[label]) for label in service.routes if label in self._upstreams]
        state = _state(parts)
        bad = [part for part in parts if part.state != WORKING]
        upstreams = {*service.upstreams, *(self._upstreams.get(label, "") for label in service.routes)}
        return {
            "name": service.name,
            "about": service.about or "",
            "state": state,
            "working": state == WORKING or (state == DISTURBED and any(part.working for part in parts)),
            "since": rfc3339(min((part.since for part in bad if part.since), default=0)),
            "expected": rfc3339(max((part.expected for part in bad), default=0)),
            "acknowledged": any(part.acknowledged for part in bad),
            "days": self._days(worker, upstreams, at),
        }

    def _days(self, worker: "Worker", upstreams: set[str], at: int) -> list[dict[str, Any]]:
        """Return how many minutes of each day visitors saw failures, today last; None for days of which nothing is known."""
        today, known = at // _DAY, worker.public.first_day or at // _DAY
        of_each = [worker.public.days.get(name, {}) for name in upstreams]
        return [
            {
                "date": (rfc3339(day * _DAY) or "")[:10],
                "minutes": min(_ALL, max((of.get(day, 0) for of in of_each), default=0)) if day >= known else None,
            }
            for day in range(today - self._settings.days + 1, today + 1)
        ]


def _state(parts: list[Condition]) -> str:
    """Return how a whole is by how its parts are."""
    states = {part.state for part in parts}
    if not states or states == {WORKING}:
        return WORKING
    if states == {MAINTENANCE}:
        return MAINTENANCE
    return DOWN if states <= {DOWN, MAINTENANCE} else DISTURBED
