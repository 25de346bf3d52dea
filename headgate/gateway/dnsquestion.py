"""Owns how one question is put to the DNS servers: packets, repetitions, which answers count, and what a failure is called."""

import asyncio
import socket
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from ..model import signals as s
from ..model.facts import Facts
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
_ADDRESSES_MAX: Final = 32
_RANK: Final = (s.NO_FILES, s.NO_MEMORY, s.SERVFAIL, s.DNS_REFUSED, s.DNS_INVALID, s.DEADLINE, s.NODATA, s.NXDOMAIN)
"""Of several failures the one to report, most telling first: one that hides an answer before one that denies it exists."""
_CODES: Final = {dns.rcode.SERVFAIL: s.SERVFAIL, dns.rcode.REFUSED: s.DNS_REFUSED, dns.rcode.NXDOMAIN: s.NXDOMAIN}
_NO_EDNS: Final = (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)
"""What servers that do not know EDNS answer (RFC 6891 section 7)."""


class Unresolved(Exception):
    """A name has no usable address.

    signal: NXDOMAIN, NODATA, SERVFAIL, DNS_REFUSED, DNS_INVALID, DEADLINE, or MISCONFIGURED where it is no possible name.
    facts: name, resolver, rcode, ede, ede_text, error, elapsed_ms, limit, limit_value.
    ttl: seconds for which the server lets us remember it.
    """

    def __init__(self, signal: str, facts: Facts, ttl: float = 0.0) -> None:
        super().__init__(f"{facts.get('name', '')}: {signal}")
        self.signal = signal
        self.facts = facts
        self.ttl = ttl

    @property
    def certain(self) -> bool:
        """The DNS works, and says that there is nothing."""
        return self.signal in (s.NXDOMAIN, s.NODATA)

    def again(self) -> "Unresolved":
        """Return a fresh copy: an exception that is raised twice would grow its traceback for ever."""
        return Unresolved(self.signal, self.facts.copy(), self.ttl)


@dataclass(frozen=True, slots=True)
class Reply:
    """A positive answer."""

    server: str
    addresses: tuple[str, ...]
    ttl: float


def most_telling(failures: list[Unresolved]) -> Unresolved:
    """Return the failure to report of several (at least one)."""
    return min(failures, key=lambda failure: (_RANK.index(failure.signal), "ede" not in failure.facts))


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
        self._repeat: asyncio.TimerHandle | None = None
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
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        while self._tries and not self._done.done():
            server = self._tries.popleft()
            if self._send(server):
                if self._tries:
                    self._repeat = self._loop.call_later(self._gap, self._next)
                return
        if not self._open and not self._over_tcp:
            self._give_up()

    def _send(self, server: Server) -> bool:
        query = dns.message.make_query(self._name, self._kind, use_edns=0 if self._edns else False, payload=PAYLOAD)
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as exc:
            return self._failed(server, _own_want(exc), _os_text(exc))
        try:
            sock.connect(server)
            sock.send(query.to_wire())
        except OSError as exc:
            sock.close()
            return self._failed(server, _own_want(exc), _os_text(exc))
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
        self._received(sock, server, query, packet)

    def _received(self, sock: socket.socket, server: Server, query: dns.message.QueryMessage, packet: bytes) -> None:
        answer = self._decode(query, packet)
        if isinstance(answer, str):
            self._spoiled_by(sock, server, answer)
            return
        self._forget(sock)
        if answer.flags & dns.flags.TC:
            self._keep(self._loop.create_task(self._ask_by_tcp(server, query)))
        else:
            self._judge(server, answer)

    def _spoiled_by(self, sock: socket.socket, server: Server, error: str) -> None:
        """A packet that is no answer, perhaps forged: ask on, and go on listening for the right one."""
        if sock in self._spoiled:
            return
        self._spoiled.add(sock)
        self._failed(server, s.DNS_INVALID, error)
        if self._tries:
            self._next()
        elif self._spoiled.issuperset(self._open) and not self._over_tcp:
            self._repeat = self._loop.call_later(GRACE, self._give_up)

    def _decode(self, query: dns.message.QueryMessage, packet: bytes) -> dns.message.Message | str:
        """Return the packet as an answer to the query, or what is wrong with it."""
        try:
            answer = dns.message.from_wire(packet, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError) as exc:
            return f"not a DNS message: {str(exc) or type(exc).__name__}"
        return answer if query.is_response(answer) else "it belongs to another question"

    def _judge(self, server: Server, answer: dns.message.Message) -> None:
        code = answer.rcode()
        if code in _NO_EDNS and self._edns:
            self._edns = False  # asked again without, the next tries too
            self._tries.appendleft(server)
            self._next()
            return
        outcome = self._outcome(server, answer)
        if isinstance(outcome, Reply) or outcome.certain:
            self._finish(outcome)
            return
        self._failures.append(outcome)
        self._next()

    def _outcome(self, server: Server, answer: dns.message.Message) -> Reply | Unresolved:
        code = answer.rcode()
        facts = self._facts(server_text(server)) | extended_error(answer)
        facts["rcode"] = dns.rcode.to_text(code)
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Unresolved(_CODES.get(code, s.DNS_INVALID), facts | {"error": f"response code {facts['rcode']}"})
        assert isinstance(answer, dns.message.QueryMessage)
        try:
            chain = answer.resolve_chaining()
        except dns.exception.DNSException as exc:
            return Unresolved(s.DNS_INVALID, facts | {"error": str(exc) or type(exc).__name__})
        if chain.answer is None:
            signal = _CODES.get(code, s.NODATA)
            return Unresolved(signal, facts, chain.minimum_ttl)
        addresses = tuple(record.address for record in chain.answer)[:_ADDRESSES_MAX]
        return Reply(server_text(server), addresses, chain.minimum_ttl)

    async def _ask_by_tcp(self, server: Server, query: dns.message.QueryMessage) -> None:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
                await self._loop.sock_connect(sock, server)
                await self._loop.sock_sendall(sock, query.to_wire(prepend_length=True))
                size = int.from_bytes(await self._exactly(sock, 2), "big")
                packet = await self._exactly(sock, size)
        except (OSError, EOFError) as exc:
            signal = _own_want(exc) if isinstance(exc, OSError) else s.DEADLINE
            self._failed(server, signal, f"by TCP: {_os_text(exc)}")
        else:
            answer = self._decode(query, packet)
            self._drop_current()
            if not isinstance(answer, str):
                self._judge(server, answer)
                return
            self._failed(server, s.DNS_INVALID, f"by TCP: {answer}")
        self._drop_current()
        self._next()

    async def _exactly(self, sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await self._loop.sock_recv(sock, size - len(data))
            if not more:
                raise EOFError("closed before the answer was complete")
            data += more
        return data

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._over_tcp.add(task)
        task.add_done_callback(self._over_tcp.discard)

    def _drop_current(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._over_tcp.discard(task)

    def _failed(self, server: Server, signal: str, error: str) -> bool:
        self._failures.append(Unresolved(signal, self._facts(server_text(server)) | {"error": error}))
        return False

    def _give_up(self) -> None:
        facts = self._facts(", ".join(self._servers)) | {"limit": "dns.timeout"}
        silent = [] if self._failures and not self._open and not self._over_tcp else [Unresolved(s.DEADLINE, facts)]
        self._finish(most_telling(self._failures + silent))

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
        if self._repeat is not None:
            self._repeat.cancel()
        for sock in list(self._open):
            self._forget(sock)
        for task in list(self._over_tcp):
            task.cancel()


def extended_error(answer: dns.message.Message) -> Facts:
    """Return ede and ede_text of the first extended error in an answer (RFC 8914), {} without one."""
    for option in answer.extended_errors():
        code = int(option.code)
        name = dns.edns.EDECode.to_text(option.code).replace("_", " ").lower()
        return {"ede": code, "ede_text": (option.text or name)[:200]}
    return {}


def server_text(server: Server) -> str:
    """Return a DNS server as text; its port only where it is not 53."""
    host, port = server
    if port == 53:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _own_want(exc: OSError) -> str:
    """Return the signal of a question that could not be sent: our own lack of descriptors or memory, or nobody to hear it."""
    signal = TCP.get(exc.errno or 0, "")
    return signal if signal in OURS else s.DEADLINE


def _os_text(exc: Exception) -> str:
    code = exc.errno if isinstance(exc, OSError) else None
    return errno_text(code) if code is not None else str(exc) or type(exc).__name__
