"""Dialling over real sockets: every way in which connecting ends, and the paths to it."""

import asyncio
import errno
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import uvloop

from headgate.config.endpoints import Endpoint
from headgate.config.schema import Dns, Upstream
from headgate.diagnose.classify import classify
from headgate.gateway.dial import Dial
from headgate.gateway.target import Target
from headgate.model.exchange import NEVER, Attempt
from headgate.model.phases import CONNECT, RESOLVE
from headgate.net import race as race_module
from headgate.net.errnos import errno_text
from headgate.net.resolve import Addresses, Resolver

V4, V6 = socket.AF_INET, socket.AF_INET6


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main()

    uvloop.run(bounded())


def upstream(**settings: Any) -> Upstream:
    return Upstream(servers=({"url": "http://127.0.0.1:1"},), **settings)  # type: ignore[arg-type]


class Outcome:
    """What became of a dial, and how often it said so."""

    def __init__(self, target: Target, factory: Callable[[], asyncio.Protocol] = asyncio.Protocol) -> None:
        self.attempt = Attempt("app", "http://app", monotonic())
        self.calls: list[tuple[Any, ...]] = []
        self.event = asyncio.Event()
        self.dial = Dial(target, self.attempt, factory, self.connected, self.failed)

    def connected(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self.calls.append(("connected", transport, protocol))
        self.event.set()

    def failed(self, phase: int, signal: str, facts: Any) -> None:
        self.calls.append((phase, signal, facts))
        self.event.set()

    def start(self) -> "Outcome":
        self.dial.start()
        return self

    async def end(self) -> Any:
        """Wait for the one call, and return it: ("connected", transport, protocol) or (phase, signal, facts)."""
        await self.event.wait()
        await asyncio.sleep(0.01)
        (call,) = self.calls
        if call[0] == "connected":
            call[1].close()
        else:
            cause = classify(*call)
            assert cause.code != "gateway-error", f"no row of the classification foresees {call}"
        return call


def target_for(endpoint: Endpoint, resolver: Any = None, **settings: Any) -> Target:
    known = resolver or Resolver(Dns(hosts_file="/nonexistent"))
    return Target(asyncio.get_running_loop(), known, endpoint, upstream(**settings))


def to(port: int, host: str = "127.0.0.1", **settings: Any) -> Target:
    return target_for(Endpoint("http", host, port), **settings)


@pytest.fixture
def hosts(tmp_path: Path) -> Callable[..., Resolver]:
    def make(*addresses: str) -> Resolver:
        file = tmp_path / "hosts"
        file.write_text("".join(f"{address} app\n" for address in addresses))
        return Resolver(Dns(hosts_file=str(file)))

    return make


def listener(family: int = V4, port: int = 0, backlog: int = 16) -> socket.socket:
    sock = socket.socket(family)
    if family == V6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("::1" if family == V6 else "127.0.0.1", port))
    sock.listen(backlog)
    return sock


@pytest.fixture
def refusing() -> Iterator[int]:
    """Keep a port on which nobody listens, and nobody else can."""
    with socket.socket(V4) as four:
        four.bind(("127.0.0.1", 0))
        yield four.getsockname()[1]


@contextmanager
def blackhole(family: int = V4, port: int = 0) -> Iterator[int]:
    """Keep a port that answers nothing: its queue is full, and the kernel drops further SYNs."""
    sock = listener(family, port, backlog=0)
    filling = []
    for _ in range(8):
        each = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        each.connect_ex(sock.getsockname()[:2])
        filling.append(each)
    try:
        yield sock.getsockname()[1]
    finally:
        for each in [*filling, sock]:
            each.close()


def sockets() -> int:
    """Count the open sockets of this process."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
        except FileNotFoundError:  # the one that listed the directory
            pass
    return count


# TCP.


def test_connected() -> None:
    async def main() -> None:
        with listener() as sock:
            outcome = Outcome(to(sock.getsockname()[1])).start()
            what, transport, protocol = await outcome.end()
            assert what == "connected"
            assert type(protocol) is asyncio.Protocol
            assert transport.get_extra_info("peername") == sock.getsockname()
            attempt = outcome.attempt
            assert attempt.address == f"127.0.0.1:{sock.getsockname()[1]}"
            assert attempt.t_start <= attempt.t_resolved <= attempt.t_connected
            assert attempt.t_secured == NEVER
            assert attempt.phase == CONNECT

    run(main)


def test_small_segments_are_not_delayed() -> None:
    async def main() -> None:
        with listener() as sock:
            outcome = Outcome(to(sock.getsockname()[1])).start()
            await outcome.event.wait()
            assert outcome.calls[0][1].get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            await outcome.end()

    run(main)


def test_refused_is_told_at_once_without_any_task(refusing: int) -> None:
    async def main() -> None:
        tasks = asyncio.all_tasks()
        outcome = Outcome(to(refusing)).start()
        assert asyncio.all_tasks() == tasks
        phase, signal, facts = await outcome.end()
        assert (phase, signal) == (CONNECT, "refused")
        assert facts == {"errno": errno.ECONNREFUSED, "error": "ECONNREFUSED: Connection refused", "elapsed_ms": 0}
        assert outcome.attempt.address == f"127.0.0.1:{refusing}"
        assert outcome.attempt.t_connected == NEVER

    run(main)


def test_silence_is_a_deadline_with_the_kernels_view() -> None:
    async def main() -> None:
        with blackhole() as port:
            outcome = Outcome(to(port, timeouts={"connect": 0.1})).start()
            phase, signal, facts = await outcome.end()
            assert (phase, signal) == (CONNECT, "deadline")
            assert facts["limit"] == "timeouts.connect"
            assert facts["limit_value"] == 0.1
            assert facts["tcp_info"]["state"] == 2  # SYN-SENT
            assert "errno" not in facts

    run(main)


def test_no_route_without_any_packet() -> None:
    async def main() -> None:
        phase, signal, facts = await Outcome(to(80, "224.0.0.1")).start().end()
        assert (phase, signal, facts["errno"]) == (CONNECT, "unreachable", errno.ENETUNREACH)

    run(main)


def test_an_interface_that_does_not_exist() -> None:
    async def main() -> None:
        phase, signal, facts = await Outcome(to(80, "fe80::1%nosuch0")).start().end()
        assert (phase, signal) == (CONNECT, "misconfigured")
        assert "error" in facts

    run(main)


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_out_of_descriptors(hosts: Callable[..., Resolver], tmp_path: Path) -> None:
    async def main() -> None:
        name = target_for(Endpoint("http", "app", 80), hosts("::1", "127.0.0.1"))
        unix = target_for(Endpoint("unix", "", 0, str(tmp_path / "app.sock")))
        assert name.resolver.lookup("app") is not None  # the hosts file was read when there were descriptors
        for target in (to(80), name, unix):
            with no_descriptors():
                outcome = Outcome(target).start()
            phase, signal, facts = await outcome.end()
            assert (phase, signal) == (CONNECT, "no-files")
            assert "EMFILE" in facts["error"]
            assert "attempts_by_address" not in facts, "another address would fail alike"

    run(main)


def test_data_and_the_end_may_come_before_the_call() -> None:
    """The contract that the data plane builds on: the protocol is live before on_connected is called."""
    seen = []

    class Eager(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            seen.append(data)

        def connection_lost(self, exc: Exception | None) -> None:
            seen.append(b"lost")

    async def main() -> None:
        with listener() as sock:
            outcome = Outcome(to(sock.getsockname()[1]), Eager).start()
            peer, _ = sock.accept()
            peer.sendall(b"hello")
            peer.close()
            what, transport, _ = await outcome.end()
            assert what == "connected"
            for _ in range(100):
                if b"lost" in seen:
                    break
                await asyncio.sleep(0.01)
            assert seen == [b"hello", b"lost"]
            assert transport.is_closing()

    run(main)


def test_an_error_of_ours_is_named_as_such() -> None:
    def broken() -> asyncio.Protocol:
        raise RuntimeError("broken on purpose")

    async def main() -> None:
        with listener() as sock:
            outcome = Outcome(to(sock.getsockname()[1]), broken).start()
            await outcome.event.wait()
            (call,) = outcome.calls
            assert call[:2] == (CONNECT, "unexpected")
            assert call[2]["error"] == "RuntimeError: broken on purpose"

    run(main)


# Several addresses.


def test_the_second_address_is_used_when_the_first_refuses(hosts: Callable[..., Resolver]) -> None:
    async def main() -> None:
        with listener() as sock:
            port = sock.getsockname()[1]
            outcome = Outcome(target_for(Endpoint("http", "app", port), hosts("::1", "127.0.0.1"))).start()
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"127.0.0.1:{port}"

    run(main)


def test_the_second_address_is_used_when_the_first_is_silent(hosts: Callable[..., Resolver]) -> None:
    async def main() -> None:
        with listener() as sock, blackhole(V6, sock.getsockname()[1]) as port:
            before = sockets()
            outcome = Outcome(target_for(Endpoint("http", "app", port), hosts("::1", "127.0.0.1"))).start()
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"127.0.0.1:{port}"
            await asyncio.sleep(0.02)
            assert sockets() == before, "the loser of the race is closed"

    run(main)


def test_a_slow_first_address_still_wins_when_it_answers_first(
    hosts: Callable[..., Resolver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race_module, "STAGGER", 0.01)

    async def main() -> None:
        with blackhole(V4) as port, socket.socket(V6) as six:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(("::1", port))
            six.listen(0)
            fillers = [socket.socket(V6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(4)]
            for each in fillers:
                each.connect_ex(("::1", port))
            outcome = Outcome(target_for(Endpoint("http", "app", port), hosts("::1", "127.0.0.1"))).start()
            await asyncio.sleep(0.1)
            assert outcome.calls == []
            for _ in range(2):
                six.accept()[0].close()  # room in the queue: the next repetition of the SYN succeeds, after a second
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"[::1]:{port}"
            for each in fillers:
                each.close()

    run(main)


def test_the_most_telling_failure_is_reported_and_all_are_listed(hosts: Callable[..., Resolver]) -> None:
    async def main() -> None:
        with blackhole(V4) as port:
            target = target_for(Endpoint("http", "app", port), hosts("::1", "127.0.0.1"), timeouts={"connect": 0.1})
            outcome = Outcome(target).start()
            phase, signal, facts = await outcome.end()
            assert (phase, signal) == (CONNECT, "refused")
            assert outcome.attempt.address == f"[::1]:{port}"
            assert facts["name"] == "app"
            assert facts["addresses"] == [f"[::1]:{port}", f"127.0.0.1:{port}"]
            told = [(each["address"], each["signal"], each.get("errno")) for each in facts["attempts_by_address"]]
            assert told == [(f"[::1]:{port}", "refused", errno.ECONNREFUSED), (f"127.0.0.1:{port}", "deadline", None)]

    run(main)


def test_refused_says_more_than_unreachable_whatever_the_order(hosts: Callable[..., Resolver], refusing: int) -> None:
    async def main() -> None:
        for order in (("224.0.0.1", "127.0.0.1"), ("127.0.0.1", "224.0.0.1")):
            target = target_for(Endpoint("http", "app", refusing), hosts(*order))
            outcome = Outcome(target).start()
            phase, signal, facts = await outcome.end()
            assert (phase, signal) == (CONNECT, "refused")
            assert outcome.attempt.address.startswith("127.0.0.1:")
            assert len(facts["attempts_by_address"]) == 2

    run(main)


# Names.


class Known:
    """A resolver that says what it is told to say."""

    def __init__(self, first: Addresses, whole: Addresses | None = None, new: Addresses | None = None) -> None:
        self.new = new
        self.first = first
        self.whole = whole or first
        self.invalidated: list[str] = []

    def lookup(self, name: str) -> Addresses:
        return self.first

    async def resolve(self, name: str, whole: bool = False) -> Addresses:
        await asyncio.sleep(0)
        return self.whole

    def invalidate(self, name: str) -> None:
        self.invalidated.append(name)

    async def renewed(self, name: str) -> Addresses | None:
        await asyncio.sleep(0)
        return self.new


def test_a_failed_connect_makes_the_name_be_asked_again(refusing: int) -> None:
    async def main() -> None:
        known = Known(Addresses("app", ((V4, "127.0.0.1"),)))
        await Outcome(target_for(Endpoint("http", "app", refusing), known)).start().end()
        assert known.invalidated == ["app"]

    run(main)


def test_a_server_that_has_moved_is_found_by_the_same_dial() -> None:
    async def main() -> None:
        with listener() as sock:
            port = sock.getsockname()[1]
            known = Known(Addresses("app", ((V4, "127.0.0.9"),)), new=Addresses("app", ((V4, "127.0.0.1"),)))
            outcome = Outcome(target_for(Endpoint("http", "app", port), known)).start()
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"127.0.0.1:{port}"
            denied = target_for(Endpoint("http", "app", port), known, deny_addresses=("127.0.0.1/32",))
            assert (await Outcome(denied).start().end())[1] == "refused"

    run(main)


def test_the_late_family_is_waited_for_when_the_quick_one_fails(refusing: int) -> None:
    async def main() -> None:
        with listener() as sock:
            port = sock.getsockname()[1]
            first = Addresses("app", ((V6, "::1"),), partial=True)
            known = Known(first, Addresses("app", ((V6, "::1"), (V4, "127.0.0.1"))))
            outcome = Outcome(target_for(Endpoint("http", "app", port), known)).start()
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"127.0.0.1:{port}"
            nothing_new = Known(first, Addresses("app", ((V6, "::1"),)))
            phase, signal, facts = await Outcome(target_for(Endpoint("http", "app", port), nothing_new)).start().end()
            assert (phase, signal) == (CONNECT, "refused")
            both_fail = Known(first, Addresses("app", ((V6, "::1"), (V4, "127.0.0.1"))))
            target = target_for(Endpoint("http", "app", refusing), both_fail)
            phase, signal, facts = await Outcome(target).start().end()
            assert len(facts["attempts_by_address"]) == 2
            target = target_for(Endpoint("http", "app", port), both_fail, deny_addresses=("127.0.0.0/8",))
            assert (await Outcome(target).start().end())[1] == "address-denied"

    run(main)


def test_an_unresolved_name_fails_in_its_phase(refusing: int) -> None:
    async def main() -> None:
        resolver = Resolver(Dns(hosts_file="/nonexistent", servers=(f"127.0.0.1:{refusing}",), timeout=1.0))
        outcome = Outcome(target_for(Endpoint("http", "app.example", 80), resolver)).start()
        assert outcome.attempt.phase == RESOLVE
        phase, signal, facts = await outcome.end()
        assert (phase, signal, facts["name"]) == (RESOLVE, "deadline", "app.example")
        assert outcome.attempt.t_resolved == NEVER
        impossible = Outcome(target_for(Endpoint("http", "a" * 70 + ".example", 80), resolver)).start()
        assert (await impossible.end())[:2] == (CONNECT, "misconfigured")
        assert impossible.attempt.address == "a" * 70 + ".example:80"
        resolver.close()

    run(main)


# Denied addresses.


def test_a_name_that_leads_to_a_denied_network_is_not_dialled_at_all(hosts: Callable[..., Resolver]) -> None:
    async def main() -> None:
        with listener() as sock:
            port = sock.getsockname()[1]
            for addresses in (("127.0.0.1",), ("::ffff:127.0.0.1",), ("127.0.0.2", "127.0.0.1")):
                settings = {"deny_addresses": ("127.0.0.1/32",)}
                outcome = Outcome(target_for(Endpoint("http", "app", port), hosts(*addresses), **settings)).start()
                phase, signal, facts = await outcome.end()
                assert (phase, signal) == (CONNECT, "address-denied")
                assert facts["name"] == "app"
                assert facts["addresses"] == [addresses[-1]]
                assert facts["limit"] == "deny_addresses"
                assert addresses[-1] in outcome.attempt.address
            target = target_for(Endpoint("http", "app", port), hosts("127.0.0.1"), deny_addresses=("10.0.0.0/8",))
            for _ in range(2):
                assert (await Outcome(target).start().end())[0] == "connected"
            assert (await Outcome(to(port, deny_addresses=("127.0.0.0/8",))).start().end())[1] == "address-denied"

    run(main)


def test_ipv4_in_ipv6_clothes_connects_where_it_is_allowed() -> None:
    async def main() -> None:
        with listener() as sock:
            outcome = Outcome(to(sock.getsockname()[1], "::ffff:127.0.0.1")).start()
            assert (await outcome.end())[0] == "connected"

    run(main)


# Unix sockets.


def unix(path: Path | str) -> Target:
    return target_for(Endpoint("unix", "", 0, str(path)))


def test_unix_connected(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "app.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            sock.listen()
            outcome = Outcome(unix(path)).start()
            assert (await outcome.end())[0] == "connected"
            assert outcome.attempt.address == f"unix:{path}"
            assert outcome.attempt.t_connected >= outcome.attempt.t_start

    run(main)


def test_unix_failures(tmp_path: Path) -> None:
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    file = tmp_path / "file"
    file.write_text("")
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagram.bind(str(tmp_path / "datagram.sock"))
    expected = [
        (tmp_path / "missing.sock", "missing", errno.ENOENT),
        (file / "app.sock", "missing", errno.ENOTDIR),
        (stale, "refused", errno.ECONNREFUSED),
        (file, "refused", errno.ECONNREFUSED),
        (tmp_path / "datagram.sock", "misconfigured", errno.EPROTOTYPE),
    ]

    async def main() -> None:
        for path, signal, code in expected:
            tasks = asyncio.all_tasks()
            outcome = Outcome(unix(path)).start()
            assert asyncio.all_tasks() == tasks
            assert await outcome.end() == (
                CONNECT,
                signal,
                {"path": str(path), "errno": code, "error": errno_text(code), "elapsed_ms": 0},
            )
        too_long = "/tmp/" + "x" * 103
        phase, signal, facts = await Outcome(unix(too_long)).start().end()
        assert (phase, signal, facts["path"]) == (CONNECT, "misconfigured", too_long)

    run(main)
    datagram.close()


def test_unix_forbidden(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "app.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            sock.listen()
            path.chmod(0)
            target = unix(path)
            before = os.geteuid()
            if before == 0:
                os.seteuid(65_534)  # permissions do not bind root
            try:
                outcome = Outcome(target).start()
            finally:
                os.seteuid(before)
            phase, signal, facts = await outcome.end()
            assert (phase, signal, facts["errno"]) == (CONNECT, "forbidden", errno.EACCES)

    run(main)


def test_unix_backlog_full(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "app.sock"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            sock.listen(0)
            waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(4)]
            for each in waiting:
                each.connect_ex(str(path))
            phase, signal, facts = await Outcome(unix(path)).start().end()
            assert (phase, signal, facts["errno"]) == (CONNECT, "backlog", errno.EAGAIN)
            for each in waiting:
                each.close()

    run(main)


# Cancelling.


def test_nothing_is_called_after_cancel_and_nothing_stays_open(hosts: Callable[..., Resolver]) -> None:
    async def main() -> None:
        silent_dns = socket.socket(type=socket.SOCK_DGRAM)
        silent_dns.bind(("127.0.0.1", 0))
        resolver = Resolver(Dns(hosts_file="/nonexistent", servers=(f"127.0.0.1:{silent_dns.getsockname()[1]}",)))
        with listener() as sock, blackhole(V4) as hole:
            before = sockets()
            targets = [
                to(hole, timeouts={"connect": 0.05}),
                to(sock.getsockname()[1]),
                target_for(Endpoint("http", "app", hole), hosts("::1", "127.0.0.1"), timeouts={"connect": 0.05}),
                target_for(Endpoint("http", "app.example", hole), resolver),
            ]
            for target in targets:
                for steps in range(3):
                    outcome = Outcome(target).start()
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    already = len(outcome.calls)
                    outcome.dial.cancel()
                    outcome.dial.cancel()
                    await asyncio.sleep(0.08)
                    assert len(outcome.calls) == already
                    for call in outcome.calls:
                        call[1].close()
            resolver.close()
            await asyncio.sleep(0.02)
            assert sockets() == before
        silent_dns.close()

    run(main)


# What only another network can show.

INSIDE = """
import asyncio, json, socket, sys, time
import uvloop
from headgate.config.endpoints import Endpoint
from headgate.config.schema import Dns, Upstream
from headgate.gateway.dial import Dial
from headgate.net.resolve import Resolver
from headgate.gateway.target import Target
from headgate.model.exchange import Attempt

async def dial(host, port):
    done = asyncio.get_running_loop().create_future()
    target = Target(asyncio.get_running_loop(), Resolver(Dns()), Endpoint("http", host, port),
                    Upstream(servers=({"url": "http://x"},), timeouts={"connect": 0.5}))
    Dial(target, Attempt("", "", time.monotonic()), asyncio.Protocol, lambda *_: done.set_result(["connected"]),
         lambda phase, signal, facts: done.set_result([phase, signal, facts.get("errno")])).start()
    return await done

async def main():
    results = {}
    for name, host in json.loads(sys.argv[1]).items():
        results[name] = await dial(host, 80)
    open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w").write("1")
    results["v6 off"] = await dial("::1", 80)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40000")
        with socket.create_connection(("127.0.0.1", port)):
            results["ports"] = await dial("127.0.0.1", port)
    print(json.dumps(results))

uvloop.run(main())
"""
SETUP = """
set -e
ip link set lo up
ip link add veth0 type veth peer name veth1
ip addr add 10.1.0.1/24 dev veth0
ip link set veth0 up
ip link set veth1 up
ip route add prohibit 10.2.0.0/16
ip route add unreachable 10.3.0.0/16
ip route add blackhole 10.4.0.0/16
"""


def own_network(script: str, *arguments: str) -> str:
    """Run a Python script in a network of its own, if that is permitted."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare and ip")
    command = ["unshare", "--net", "sh", "-c", SETUP + 'exec "$@"', "sh", sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    if done.returncode and "Operation not permitted" in done.stderr:
        pytest.skip("no network namespace is permitted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_routes_and_ports_may_say() -> None:
    hosts = {"none": "192.0.2.1", "prohibit": "10.2.0.1", "unreachable": "10.3.0.1", "blackhole": "10.4.0.1", "v6": "2001:db8::1"}
    results = json.loads(own_network(INSIDE, json.dumps(hosts)))
    assert results == {
        "none": [CONNECT, "unreachable", errno.ENETUNREACH],
        "prohibit": [CONNECT, "prohibited", errno.EACCES],
        "unreachable": [CONNECT, "unreachable", errno.EHOSTUNREACH],
        "blackhole": [CONNECT, "misconfigured", errno.EINVAL],
        "v6": [CONNECT, "unreachable", errno.ENETUNREACH],
        "v6 off": [CONNECT, "misconfigured", errno.EADDRNOTAVAIL],
        "ports": [CONNECT, "no-ports", errno.EADDRNOTAVAIL],
    }
