"""Owns the way of a health check to its server: as requests go, so that it fails where they would."""

import asyncio
import socket
import time

from ..config.endpoints import Endpoint
from ..config.values import Network
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.phases import CONNECT, RESOLVE
from ..net.failing import Broken
from ..net.hosts import Address, literal
from ..net.place import denied
from ..net.race import Race, Try, address_text
from ..net.resolve import Addresses, Resolver, Unresolved
from ..net.streams import connect, within


class Way:
    """The way to one server, gone once."""

    def __init__(self, attempt: Attempt, endpoint: Endpoint, resolver: Resolver, deny: tuple[Network, ...], end: float) -> None:
        """attempt: gets address, phase and times. deny: networks in which no address may lie. end: when to give up, monotonic."""
        self._attempt, self._endpoint, self._resolver, self._deny, self._end = attempt, endpoint, resolver, deny, end
        self._tries: list[Try] = []

    async def go(self) -> socket.socket:
        """Return a connected socket. Raises Broken."""
        if self._endpoint.path:
            return await connect(self._attempt, self._endpoint.path, self._left())
        known = await self._resolve()
        sock, race = await self._race(known)
        if sock is None and (others := await self._others(known)) is not None:
            sock, race = await self._race(others)
        if sock is not None:
            return sock
        self._attempt.address, signal, facts = race.failure()
        if literal(self._endpoint.host) is None:
            facts["name"] = self._endpoint.host
        raise Broken(CONNECT, signal, facts)

    async def _resolve(self, whole: bool = False) -> Addresses:
        """Return the server's addresses, none of them denied. whole: of both families, however long one takes."""
        attempt, host = self._attempt, self._endpoint.host
        attempt.phase = RESOLVE
        try:
            found = await within(self._left(), RESOLVE, self._resolver.resolve(host, whole))
        except Unresolved as failure:
            if failure.signal == s.MISCONFIGURED:  # nobody was asked: this can never be connected to
                attempt.address = address_text(host, self._endpoint.port)
                raise Broken(CONNECT, failure.signal, failure.facts) from None
            raise Broken(RESOLVE, failure.signal, failure.facts) from None
        attempt.t_resolved = time.monotonic()
        self._allow(found.addresses)
        return found

    def _allow(self, addresses: tuple[Address, ...]) -> None:
        if found := denied(addresses, self._deny):
            self._attempt.address = address_text(found[0], self._endpoint.port)
            raise Broken(CONNECT, s.ADDRESS_DENIED, {"name": self._endpoint.host, "addresses": found, "limit": "deny_addresses"})

    async def _others(self, known: Addresses) -> Addresses | None:
        """The known addresses failed: return those which the slower family, or DNS asked anew, has beside them."""
        host = self._endpoint.host
        try:
            if known.partial:
                now: Addresses | None = await self._resolve(whole=True)
            else:
                self._resolver.invalidate(host)
                now = await within(self._left(), RESOLVE, self._resolver.renewed(host))
        except Broken as broken:
            if broken.signal == s.ADDRESS_DENIED:
                raise
            return None
        new = tuple(address for address in now.addresses if address not in known.addresses) if now is not None else ()
        self._allow(new)
        return Addresses(host, new) if new else None

    async def _race(self, known: Addresses) -> tuple[socket.socket | None, Race]:
        """Return the socket of the address that answers first, None where none does."""
        self._attempt.phase = CONNECT
        loop = asyncio.get_running_loop()
        over: asyncio.Future[tuple[socket.socket, str] | None] = loop.create_future()
        race = Race(
            loop,
            self._endpoint.port,
            self._left(),
            lambda sock, address: over.set_result((sock, address)),
            lambda _: over.set_result(None),
        )
        race.tries = self._tries  # what failed before is part of the evidence
        try:
            race.start(known.addresses)
            won = await over
        except BaseException:
            race.cancel()
            if over.done() and not over.cancelled() and (late := over.result()) is not None:
                late[0].close()
            raise
        if won is None:
            return None, race
        self._attempt.t_connected, self._attempt.address = time.monotonic(), won[1]
        return won[0], race

    def _left(self) -> float:
        return max(0.0, self._end - time.monotonic())
