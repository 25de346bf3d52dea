"""Counts in shared memory: real processes change them, one is killed, one gets the memory in a message."""

import fcntl
import os
import signal
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.shared import Gauges, Memory, create


@pytest.fixture
def memory():
    made = create(Gauges.size(64, 4))
    yield made
    made.close()


def forked(work) -> int:
    """Run work in a child process, return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def test_all_workers_are_counted_together(memory):
    gauges = Gauges(memory, 4)

    def work(slot: int) -> None:
        gauge = gauges.gauge(7, slot)
        for _ in range(5_000):
            gauge.up()
            gauge.up()
            gauge.down()

    pids = [forked(lambda slot=slot: work(slot)) for slot in range(4)]
    assert [ended_well(pid) for pid in pids] == [True] * 4
    assert gauges.total(7) == gauges.gauge(7, 0).total() == 20_000
    assert gauges.gauge(7, 3).own == 5_000
    assert gauges.total(6) == gauges.total(8) == 0


def test_what_a_killed_worker_held_is_given_back(memory):
    gauges = Gauges(memory, 4)
    gauges.gauge(0, 1).up()
    gauges.gauge(63, 1).up()
    ready, say = os.pipe()

    def work() -> None:
        for number in (0, 5, 63):
            gauges.gauge(number, 2).up()
        os.write(say, b".")
        signal.pause()

    pid = forked(work)
    os.close(say)
    assert os.read(ready, 1) == b"."
    os.close(ready)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [gauges.total(number) for number in (0, 5, 63)] == [2, 1, 2]
    gauges.clear(2)
    assert [gauges.total(number) for number in (0, 5, 63)] == [1, 0, 1]


def test_memory_travels_in_a_message(memory):
    here, there = socket.socketpair()

    def work() -> None:
        _, fds, _, _ = socket.recv_fds(there, 1, 1)
        Gauges(Memory(fds[0]), 4).gauge(3, 2).up()

    with here, there:
        pid = forked(work)
        socket.send_fds(here, [b"m"], [memory.fd])
        assert ended_well(pid)
    assert Gauges(memory, 4).total(3) == 1


def test_memory_keeps_its_size(memory):
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fd, 0)
    assert fcntl.fcntl(memory.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_only_gauges_that_exist_are_given(memory):
    gauges = Gauges(memory, 4)
    assert gauges.capacity == 64
    for number, slot in ((64, 0), (-1, 0), (0, 4), (0, -1)):
        with pytest.raises(IndexError):
            gauges.gauge(number, slot)
    with pytest.raises(ValueError, match="hold no gauge for 300 workers"):
        Gauges(memory, 300)


def test_names_keep_their_numbers_and_free_ones_come_back_late(memory):
    gauges = Gauges(memory, 4)
    assert gauges.assign(["a", "b", "a", "c"]) == {"a": 0, "b": 1, "c": 2}
    assert gauges.assign(["c", "d", "a"]) == {"c": 2, "d": 3, "a": 0}
    assert gauges.assign(["b"]) == {"b": 4}


def test_a_number_still_counted_in_is_not_given_again(memory):
    gauges = Gauges(memory, 4)
    gauges.assign(f"old {number}" for number in range(64))
    busy = gauges.gauge(10, 3)
    busy.up()
    assert gauges.assign(f"new {number}" for number in range(63))["new 62"] == 63
    with pytest.raises(ValueError, match="64 names to count for, and only 63 gauges"):
        gauges.assign(f"new {number}" for number in range(64))
    busy.down()
    assert gauges.assign(f"new {number}" for number in range(64))["new 63"] == 10


def test_another_process_may_take_over_assigning(memory):
    names = Gauges(memory, 4).assign(["a", "b"])
    assert Gauges(memory, 4, names).assign(["b", "c"]) == {"b": 1, "c": 2}


@given(st.lists(st.sets(st.sampled_from("abcdefghijkl"), max_size=8), max_size=12))
def test_law_of_assigning(reloads):
    """Each name has a number of its own, unchanged while the name stays, the same for whoever assigns the same."""
    memory = create(Gauges.size(8, 2))
    one, other = Gauges(memory, 2), Gauges(memory, 2)
    before: dict[str, int] = {}
    for names in reloads:
        now = one.assign(sorted(names))
        assert now.keys() == names
        assert len(set(now.values())) == len(names)
        assert all(0 <= number < 8 for number in now.values())
        assert all(now[name] == before[name] for name in names & before.keys())
        assert other.assign(sorted(names)) == now
        before = now
    memory.close()
