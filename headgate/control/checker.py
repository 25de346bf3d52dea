"""Owns when the servers of an upstream are checked, and what of it is told: not each check, but each new verdict."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from random import random
from typing import Any, Final

from ..config.resilience import HealthCheck
from ..config.schema import Upstream
from ..net.resolve import Resolver
from ..net.tls import client_context
from ..traffic.health import Streak
from ..wire.limits import WireLimits
from .checklook import Look, Seen

Heard = Callable[[str, str, str], None]
"""Takes a server's label, "check-passed" or "check-failed", and why."""
_FIRST: Final = 1.0
"""Seconds within which every server is checked for the first time."""
_DAY: Final = 86_400.0


class Checker:
    """Checks the servers of one upstream, each by a task of its own, until it is stopped."""

    def __init__(
        self,
        name: str,
        settings: Upstream,
        resolver: Resolver,
        heard: Heard,
        note: Callable[[str], None],
        limits: WireLimits | None = None,
    ) -> None:
        """name: the upstream's. settings: with `health`. heard: is told when so many checks in a row as configured agree.

        note: writes a line to the error log. limits: those of the gateway's reader; the usual ones when None.
        Raises BadTlsFile, and ValueError where the settings have no active checks.
        """
        if settings.health is None:
            raise ValueError(f"upstream {name} has no active checks")
        secured = any(server.endpoint.scheme == "https" for server in settings.servers)
        tls = client_context(settings.tls) if secured else None
        wire = limits or WireLimits()
        self._servers = {
            server.url: _Server(name, server.url, settings.health, Look(name, settings, server, resolver, tls, wire), heard, note)
            for server in settings.servers
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to check, with the running loop."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(server.run()) for server in self._servers.values()]

    def stop(self) -> None:
        """End all checks; nothing is told any more."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def forget(self, label: str) -> None:
        """Have no verdict about a server, so that the next one is told even if it is the same. Raises KeyError."""
        self._servers[label].streak.forget()

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return for each server, by its label, what its last check saw; the times are None before the first one.

        ok (None: no check yet, or it failed for a reason of the gateway's own), cause (code), text, latency_ms, at (wall-clock
        seconds), count (checks so far), certificate_ends (RFC 3339, "" without).
        """
        return {label: server.describe() for label, server in self._servers.items()}


class _Server:
    """The checks of one server."""

    def __init__(
        self, upstream: str, label: str, checks: HealthCheck, look: Look, heard: Heard, note: Callable[[str], None]
    ) -> None:
        self._upstream, self._label, self._look, self._heard, self._note = upstream, label, look, heard, note
        self._checks = checks
        self._last: Seen | None = None
        self._count = 0
        self._complaint = ""  # the last one about ourselves, until a check goes well again
        self._warned = float("-inf")  # when the end of the certificate was noted, monotonic
        self.streak = Streak(checks.rise, checks.fall)

    async def run(self) -> None:
        """Check for ever."""
        await asyncio.sleep(random() * min(self._checks.interval, _FIRST))
        while True:
            begun = time.monotonic()
            try:
                self._take(await self._look.once())
            except Exception as error:  # an error of ours must end neither the checks nor a server
                problem = f"{type(error).__name__}: {error}"
                self._complain(problem, f"a check failed by an error of the gateway: {problem}")
            took = time.monotonic() - begun
            await asyncio.sleep(max(0.0, pause(self._checks.interval, self._checks.jitter, random()) - took))

    def _take(self, seen: Seen) -> None:
        """Take in what a check saw."""
        self._last = seen
        self._count += 1
        if seen.ok is None:
            self._complain(seen.cause, f"a check says nothing about the server: {seen.text}")
            return
        self._complaint = ""
        if self.streak.passed() if seen.ok else self.streak.failed():
            try:
                self._heard(self._label, "check-passed" if seen.ok else "check-failed", self._why(seen))
            except BaseException:
                self.streak.forget()  # it was not heard, so it has to be told again
                raise
        if seen.ends:
            self._look_at_certificate(seen.ends)

    def _why(self, seen: Seen) -> str:
        needed = self._checks.rise if seen.ok else self._checks.fall
        became = "passed" if seen.ok else "failed"
        return f"{f'{needed} checks in a row' if needed > 1 else 'the check'} {became}: {seen.text}"

    def _look_at_certificate(self, ends: str) -> None:
        """Warn once a day while the certificate's end is near."""
        days = self._checks.certificate_days
        left = datetime.fromisoformat(ends).timestamp() - time.time()
        now = time.monotonic()
        if not days or left >= days * _DAY or now - self._warned < _DAY:
            return
        self._note(f"{self._upstream}: certificate of {self._label} {remaining(left)} ({ends[:10]})")
        self._warned = now

    def _complain(self, kind: str, text: str) -> None:
        """Note trouble of our own, once until it is over or another kind."""
        if kind != self._complaint:
            self._complaint = kind
            with suppress(Exception):  # not even a full disk ends the checks
                self._note(f"{self._upstream}: {self._label}: {text}")

    def describe(self) -> dict[str, Any]:
        last = self._last
        return {
            "ok": last.ok if last is not None else None,
            "cause": last.cause if last is not None else "",
            "text": last.text if last is not None else "",
            "latency_ms": round(last.ms, 1) if last is not None else None,
            "at": last.at if last is not None else None,
            "count": self._count,
            "certificate_ends": last.ends if last is not None else "",
        }


def pause(interval: float, jitter: float, draw: float) -> float:
    """Return the seconds from one check to the next. jitter: share of the interval. draw: at random, from 0 to below 1."""
    return interval * (1 + jitter * (2 * draw - 1))


def remaining(seconds: float) -> str:
    """Return in words when a certificate ends: "ends in 6 days"; for a negative time when it ended."""
    days, ended = int(abs(seconds) // _DAY), seconds < 0
    span = f"{days} day{'s' * (days != 1)}" if days else "less than a day"
    return f"ended {span} ago" if ended else f"ends in {span}"
