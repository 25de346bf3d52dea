"""The loads: what is sent to a gateway, what must come back, and how one measurement is taken."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateways import HERE, Running
from messages import HEADERS, TARGET, ask, block_crc
from processes import Cores, show
from results import Sample, check_wrk, read_result

CONNECTIONS = 64
RATE = 2000  # requests per second of the load with a fixed rate
IDLE = 5000  # connections of the load "idle"
SMALL_BODY = 120
MIB = 1 << 20
FILES = {"1m": MIB, "100m": 100 * MIB}


@dataclass(frozen=True)
class Size:
    """How much is measured in one round: seconds for loads by time, requests for loads by number."""

    seconds: int
    requests_1m: int
    requests_100m: int


NORMAL = Size(2, 1000, 8)
QUICK = Size(1, 500, 4)


@dataclass(frozen=True)
class Load:
    """One load. `measure` runs it once; `target` and `body` say what a single request must bring."""

    name: str
    title: str
    measure: Callable[["Load", Running, Cores, Size], Sample]
    target: str = TARGET
    body: int = SMALL_BODY
    failing: bool = False  # the upstream's port is closed: every answer must be 502 or 503
    script: str = "result.lua"
    once: bool = False  # one round is enough


def run_wrk(load: Load, running: Running, cores: Cores, size: Size) -> Sample:
    """wrk over 64 connections for so many seconds; CPU time is read before and after."""
    threads = len(cores.clients)
    headers = [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t", str(threads), "-c", str(CONNECTIONS), "-d", f"{size.seconds}s", "--timeout", "20s"]
    command += ["-s", str(HERE / load.script), *headers, f"http://127.0.0.1:{running.port}{load.target}"]
    before = running.program.cpu()
    numbers = read_result(run_client(command, cores))
    return sample_of(numbers, running.program.cpu() - before, check_wrk(numbers, load.failing))


def run_bulk(load: Load, running: Running, cores: Cores, size: Size) -> Sample:
    """A fixed number of large bodies."""
    huge = load.body > MIB
    arguments = [load.target, "4" if huge else "16", str(size.requests_100m if huge else size.requests_1m)]
    return run_own("bulk", arguments, running, cores)


def run_rate(load: Load, running: Running, cores: Cores, size: Size) -> Sample:
    """A fixed rate, far below what any of the gateways can do."""
    return run_own("rate", [str(CONNECTIONS), str(RATE), str(size.seconds)], running, cores)


def run_own(mode: str, arguments: list[str], running: Running, cores: Cores) -> Sample:
    """One load of client.py's."""
    before = running.program.cpu()
    numbers = read_result(run_client(client_command(mode, running.port, arguments), cores))
    return sample_of(numbers, running.program.cpu() - before, "")


def run_idle(load: Load, running: Running, cores: Cores, size: Size) -> Sample:
    """Memory before and after opening idle connections that each made one request.

    A few requests go before, so that what is made once is not counted; no load does, whose freed memory would be used again.
    """
    for _ in range(50):
        ask(running.port, load.target)
    before = running.program.memory()
    command = ["taskset", "-c", show(cores.clients), *client_command("idle", running.port, [str(IDLE)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        try:
            assert client.stdout
            first = client.stdout.readline()
            time.sleep(0.5)
            after = running.program.memory()
            output, _ = client.communicate("", timeout=30)
            numbers = read_result(output if first == "open\n" else first + output)
        finally:
            client.kill()
    problem = f"{numbers['closed']:.0f} connections were closed" if numbers["closed"] else ""
    return Sample(kib=max(after - before, 0) / 1024 / IDLE, requests=IDLE, problem=problem)


def client_command(mode: str, port: int, arguments: list[str]) -> list[str]:
    """The command line of client.py."""
    return [sys.executable, str(Path(HERE, "client.py")), mode, str(port), *arguments]


def run_client(command: list[str], cores: Cores) -> str:
    """Run a client on its cores and return what it printed. subprocess.TimeoutExpired after two minutes."""
    command = ["taskset", "-c", show(cores.clients), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    return done.stdout


def sample_of(numbers: dict[str, float], cpu: float, problem: str) -> Sample:
    """A client's numbers and the gateway's CPU seconds as a sample."""
    requests = int(numbers["requests"])
    return Sample(
        cpu_us=cpu / max(requests, 1) * 1e6,
        requests=requests,
        per_second=requests / numbers["seconds"],
        p50_us=numbers.get("p50", -1.0),
        p99_us=numbers.get("p99", -1.0),
        problem=problem,
    )


def check(load: Load, running: Running) -> str:
    """Send one request as the load will, and say what is wrong with its answer, "" if nothing."""
    try:
        answer = ask(running.port, load.target)
    except (OSError, ValueError) as error:
        return f"the first request failed: {error}"
    if load.failing:
        return "" if answer.status in (502, 503) else f"answered {answer.status} where 502 or 503 is right"
    if answer.status != 200 or answer.body != load.body:
        return f"answered {answer.status} with {answer.body} bytes instead of 200 with {load.body}"
    if load.body in FILES.values() and answer.crc != block_crc(load.body):
        return "the body came through changed"
    return "" if answer.headers >= load_headers(load) else f"only {answer.headers} header lines came through"


def load_headers(load: Load) -> int:
    """Fewest header lines of a right answer: what the origin sends, without Connection."""
    return 10 if load.body == SMALL_BODY else 4


LOADS = {
    load.name: load
    for load in (
        Load("small", "small, equal requests", run_wrk),
        Load("different", "small, all different", run_wrk, script="different.lua"),
        Load("1m", "1 MiB", run_bulk, target="/files/1m", body=MIB),
        Load("100m", "100 MiB", run_bulk, target="/files/100m", body=100 * MIB),
        Load("refused", "refused upstream", run_wrk, failing=True),
        Load("rate", f"small, {RATE} requests/s", run_rate),
        Load("idle", f"{IDLE} idle connections", run_idle, once=True),
    )
}
