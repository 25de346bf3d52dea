"""What an autopsy reads of this machine: command lines, the kernel's records, sockets of a port, limits that were passed."""

import os
import socket
import threading
from pathlib import Path

import pytest

from headgate.config.schema import Timeouts
from headgate.model import signals as s
from headgate.model.exchange import Attempt
from headgate.model.phases import BODY, CONNECT, HEAD, TLS
from headgate.probe.autopsyanswer import flowing, overdue
from headgate.probe.autopsykernel import Death, deaths_in, killed_in_group, killed_since_start, port_of
from headgate.probe.autopsyplace import look_at_port, names_port, own, passing_ports
from headgate.probe.autopsyshared import Shared, forget
from headgate.probe.autopsysocket import listening_sockets, look_at_socket

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("gunicorn --bind 0.0.0.0:8000 app", True),
        ("gunicorn --bind=:8000 app", True),
        ("node server.js --port 8000", True),
        ("uvicorn app -p 8000", True),
        ("app -listen 127.0.0.1:8000", True),
        ("curl http://127.0.0.1:8000", False),
        ("curl --port-of http://127.0.0.1:8000", False),
        ("sleep 8000", False),
        ("app --port 80001", False),
        ("app --port 18000", False),
        ("8000", False),
    ],
)
def test_which_command_lines_name_a_port(line: str, named: bool) -> None:
    assert names_port(line.split(), 8000) is named


def test_the_kernels_records_of_deaths() -> None:
    records = [
        "6,1,999000000,-;Out of memory: Killed process 4711 (gunicorn) total-vm:1kB",
        "3,2,999500000,-;Memory cgroup out of memory: Killed process 12 (node) total-vm:1kB",
        "6,3,999700000,-;app[77]: segfault at 0 ip 0 sp 0 error 4",
        "6,4,999800000,-;traps: php-fpm[78] general protection fault ip:0",
        "6,5,1000000,-;Out of memory: Killed process 1 (old) total-vm:1kB",
        "6,6,999900000,-;eth0: link up",
        "nonsense;Out of memory: Killed process 5 (x) y",
        "",
    ]
    assert deaths_in(records, NOW - 1000, NOW) == [
        Death(pytest.approx(NOW - 0.2), "php-fpm", 78, "general protection"),
        Death(pytest.approx(NOW - 0.3), "app", 77, "segfault"),
        Death(pytest.approx(NOW - 0.5), "node", 12, "memory"),
        Death(pytest.approx(NOW - 1.0), "gunicorn", 4711, "memory"),
        Death(pytest.approx(NOW - 999), "old", 1, "memory"),
    ]


def test_deaths_of_long_ago_are_none_of_an_incidents() -> None:
    assert deaths_in(["6,1,1000000,-;Out of memory: Killed process 1 (old) x"], NOW - 9000, NOW) == []


def test_counters_of_the_kernel() -> None:
    assert killed_since_start() >= -1
    assert killed_in_group(os.getpid()) >= -1
    assert killed_in_group(2**30) == -1


def test_queue_and_connections_of_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_of(port).waiting == 0
        with socket.create_connection(("127.0.0.1", port)):
            seen = port_of(port)
            assert (seen.waiting, seen.states["established"]) == (1, 1)
    assert port_of(port).waiting == -1


def test_which_addresses_are_this_machines() -> None:
    assert own("127.0.0.1")
    assert own("127.8.9.10")
    assert own("::1")
    assert not own("192.0.2.1")
    assert not own("no address")


@pytest.mark.parametrize(
    ("bound", "asked", "hears"),
    [("0.0.0.0", "127.0.0.1", True), ("127.0.0.1", "127.0.0.1", True), ("127.0.0.2", "127.0.0.1", False)],
)
def test_who_listens(bound: str, asked: str, hears: bool) -> None:
    forget()
    with socket.create_server((bound, 0)) as server:
        place = look_at_port(0.0, asked, server.getsockname()[1], failed=True)
    assert (place.listener is not None) is hears
    assert (place.elsewhere is not None) is not hears
    found = place.listener or place.elsewhere
    assert found is not None
    assert found.pid == os.getpid()


def test_sockets_in_the_kernels_table(tmp_path: Path) -> None:
    path = tmp_path / "with blanks.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert str(path) not in listening_sockets()
        server.listen()
        assert str(path) in listening_sockets()
        place = look_at_socket(0.0, str(path), failed=False)
    assert f"a program listens on {path}" in [look.text for look in place.looks]


def test_one_finds_out_for_all() -> None:
    count = []
    begun = threading.Barrier(4)

    def find() -> int:
        count.append(1)
        return len(count)

    shared = Shared(find)
    found: list[int] = []

    def ask() -> None:
        begun.wait(5)
        found.append(shared.get())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]
    shared.forget()
    assert shared.get() == 2


def attempt_of(phase: int, signal: str | None = None, **times: float) -> Attempt:
    made = Attempt("shop", "http://127.0.0.1:1", 100.0)
    made.phase, made.signal = phase, signal
    for name, value in times.items():
        setattr(made, name, value)
    return made


LIMITS = Timeouts(connect=1, tls=2, head=3, idle=4, total=20)


@pytest.mark.parametrize(
    ("attempt", "cause"),
    [
        (attempt_of(CONNECT, s.DEADLINE, t_end=101.5), "connection-timeout"),
        (attempt_of(HEAD, None, t_connected=101.5, t_sent=101.6, t_head=101.7, t_end=101.8), "connection-timeout"),
        (attempt_of(TLS, s.RESET, t_connected=100.1, t_end=103.0), "tls-timeout"),
        (attempt_of(HEAD, s.EOF, t_connected=100.1, t_sent=100.2, t_end=104.0), "response-timeout"),
        (attempt_of(HEAD, s.EOF, t_connected=100.1, t_sent=100.2, t_first=101.0, received=5, t_end=104.0), "head-stalled"),
        (attempt_of(BODY, None, t_connected=100.1, t_sent=100.2, t_first=101.0, t_head=101.0, t_end=121.0), "body-total-timeout"),
        (attempt_of(HEAD, s.EOF, t_connected=100.1, t_sent=100.2, t_end=101.0), ""),
        (attempt_of(CONNECT, s.REFUSED, t_end=100.1), ""),
    ],
)
def test_the_first_limit_that_was_passed_ends_an_attempt(attempt: Attempt, cause: str) -> None:
    assert overdue(attempt, LIMITS) is bool(cause)
    assert (attempt.cause.code if attempt.cause is not None else "") == cause


def test_a_body_that_still_comes_is_no_failure() -> None:
    comes, silent = attempt_of(BODY, s.DEADLINE), attempt_of(BODY, s.DEADLINE)
    comes.facts, silent.facts = {"silent_ms": 20}, {"silent_ms": 900}
    assert flowing(comes)
    assert comes.signal is None
    assert not flowing(silent)
    assert silent.signal == s.DEADLINE


def test_ports_that_mean_nothing(tmp_path: Path) -> None:
    file = tmp_path / "range"
    file.write_text("40000\t50000\n")
    assert passing_ports(str(file)) == range(40_000, 50_001)
    for text in ("", "many few", "1"):
        file.write_text(text)
        assert 33_000 in passing_ports(str(file))
        assert 8000 not in passing_ports(str(file))
    assert len(passing_ports()) > 1000
