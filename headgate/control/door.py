"""Decides which Host names the admin API, by where it listens (against DNS rebinding), and whether other machines reach it."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Door:
    """Where the API is asked, and what callers must show."""

    host: str = ""  # as configured; "" for a unix socket
    port: int = 0  # bound; 0 for a unix socket
    token: bytes = b""  # b"": none is asked for
    url: str = ""  # where people reach it through something else, such as a proxy that speaks TLS; "" for nowhere

    @property
    def near(self) -> bool:
        """Tell whether only this machine can reach it."""
        return not self.port or is_loopback(self.host)

    def is_ours(self, authority: str) -> bool:
        """Tell whether a Host names this door: an address (or localhost) with the bound port; behind a unix socket any port.

        Names are refused, as whoever owns a name can make it lead here, but for the one that is configured; of those that are
        not asked over the network only loopback ones fit, as other addresses do not lead here.
        """
        if self._is_known(authority):
            return True
        found = _HOST.fullmatch(authority)
        if found is None:
            return not authority and not self.port
        host, port = found[1].strip("[]").lower(), int(found[2] or 80)
        if self.port and port != self.port:
            return False
        if host == "localhost" or (not self.near and host in (self.host.lower(), socket.gethostname().lower())):
            return True
        return is_loopback(host) if self.near else _is_address(host)

    def origin(self, authority: str, scheme: str) -> str:
        """Return what a browser calls the pages that it finds at a Host which is ours (RFC 6454)."""
        return f"{urlsplit(self.url).scheme if self._is_known(authority) else scheme}://{authority}".lower()

    def _is_known(self, authority: str) -> bool:
        """Tell whether a Host is the one of the configured address, in which browsers leave out the usual port."""
        known = urlsplit(self.url)
        usual = {"https": ":443", "http": ":80"}.get(known.scheme, "")
        return bool(known.netloc) and authority.lower() in (known.netloc.lower(), known.netloc.lower().removesuffix(usual))


def is_loopback(host: str) -> bool:
    """Tell whether an address or name means this machine to itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
