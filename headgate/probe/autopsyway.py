"""Owns how an autopsy goes to a server: its name asked anew, every address connected to, TLS, one GET, as traffic would go."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Final

from .. import __version__
from ..config.schema import Server, Upstream
from ..diagnose.captured import Captured
from ..diagnose.catalogue import catalogue
from ..diagnose.looks import Look
from ..diagnose.redact import clean
from ..diagnose.sentence import duration
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.phases import CONNECT, RESOLVE, SEND, TLS
from ..net.failing import Broken, fail, of_stream
from ..net.hosts import literal
from ..net.peercertificate import describe
from ..net.place import authority, denied
from ..net.race import RANK, address_text
from ..net.resolve import Addresses, Resolver, Unresolved
from ..net.streams import Link, connect, plain, secure, within
from ..net.tls import BadTlsFile, client_context
from ..wire.limits import WireLimits
from .address import said
from .aside import aside
from .asking import outcome, times
from .autopsyanswer import StrictReader, flowing, overdue

_ADDRESSES: Final = 8
"""Most addresses that are connected to."""
_HANDSHAKES: Final = 4
"""Most addresses with which a handshake is done."""
_OF_SEVERAL: Final = 1.5
"""Most seconds for an address that is one of several: a silent one must leave time for the others."""
_BEYOND: Final = 0.2
"""Seconds by which the gateway's own limits are outwaited: then it is known that they are what ends a request."""
_GOODBYE: Final = 0.2
"""Seconds in which a server may answer the end of a TLS session."""


@dataclass(slots=True)
class Opened:
    """One address, as far as one came with it."""

    attempt: Attempt
    sock: socket.socket | None = None  # None: it failed, or a link has it
    link: Link | None = None


class Way:
    """The way to one server, gone once: `find` its addresses, then `walk`. What was seen stands in `looks`."""

    def __init__(
        self, server: Server, upstream: Upstream, resolver: Resolver, begun: float, host: str, prefer: str, limits: WireLimits
    ) -> None:
        """begun: when the autopsy began, monotonic. host: what stands in Host. prefer: the address that failed in traffic."""
        self.upstream = ""  # its name
        self._server, self._upstream, self._resolver, self._limits = server, upstream, resolver, limits
        self._endpoint, self._prefer, self._begun = server.endpoint, prefer, begun
        checks = upstream.health if upstream.health is not None and upstream.health.kind == "http" else None
        self.path = checks.path if checks is not None else "/"
        self.host = (checks.host if checks is not None else None) or host or authority(self._endpoint).decode("ascii", "replace")
        self.looks: list[Look] = []
        self.addresses: list[str] = []  # as they are now
        self.before: list[str] = []  # as the gateway knew them until now, where they were others
        self.attempt: Attempt | None = None  # the one that decides: the furthest that one came, or what failed
        self.answer: Captured | None = None
        self.impatient = False  # it was not waited for as long as the gateway waits

    async def find(self, end: float) -> bool:
        """Resolve the server's name; return whether there is anywhere to go. end: monotonic."""
        if self._endpoint.path:
            return True
        attempt = self._new()
        try:
            found = await self._resolved(end)
            self.addresses = [ip for _, ip in found.addresses][:_ADDRESSES]
            attempt.t_resolved = attempt.t_end = time.monotonic()
            self._allow(found, attempt)
        except Broken as broken:
            self.attempt = fail(attempt, broken)
            self._named(attempt, None)
            return False
        if literal(self._endpoint.host) is None:
            self._named(attempt, found)
        return True

    async def _resolved(self, end: float) -> Addresses:
        """Return the addresses, asked for again where they were only remembered. Raises Broken."""
        name, resolver = self._endpoint.host, self._resolver
        before = resolver.lookup(name)
        try:
            if before is not None:
                resolver.invalidate(name)
                await within(end - time.monotonic(), RESOLVE, resolver.renewed(name))
            found = await within(end - time.monotonic(), RESOLVE, resolver.resolve(name, whole=True))
        except Unresolved as failure:
            unusable = failure.signal == s.MISCONFIGURED  # nobody was asked: this can never be connected to
            raise Broken(CONNECT if unusable else RESOLVE, failure.signal, failure.facts) from None
        if before is not None and set(before.addresses) != set(found.addresses):
            self.before = [ip for _, ip in before.addresses]
        return found

    def _allow(self, found: Addresses, attempt: Attempt) -> None:
        if bad := denied(found.addresses, self._upstream.deny_addresses):
            attempt.address = address_text(bad[0], self._endpoint.port)
            raise Broken(CONNECT, s.ADDRESS_DENIED, {"name": self._endpoint.host, "addresses": bad, "limit": "deny_addresses"})

    async def walk(self, end: float) -> None:
        """Connect, secure, and ask. What failed stands in `attempt`. end: when to be back, monotonic."""
        opened: list[Opened] = []
        try:
            opened = await self._connect(end)
            good = [one for one in opened if one.sock is not None]
            if not good:
                self.attempt = _most_telling([one.attempt for one in opened], self._endpoint.host)
                return
            good.sort(key=lambda one: one.attempt.address != self._prefer)
            first = good[0]
            self.attempt = first.attempt
            if self._endpoint.scheme == "https":
                await self._secure(good[:_HANDSHAKES], end)
            elif first.sock is not None:
                first.link, first.sock = await plain(first.sock), None
            if first.link is not None:
                await self._ask(first.attempt, first.link, end)
        finally:
            for one in opened:
                if one.sock is not None:
                    one.sock.close()
                if one.link is not None:
                    await _leave(one.link)

    async def _connect(self, end: float) -> list[Opened]:
        """Connect to every address at once, and tell what came of each."""
        seconds = min(max(self._upstream.timeouts.connect + _BEYOND, 1.0), end - time.monotonic())
        if len(self.addresses) > 1:
            seconds = min(seconds, _OF_SEVERAL)
        places: list[tuple[str, int] | str] = [(ip, self._endpoint.port) for ip in self.addresses]
        return list(await asyncio.gather(*(self._open(one, seconds) for one in places or [self._endpoint.path])))

    async def _open(self, place: tuple[str, int] | str, seconds: float) -> Opened:
        one = Opened(self._new())
        attempt = one.attempt
        try:
            one.sock = await connect(attempt, place, seconds)
            text = f"connected in {duration((attempt.t_connected - attempt.t_start) * 1000)}"
        except Broken as broken:
            fail(attempt, broken)
            self._late(attempt)
            text = said(attempt)
        where = attempt.address.replace("unix:", "unix socket ") if self._endpoint.path else f"TCP {attempt.address}"
        self._take("tcp", where, one.sock is not None, text, attempt)
        return one

    async def _secure(self, opened: Sequence[Opened], end: float) -> None:
        """Do the handshake with each of these, as traffic does."""
        settings = self._upstream.tls
        try:
            tls = await aside(lambda: client_context(settings))
        except BadTlsFile as error:
            attempt = opened[0].attempt
            attempt.phase, attempt.t_end = TLS, time.monotonic()
            attempt.facts, attempt.cause = {"error": clean(str(error))}, catalogue()["gateway-misconfigured"]
            self._take("tls", f"TLS {attempt.address}", False, clean(str(error)), attempt)
            return
        name = (settings.name or self._endpoint.host).rstrip(".")
        seconds = min(max(self._upstream.timeouts.tls + _BEYOND, 1.0), end - time.monotonic())
        await asyncio.gather(*(self._handshake(one, tls, name, seconds) for one in opened))

    async def _handshake(self, one: Opened, tls: ssl.SSLContext, name: str, seconds: float) -> None:
        attempt, sock = one.attempt, one.sock
        assert sock is not None
        one.sock = None  # from here on it is the handshake's to close
        try:
            one.link = await secure(attempt, sock, name, tls, seconds)
            text = _session(one.link)
        except Broken as broken:
            fail(attempt, broken)
            self._late(attempt)
            text = said(attempt)
        self._take("tls", f"TLS {attempt.address}, name {clean(name, 80)}", one.link is not None, text, attempt)

    async def _ask(self, attempt: Attempt, link: Link, end: float) -> None:
        """Send the one GET, and read what comes."""
        attempt.phase = SEND
        reader = StrictReader(link, attempt, end, self._limits)
        request = self._request()
        try:
            link.writer.write(request)
            await within(end - time.monotonic(), SEND, link.writer.drain())
            attempt.sent, attempt.t_sent = len(request), time.monotonic()
            self.answer = await reader.read(f"{self._server.url}{self.path}")
            reader.look_behind()
        except OSError as error:
            fail(attempt, of_stream(error, SEND))
        except Broken as broken:
            fail(attempt, broken)
        self._late(attempt)
        label = f"GET {clean(self.path, 80)} at {attempt.address}, Host {clean(self.host, 80)}"
        ok = attempt.cause is None and self.answer is not None and self.answer.status < 500
        self._take("get", label, ok, outcome(attempt, self.answer), attempt, self.answer)

    def _request(self) -> bytes:
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: Headgate-Autopsy/{__version__}\r\n"
            "Accept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
        ).encode("utf-8", "replace")

    def _late(self, attempt: Attempt) -> None:
        """Let the first of the gateway's limits that was passed end the attempt; note where ours was the shorter one."""
        if overdue(attempt, self._upstream.timeouts) or flowing(attempt):
            return
        self.impatient = self.impatient or attempt.signal == s.DEADLINE

    def _new(self) -> Attempt:
        return Attempt(self.upstream, self._server.url, time.monotonic())

    def _named(self, attempt: Attempt, found: Addresses | None) -> None:
        """Tell what the name leads to. The gateway's own resolver is to a verdict what the system's is to a visitor's."""
        facts: dict[str, object] = {"resolver": "system", "name": self._endpoint.host}
        text = said(attempt) if found is None else ", ".join(self.addresses[:4])
        if found is not None:
            facts |= {"a": [ip for ip in self.addresses if ":" not in ip], "aaaa": [ip for ip in self.addresses if ":" in ip]}
            if found.trouble is not None:
                text += f"; these are the last good addresses: asking again fails ({found.trouble.signal})"
        label = f"DNS {self._endpoint.host}, asked as the gateway does"
        self._take("dns", label, found is not None, text, attempt, facts=facts)

    def _take(
        self,
        kind: str,
        label: str,
        ok: bool,
        text: str,
        attempt: Attempt,
        captured: Captured | None = None,
        facts: dict[str, object] | None = None,
    ) -> None:
        """Keep a look; the attempt goes on, so the look has it as it is now."""
        now, kept = time.monotonic(), copy(attempt)
        if kept.t_end < 0:
            kept.t_end = now
        facts = {"address": attempt.address} | times(kept) | (facts or {})
        at = attempt.t_start - self._begun
        self.looks.append(Look(kind, label, ok, text, at, kept.t_end - attempt.t_start, kept, captured, facts))


def _most_telling(failed: Sequence[Attempt], name: str) -> Attempt:
    """Return the failure to tell of several addresses: the one that the gateway tells."""
    found = min(failed, key=lambda attempt: RANK.get(attempt.signal or "", -1))
    if len(failed) > 1 and found.facts is not None:
        found.facts |= {"addresses": [attempt.address for attempt in failed], "name": name}
    return found


def _session(link: Link) -> str:
    """Return what a session shows: "TLSv1.3, the certificate ends 2026-01-02"."""
    tls = link.tls
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    version = (tls.version() if tls is not None else None) or "TLS"
    with suppress(ValueError):  # OpenSSL takes some that the stricter reader does not
        return f"{version}, the certificate ends {describe(der)['not_after'][:10]}" if der else version
    return version


async def _leave(link: Link) -> None:
    """Close in order: with TLS the server is told, so that it sees no error; but it is not waited for long."""
    link.writer.close()
    try:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_GOODBYE):
                await link.writer.wait_closed()
    finally:
        await link.close()
