"""Only public addresses are contacted without the user's word, however a private one is written."""

import pytest

from headgate.probe.guard import allowed


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "2002:808:808::1", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert allowed(address, named=False)
    assert allowed(address, named=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.254",
        "0.0.0.0", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_others_only_when_named(address: str) -> None:
    assert not allowed(address, named=False)
    assert allowed(address, named=True)


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "239.255.255.250", "ff02::1", "0.1.2.3", "", "example.org", "1.2.3", "::ffff:224.0.0.1"]
)
def test_never(address: str) -> None:
    assert not allowed(address, named=False)
    assert not allowed(address, named=True)
