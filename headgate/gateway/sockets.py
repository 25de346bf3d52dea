"""The listening sockets: bound once, with errors that say which address, and what to do about it."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence

from ..config.endpoints import parse_listen

_HINTS = {
    errno.EADDRINUSE: "another program listens there: `ss -ltnp` shows which",
    errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE (or root)",
    errno.EMFILE: "each worker has a socket for each address: fewer workers, or more open files (ulimit -n, LimitNOFILE=)",
    errno.EADDRNOTAVAIL: "this machine has no such address: `ip address` lists those it has",
}


class CannotListen(Exception):
    """An address cannot be listened on. The message says which, why, and what to do."""


def bind(text: str) -> socket.socket:
    """Return a listening socket for an address of the configuration ("host:port", "unix:/path"). Raises CannotListen."""
    return bind_shares(text, 1)[0]


def bind_shares(text: str, count: int, beside: Sequence[socket.socket] = ()) -> list[socket.socket]:
    """Return listening sockets for so many workers on one address. beside: those there are already. Raises CannotListen.

    Each has a queue of its own, between which the kernel divides new connections (SO_REUSEPORT); those of a worker that died
    wait until another has taken its place. A unix socket has one queue for all.
    """
    address = parse_listen(text)
    try:
        if address.path:
            first = beside[0].dup() if beside else _bind_unix(address.path)
            return [first, *(first.dup() for _ in range(count - 1))]
        if beside:
            port = beside[0].getsockname()[1]
        else:  # one is bound alone, so that another program's socket is an error; then it makes room for those that share
            with _bind_tcp(address.host, address.port) as alone:
                port = alone.getsockname()[1]
        return [_bind_tcp(address.host, port, shared=True) for _ in range(count)]
    except socket.gaierror as error:
        raise CannotListen(
            f"cannot listen on {address}: {address.host!r} is no address of this machine ({error.strerror})"
        ) from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        raise CannotListen(f"cannot listen on {address}: {error.strerror}" + (f"; {hint}" if hint else "")) from None


def address_of(sock: socket.socket) -> str:
    """Return the address a socket really listens on, as text: port 0 has become a number."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


def _bind_tcp(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
        sock.setblocking(False)
        sock.bind(where)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode) and _left_behind(path):
            os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 (a front server runs as another user, as with nginx: the folder's mode is the guard)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


def _left_behind(path: str) -> bool:
    """Tell whether the process that listened there is gone. One that is merely busy, or not ours to ask, is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        return sock.connect_ex(path) == errno.ECONNREFUSED
