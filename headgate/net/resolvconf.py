"""Owns which DNS servers are asked, and which full names a short name may mean (resolv.conf(5))."""

from dataclasses import dataclass
from typing import Final

from .hosts import literal

Server = tuple[str, int]
"""A DNS server: (address, port)."""

_SERVERS_MAX: Final = 3
_SEARCH_MAX: Final = 6
_NDOTS_MAX: Final = 15


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What resolv.conf says."""

    servers: tuple[Server, ...] = (("127.0.0.1", 53),)
    search: tuple[str, ...] = ()
    ndots: int = 1

    def candidates(self, name: str) -> list[str]:
        """Return the absolute names (with final dot) to ask for, in order."""
        if name.endswith("."):
            return [name]
        longer = [f"{name}.{domain}." for domain in self.search]
        asis = f"{name}."
        return [asis, *longer] if name.count(".") >= self.ndots else [*longer, asis]


def parse_resolv_conf(text: str) -> ResolvConf:
    """Return the settings in a resolv.conf. Lines that make no sense are skipped, as every resolver does."""
    servers: list[Server] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and literal(words[1]):
            servers.append((words[1], 53))
        elif words[0] in ("search", "domain"):
            search = tuple(word.strip(".") for word in words[1:] if word.strip("."))
        elif words[0] == "options":
            ndots = _ndots(words[1:], ndots)
    return ResolvConf(tuple(servers[:_SERVERS_MAX]) or ResolvConf().servers, search[:_SEARCH_MAX], ndots)


def _ndots(options: list[str], ndots: int) -> int:
    for option in options:
        key, _, value = option.partition(":")
        if key == "ndots" and value.isdecimal():
            ndots = min(int(value), _NDOTS_MAX)
    return ndots


def parse_server(text: str) -> Server:
    """Return a DNS server from "address", "address:port", "[v6]" or "[v6]:port". Raises ValueError with a clear message."""
    if literal(text):
        return text.strip("[]"), 53
    host, colon, port = text.rpartition(":")
    address = literal(host)
    if not colon or address is None or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{text!r}: expected the address of a DNS server: 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:53")
    return address[1], int(port)
