"""Owns the way from a server's name to a connection that can carry a request, or to the exact symptom of why there is none."""

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

from ..model import signals as s
from ..model.exchange import Attempt
from ..model.facts import Facts
from ..model.phases import CONNECT, RESOLVE, TLS
from ..net.errnos import UNIX, errno_text
from ..net.race import Race, address_text
from ..net.resolve import Addresses, Unresolved
from ..net.symptoms import signal_of
from ..net.tcpinfo import tcp_info
from .target import Target

__all__ = ["Dial", "Target", "signal_of"]

_UNIX_TYPE: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_PATH_MAX: Final = 107
"""Longest path of a unix socket, bytes (unix(7))."""

Connected = Callable[[asyncio.Transport, asyncio.Protocol], None]
Failed = Callable[[int, str, Facts], None]


class Dial:
    """One running attempt to connect. Calls `on_connected` or `on_failed` exactly once, or nothing after `cancel`.

    It writes `address`, `phase`, `t_resolved`, `t_connected` and `t_secured` of the attempt as it goes. What fails at once
    (refused on loopback, no such unix socket) is told before `start` returns, without any Task or Future. The protocol is
    connected before `on_connected` is called, so it may already have received data, or lost its connection.
    """

    __slots__ = (
        "_asked_again", "_factory", "_fail_with", "_on_connected", "_on_failed", "_over", "_race", "_sock", "_task", "_timer",
        "addresses", "attempt", "target",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        attempt: Attempt,
        protocol_factory: Callable[[], asyncio.Protocol],
        on_connected: Connected,
        on_failed: Failed,
    ) -> None:
        """on_connected gets transport and protocol, on_failed gets phase, signal and facts."""
        self.target = target
        self.attempt = attempt
        self.addresses: Addresses | None = None  # what the name led to; `stale`: DNS fails, these are the last good ones
        self._factory = protocol_factory
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._over = False
        self._asked_again = False  # for the name, after its addresses had failed
        self._fail_with: Facts | None = None
        self._race: Race | None = None
        self._sock: socket.socket | None = None  # connected, and not yet in the hands of the loop
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        target = self.target
        if target.path:
            self._connect_unix(target.path)
            return
        addresses = target.fixed or target.resolver.lookup(target.host)
        if addresses is not None:
            self._connect(addresses)
        else:
            self.attempt.phase = RESOLVE
            self._task = target.loop.create_task(self._resolve())

    def cancel(self) -> None:
        """Stop; nothing is called any more."""
        self._over = True
        if self._race is not None:
            self._race.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._sock is not None:
            self._sock.close()  # the task that was to take it will never begin

    # Resolving.

    async def _resolve(self) -> None:
        try:
            addresses = await self.target.resolver.resolve(self.target.host)
        except Unresolved as failure:
            phase = RESOLVE
            if failure.signal == s.MISCONFIGURED:  # nobody was asked: this can never be connected to
                phase = CONNECT
                self.attempt.address = address_text(self.target.host, self.target.port)
            self._fail(phase, failure.signal, failure.facts)
        else:
            self._connect(addresses)

    # Connecting.

    def _connect(self, addresses: Addresses) -> None:
        target = self.target
        attempt = self.attempt
        self.addresses = addresses
        attempt.phase = CONNECT
        attempt.t_resolved = monotonic()
        attempt.address = address_text(addresses.addresses[0][1], target.port)
        if target.deny and (found := target.denied(addresses)):
            attempt.address = address_text(found[0], target.port)
            self._fail(CONNECT, s.ADDRESS_DENIED, {"name": target.host, "addresses": found, "limit": "deny_addresses"})
            return
        self._race = Race(target.loop, target.port, target.timeouts.connect, self._won, self._lost)
        self._race.start(addresses.addresses)

    def _lost(self, race: Race) -> None:
        target = self.target
        addresses = self.addresses
        assert addresses is not None
        if addresses.partial:
            self._task = target.loop.create_task(self._connect_to_others(race, addresses))
            return
        if target.fixed is None and not self._asked_again:
            self._asked_again = True
            target.resolver.invalidate(target.host)
            self._task = target.loop.create_task(self._connect_to_new(race, addresses))
            return
        self.attempt.address, signal, facts = race.failure()
        if target.fixed is None:
            facts["name"] = target.host
        self._fail(CONNECT, signal, facts)

    async def _connect_to_new(self, race: Race, before: Addresses) -> None:
        """The known addresses have failed: where DNS now gives others, the server has moved."""
        now = await self.target.resolver.renewed(self.target.host)
        new = tuple(address for address in now.addresses if address not in before.addresses) if now is not None else ()
        if now is not None and new and not self.target.denied(now):
            self.addresses = now
            race.start(new)
        else:
            self._lost(race)

    async def _connect_to_others(self, race: Race, before: Addresses) -> None:
        """The quicker family's addresses have failed, and the other's are still to come."""
        try:
            whole = await self.target.resolver.resolve(self.target.host, whole=True)
        except Unresolved:
            whole = before
        others = tuple(address for address in whole.addresses if address not in before.addresses)
        self.addresses = Addresses(before.name, before.addresses + others, before.expires)
        if self.target.denied(self.addresses):
            self._connect(self.addresses)
        elif others:
            race.start(others)
        else:
            self._lost(race)

    def _connect_unix(self, path: str) -> None:
        attempt = self.attempt
        attempt.phase = CONNECT
        attempt.address = f"unix:{path}"
        if len(path.encode()) > _PATH_MAX:
            error = f"the path has more than {_PATH_MAX} bytes"
            self._fail(CONNECT, s.MISCONFIGURED, {"path": path, "error": error})
            return
        try:
            sock = socket.socket(socket.AF_UNIX, _UNIX_TYPE)
        except OSError as exc:
            self._fail_unix(path, exc.errno or 0)
            return
        code = sock.connect_ex(path)
        if code:
            sock.close()
            self._fail_unix(path, code)
        else:
            self._won(sock, attempt.address)

    def _fail_unix(self, path: str, code: int) -> None:
        self._fail(CONNECT, UNIX.get(code, s.UNEXPECTED), {"path": path, "errno": code, "error": errno_text(code)})

    # Connected.

    def _won(self, sock: socket.socket, address: str) -> None:
        attempt = self.attempt
        attempt.t_connected = monotonic()
        attempt.address = address
        self._sock = sock
        loop = self.target.loop
        if self.target.context is None:
            self._task = loop.create_task(self._establish(sock))
        else:
            attempt.phase = TLS
            self._timer = loop.call_later(self.target.timeouts.tls, self._tls_late, sock)
            self._task = loop.create_task(self._secure(sock))

    async def _establish(self, sock: socket.socket) -> None:
        self._sock = None
        loop = self.target.loop
        create = loop.create_unix_connection if self.target.path else loop.create_connection
        try:
            transport, protocol = await create(self._factory, sock=sock)
        except BaseException as exc:
            sock.close()
            if not isinstance(exc, Exception):
                raise
            self._fail(CONNECT, *signal_of(exc))
            return
        self._finish(transport, protocol)

    async def _secure(self, sock: socket.socket) -> None:
        self._sock = None
        target = self.target
        try:
            transport, protocol = await target.loop.create_connection(
                self._factory,
                sock=sock,
                ssl=target.context,
                server_hostname=target.server_name,
                ssl_handshake_timeout=target.timeouts.tls * 2,  # never reached: our own timer is earlier, and says what happened
            )
        except BaseException as exc:
            sock.close()
            if self._fail_with is not None:
                self._fail(TLS, s.DEADLINE, self._fail_with)
            elif isinstance(exc, Exception):
                await self._not_secured(exc)
            else:
                raise
            return
        self.attempt.t_secured = monotonic()
        self._finish(transport, protocol)

    def _tls_late(self, sock: socket.socket) -> None:
        assert self._task is not None
        limit = self.target.timeouts.tls
        self._fail_with = {"limit": "timeouts.tls", "limit_value": limit, "name": self.target.server_name}
        info = tcp_info(sock)
        if info is not None:
            self._fail_with["tcp_info"] = info
        self._task.cancel()

    async def _not_secured(self, exc: Exception) -> None:
        if self._timer is not None:
            self._timer.cancel()
        signal, facts = signal_of(exc)
        facts["name"] = self.target.server_name
        facts["elapsed_ms"] = self._elapsed()
        if signal == s.CERTIFICATE:
            shown = await self.target.certificate(self.attempt.address)
            if shown is not None:
                facts["certificate"] = shown
        self._fail(TLS, signal, facts)

    # The end.

    def _finish(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._over = True
        self._race = None
        self._on_connected(transport, protocol)

    def _fail(self, phase: int, signal: str, facts: Facts) -> None:
        if self._over:
            return
        self._over = True
        self._race = None  # it knows us, and we knew it: without this each failure would leave work to the garbage collector
        self.attempt.phase = phase
        if "elapsed_ms" not in facts:
            facts["elapsed_ms"] = self._elapsed()
        self._on_failed(phase, signal, facts)

    def _elapsed(self) -> int:
        return round((monotonic() - self.attempt.t_start) * 1000)
