"""Owns which addresses the probe may contact: public ones; others only when the user named them."""

import ipaddress
from typing import Final

_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")
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
    if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped is not None:
        one = one.ipv4_mapped
    if one.is_multicast:
        return False
    if named:
        return not any(one in network for network in _NEVER if network.version == one.version) or one.is_unspecified
    return one.is_global and not (one.version == 4 and one in _SHARED)
