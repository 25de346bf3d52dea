"""What /metrics tells of a gateway: every family, its name, what it means and where its numbers come from.

Counters are those of all workers that ever were, so that they only grow as long as the gateway runs.
"""

import asyncio
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..model.counted import MOST
from ..model.exchange import OUTCOMES
from ..traffic.breaker import CLOSED, HALF_OPEN, OPEN
from ..traffic.health import STATES
from .peers import all_draining, told_by
from .sheet import Bounds, Labels, Sheet
from .slo import Budgets
from .status import born
from .tables import Tables
from .telemetrymetrics import add_telemetry
from .telling import add_messages

if TYPE_CHECKING:
    from ..config.schema import Config
    from .process import Control

_STATES: Final = sorted(STATES)
_OWN: Final = (502, 503, 504)
"""Statuses that are told from the first scrape on, so that the first failure is seen as an increase."""
_PATIENCE, _MOMENT = 2.0, 0.02
"""Seconds that a scrape may wait for the workers' first words, and between two looks."""
_ROUTE: Final = ("route", "upstream")
_SERVER: Final = ("upstream", "server")
_UPSTREAM: Final = ("upstream",)


class Metrics:
    """The metrics of one gateway. One object for all scrapes, as who has a series keeps it."""

    def __init__(self, control: "Control") -> None:
        self._control = control
        self._bounds = Bounds()
        self._budgets = Budgets(control)
        self._complete = False

    async def complete(self) -> None:
        """Wait until every worker has told its counts: a control process that just took over knows only those of the dead.

        Sums that fall and rise again would be taken for traffic. Not for long, as a worker may not come back.
        """
        for _ in range(0 if self._complete else round(_PATIENCE / _MOMENT)):
            peers = self._control.peers.values()
            if peers and len(peers) >= self._control.family.get("workers", 1) and all(peer.counts for peer in peers):
                break
            await asyncio.sleep(_MOMENT)
        self._complete = True
        await self._budgets.look()

    def scrape(self) -> Sheet:
        """Return all families as they are at this moment."""
        control = self._control
        living = told_by(control.peers.values())
        sheet = Sheet(self._bounds)
        tables = control.totals.tables.plus(living)
        _add_exchanges(sheet, tables, control.desired.config)
        _add_failures(sheet, tables, control.totals.of_all(living)["refusals"])
        _add_present(sheet, living)
        _add_upstreams(sheet, control, living)
        _add_limits(sheet, _gates(living, control.desired.config))
        _add_servers(sheet, control, living)
        _add_checks(sheet, control)
        self._budgets.add(sheet)
        _add_processes(sheet, control, tables, living)
        _add_configuration(sheet, control)
        add_messages(sheet, control)
        add_telemetry(sheet, control)
        folded: dict[Labels, float] = {(family,): count for family, count in self._bounds.folded.items() if count}
        sheet.gauge("metrics_folded", "Label sets that have no series of their own, but are in other.", folded, ("family",))
        return sheet


# Traffic.


def _add_exchanges(sheet: Sheet, tables: Tables, config: "Config") -> None:
    requests: Counter[Labels] = Counter()
    answers: Counter[Labels] = Counter()
    outcomes: Counter[Labels] = Counter()
    for route in config.route if 4 * len(config.route) <= MOST else ():  # else zeros would take the room of what happens
        requests[route.label, route.upstream or "", "2xx", "served"] += 0
        requests[route.label, route.upstream or "", "5xx", "answered"] += 0
    for name in config.upstream if 4 * len(config.upstream) <= MOST else ():
        answers.update({(name, str(status)): 0 for status in _OWN})
    outcomes.update({(outcome,): 0 for outcome in OUTCOMES})
    for (route_label, upstream, status, outcome), count in tables.requests.items():
        requests[str(route_label), str(upstream), f"{int(status) // 100}xx", str(outcome)] += count
        outcomes[(str(outcome),)] += count
        if outcome == "answered":
            answers[str(upstream), str(status)] += count
    sheet.counter(
        "requests", "Requests that are over, by class of the status that the client got (499: it was gone) and outcome.",
        requests, (*_ROUTE, "status_class", "outcome"),
    )  # fmt: skip
    sheet.counter("exchanges", "Requests that are over, by outcome.", outcomes, ("outcome",))
    sheet.counter("answers", "Answers in the gateway's own name, by status.", answers, ("upstream", "status"))
    sheet.durations(
        "request_duration", "From a request's head to the end of its response, without tunnels.",
        {(str(route), str(upstream)): row for (route, upstream), row in tables.durations.items()}, _ROUTE,
    )  # fmt: skip


def _add_failures(sheet: Sheet, tables: Tables, refusals: Mapping[str, int]) -> None:
    failures: Counter[Labels] = Counter()
    verdicts: Counter[Labels] = Counter()
    for (upstream, phase, cause, verdict), count in tables.failed.items():
        failures[str(upstream), str(phase), str(cause)] += count
        if verdict:
            verdicts[str(upstream), str(verdict)] += count
    sheet.counter(
        "attempt_failures", "Failed attempts at servers, rescued ones included, by phase and cause (headgate explain CAUSE).",
        failures, ("upstream", "phase", "cause"),
    )  # fmt: skip
    sheet.counter(
        "attempt_verdicts", "What was decided after failed attempts: tried again, or why not.", verdicts, ("upstream", "verdict")
    )
    refused: dict[Labels, float] = {(cause,): count for cause, count in refusals.items()}
    sheet.counter(
        "refusals", "Requests refused, or left by their clients, without or beside a server's doing.", refused, ("cause",)
    )


def _add_present(sheet: Sheet, living: Sequence[Mapping[str, Any]]) -> None:
    sheet.gauge("requests_in_flight", "Requests at this moment.", sum(counts.get("under_way", 0) for counts in living))
    sheet.gauge(
        "client_connections", "Connections of clients at this moment.", sum(counts.get("clients", 0) for counts in living)
    )
    names: Counter[Labels] = Counter({(state,): 0 for state in ("good", "stale", "failed")})
    for counts in living:
        names.update({(state,): count for state, count in counts.get("names", {}).items()})
    sheet.gauge(
        "dns_names",
        "Names that workers remember: with addresses, with old ones because DNS fails, and failed.",
        names,
        ("state",),
    )


# Upstreams.


def _add_upstreams(sheet: Sheet, control: "Control", living: Sequence[Mapping[str, Any]]) -> None:
    names = list(control.desired.config.upstream)
    sums = {name: control.totals.of_upstream(name, living) for name in names}
    attempts = control.totals.attempts(living)
    panics = {counts_name for counts in living for counts_name, one in counts.get("upstreams", {}).items() if one["panic"]}

    def of(key: str) -> dict[Labels, float]:
        return {(name,): sums[name][key] for name in names}

    sheet.counter("upstream_requests", "Requests that came to an upstream.", of("requests"), _UPSTREAM)
    sheet.counter("upstream_attempts", "Attempts at its servers.", {(name,): attempts[name] for name in names}, _UPSTREAM)
    sheet.counter("upstream_retries", "Retries that took from the retry budget.", of("retries"), _UPSTREAM)
    sheet.counter("upstream_retries_refused", "Retries that the budget did not allow.", of("retries_refused"), _UPSTREAM)
    sheet.gauge(
        "upstream_panic", "1 while no server looks usable, so that all are asked.",
        {(name,): float(name in panics) for name in names}, _UPSTREAM,
    )  # fmt: skip


def _gates(living: Sequence[Mapping[str, Any]], config: "Config") -> dict[str, list[Mapping[str, Any]]]:
    """Return what each worker says of each upstream's limits, where there are any."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for counts in living:
        for name, upstream in counts.get("upstreams", {}).items():
            if upstream["gate"] is not None and name in config.upstream:
                found.setdefault(name, []).append(upstream["gate"])
    return found


def _add_limits(sheet: Sheet, gates: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    def total(key: str) -> dict[Labels, float]:
        told = {name: [gate[key] for gate in of if key in gate] for name, of in gates.items()}
        return {(name,): sum(values) for name, values in told.items() if values}

    circuits = {(name,): Counter(gate["circuit"] for gate in of if "circuit" in gate) for name, of in gates.items()}
    sheet.gauge("queue_waiting", "Requests in an upstream's queue.", total("waiting"), _UPSTREAM)
    sheet.gauge(
        "adaptive_limit_requests", "Requests at once that adaptive concurrency allows.", total("adaptive_limit"), _UPSTREAM
    )
    sheet.states(
        "circuit_workers", "Workers whose circuit breaker is in this state.",
        {key: states for key, states in circuits.items() if states}, _UPSTREAM, (CLOSED, HALF_OPEN, OPEN),
    )  # fmt: skip


# Servers.


def _servers(control: "Control") -> Iterator[Labels]:
    """Yield upstream and server, in the configuration's order."""
    for name, upstream in control.desired.config.upstream.items():
        for server in upstream.servers:
            yield name, server.url


def _add_servers(sheet: Sheet, control: "Control", living: Sequence[Mapping[str, Any]]) -> None:
    keys = list(_servers(control))
    counted = {key: control.totals.of_server(key[0], key[1], living) for key in keys}
    standings = {key: control.standing(key[0], key[1]) for key in keys}
    by_state: dict[Labels, Counter[str]] = {(name,): Counter() for name in control.desired.config.upstream}
    for key, standing in standings.items():
        by_state[key[:1]][standing.health.state] += 1

    def of(what: str) -> dict[Labels, float]:
        return {key: counts[what] for key, counts in counted.items()}

    sheet.counter("server_attempts", "Attempts at a server.", of("requests"), _SERVER)
    sheet.counter("server_attempts_failed", "Attempts that failed on its account.", of("failed"), _SERVER)
    sheet.counter("server_ejections", "Times that its traffic had it ejected.", of("ejections"), _SERVER)
    connections = {key: {"busy": counts["busy"], "idle": counts["idle"]} for key, counts in counted.items()}
    sheet.states("server_connections", "Connections: with a request, and kept.", connections, _SERVER, ("busy", "idle"))
    states = {key: {standing.health.state: 1.0} for key, standing in standings.items()}
    sheet.states("server_state", "1 for the state that a server is in.", states, _SERVER, _STATES)
    usable = {key: float(standing.health.usable) for key, standing in standings.items()}
    sheet.gauge("server_usable", "1 where a server gets new requests.", usable, _SERVER)
    weights = {key: float(standing.weight) for key, standing in standings.items()}
    sheet.gauge("server_weight", "A server's weight against the others'.", weights, _SERVER, summed=False)
    sheet.states("upstream_servers", "Servers of an upstream in this state.", by_state, _UPSTREAM, _STATES)


def _add_checks(sheet: Sheet, control: "Control") -> None:
    told: dict[Labels, dict[str, Any]] = {
        (name, label): one for name in control.desired.config.upstream for label, one in control.checked(name).items()
    }
    passed = {key: float(one["ok"]) for key, one in told.items() if one["ok"] is not None}
    took = {key: one["latency_ms"] / 1000 for key, one in told.items() if one["latency_ms"] is not None}
    ends = {
        key: datetime.fromisoformat(one["certificate_ends"]).timestamp() for key, one in told.items() if one["certificate_ends"]
    }
    sheet.gauge("check_passed", "1 where a server's last active check passed.", passed, _SERVER)
    sheet.gauge("check_duration", "How long the last active check took.", took, _SERVER, summed=False, unit="seconds")
    sheet.gauge(
        "server_certificate_end_timestamp", "When a server's certificate ends, as its active checks see it.",
        ends, _SERVER, summed=False, unit="seconds",
    )  # fmt: skip


# The gateway itself.


def _add_processes(sheet: Sheet, control: "Control", tables: Tables, living: Sequence[Mapping[str, Any]]) -> None:
    started = born(os.getppid(), control.started)
    peers = list(control.peers.values())
    restarts: dict[Labels, float] = {
        (process,): float(control.family.get("restarts", {}).get(process, 0)) for process in ("worker", "control")
    }
    lost: dict[Labels, float] = {("to_control",): tables.sums["dropped"], ("to_worker",): tables.sums["unsent"]}
    sheet.info("build", "What runs.", {"version": __version__, "python": platform.python_version()})
    sheet.gauge("start_time", "When the gateway was started.", started, unit="seconds")
    sheet.gauge("workers", "Workers that can be told what to do.", sum(peer.link is not None for peer in peers))
    sheet.gauge("draining", "1 where nothing new is accepted any more.", float(all_draining(peers)))
    sheet.counter("process_restarts", "Processes that ended and were started again.", restarts, ("process",))
    sheet.counter("log_lines_lost", "Log lines that could not be written.", control.totals.of_all(living)["lost_lines"])
    sheet.counter("link_messages_dropped", "Messages between processes that were lost.", lost, ("direction",))
    sheet.counter("rate_limit_uncounted", "Requests that a rate limit could not count, and let in.", tables.sums["uncounted"])


def _add_configuration(sheet: Sheet, control: "Control") -> None:
    events = control.totals.events
    reloads: dict[Labels, float] = {(result,): events.get(result, 0) for result in ("success", "failure")}
    last, failed = events.get("success_at", 0.0), events.get("failure_at", 0.0)
    sheet.gauge("config_version", "Number of the configuration that is served; it grows with each.", control.desired.version)
    sheet.counter("config_reloads", "Reloads that were asked for.", reloads, ("result",))
    sheet.gauge("config_last_reload_successful", "0 where the last reload failed.", float(last >= failed))
    sheet.gauge(
        "config_last_success_timestamp", "When the configuration that is served was read.",
        last or born(os.getppid(), control.started), unit="seconds",
    )  # fmt: skip
