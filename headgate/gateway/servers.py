"""Which servers a new configuration keeps: those reached in the same way as before, with their connections and averages."""

import os
from typing import TYPE_CHECKING

from ..config.schema import Config, Upstream, UpstreamTls
from ..net.resolve import Resolver
from ..net.tls import client_context
from .pool import Server
from .target import Target

if TYPE_CHECKING:
    from .group import Group
    from .worker import Worker

Files = tuple[tuple[int, int, int] | None, ...]
"""Inode, size and time of change of each file of a TLS table, None for one that is not there."""


def make_all_servers(config: Config, worker: "Worker", resolver: Resolver) -> dict[str, list[Server]]:
    """Return the servers of each upstream, in the order of its settings. Raises BadTlsFile.

    Where nothing changed for an upstream, it is the very list that the worker has.
    """
    return {
        name: _same(settings, worker.groups.get(name), resolver) or _make(settings, worker, resolver, worker.groups.get(name))
        for name, settings in config.upstream.items()
    }


def tls_files(settings: UpstreamTls) -> Files:
    """Return what tells whether a file was replaced since: its contents count, not its name alone."""
    return tuple(_about(path) for path in (settings.ca, settings.certificate, settings.key) if path is not None)


def _about(path: str) -> tuple[int, int, int] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _same(settings: Upstream, before: "Group | None", resolver: Resolver) -> list[Server] | None:
    if before is None or before.settings != settings or not _reached_alike(settings, before, resolver):
        return None
    return before.servers


def _make(settings: Upstream, worker: "Worker", resolver: Resolver, before: "Group | None") -> list[Server]:
    kept = {}
    if before is not None and _reached_alike(settings, before, resolver):
        kept = {server.label: server for server in before.servers}
    context = client_context(settings.tls) if any(server.endpoint.scheme == "https" for server in settings.servers) else None
    made = []
    for server in settings.servers:
        found = kept.pop(server.url, None)
        if found is None:
            target = Target(worker.loop, resolver, server.endpoint, settings, context)
            found = Server(server.url, target, settings.keep_alive, worker.clock)
        made.append(found)
    return made


def _reached_alike(settings: Upstream, before: "Group", resolver: Resolver) -> bool:
    """Tell whether connections made until now are as good as those made by these settings."""
    old = before.settings
    return (
        (settings.tls, settings.timeouts, settings.deny_addresses, settings.keep_alive)
        == (old.tls, old.timeouts, old.deny_addresses, old.keep_alive)
        and all(server.target.resolver is resolver for server in before.servers)
        and tls_files(settings.tls) == before.tls_files
    )
