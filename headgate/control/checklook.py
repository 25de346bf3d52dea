"""Owns one health check: what is asked of a server, and whether what it does then means that it is well."""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from .. import __version__
from ..config.forms import statuses
from ..config.resilience import HealthCheck
from ..config.schema import Server, Upstream
from ..diagnose.redact import clean
from ..diagnose.sentence import sentence_of
from ..model.exchange import Attempt, Exchange
from ..model.phases import BODY, HEAD, SEND
from ..net.failing import Broken, fail
from ..net.incoming import Incoming
from ..net.peercertificate import describe
from ..net.place import authority
from ..net.resolve import Resolver
from ..net.streams import Link, plain, secure
from ..wire.limits import WireLimits
from .checkway import Way

_FIELDS: Final = (
    f"User-Agent: Headgate-Health/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n".encode()
)
_BODY_MOST: Final = 65_536
"""Bytes of a body that are looked at."""
_SHOWN: Final = 60
"""Most characters of a configured text in a message."""
_GOODBYE: Final = 0.2
"""Seconds in which a server may answer the end of a TLS session."""
_OURS: Final = "gateway"
"""The fault of causes that say nothing about the server."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check saw."""

    ok: bool | None  # None: the check failed for a reason of our own, and says nothing about the server
    cause: str  # code of the cause of a failure; "" for none, and for an answer that is merely not the expected one
    text: str  # what was seen
    ms: float  # how long it took, milliseconds
    at: float  # when it was over, wall-clock seconds
    ends: str = ""  # end of the server's certificate, RFC 3339; "" where none was accepted


class Look:
    """Checks one server."""

    def __init__(
        self,
        upstream: str,
        settings: Upstream,
        server: Server,
        resolver: Resolver,
        tls: ssl.SSLContext | None,
        limits: WireLimits,
    ) -> None:
        """upstream: its name. settings: with `health`. tls: for https servers."""
        assert settings.health is not None
        self._checks: HealthCheck = settings.health
        self._upstream, self._label, self._endpoint = upstream, server.url, server.endpoint
        self._resolver, self._tls, self._limits, self._deny = resolver, tls, limits, settings.deny_addresses
        self._name = (settings.tls.name or server.endpoint.host).rstrip(".")
        self._statuses = statuses(self._checks.status)
        self._host = self._checks.host.encode() if self._checks.host is not None else authority(server.endpoint)
        self._request = b"GET %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (self._checks.path.encode(), self._host, _FIELDS)

    async def once(self) -> Seen:
        """Check the server once, within the configured time."""
        begun = time.monotonic()
        end = begun + self._checks.timeout
        attempt = Attempt(self._upstream, self._label, begun)
        ok: bool | None
        cause, ends = "", ""
        link: Link | None = None
        try:
            link = await self._connected(attempt, end)
            ends = _certificate_end(link)
            ok, text = await self._answered(attempt, link, end) if self._checks.kind == "http" else (True, _connected(link))
        except Broken as broken:
            ok, cause, text = self._failed(attempt, broken)
        finally:
            took = time.monotonic() - begun
            if link is not None:
                await _leave(link)
        return Seen(ok, cause, text, took * 1000, time.time(), ends)

    async def _connected(self, attempt: Attempt, end: float) -> Link:
        sock = await Way(attempt, self._endpoint, self._resolver, self._deny, end).go()
        if self._endpoint.scheme != "https":
            return await plain(sock)
        assert self._tls is not None
        return await secure(attempt, sock, self._name, self._tls, max(0.001, end - time.monotonic()), look=False)

    async def _answered(self, attempt: Attempt, link: Link, end: float) -> tuple[bool, str]:
        """Ask, and judge the answer. Raises Broken."""
        attempt.phase = SEND
        incoming = Incoming(link, attempt, "GET", end, self._limits)
        link.writer.write(self._request)
        attempt.sent, attempt.t_sent = len(self._request), time.monotonic()
        attempt.phase = HEAD
        head, _ = await incoming.read_head()
        attempt.t_head, attempt.status = time.monotonic(), head.status
        asked = f"GET {self._checks.path[:_SHOWN]} answered {head.status}"
        if head.status not in self._statuses:
            return False, f"{asked}, expected {', '.join(self._checks.status)}"
        if not self._checks.body:
            return True, asked
        attempt.phase = BODY
        wanted, body = self._checks.body.encode(), b""
        shown = clean(self._checks.body[:_SHOWN])
        async for piece in incoming.pieces(head):
            body = (body + piece)[:_BODY_MOST]
            if wanted in body:
                return True, f'{asked}, and the body has "{shown}"'
            if len(body) == _BODY_MOST:
                break
        coding = clean(head.coding.decode("latin-1"))
        coded = f" (it came in Content-Encoding {coding})" if coding not in ("", "identity") else ""
        return False, f'{asked}, but the body lacks "{shown}"{coded}'

    def _failed(self, attempt: Attempt, broken: Broken) -> tuple[bool | None, str, str]:
        """Return what a failure means, the code of its cause, and the sentence."""
        if broken.facts.get("limit") in ("timeout", "timeouts.connect"):
            broken.facts |= {"limit": f"upstream.{self._upstream}.health.timeout", "limit_value": self._checks.timeout}
        fail(attempt, broken)
        assert attempt.cause is not None
        exchange = Exchange("", "", self._endpoint.scheme, attempt.t_start)
        exchange.upstream, exchange.method = self._upstream, b"GET"
        exchange.path, exchange.host = self._checks.path.encode(), self._host
        text = (
            f"{attempt.cause.status} {attempt.cause.code}: {sentence_of(exchange, attempt, attempt.facts or {}, attempt.cause)}"
        )
        return None if attempt.cause.fault == _OURS else False, attempt.cause.code, text


def _connected(link: Link) -> str:
    return "connected, with TLS" if link.tls is not None else "connected"


def _certificate_end(link: Link) -> str:
    shown = link.tls.getpeercert(binary_form=True) if link.tls is not None else None
    return describe(shown)["not_after"] if shown else ""


async def _leave(link: Link) -> None:
    """Close in order: with TLS the server is told, so that it sees no error; but it is not waited for long."""
    link.writer.close()
    try:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_GOODBYE):
                await link.writer.wait_closed()
    finally:
        await link.close()
