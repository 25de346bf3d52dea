"""Which routes no request reaches, or none that is let in."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from .. import reachable
from ..findings import Remark
from ..schema import Config
from ..values import Network
from .registry import check

_EVERYBODY: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@check("unreachable-route")
def unreachable_route(config: Config) -> Iterator[Remark]:
    """Other routes take every request that a route fits."""
    for number, takers in reachable.hidden(config.route):
        names = " and ".join(f'"{config.route[taker].label}"' for taker in takers)
        message = f"no request comes here: {names} {'is' if len(takers) == 1 else 'are'} preferred and takes all that would fit"
        yield Remark(("route", number), message, "remove it, or tell it apart by host, path, methods or headers")


@check("route-for-nobody")
def route_for_nobody(config: Config) -> Iterator[Remark]:
    """A route's deny takes back all that its allow gives."""
    for number, route in enumerate(config.route):
        if _all_within(route.allow or _EVERYBODY, route.deny):
            message = "every client is denied: each request gets 403 request-denied"
            yield Remark(("route", number, "deny"), message, "write a network in allow that deny leaves")


@check("host-with-default-port")
def host_with_default_port(config: Config) -> Iterator[Remark]:
    """A route asks for a port that clients leave out."""
    for number, route in enumerate(config.route):
        host, _, port = route.host.rpartition(":")
        if host and port in {"80", "443"}:
            message = f"clients leave :{port} out of Host where it is the default, so this route misses them: 404 no-route"
            yield Remark(("route", number, "host"), message, f'write host = "{host}", which fits with any port')


@check("same-name-twice")
def same_name_twice(config: Config) -> Iterator[Remark]:
    """Two routes share a name."""
    seen = set()
    for number, route in enumerate(config.route):
        if route.name and route.name in seen:
            message = f'two routes are called "{route.name}": logs and metrics cannot tell which one failed'
            yield Remark(("route", number, "name"), message, "give each its own name")
        seen.add(route.name)


def _all_within(inner: Sequence[Network], outer: Sequence[Network]) -> bool:
    """Return whether each inner network lies in one of the outer ones."""
    return all(any(_within(one, other) for other in outer) for one in inner)


def _within(one: Network, other: Network) -> bool:
    return one.version == other.version and one.prefixlen >= other.prefixlen and one.network_address in other
