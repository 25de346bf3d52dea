"""What a worker counts, as the control process is told it once a second: totals since its start, and the present."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .group import Group
    from .pool import Server
    from .worker import Worker


def tally(worker: "Worker") -> dict[str, Any]:
    """Return the counts of a worker, as JSON has them."""
    recorder = worker.recorder
    return {
        "exchanges": recorder.exchanges,
        "clients": len(worker.clients),
        "under_way": sum(1 for client in worker.clients if client.flow is not None),
        "failures": dict(recorder.failures),
        "refusals": dict(recorder.refusals),
        "lost_lines": recorder.lost_lines,
        "uncounted": worker.counting.buckets.uncounted,
        "names": worker.resolver.count(),
        **recorder.counts.told(),
        "ends": [[*key, count] for key, count in worker.reporting.ends.items()],
        "draining": worker.stopping,
        "upstreams": {name: _group(group) for name, group in worker.groups.items()},
        "ejections": [ejection for group in worker.groups.values() for ejection in _ejections(group)],
    }


def _group(group: "Group") -> dict[str, Any]:
    return {
        "requests": group.requests,
        "retries": group.retries,
        "retries_refused": group.retries_refused,
        "panic": group.panic,
        "gate": group.gate.describe() if group.gate is not None else None,
        "servers": {server.label: _server(server) for server in group.servers},
    }


def _ejections(group: "Group") -> Iterator[dict[str, Any]]:
    """Yield the ejections that this worker decided and that last: told again each second, for the first word may be lost."""
    for server in group.servers:
        if server.record.until and server.ejected_at > 0:
            until, why = server.record.until, server.health.why
            yield {"ejected": group.name, "server": server.label, "until": until, "at": server.ejected_at, "why": why}


def _server(server: "Server") -> dict[str, Any]:
    return {
        "busy": server.busy,
        "idle": len(server.idle),
        "requests": server.requests,
        "failed": server.failed,
        "latency": round(server.cost, 6),
    }
