"""TCP_INFO over real connections: sound values on loopback, and what tells a lossy network from a slow program."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
import uvloop

from headgate.net.tcpinfo import STATES, tcp_info


def test_values_over_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"x" * 5000)
            assert len(peer.recv(5000, socket.MSG_WAITALL)) == 5000
            info = tcp_info(client)
            assert info is not None
            assert STATES[info["state"]] == "established"
            assert info["retransmits"] == info["total_retrans"] == info["lost"] == 0
            assert 0 < info["rtt_us"] < 10_000_000
            assert info["snd_cwnd"] > 0
            assert 500 < info["snd_mss"] <= 65_536
            assert info["pmtu"] > 500
            assert info["rto_us"] > 0
            assert info["bytes_acked"] in (5000, 5001)  # the SYN counts in some kernels
            assert info["notsent_bytes"] == 0
            theirs = tcp_info(peer)
            assert theirs is not None
            assert theirs["bytes_received"] == 5000
            assert 0 <= theirs["last_data_recv_ms"] < 10_000
            by_descriptor = tcp_info(client.fileno())
            assert by_descriptor is not None
            assert by_descriptor.keys() == info.keys()
            client.sendall(b"still open")
        assert tcp_info(client) is not None


def test_the_end_of_the_peer_shows_in_the_state() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        server.accept()[0].close()
        assert client.recv(1) == b""
        info = tcp_info(client)
        assert info is not None
        assert STATES[info["state"]] == "close-wait"


def test_the_loops_own_socket() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            transport, _ = await loop.create_connection(asyncio.Protocol, *server.getsockname())
            sock = transport.get_extra_info("socket")
            assert tcp_info(sock) is not None
            transport.abort()
            await asyncio.sleep(0.01)
            assert tcp_info(sock) is None

    uvloop.run(main())


def test_nothing_for_what_is_no_tcp_connection() -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket(type=socket.SOCK_DGRAM) as datagram, open(os.devnull) as file:
        assert tcp_info(one) is None
        assert tcp_info(datagram) is None
        assert tcp_info(file.fileno()) is None
        one.sendall(b"still open")
        assert other.recv(100) == b"still open"
    closed = socket.socket()
    closed.close()
    assert tcp_info(closed) is None
    assert tcp_info(-1) is None


SERVER = """
import socket, subprocess, sys
print("ready", flush=True)
sys.stdin.readline()
for command in ("link set lo up", "addr add 10.9.0.2/24 dev veth1", "link set veth1 up"):
    subprocess.run(["ip", *command.split()], check=True)
with socket.create_server(("10.9.0.2", 80)) as server:
    print("listening", flush=True)
    peer, _ = server.accept()
    peer.recv(1000)
    sys.stdin.readline()  # the slow program: it has read the request, and does not answer
"""
CLIENT = """
import json, socket, subprocess, sys, time
from headgate.net.tcpinfo import tcp_info

def ip(*words):
    subprocess.run(["ip", *words], check=True)

command = ["unshare", "--net", sys.executable, "-c", sys.argv[1]]
server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
try:
    server.stdout.readline()
    ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    ip("link", "set", "veth1", "netns", str(server.pid))
    ip("addr", "add", "10.9.0.1/24", "dev", "veth0")
    ip("link", "set", "veth0", "up")
    server.stdin.write("go\\n")
    server.stdin.flush()
    server.stdout.readline()
    client = socket.create_connection(("10.9.0.2", 80), timeout=10)
    client.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    for _ in range(200):  # the kernel on the other side acknowledges, even though its program says nothing
        slow = tcp_info(client)
        if not slow["unacked"]:
            break
        time.sleep(0.01)
    ip("neigh", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:99", "dev", "veth0", "nud", "permanent")  # frames go astray
    client.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    for _ in range(200):
        loss = tcp_info(client)
        if loss["retransmits"] >= 2:
            break
        time.sleep(0.02)
    print(json.dumps({"slow": slow, "loss": loss}))
finally:
    server.kill()
    server.wait()
"""


def test_a_lossy_network_looks_different_from_a_slow_program() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare and ip")
    command = ["unshare", "--net", sys.executable, "-c", CLIENT, SERVER]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=50, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    if done.returncode and "Operation not permitted" in done.stderr:
        pytest.skip("no network namespace is permitted here")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    slow, loss = found["slow"], found["loss"]
    assert (slow["unacked"], slow["lost"], slow["retransmits"], slow["total_retrans"]) == (0, 0, 0, 0)
    assert loss["unacked"] >= 1
    assert loss["lost"] >= 1
    assert loss["retransmits"] >= 2
    assert loss["total_retrans"] >= 1
    assert loss["rto_us"] > slow["rto_us"]
