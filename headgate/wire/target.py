"""Owns what a request is aimed at: the reading of request targets and hosts, and their one canonical form."""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

from .memory import Memory

TARGET_OCTETS: Final = bytes(octet for octet in range(0x21, 0x7F) if octet != 0x23)
"""What may stand in a target: visible ASCII, but no "#", which begins a fragment (RFC 9112 3.2)."""

_DOT, _PERCENT = b".%"  # as numbers, which are searched for faster than bytes
_SCHEME = re.compile(rb"https?://", re.IGNORECASE)
_NAME = re.compile(rb"([A-Za-z0-9._~-]+)(?::([0-9]{0,5}))?")
_LITERAL = re.compile(rb"\[([0-9A-Fa-f:.]+)\](?::([0-9]{0,5}))?")
_LONGEST_HOST: Final = 255 + 6  # a DNS name and a port


class Target(NamedTuple):
    """A request target in its canonical form."""

    forward: bytes  # origin-form or "*", dot segments resolved
    path: bytes  # without the query
    authority: bytes | None  # of an absolute-form target, not yet checked


def read_target(method: bytes, target: bytes) -> Target | int:
    """Return the target, or the offset of the first byte that makes it illegal (RFC 9112 3.2).

    Origin-form, absolute-form with http or https, and "*" with OPTIONS are legal.
    """
    illegal = target.translate(None, TARGET_OCTETS)
    if illegal:
        return min(target.index(octet) for octet in set(illegal))
    if target[:1] == b"/":
        return _canonical(target, None)
    if target == b"*" and method == b"OPTIONS":
        return Target(b"*", b"*", None)
    scheme = _SCHEME.match(target)
    if scheme is None:
        return 0
    return _absolute(method, target, scheme.end())


def _absolute(method: bytes, target: bytes, start: int) -> Target:
    """Return the target of an absolute-form that has its authority at `start`."""
    ends = [at for at in (target.find(b"/", start), target.find(b"?", start)) if at >= 0]
    end = min(ends, default=len(target))
    authority, rest = target[start:end], target[end:]
    if not rest and method == b"OPTIONS":
        return Target(b"*", b"*", authority)  # RFC 9112 3.2.4: what the last proxy makes of it
    return _canonical(rest if rest[:1] == b"/" else b"/" + rest, authority)


def _canonical(target: bytes, authority: bytes | None) -> Target:
    path, mark, query = target.partition(b"?")
    path = resolve_dots(path)
    return Target(path + mark + query, path, authority)


def has_dots(path: bytes) -> bool:
    """Return whether a path may have dot segments."""
    return (_DOT in path and b"/." in path) or (_PERCENT in path and b"/%2" in path)


def resolve_dots(path: bytes) -> bytes:
    """Return a path without "." and ".." segments, also where their dots are written %2e (RFC 3986 5.2.4).

    Everything else stays as it is: %2F, empty segments, parameters.
    """
    if not has_dots(path):
        return path
    kept: list[bytes] = []
    last = b""
    for segment in path[1:].split(b"/"):
        last = segment.replace(b"%2e", b".").replace(b"%2E", b".")
        if last == b"..":
            del kept[-1:]
        elif last != b".":
            kept.append(segment)
    if last in (b".", b".."):
        kept.append(b"")  # "/a/.." is the folder "/", with its slash
    return b"/" + b"/".join(kept)


def read_host(value: bytes) -> bytes | None:
    """Return a Host value (or authority) in lower case, with its port if it has one; None when it is illegal.

    Stricter than RFC 3986: no userinfo, no percent-encoding, and none of the punctuation that no DNS name has, because two
    readers could take such a name for different hosts.
    """
    match = _NAME.fullmatch(value) if len(value) <= _LONGEST_HOST else None
    if match is None:
        match = _LITERAL.fullmatch(value)
        if match is None or not _is_ipv6(match[1]):
            return None
    port = match[2]
    if port and int(port) > 65_535:
        return None
    return value.lower() if port != b"" else value[:-1].lower()


HOSTS: Final = Memory(read_host)
"""`read_host` with a memory."""


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True
