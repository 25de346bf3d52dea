"""What the lab's DNS server answers for a scenario's name, over UDP and TCP. A names file, not a resolver."""

import asyncio
import socket
from collections.abc import Mapping
from typing import cast

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from .scenario import Dns

ZONE = "lab.test"
"""Names of scenarios end with it; .test is reserved for tests (RFC 6761)."""
_TTL = 1
_RCODES = {
    "nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED, "notimp": dns.rcode.NOTIMP,
}  # fmt: skip


def name_of(scenario: str) -> str:
    """Return the DNS name of a scenario's server."""
    return f"{scenario}.{ZONE}"


def respond(packet: bytes, names: Mapping[str, Dns], over_tcp: bool = False) -> bytes | None:
    """Return the answer to a query, or None for silence. Unknown names do not exist (NXDOMAIN)."""
    try:
        query = dns.message.from_wire(packet)
        question = query.question[0]
    except (dns.exception.DNSException, IndexError):
        return None
    behaviour = names.get(question.name.to_text(omit_final_dot=True).lower(), Dns(answer="nxdomain"))
    if behaviour.answer == "silence":
        return None
    if behaviour.answer == "garbage":
        return packet[:2] + b"\x81\x80\x00\x01\x00\x05\x00\x00\x00\x00" + b"\xff" * 20
    return _answer(query, behaviour, over_tcp).to_wire()


def _answer(query: dns.message.Message, behaviour: Dns, over_tcp: bool) -> dns.message.Message:
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(_RCODES.get(behaviour.answer, dns.rcode.NOERROR))
    if behaviour.ede is not None:
        text = behaviour.ede_text or None
        reply.use_edns(0, payload=1232, options=[dns.edns.EDEOption(dns.edns.EDECode.make(behaviour.ede), text)])
    if behaviour.answer == "truncated" and not over_tcp:
        reply.flags |= dns.flags.TC
    elif behaviour.answer in ("addresses", "truncated"):
        _add_addresses(reply, query.question[0], behaviour)
    return reply


def _add_addresses(reply: dns.message.Message, question: dns.rrset.RRset, behaviour: Dns) -> None:
    """Add the chain of CNAMEs, and the addresses of the wanted type at its end."""
    owner = question.name
    for number in range(behaviour.cname):
        target = dns.name.from_text(f"alias{number}.{owner.to_text()}")
        reply.answer.append(dns.rrset.from_text(owner, _TTL, "IN", "CNAME", target.to_text()))
        owner = target
    kind = dns.rdatatype.to_text(question.rdtype)
    wanted = [address for address in behaviour.addresses if kind == ("AAAA" if ":" in address else "A")]
    if wanted:
        reply.answer.append(dns.rrset.from_text(owner, _TTL, "IN", kind, *wanted))


class DnsServer:
    """Answers on one port, UDP and TCP."""

    def __init__(self, names: Mapping[str, Dns]) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Serve on two bound sockets."""
        names = self._names

        class Udp(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast(asyncio.DatagramTransport, transport)

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                if answer := respond(data, names):
                    self.transport.sendto(answer, addr)

        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(Udp, sock=udp)
        self._server = await asyncio.start_server(self._tcp, sock=tcp)

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                for _ in range(32):  # queries may share a connection (RFC 7766 section 6.2.1)
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    if answer := respond(await reader.readexactly(size), self._names, over_tcp=True):
                        writer.write(len(answer).to_bytes(2, "big") + answer)
                        await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def stop(self) -> None:
        """Close both sockets."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
