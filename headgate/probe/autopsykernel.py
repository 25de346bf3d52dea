"""Owns what the kernel tells an autopsy: queues and states of a port's sockets, kills for want of memory, crashes."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_READ: Final = 8 << 20
"""Most bytes of a table that are read: some 50,000 connections."""
_STATES: Final = {"01": "established", "03": "syn-recv", "08": "close-wait", "0A": "listen"}
_KMSG: Final = "/dev/kmsg"
_RECORDS: Final = 20_000
"""Most records of the kernel's log that are read."""
_RECENT: Final = 3600.0
"""Seconds for which a kill may have to do with an incident."""
_NAME: Final = r"(?P<pid>\d{1,10}) \((?P<name>[^)]{1,64})\)"
_KILL: Final = re.compile(rf"[Oo]ut of memory: Killed process {_NAME}")
_CRASH: Final = re.compile(
    r"(?:traps: )?(?P<name>[^\[\]:]{1,64})\[(?P<pid>\d{1,10})\]:? (?P<how>segfault|general protection|trap invalid opcode)"
)


@dataclass(frozen=True, slots=True)
class Port:
    """The sockets of one port, as the kernel counts them."""

    waiting: int = -1  # connections that nobody has accepted yet, of all listening sockets; -1: nobody listens
    states: Counter[str] = field(default_factory=Counter)  # connections by state


def port_of(port: int) -> Port:
    """Return what the kernel shows of a local port. What cannot be read is left out."""
    wanted, waiting, states = f":{port:04X} ", -1, Counter[str]()
    for path in _TABLES:
        for line in _lines(path):
            words = line.split() if wanted in line else []  # most lines are of other ports
            if len(words) > 4 and words[1].endswith(wanted[:-1]):
                state = _STATES.get(words[3], "other")
                if state == "listen":
                    waiting = max(waiting, 0) + _hex(words[4].partition(":")[2])
                else:
                    states[state] += 1
    return Port(waiting, states)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(_READ).splitlines()[1:]
    except OSError:
        return []


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


@dataclass(frozen=True, slots=True)
class Death:
    """A program that the kernel ended, or saw crash."""

    at: float  # wall-clock seconds
    name: str
    pid: int
    how: str  # "memory", "segfault", ...


def deaths(now: float) -> list[Death] | None:
    """Return the deaths of the last hour from the kernel's log, the newest first; None where it may not be read."""
    try:
        descriptor = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return deaths_in(_records(descriptor), now - time.clock_gettime(time.CLOCK_MONOTONIC), now)
    finally:
        os.close(descriptor)


def _records(descriptor: int) -> Iterable[str]:
    for _ in range(_RECORDS):
        try:
            record = os.read(descriptor, 8192)
        except BrokenPipeError:  # records were overwritten meanwhile: the next read goes on with what there is
            continue
        except OSError:  # EAGAIN: that was all
            return
        if not record:
            return
        yield record.decode("utf-8", "replace")


def deaths_in(records: Iterable[str], booted: float, now: float) -> list[Death]:
    """Return the deaths of the last hour in records such as "6,339,5140900,-;Out of memory: Killed process 7 (app) ...".

    booted: wall-clock seconds of the moment from which the records count their microseconds.
    """
    found = []
    for record in records:
        head, _, text = record.partition(";")
        stamp = head.split(",")[2:3]
        hit = _KILL.search(text) or _CRASH.match(text)
        if hit is None or not stamp or not stamp[0].isdigit():
            continue
        at = booted + int(stamp[0]) / 1e6
        if now - _RECENT <= at <= now + 1:
            found.append(Death(at, hit["name"].strip(), int(hit["pid"]), hit.groupdict().get("how", "memory")))
    return sorted(found, key=lambda one: -one.at)


def killed_since_start() -> int:
    """Return how many programs the kernel killed for want of memory since it started, -1 where it does not say."""
    return _counter(Path("/proc/vmstat"))


def killed_in_group(pid: int) -> int:
    """Return how many programs of a process's control group were killed for want of memory, -1 where it does not show."""
    with suppress(OSError, IndexError):
        group = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace").partition("0::")[2].splitlines()[0]
        return _counter(Path("/sys/fs/cgroup") / group.lstrip("/") / "memory.events")
    return -1


def _counter(path: Path) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return -1
