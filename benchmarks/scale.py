"""Measures what a second worker brings: throughput and CPU time per request with one and with two, for each gateway.

    .venv/bin/python benchmarks/scale.py [--rounds 5] [--write]

Two cores for the gateway in both cases, one for the origin, one for the clients: four cores are needed. Where the clients or the
origin are the limit, throughput cannot double; the CPU time per request then says what a worker costs.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from gateways import GATEWAYS, ROOT, Running, start, start_origin
from loads import LOADS, NORMAL, check, run_wrk
from processes import Cores, share_cores
from report import write_between_markers
from results import median

DOCUMENT = ROOT / "docs" / "performance.md"
MARKER = "<!-- bench:begin (written by benchmarks/scale.py --write, do not edit) -->"
NAMES = ("nginx", "headgate", "envoy")
WORKERS = (1, 2)


def cores_for_two() -> Cores:
    """Two cores for the gateway, one for the origin, one for the clients."""
    shared = share_cores()
    spare = [*shared.clients]
    if len({*shared.gateway, *shared.origin, *spare}) < 4:
        raise SystemExit("four cores are needed")
    return Cores((*shared.gateway, spare[0]), shared.origin, (spare[1],))


def measure(rounds: int) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Requests per second and CPU microseconds per request, by gateway and number of workers, for each round."""
    load, cores = LOADS["small"], cores_for_two()
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = start_origin(cores.origin, folder, {})
        stack.callback(origin.program.stop)
        started: dict[tuple[str, int], Running] = {}
        for name in NAMES:
            for workers in WORKERS:
                if GATEWAYS[name].find() is None:
                    continue
                running = start(GATEWAYS[name], origin.port, cores.gateway, folder / f"{name}-{workers}", workers)
                stack.callback(running.program.stop)
                started[name, workers] = running
                if problem := check(load, running):
                    raise SystemExit(f"{name}: {problem}")
                run_wrk(load, running, cores, NORMAL)
        for number in range(rounds):
            for key, running in started.items():
                sample = run_wrk(load, running, cores, NORMAL)
                if sample.problem:
                    raise SystemExit(f"{key}: {sample.problem}")
                found.setdefault(key, []).append((sample.per_second, sample.cpu_us))
                print(
                    f"round {number + 1}  {key[0]:9} {key[1]} workers  {sample.per_second:,.0f}/s  {sample.cpu_us:.1f} us",
                    file=sys.stderr,
                )
    return found


def table(found: dict[tuple[str, int], list[tuple[float, float]]]) -> str:
    """The medians, in Markdown."""
    lines = [
        "| | requests/s, one worker | two workers | ratio | CPU per request, two : one |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in NAMES:
        if (name, 1) not in found:
            continue
        one, two = found[name, 1], found[name, 2]
        faster = median([second[0] / first[0] for first, second in zip(one, two, strict=True)])
        dearer = median([second[1] / first[1] for first, second in zip(one, two, strict=True)])
        rates = (median([rate for rate, _ in one]), median([rate for rate, _ in two]))
        lines.append(f"| {GATEWAYS[name].title} | {rates[0]:,.0f} | {rates[1]:,.0f} | {faster:.2f} | {dearer:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    text = table(measure(options.rounds))
    if options.write:
        write_between_markers(DOCUMENT, text, MARKER)
    print(text)


if __name__ == "__main__":
    main()
