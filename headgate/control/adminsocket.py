"""Binds the admin API's socket: for its owner alone where it is a file, and with patience where another one still listens."""

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..config.endpoints import Address, parse_listen
from .runfolder import forget_dead, left_behind, make_folder, run_folder, socket_of

AUTO: Final = "auto"
_QUEUE: Final = 64


class Taken(OSError):
    """Another process listens there."""


def address_for(listen: str, pid: int, environment: Mapping[str, str], user: int) -> Address:
    """Return what to bind. listen: as configured. pid: of the parent.

    For "auto" the folder is made, and rid of the sockets of dead gateways. Raises runfolder.Unsafe.
    """
    if listen != AUTO:
        return parse_listen(listen)
    folder = run_folder(environment, user)
    make_folder(folder, user)
    forget_dead(folder)
    return Address("", 0, str(socket_of(folder, pid)))


def bind(address: Address) -> socket.socket:
    """Return a listening socket. Raises Taken when another process listens there, OSError when it cannot be bound."""
    return _bind_unix(Path(address.path)) if address.path else _bind_tcp(address)


def _bind_tcp(address: Address) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(_QUEUE)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: Path) -> socket.socket:
    if path.is_socket():
        if not left_behind(path):
            raise Taken(f"another process listens on {path}")
        path.unlink(missing_ok=True)
    elif os.path.lexists(path):
        raise OSError(errno.EEXIST, "a file is there that is no socket", str(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # so that it is never open to others, not even for a moment
    try:
        sock.setblocking(False)
        sock.bind(str(path))
        sock.listen(_QUEUE)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def remove(path: str, made: os.stat_result | None) -> None:
    """Remove the file of a unix socket, if it still is the one that was made."""
    if made is None:
        return
    try:
        now = os.lstat(path)
        if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
            os.unlink(path)
    except OSError:
        pass  # somebody has cleaned up already
