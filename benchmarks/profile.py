"""Shows where Headgate's CPU time goes under the small loads: which functions, and how much is the kernel's.

    .venv/bin/python benchmarks/profile.py [small|different|refused] [--seconds 5] [--lines] [--perf]

Headgate runs with a sampler inside: every 2 ms of CPU time a signal notes the stack. "self" is the function that ran; time in
C code (the loop, system calls) counts for the Python function that called it, or for "(event loop)" when none did. --perf
adds what perf(1) sees from outside: kernel, interpreter and libraries apart.
"""

import argparse
import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parent
ROOT = HERE.parent
INTERVAL = 0.002
INSIDE = "--inside"  # this file started as the gateway itself
LOOP = "(event loop)"


class Sampler:
    """Counts, every 2 ms of CPU time, the function that runs and all functions that called it."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.own: Counter[str] = Counter()
        self.whole: Counter[str] = Counter()

    def start(self) -> None:
        """Sample from now on; SIGUSR2 forgets what was seen so far; the counts are written when the process ends."""
        signal.signal(signal.SIGPROF, self.sample)
        signal.signal(signal.SIGUSR2, self.forget)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        atexit.register(self.write)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """Note the stack that the signal interrupted."""
        names: list[str] = []
        while frame is not None:
            names.append(f"{name_of(frame)}:{frame.f_lineno}" if not names else name_of(frame))
            frame = frame.f_back
        self.own[names[0]] += 1
        self.whole.update({names[0].rpartition(":")[0], *names[1:]})

    def forget(self, _number: int, _frame: FrameType | None) -> None:
        """Start over: what was seen was warming up."""
        self.own.clear()
        self.whole.clear()

    def write(self) -> None:
        """Write the counts."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.target.write_text(json.dumps({"own": self.own, "whole": self.whole}))


def name_of(frame: FrameType) -> str:
    """ "gateway/flow.py Flow.begin": file and qualified name; what is not Headgate's is the event loop."""
    parts = Path(frame.f_code.co_filename).parts
    if "headgate" not in parts:
        return LOOP
    start = len(parts) - parts[::-1].index("headgate")
    return f"{'/'.join(parts[start:])} {frame.f_code.co_qualname}"


def run_inside(target: str, arguments: list[str]) -> None:
    """Be the gateway, with the sampler. This folder leaves the path: it has a module named as one of the library's."""
    sys.path[0] = str(ROOT)
    Sampler(Path(target)).start()
    sys.argv = ["headgate", *arguments]
    runpy.run_module("headgate", run_name="__main__")


def measure(name: str, seconds: int, lines: bool, perf: bool) -> None:
    """Start origin and gateway, warm up, run the load, and print what was seen."""
    from gateways import GATEWAYS, start, start_origin
    from loads import FILES, LOADS, NORMAL, check, run_wrk
    from processes import closed_port, share_cores

    load, cores = LOADS[name], share_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        counts = folder / "counts.json"
        inside = [sys.executable, str(HERE / "profile.py"), INSIDE, str(counts)]
        origin = start_origin(cores.origin, folder, dict.fromkeys(FILES, 0))
        stack.callback(origin.program.stop)
        closed = stack.enter_context(closed_port())
        gateway = replace(GATEWAYS["headgate"], find=lambda: inside)
        running = start(gateway, closed.getsockname()[1] if load.failing else origin.port, cores.gateway, folder / "headgate")
        stack.callback(running.program.stop)
        problem = check(load, running)
        if problem:
            sys.exit(problem)
        run_wrk(load, running, cores, replace(NORMAL, seconds=1))
        pid = running.program.process.pid
        os.kill(pid, signal.SIGUSR2)
        recorder = start_perf(pid, seconds, folder) if perf else None
        before = times(pid)
        sample = run_wrk(load, running, cores, replace(NORMAL, seconds=seconds))
        user, kernel = (after - first for first, after in zip(before, times(pid), strict=True))
        running.program.stop()
        print(f"{load.title}: {sample.cpu_us:.1f} µs for one request, {kernel / max(user + kernel, 0.01):.0%} of it kernel")
        print(f"{sample.requests:,} requests, {sample.per_second:,.0f}/s {sample.problem}\n")
        show_counts(json.loads(counts.read_text()), sample.cpu_us, lines)
        if recorder:
            show_perf(recorder, folder)


def times(pid: int) -> tuple[float, float]:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def show_counts(counts: dict[str, dict[str, int]], cpu_us: float, lines: bool) -> None:
    """Print functions by their own time, with the time of all they call beside it, in µs of one request."""
    scale = cpu_us / (sum(counts["own"].values()) or 1)
    own: Counter[str] = Counter()
    for place, count in counts["own"].items():
        own[place.rpartition(":")[0]] += count
    print(f"{'self µs':>8} {'with calls':>11}  function")
    for name, count in own.most_common(40):
        print(f"{count * scale:8.2f} {counts['whole'][name] * scale:11.2f}  {name}")
    if lines:
        print(f"\n{'self µs':>8}  line")
        for place, count in Counter(counts["own"]).most_common(40):
            print(f"{count * scale:8.2f}  {place}")


def start_perf(pid: int, seconds: int, folder: Path) -> subprocess.Popen[bytes]:
    """Record with perf while the load runs."""
    command = ["perf", "record", "-o", str(folder / "perf.data"), "-p", str(pid), "sleep", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def show_perf(recorder: subprocess.Popen[bytes], folder: Path) -> None:
    """Print perf's shares by library, then by symbol."""
    recorder.wait(30)
    for sort in ("dso", "dso,symbol"):
        command = ["perf", "report", "-i", str(folder / "perf.data"), "--stdio", "--sort", sort]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False)
        lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("#")]
        print("\nperf by", sort, "\n" + "\n".join(lines[:30]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("load", nargs="?", choices=("small", "different", "refused"), default="small")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--lines", action="store_true", help="also the lines that took most")
    parser.add_argument("--perf", action="store_true", help="also what perf sees")
    options = parser.parse_args()
    begin = time.monotonic()
    measure(options.load, options.seconds, options.lines, options.perf)
    print(f"\n{time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:2] == [INSIDE]:
        run_inside(sys.argv[2], sys.argv[3:])
    else:
        main()
