"""Owns which signal a kernel error means, as two tables: one for TCP, one for what differs on unix sockets."""

import errno as e
import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from ..model import signals as s

TCP: Final[Mapping[int, str]] = {
    e.ECONNREFUSED: s.REFUSED,
    e.ETIMEDOUT: s.DEADLINE,  # the kernel's own patience ended before ours (tcp_syn_retries)
    e.ENETUNREACH: s.UNREACHABLE,  # no route on this machine, or a router said so
    e.EHOSTUNREACH: s.UNREACHABLE,  # nobody answers ARP or neighbour discovery, or a router said so
    e.ENETDOWN: s.UNREACHABLE,
    e.EHOSTDOWN: s.UNREACHABLE,
    e.ENONET: s.UNREACHABLE,
    e.ENOPROTOOPT: s.UNREACHABLE,  # ICMP "protocol unreachable"
    e.EACCES: s.PROHIBITED,  # a route of type "prohibit", or SELinux
    e.EPERM: s.PROHIBITED,  # netfilter on this machine
    e.ECONNRESET: s.RESET,
    e.ECONNABORTED: s.RESET,
    e.EPIPE: s.RESET,
    e.EPROTO: s.RESET,
    e.EADDRNOTAVAIL: s.NO_PORTS,
    e.EADDRINUSE: s.NO_PORTS,
    e.EAGAIN: s.NO_PORTS,  # connect(2): no more free local ports, or full routing cache
    e.EMFILE: s.NO_FILES,
    e.ENFILE: s.NO_FILES,
    e.ENOBUFS: s.NO_MEMORY,
    e.ENOMEM: s.NO_MEMORY,
    e.EINVAL: s.MISCONFIGURED,
    e.EAFNOSUPPORT: s.MISCONFIGURED,
    e.EPROTONOSUPPORT: s.MISCONFIGURED,
    e.EPROTOTYPE: s.MISCONFIGURED,
    e.ENAMETOOLONG: s.MISCONFIGURED,
    e.ELOOP: s.MISCONFIGURED,
}
"""errno of a TCP connect → signal."""

UNIX: Final[Mapping[int, str]] = {
    **TCP,
    e.ENOENT: s.MISSING,
    e.ENOTDIR: s.MISSING,
    e.EACCES: s.FORBIDDEN,
    e.EPERM: s.FORBIDDEN,
    e.EAGAIN: s.BACKLOG,
    # ECONNREFUSED stays REFUSED: a socket file that a dead process left behind, or no socket at all.
}
"""errno of a unix socket's connect → signal."""

OURS: Final = frozenset({s.NO_FILES, s.NO_MEMORY, s.UNEXPECTED})
"""Signals that say nothing about the server: another address would fail alike."""


@cache
def errno_text(code: int) -> str:
    """Return the name and the kernel's text of an errno: "ECONNREFUSED: Connection refused"."""
    return f"{e.errorcode.get(code, code)}: {os.strerror(code)}"
