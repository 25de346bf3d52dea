"""Owns the look at one address: whether it takes a TCP connection, and whether this machine has a way to anywhere."""

import errno
import socket
import time
from pathlib import Path

from ..diagnose.looks import Look
from ..diagnose.sentence import duration
from ..model import signals as s
from ..model.exchange import Attempt
from ..net.failing import Broken, fail
from ..net.streams import connect


async def tcp_look(host: str, ip: str, port: int, seconds: float, begun: float) -> Look:
    """Connect to an address of `host`, and close again. It never raises."""
    at = time.monotonic()
    attempt = Attempt("", host, at)
    facts = {"address": f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}", "family": "IPv6" if ":" in ip else "IPv4"}
    label = f"TCP {facts['address']}"
    try:
        sock = await connect(attempt, (ip, port), seconds)
    except Broken as broken:
        if broken.signal == s.NO_PORTS and ":" in ip and not has_ipv6():  # Linux has one error for both
            broken = Broken(broken.phase, s.UNREACHABLE, {**broken.facts, "errno": errno.ENETUNREACH})
        fail(attempt, broken)
        text = said(attempt)
        return Look("tcp", label, False, text, at - begun, time.monotonic() - at, attempt, facts=facts)
    sock.close()
    attempt.t_end = time.monotonic()
    took = duration((attempt.t_end - at) * 1000)
    return Look("tcp", label, True, f"connected in {took}", at - begun, attempt.t_end - at, attempt, facts=facts)


def said(attempt: Attempt) -> str:
    """Return why an attempt failed, in words, with how long it took."""
    cause = attempt.cause
    title = cause.title if cause is not None else attempt.signal or "failed"
    took = duration((attempt.t_end - attempt.t_start) * 1000)
    return f"{title[:1].lower() + title[1:] if title[1:2].islower() else title}, after {took}"


def has_ipv6() -> bool:
    """Return whether this machine has a route to the IPv6 Internet. Nothing is sent."""
    return _has_route(socket.AF_INET6, "2001:db8::1")


def has_network() -> bool:
    """Return whether this machine has a route to anywhere beyond itself. Nothing is sent."""
    return has_ipv6() or _has_route(socket.AF_INET, "192.0.2.1")


def _has_route(family: int, address: str) -> bool:
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        return False
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))  # of a datagram socket: the kernel only looks for a route
    except OSError:
        return False
    return True
