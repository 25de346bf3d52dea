"""Owns which names are known without DNS: literal addresses, the hosts file, and localhost (RFC 6761)."""

import socket
from typing import Final

from .watchedfile import WatchedFile

Address = tuple[int, str]
"""(socket.AF_INET or socket.AF_INET6, the address as text)."""

_LOOPBACK: Final[tuple[Address, ...]] = ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))


def literal(text: str) -> Address | None:
    """Return the address that a text spells ("10.0.0.5", "::1", "[::1]", "fe80::1%eth0"), None for names.

    Only the usual spelling of IPv4 counts (four decimal numbers): "127.1" and "0x7f000001" are names, and unknown ones.
    """
    if ":" in text:
        bare = text.strip("[]")
        return (socket.AF_INET6, bare) if _is(socket.AF_INET6, bare.partition("%")[0]) else None
    return (socket.AF_INET, text) if text[-1:].isdigit() and _is(socket.AF_INET, text) else None


def _is(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


class Hosts:
    """The hosts file: name → addresses, re-read when it changes."""

    def __init__(self, path: str) -> None:
        self._file = WatchedFile(path, _parse)

    def find(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name (any case, a final dot is ignored), () when the file does not know it."""
        wanted = name.rstrip(".").lower()
        found = self._file.get().get(wanted, ())
        if not found and (wanted == "localhost" or wanted.endswith(".localhost")):
            return _LOOPBACK
        return found


def _parse(text: str) -> dict[str, tuple[Address, ...]]:
    names: dict[str, tuple[Address, ...]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        address = literal(words[0]) if words else None
        for name in words[1:] if address is not None else ():
            assert address is not None
            known = names.get(name.lower(), ())
            if address not in known:
                names[name.lower()] = (*known, address)
    return names
