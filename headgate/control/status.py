"""What is told of a gateway: everything that `headgate status` and the admin API show, put together from all processes' words."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import psutil

from .. import __version__
from .answers import GateStatus, GatewayStatus, ServerStatus, Status, TelemetryStatus, TotalStatus, UpstreamStatus, WorkerStatus
from .peers import Peer, all_draining, told_by
from .standing import Standing

if TYPE_CHECKING:
    from .process import Control

_CHANGES: Final = 5
"""Latest changes of a server that are told."""
_CIRCUITS: Final = ("closed", "half-open", "open")
"""From the one that lets in the most to the one that lets in the least."""


def status(control: "Control") -> Status:
    """Return how a gateway is at this moment."""
    peers = [control.peers[slot] for slot in sorted(control.peers)]
    return {
        "gateway": _gateway(control, peers),
        "workers": [_worker(peer) for peer in peers],
        "totals": _totals(control, peers),
        "upstreams": {name: upstream_status(control, name) for name in control.desired.config.upstream},
        "telemetry": _telemetry(control) if control.desired.config.telemetry is not None else None,
        "destinations": control.telling.state(),
    }


def _telemetry(control: "Control") -> TelemetryStatus:
    telemetry = control.telemetry
    return {"endpoint": telemetry.endpoint, "traces": telemetry.status("traces"), "logs": telemetry.status("logs")}


def upstream_status(control: "Control", name: str) -> UpstreamStatus:
    """Return how an upstream is at this moment. Raises KeyError when there is none of this name."""
    settings = control.desired.config.upstream[name]
    living = told_by(control.peers.values())
    told = [counts["upstreams"][name] for counts in living if name in counts.get("upstreams", {})]
    sums = control.totals.of_upstream(name, living)
    checked = control.checked(name)
    servers = []
    for server in settings.servers:
        counted = control.totals.of_server(name, server.url, living)
        standing = control.standing(name, server.url)
        servers.append(_server(server.url, server.priority, standing, counted, checked.get(server.url)))
    return {
        "policy": settings.policy,
        "requests": sums["requests"],
        "retries": sums["retries"],
        "retries_refused": sums["retries_refused"],
        "panic": any(upstream["panic"] for upstream in told),
        "gate": _gate([upstream["gate"] for upstream in told if upstream["gate"] is not None]),
        "servers": servers,
    }


def born(pid: int, known: float) -> float:
    """Return when a process was started, which this one may not have seen. known: what to say when it is gone already."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return known


def _gateway(control: "Control", peers: Sequence[Peer]) -> GatewayStatus:
    started = born(os.getppid(), control.started)
    return {
        "version": __version__,
        "pid": os.getppid(),
        "started": started,
        "uptime": round(max(0.0, time.time() - started), 3),
        "file": control.path,
        "dashboard": control.dashboard,
        "configuration": control.desired.version,
        "draining": all_draining(peers),
        "reload": {**control.reloading.last} if control.reloading.last else None,  # type: ignore[typeddict-item]
        "upgrade": {**control.upgraded} if control.upgraded else None,  # type: ignore[typeddict-item]
    }


def _worker(peer: Peer) -> WorkerStatus:
    counts = peer.counts
    return {
        "slot": peer.slot,
        "pid": peer.pid,
        "since": born(peer.pid, peer.since),
        "version": peer.version,
        "clients": counts.get("clients", 0),
        "under_way": counts.get("under_way", 0),
        "exchanges": counts.get("exchanges", 0),
        "rate": round(peer.rate(), 1),
        "draining": counts.get("draining", False),
        "heard": round(time.monotonic() - peer.heard, 3),
        "linked": peer.link is not None,
    }


def _totals(control: "Control", peers: Sequence[Peer]) -> TotalStatus:
    told = control.totals.of_all(told_by(peers))
    return {
        "exchanges": told["exchanges"],
        "rate": round(sum(peer.rate() for peer in peers), 1),
        "failures": _most_first(told["failures"]),
        "refusals": _most_first(told["refusals"]),
        "lost_lines": told["lost_lines"],
    }


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _gate(told: Sequence[Mapping[str, Any]]) -> GateStatus | None:
    """Return what several workers say of one upstream's limits, as one."""
    if not told:
        return None
    worst = max(told, key=lambda gate: _CIRCUITS.index(gate["circuit"]) if gate.get("circuit") in _CIRCUITS else -1)
    return {
        "under_way": sum(gate["under_way"] for gate in told),
        "waiting": _sum(told, "waiting"),
        "circuit": worst.get("circuit"),
        "circuit_why": worst.get("circuit_why", ""),
        "adaptive_limit": _sum(told, "adaptive_limit"),
    }


def _sum(told: Sequence[Mapping[str, Any]], key: str) -> int | None:
    values = [int(gate[key]) for gate in told if key in gate]
    return sum(values) if values else None


def _server(
    url: str, priority: int, standing: Standing, counted: Mapping[str, int], check: Mapping[str, Any] | None
) -> ServerStatus:
    health = standing.health
    left = standing.until - time.monotonic()
    return {
        "url": url,
        "state": health.state,
        "usable": health.usable,
        "since": health.since,
        "why": health.why,
        "until": time.time() + left if health.state == "ejected" and left > 0 else None,
        "weight": standing.weight,
        "priority": priority,
        "busy": counted["busy"],
        "idle": counted["idle"],
        "requests": counted["requests"],
        "failed": counted["failed"],
        "check": {**check} if check is not None else None,  # type: ignore[typeddict-item]
        "changes": [change._asdict() for change in list(health.changes)[-_CHANGES:]],  # type: ignore[misc]
    }
