"""One worker: a loop, its listening sockets, and everything that the exchanges it moves have in common, decided at load time."""

import asyncio
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..config.schema import Config
from ..diagnose.classify import table
from ..model.cause import Cause
from ..net.resolve import Resolver
from ..render.errors import Errors
from ..wire.limits import WireLimits
from .deadlines import TICK, Deadlines
from .downstream import LINGER, Downstream
from .forwarding import within
from .group import Group
from .recorder import Recorder
from .router import Router
from .tls import server_context

SPARE_FILES: Final = 40
"""Descriptors kept for logs, pipes, DNS and the loop itself."""
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def affordable(wanted: int) -> int:
    """Return how many client connections the descriptors of this process allow.

    Each may need one more towards a server, and a fifth is left for those that are told that there are too many.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, (files - SPARE_FILES) * 2 // 5))


class Worker:
    """Moves exchanges."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        gateway = config.gateway
        self.config = config
        self.loop = loop
        self.clock: Callable[[], float] = time.monotonic
        self.limits = gateway.limits
        self.wire_limits = WireLimits.of(gateway.limits)
        self.client_timeouts = {**gateway.timeouts.model_dump(), "linger": LINGER}
        self.trusted_proxies = gateway.trusted_proxies
        self.details_for = gateway.details_for
        self.name = gateway.name
        self.pseudonym = b"%b-%b" % (gateway.name.encode(), secrets.token_hex(4).encode())
        own = (self.pseudonym, self.pseudonym)
        self.via = (b"Via: 1.0 %b\r\nCDN-Loop: %b\r\n" % own, b"Via: 1.1 %b\r\nCDN-Loop: %b\r\n" % own)  # by minor version
        self.deadlines = Deadlines(self.clock)
        self.recorder = Recorder(gateway.log, loop.call_soon)
        self.errors = Errors(gateway)
        self.resolver = Resolver(gateway.dns)
        self.router = Router(config.route)
        self.groups = {name: Group(name, settings, self) for name, settings in config.upstream.items()}
        self.clients: set[Downstream] = set()
        self.most_clients = affordable(gateway.limits.connections)
        self.stopping = False
        self._context = server_context(gateway.tls) if gateway.tls is not None else None
        self._servers: list[asyncio.Server] = []
        self._stopped = loop.create_future()
        self._turns = 0
        table()  # read now: when descriptors run out, no file can be opened to say so
        self._prefix = "".join(secrets.choice(_ALPHABET) for _ in range(7))
        self._count = 0

    def reference(self) -> str:
        """Return a new reference: unique here and now, short enough to read out."""
        self._count = count = self._count + 1
        return f"{self._prefix}-{count:x}"

    def welcome(self, client: Downstream) -> bool:
        """Count a new client connection in; False when it is one too many."""
        client.trusts = within(client.client, self.trusted_proxies)
        client.details = within(client.client, self.details_for)
        self.clients.add(client)
        return len(self.clients) <= self.most_clients

    def goodbye(self, client: Downstream) -> None:
        """Count a client connection out."""
        self.clients.discard(client)
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

    async def run(self) -> None:
        """Serve until `stop` was called and what ran then has ended, or the time to drain is over."""
        actions = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGUSR1: self.reopen,
            signal.SIGHUP: lambda: self.recorder.note("SIGHUP does nothing: a new configuration is read at the next start"),
        }
        for number, action in actions.items():
            self.loop.add_signal_handler(number, action)
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
            return
        self.stopping = True
        for server in self._servers:
            server.close()
        for client in list(self.clients):
            client.drain()
        self.loop.call_later(self.config.gateway.drain, self._end)

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
        """Do what has to be done regularly: deadlines, waiting log lines; each second the servers' state."""
        if self._stopped.done():
            return
        self.loop.call_later(TICK, self._tick)
        self.deadlines.turn()
        self.recorder.flush()
        self._turns += 1
        if self._turns % 20 == 0:
            for group in self.groups.values():
                group.turn()
        if self.stopping and not self.clients:
            self._finish()
