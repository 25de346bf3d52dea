"""Owns what numbers prove about connections: kept ones that rest too long, waits that never paid, names, certificates."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from ..config.units import show_duration
from ..diagnose.timers import IDLE
from .advice import FEW, MOST, Case, Finding, above, below, gathered, of, percent, time
from .grouping import REUSE

_DAY: Final = 86_400.0
_SOON: Final = 21 * _DAY
"""Seconds before a certificate's end at which something should have renewed it."""
_MUCH: Final = 0.25
"""Share of a request's time that connecting may not take."""
_TIMED: Final = 30
"""Requests that have to be timed to go by."""
_SHORTEST_REST: Final = 0.5
"""Seconds of rest below which a reset is no matter of rest."""


def idle_too_long(case: Case) -> Iterator[Finding]:
    """Find upstreams that reset kept connections after a rest."""
    for upstream in case.names():
        found = case.figures(upstream, REUSE, "idle")
        values = found.values
        if len(values) < FEW:
            continue
        least = min(values)
        first, together = gathered(values)
        settings = case.settings(upstream)
        if together >= MOST * len(values):
            when, hits, rest = time(first), together, first
        else:
            when, hits, rest = f"{time(least)} or more", len(values), least
        to = below(rest)
        if rest < _SHORTEST_REST or (settings is not None and settings.keep_alive.idle <= to):
            continue
        yield Finding("idle-too-long", {
            "upstream": upstream, "hits": f"{hits:,}", "of": of(found), "when": when, "to": show_duration(to),
            "now": show_duration(settings.keep_alive.idle) if settings is not None else "not known",
            "whose": f", which is the default of {name}" if hits == together and (name := _default(rest)) else "",
        }, found.of)  # fmt: skip


def _default(rest: float) -> str:
    """Return whose default this is, "" where none is known. Connections are closed late rather than early."""
    return next((name for seconds, name in IDLE if seconds - 0.1 <= rest <= 1.05 * seconds + 0.3), "")


def connect_timeout_long(case: Case) -> Iterator[Finding]:
    """Find connect timeouts that are far longer than any answer takes."""
    for upstream in case.names():
        found = case.figures(upstream, ("connection-timeout",), "limit timeouts.connect")
        settings = case.settings(upstream)
        timed, seconds = _pace(case, upstream)
        if len(found.values) < FEW or timed < _TIMED or settings is None:
            continue
        now, to = settings.timeouts.connect, above(max(0.25, 20 * seconds / timed))
        if to < now:
            yield Finding("connect-timeout-long", {
                "upstream": upstream, "of": f"{found.of:,}", "now": show_duration(now), "usual": time(seconds / timed),
                "to": show_duration(to),
            }, found.of)  # fmt: skip


def _pace(case: Case, upstream: str) -> tuple[float, float]:
    """Return how many answers of an upstream were timed, and the seconds until they began."""
    bodies = [body for (name, _), body in case.servers.items() if name == upstream]
    return sum(body.get("timed", 0) for body in bodies), sum(body.get("seconds", 0.0) for body in bodies)


def connecting_too_much(case: Case) -> Iterator[Finding]:
    """Find upstreams where connecting takes a good part of the time."""
    for upstream in case.names():
        timed, *spans = case.of_upstream(upstream, "spans") or [0.0]
        if timed < _TIMED:
            continue
        whole, connecting = sum(spans), spans[2] + spans[3]
        settings = case.settings(upstream)
        if whole and connecting >= _MUCH * whole and connecting / timed >= 0.001:
            yield Finding("connecting-too-much", {
                "upstream": upstream, "share": percent(connecting / whole), "timed": f"{timed:,.0f}",
                "each": time(connecting / timed), "whole": time(whole / timed),
                "now": settings.keep_alive.connections if settings is not None else "not known",
            }, connecting)  # fmt: skip


def certificate_ends(case: Case) -> Iterator[Finding]:
    """Find certificates that end soon: of servers, as active checks see them, and our own."""
    for one in case.present.get("certificates", ()):
        left = float(one["ends"]) - case.until
        if left < _SOON:
            when = f"in {max(0.0, left) / _DAY:.0f} days" if left > 0 else "has ended"
            yield Finding("certificate-ends", {
                "upstream": one.get("upstream", ""), "server": one.get("server", ""), "name": one["name"], "when": when,
                "until": datetime.fromtimestamp(float(one["ends"]), UTC).strftime("%Y-%m-%d %H:%M UTC"),
            }, 1e9 if left < 3 * _DAY else 1e6)  # fmt: skip


def dns_stale(case: Case) -> Iterator[Finding]:
    """Find names that are no longer answered."""
    names = case.present.get("names", {})
    stale = int(names.get("stale", 0))
    if stale and case.config is not None:
        yield Finding("dns-stale", {
            "stale": stale, "names": sum(int(count) for count in names.values()),
            "now": show_duration(case.config.gateway.dns.keep_stale),
        }, 1000.0)  # fmt: skip


def dns_fails(case: Case) -> Iterator[Finding]:
    """Find upstreams whose names did not resolve, for no reason that lasts."""
    passing = ("dns-timeout", "dns-server-failure", "dns-refused", "dns-answer-invalid")
    for upstream in case.names():
        counts: dict[str, int] = {}
        for one in case.incidents:
            for (cause, _), tally in one.causes.items() if one.upstream == upstream else ():
                if cause in passing:
                    counts[cause] = counts.get(cause, 0) + tally.failed
        if sum(counts.values()) >= FEW and case.config is not None and len(case.config.gateway.dns.servers) < 2:
            yield Finding("dns-fails", {
                "upstream": upstream, "of": f"{sum(counts.values()):,}",
                "causes": ", ".join(f"{cause} {count:,}" for cause, count in sorted(counts.items())),
                "now": show_duration(case.config.gateway.dns.keep_stale),
            }, sum(counts.values()))  # fmt: skip


RULES: Final = (idle_too_long, connect_timeout_long, connecting_too_much, certificate_ends, dns_stale, dns_fails)
