"""How a program of the benchmark is started on chosen cores, what it cost in CPU time and memory, and how it is ended.

Everything is done by the ids of processes that were started here, and of their children; nothing is looked up by name.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Cores:
    """Which cores the gateway under test, the origin, and the clients run on."""

    gateway: tuple[int, ...]
    origin: tuple[int, ...]
    clients: tuple[int, ...]

    def __str__(self) -> str:
        return f"gateway on core {show(self.gateway)}, origin on {show(self.origin)}, clients on {show(self.clients)}"


def show(cores: Sequence[int]) -> str:
    """Cores as taskset wants them: 0,1,2."""
    return ",".join(map(str, cores))


def share_cores() -> Cores:
    """One core for the gateway alone if there are two; then one for the origin; the others, or the origin's, for clients.

    Taken from the end: interrupts and other programs tend to run on the first core.
    """
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    gateway, rest = (cores[0],), cores[1:] or cores
    return Cores(gateway, (rest[0],), tuple(rest[1:3] or rest))


class Program:
    """A running program, pinned to cores, in a session of its own so that Ctrl-C reaches only the benchmark."""

    def __init__(self, command: Sequence[str], cores: Sequence[int], output: Path) -> None:
        self.output = output
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                ["taskset", "-c", show(cores), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """The program's process and all its living descendants."""
        found = [self.process.pid]
        for pid in found:
            found += children(pid)
        return found

    def cpu(self) -> float:
        """Seconds of user and system time of all its processes so far, ended threads included."""
        return sum(map(cpu_seconds, self.pids()))

    def memory(self) -> int:
        """Bytes of private anonymous memory, shared pages counted by their share."""
        return sum(map(anonymous_bytes, self.pids()))

    def wait_until_listening(self, port: int, seconds: float = 20.0) -> None:
        """Return when the port accepts connections. RuntimeError with the program's own words if it ends or never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((LOOPBACK, port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        last = self.output.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise RuntimeError(f"did not start: {last[0].strip()[:100]}")

    def stop(self) -> None:
        """End it politely, then whatever of it is left the hard way."""
        pids = self.pids()
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pids = sorted({*pids, *self.pids()})
            for pid in pids:
                kill(pid)
            self.process.wait(3)
        for pid in pids[1:]:  # orphans: their parent has gone and they are still there
            if parent(pid) in (1, self.process.pid):
                kill(pid)


def kill(pid: int) -> None:
    """SIGKILL, if the process still exists."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def parent(pid: int) -> int:
    """The id of the parent, 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def children(pid: int) -> list[int]:
    """Direct children of all threads of a process."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text().split())
        except OSError:
            pass  # the thread ended meanwhile
    return found


def cpu_seconds(pid: int) -> float:
    """User plus system time of a process and of its ended children.

    The process's CPU clock (its number is made as by clock_getcpuclockid(3)) counts the same time as utime and stime
    in /proc/PID/stat, in nanoseconds instead of ticks of 10 ms. Time of ended children is only known in ticks.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid: int) -> int:
    """Pss_Anon of a process: heap and stacks, without files and without the kernel's socket buffers."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon:"))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


def closed_port() -> socket.socket:
    """A socket that owns a port and does not listen: connections to it are refused as long as it is open."""
    sock = socket.socket()
    sock.bind((LOOPBACK, 0))
    return sock
