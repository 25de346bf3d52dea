"""One worker: a loop, its listening sockets, and everything that the exchanges it moves have in common, decided at load time.

A new configuration is applied between two requests: what it says is made ready beside the old, and then takes its place.
Exchanges under way end by what held when they began.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ..config.schema import Config
from ..diagnose.classify import table
from ..model.cause import Cause
from ..net.resolve import Resolver
from ..render.errors import Errors
from ..traffic.gaugenames import CONNECTIONS
from ..wire.limits import WireLimits
from .counting import Counting
from .deadlines import TICK, Deadlines
from .descriptors import affordable
from .door import Door
from .downstream import LINGER, Downstream
from .flow import Flow
from .forwarding import within
from .group import Group
from .own import places
from .pool import Server
from .publicstatus import Public
from .recorder import Recorder
from .reporting import Reporting
from .retrying import Retrying
from .router import Router
from .servers import make_all_servers
from .statuspage import StatusPage
from .tls import renew, server_context
from .tracing import Traced, Tracer

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ORPHAN: Final = 1.0
"""Seconds that exchanges have to end when the parent is gone."""


class Worker:
    """Moves exchanges."""

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        counting: Counting | None = None,
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        """counting: what is counted together with the other workers; absent when there are none. numbers: of the gauges, by name.

        Raises BadTemplate, BadTlsFile, OSError for files that cannot be used.
        """
        self.loop = loop
        self.clock: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] = time.time
        self.tell: Callable[[dict[str, Any]], object] = lambda message: None  # to the control process, where there is one
        self.hand_over: Callable[[dict[str, Any]], bool] = lambda message: False  # the same for what may be lost
        self.deadlines = Deadlines(self.clock)
        self.clients: set[Downstream] = set()
        self.stopping = False
        self.groups: dict[str, Group] = {}
        self.tracer: Tracer | None = None
        self.flow: type[Flow] = Flow  # what exchanges are: traced ones where telemetry is configured
        self._leaving: list[Group] = []  # replaced, and requests may still wait in them
        self.router: Router = Router(())
        self.counting = counting or Counting.alone()
        self.recorder = Recorder(config.gateway.log, loop.call_soon)
        self.reporting = Reporting(self.counting.secret)
        self.resolver = self._resolver(config)
        self.public = Public(self)
        self.secured = config.gateway.tls is not None
        self._unique = secrets.token_hex(4).encode()
        self._context = server_context(config.gateway.tls) if config.gateway.tls is not None else None
        self._servers: list[asyncio.Server] = []
        self._stopped = loop.create_future()
        self._turns = 0
        table()  # read now: when descriptors run out, no file can be opened to say so
        self._prefix = "".join(secrets.choice(_ALPHABET) for _ in range(7))
        self._count = 0
        self.counting.assign(config, numbers)
        self.status_page = StatusPage.of(config)
        self._apply(config, Errors(config.gateway), make_all_servers(config, self, self.resolver))

    # Configuration.

    def apply(self, config: Config, numbers: Mapping[str, int] | None = None) -> None:
        """Serve by a new configuration from the next request on. numbers: of the gauges, by name.

        Raises BadTemplate, BadTlsFile or OSError when a file cannot be used, ValueError when numbers lack one, and goes on as
        before.
        """
        now, then = self.config.gateway, config.gateway
        errors, page = Errors(then), StatusPage.of(config)
        resolver = self.resolver if then.dns == now.dns else self._resolver(config)
        servers = make_all_servers(config, self, resolver)
        if self._context is not None and then.tls is not None:
            server_context(then.tls)  # a try, so that nothing has changed when it fails
        recorder = self.recorder if then.log == now.log else Recorder(then.log, self.loop.call_soon)
        try:
            self.counting.assign(config, numbers)
            if self._context is not None and then.tls is not None:
                renew(self._context, then.tls)
        except BaseException:
            if recorder is not self.recorder:
                recorder.close()
            raise
        if recorder is not self.recorder:
            recorder.follow(self.recorder)
            self.recorder = recorder
        self.resolver = resolver
        self.status_page = page
        self._apply(config, errors, servers)

    def _apply(self, config: Config, errors: Errors, servers: Mapping[str, list[Server]]) -> None:
        """Take over what is ready. servers: of each upstream."""
        gateway = config.gateway
        self._trace(config)
        self.config = config
        self.limits = gateway.limits
        self.wire_limits = WireLimits.of(gateway.limits)
        self.client_timeouts = {**gateway.timeouts.model_dump(), "linger": LINGER}
        self.trusted_proxies = gateway.trusted_proxies
        self.details_for = gateway.details_for
        self.name = gateway.name
        self.pseudonym = b"%b-%b" % (gateway.name.encode(), self._unique)
        own = (self.pseudonym, self.pseudonym)
        self.via = (b"Via: 1.0 %b\r\nCDN-Loop: %b\r\n" % own, b"Via: 1.1 %b\r\nCDN-Loop: %b\r\n" % own)  # by minor version
        self.errors = errors
        self.most_clients = affordable(gateway.limits.connections)
        self._connected = self.counting.of(CONNECTIONS)
        self._regroup(config, servers)
        self.public.apply(config)
        self._reroute(config)

    def _trace(self, config: Config) -> None:
        """Begin to trace exchanges, or leave it: from the next one on."""
        settings = config.telemetry
        if settings is None:
            self.tracer, self.flow = None, Flow
        elif self.tracer is None or settings != self.config.telemetry:
            self.tracer, self.flow = Tracer(settings, self), Traced
        self.recorder.trace(self.tracer is not None)

    def _regroup(self, config: Config, servers: Mapping[str, list[Server]]) -> None:
        """Make the groups anew where something changed for them."""
        old = self.groups
        self.groups = {
            name: old[name] if name in old and servers[name] is old[name].servers
            else Group(name, settings, self, servers[name], old.get(name))
            for name, settings in config.upstream.items()
        }  # fmt: skip
        kept = {id(server) for group in self.groups.values() for server in group.servers}
        for name, group in old.items():
            if group is not self.groups.get(name):
                group.leave()
                self._leaving.append(group)
                for server in group.servers:
                    if id(server) not in kept:
                        server.retire()
        for group in self.groups.values():
            group.heed(self.limits)

    def _reroute(self, config: Config) -> None:
        """Make the routes anew; budgets of retries go on where these are the same."""
        before = {settings.label: route.retrying for settings, route in self.router.routes()}
        self.router = router = Router(config.route)
        router.own = places(config, self)
        for settings, route in router.routes():
            route.door = Door.of(settings, self)
            route.retrying = Retrying.like(settings.retry, before.get(settings.label)) if settings.retry is not None else None

    def told(self, states: Any) -> None:
        """Take over what the control process knows of the servers: upstream → label → state (group.Told).

        Raises KeyError, TypeError or ValueError for what makes no sense, and then nothing has changed.
        """
        if not isinstance(states, Mapping):
            raise TypeError("what is told of the servers is no object")
        understood = [
            (self.groups[name], self.groups[name].understand(told)) for name, told in states.items() if name in self.groups
        ]
        for group, servers in understood:
            group.told(servers)

    def _resolver(self, config: Config) -> Resolver:
        resolver = Resolver(config.gateway.dns)
        resolver.changed = self._name_changed
        return resolver

    def _name_changed(self, name: str, before: tuple[str, ...], now: tuple[str, ...]) -> None:
        """A server's name leads elsewhere: what fails from now on may fail for that."""
        lists = [", ".join(addresses[:8]) + ", ..." * (len(addresses) > 8) for addresses in (before, now)]
        text = f"DNS: {name} is now {lists[1]}, and was {lists[0]}" if now else f"DNS: {name} exists no more, and was {lists[0]}"
        self.tell({"event": {"kind": "dns", "name": name, "text": text}})

    # Clients.

    def reference(self) -> str:
        """Return a new reference: unique here and now, short enough to read out."""
        self._count = count = self._count + 1
        return f"{self._prefix}-{count:x}"

    def welcome(self, client: Downstream) -> bool:
        """Count a new client connection in; False when it is one too many."""
        client.trusts = within(client.client, self.trusted_proxies)
        client.details = within(client.client, self.details_for)
        self.clients.add(client)
        self._connected.up()
        return len(self.clients) <= self.most_clients and self._connected.total() <= self.limits.connections

    def surplus(self) -> tuple[int, int]:
        """Return how many client connections there may be, and are: of this process where its descriptors bound it, or all."""
        if len(self.clients) > self.most_clients:
            return self.most_clients, len(self.clients)
        return self.limits.connections, self._connected.total()

    def goodbye(self, client: Downstream) -> None:
        """Count a client connection out."""
        if client in self.clients:
            self.clients.discard(client)
            self._connected.down()
        self.deadlines.forget(client)

    async def listen(self, sockets: list[socket.socket]) -> None:
        """Accept connections on sockets that are bound already."""
        scheme = "http" if self._context is None else "https"
        for sock in sockets:
            create = self.loop.create_unix_server if sock.family == socket.AF_UNIX else self.loop.create_server
            tls = {}
            if self._context is not None:
                greeting = self.client_timeouts["head"]
                tls = {"ssl": self._context, "ssl_handshake_timeout": greeting, "ssl_shutdown_timeout": LINGER}
            self._servers.append(await create(lambda: Downstream(self, scheme), sock=sock, backlog=4096, **tls))

    # Running.

    async def run(self) -> None:
        """Serve until `stop` was called and what ran then has ended, or the time to drain is over."""
        self.loop.set_exception_handler(self._unexpected)
        self.loop.call_later(TICK, self._tick)
        try:
            await self._stopped
        finally:
            self.recorder.flush()

    def stop(self) -> None:
        """Stop accepting, let running exchanges finish within `gateway.drain`, then end. A second call ends at once."""
        if self.stopping:
            self._end()
        else:
            self._drain(self.config.gateway.drain)

    def orphaned(self) -> None:
        """The parent is gone, and nobody would end this process any more: do it now, with one second for what runs."""
        if not self._stopped.done():
            self._drain(_ORPHAN)

    def _drain(self, seconds: float) -> None:
        self.stopping = True
        for server in self._servers:
            server.close()
        for client in list(self.clients):
            client.drain()
        self.loop.call_later(seconds, self._end)

    def reopen(self) -> None:
        """Open the log files anew."""
        try:
            self.recorder.reopen()
        except OSError as error:
            self.recorder.note(f"a log file could not be opened anew: {error}")

    def status_of(self, cause: Cause) -> int:
        """Return the status that a client gets for a cause: timeouts may be told as 502 (`timeout_status`)."""
        return self.config.gateway.timeout_status if cause.status == 504 else cause.status

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error of ours reached the loop: say where it was; the exchange concerned ends as `gateway-error`."""
        error = context.get("exception")
        place, trace = "", error.__traceback__ if error is not None else None
        while trace is not None:
            place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        self.recorder.note(f"internal error: {context.get('message', '')}: {error!r}{place}")

    def _end(self) -> None:
        for client in list(self.clients):
            client.stopped()
        self._finish()

    def _finish(self) -> None:
        """Let go of everything, and of `run`."""
        for group in self.groups.values():
            for server in group.servers:
                server.close_idle()
        if not self._stopped.done():
            self._stopped.set_result(None)

    def _tick(self) -> None:
        """Do what has to be done regularly: deadlines, waiting log lines, queues; each second the servers' state."""
        if self._stopped.done():
            return
        self.loop.call_later(TICK, self._tick)
        self.deadlines.turn()
        self.recorder.flush()
        self._turns += 1
        for group in (*self.groups.values(), *self._leaving):
            if group.gate is not None:
                group.gate.advance()
        self._leaving = [group for group in self._leaving if group.gate is not None and group.gate.waiting]
        if self._turns % 20 == 0:
            for group in self.groups.values():
                group.turn()
            for _, route in self.router.routes():
                if route.retrying is not None:
                    route.retrying.settle(self.clock())
        if self.stopping and not self.clients:
            self._finish()
