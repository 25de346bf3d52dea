"""Owns in which order and at what pace the addresses of one server are tried (RFC 8305), and which failure is told of several."""

import asyncio
import errno
import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

from ..model import signals as s
from ..model.facts import Facts
from .errnos import OURS, TCP, errno_text
from .hosts import Address
from .tcpinfo import tcp_info

STAGGER: Final = 0.25
"""Head start of one address before the next is tried beside it, seconds (RFC 8305 section 5)."""

RANK: Final = {
    signal: rank
    for rank, signal in enumerate((
        s.NO_FILES,  # our own want hides whatever the server would have said
        s.NO_MEMORY,
        s.RESET,  # somebody was there
        s.REFUSED,  # the machine was there
        s.NO_PORTS,
        s.PROHIBITED,  # a local decision, told by the kernel
        s.DEADLINE,  # packets left, nothing came back
        s.UNREACHABLE,  # often only the IPv6 address of a machine without IPv6
        s.MISCONFIGURED,
        s.UNEXPECTED,
    ))
}  # fmt: skip
"""Signals of several addresses, most telling first. Among equals "no route" (ENETUNREACH) is last, the first tried first."""

_TYPE: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_CONNECTED: Final = (0, errno.EISCONN)


class Try:
    """One address that was tried."""

    __slots__ = ("address", "elapsed", "errno", "signal", "sock", "started", "tcp_info")

    def __init__(self, address: str, started: float) -> None:
        self.address = address
        self.started = started
        self.elapsed = 0.0
        self.sock: socket.socket | None = None  # while it is pending
        self.signal = ""  # once it failed
        self.errno = 0
        self.tcp_info: dict[str, int] | None = None

    def told(self) -> dict[str, object]:
        """Return it as evidence."""
        told: dict[str, object] = {"address": self.address, "signal": self.signal, "elapsed_ms": round(self.elapsed * 1000)}
        if self.errno:
            told["errno"] = self.errno
        return told


class Race:
    """Connects to the first address that answers. Ends with one call of `won` or `lost`, possibly before `start` returns."""

    __slots__ = ("_addresses", "_index", "_limit", "_loop", "_lost", "_pending", "_port", "_stagger", "_timeout", "_won", "tries")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        port: int,
        timeout: float,
        won: Callable[[socket.socket, str], None],
        lost: Callable[["Race"], None],
    ) -> None:
        """timeout: seconds for all addresses together. won: gets the connected socket and its address as text."""
        self._loop = loop
        self._port = port
        self._timeout = timeout
        self._won = won
        self._lost = lost
        self._addresses: tuple[Address, ...] = ()
        self._index = 0
        self._pending = 0
        self._limit: asyncio.TimerHandle | None = None
        self._stagger: asyncio.TimerHandle | None = None
        self.tries: list[Try] = []

    def start(self, addresses: tuple[Address, ...]) -> None:
        """Try these addresses, in order. May be called again, with others, from `lost`."""
        self._addresses = addresses
        self._index = 0
        self._next()

    def cancel(self) -> None:
        """Close everything; nothing is called any more."""
        for timer in (self._limit, self._stagger):
            if timer is not None:
                timer.cancel()
        self._limit = self._stagger = None
        self._index = len(self._addresses)
        for one in self.tries if self._pending else ():
            self._close(one)

    def _next(self) -> None:
        """Begin with the next address; where it fails at once, with the one after it."""
        addresses = self._addresses
        if self._stagger is not None:
            self._stagger.cancel()
            self._stagger = None
        while self._index < len(addresses):
            family, ip = addresses[self._index]
            self._index += 1
            one = Try(address_text(ip, self._port), monotonic())
            self.tries.append(one)
            sock = self._connect(one, family, ip)
            if sock is not None:
                self._succeed(one, sock)
                return
            if one.sock is not None:
                if self._index < len(addresses):
                    self._stagger = self._loop.call_later(STAGGER, self._next)
                return
            if one.signal in OURS:
                self._index = len(addresses)
        if not self._pending:
            self._end()

    def _connect(self, one: Try, family: int, ip: str) -> socket.socket | None:
        """Return the socket if it was connected at once; else the try is pending, or has failed."""
        try:
            sock = socket.socket(family, _TYPE)
        except OSError as exc:
            self._note(one, exc.errno or 0)
            return None
        code = self._begin(sock, ip)
        if code in _CONNECTED:
            return sock
        if code != errno.EALREADY:
            sock.close()
            self._note(one, code)
            if code == errno.EADDRNOTAVAIL and not has_source(family, ip, self._port):
                one.signal = s.MISCONFIGURED
            return None
        one.sock = sock
        self._pending += 1
        self._loop.add_writer(sock, self._writable, one)
        if self._limit is None:
            self._limit = self._loop.call_later(self._timeout, self._time_up)
        return None

    def _begin(self, sock: socket.socket, ip: str) -> int:
        """Return what the kernel says at once: EALREADY where it does not know yet."""
        address = (ip, self._port)
        try:
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:  # Linux says so even where it knows already, as on loopback: ask again
                code = sock.connect_ex(address)
        except OSError as exc:  # an interface (fe80::1%eth9) that does not exist
            return exc.errno if exc.errno and exc.errno > 0 else errno.EINVAL
        return code

    def _writable(self, one: Try) -> None:
        assert one.sock is not None
        code = one.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            sock, one.sock = one.sock, None
            self._pending -= 1
            self._loop.remove_writer(sock)
            self._succeed(one, sock)
            return
        self._close(one)
        self._note(one, code)
        self._next()

    def _time_up(self) -> None:
        self._index = len(self._addresses)
        for one in self.tries:
            if one.sock is not None:
                one.tcp_info = tcp_info(one.sock)
                self._close(one)
                one.signal = s.DEADLINE
                one.elapsed = monotonic() - one.started
        self._end()

    def _succeed(self, one: Try, sock: socket.socket) -> None:
        self.cancel()
        self._won(sock, one.address)

    def _end(self) -> None:
        self.cancel()
        self._lost(self)

    def _note(self, one: Try, code: int) -> None:
        one.errno = code
        one.signal = TCP.get(code, s.UNEXPECTED)
        one.elapsed = monotonic() - one.started

    def _close(self, one: Try) -> None:
        if one.sock is not None:
            self._pending -= 1
            self._loop.remove_writer(one.sock)
            one.sock.close()
            one.sock = None

    def failure(self) -> tuple[str, str, Facts]:
        """Return address, signal and evidence of the most telling failure, once lost."""
        tries = self.tries
        one = tries[0] if len(tries) == 1 else min(tries, key=lambda one: (RANK[one.signal], one.errno == errno.ENETUNREACH))
        facts: Facts = {}
        if one.errno:
            facts["errno"] = one.errno
            facts["error"] = errno_text(one.errno)
        if one.signal == s.DEADLINE and not one.errno:
            facts["limit"] = "timeouts.connect"
            facts["limit_value"] = self._timeout
        if one.tcp_info is not None:
            facts["tcp_info"] = one.tcp_info
        if len(tries) > 1:
            facts["addresses"] = [each.address for each in tries]
            facts["attempts_by_address"] = [each.told() for each in tries]
        return one.address, one.signal, facts


def has_source(family: int, ip: str, port: int) -> bool:
    """Say whether this machine has an address from which it could reach `ip`. No packet is sent.

    EADDRNOTAVAIL means that the ports are used up, or that there is no such address: IPv6 switched off, as in many containers.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((ip, port))
    except OSError:
        return False
    return True


def address_text(ip: str, port: int) -> str:
    """Return "10.0.0.5:3000" or "[::1]:3000"."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
