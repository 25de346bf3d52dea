"""Owns what is known of a server before it is dialled: address or name, TLS context, the networks it must not be in."""

import asyncio
import ssl
from time import monotonic
from typing import Final

from ..config.endpoints import Endpoint
from ..config.schema import Upstream
from ..net.hosts import literal
from ..net.peercertificate import peer_certificate
from ..net.place import authority, denied
from ..net.resolve import Addresses, Resolver
from ..net.tls import client_context

_PEEK_EVERY: Final = 60.0
"""A certificate that was refused is fetched for the record once a minute at most, seconds."""


class Target:
    """One server, ready to be dialled: made once when the configuration is loaded."""

    __slots__ = (
        "_certificate", "_harmless", "_peeked", "authority", "context", "deny", "fixed", "host", "loop", "path", "port",
        "resolver", "server_name", "timeouts",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        endpoint: Endpoint,
        settings: Upstream,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """context: what `client_context(settings.tls)` gave, to be shared by the servers of an upstream. Raises BadTlsFile."""
        self.loop = loop
        self.resolver = resolver
        self.host = endpoint.host
        self.port = endpoint.port
        self.path = endpoint.path
        self.authority = authority(endpoint)
        self.timeouts = settings.timeouts
        self.deny = settings.deny_addresses
        self.context = (context or client_context(settings.tls)) if endpoint.scheme == "https" else None
        self.server_name = (settings.tls.name or endpoint.host).rstrip(".")
        address = literal(endpoint.host)
        self.fixed = Addresses(endpoint.host, (address,)) if address else None
        self._harmless: Addresses | None = None  # checked against `deny` and found right
        self._peeked = float("-inf")
        self._certificate: asyncio.Task[dict[str, str] | None] | None = None

    def denied(self, addresses: Addresses) -> list[str]:
        """Return those of the addresses that lie in a denied network, [] when all may be used."""
        if not self.deny or addresses is self._harmless:
            return []
        found = denied(addresses.addresses, self.deny)
        if not found:
            self._harmless = addresses
        return found

    async def certificate(self, address: str) -> dict[str, str] | None:
        """Return what the server at `address` shows as its certificate, for the record; None where it cannot be had."""
        now = monotonic()
        if self._certificate is None or now - self._peeked >= _PEEK_EVERY:
            self._peeked = now
            assert self.context is not None
            self._certificate = self.loop.create_task(peer_certificate(address, self.server_name, self.context))
        return await asyncio.shield(self._certificate)
