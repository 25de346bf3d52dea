"""Servers' places: which addresses lie in denied networks, and which Host names a server."""

import socket
from ipaddress import ip_network

import pytest

from headgate.config.endpoints import parse_server
from headgate.net.place import authority, denied

V4 = socket.AF_INET


@pytest.mark.parametrize(
    ("address", "network", "forbidden"),
    [
        ("127.0.0.1", "127.0.0.0/8", True),
        ("128.0.0.1", "127.0.0.0/8", False),
        ("::ffff:127.0.0.1", "127.0.0.0/8", True),
        ("64:ff9b::127.0.0.1", "127.0.0.0/8", True),
        ("64:ff9b:1::127.0.0.1", "127.0.0.0/8", False),
        ("::1", "127.0.0.0/8", False),
        ("::1", "::1/128", True),
        ("fe80::1%lo", "fe80::/10", True),
        ("169.254.169.254", "169.254.0.0/16", True),
    ],
)
def test_denied_networks(address: str, network: str, forbidden: bool) -> None:
    found = denied([(V4, "192.0.2.1"), (V4, address)], (ip_network(network),))
    assert found == ([address] if forbidden else [])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://app:3000", b"app:3000"),
        ("http://app", b"app"),
        ("http://app:80", b"app"),
        ("https://app:443", b"app"),
        ("http://app:443", b"app:443"),
        ("https://app:80", b"app:80"),
        ("http://[::1]:3000", b"[::1]:3000"),
        ("unix:/run/app.sock", b"localhost"),
    ],
)
def test_a_server_is_named_by_its_authority(url: str, host: bytes) -> None:
    assert authority(parse_server(url)) == host
