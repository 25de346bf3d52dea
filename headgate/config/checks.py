"""Which settings will cause failures although they are valid: one function for each, found by its id."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, NamedTuple

from . import reachable
from .findings import Finding, Level, Path, Remark, Source
from .schema import Config, Upstream
from .units import show_duration, show_size


class Check(NamedTuple):
    """A check, under the name that findings carry."""

    id: str
    level: Level
    run: Callable[[Config], Iterator[Remark]]


CHECKS: list[Check] = []
"""Every check, in the order in which they run."""


def warnings(config: Config, source: Source) -> list[Finding]:
    """Return what every check has to say about a configuration, in the order of its file."""
    findings = [source.finding(check.level, remark, check.id) for check in CHECKS for remark in check.run(config)]
    return sorted(findings, key=lambda finding: finding.line)


def _check(
    id: str, level: Level = "warning"
) -> Callable[[Callable[[Config], Iterator[Remark]]], Callable[[Config], Iterator[Remark]]]:
    """Enter a function into the table of checks."""

    def enter(run: Callable[[Config], Iterator[Remark]]) -> Callable[[Config], Iterator[Remark]]:
        CHECKS.append(Check(id, level, run))
        return run

    return enter


# Times that contradict each other.


@_check("total-too-short")
def total_too_short(config: Config) -> Iterator[Remark]:
    """The time for the whole exchange ends before the times of its parts."""
    for place, upstream in _upstreams(config):
        times = upstream.timeouts
        tls = times.tls if _https(upstream) else 0.0
        parts = "connect + tls + head" if tls else "connect + head"
        needed = times.connect + tls + times.head
        if times.total < needed:
            message = (
                f'total ("{show_duration(times.total)}") ends before {parts} ("{show_duration(needed)}"): a slow answer that '
                f"head would allow ends as 504 response-total-timeout"
            )
            hint = f'write total = "{show_duration(needed)}" or more, or lower head'
            yield Remark((*place, "timeouts", "total"), message, hint)


@_check("retry-outlasts-total")
def retry_outlasts_total(config: Config) -> Iterator[Remark]:
    """All tries together, should each fail to connect, take longer than the whole exchange may."""
    for place, upstream in _upstreams(config):
        tries, times = upstream.retry.attempts, upstream.timeouts
        if tries > 1 and tries * times.connect > times.total:
            message = (
                f'{tries} tries of connect = "{show_duration(times.connect)}" outlast total ("{show_duration(times.total)}"): '
                f"while a server is silent, clients get 504 before the last try is made"
            )
            hint = f'write connect = "{show_duration(_rounded(times.total / tries))}" or less, or raise total'
            yield Remark((*place, "timeouts", "connect"), message, hint)


@_check("silence-outlasts-total")
def silence_outlasts_total(config: Config) -> Iterator[Remark]:
    """A bound on silence that is never reached, as the whole exchange ends first."""
    for place, upstream in _upstreams(config):
        times = upstream.timeouts
        for key, value in (("send", times.send), ("idle", times.idle)):
            if value > times.total:
                message = (
                    f'{key} ("{show_duration(value)}") is never reached, as total ends after "{show_duration(times.total)}": '
                    f"transfers that are slow but alive are cut"
                )
                yield Remark(
                    (*place, "timeouts", key), message, f'write total = "{show_duration(value * 2)}" or more, or lower {key}'
                )


@_check("keep-alive-outlasts-server", "note")
def keep_alive_outlasts_server(config: Config) -> Iterator[Remark]:
    """Connections are kept longer than common servers keep them; only told where the file says so itself."""
    for place, upstream in _upstreams(config):
        idle = upstream.keep_alive.idle
        if "idle" in upstream.keep_alive.model_fields_set and idle > _SHORTEST_KEEP_ALIVE and upstream.keep_alive.connections:
            message = (
                f'"{show_duration(idle)}" is longer than many servers keep an idle connection (gunicorn 2s, Node.js, uvicorn and '
                f"Apache 5s): a request on one that the server just closed fails as 502 closed-on-reuse. The pool learns a server's "
                f"limit from Keep-Alive and from the closes it sees, so this concerns the first ones"
            )
            yield Remark(
                (*place, "keep_alive", "idle"), message, 'write idle = "4s" for such a server, or raise its own keep-alive'
            )


@_check("idle-below-front-proxy")
def idle_below_front_proxy(config: Config) -> Iterator[Remark]:
    """A load balancer in front keeps idle connections longer than this gateway does."""
    idle = config.gateway.timeouts.idle
    if config.gateway.trusted_proxies and idle <= _FRONT_KEEP_ALIVE:
        message = (
            f'"{show_duration(idle)}" is not longer than a load balancer in front keeps an idle connection (AWS and nginx: 60s): '
            f"it then answers 502 by itself when it reuses a connection that was just closed here"
        )
        yield Remark(("gateway", "timeouts", "idle"), message, 'write idle = "75s", or longer than the balancer\'s')


_SHORTEST_KEEP_ALIVE: Final = 5.0
_FRONT_KEEP_ALIVE: Final = 60.0


# Servers.


@_check("no-server-up")
def no_server_up(config: Config) -> Iterator[Remark]:
    """Every server of an upstream is switched off."""
    for place, upstream in _upstreams(config):
        if all(server.down for server in upstream.servers):
            message = "every server has down = true: each request gets 503 no-healthy-server"
            yield Remark((*place, "servers"), message, "remove down from one of them, or write maintenance = true in the route")


@_check("single-server")
def single_server(config: Config) -> Iterator[Remark]:
    """One server, and nothing to fail over to."""
    for place, upstream in _upstreams(config):
        up = [server for server in upstream.servers if not server.down]
        if len(up) == 1 and _is_used(config, place[-1]):
            message = f"{up[0].url} is the only server, with nothing to fail over to: while it restarts, every request gets 502 connection-refused"
            yield Remark((*place, "servers"), message, f'add a second one: servers = ["{up[0].url}", "..."]')


@_check("same-server-twice")
def same_server_twice(config: Config) -> Iterator[Remark]:
    """The same server stands in an upstream more than once."""
    for place, upstream in _upstreams(config):
        seen = set()
        for number, server in enumerate(upstream.servers):
            if server.endpoint in seen:
                message = f"{server.url} is listed twice: another try after a failure may go to the very server that failed"
                yield Remark((*place, "servers", number), message, f'list it once: {{ url = "{server.url}", weight = 2 }}')
            seen.add(server.endpoint)


@_check("scheme-against-port")
def scheme_against_port(config: Config) -> Iterator[Remark]:
    """http on the port of https, or the other way round."""
    for place, upstream in _upstreams(config):
        for number, server in enumerate(upstream.servers):
            other = {("http", 443): "https", ("http", 8443): "https", ("https", 80): "http"}.get(
                (server.endpoint.scheme, server.endpoint.port)
            )
            if other:
                cause = "not-http-tls or an answer of 400" if other == "https" else "tls-plaintext-server"
                message = f"{server.url} speaks {server.endpoint.scheme} to a port where {other} is usual: 502 {cause}"
                yield Remark(
                    (*place, "servers", number), message, f'did you mean "{other}{server.url[server.url.index(":") :]}"?'
                )


@_check("unused-upstream")
def unused_upstream(config: Config) -> Iterator[Remark]:
    """No route leads to an upstream."""
    for place, _ in _upstreams(config):
        if not _is_used(config, place[-1]):
            yield Remark(place, "no route leads to this upstream", f'write upstream = "{place[-1]}" in a [[route]], or remove it')


@_check("few-requests-at-once")
def few_requests_at_once(config: Config) -> Iterator[Remark]:
    """So few requests at once that one page's worth is refused."""
    for place, upstream in _upstreams(config):
        room = upstream.max_requests * sum(not server.down for server in upstream.servers)
        if upstream.max_requests and 0 < room < _ONE_BROWSER:
            message = f"{room} requests at once in all: one browser opens 6 connections, and what is above gets 503 server-limit-reached"
            yield Remark((*place, "max_requests"), message, f"write max_requests = {_ONE_BROWSER} or more, or 0 for no limit")


_ONE_BROWSER: Final = 6


# TLS towards servers.


@_check("verify-off")
def verify_off(config: Config) -> Iterator[Remark]:
    """Certificates are not checked."""
    for place, upstream in _upstreams(config):
        if not upstream.tls.verify and _https(upstream):
            message = "whoever answers at the server's address is believed to be the server"
            yield Remark(
                (*place, "tls", "verify"),
                message,
                'write ca = "FILE.pem" with the authority of the server\'s certificate instead',
            )


@_check("tls-without-https")
def tls_without_https(config: Config) -> Iterator[Remark]:
    """A tls table beside servers that are all plain."""
    for place, upstream in _upstreams(config):
        if "tls" in upstream.model_fields_set and not _https(upstream):
            message = "this table has no effect: no server has an https URL, so a server that wants TLS answers 400 or closes"
            yield Remark((*place, "tls"), message, "write https:// in the servers' URLs, or remove the table")


@_check("tls-address-without-name")
def tls_address_without_name(config: Config) -> Iterator[Remark]:
    """A certificate is checked against an IP address, which few certificates name."""
    for place, upstream in _upstreams(config):
        if upstream.tls.verify and upstream.tls.name is None:
            for number, server in enumerate(upstream.servers):
                if server.endpoint.scheme == "https" and _is_address(server.endpoint.host):
                    message = (
                        f"the certificate of {server.url} must name that address, or it fails as 502 certificate-name-mismatch"
                    )
                    hint = f'write the name that it shows: [upstream.{place[-1]}.tls] name = "example.org"'
                    yield Remark((*place, "servers", number), message, hint)


# Clients.


@_check("everybody-trusted")
def everybody_trusted(config: Config) -> Iterator[Remark]:
    """Any client may say who it is."""
    open_to = [str(address) for address in config.gateway.addresses if not address.path and not _is_loopback(address.host)]
    for number, network in enumerate(config.gateway.trusted_proxies):
        if network.prefixlen == 0:
            where = f", and the gateway listens on {open_to[0]}" if open_to else ""
            message = f"{network} is everybody{where}: any client can pretend to be another one, past allow, deny and details_for"
            yield Remark(("gateway", "trusted_proxies", number), message, "write the networks of your own load balancers")


@_check("details-for-public")
def details_for_public(config: Config) -> Iterator[Remark]:
    """Strangers are told internal addresses."""
    for number, network in enumerate(config.gateway.details_for):
        if not _is_private(network):
            message = f"{network} is not a private network: strangers are told the addresses and answers of your servers"
            hint = 'write your own networks, such as "10.0.0.0/8" or "127.0.0.0/8"'
            yield Remark(("gateway", "details_for", number), message, hint)


@_check("small-request-header")
def small_request_header(config: Config) -> Iterator[Remark]:
    """Request heads are refused that servers would take."""
    limits = config.gateway.limits
    if limits.request_header_bytes < _COMMON_HEADER:
        message = (
            f'"{show_size(limits.request_header_bytes)}" is less than servers commonly take (8KiB and more): '
            f"browsers with a few cookies get 431 request-header-too-large"
        )
        yield Remark(("gateway", "limits", "request_header_bytes"), message, 'write request_header_bytes = "32KiB"')


@_check("small-response-header")
def small_response_header(config: Config) -> Iterator[Remark]:
    """Response heads are refused that servers do send."""
    limits = config.gateway.limits
    if limits.response_header_bytes < _COMMON_HEADER:
        message = (
            f'"{show_size(limits.response_header_bytes)}" is less than logins and long policies need: '
            f"502 header-section-too-large, often only for some users"
        )
        yield Remark(("gateway", "limits", "response_header_bytes"), message, 'write response_header_bytes = "64KiB"')


@_check("line-above-whole")
def line_above_whole(config: Config) -> Iterator[Remark]:
    """A limit for one line that the limit for all lines makes void."""
    limits = config.gateway.limits
    for line, whole in (
        ("request_line_bytes", "request_header_bytes"),
        ("response_header_line_bytes", "response_header_bytes"),
        ("trailer_line_bytes", "trailer_bytes"),
    ):
        if getattr(limits, line) > getattr(limits, whole):
            message = f'{line} ("{show_size(getattr(limits, line))}") is never reached, as {whole} ends at "{show_size(getattr(limits, whole))}"'
            key = whole if whole in limits.model_fields_set else line
            yield Remark(("gateway", "limits", key), message, f"write {whole} above {line}")


_COMMON_HEADER: Final = 8192


# Routes.


@_check("unreachable-route")
def unreachable_route(config: Config) -> Iterator[Remark]:
    """Other routes take every request that a route fits."""
    for number, takers in reachable.hidden(config.route):
        names = " and ".join(f'"{config.route[taker].label}"' for taker in takers)
        message = f"no request comes here: {names} {'is' if len(takers) == 1 else 'are'} preferred and takes all that would fit"
        yield Remark(("route", number), message, "remove it, or tell it apart by host, path, methods or headers")


@_check("route-for-nobody")
def route_for_nobody(config: Config) -> Iterator[Remark]:
    """A route's deny takes back all that its allow gives."""
    for number, route in enumerate(config.route):
        if _all_within(route.allow or _EVERYBODY, route.deny):
            message = "every client is denied: each request gets 403 request-denied"
            yield Remark(("route", number, "deny"), message, "write a network in allow that deny leaves")


@_check("host-with-default-port")
def host_with_default_port(config: Config) -> Iterator[Remark]:
    """A route asks for a port that clients leave out."""
    for number, route in enumerate(config.route):
        host, _, port = route.host.rpartition(":")
        if host and port in {"80", "443"}:
            message = f"clients leave :{port} out of Host where it is the default, so this route misses them: 404 no-route"
            yield Remark(("route", number, "host"), message, f'write host = "{host}", which fits with any port')


@_check("same-name-twice")
def same_name_twice(config: Config) -> Iterator[Remark]:
    """Two routes share a name."""
    seen = set()
    for number, route in enumerate(config.route):
        if route.name and route.name in seen:
            message = f'two routes are called "{route.name}": logs and metrics cannot tell which one failed'
            yield Remark(("route", number, "name"), message, "give each its own name")
        seen.add(route.name)


_EVERYBODY: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


# What several checks ask.


def _upstreams(config: Config) -> Iterator[tuple[tuple[str, str], Upstream]]:
    for name, upstream in config.upstream.items():
        yield ("upstream", name), upstream


def _https(upstream: Upstream) -> bool:
    return any(server.endpoint.scheme == "https" for server in upstream.servers)


def _is_used(config: Config, name: str) -> bool:
    return any(route.upstream == name for route in config.route)


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_private(network: IPv4Network | IPv6Network) -> bool:
    return network.is_private and network.prefixlen > 0


def _all_within(inner: Sequence[IPv4Network | IPv6Network], outer: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Return whether each inner network lies in one of the outer ones."""
    return all(any(_within(one, other) for other in outer) for one in inner)


def _within(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.prefixlen >= other.prefixlen and one.network_address in other


def _rounded(seconds: float) -> float:
    """Return a duration of two digits, not above the given one."""
    return int(seconds) if seconds >= 10 else int(seconds * 10) / 10 if seconds >= 1 else int(seconds * 1000) / 1000
