"""Sets up the places where servers are found, or not found: listening, closed, silent, unix sockets in all their moods."""

import contextlib
import os
import socket
from collections.abc import Iterator

from .layout import EXHAUSTED_ADDRESS, Layout
from .player import Player

_RECEIVE_BUFFER = 65_536  # small, so that a server which does not read is noticed after few bytes


def occupy(layout: Layout, name: str, player: Player) -> list[socket.socket]:
    """Open what a scenario needs; the player gets its listening sockets, the caller keeps and closes the others.

    Raises OSError when a port is in use.
    """
    place = layout.scenarios[name].place
    if place.startswith("unix"):
        return _unix(layout, name, player, place)
    if place == "gateway":
        return []
    kept = []
    for number, port in enumerate(layout.ports(name)):
        sock = tcp_socket(layout.bind_address(name), port)
        if place == "closed" or (place == "first-closed" and number == 0):
            kept.append(sock)  # bound, not listening: connections are refused, and nobody else can take the port
        elif place == "silent":
            kept += _fill(sock)
        else:
            sock.listen(128)
            player.listen(sock)
    return kept


def tcp_socket(address: str, port: int) -> socket.socket:
    """Return a socket bound to address and port. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _fill(sock: socket.socket) -> list[socket.socket]:
    """Listen with a queue for one connection, and fill it: the kernel drops every further SYN, as a silent firewall would."""
    sock.listen(0)
    kept = [sock]
    for _ in range(4):
        caller = socket.socket(sock.family, socket.SOCK_STREAM)
        caller.setblocking(False)
        caller.connect_ex(sock.getsockname())
        kept.append(caller)
    return kept


def _unix(layout: Layout, name: str, player: Player, place: str) -> list[socket.socket]:
    path = layout.path(name)
    path.unlink(missing_ok=True)
    if place == "unix-missing":
        return []
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    os.chmod(path, 0 if place == "unix-forbidden" else 0o666)  # a gateway may run as another user
    if place == "unix-full":
        return _fill(sock)
    sock.listen(128)
    player.listen(sock)
    return []


@contextlib.contextmanager
def no_ports_left(layout: Layout, name: str) -> Iterator[None]:
    """Leave no local port for connections to a scenario's server, as long as this lasts. Only in a namespace of our own.

    The kernel picks the local port of a connection from a range, so that address and port pairs stay unique: narrowing the
    range to 16 and using each of them up towards this one server exhausts it for others too.
    """
    range_file = "/proc/sys/net/ipv4/ip_local_port_range"
    with open(range_file, encoding="ascii") as file:
        before = file.read()
    callers: list[socket.socket] = []
    try:
        with open(range_file, "w", encoding="ascii") as file:
            file.write("50000 50015")
        with contextlib.suppress(OSError):  # EADDRNOTAVAIL, as intended
            while len(callers) < 16:
                callers.append(socket.create_connection((EXHAUSTED_ADDRESS, layout.ports(name)[0]), timeout=2))
        yield
    finally:
        with open(range_file, "w", encoding="ascii") as file:
            file.write(before)
        for caller in callers:
            caller.close()
