"""What the gateway answers by itself at fixed paths, and never forwards: the public status endpoint, and the status page.

Each such path is a route whose door lets nobody in, and answers instead. The rate limit is one for all of them.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..config import schema
from ..config.schema import Config
from ..config.statuspage import OFF
from ..model.methods import READING
from .door import Door
from .router import Route

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

_NAME: Final = "(status)"
_PAGE_NAME: Final = "(status page)"
"""What logs and metrics call them."""
_FIELDS: Final = b"X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n"
_PARAMETERS: Final = 8
"""Query parameters that are looked at."""
Answerer = Callable[["Ending"], tuple[bytes, bytes, bytes]]
"""Returns status and reason, header lines, and body."""
Places = Mapping[bytes, "list[tuple[bytes, Route]]"]
"""By path: the Host for which it is, b"" for any, and the route."""


class OwnDoor(Door):
    """Lets nobody in: who comes within the rate limit gets an answer."""

    __slots__ = ("_answerer",)

    def __init__(self, route: schema.Route, worker: "Worker", answerer: Answerer) -> None:
        Door.__init__(self, route, worker)
        self._answerer = answerer

    def lets_in(self, flow: "Ending") -> bool:
        """Answer, and return False."""
        if flow.method not in READING:
            flow.answer_plainly(b"405 Method Not Allowed", _FIELDS + b"Allow: GET, HEAD\r\n", b"")
        elif self._buckets is None or self._in_time(flow, self._buckets):
            status, fields, body = self._answerer(flow)
            flow.answer_plainly(status, _FIELDS + fields, body)
        return False


def places(config: Config, worker: "Worker") -> Places:
    """Return every path that the gateway answers itself."""
    found: dict[bytes, list[tuple[bytes, Route]]] = {}
    if config.gateway.status.path != OFF:
        _add(found, config.gateway.status.path, "", _route(config, _NAME, worker, lambda flow: _status(worker, flow)))
    page, settings = worker.status_page, config.status_page
    if page is not None and settings is not None:
        route = _route(config, _PAGE_NAME, worker, lambda flow: page.answer(worker, flow))
        for path in settings.paths:
            _add(found, path, settings.host or "", route)
    return found


def _add(found: dict[bytes, list[tuple[bytes, Route]]], path: str, host: str, route: Route) -> None:
    found.setdefault(path.encode("utf-8", "surrogateescape"), []).append((host.encode(), route))


def _route(config: Config, name: str, worker: "Worker", answerer: Answerer) -> Route:
    settings = schema.Route(name=name, rate_limit=config.gateway.status.rate_limit)
    route = Route(settings)
    route.door = OwnDoor(settings.model_copy(update={"name": _NAME}), worker, answerer)
    return route


def _status(worker: "Worker", flow: "Ending") -> tuple[bytes, bytes, bytes]:
    """Answer who asks whether something works again."""
    query = flow.target.partition(b"?")[2]
    token = next((pair[3:] for pair in query.split(b"&", _PARAMETERS)[:_PARAMETERS] if pair[:3] == b"of="), b"")
    found = worker.public.answer(token)
    if found is None:
        return b"404 Not Found", b"Cache-Control: no-store\r\n", b""
    body, trial = found
    fields = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"
    return b"200 OK", fields + b"Headgate-Trial: ?1\r\n" if trial else fields, body
