"""Which settings about staying up contradict each other: an error, for one of the two could never take effect."""

from collections.abc import Iterator
from ipaddress import ip_address

from .endpoints import parse_listen
from .findings import Path, Remark
from .resilience import Retry
from .schema import Config, Upstream
from .units import show_duration

_HASHED = ("ring-hash", "maglev")
_LONGEST_WINDOW = 3600.0
"""Seconds over which requests are counted at most, one number for each second."""
_ONLY_SECURE = ("__secure-", "__host-")
"""Beginnings of cookies' names that browsers take over TLS only (RFC 6265bis section 4.1.3)."""


def contradictions(config: Config) -> Iterator[Remark]:
    """Yield a remark for each pair of settings of which one makes the other meaningless."""
    yield from _admin(config)
    for name, upstream in config.upstream.items():
        place: Path = ("upstream", name)
        yield from _hashing(place, upstream)
        yield from _limits(place, upstream)
        yield from _times(place, upstream)
        yield from _sticking(place, upstream, secure=config.gateway.tls is not None)
        yield from _retries((*place, "retry"), upstream.retry, upstream)
    for number, route in enumerate(config.route):
        if route.retry is not None and route.upstream in config.upstream:
            yield from _retries(("route", number, "retry"), route.retry, config.upstream[route.upstream])


def _hashing(place: Path, upstream: Upstream) -> Iterator[Remark]:
    if upstream.policy in _HASHED and upstream.hash_on is None:
        hint = 'write hash_on = "client", "path", "header:NAME" or "cookie:NAME"'
        yield Remark((*place, "policy"), f"{upstream.policy} without a key to hash", hint)
    if upstream.policy not in _HASHED and upstream.hash_on is not None:
        hint = 'write policy = "ring-hash" (or "maglev"), or remove hash_on'
        yield Remark((*place, "hash_on"), f"{upstream.policy} hashes nothing", hint)


def _limits(place: Path, upstream: Upstream) -> Iterator[Remark]:
    each, total, connections = upstream.max_requests, upstream.max_total_requests, upstream.max_connections
    if each and total and each > total:
        yield Remark((*place, "max_requests"), f"{each} for each server, but {total} for all together (max_total_requests)")
    if each and connections and each > connections:
        message = f"{each} requests at once for each server, over {connections} connections (max_connections)"
        yield Remark((*place, "max_requests"), message, "one connection carries one request at a time: make it no larger")
    adaptive = upstream.adaptive
    if adaptive is not None and adaptive.least > adaptive.most:
        yield Remark((*place, "adaptive", "least"), f"least ({adaptive.least}) is above most ({adaptive.most})")
    if upstream.queue is not None and not (each or total or connections or adaptive):
        hint = "write max_requests, max_connections, max_total_requests or an adaptive table, or remove the queue"
        yield Remark((*place, "queue"), "a queue, but no limit above which requests would wait in it", hint)


def _times(place: Path, upstream: Upstream) -> Iterator[Remark]:
    health, ejection, breaker = upstream.health, upstream.ejection, upstream.breaker
    if health is not None:
        yield from _ordered((*place, "health"), ("timeout", health.timeout), ("interval", health.interval))
    for name, window in (("ejection", ejection.window), ("breaker", breaker.window if breaker is not None else 0.0)):
        if window > _LONGEST_WINDOW:
            expected = f'at most "{show_duration(_LONGEST_WINDOW)}"'
            yield Remark((*place, name, "window"), f'window ("{show_duration(window)}") is too long to count over', "", expected)
    yield from _ordered((*place, "ejection"), ("base", ejection.base), ("longest", ejection.longest))
    if breaker is not None:
        yield from _ordered((*place, "breaker"), ("open", breaker.open), ("longest", breaker.longest))
    if upstream.queue is not None:
        total = ("timeouts.total", upstream.timeouts.total)
        yield from _ordered((*place, "queue"), ("wait", upstream.queue.wait), total)


def _sticking(place: Path, upstream: Upstream, *, secure: bool) -> Iterator[Remark]:
    if upstream.sticky is not None and not secure and upstream.sticky.cookie.lower().startswith(_ONLY_SECURE):
        message = f'browsers refuse a cookie called "{upstream.sticky.cookie}" without TLS, and gateway.tls is absent'
        yield Remark((*place, "sticky", "cookie"), message, "write another name")


def _retries(place: Path, retry: Retry, upstream: Upstream) -> Iterator[Remark]:
    """Compare the deadlines of tries with those of the whole exchange."""
    times = upstream.timeouts
    total = ("timeouts.total", times.total)
    yield from _ordered(place, ("backoff", retry.backoff), ("longest_backoff", retry.longest_backoff))
    if retry.hold is not None:
        yield from _ordered(place, ("hold", retry.hold), total)
    if retry.per_try is not None:
        yield from _ordered(place, ("per_try", retry.per_try), total)
        slow = max(("timeouts.connect", times.connect), ("timeouts.tls", times.tls), key=lambda pair: pair[1])
        if retry.per_try < slow[1] and {"connect", "tls"} & times.model_fields_set:
            message = f'per_try ("{show_duration(retry.per_try)}") ends a try before {slow[0]} ("{show_duration(slow[1])}") does'
            yield Remark((*place, "per_try"), message, "", f"{slow[0]} no longer than per_try")
    if retry.hedge_after is not None:
        if upstream.sticky is not None:
            hint = "remove one of the two"
            yield Remark((*place, "hedge_after"), "a second server is asked, but sticky keeps each client with one", hint)
        limit = ("per_try", retry.per_try) if retry.per_try is not None else ("timeouts.head", times.head)
        yield from _ordered(place, ("hedge_after", retry.hedge_after), limit)
        if retry.attempts < 2:
            hint = "write attempts = 2"
            yield Remark((*place, "hedge_after"), "a second server is asked, but attempts = 1 allows no second try", hint)


def _ordered(place: Path, low: tuple[str, float], high: tuple[str, float]) -> Iterator[Remark]:
    """Say that one duration must not be longer than another."""
    if low[1] > high[1]:
        message = f'{low[0]} ("{show_duration(low[1])}") is longer than {high[0]} ("{show_duration(high[1])}")'
        yield Remark((*place, low[0]), message, "", f"{low[0]} no longer than {high[0]}")


def _admin(config: Config) -> Iterator[Remark]:
    admin = config.gateway.admin
    for key, listen in (("listen", admin.listen), ("dashboard", admin.dashboard)):
        if listen in ("auto", "off") or admin.token is not None:
            continue
        address = parse_listen(listen)
        if not address.path and not _loopback(address.host):
            or_socket = " or a unix socket" * (key == "listen")
            hint = f'write token = "FILE" beside it, or listen on 127.0.0.1{or_socket}'
            yield Remark(("gateway", "admin", key), f"{address} can be reached from other machines, and no token is asked", hint)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
