"""The heads that go on, and what they say about the way here: Host, Via, CDN-Loop, Forwarded, X-Forwarded-*, X-Request-Id.

Untrusted clients cannot spoof any of it: what they send of these fields is replaced. What a trusted proxy sends is continued.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from ..wire.fields import find
from ..wire.framing import CHUNKED
from ..wire.request import (
    CDN_LOOP,
    FORWARDED,
    MAX_FORWARDS,
    VIA,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    X_REQUEST_ID,
    RequestHead,
)
from ..wire.response import ResponseHead
from ..wire.write import CHUNKED_LINE, CLOSE_LINE, KEEP_ALIVE_LINE, content_length

Networks = Sequence[IPv4Network | IPv6Network]

_TAKES_BODY: Final = frozenset((b"POST", b"PUT", b"PATCH"))
"""Methods whose empty body is announced, because servers expect a length (RFC 9110 section 8.6)."""
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~:@/+=-]{1,128}")
_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9._-]+")


def within(address: str, networks: Networks) -> bool:
    """Tell whether an address lies in one of the networks; IPv4-mapped IPv6 addresses count as IPv4. Text that is none: False."""
    if not networks:
        return False
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip.version == network.version and ip in network for network in networks)


def told_client(managed: Mapping[int, bytes], peer: str, trusted: Networks) -> str:
    """Return the client's address as trusted proxies tell it: the last one in X-Forwarded-For that is not itself trusted."""
    chain = [part.strip() for part in managed.get(X_FORWARDED_FOR, b"").decode("latin-1").split(",") if part.strip()]
    for address in reversed(chain):
        try:
            ip_address(address)
        except ValueError:
            return peer
        peer = address
        if not within(address, trusted):
            break
    return peer


def told_reference(managed: Mapping[int, bytes]) -> str | None:
    """Return the X-Request-Id of a trusted proxy, where it is one plain token of at most 128 characters."""
    value = managed.get(X_REQUEST_ID)
    return value.decode() if value and _TOKEN.fullmatch(value) else None


def told_scheme(managed: Mapping[int, bytes], scheme: str) -> str:
    """Return the scheme that a trusted proxy saw, or `scheme`."""
    value = managed.get(X_FORWARDED_PROTO, b"").lower()
    return value.decode() if value in (b"http", b"https") else scheme


def forwarding_lines(peer: str, scheme: str, host: bytes, managed: Mapping[int, bytes] | None = None) -> bytes:
    """Return the Forwarded and X-Forwarded-* lines (RFC 7239).

    peer: address of the connection's other end, or "unix". managed: the fields that a trusted proxy sent, None for other peers.
    """
    managed = managed or {}
    address = peer.encode()
    chain = managed.get(X_FORWARDED_FOR, b"")
    proto = told_scheme(managed, scheme).encode()
    told_host = managed.get(X_FORWARDED_HOST, host)
    named = b"" if not host else b"host=%b;" % host if _PLAIN_HOST.fullmatch(host) else b'host="%b";' % host
    element = b"for=%b;%bproto=%b" % (_node(peer), named, proto)
    before = managed.get(FORWARDED, b"")
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n%bForwarded: %b\r\n" % (
        chain + b", " + address if chain else address,
        proto,
        b"X-Forwarded-Host: %b\r\n" % told_host if told_host else b"",  # HTTP/1.0 may come without a host
        before + b", " + element if before else element,
    )


def _node(peer: str) -> bytes:
    """Return a node identifier of RFC 7239 section 6."""
    if peer == "unix":
        return b"_unix"
    return b'"[%b]"' % peer.encode() if ":" in peer else peer.encode()


def is_loop(head: RequestHead, pseudonym: bytes) -> str | None:
    """Return the name of the field that shows this gateway has seen the request before (RFC 9110 7.6.3, RFC 8586), or None."""
    managed = head.managed
    if managed is None:
        return None
    for field, name in ((VIA, "Via"), (CDN_LOOP, "CDN-Loop")):
        value = managed.get(field)
        if value is not None and pseudonym in re.split(rb"[\s,;]+", value):
            return name
    return None


def request_lines(head: RequestHead, host: bytes, forwarding: bytes, reference: str, via: bytes) -> bytes:
    """Return the head that goes to the server, empty line included (RFC 9110 section 7.6).

    host: value of Host; forwarding: lines of `forwarding_lines`; via: the gateway's own Via and CDN-Loop lines.
    """
    length = head.length
    if length == 0:
        framing = content_length(0) if head.method in _TAKES_BODY else b""
    else:
        framing = CHUNKED_LINE if length == CHUNKED else content_length(length)
    if head.expect or head.te_trailers or head.upgrade:
        framing += _rare_lines(head)
    if head.managed is not None and MAX_FORWARDS in head.managed:
        framing += b"Max-Forwards: %b\r\n" % _hops_left(head.method, head.managed[MAX_FORWARDS])
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%bX-Request-Id: %b\r\n%b%b\r\n" % (
        head.method,
        head.forward_target,
        host,
        head.forward,
        forwarding,
        reference.encode(),
        via,
        framing,
    )


def last_hop(head: RequestHead) -> bool:
    """Tell whether an OPTIONS request asks for this gateway, not for what is behind it (RFC 9110 section 7.6.2)."""
    return head.method == b"OPTIONS" and head.managed is not None and head.managed.get(MAX_FORWARDS) == b"0"


def _hops_left(method: bytes, value: bytes) -> bytes:
    """Return Max-Forwards as it goes on: one less for OPTIONS, untouched for methods that give it no meaning."""
    return b"%d" % (int(value) - 1) if method == b"OPTIONS" and value.isdigit() and len(value) < 10 else value


def _rare_lines(head: RequestHead) -> bytes:
    """Return the lines that few requests have."""
    lines = b"Expect: 100-continue\r\n" if head.expect else b""
    nominated = []
    if head.te_trailers:
        lines += b"TE: trailers\r\n"
        nominated.append(b"TE")
    if head.upgrade:
        lines += b"Upgrade: %b\r\n" % head.upgrade
        nominated.append(b"Upgrade")
    if nominated:
        lines += b"Connection: %b\r\n" % b", ".join(nominated)
    return lines


def is_dated(lines: bytes) -> bool:
    """Tell whether a response has a Date; a gateway adds one that is missing (RFC 9110 section 6.6.1). Usual spelling first."""
    return b"\nDate: " in lines or lines.startswith(b"Date: ") or find(lines, b"date") is not None


def response_lines(head: ResponseHead, *, minor: int, keep: bool, extra: bytes) -> bytes:
    """Return the head that goes to the client, empty line included, in the framing that this client understands.

    minor: the client's HTTP minor version; keep: its connection serves another request afterwards; extra: lines of the gateway's.
    """
    if head.announced >= 0:
        framing = content_length(head.announced)
    elif head.length < 0 and minor:
        framing = CHUNKED_LINE
    else:
        framing = b""
    if not keep:
        framing += CLOSE_LINE
    elif not minor:
        framing += KEEP_ALIVE_LINE
    return b"HTTP/1.1 %b\r\n%b%b%b\r\n" % (head.reason_line, head.forward, framing, extra)
