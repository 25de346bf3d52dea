"""The servers of one upstream: which of them may be used now, and which is next.

The list of usable servers is edited when a server's state changes (a strike too many, its rest over), never searched per request.
"""

from typing import TYPE_CHECKING, Final

from ..config.endpoints import parse_server
from ..config.schema import Upstream as Settings
from .balance import POLICIES, Only, Policy
from .pool import Server
from .target import Target
from .tls import client_context

if TYPE_CHECKING:
    from .worker import Worker

STRIKES: Final = 3
"""Failures in a row, on this server's account, after which it rests while others can serve."""
REST: Final = 10.0
"""Seconds of rest."""


class Group:
    """One upstream of the configuration."""

    __slots__ = ("_policy", "checks_bodies", "clock", "name", "servers", "settings", "usable")

    def __init__(self, name: str, settings: Settings, worker: "Worker") -> None:
        self.name = name
        self.settings = settings
        self.clock = worker.clock
        # Bodies are looked at on their way through, rather than only moved.
        self.checks_bodies = settings.check_content_coding or worker.limits.response_body_bytes > 0
        endpoints = [parse_server(server.url) for server in settings.servers]
        context = client_context(settings.tls) if any(endpoint.scheme == "https" for endpoint in endpoints) else None
        self.servers = [
            Server(
                server.url,
                Target(worker.loop, worker.resolver, endpoint, settings, context),
                settings.keep_alive,
                worker.clock,
                server.weight,
                server.down,
            )
            for server, endpoint in zip(settings.servers, endpoints, strict=True)
        ]
        self.usable: list[Server] = []
        self._policy: Policy | None = None
        self._arrange()

    def pick(self, tried: list[Server]) -> Server | None:
        """Return the server for the next try, one not in `tried` where there is one; None when no server may be used."""
        policy = self._policy
        if policy is None:
            return None
        if not tried:
            return policy.pick()
        others = [server for server in self.usable if server not in tried]
        others = others or [server for server in self.servers if not server.down and server not in tried]
        return min(others, key=lambda server: server.busy / server.weight) if others else policy.pick()

    def free(self, limit: int) -> Server | None:
        """Return a usable server with fewer than `limit` requests under way."""
        return next((server for server in self.usable if server.busy < limit), None)

    def elsewhere(self, tried: list[Server]) -> bool:
        """Tell whether there is a server that was not tried yet."""
        return any(not server.down and server not in tried for server in self.servers)

    def strike(self, server: Server) -> None:
        """Count a failure on the server's account; after STRIKES in a row it rests, unless it is the last one."""
        server.strikes += 1
        if server.strikes >= STRIKES and len(self.usable) > 1 and server in self.usable:
            server.resting_until = self.clock() + REST
            self._arrange()

    def works(self, server: Server) -> None:
        """Clear the strikes of a server that answered."""
        server.strikes = 0
        if server.resting_until:
            server.resting_until = 0.0
            self._arrange()

    def turn(self) -> None:
        """Let rested servers serve again, on trial: one more failure sends them back. Called about once a second."""
        now = self.clock()
        for server in self.servers:
            server.refresh()
            if server.resting_until and now >= server.resting_until:
                server.resting_until = 0.0
                server.strikes = STRIKES - 1
                self._arrange()

    def _arrange(self) -> None:
        """Make the list of usable servers, and the policy over it, anew."""
        up = [server for server in self.servers if not server.down]
        self.usable = [server for server in up if not server.resting_until] or up
        if not self.usable:
            self._policy = None
        elif len(self.usable) == 1:
            self._policy = Only(self.usable)
        else:
            self._policy = POLICIES[self.settings.policy](self.usable)

    def describe(self) -> list[dict[str, str]]:
        """Return each server and why it cannot be used, as evidence."""
        return [{"server": s.label, "state": "down" if s.down else "resting" if s.resting_until else "up"} for s in self.servers]
