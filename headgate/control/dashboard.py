"""Owns where the dashboard's pages are: which address shows what, from which data, and with which rules for browsers."""

import asyncio
import json
import shlex
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from ..render.ticket import markdown
from .incidentapi import whole
from .live import Full, Live
from .series import RANGES, Series
from .status import status, upstream_status

if TYPE_CHECKING:
    from .process import Control

PAGE_FIELDS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}  # fmt: skip
"""Fields of every page: nothing runs but our own files, and no other site's page may hold one of ours."""
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_OPEN: Final = 200
"""Open incidents that the first page knows of."""
_RECENT: Final = 6
_LIST: Final = 50


class Asset(Protocol):
    """A file beside the pages."""

    body: bytes
    kind: str


class Pages(Protocol):
    """Makes pages of plain data: web/dashboard.py, which says what each of them needs."""

    def page(self, name: str, data: Mapping[str, Any]) -> str:
        """Return a whole page as HTML."""
        ...

    def regions(self, name: str, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the parts of a page that change, as HTML by name."""
        ...

    def asset(self, hashed: str) -> Asset | None:
        """Return a file below /static/."""
        ...


Loaded = tuple[str, dict[str, Any]]
"""A page's name, and its data."""


class Gone(LookupError):
    """There is no such thing (any more). The message is a sentence for people."""


def add_dashboard(api: FastAPI, control: "Control", pages: Pages, *, with_token: bool = False) -> None:
    """Add the pages to the admin API. with_token: people log in, and may log out."""
    sources = Sources(control)
    live = Live(sources.load, pages.regions)
    series = Series(lambda: getattr(control.desk, "history", None))
    _add_pages(api, sources, pages, with_token)
    _add_exports(api, sources)
    _add_live(api, sources, pages, live, series)


def _add_pages(api: FastAPI, sources: "Sources", pages: Pages, with_token: bool) -> None:
    async def shown(request: Request) -> Response:
        of = request.url.path + ("?" + request.url.query if request.url.query else "")
        try:
            name, data = sources.load(of)
        except Gone as gone:
            return await _page(pages, "nothing", {"title": "Not here", "sentence": str(gone)}, 404)
        if name == "find" and data["moved"]:
            return RedirectResponse(data["moved"], 303, PAGE_FIELDS)
        live = of if name not in ("find",) else ""
        return await _page(pages, name, {**data, "live": live, "with_token": with_token})

    for path in ("/", "/incidents", "/incidents/{id}", "/find", "/upstreams", "/upstreams/{name:path}"):
        api.add_api_route(path, shown, methods=["GET"], include_in_schema=False, name=f"page {path}")

    @api.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        found = pages.asset(name)
        if found is None:
            return await _page(pages, "nothing", {"title": "Not here", "sentence": "There is no such file."}, 404)
        return Response(found.body, media_type=found.kind, headers={"cache-control": _FOR_GOOD})


def login_form(pages: Pages, problem: str, to: str) -> str:
    """Return the page with the form. problem: what was wrong with the last try. to: where to go afterwards."""
    return pages.page("login", {"problem": problem, "to": to})


async def _page(pages: Pages, name: str, data: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with a page, made beside the loop."""
    html = await asyncio.to_thread(pages.page, name, data)
    return Response(html, status, PAGE_FIELDS, "text/html; charset=utf-8")


def _add_exports(api: FastAPI, sources: "Sources") -> None:
    """Add an incident as a file. These come first: an identifier holds no full stop."""

    def export(ending: str, kind: str, made: Callable[[dict[str, Any]], str]) -> None:
        @api.get(f"/incidents/{{id}}.{ending}", include_in_schema=False, name=f"export {ending}")
        async def one(id: str) -> Response:
            try:
                told = sources.incident(id)
            except Gone as gone:
                return Response(f"{gone}\n", 404, PAGE_FIELDS, "text/plain; charset=utf-8")
            text = await asyncio.to_thread(made, told)
            name = f'attachment; filename="incident-{told["id"]}.{ending}"'
            return Response(text, media_type=kind, headers={**PAGE_FIELDS, "content-disposition": name})

    export("md", "text/markdown; charset=utf-8", markdown)
    export("json", "application/json", lambda told: json.dumps(told, indent=1, ensure_ascii=False))
    routes = api.router.routes
    routes.sort(key=lambda route: getattr(route, "path", "") not in ("/incidents/{id}.md", "/incidents/{id}.json"))


def _add_live(api: FastAPI, sources: "Sources", pages: Pages, live: Live, series: Series) -> None:
    @api.get("/events", include_in_schema=False)
    async def events(of: str = "/") -> Response:
        """Tell of every change of a page, while somebody looks at it."""
        try:
            sources.load(of)
            stream = live.stream(of)
        except Gone as gone:
            return Response(str(gone), 404, PAGE_FIELDS, "text/plain; charset=utf-8")
        except Full as full:
            return Response(str(full), 503, {**PAGE_FIELDS, "retry-after": "10"}, "text/plain; charset=utf-8")
        return StreamingResponse(stream, headers=PAGE_FIELDS, media_type="text/event-stream")

    @api.get("/regions", include_in_schema=False)
    async def regions(of: str = "/") -> Response:
        """Answer with the parts of a page as they are now."""
        try:
            name, data = sources.load(of)
        except Gone as gone:
            return Response(str(gone), 404, PAGE_FIELDS, "text/plain; charset=utf-8")
        made = await asyncio.to_thread(pages.regions, name, data)
        return Response(json.dumps(made), headers=PAGE_FIELDS, media_type="application/json")

    @api.get("/series", include_in_schema=False)
    async def counts(range: str = "15m") -> Response:
        """Answer with the counts over time."""
        if range not in RANGES:
            return Response("no such range", 404, PAGE_FIELDS, "text/plain; charset=utf-8")
        return Response(series.told(range, time.time()), headers=PAGE_FIELDS, media_type="application/json")


class Sources:
    """Collects what pages are made of, as plain data that nobody changes afterwards."""

    def __init__(self, control: "Control") -> None:
        self._control = control

    def load(self, of: str) -> Loaded:
        """Return the page at an address (path and query), and its data. Raises Gone."""
        parts = urlsplit(of)
        query = dict(parse_qsl(parts.query[:2000], keep_blank_values=False))
        match [unquote(part) for part in parts.path.strip("/").split("/", 1)]:
            case [""]:
                return "overview", self._overview()
            case ["incidents"]:
                return "incidents", self._incidents(query)
            case ["incidents", id]:
                return "incident", {"now": time.time(), "incident": self.incident(id)}
            case ["find"]:
                return "find", self._find(query.get("reference", ""))
            case ["upstreams"]:
                open_ = self._control.desk.store.open_incidents(_OPEN)
                return "upstreams", {"status": status(self._control), "open": open_, "from": _number(query.get("from", ""))}
            case ["upstreams", name]:
                return "upstream", self._upstream(name, _number(query.get("from", "")))
        raise Gone("There is no page at this address.")

    def _overview(self) -> dict[str, Any]:
        desk = self._control.desk
        store = desk.store
        open_ = store.open_incidents(_OPEN + 1)
        return {
            "now": time.time(), "status": status(self._control), "open": open_[:_OPEN], "open_more": len(open_) > _OPEN,
            "recent": store.incidents(state="resolved", limit=_RECENT), "lost": store.lost, "dropped": store.dropped,
            "note": store.note, "in_memory": desk.in_memory,
        }  # fmt: skip

    def _incidents(self, query: Mapping[str, str]) -> dict[str, Any]:
        wanted = {key: query.get(key, "")[:200] for key in ("state", "upstream", "cause", "within")}
        within = _number(wanted["within"])
        first, _, id = query.get("after", "").partition("~")
        found = self._control.desk.store.incidents(
            since=time.time() - within if within else 0.0, state=wanted["state"], upstream=wanted["upstream"], limit=_LIST + 1,
            cause=wanted["cause"], after=(_real(first), id) if id else None,
        )  # fmt: skip
        last = found[_LIST - 1] if len(found) > _LIST else None
        return {
            "incidents": found[:_LIST], "wanted": wanted, "upstreams": list(self._control.desired.config.upstream),
            "after": f"{last['first']!r}~{last['id']}" if last else "", "later": bool(id),
        }  # fmt: skip

    def incident(self, id: str) -> dict[str, Any]:
        """Return all that is known of an incident. Raises Gone."""
        told = whole(self._control, id[:40])
        if told is None:
            raise Gone(f"No incident is called {id[:40]}. Resolved ones are kept for a while only (incidents.days).")
        return {**told}

    def _find(self, reference: str) -> dict[str, Any]:
        store, reference = self._control.desk.store, reference.strip()[:200]
        log = self._control.desired.config.gateway.log
        errors, access = _quoted(log.errors), _quoted(log.access)
        found = store.find(reference)
        moved = store.summary(reference) if found is None and 0 < len(reference) < 40 else None
        return {
            "reference": reference, "quoted": shlex.quote(reference), "errors": errors, "access": access,
            "record": found["record"] if found else None,
            "incident": store.summary(found["incident"]) if found else None,
            "moved": f"/incidents/{moved['id']}" if moved else "",
        }  # fmt: skip

    def _upstream(self, name: str, start: int) -> dict[str, Any]:
        control = self._control
        if name not in control.desired.config.upstream:
            known = ", ".join(list(control.desired.config.upstream)[:20])
            raise Gone(f"No upstream is called {name[:100]}. There are: {known}.")
        return {
            "name": name, "upstream": upstream_status(control, name), "from": start,
            "incidents": control.desk.store.incidents(state="open", upstream=name, limit=20),
        }  # fmt: skip


def _quoted(path: str) -> str:
    """Return a log's path for a command line; "" where it is no file."""
    return "" if path in ("-", "off", "stderr") else shlex.quote(path)


def _number(text: str) -> int:
    """Return a number that stands in an address; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
