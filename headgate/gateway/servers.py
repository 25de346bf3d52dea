"""Which servers a new configuration keeps: those reached in the same way as before, with their connections and averages."""

from typing import TYPE_CHECKING

from ..config.schema import Upstream
from ..net.tls import client_context
from .pool import Server
from .target import Target

if TYPE_CHECKING:
    from .group import Group
    from .worker import Worker


def make_servers(settings: Upstream, worker: "Worker", before: "Group | None") -> list[Server]:
    """Return the servers of an upstream in the order of its settings. Raises BadTlsFile.

    before: the same upstream in the configuration until now.
    """
    kept = {}
    if before is not None and _reached_alike(settings, before.settings) and before.worker.resolver is worker.resolver:
        kept = {server.label: server for server in before.servers}
    context = client_context(settings.tls) if any(server.endpoint.scheme == "https" for server in settings.servers) else None
    made = []
    for server in settings.servers:
        found = kept.pop(server.url, None)
        if found is None:
            target = Target(worker.loop, worker.resolver, server.endpoint, settings, context)
            found = Server(server.url, target, settings.keep_alive, worker.clock)
        made.append(found)
    return made


def _reached_alike(one: Upstream, other: Upstream) -> bool:
    """Tell whether connections made by one setting are as good by the other."""
    return (one.tls, one.timeouts, one.deny_addresses, one.keep_alive) == (
        other.tls, other.timeouts, other.deny_addresses, other.keep_alive,
    )  # fmt: skip
