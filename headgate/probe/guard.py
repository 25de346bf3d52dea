"""Owns which addresses the probe may contact: public ones; others only when the user named them."""

import ipaddress
from typing import Final

_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")
_SITE_LOCAL: Final = ipaddress.ip_network("fec0::/10")
_TRANSLATED: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_NEVER: Final = (ipaddress.ip_network("0.0.0.0/8"), ipaddress.ip_network("::/128"))


def allowed(address: str, named: bool) -> bool:
    """Return whether an address may be contacted.

    named: the user wrote this address, or a name that leads to it. Else loopback, private, link-local (with it the clouds'
    metadata service), shared (RFC 6598), reserved and multicast addresses are left alone. The unspecified one is this machine.
    """
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(one, ipaddress.IPv6Address):
        one = _inside(one) or one
    if one.is_multicast:
        return False
    if named:
        return not any(one in network for network in _NEVER if network.version == one.version) or one.is_unspecified
    if one.version == 6 and one in _SITE_LOCAL:
        return False
    return one.is_global and not (one.version == 4 and one in _SHARED)


def _inside(one: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to: mapped, 6to4 (RFC 3056), NAT64 (RFC 6052); None for others."""
    if one.ipv4_mapped is not None or one.sixtofour is not None:
        return one.ipv4_mapped or one.sixtofour
    if int(one) > 1 and any(one in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
    return None
