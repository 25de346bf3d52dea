"""How a check is written: a function that yields remarks on a valid configuration, entered under the id that findings carry."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from ..findings import Level, Remark
from ..schema import Config, Upstream

Run = Callable[[Config], Iterator[Remark]]


class Check(NamedTuple):
    """A check; the first line of its function's docstring says what it is about."""

    id: str
    level: Level
    run: Run


CHECKS: list[Check] = []
"""Every check."""


def check(id: str, level: Level = "warning") -> Callable[[Run], Run]:
    """Enter a function into the table of checks."""

    def enter(run: Run) -> Run:
        CHECKS.append(Check(id, level, run))
        return run

    return enter


# What several checks ask.


def upstreams(config: Config) -> Iterator[tuple[tuple[str, str], Upstream]]:
    """Yield (its path, the upstream) for each."""
    for name, upstream in config.upstream.items():
        yield ("upstream", name), upstream


def speaks_https(upstream: Upstream) -> bool:
    """Return whether any server has an https URL."""
    return any(server.endpoint.scheme == "https" for server in upstream.servers)


def is_address(host: str) -> bool:
    """Return whether a host is an IP address rather than a name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
