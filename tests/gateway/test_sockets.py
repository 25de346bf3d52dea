"""Listening sockets: bound, named, and refused with words that help."""

import os
import socket
import stat

import pytest

from headgate.gateway.sockets import CannotListen, address_of, bind


def test_a_port_that_the_system_chooses():
    with bind("127.0.0.1:0") as sock:
        host, port = address_of(sock).split(":")
        assert (host, int(port) > 0) == ("127.0.0.1", True)
        assert not sock.getblocking()
        with socket.create_connection((host, int(port)), 5):
            pass


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"), reason="needs IPv6")
def test_ipv6_is_written_in_brackets():
    with bind("[::1]:0") as sock:
        assert address_of(sock).startswith("[::1]:")


def test_a_name():
    with bind("localhost:0") as sock:
        assert address_of(sock).rpartition(":")[0] in ("127.0.0.1", "[::1]")


def test_every_address_of_the_machine():
    with bind("0.0.0.0:0") as sock, socket.create_connection(("127.0.0.1", sock.getsockname()[1]), 5):
        assert address_of(sock).startswith("0.0.0.0:")


def test_an_address_in_use():
    with bind("127.0.0.1:0") as sock, pytest.raises(CannotListen, match=r"Address already in use; .*ss -ltnp"):
        bind(address_of(sock))


def test_a_port_just_left_is_free_again():
    """Connections of the process before still wind down; a restart must not have to wait for them."""
    with bind("127.0.0.1:0") as sock:
        address = address_of(sock)
        sock.setblocking(True)
        with socket.create_connection(sock.getsockname(), 5):
            accepted, _ = sock.accept()
            accepted.close()
    bind(address).close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.0.2.1:1", "no such address"),
        ("no-such-name.invalid:1", "'no-such-name.invalid' is no address of this machine"),
        ("unix:/no/such/folder/x.sock", "/no/such/folder/x.sock"),
    ],
)
def test_an_impossible_address(address, words):
    with pytest.raises(CannotListen) as told:
        bind(address)
    assert str(told.value).startswith("cannot listen on ")
    assert words in str(told.value)


def test_a_unix_socket(tmp_path):
    with bind(f"unix:{tmp_path}/a.sock") as sock:
        assert address_of(sock) == f"unix:{tmp_path}/a.sock"
        with pytest.raises(CannotListen, match="already in use"):
            bind(f"unix:{tmp_path}/a.sock")
    with bind(f"unix:{tmp_path}/a.sock") as sock, socket.socket(socket.AF_UNIX) as client:  # left behind, so replaced
        client.connect(f"{tmp_path}/a.sock")


def test_a_live_unix_socket_with_a_full_queue_is_not_taken_for_a_dead_one(tmp_path):
    path = f"{tmp_path}/a.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        waiting = []
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(path)
            waiting.append(client)
        with pytest.raises(CannotListen):
            bind(f"unix:{path}")
        for client in waiting:
            client.close()
        assert os.path.exists(path)


def test_what_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(CannotListen):
        bind(f"unix:{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_unix_socket_is_open_to_a_front_server_of_another_user(tmp_path):
    path = tmp_path / "gate.sock"
    with bind(f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
