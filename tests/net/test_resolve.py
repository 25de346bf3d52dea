"""The resolver against a DNS server that does whatever the test says, over real sockets on loopback."""

import asyncio
import os
import resource
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.config.schema import Dns
from headgate.net import resolve as resolve_module
from headgate.net.hosts import Hosts, literal
from headgate.net.resolvconf import ResolvConf, parse_resolv_conf, parse_server
from headgate.net.resolve import Addresses, Resolver, Unresolved

Query = dns.message.QueryMessage
A, AAAA = dns.rdatatype.A, dns.rdatatype.AAAA
V4, V6 = socket.AF_INET, socket.AF_INET6
SOA = "example. {ttl} IN SOA ns.example. root.example. 1 2 3 4 {minimum}"


def answer(query: Query, *records: str, rcode: int = 0, ede: tuple[int, str] | None = None, flags: int = 0) -> bytes:
    """Build a response; records as text: "name ttl IN type data"."""
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= flags | dns.flags.RA
    for record in records:
        name, ttl, _, kind, data = record.split(maxsplit=4)
        section = response.authority if kind == "SOA" else response.answer
        section.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    if ede is not None:
        response.use_edns(0, options=[dns.edns.EDEOption(ede[0], ede[1] or None)])
    return response.to_wire()


def kind_of(query: Query) -> dns.rdatatype.RdataType:
    return query.question[0].rdtype


def name_of(query: Query) -> str:
    return query.question[0].name.to_text()


def host(four: str | None = "192.0.2.1", six: str | None = None, ttl: int = 60) -> Callable[[Query], bytes]:
    """A script that answers for every name."""

    def script(query: Query) -> bytes:
        address = four if kind_of(query) == A else six
        if address is None:
            return answer(query, SOA.format(ttl=1, minimum=1))
        return answer(query, f"{name_of(query)} {ttl} IN {dns.rdatatype.to_text(kind_of(query))} {address}")

    return script


def same_port() -> tuple[socket.socket, socket.socket]:
    """Bind a UDP and a TCP socket to one free port: a port that is free for one may be taken for the other."""
    for _ in range(50):
        udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        try:
            udp.bind(("127.0.0.1", 0))
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
    raise AssertionError("no port is free for both UDP and TCP")


class DnsServer(asyncio.DatagramProtocol):
    """Answers by UDP and TCP on one port as `script` says: bytes, several packets, an awaitable of those, or nothing."""

    def __init__(self, script: Callable[[Query], Any], tcp: Callable[[Query], Any] | None = None) -> None:
        self.script = script
        self.tcp_script = tcp
        self.queries: list[tuple[str, str]] = []
        self.by_tcp = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "DnsServer":
        loop = asyncio.get_running_loop()
        udp, tcp = same_port()
        self.port = udp.getsockname()[1]
        self.tcp = await asyncio.start_server(self.on_tcp, sock=tcp)
        self.udp, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.sleep(0)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, kind: str = "A") -> int:
        return sum(1 for _, each in self.queries if each == kind)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        task = asyncio.get_running_loop().create_task(self.reply(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def reply(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        assert isinstance(query, Query)
        self.queries.append((name_of(query), dns.rdatatype.to_text(kind_of(query))))
        packets = self.script(query)
        if isinstance(packets, Awaitable):
            packets = await packets
        for packet in [packets] if isinstance(packets, bytes) else packets or []:
            self.udp.sendto(packet, addr)

    async def on_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.by_tcp += 1
        size = struct.unpack("!H", await reader.readexactly(2))[0]
        query = dns.message.from_wire(await reader.readexactly(size))
        assert isinstance(query, Query)
        data = (self.tcp_script or self.script)(query)
        if data is not None:
            wire = struct.pack("!H", len(data)) + data
            for start in range(0, len(wire), 7):  # in small pieces: the reader has to put them together
                writer.write(wire[start : start + 7])
                await writer.drain()
        writer.close()


def resolver_for(*servers: str, conf: str = "", timeout: float = 1.0, hosts: str = "/nonexistent", **other: Any) -> Resolver:
    options = Dns(servers=servers, timeout=timeout, hosts_file=hosts, **other)
    return Resolver(options, resolv_conf=conf or "/nonexistent")


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    uvloop.run(bounded())


async def failure(resolver: Resolver, name: str) -> Unresolved:
    with pytest.raises(Unresolved) as caught:
        await resolver.resolve(name)
    return caught.value


# What is known without asking.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5", (V4, "10.0.0.5")),
        ("::1", (V6, "::1")),
        ("[::1]", (V6, "::1")),
        ("fe80::1%lo", (V6, "fe80::1%lo")),
        ("::ffff:10.0.0.5", (V6, "::ffff:10.0.0.5")),
        ("127.1", None),
        ("0x7f000001", None),
        ("10.0.0.256", None),
        ("1:2", None),
        ("example.org", None),
        ("", None),
        ("1\0", None),
    ],
)
def test_literal(text: str, expected: object) -> None:
    assert literal(text) == expected


def test_literals_need_no_dns_and_no_loop() -> None:
    resolver = resolver_for()
    assert resolver.lookup("10.0.0.5") == Addresses("10.0.0.5", ((V4, "10.0.0.5"),))
    assert resolver.lookup("example.org") is None


def test_localhost_is_loopback_without_a_hosts_file() -> None:
    found = resolver_for().lookup("localhost")
    assert found is not None
    assert found.addresses == ((V6, "::1"), (V4, "127.0.0.1"))
    assert resolver_for().lookup("app.localhost") is not None


def test_hosts_file(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("# comment\n10.0.0.1 app App.Local # other\n10.0.0.2\tapp\n\nfd00::1 app\nnonsense app\n10.0.0.1 app\n")
    found = resolver_for(hosts=str(file)).lookup("APP.")
    assert found is not None
    assert found.addresses == ((V6, "fd00::1"), (V4, "10.0.0.1"), (V4, "10.0.0.2"))
    assert Hosts(str(file)).find("app.local") == ((V4, "10.0.0.1"),)


def test_hosts_file_is_read_again_when_it_changed_but_not_looked_at_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("headgate.net.watchedfile.monotonic", lambda: now)
    file = tmp_path / "hosts"
    file.write_text("10.0.0.1 app\n")
    hosts = Hosts(str(file))
    assert hosts.find("app") == ((V4, "10.0.0.1"),)
    file.write_text("10.0.0.22 app\n")
    now += 0.9
    assert hosts.find("app") == ((V4, "10.0.0.1"),)
    now += 0.2
    assert hosts.find("app") == ((V4, "10.0.0.22"),)
    file.unlink()
    now += 1.1
    assert hosts.find("app") == ()


def test_resolv_conf() -> None:
    conf = parse_resolv_conf(
        "; comment\n# comment\nnameserver 10.0.0.53\nnameserver nonsense\nnameserver fe80::1%eth0\n"
        "domain gone.example\nsearch one.example. two.example\noptions rotate ndots:2 timeout:1\nnameserver\n"
    )
    assert conf.servers == (("10.0.0.53", 53), ("fe80::1%eth0", 53))
    assert conf.search == ("one.example", "two.example")
    assert conf.ndots == 2
    assert parse_resolv_conf("") == ResolvConf((("127.0.0.1", 53),), (), 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", ["app.one.example.", "app.two.example.", "app."]),
        ("app.b", ["app.b.one.example.", "app.b.two.example.", "app.b."]),
        ("app.b.c", ["app.b.c.", "app.b.c.one.example.", "app.b.c.two.example."]),
        ("app.", ["app."]),
    ],
)
def test_search_list(name: str, expected: list[str]) -> None:
    assert ResolvConf((), ("one.example", "two.example"), 2).candidates(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.53", ("10.0.0.53", 53)),
        ("10.0.0.53:5353", ("10.0.0.53", 5353)),
        ("fd00::53", ("fd00::53", 53)),
        ("[fd00::53]", ("fd00::53", 53)),
        ("[fd00::53]:5353", ("fd00::53", 5353)),
    ],
)
def test_server_texts(text: str, expected: object) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize("text", ["dns.example", "10.0.0.53:0", "10.0.0.53:x", "10.0.0.53:99999", "", ":53"])
def test_bad_server_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected the address of a DNS server"):
        parse_server(text)


# Answers.


def test_both_families_interleaved_ipv6_first() -> None:
    def script(query: Query) -> bytes:
        kind = dns.rdatatype.to_text(kind_of(query))
        data = ["192.0.2.1", "192.0.2.2", "192.0.2.3"] if kind == "A" else ["2001:db8::1"]
        return answer(query, *(f"{name_of(query)} 60 IN {kind} {each}" for each in data))

    async def main() -> None:
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address)
            assert resolver.lookup("app.example") is None
            found = await resolver.resolve("app.example")
            assert found.addresses[0] == (V6, "2001:db8::1")
            assert {ip for _, ip in found.addresses[1:]} == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
            assert not found.stale
            assert not found.partial
            assert resolver.lookup("app.example") is found
            assert sorted(server.queries) == [("app.example.", "A"), ("app.example.", "AAAA")]
            resolver.close()

    run(main)


def test_cname_chain_is_followed_and_the_shortest_ttl_counts() -> None:
    def script(query: Query) -> bytes:
        if kind_of(query) == AAAA:
            return answer(query, "app.example. 9 IN CNAME b.example.")
        return answer(
            query, "app.example. 7 IN CNAME b.example.", "b.example. 50 IN CNAME c.example.", "c.example. 90 IN A 192.0.2.9"
        )

    async def main() -> None:
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address)
            found = await resolver.resolve("app.example")
            assert found.addresses == ((V4, "192.0.2.9"),)
            left = found.expires - resolve_module.monotonic()
            assert 6 < left <= 7
            resolver.close()

    run(main)


def test_ttl_is_kept_between_min_and_max() -> None:
    async def main() -> None:
        async with DnsServer(host(ttl=100_000)) as server, DnsServer(host(ttl=0)) as short:
            for each, low, high in ((server, 19, 20), (short, 1, 2)):
                resolver = resolver_for(each.address, min_ttl=2.0, max_ttl=20.0)
                found = await resolver.resolve("app.example")
                assert low < found.expires - resolve_module.monotonic() <= high
                resolver.close()

    run(main)


def test_truncated_answers_are_asked_again_by_tcp() -> None:
    async def main() -> None:
        cut = lambda query: answer(query, flags=dns.flags.TC)  # noqa: E731
        async with DnsServer(cut, tcp=host("192.0.2.7")) as server:
            resolver = resolver_for(server.address)
            found = await resolver.resolve("app.example")
            assert found.addresses == ((V4, "192.0.2.7"),)
            assert server.by_tcp == 2
            resolver.close()

    run(main)


def test_truncated_and_no_tcp() -> None:
    async def main() -> None:
        cut = lambda query: answer(query, flags=dns.flags.TC)  # noqa: E731
        async with DnsServer(cut, tcp=lambda query: None) as server:
            failed = await failure(resolver_for(server.address, timeout=0.5), "app.example")
            assert failed.signal == "deadline"
            assert "by TCP" in failed.facts["error"]

    run(main)


def test_truncated_garbage_is_no_end() -> None:
    async def main() -> None:
        async with DnsServer(lambda query: answer(query)[:2] + b"\x83\x80\0\1\0\5\0\0\0\0\xff", tcp=host()) as server:
            failed = await failure(resolver_for(server.address, timeout=0.5), "app.example")
            assert failed.signal == "dns-invalid"

    run(main)


# Failures, each with its name.


@pytest.mark.parametrize(
    ("rcode", "signal"),
    [
        (dns.rcode.NXDOMAIN, "nxdomain"),
        (dns.rcode.SERVFAIL, "servfail"),
        (dns.rcode.REFUSED, "dns-refused"),
        (dns.rcode.FORMERR, "dns-invalid"),
        (dns.rcode.NOTIMP, "dns-invalid"),
        (dns.rcode.NOTAUTH, "dns-invalid"),
        (dns.rcode.NOERROR, "nodata"),
    ],
)
def test_every_response_code_has_its_signal(rcode: dns.rcode.Rcode, signal: str) -> None:
    async def main() -> None:
        async with DnsServer(lambda query: answer(query, rcode=rcode)) as server:
            failed = await failure(resolver_for(server.address), "app.example")
            assert failed.signal == signal
            assert failed.facts["rcode"] == dns.rcode.to_text(rcode)
            assert failed.facts["resolver"] == server.address
            assert failed.facts["name"] == "app.example"
            assert failed.facts["elapsed_ms"] >= 0

    run(main)


def test_one_word_of_the_dns_per_failing_server_is_heard_twice_then_it_ends() -> None:
    async def main() -> None:
        async with DnsServer(lambda query: answer(query, rcode=dns.rcode.SERVFAIL)) as server:
            await failure(resolver_for(server.address, timeout=10), "app.example")
            assert server.asked("A") == 2
            assert server.asked("AAAA") == 2

    run(main)


@pytest.mark.parametrize(("text", "expected"), [("signature expired", "signature expired"), ("", "dnssec bogus")])
def test_extended_errors(text: str, expected: str) -> None:
    async def main() -> None:
        async with DnsServer(lambda query: answer(query, rcode=dns.rcode.SERVFAIL, ede=(6, text))) as server:
            failed = await failure(resolver_for(server.address), "app.example")
            assert failed.signal == "servfail"
            assert failed.facts["ede"] == 6
            assert failed.facts["ede_text"] == expected

    run(main)


def test_an_extended_error_is_more_telling_than_a_plain_failure() -> None:
    def script(query: Query) -> bytes:
        ede = (22, "no reachable authority") if kind_of(query) == A else None
        return answer(query, rcode=dns.rcode.SERVFAIL, ede=ede)

    async def main() -> None:
        async with DnsServer(script) as server:
            failed = await failure(resolver_for(server.address), "app.example")
            assert failed.facts["ede_text"] == "no reachable authority"

    run(main)


def test_silence_is_a_deadline() -> None:
    async def main() -> None:
        async with DnsServer(lambda query: None) as server:
            failed = await failure(resolver_for(server.address, timeout=0.2), "app.example")
            assert failed.signal == "deadline"
            assert failed.facts["limit"] == "dns.timeout"
            assert failed.facts["limit_value"] == 0.2
            assert failed.facts["resolver"] == server.address
            assert server.asked("A") == 2

    run(main)


def test_nobody_on_the_dns_port() -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        failed = await failure(resolver_for(f"127.0.0.1:{port}", timeout=5), "app.example")
        assert failed.signal == "deadline"
        assert "ECONNREFUSED" in failed.facts["error"]

    run(main)


def test_a_dns_server_that_cannot_be_sent_to() -> None:
    async def main() -> None:
        failed = await failure(resolver_for("255.255.255.255:53", timeout=1), "app.example")
        assert failed.signal == "deadline"
        assert "EACCES" in failed.facts["error"]

    run(main)


def test_out_of_descriptors() -> None:
    async def main() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            failed = await failure(resolver_for("127.0.0.1:53"), "app.example")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert failed.signal == "no-files"
        assert "EMFILE" in failed.facts["error"]

    run(main)


def test_garbage_only() -> None:
    async def main() -> None:
        async with DnsServer(lambda query: b"SSH-2.0-OpenSSH_9.2\r\n") as server:
            failed = await failure(resolver_for(server.address, timeout=5), "app.example")
            assert failed.signal == "dns-invalid"
            assert "not a DNS message" in failed.facts["error"]

    run(main)


def wrong_id(query: Query) -> bytes:
    wire = bytearray(host("198.51.100.66")(query))
    wire[0] ^= 0xFF
    return bytes(wire)


def wrong_question(query: Query) -> bytes:
    other = dns.message.make_query("evil.example", kind_of(query))
    other.id = query.id
    return answer(other, f"evil.example. 60 IN {dns.rdatatype.to_text(kind_of(query))} ::1") if kind_of(query) == AAAA else (
        answer(other, "evil.example. 60 IN A 198.51.100.66")
    )  # fmt: skip


def no_response(query: Query) -> bytes:
    return query.to_wire()


@pytest.mark.parametrize("forged", [wrong_id, wrong_question, no_response, lambda query: b"\0" * 12])
def test_what_does_not_fit_the_question_is_ignored_and_the_right_answer_still_taken(forged: Callable[[Query], bytes]) -> None:
    async def main() -> None:
        async with DnsServer(lambda query: [forged(query), forged(query), host("192.0.2.1")(query)]) as server:
            resolver = resolver_for(server.address)
            found = await resolver.resolve("app.example")
            assert found.addresses == ((V4, "192.0.2.1"),)
            resolver.close()
        async with DnsServer(forged) as server:
            failed = await failure(resolver_for(server.address, timeout=0.3), "app.example")
            assert failed.signal == "dns-invalid"

    run(main)


class Forging(DnsServer):
    """Lets somebody else answer, from another port."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        assert isinstance(query, Query)
        with socket.socket(type=socket.SOCK_DGRAM) as forger:
            forger.sendto(self.script(query), addr)


def test_an_answer_from_another_address_does_not_reach_us() -> None:
    async def main() -> None:
        async with Forging(host("198.51.100.66")) as server:
            assert (await failure(resolver_for(server.address, timeout=0.2), "app.example")).signal == "deadline"

    run(main)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b", "a." * 127 + "b"])
def test_impossible_names(name: str) -> None:
    async def main() -> None:
        async with DnsServer(host()) as server:
            failed = await failure(resolver_for(server.address), name)
            assert failed.signal == "misconfigured"
            assert "not a possible name" in failed.facts["error"]
            assert server.queries == []

    run(main)


def test_a_cname_loop_is_an_invalid_answer() -> None:
    def script(query: Query) -> bytes:
        return answer(query, "app.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME app.example.")

    async def main() -> None:
        async with DnsServer(script) as server:
            failed = await failure(resolver_for(server.address), "app.example")
            assert failed.signal == "dns-invalid"

    run(main)


# One family, several servers, names without dots.


def test_one_family_is_enough_when_the_other_fails() -> None:
    def script(query: Query) -> bytes:
        return answer(query, rcode=dns.rcode.SERVFAIL) if kind_of(query) == AAAA else host()(query)

    async def main() -> None:
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address)
            assert (await resolver.resolve("app.example")).addresses == ((V4, "192.0.2.1"),)
            resolver.close()

    run(main)


def test_a_slow_family_is_not_waited_for_and_joins_later() -> None:
    gate: asyncio.Event

    async def slowly(query: Query) -> bytes:
        await gate.wait()
        return host("192.0.2.1")(query)

    def script(query: Query) -> Any:
        return host(None, "2001:db8::1")(query) if kind_of(query) == AAAA else slowly(query)

    async def main() -> None:
        nonlocal gate
        gate = asyncio.Event()
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address, timeout=5)
            first = await resolver.resolve("app.example")
            assert first.addresses == ((V6, "2001:db8::1"),)
            assert first.partial
            assert resolver.lookup("app.example") is first
            gate.set()
            whole = await resolver.resolve("app.example", whole=True)
            assert whole.addresses == ((V6, "2001:db8::1"), (V4, "192.0.2.1"))
            assert not whole.partial
            resolver.close()

    run(main)


def test_the_next_server_is_asked_when_one_fails() -> None:
    async def main() -> None:
        bad = lambda query: answer(query, rcode=dns.rcode.SERVFAIL)  # noqa: E731
        async with DnsServer(bad) as first, DnsServer(host("192.0.2.2")) as second:
            resolver = resolver_for(first.address, second.address)
            assert (await resolver.resolve("app.example")).addresses == ((V4, "192.0.2.2"),)
            resolver.close()

    run(main)


def test_the_next_server_is_asked_when_one_is_silent_and_a_late_answer_still_counts() -> None:
    gate: asyncio.Event

    async def late(query: Query) -> bytes:
        await gate.wait()
        return host("192.0.2.1")(query)

    def second(query: Query) -> None:
        gate.set()

    async def main() -> None:
        nonlocal gate
        gate = asyncio.Event()
        async with DnsServer(late) as one, DnsServer(second) as two:
            resolver = resolver_for(one.address, two.address, timeout=2)
            assert (await resolver.resolve("app.example")).addresses == ((V4, "192.0.2.1"),)
            assert two.asked("A") == 1
            resolver.close()

    run(main)


def test_nxdomain_ends_the_search_of_servers() -> None:
    async def main() -> None:
        gone = lambda query: answer(query, rcode=dns.rcode.NXDOMAIN)  # noqa: E731
        async with DnsServer(gone) as first, DnsServer(host()) as second:
            assert (await failure(resolver_for(first.address, second.address), "app.example")).signal == "nxdomain"
            assert second.queries == []

    run(main)


def test_servers_without_edns_are_asked_without() -> None:
    def script(query: Query) -> bytes:
        return answer(query, rcode=dns.rcode.FORMERR) if query.edns >= 0 else host()(query)

    async def main() -> None:
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address)
            assert (await resolver.resolve("app.example")).addresses == ((V4, "192.0.2.1"),)
            resolver.close()

    run(main)


def test_search_domains_are_tried_in_order(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search one.example two.example\n")

    def script(query: Query) -> bytes:
        return host()(query) if name_of(query) == "app.two.example." else answer(query, rcode=dns.rcode.NXDOMAIN)

    async def main() -> None:
        async with DnsServer(script) as server:
            resolver = resolver_for(server.address, conf=str(conf))
            assert (await resolver.resolve("app")).addresses == ((V4, "192.0.2.1"),)
            names = [name for name, kind in server.queries if kind == "A"]
            assert names == ["app.one.example.", "app.two.example."]
            failed = await failure(resolver, "other")
            assert failed.signal == "nxdomain"
            assert failed.facts["name"] == "other"
            assert (await failure(resolver, "app.")).signal == "nxdomain"
            resolver.close()

    run(main)


def test_a_failing_server_ends_the_search_of_domains(tmp_path: Path) -> None:
    """Otherwise a name could mean another machine whenever DNS has trouble."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("search one.example two.example\n")

    def script(query: Query) -> bytes:
        return answer(query, rcode=dns.rcode.SERVFAIL) if name_of(query) == "app.one.example." else host()(query)

    async def main() -> None:
        async with DnsServer(script) as server:
            failed = await failure(resolver_for(server.address, conf=str(conf)), "app")
            assert failed.signal == "servfail"
            assert failed.facts["name"] == "app.one.example"

    run(main)


# Memory.


def test_concurrent_lookups_share_one_query_and_one_that_gives_up_does_not_end_it() -> None:
    async def main() -> None:
        async with DnsServer(host()) as server:
            resolver = resolver_for(server.address)
            tasks = [asyncio.create_task(resolver.resolve("app.example")) for _ in range(50)]
            await asyncio.sleep(0)
            tasks[0].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert all(result is results[1] for result in results[1:])
            assert server.asked("A") == 1
            resolver.close()

    run(main)


def test_negative_answers_are_remembered_and_each_caller_gets_its_own_exception() -> None:
    async def main() -> None:
        record = SOA.format(ttl=60, minimum=60)
        async with DnsServer(lambda query: answer(query, record, rcode=dns.rcode.NXDOMAIN)) as server:
            resolver = resolver_for(server.address)
            failures = [await failure(resolver, "app.example") for _ in range(5)]
            assert len({id(each) for each in failures}) == 5
            assert server.asked("A") == 1
            entry = resolver._entries["app.example"]
            assert 4 < entry.expires - resolve_module.monotonic() <= 5
            resolver.close()

    run(main)


def test_expired_and_unused_names_are_asked_again_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve_module, "KEEP_WARM", 0.0)

    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.05)
            await resolver.resolve("app.example")
            await asyncio.sleep(0.1)
            assert resolver.lookup("app.example") is None
            server.script = host("192.0.2.55")
            assert (await resolver.resolve("app.example")).addresses == ((V4, "192.0.2.55"),)
            assert server.asked("A") == 2
            resolver.close()

    run(main)


def test_used_names_are_asked_again_before_they_expire() -> None:
    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.2)
            await resolver.resolve("app.example")
            server.script = host("192.0.2.77", ttl=0)
            seen = set()
            for _ in range(50):
                found = resolver.lookup("app.example")
                assert found is not None, "a request would have waited for DNS"
                seen |= {ip for _, ip in found.addresses}
                if "192.0.2.77" in seen:
                    break
                await asyncio.sleep(0.02)
            assert seen == {"192.0.2.1", "192.0.2.77"}
            resolver.close()

    run(main)


@pytest.mark.parametrize(
    "script", [lambda query: answer(query, rcode=dns.rcode.SERVFAIL), lambda query: None, lambda query: b"x"]
)
def test_the_last_good_addresses_are_used_when_dns_fails(script: Callable[[Query], Any]) -> None:
    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.05, timeout=0.2)
            await resolver.resolve("app.example")
            server.script = script
            await asyncio.sleep(0.3)
            found = await resolver.resolve("app.example")
            assert found.addresses == ((V4, "192.0.2.1"),)
            assert found.stale
            assert found.trouble is not None
            assert resolver.lookup("app.example") is found
            assert resolver.count() == {"good": 0, "stale": 1, "failed": 0}
            resolver.close()

    run(main)


def test_stale_addresses_end_when_keep_stale_is_over_and_come_back_fresh() -> None:
    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.05, timeout=0.1, keep_stale=0.1)
            await resolver.resolve("app.example")
            assert resolver.count() == {"good": 1, "stale": 0, "failed": 0}
            server.script = lambda query: answer(query, rcode=dns.rcode.SERVFAIL)
            await asyncio.sleep(0.4)
            assert resolver.lookup("app.example") is None
            assert (await failure(resolver, "app.example")).signal == "servfail"
            assert resolver.count() == {"good": 0, "stale": 0, "failed": 1}
            resolver.close()

    run(main)


def test_a_name_that_no_longer_exists_is_no_failure_of_dns() -> None:
    """RFC 8767 section 4: NXDOMAIN replaces what was known, stale addresses are for servers that give no answer."""

    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.05)
            await resolver.resolve("app.example")
            server.script = lambda query: answer(query, rcode=dns.rcode.NXDOMAIN)
            await asyncio.sleep(0.2)
            assert (await failure(resolver, "app.example")).signal == "nxdomain"
            resolver.close()

    run(main)


def test_invalidate_asks_again_at_once_keeps_the_old_until_then_and_is_limited() -> None:
    async def main() -> None:
        async with DnsServer(host("192.0.2.1")) as server:
            resolver = resolver_for(server.address)
            await resolver.resolve("app.example")
            for _ in range(10):
                resolver.invalidate("app.example")
            assert resolver._entries["app.example"].task is None, "asked a moment ago"
            resolver._entries["app.example"].asked -= 1.0
            server.script = host("192.0.2.2")
            for _ in range(10):
                resolver.invalidate("app.example")
            found = resolver.lookup("app.example")
            assert found is not None
            assert found.addresses == ((V4, "192.0.2.1"),)
            assert (await resolver.resolve("app.example", whole=True)).addresses == ((V4, "192.0.2.1"),)
            task = resolver._entries["app.example"].task
            assert task is not None
            await task
            fresh = resolver.lookup("app.example")
            assert fresh is not None
            assert fresh.addresses == ((V4, "192.0.2.2"),)
            assert server.asked("A") == 2
            resolver.invalidate("10.0.0.1")
            resolver.invalidate("unknown.example")
            resolver.close()

    run(main)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve_module, "NAMES_MAX", 10)

    async def main() -> None:
        async with DnsServer(host()) as server:
            resolver = resolver_for(server.address)
            for number in range(30):
                await resolver.resolve(f"app{number}.example")
            assert len(resolver._entries) == 10
            assert resolver.lookup("app29.example") is not None
            resolver.close()

    run(main)


def test_a_name_that_falls_out_of_memory_is_still_told_to_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve_module, "NAMES_MAX", 1)

    async def main() -> None:
        async with DnsServer(host()) as server:
            resolver = resolver_for(server.address)
            results = await asyncio.gather(*(resolver.resolve(f"app{number}.example") for number in range(5)))
            assert all(result.addresses == ((V4, "192.0.2.1"),) for result in results)
            assert len(resolver._entries) == 1
            resolver.close()

    run(main)


def test_closing_ends_the_waiting() -> None:
    async def main() -> None:
        async with DnsServer(lambda query: None) as server:
            resolver = resolver_for(server.address, timeout=10)
            waiting = asyncio.create_task(failure(resolver, "app.example"))
            await asyncio.sleep(0.02)
            resolver.close()
            assert (await waiting).signal == "stopping"

    run(main)


def test_a_refresh_does_not_replace_both_families_by_the_quicker_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gate: asyncio.Event
    monkeypatch.setattr(resolve_module, "INVALIDATE_EVERY", 0.0)

    async def slowly(query: Query) -> bytes:
        await gate.wait()
        return host("192.0.2.1")(query)

    async def main() -> None:
        nonlocal gate
        gate = asyncio.Event()
        async with DnsServer(host("192.0.2.1", "2001:db8::1")) as server:
            resolver = resolver_for(server.address, timeout=5)
            whole = await resolver.resolve("app.example")
            server.script = lambda query: slowly(query) if kind_of(query) == A else host(None, "2001:db8::2")(query)
            resolver.invalidate("app.example")
            await asyncio.sleep(0.15)
            assert resolver.lookup("app.example") is whole
            gate.set()
            task = resolver._entries["app.example"].task
            assert task is not None
            await task
            fresh = resolver.lookup("app.example")
            assert fresh is not None
            assert fresh.addresses == ((V6, "2001:db8::2"), (V4, "192.0.2.1"))
            resolver.close()

    run(main)


def test_an_error_of_ours_reaches_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(resolve_module, "Question", broken)

    async def main() -> None:
        failed = await failure(resolver_for("127.0.0.1:53"), "app.example")
        assert failed.signal == "unexpected"
        assert failed.facts["error"] == "RuntimeError: broken on purpose"

    run(main)


def test_a_name_that_appears_in_the_hosts_file_wins_at_the_next_refresh(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("")

    async def main() -> None:
        async with DnsServer(host(ttl=0)) as server:
            resolver = resolver_for(server.address, min_ttl=0.05, hosts=str(file))
            await resolver.resolve("app.example")
            file.write_text("10.9.8.7 app.example\n")
            resolver._hosts = Hosts(str(file))
            await asyncio.sleep(0.15)
            assert (await resolver.resolve("app.example")).addresses == ((V4, "10.9.8.7"),)
            resolver.close()

    run(main)


def test_no_descriptor_is_left_open() -> None:
    async def main() -> None:
        before = None
        async with DnsServer(lambda query: [b"x", answer(query, flags=dns.flags.TC)], tcp=host(ttl=0)) as server:
            for number in range(20):
                resolver = resolver_for(server.address)
                await resolver.resolve(f"app{number}.example")
                resolver.close()
                await asyncio.sleep(0.01)
                before = before or len(os.listdir("/proc/self/fd"))
            for _ in range(100):  # the server's ends close when it gets round to them
                if (count := len(os.listdir("/proc/self/fd"))) <= before + 2:
                    break
                await asyncio.sleep(0.02)
            assert count <= before + 2

    run(main)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_a_server_sends_ends_in_a_named_failure_or_an_answer(data: st.DataObject) -> None:
    """Take a good answer and spoil it: no exception but Unresolved may come out."""

    def spoil(query: Query) -> bytes:
        wire = bytearray(
            answer(query, "app.example. 7 IN CNAME b.example.", "b.example. 50 IN A 192.0.2.1", SOA.format(ttl=1, minimum=1))
        )
        for _ in range(data.draw(st.integers(0, 6))):
            wire[data.draw(st.integers(2, len(wire) - 1))] = data.draw(st.integers(0, 255))
        return bytes(wire[: data.draw(st.integers(0, len(wire)))]) if data.draw(st.booleans()) else bytes(wire)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        errors: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: errors.append(context))
        async with DnsServer(spoil) as server:
            resolver = resolver_for(server.address, timeout=0.05)
            (result,) = await asyncio.gather(resolver.resolve("app.example"), return_exceptions=True)
            signals = ("nxdomain", "nodata", "servfail", "dns-refused", "dns-invalid", "deadline")
            assert result.addresses if isinstance(result, Addresses) else result.signal in signals  # type: ignore[union-attr]
            resolver.close()
            await asyncio.sleep(0)
        assert errors == []

    run(main)
