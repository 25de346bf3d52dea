"""One address is connected to: taken, refused, silent; each told in words and with its cause."""

import asyncio
import socket

import pytest

from headgate.model.phases import CONNECT
from headgate.probe.address import has_ipv6, has_network, tcp_look


def look(port: int, ip: str = "127.0.0.1", seconds: float = 2.0):  # type: ignore[no-untyped-def]
    return asyncio.run(tcp_look("site.test", ip, port, seconds, 0.0))


def test_it_takes_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = look(port)
    assert (found.kind, found.ok, found.attempt.cause) == ("tcp", True, None)
    assert found.facts == {"address": f"127.0.0.1:{port}", "family": "IPv4"}
    assert found.text.startswith("connected in ")
    assert found.attempt.t_connected >= found.attempt.t_start


def test_it_refuses() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = look(sock.getsockname()[1])
    assert (found.ok, found.attempt.cause.code, found.attempt.phase) == (False, "connection-refused", CONNECT)
    assert found.attempt.facts["errno"] == 111
    assert "refused" in found.text


def test_it_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(server.getsockname())
        found = look(server.getsockname()[1], seconds=0.4)
        for caller in callers:
            caller.close()
    assert (found.ok, found.attempt.cause.code, found.attempt.signal) == (False, "connection-timeout", "deadline")


def test_by_ipv6() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    with server:
        port = server.getsockname()[1]
        found = look(port, "::1")
    assert (found.ok, found.facts) == (True, {"address": f"[::1]:{port}", "family": "IPv6"})


def test_where_no_way_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", nowhere)
    assert (has_ipv6(), has_network()) == (False, False)
    found = look(9)
    assert (found.ok, found.attempt.cause.code) == (False, "network-unreachable")


def test_where_a_way_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: None)
    assert has_network()


@pytest.mark.parametrize(("ip", "cause"), [("2001:db8::7", "network-unreachable"), ("192.0.2.7", "ports-exhausted")])
def test_a_machine_without_ipv6_is_not_out_of_ports(monkeypatch: pytest.MonkeyPatch, ip: str, cause: str) -> None:
    """Linux answers both with EADDRNOTAVAIL."""

    def no_address(*_: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "connect", no_address)
    assert look(9, ip).attempt.cause.code == cause
