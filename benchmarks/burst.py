"""What a burst of failures costs: every request fails, and what incidents count is compared with what the workers counted.

Also: memory, how many incidents there are, and whether a request waits for the control process. CPU per failing request stands in
the table of benchmarks/run.py.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from headgate.lab.processes import free_port

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- burst: begin -->", "<!-- burst: end -->"
PATIENCE = 30.0
CONNECTIONS = 64


class Gate:
    """A gateway with two workers: /good is answered, what is below /bad fails in as many ways as there are upstreams."""

    def __init__(self, folder: Path, origin: int, upstreams: int) -> None:
        self.port = free_port()
        self._run = folder / "run"
        self._run.mkdir(mode=0o700)
        self.dead = [free_port() for _ in range(upstreams)]
        lines = [
            f'[gateway]\nlisten = ["127.0.0.1:{self.port}"]\nworkers = 2\nadmin = {{ dashboard = "off" }}',
            f'[gateway.log]\naccess = "off"\nerrors = "{folder}/errors"',
            '[incidents]\nfile = "burst.incidents"',
            f'[upstream.good]\nservers = ["http://127.0.0.1:{origin}"]\n[[route]]\npath = "/good"\nupstream = "good"',
        ]
        for number, port in enumerate(self.dead):
            lines.append(f'[upstream.bad{number}]\nservers = ["http://127.0.0.1:{port}"]\n[[route]]\npath = "/bad/{number}"')
            lines.append(f'upstream = "bad{number}"')
        file = folder / "headgate.toml"
        file.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headgate", "serve", str(file)],
            env=os.environ | {"HEADGATE_RUN": str(self._run)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.until(lambda: self.ask("/api/incidents") is not None)

    def ask(self, path: str) -> Any:
        """Return what the admin API says; None while it does not."""
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(http.client.HTTPConnection("localhost", timeout=PATIENCE)) as connection,
        ):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(self._run / f"{self.process.pid}.sock"))
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        return None

    def until(self, condition: Any) -> None:
        """Wait until something is so. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError("waited in vain")
            time.sleep(0.05)

    def memory(self) -> int:
        """Return the resident bytes of all its processes together, shared pages counted once."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children()]
        return sum(one.memory_full_info().uss for one in family)

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def origin(folder: Path) -> Iterator[int]:
    """An nginx that answers 200."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null; events {{ worker_connections 1024; }}"
        f"http {{ access_log off; keepalive_requests 10000000; server {{ listen 127.0.0.1:{port}; return 200 'ok'; }} }}"
    )
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or sys.exit("nginx is not installed")
    process = subprocess.Popen([nginx, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


LUA = """
local n = 0
local many = tonumber(os.getenv("MANY"))
request = function()
  n = n + 1
  return wrk.format("GET", "/bad/" .. (n % many) .. "/" .. n)
end
done = function(summary) io.write("sent ", summary.requests, " failed ", summary.errors.status, " broken ",
  summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout, "\\n") end
"""


def wrk(port: int, path: str, seconds: float, connections: int, script: Path | None = None, many: int = 1) -> str:
    """Run wrk; return what it says."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}", "--latency", f"http://127.0.0.1:{port}{path}"]
    if script is not None:
        words[1:1] = ["-s", str(script)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | {"MANY": str(many)})
    return done.stdout


def burst(folder: Path, wanted: int, upstreams: int) -> dict[str, Any]:
    """Fail at least so many requests, and compare what incidents count with what workers counted."""
    script = folder / "bad.lua"
    script.write_text(LUA)
    with origin(folder) as port:
        gate = Gate(folder, port, upstreams)
        try:
            wrk(gate.port, "/", 1, CONNECTIONS, script, upstreams)  # what is loaded at the first failure, is
            before, sent, sizes = gate.memory(), 0, []
            while sent < wanted:
                said = wrk(gate.port, "/", 5, CONNECTIONS, script, upstreams)
                found = re.search(r"sent (\d+) failed (\d+) broken (\d+)", said)
                assert found is not None, said
                if found[1] != found[2] or found[3] != "0":
                    sys.exit(f"not every request was answered with an error: {said}")
                sent += int(found[1])
                sizes.append(gate.memory())
            time.sleep(2.5)  # workers tell their sums each second
            gate.until(lambda: seen(gate)[0] >= failed(gate) > 0)
            counted, incidents, lost = seen(gate)
            return {
                "answered": sent, "failed": failed(gate), "counted": counted, "lost": lost, "incidents": incidents,
                "upstreams": upstreams, "memory_before": before, "memory": sizes, "quick": beside(gate, script, upstreams),
            }  # fmt: skip
        finally:
            gate.end()


def failed(gate: Gate) -> int:
    """Return how many attempts failed, as the workers count them."""
    return sum(gate.ask("/api/status")["totals"]["failures"].values())


def seen(gate: Gate) -> tuple[int, int, int]:
    """Return how many failures the incidents count, how many incidents there are, and how many failures are in none."""
    told = gate.ask("/api/incidents?limit=1000")
    return sum(one["failed"] for one in told["incidents"]), len(told["incidents"]), told["lost"] + told["dropped"]


def beside(gate: Gate, script: Path, upstreams: int) -> dict[str, float]:
    """Return requests per second of failing ones while the control process works, and while it stands still.

    Where a request waited for the store, the second would be another number.
    """
    workers = {worker["pid"] for worker in gate.ask("/api/status")["workers"]}
    (control,) = [one for one in psutil.Process(gate.process.pid).children() if one.pid not in workers]
    rates: dict[str, list[float]] = {"works": [], "stands": []}
    for _ in range(5):
        for how in rates:
            if how == "stands":
                control.suspend()
            try:
                found = re.search(r"Requests/sec:\s+([\d.]+)", wrk(gate.port, "/", 2, CONNECTIONS, script, upstreams))
            finally:
                control.resume()
            assert found is not None
            rates[how].append(float(found[1]))
            time.sleep(0.5)
    return {how: statistics.median(found) for how, found in rates.items()}


def table(told: dict[str, Any]) -> str:
    """Return the numbers for docs/performance.md."""
    first, last = told["memory"][0] / 2**20, told["memory"][-1] / 2**20
    works, stands = told["quick"]["works"], told["quick"]["stands"]
    return f"""\
| | |
|---|--:|
| failed requests | {told["failed"]:,} |
| counted in incidents | {told["counted"]:,} |
| counted as lost | {told["lost"]:,} |
| upstreams that failed | {told["upstreams"]} |
| incidents | {told["incidents"]} |
| memory of all processes before | {told["memory_before"] / 2**20:.1f} MiB |
| after the first five seconds, and at the end | {first:.1f} MiB, {last:.1f} MiB |
| rate of failing requests while the control process stands still, against while it works | {stands / works:.2f} |"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--upstreams", type=int, default=8)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hgburst") as folder:
        os.chmod(folder, 0o755)
        told = burst(Path(folder), options.requests, options.upstreams)
    print(json.dumps(told, indent=1))
    print(table(told))
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, found, rest = page.partition(BEGIN)
        if not found:
            sys.exit(f"{PAGE} lacks {BEGIN}")
        PAGE.write_text(f"{before}{BEGIN}\n\n{table(told)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
