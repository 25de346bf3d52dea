"""Owns what numbers prove about single servers, and about the room that there is for requests."""

from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from ..config.units import show_duration
from .advice import FEW, Case, Finding, percent, time

_DAY: Final = 86_400.0
_TIMED: Final = 20
_SLOWER: Final = 2.0
_BY: Final = 0.010
"""Answers that have to be timed; so many times slower than the others, and seconds by which at least."""
_TRIES: Final = 50
_WORSE: Final = 10.0
_SHARE: Final = 0.01
"""Tries at a server to go by; so many times more failures than at the others, and the least share of them."""
_CHANGES: Final = 6
_MUCH: Final = 0.25
"""Share of a request's time that may pass before it is sent."""
_REFUSED: Final = ("server-limit-reached", "gateway-overloaded")


def _by_upstream(case: Case) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (upstream, server), body in case.servers.items():
        found.setdefault(upstream, {})[server] = body
    return found


def slow_server(case: Case) -> Iterator[Finding]:
    """Find servers that are slower than the others of their upstream."""
    for upstream, servers in _by_upstream(case).items():
        paces = {label: body["seconds"] / body["timed"] for label, body in servers.items() if body.get("timed", 0) >= _TIMED}
        settings = case.settings(upstream)
        for label, mine in paces.items():
            others = [pace for other, pace in paces.items() if other != label]
            if not others or mine < max(_SLOWER * median(others), median(others) + _BY):
                continue
            yield Finding("slow-server", {
                "upstream": upstream, "server": label, "mine": time(mine), "others": time(median(others)),
                "timed": f"{servers[label]['timed']:,.0f}", "now": settings.policy if settings is not None else "not known",
            }, mine * servers[label].get("requests", 0), label)  # fmt: skip


def one_bad_server(case: Case) -> Iterator[Finding]:
    """Find servers that fail where the others of their upstream do not."""
    for upstream, servers in _by_upstream(case).items():
        for label, body in servers.items():
            requests, failed = body.get("requests", 0), body.get("failed", 0)
            others = [one for other, one in servers.items() if other != label]
            theirs = sum(one.get("requests", 0) for one in others)
            if requests < _TRIES or theirs < _TRIES or failed < FEW:
                continue
            share, usual = failed / requests, sum(one.get("failed", 0) for one in others) / theirs
            if share >= _SHARE and share >= _WORSE * usual:
                yield Finding("one-bad-server", {
                    "upstream": upstream, "server": label, "failed": f"{failed:,}", "requests": f"{requests:,}",
                    "share": percent(share), "others": percent(usual) if usual else "none",
                }, failed, label)  # fmt: skip


def flapping(case: Case) -> Iterator[Finding]:
    """Find servers that are taken out and let in again and again."""
    changes: Counter[tuple[str, str, str]] = Counter(
        (upstream, server, kind) for _, kind, _, upstream, server in case.events if kind in ("server", "ejected") and server
    )
    for upstream, server in sorted({(upstream, server) for upstream, server, _ in changes}):
        checked, ejected = changes[upstream, server, "server"], changes[upstream, server, "ejected"]
        if checked + ejected < _CHANGES:
            continue
        days = max(1.0, (case.until - case.since) / _DAY)
        by_traffic = ejected >= checked / 2
        what = (
            "Its requests fail often enough to have it ejected, and not for long: look at what it does under load, and why."
            if by_traffic
            else "Its active checks pass and fail in turn: look at what the checks ask for, give them more time (`timeout`), "
            f"or have them ask more often before they judge (`fall`, `rise` in `[upstream.{upstream}.health]`)."
        )
        yield Finding("flapping", {
            "upstream": upstream, "server": server, "of": f"{checked + ejected:,}", "rate": f"{(checked + ejected) / days:.3g}",
            "what": what, "key": "" if by_traffic else f"upstream.{upstream}.health.fall",
        }, checked + ejected, server)  # fmt: skip


def requests_limit(case: Case) -> Iterator[Finding]:
    """Find limits on requests at once that refused some."""
    for one in case.incidents:
        refused = sum(tally.failed for (cause, _), tally in one.causes.items() if cause in _REFUSED)
        kinds: dict[str, Any] = {}
        for cause in _REFUSED:
            kinds |= one.figures.get(cause, {})
        for name, (_, values) in kinds.items():
            limit = name.removeprefix("limit ")
            if limit != name and values:
                numbers = {"of": f"{refused:,}", "limit": limit, "now": f"{max(values):g}"}
                if one.upstream and not limit.startswith(("limits.", "route.")):
                    queue = ", the queue being full" if limit == "queue.size" else ""
                    key = f"upstream.{one.upstream}.{limit}"
                    yield Finding("requests-limit", {**numbers, "upstream": one.upstream, "key": key, "waited": queue}, refused)
                else:
                    yield Finding(
                        "gateway-limit", {**numbers, "key": limit if limit.startswith("route.") else f"gateway.{limit}"}, refused
                    )


def queue_too_slow(case: Case) -> Iterator[Finding]:
    """Find queues in which requests wait until they are refused."""
    for upstream in case.names():
        found = case.figures(upstream, ("queue-timed-out",), "limit queue.wait")
        timed, before, *_ = case.of_upstream(upstream, "spans") or [0.0, 0.0]
        if len(found.values) >= FEW and found.values:
            yield Finding("queue-too-slow", {
                "upstream": upstream, "of": f"{found.of:,}", "now": show_duration(max(found.values)),
                "before": time(before / timed) if timed else "not long",
            }, found.of)  # fmt: skip


def waiting_for_a_turn(case: Case) -> Iterator[Finding]:
    """Find upstreams whose requests wait before they are sent."""
    for upstream in case.names():
        timed, *spans = case.of_upstream(upstream, "spans") or [0.0]
        if timed >= _TIMED and spans[0] >= _MUCH * sum(spans) and spans[0] / timed >= _BY:
            yield Finding("waiting-for-a-turn", {
                "upstream": upstream, "timed": f"{timed:,.0f}", "each": time(spans[0] / timed), "whole": time(sum(spans) / timed),
            }, spans[0])  # fmt: skip


RULES: Final = (slow_server, one_bad_server, flapping, requests_limit, queue_too_slow, waiting_for_a_turn)
