"""What may come in at all, before an upstream is asked for: rate limits, and requests at once of a route and of the gateway."""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from ..config import schema
from ..config.forms import parsed_rate
from ..model.signals import LIMIT, OVERLOAD, RATE
from ..traffic.gaugenames import REQUESTS, of_route
from ..traffic.ratelimit import Buckets, Rate, fields
from ..traffic.shared import Gauge
from ..wire.fields import find

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

_NETWORK: Final = 0xFFFF_FFFF_FFFF_FFFF << 64
"""What tells one IPv6 customer from another: an address's first 64 bits; of the others each has as many as it likes."""
_LONGEST: Final = 256


class Door:
    """The limits of one route."""

    __slots__ = ("_buckets", "_burst", "_counted", "_gauges", "_key", "_name", "_rate", "_rule", "_text", "_window")

    @staticmethod
    def of(route: schema.Route, worker: "Worker") -> "Door | None":
        """Return the door of a route, None when everything may come in."""
        return Door(route, worker) if route.rate_limit or route.max_requests or worker.limits.requests else None

    def __init__(self, route: schema.Route, worker: "Worker") -> None:
        counted: list[tuple[Gauge, int, str, str]] = []
        if worker.limits.requests:
            counted.append((worker.counting.of(REQUESTS), worker.limits.requests, OVERLOAD, "limits.requests"))
        if route.max_requests:
            counted.append((worker.counting.of(of_route(route.label)), route.max_requests, LIMIT, "route.max_requests"))
        self._counted = tuple(counted)
        self._gauges = tuple(gauge for gauge, *_ in counted)
        self._name = route.label
        self._rule = route.label.encode()
        self._rate: Rate | None = None
        self._buckets: Buckets | None = None
        if (limit := route.rate_limit) is not None:
            self._text = limit.rate
            self._rate = rate = Rate(*parsed_rate(limit.rate))
            self._burst = limit.burst or rate.requests
            self._window = rate.window(self._burst)
            self._key = _key_of(limit.by)
            self._buckets = worker.counting.buckets

    def lets_in(self, flow: "Ending") -> bool:
        """Count a request in; False when it was refused."""
        if self._buckets is not None and not self._in_time(flow, self._buckets):
            return False
        for gauge, most, signal, name in self._counted:
            seen = gauge.total()
            if seen >= most:
                flow.refuse(signal, {"limit": name, "limit_value": most, "seen": seen})
                return False
        for gauge in self._gauges:
            gauge.up()
        flow.held = self._gauges
        return True

    def _in_time(self, flow: "Ending", buckets: Buckets) -> bool:
        """Take one request out of the client's bucket."""
        rate = self._rate
        assert rate is not None
        verdict = buckets.take(self._rule, self._key(flow), rate.per_second, self._burst, flow.t_begin)
        flow.notes += fields(verdict, self._burst, self._window)
        if verdict.allowed:
            return True
        flow.refuse(RATE, {"limit": "rate_limit.rate", "error": self._text, "retry_after": round(verdict.retry_after, 3)})
        return False


def _key_of(by: str) -> Callable[["Ending"], bytes]:
    """Return how a rate limit tells clients apart."""
    kind, _, name = by.partition(":")
    if kind == "client":
        return _address
    field = name.encode()

    def value(flow: "Ending") -> bytes:
        found = find(flow.raw, field)
        return b"=" + found[:_LONGEST] if found else _address(flow)

    return value


def _address(flow: "Ending") -> bytes:
    """Return the client's address, IPv6 by its network of 64 bits; an IPv4 address is the same in either way of writing it."""
    text = flow.client
    if ":" not in text:
        return text.encode()
    try:
        address = IPv6Address(text.partition("%")[0])
    except ValueError:
        return text.encode()
    if (mapped := address.ipv4_mapped) is not None:
        return str(mapped).encode()
    return b"%x" % (int(address) & _NETWORK)
