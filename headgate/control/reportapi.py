"""The admin API's part about the weekly report: what `headgate report` asks. It is made beside everything else, from the file."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from cryptography import x509
from fastapi import FastAPI, Query
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from ..config.schema import Config
from ..incidents.archive import Archive, Unreadable
from ..incidents.weekly import weekly
from .answers import Problem
from .desired import NotApplied
from .peers import told_by

if TYPE_CHECKING:
    from .process import Control

_STRICT: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_WEEK: Final = 7 * 86_400.0
_STATES: Final = ("good", "stale", "failed")

Since = Annotated[float | None, Query(description="Begin (seconds since 1970); seven days before the end when absent.", ge=0)]
Until = Annotated[float | None, Query(description="End; now when absent.", ge=0)]


@with_config(_STRICT)
class Budget(TypedDict):
    """The error budget of a route."""

    route: str
    target: float
    """Share of requests that have to go well."""
    latency: float | None
    """Seconds after which a request has not gone well."""
    window: float
    """Seconds over which this is promised."""
    requests: int
    failed: int
    slow: int
    """Requests that took longer than promised, about."""
    good: float
    """Share of the requests that went well."""
    allowed: float
    """Requests that might have gone wrong: the budget."""
    spent: float
    """Share of the budget that is used up; above 1 it is overdrawn."""
    burn: dict[str, float | None]
    """How many times faster than allowed it was used over 1h, 6h and 3d; null where there were too few requests."""
    exhausted_in: float | None
    """Seconds until nothing is left at the latest rate; null: not within a year."""
    state: str
    """fine, burning (too fast at present) or exhausted."""


@with_config(_STRICT)
class Advice(TypedDict):
    """Something to change, with what proves it."""

    rule: str
    upstream: str
    server: str
    title: str
    setting: str
    """The key to change; empty where the remedy lies elsewhere."""
    evidence: str
    text: str
    """What to change, and what it does."""
    now: str
    """The setting's value, where it is known."""
    to: str
    """The value it should have."""
    weight: float
    """Failures that it would have helped against, or the like: what comes first."""


@with_config(_STRICT)
class Report(TypedDict):
    """What a time cost users, what was saved, and what to change. docs/reports.md describes its parts."""

    since: float
    until: float
    now: float
    """When the report was made."""
    known_since: float | None
    """When traffic began to be counted; null where nothing is known of it."""
    traffic: dict[str, Any]
    chart: dict[str, Any]
    incidents: list[dict[str, Any]]
    """Those that cost users most, first."""
    incidents_count: int
    near_misses: list[dict[str, Any]]
    budgets: list[Budget]
    routes: list[dict[str, Any]]
    """How long requests took and what for: the slowest first."""
    servers: list[dict[str, Any]]
    """Servers to worry about, and why."""
    advice: list[Advice]
    notes: list[str]


def add_report(api: FastAPI, control: "Control") -> None:
    """Add the route."""
    one_at_a_time = asyncio.Lock()

    @api.get(
        "/api/report", summary="The weekly report", tags=["incidents"],
        responses={409: {"description": "The file of incidents cannot be read; the sentence says why.", "model": Problem}},
    )  # fmt: skip
    async def get_report(since: Since = None, until: Until = None) -> Report:
        """Incidents, near misses, error budgets, slow phases, servers to worry about, and settings to change."""
        now = time.time()
        end = min(until, now) if until is not None else now
        begin = since if since is not None else end - _WEEK
        if begin >= end:
            raise NotApplied("the time for a report has to begin before it ends, and in the past")
        desk = control.desk
        desk.store.flush(now, at_once=True)
        desk.traffic.write(now)
        config, path, present = control.reloading.agreed.config, desk.store.path, _present(control)
        async with one_at_a_time:
            made = await asyncio.to_thread(_made, path, begin, end, now, config, present)
        if desk.store.note:
            made["notes"].insert(0, desk.store.note)
        return cast(Report, made)


def _made(path: Path, since: float, until: float, now: float, config: Config, present: dict[str, Any]) -> dict[str, Any]:
    """Return the report. Raises NotApplied."""
    present["certificates"] += _own_certificates(config)
    try:
        with Archive(path) as archive:
            return weekly(archive, since, until, now, config, present)
    except Unreadable as problem:
        raise NotApplied(str(problem)) from None


def _present(control: "Control") -> dict[str, Any]:
    """Return how the gateway is at this moment, as far as advice depends on it."""
    names = dict.fromkeys(_STATES, 0)
    for counts in told_by(control.peers.values()):
        for state, count in counts.get("names", {}).items():
            names[state] = max(names.get(state, 0), count)  # every worker remembers the same
    servers, certificates = [], []
    for upstream, settings in control.desired.config.upstream.items():
        checked = control.checked(upstream)
        for server in settings.servers:
            health = control.standing(upstream, server.url).health
            servers.append({"upstream": upstream, "server": server.url, "state": health.state, "why": health.why})
            if ends := checked.get(server.url, {}).get("certificate_ends", ""):
                name = f"The certificate of {server.url} ({upstream})"
                certificates.append({
                    "upstream": upstream, "server": server.url, "name": name, "ends": datetime.fromisoformat(ends).timestamp(),
                })  # fmt: skip
    return {"names": names, "servers": servers, "certificates": certificates}


def _own_certificates(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the gateway's own certificates and when they end, those that can be read."""
    files = {config.gateway.tls.certificate} if config.gateway.tls is not None else set()
    files |= {upstream.tls.certificate for upstream in config.upstream.values() if upstream.tls.certificate is not None}
    for file in sorted(files):
        try:
            shown = x509.load_pem_x509_certificates(Path(file).read_bytes())[0]
        except (OSError, ValueError, IndexError):
            continue
        yield {"name": f"The gateway's own certificate {file}", "ends": shown.not_valid_after_utc.timestamp()}
