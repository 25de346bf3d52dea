"""Resolvers are asked by real packets: each way to fail is told apart, DNSSEC by asking again without checks."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from headgate.diagnose.looks import Look
from headgate.lab.dns import DnsServer
from headgate.lab.scenario import Dns
from headgate.probe.names import server_look, system_look

T = TypeVar("T")


def with_server(names: Mapping[str, Dns], work: Callable[[str], Awaitable[T]]) -> T:
    """Run work with the address of a DNS server that knows these names."""

    async def run() -> T:
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(tcp.getsockname())
        tcp.listen()
        server = DnsServer(names)
        await server.start(udp, tcp)
        try:
            async with asyncio.timeout(20):
                return await work("{}:{}".format(*tcp.getsockname()))
        finally:
            server.stop()

    return asyncio.run(run())


def look_at(name: str, names: Mapping[str, Dns]) -> Look:
    return with_server(names, lambda address: server_look(name, address, 0.6, 0.0))


@pytest.mark.parametrize(("answer", "cause"), [
    (Dns(answer="nxdomain"), "dns-name-not-found"),
    (Dns(answer="nodata"), "dns-no-address"),
    (Dns(answer="servfail"), "dns-server-failure"),
    (Dns(answer="servfail", ede=7, ede_text="signature expired"), "dns-validation-failed"),
    (Dns(answer="refused"), "dns-refused"),
    (Dns(answer="garbage"), "dns-answer-invalid"),
    (Dns(answer="silence"), "dns-timeout"),
])  # fmt: skip
def test_each_failure_has_its_cause(answer: Dns, cause: str) -> None:
    look = look_at("a.lab.test", {"a.lab.test": answer})
    assert look.ok is False
    assert look.attempt is not None
    assert look.attempt.cause is not None
    assert look.attempt.cause.code == cause


def test_addresses_of_both_families_and_the_chain() -> None:
    look = look_at("a.lab.test", {"a.lab.test": Dns(addresses=("192.0.2.1", "2001:db8::1"), cname=2)})
    assert look.ok is True
    assert (look.facts["a"], look.facts["aaaa"], len(look.facts["cname"]), look.facts["ttl"]) == (
        ["192.0.2.1"],
        ["2001:db8::1"],
        2,
        1,
    )
    assert "alias" in look.text


def test_only_one_family_is_well() -> None:
    assert look_at("a.lab.test", {"a.lab.test": Dns(addresses=("2001:db8::1",))}).facts["aaaa"] == ["2001:db8::1"]


def test_truncated_answers_are_asked_by_tcp() -> None:
    assert look_at("a.lab.test", {"a.lab.test": Dns(answer="truncated", addresses=("192.0.2.1",))}).facts["a"] == ["192.0.2.1"]


def test_an_extended_error_is_told() -> None:
    look = look_at("a.lab.test", {"a.lab.test": Dns(answer="servfail", ede=22, ede_text="no reachable authority")})
    assert "no reachable authority" in look.text
    assert look.facts["ede"] == 22


def test_what_resolves_without_checks_fails_by_dnssec() -> None:
    async def run() -> Look:
        class Validating(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                query = dns.message.from_wire(data)
                reply = dns.message.make_response(query)
                if query.flags & dns.flags.CD:
                    reply.answer.append(dns.rrset.from_text(query.question[0].name, 5, "IN", "A", "192.0.2.1"))
                else:
                    reply.set_rcode(dns.rcode.SERVFAIL)
                self.transport.sendto(reply.to_wire(), addr)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Validating, ("127.0.0.1", 0))
        try:
            return await server_look("signed.test", "{}:{}".format(*transport.get_extra_info("sockname")), 1.0, 0.0)
        finally:
            transport.close()

    look = asyncio.run(run())
    assert look.facts["checking_disabled_ok"] is True
    assert "without DNSSEC checks it resolves" in look.text


def test_nobody_listens_there() -> None:
    async def run() -> Look:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        return await server_look("a.test", f"127.0.0.1:{port}", 0.5, 0.0)

    look = asyncio.run(run())
    assert look.ok is False
    assert look.attempt is not None
    assert look.attempt.cause is not None
    assert look.attempt.cause.code == "dns-timeout"


def test_this_machine() -> None:
    look = asyncio.run(system_look("localhost", 80, 2.0, 0.0))
    assert look.ok is True
    assert {"127.0.0.1", "::1"} & {*look.facts["a"], *look.facts["aaaa"]}
    failed = asyncio.run(system_look("does-not-exist.invalid", 80, 3.0, 0.0))
    assert failed.ok is False
    assert failed.attempt is not None
    assert failed.attempt.cause is not None


def test_a_wrong_resolver_is_told() -> None:
    with pytest.raises(ValueError, match="expected the address of a DNS server"):
        asyncio.run(server_look("a.test", "not-an-address", 1.0, 0.0))
