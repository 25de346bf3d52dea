"""Owns which URLs are understood: http and https, with a host; user and password are dropped, and never kept."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import idna

from ..diagnose.redact import clean, redact_target
from ..net.hosts import literal

_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(?=//|[^0-9])")
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?")
_LONGEST: Final = 8192


class BadUrl(ValueError):
    """A URL cannot be used. The message says what was expected; it shows no credentials."""


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL, taken apart."""

    scheme: str
    host: str  # ASCII, lower case, an IPv6 address without brackets
    port: int
    target: str  # path and query, at least "/"
    guessed: bool = False  # no scheme was written
    user_info: bool = False  # user or password were written; they are not kept

    @property
    def authority(self) -> str:
        """What stands in Host: the port only where it is not the scheme's own."""
        return self.authority_for(self.scheme)

    def authority_for(self, scheme: str) -> str:
        """Return what would stand in Host with another scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] or self.port == _PORTS[scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL, normalised, without credentials and fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Return a URL taken apart; without a scheme https is taken, as browsers do. Raises BadUrl."""
    wanted = text.strip()
    shown = clean(redact_target(wanted), 100)
    if not wanted or len(wanted) > _LONGEST:
        raise BadUrl(
            "a URL is expected, such as https://example.org/" if not wanted else f"{shown}: longer than {_LONGEST} bytes"
        )
    if re.search(r"[\x00-\x20\x7f]", wanted):
        raise BadUrl(f"{shown}: a URL has no spaces and no control characters")
    scheme = _SCHEME.match(wanted)
    if scheme and "://" not in wanted and scheme[1].lower() not in _PORTS and re.match(r"[^/]*:\d+(/|$)", wanted):
        scheme = None  # localhost:8080
    if scheme and scheme[1].lower() not in _PORTS:
        raise BadUrl(f"{shown}: {scheme[1]} is no scheme that is examined; expected http or https")
    try:
        parts = urlsplit(wanted if scheme else f"https://{wanted}")
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"{shown}: {error}") from None
    if port == 0:
        raise BadUrl(f"{shown}: port 0 cannot be connected to")
    if not parts.hostname:
        raise BadUrl(f"{shown}: a host is expected, such as https://example.org/")
    kind = parts.scheme.lower()
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="/%:@!$&'()*+,;=?-._~[]|^`{}\"<>\\#")
    target = re.sub(r"[\"<>\\^`{|}#]", lambda hit: f"%{ord(hit[0]):02X}", target)
    return Url(kind, _host(parts.hostname, shown), port or _PORTS[kind], target, not scheme, parts.username is not None)


def _host(host: str, shown: str) -> str:
    found = literal(f"[{host}]" if ":" in host else host)
    if found is not None:
        return found[1]
    if ":" in host:
        raise BadUrl(f"{shown}: {clean(host, 60)} is no IPv6 address")
    try:
        name = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise BadUrl(f"{shown}: {clean(host, 60)} is no possible name ({error})") from None
    if not _HOST.fullmatch(name) or ".." in name or any(len(label) > 63 for label in name.split(".")):
        raise BadUrl(f"{shown}: {clean(host, 60)} is no possible name")
    return name
