"""Owns what a server's place means before it is dialled: the Host that names it, and whether it lies in a denied network."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from ..config.endpoints import Endpoint
from .hosts import Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052)."""


def authority(endpoint: Endpoint) -> bytes:
    """Return what Host says when it names this server (RFC 9110 section 7.2): the default port is left out."""
    if endpoint.path:
        return b"localhost"
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    usual = {"http": 80, "https": 443}[endpoint.scheme]
    return (host if endpoint.port == usual else f"{host}:{endpoint.port}").encode()


def denied(addresses: Iterable[Address], networks: tuple[IPv4Network | IPv6Network, ...]) -> list[str]:
    """Return those of the addresses that lie in one of the networks; IPv4 in IPv6 clothes counts as IPv4."""
    found = []
    for _, text in addresses:
        address = ip_address(text.partition("%")[0])
        faces = [address]
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is not None:
                faces.append(address.ipv4_mapped)
            elif address in _NAT64:
                faces.append(ip_address(address.packed[-4:]))
        if any(face in network for face in faces for network in networks):
            found.append(text)
    return found
