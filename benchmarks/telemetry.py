"""Measures what telemetry costs: CPU time per request without it, and with it at several shares of sampled requests.

    .venv/bin/python benchmarks/telemetry.py [--rounds 5] [--write]

One worker; small requests as fast as answers come, and requests whose server refuses. The time is that of all processes of the
gateway together, the control process that packs and delivers spans included. The collector is an HTTP server that takes all.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from gateways import GATEWAYS, ROOT, Running, fill, start_origin
from loads import LOADS, NORMAL, Load, check, run_wrk
from processes import Cores, Program, closed_port, free_port, share_cores
from report import write_between_markers
from results import median

DOCUMENT = ROOT / "docs" / "performance.md"
MARKER = "<!-- bench:begin (written by benchmarks/telemetry.py --write, do not edit) -->"
TABLES = {
    "none": "",
    "sample = 0": "sample = 0",
    "sample = 0.01": "sample = 0.01",
    "sample = 1": "sample = 1",
}
"""By what the row is called: what stands in [telemetry], nothing for no table."""
MEASURED = ("small", "refused")


def start_with(table: str, upstream: int, collector: int, cores: Cores, folder: Path) -> Running:
    """Start Headgate with this table."""
    folder.mkdir(parents=True)
    port = free_port()
    config = fill("headgate.toml", folder / "headgate.toml", listen=port, upstream=upstream, folder=folder, workers=1)
    if table:
        with config.open("a") as file:
            file.write(f'\n[telemetry]\nendpoint = "http://127.0.0.1:{collector}"\n{table}\n')
    head = GATEWAYS["headgate"].find()
    if head is None:
        raise SystemExit("headgate cannot be started")
    program = Program([*head, "serve", str(config)], cores.gateway, folder / "output.log")
    program.wait_until_listening(port)
    return Running(GATEWAYS["headgate"], program, port)


def measure(load: Load, rounds: int) -> dict[str, list[float]]:
    """CPU microseconds per request by table, for each round; they take turns."""
    cores = share_cores()
    found: dict[str, list[float]] = {name: [] for name in TABLES}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = start_origin(cores.origin, folder, {})
        stack.callback(origin.program.stop)
        refusing = stack.enter_context(closed_port())
        upstream = refusing.getsockname()[1] if load.failing else origin.port
        started: dict[str, Running] = {}
        for number, (name, table) in enumerate(TABLES.items()):
            started[name] = running = start_with(table, upstream, origin.port, cores, folder / str(number))
            stack.callback(running.program.stop)
            if problem := check(load, running):
                raise SystemExit(f"{name}: {problem}")
            run_wrk(load, running, cores, NORMAL)
        for number in range(rounds):
            for name, running in started.items():
                sample = run_wrk(load, running, cores, NORMAL)
                if sample.problem:
                    raise SystemExit(f"{name}: {sample.problem}")
                found[name].append(sample.cpu_us)
                print(f"round {number + 1}  {load.name:8} {name:14} {sample.cpu_us:.1f} us", file=sys.stderr)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """The medians, in Markdown."""
    lines = [
        "| [telemetry] | small, equal requests | : none | refused upstream | : none |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in TABLES:
        cells = []
        for load in MEASURED:
            mine, none = found[load][name], found[load]["none"]
            ratio = median([one / other for one, other in zip(mine, none, strict=True)])
            cells += [f"{median(mine):.1f} µs", f"{ratio:.2f}"]
        shown = name if name == "none" else f"`{name}`"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    text = table({name: measure(LOADS[name], options.rounds) for name in MEASURED})
    if options.write:
        write_between_markers(DOCUMENT, text, MARKER)
    print(text)


if __name__ == "__main__":
    main()
