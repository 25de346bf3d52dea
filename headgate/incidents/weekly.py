"""Owns the weekly report: what a time cost users, what was saved, what is left of the error budgets, and what to change.

It is plain data, made of the file of incidents alone; who knows how the gateway is configured and how it is now says so.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..config.schema import Config
from ..diagnose.catalogue import title_of
from ..model.counted import SPANS
from ..model.verdicts import VERDICTS
from ..render.incident import headline, impact
from . import advice_answers, advice_connections, advice_retries, advice_servers
from .advice import Case, Rule, advice
from .amounts import Body, quantile
from .archive import Archive
from .budget import budgets
from .history import History
from .incident import summary
from .traffic_rows import ALL, total
from .weekly_servers import worries

_INCIDENTS: Final = 2000
"""Incidents looked at."""
_TOLD: Final = 20
"""Incidents, routes and servers told of."""
_POINTS: Final = 100
"""Steps of the chart, about."""
RULES: Final[tuple[Rule, ...]] = (
    *advice_connections.RULES, *advice_answers.RULES, *advice_retries.RULES, *advice_servers.RULES,
)  # fmt: skip


def weekly(
    archive: Archive,
    since: float,
    until: float,
    now: float,
    config: Config | None = None,
    present: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the report on a time, as JSON has it. Times are wall-clock seconds.

    config: as it is served; without it no setting can be compared. present: how the gateway is now: "certificates" (name, ends,
    upstream, server), "names" (good, stale, failed), "servers" (upstream, server, state, why).
    """
    history = History(archive)
    incidents = archive.incidents(since, until, _INCIDENTS)
    for one in incidents:
        if one.first < since or one.last > until:
            one.failed, one.seen, one.rescued = archive.within(one.id, since, until)
    whole = history.sums(since, until, "all").get(ALL, {})
    pairs = {(upstream, route): body for (_, upstream, route), body in history.sums(since, until, "pair").items()}
    case = Case(
        since, until, incidents,
        {upstream: body for (_, upstream, _), body in history.sums(since, until, "upstream").items()},
        pairs,
        {(upstream, server): body for (_, upstream, server), body in history.sums(since, until, "server").items()},
        archive.events(since, until), config, present or {},
    )  # fmt: skip
    ranked = sorted(incidents, key=lambda one: (-one.seen, -one.failed, -one.first))
    begin = archive.begin()
    return {
        "since": since, "until": until, "now": now, "known_since": begin or None,
        "traffic": _traffic(whole), "chart": _chart(history, since, until),
        "incidents": [_incident(summary(one)) for one in ranked[:_TOLD]], "incidents_count": len(incidents),
        "near_misses": _near_misses(pairs), "budgets": budgets(history, config, min(until, now)), "routes": _routes(pairs),
        "servers": worries(case)[:_TOLD], "advice": advice(case, RULES),
        "notes": _notes(archive, since, begin, config),
    }  # fmt: skip


def _notes(archive: Archive, since: float, begin: float, config: Config | None) -> list[str]:
    """Return what is to be known of the report itself."""
    notes = [archive.trouble] if archive.trouble else []
    if not begin:
        notes.append("Nothing is known of traffic: nothing was counted yet, or the file is of an older Headgate.")
    elif begin > since + 3600:
        notes.append("Traffic is not known for all of this time: it is counted since the time that is named first.")
    if config is None:
        notes.append("The configuration is not known, so settings were not compared with what would be better.")
    return notes


def _traffic(whole: Body) -> dict[str, Any]:
    spread = whole.get("spread", [])
    seen = whole.get("seen", {})
    requests, bad = whole.get("requests", 0), whole.get("bad", 0)
    return {
        "requests": requests, "bad": bad, "good": 1 - bad / requests if requests else None, "seen": total(seen),
        "rescued": total(whole.get("rescued")), "causes": [
            {"cause": cause, "title": title_of(cause), "count": count}
            for cause, count in sorted(seen.items(), key=lambda item: -item[1])
        ],
        **{name: quantile(spread, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
    }  # fmt: skip


def _chart(history: History, since: float, until: float) -> dict[str, Any]:
    width = (until - since) / _POINTS
    step = next((one for one in (60, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400) if one >= width), 86_400)
    return history.series(since, until, step)


def _incident(told: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: told[name] for name in (
            "id", "upstream", "server", "cause", "phase", "state", "severity", "first", "last", "resolved", "reopenings",
            "failed", "seen", "rescued", "clients", "clients_more", "routes",
        )},
        "headline": headline(told), "impact": impact(told),
    }  # fmt: skip


def _near_misses(pairs: Mapping[tuple[str, str], Body]) -> list[dict[str, Any]]:
    """Return what users did not see: by upstream and cause, and how it was saved."""
    counts: dict[tuple[str, str, str], int] = {}
    for (upstream, _), body in pairs.items():
        for key, count in body.get("rescued", {}).items():
            cause, _, how = key.rpartition(" ")
            counts[upstream, cause, how] = counts.get((upstream, cause, how), 0) + count
    return [
        {
            "upstream": upstream, "cause": cause, "title": title_of(cause), "how": how, "count": count,
            "means": VERDICTS.get(how, ""),
        }
        for (upstream, cause, how), count in sorted(counts.items(), key=lambda item: -item[1])[:_TOLD]
    ]  # fmt: skip


def _routes(pairs: Mapping[tuple[str, str], Body]) -> list[dict[str, Any]]:
    """Return how long requests took and what for, by route: the slowest first."""
    told = []
    for (upstream, route), body in pairs.items():
        spread = body.get("spread", [])
        timed, *spans = body.get("spans") or [0.0] * (len(SPANS) + 1)
        whole = sum(spans)
        shares = {name: seconds / whole for name, seconds in zip(SPANS, spans, strict=False)} if whole else {}
        if sum(spread):
            told.append({
                "route": route, "upstream": upstream, "requests": body.get("requests", 0), "bad": body.get("bad", 0),
                "mean": body.get("seconds", 0.0) / sum(spread), "timed": timed, "spans": shares,
                "slowest": max(shares, key=lambda name: shares[name]) if shares else "",
                **{name: quantile(spread, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
            })  # fmt: skip
    return sorted(told, key=lambda one: -(one["p95"] or 0.0))[:_TOLD]
