"""The listening sockets: bound once, with errors that say which address, and what to do about it."""

import contextlib
import errno
import os
import socket
import stat

_HINTS = {
    errno.EADDRINUSE: "another program listens there: `ss -ltnp` shows which",
    errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE (or root)",
    errno.EADDRNOTAVAIL: "this machine has no such address: `ip address` lists those it has",
}


class CannotListen(Exception):
    """An address cannot be listened on. The message says which, why, and what to do."""


def split_listen(address: str) -> tuple[str, int]:
    """Return (host, port) of "host:port" or "[v6]:port"; port -1 and the path as host for "unix:/path". Raises CannotListen."""
    if address.startswith("unix:"):
        return address[5:], -1
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise CannotListen(f"cannot listen on {address!r}: expected host:port, [v6]:port or unix:/path")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(address: str) -> socket.socket:
    """Return a listening socket for an address of the configuration. Raises CannotListen."""
    host, port = split_listen(address)
    try:
        return _bind_unix(host) if port < 0 else _bind_tcp(host, port)
    except socket.gaierror as error:
        raise CannotListen(f"cannot listen on {address}: {host!r} is no address of this machine ({error.strerror})") from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        raise CannotListen(f"cannot listen on {address}: {error.strerror}" + (f"; {hint}" if hint else "")) from None


def _bind_tcp(host: str, port: int) -> socket.socket:
    family, kind, proto, _, where = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
            os.unlink(path)  # left behind by a process that is gone
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(4096)
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect(path)
        except OSError:
            return False
    return True
