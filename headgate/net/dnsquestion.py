"""Owns how one question is put to the DNS servers: who is asked when, how often, and by what."""

import asyncio
import socket
from collections import deque
from time import monotonic
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from ..model import signals as s
from ..model.facts import Facts
from .dnsanswer import Reply, Unresolved, decode, judge, most_telling, server_text
from .errnos import OURS, TCP, errno_text
from .resolvconf import Server

PAYLOAD: Final = 1232
"""UDP answer size we offer, bytes: fits every path unfragmented (DNS flag day 2020)."""
ROUNDS: Final = 2
"""Tries at each server."""
REPEAT_AFTER: Final = 1.0
"""Longest wait for one try before the next is made, seconds. Earlier tries may still be answered."""
GRACE: Final = 0.25
"""How long the right answer may follow wrong ones when there is nobody left to ask, seconds."""
_NO_EDNS: Final = (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)
"""What servers that do not know EDNS answer (RFC 6891 section 7)."""


class Question:
    """One name and record type, asked until an answer counts: server after server, twice, by UDP, by TCP where it was cut short.

    Each try has its own socket (connected, so the kernel checks the answer's source) and its own random id. A packet that does
    not fit its question is not an answer: the next server is asked at once, while the right answer may still come.
    """

    def __init__(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, servers: tuple[Server, ...], timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._kind = kind
        self._timeout = timeout
        self._tries = deque(servers * ROUNDS)
        self._gap = min(REPEAT_AFTER, timeout / max(1, len(self._tries)))
        self._servers = tuple(server_text(server) for server in servers)
        self._started = monotonic()
        self._open: dict[socket.socket, tuple[Server, dns.message.QueryMessage]] = {}
        self._spoiled: set[socket.socket] = set()  # tries that got a packet that does not fit
        self._over_tcp: set[asyncio.Task[None]] = set()
        self._edns = True
        self._failures: list[Unresolved] = []
        self._timer: asyncio.TimerHandle | None = None  # for the next try, or for the end of grace
        self._done: asyncio.Future[Reply | Unresolved] = self._loop.create_future()

    async def ask(self) -> Reply | Unresolved:
        """Return the answer, or the most telling failure, within the timeout."""
        end = self._loop.call_later(self._timeout, self._give_up)
        try:
            self._next()
            return await self._done
        finally:
            end.cancel()
            self._close()

    def _next(self) -> None:
        """Make the next try, if there is one; the end, if nothing can be expected any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._tries and not self._done.done():
            if self._send(self._tries.popleft()):
                if self._tries:
                    self._timer = self._loop.call_later(self._gap, self._next)
                return
        if self._over_tcp:
            return
        if not self._open:
            self._give_up()
        elif self._spoiled.issuperset(self._open):
            self._timer = self._loop.call_later(GRACE, self._give_up)

    # By UDP.

    def _send(self, server: Server) -> bool:
        query = dns.message.make_query(self._name, self._kind, use_edns=0 if self._edns else False, payload=PAYLOAD)
        try:
            sock = socket.socket(_family(server), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as exc:
            self._failed(server, _own_want(exc), _os_text(exc))
            return False
        try:
            sock.connect(server)
            sock.send(query.to_wire())
        except OSError as exc:
            sock.close()
            self._failed(server, _own_want(exc), _os_text(exc))
            return False
        self._open[sock] = (server, query)
        self._loop.add_reader(sock, self._readable, sock)
        return True

    def _readable(self, sock: socket.socket) -> None:
        server, query = self._open[sock]
        try:
            packet = sock.recv(65_535)
        except BlockingIOError:
            return
        except OSError as exc:  # an ICMP error: nobody there
            self._forget(sock)
            self._failed(server, s.DEADLINE, _os_text(exc))
            self._next()
            return
        answer = decode(query, packet)
        if isinstance(answer, str):  # perhaps forged: ask on, and go on listening for the right one
            if sock not in self._spoiled:
                self._spoiled.add(sock)
                self._failed(server, s.DNS_INVALID, answer)
                self._next()
            return
        self._forget(sock)
        if answer.flags & dns.flags.TC:
            task = self._loop.create_task(self._ask_by_tcp(server, query))
            self._over_tcp.add(task)
        else:
            self._answered(server, answer)

    # By TCP.

    async def _ask_by_tcp(self, server: Server, query: dns.message.QueryMessage) -> None:
        try:
            answer = decode(query, await self._exchange(server, query))
        except OSError as exc:
            self._failed(server, _own_want(exc), f"by TCP: {_os_text(exc)}")
        except EOFError as exc:
            self._failed(server, s.DEADLINE, f"by TCP: {exc}")
        else:
            if not isinstance(answer, str):
                self._tcp_over()
                self._answered(server, answer)
                return
            self._failed(server, s.DNS_INVALID, f"by TCP: {answer}")
        self._tcp_over()
        self._next()

    async def _exchange(self, server: Server, query: dns.message.QueryMessage) -> bytes:
        with socket.socket(_family(server), socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            await self._loop.sock_connect(sock, server)
            await self._loop.sock_sendall(sock, query.to_wire(prepend_length=True))
            size = int.from_bytes(await self._exactly(sock, 2), "big")
            return await self._exactly(sock, size)

    async def _exactly(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await self._loop.sock_recv(sock, size - len(data))
            if not more:
                raise EOFError("closed before the answer was complete")
            data += more
        return data

    def _tcp_over(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._over_tcp.discard(task)

    # What came of it.

    def _answered(self, server: Server, answer: dns.message.QueryMessage) -> None:
        if answer.rcode() in _NO_EDNS and self._edns:
            self._edns = False  # for the tries to come, too
            self._tries.appendleft(server)
            self._next()
            return
        outcome = judge(answer, self._facts(server_text(server)))
        if isinstance(outcome, Reply) or outcome.certain:
            self._finish(outcome)
            return
        self._failures.append(outcome)
        self._next()

    def _failed(self, server: Server, signal: str, error: str) -> None:
        self._failures.append(Unresolved(signal, self._facts(server_text(server)) | {"error": error}))

    def _give_up(self) -> None:
        failures = list(self._failures)
        if self._open or self._over_tcp or not failures:
            facts = self._facts(", ".join(self._servers)) | {"limit": "dns.timeout"}
            failures.append(Unresolved(s.DEADLINE, facts))
        self._finish(most_telling(failures))

    def _facts(self, server: str) -> Facts:
        name = self._name.to_text(omit_final_dot=True)
        return {"name": name, "resolver": server, "elapsed_ms": round((monotonic() - self._started) * 1000)}

    def _finish(self, outcome: Reply | Unresolved) -> None:
        if not self._done.done():
            self._done.set_result(outcome)

    def _forget(self, sock: socket.socket) -> None:
        del self._open[sock]
        self._loop.remove_reader(sock)
        sock.close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for sock in list(self._open):
            self._forget(sock)
        for task in self._over_tcp:
            task.cancel()


def _family(server: Server) -> int:
    return socket.AF_INET6 if ":" in server[0] else socket.AF_INET


def _own_want(exc: OSError) -> str:
    """Return the signal of a question that could not be sent: our own lack of descriptors or memory, or nobody to hear it."""
    signal = TCP.get(exc.errno or 0, "")
    return signal if signal in OURS else s.DEADLINE


def _os_text(exc: OSError) -> str:
    return errno_text(exc.errno) if exc.errno is not None else str(exc) or type(exc).__name__
