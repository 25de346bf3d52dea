"""Owns what the gateway knows of names: addresses in memory, asked again ahead of their expiry, and kept when DNS fails."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from socket import AF_INET, AF_INET6
from time import monotonic
from typing import Final

import dns.exception
import dns.name
import dns.rdatatype

from ..config.schema import Dns
from ..model import signals as s
from .dnsanswer import Reply, Unresolved, most_telling
from .dnsquestion import Question
from .hosts import Address, Hosts, literal
from .resolvconf import ResolvConf, parse_resolv_conf, parse_server
from .watchedfile import WatchedFile

__all__ = ["Addresses", "Resolver", "Unresolved"]

NAMES_MAX: Final = 4096
"""Names remembered; the ones known longest go first."""
OTHER_FAMILY_DELAY: Final = 0.05
"""How long one family's addresses wait for the other's answer, seconds (RFC 8305 section 3)."""
KEEP_WARM: Final = 60.0
"""A name that was used within this time is asked again before it expires, seconds."""
ASK_AGAIN: Final = 5.0
"""While the last good addresses stand in for failing DNS, it is asked again this often, seconds."""
FAILURE_TTL: Final = 1.0
"""How long a failure is remembered, seconds (RFC 9520 section 3.2 asks for one at least)."""
NEGATIVE_TTL_MAX: Final = 5.0
INVALIDATE_EVERY: Final = 1.0
FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a name, in the order in which to try them: the families in turn, IPv6 first (RFC 8305 section 4)."""

    name: str
    addresses: tuple[Address, ...]
    expires: float = FOREVER  # monotonic
    partial: bool = False  # one family's answer is still awaited
    trouble: Unresolved | None = None  # why these are the last good addresses instead of fresh ones

    @property
    def stale(self) -> bool:
        """DNS failed: these are the last good addresses."""
        return self.trouble is not None


class _Entry:
    """What is known of one name."""

    __slots__ = ("addresses", "asked", "expires", "failure", "good_until", "known", "name", "ready", "task", "timer", "used")

    def __init__(self, name: str) -> None:
        self.name = name
        self.addresses: Addresses | None = None
        self.failure: Unresolved | None = None
        self.known: frozenset[Address] = frozenset()  # the last complete answer
        self.expires = 0.0  # until when addresses or failure stand
        self.good_until = 0.0  # until when the addresses may stand in
        self.asked = -FOREVER
        self.used = 0.0
        self.task: asyncio.Task[None] | None = None
        self.ready: asyncio.Future[None] | None = None  # first usable result of the running task
        self.timer: asyncio.TimerHandle | None = None


Changed = Callable[[str, tuple[str, ...], tuple[str, ...]], object]
"""Takes a name, its addresses before, and those it has now."""


class Resolver:
    """Name → addresses, for one event loop. Healthy requests only use `lookup`, which never waits."""

    def __init__(self, settings: Dns, resolv_conf: str = "/etc/resolv.conf") -> None:
        """settings: `[gateway.dns]`. Raises ValueError where a configured server is no address."""
        self._settings = settings
        self._servers = tuple(parse_server(text) for text in settings.servers)
        self._conf = WatchedFile(resolv_conf, parse_resolv_conf)
        self._hosts = Hosts(settings.hosts_file)
        self._entries: dict[str, _Entry] = {}
        self.changed: Changed | None = None  # hears when a name has other addresses than before, or none any more

    def lookup(self, name: str) -> Addresses | None:
        """Return the addresses if they are in memory: literal, in the hosts file, or resolved and still good."""
        entry = self._entries.get(name)
        if entry is not None:
            now = monotonic()
            entry.used = now
            return entry.addresses if now < entry.expires else None
        address = literal(name)
        if address is not None:
            return Addresses(name, (address,))
        known = self._hosts.find(name)
        return Addresses(name, _interleave(known)) if known else None

    async def resolve(self, name: str, whole: bool = False) -> Addresses:
        """Return the addresses, asking DNS where memory does not know. Raises Unresolved.

        whole: wait until both families have answered, instead of taking the quicker one's addresses.
        """
        found = self.lookup(name)
        if found is not None and not (whole and found.partial):
            return found
        entry = self._entry(name)
        if entry.task is None:
            if entry.failure is not None and monotonic() < entry.expires:
                raise entry.failure.again()
            self._ask(entry)
        assert entry.task is not None
        assert entry.ready is not None
        await asyncio.shield(entry.task if whole else entry.ready)
        if entry.addresses is not None:
            return entry.addresses
        raise entry.failure.again() if entry.failure else Unresolved(s.STOPPING, {"name": name})

    def invalidate(self, name: str) -> None:
        """Ask again at once, because connecting failed; the old addresses stand until the answer comes. At most once a second."""
        entry = self._entries.get(name)
        if entry is not None and entry.task is None and monotonic() - entry.asked >= INVALIDATE_EVERY:
            self._ask(entry)

    async def renewed(self, name: str) -> Addresses | None:
        """Return what the query brings that `invalidate` began, None where none is under way or it failed."""
        entry = self._entries.get(name)
        if entry is None or entry.task is None:
            return None
        await asyncio.shield(entry.task)
        return self.lookup(name)

    def count(self) -> dict[str, int]:
        """Return how many names are remembered: good ones, those whose last good addresses stand in, and those that failed."""
        known = list(self._entries.values())
        stale = sum(entry.addresses is not None and entry.addresses.stale for entry in known)
        failed = sum(entry.addresses is None and entry.failure is not None for entry in known)
        return {"good": sum(entry.addresses is not None for entry in known) - stale, "stale": stale, "failed": failed}

    def close(self) -> None:
        """End background work."""
        for entry in self._entries.values():
            _forget(entry)
            if entry.task is not None:
                with suppress(RuntimeError):  # the loop is closed already
                    entry.task.cancel()
        self._entries.clear()

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            if len(self._entries) >= NAMES_MAX:
                _forget(self._entries.pop(next(iter(self._entries))))
            entry = self._entries[name] = _Entry(name)
            entry.used = monotonic()
        return entry

    def _ask(self, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        entry.asked = monotonic()
        entry.ready = loop.create_future()
        entry.task = loop.create_task(self._refresh(entry, entry.ready))

    async def _refresh(self, entry: _Entry, ready: "asyncio.Future[None]") -> None:
        """Ask, and write the result into the entry."""
        try:
            known = self._hosts.find(entry.name)
            if known:
                self._succeed(entry, known, self._settings.max_ttl, partial=False)
            else:
                await self._ask_dns(entry, ready)
        except Unresolved as failure:
            self._fail(entry, failure)
        except Exception as exc:  # whatever an odd answer may have broken, the waiting requests must hear of it
            self._fail(entry, Unresolved(s.UNEXPECTED, {"name": entry.name, "error": f"{type(exc).__name__}: {exc}"[:300]}))
        finally:
            entry.task = None
            if not ready.done():
                ready.set_result(None)
        self._plan(entry)

    async def _ask_dns(self, entry: _Entry, ready: "asyncio.Future[None]") -> None:
        """Ask for each full name that this one may mean, until one exists. Raises Unresolved."""
        conf = self._conf.get()
        if self._servers:
            conf = replace(conf, servers=self._servers)
        failures: dict[str, Unresolved] = {}
        for candidate in conf.candidates(entry.name):
            left = entry.asked + self._settings.timeout - monotonic()
            try:
                await self._ask_both(entry, ready, candidate, conf, max(left, 0.001))
                return
            except Unresolved as failure:
                failures[candidate] = failure
                if not failure.certain:
                    break
        asis = entry.name.rstrip(".") + "."
        raise failures.get(asis) or most_telling(list(failures.values()))

    async def _ask_both(
        self, entry: _Entry, ready: "asyncio.Future[None]", candidate: str, conf: ResolvConf, left: float
    ) -> None:
        """Ask for A and AAAA at once; one is enough, the other gets a moment more. Raises Unresolved when both fail."""
        try:
            name = dns.name.from_text(candidate)
        except (dns.exception.DNSException, UnicodeError) as exc:
            error = f"not a possible name: {str(exc) or type(exc).__name__}"
            raise Unresolved(s.MISCONFIGURED, {"name": entry.name, "error": error}) from None
        loop = asyncio.get_running_loop()
        kinds = (dns.rdatatype.AAAA, dns.rdatatype.A)
        tasks = [loop.create_task(Question(name, kind, conf.servers, left).ask()) for kind in kinds]
        try:
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if pending and self._take(entry, tasks, partial=None):
                _, pending = await asyncio.wait(pending, timeout=OTHER_FAMILY_DELAY)
                if pending and monotonic() >= entry.expires:  # somebody waits; otherwise what we have is better than a half
                    self._take(entry, tasks, partial=True)
                    ready.set_result(None)
            if pending:
                await asyncio.wait(pending)
        finally:
            for task in tasks:
                task.cancel()
        if not self._take(entry, tasks, partial=False):
            outcomes = [task.result() for task in tasks]
            raise most_telling([outcome for outcome in outcomes if isinstance(outcome, Unresolved)])

    def _take(self, entry: _Entry, tasks: "list[asyncio.Task[Reply | Unresolved]]", partial: bool | None) -> bool:
        """Say whether there are addresses so far, and write them into the entry (partial None: do not write)."""
        replies = [task.result() if task.done() else None for task in tasks]
        found: list[Address] = []
        ttls = []
        for family, reply in zip((AF_INET6, AF_INET), replies, strict=True):
            if isinstance(reply, Reply):
                found += [(family, address) for address in reply.addresses]
                ttls.append(reply.ttl)
        if found and partial is not None:
            self._succeed(entry, tuple(found), min(ttls), partial)
        return bool(found)

    def _succeed(self, entry: _Entry, addresses: tuple[Address, ...], ttl: float, partial: bool) -> None:
        now = monotonic()
        expires = now + min(max(ttl, self._settings.min_ttl), self._settings.max_ttl)
        entry.addresses = Addresses(entry.name, _interleave(addresses), expires, partial)
        entry.failure = None
        entry.expires = expires
        entry.good_until = expires + self._settings.keep_stale
        if not partial:
            self._compare(entry, frozenset(addresses))

    def _compare(self, entry: _Entry, found: frozenset[Address]) -> None:
        before, entry.known = entry.known, found
        if before and before != found and self.changed is not None:
            self.changed(entry.name, *(tuple(sorted(address for _, address in of)) for of in (before, found)))

    def _fail(self, entry: _Entry, failure: Unresolved) -> None:
        now = monotonic()
        if "limit" in failure.facts:
            failure.facts["limit_value"] = self._settings.timeout
        if entry.addresses is not None and not failure.certain and now < entry.good_until:
            entry.expires = min(now + ASK_AGAIN + self._settings.timeout, entry.good_until)
            entry.addresses = replace(entry.addresses, trouble=failure, expires=entry.expires, partial=False)
            return
        if failure.certain:
            self._compare(entry, frozenset())
        entry.addresses = None
        entry.failure = failure
        entry.expires = now + (min(max(failure.ttl, FAILURE_TTL), NEGATIVE_TTL_MAX) if failure.certain else FAILURE_TTL)

    def _plan(self, entry: _Entry) -> None:
        """Set the time for asking again: early enough that the answer is there before the addresses expire."""
        if entry.addresses is None or self._entries.get(entry.name) is not entry:
            return
        left = entry.expires - monotonic()
        ahead = max(left / 10, min(self._settings.timeout, left / 2))
        entry.timer = asyncio.get_running_loop().call_later(max(0.0, left - ahead), self._ahead, entry)

    def _ahead(self, entry: _Entry) -> None:
        entry.timer = None
        if entry.task is None and monotonic() - entry.used < KEEP_WARM:
            self._ask(entry)


def _interleave(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    six = [address for address in addresses if address[0] == AF_INET6]
    four = [address for address in addresses if address[0] == AF_INET]
    return tuple(address for address in chain.from_iterable(zip_longest(six, four)) if address is not None)


def _forget(entry: _Entry) -> None:
    """Plan nothing more. A task that runs goes on, for those who wait for it."""
    if entry.timer is not None:
        entry.timer.cancel()
        entry.timer = None
