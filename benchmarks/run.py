"""Measures Headgate, nginx, HAProxy and Envoy side by side: the order of the rounds, and the command line.

    .venv/bin/python benchmarks/run.py [--quick] [--only small,1m] [--gateways headgate,nginx] [--json FILE] [--write]

Every load starts all gateways afresh and then takes turns (A B C D, A B C D, ...), because machines are noisy and rounds
that are disturbed should disturb everybody. Needs nginx and wrk; the other gateways are left out when they are missing.
"""

import argparse
import dataclasses
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from gateways import GATEWAYS, ROOT, Gateway, Running, on_path, start, start_origin, version
from loads import FILES, LOADS, NORMAL, QUICK, Load, Size, check, run_wrk
from processes import Cores, closed_port, share_cores
from report import as_text, cpu_table, document, machine_facts, other_table, write_between_markers
from results import Results, Sample

DOCUMENT = ROOT / "docs" / "performance.md"


def say(text: str) -> None:
    """A line of progress."""
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute instead of four")
    parser.add_argument("--only", type=names_of(LOADS), default=list(LOADS), help=f"loads: {','.join(LOADS)}")
    parser.add_argument("--gateways", type=names_of(GATEWAYS), default=list(GATEWAYS), help=f"gateways: {','.join(GATEWAYS)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of which the median is taken (5, quick 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to a file")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    return parser.parse_args()


def names_of(known: dict[str, Load] | dict[str, Gateway]):  # type: ignore[no-untyped-def]
    """A parser for lists of names."""

    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or 'nothing given'} (known: {', '.join(known)})")
        return [name for name in known if name in names]

    return parse


def start_all(names: list[str], upstream: int, cores: Cores, folder: Path, stack: ExitStack) -> dict[str, Running | str]:
    """Start the gateways for one load; the reason in place of one that does not start."""
    started: dict[str, Running | str] = {}
    for name in names:
        try:
            started[name] = running = start(GATEWAYS[name], upstream, cores.gateway, folder / name)
        except RuntimeError as error:
            started[name] = str(error)
            say(f"{name}: {error}")
        else:
            stack.callback(running.program.stop)
    return started


def measure(load: Load, running: Running, cores: Cores, size: Size) -> Sample:
    """Check one answer, then take one sample. Whatever goes wrong is the sample's problem."""
    problem = check(load, running)
    if problem:
        return Sample(problem=problem)
    try:
        return load.measure(load, running, cores, size)
    except (ValueError, OSError, subprocess.TimeoutExpired) as error:
        return Sample(problem=str(error))


def run_load(load: Load, names: list[str], upstream: int, cores: Cores, size: Size, rounds: int, results: Results) -> None:
    """All rounds of one load over all gateways."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        started = start_all(names, upstream, cores, folder, stack)
        for running in started.values():
            if isinstance(running, Running) and not load.once and not check(load, running):
                warm_up = load if load.measure is run_wrk else LOADS["small"]
                run_wrk(warm_up, running, cores, dataclasses.replace(size, seconds=1))
        for number in range(1 if load.once else rounds):
            for name, running in started.items():
                sample = Sample(problem=running) if isinstance(running, str) else measure(load, running, cores, size)
                results.add(load.name, name, sample)
                shown = sample.problem or (f"{sample.kib:.1f} KiB" if sample.kib >= 0 else f"{sample.cpu_us:,.1f} µs")
                say(f"{load.name:10} round {number + 1}  {name:9} {shown}")


def run_all(options: argparse.Namespace, cores: Cores, results: Results) -> None:
    """Start the origin, then one load after the other."""
    size = QUICK if options.quick else NORMAL
    rounds = options.rounds or (3 if options.quick else 5)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        origin = start_origin(cores.origin, folder, FILES)
        stack.callback(origin.program.stop)
        closed = stack.enter_context(closed_port())
        for name in options.only:
            load = LOADS[name]
            upstream = closed.getsockname()[1] if load.failing else origin.port
            run_load(load, options.gateways, upstream, cores, size, rounds, results)


def stop_at_signal(number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the run as Ctrl-C does, so that everything started is ended too."""
    raise KeyboardInterrupt


def main() -> int:
    options = arguments()
    missing = [name for name in ("nginx", "wrk", "taskset") if not on_path(name)()]
    if missing:
        say(f"needed, and not installed: {', '.join(missing)}")
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, stop_at_signal)
    cores = share_cores()
    results = Results(machine_facts() | {"cores used": str(cores)})
    results.facts |= {GATEWAYS[name].title: version(GATEWAYS[name]) for name in options.gateways}
    say(str(cores))
    try:
        run_all(options, cores, results)
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return show(options, results)


def show(options: argparse.Namespace, results: Results) -> int:
    """Print the tables, and write the files that were asked for. 1 when a cell is invalid."""
    titles = {name: GATEWAYS[name].title for name in options.gateways}
    loads = {name: LOADS[name].title for name in options.only}
    tables = [cpu_table(results, loads, titles), other_table(results, loads, titles)]
    print(document(results, tables) if options.markdown else "\n\n".join(as_text(table) for table in tables if table))
    if options.json:
        options.json.write_text(results.as_json())
    if options.write:
        write_between_markers(DOCUMENT, document(results, tables))
    problems = [
        f"{load}, {name}: {problem}"
        for load in options.only
        for name in options.gateways
        if (problem := results.problem(load, name)) and problem != "not installed"
    ]
    for problem in problems:
        say(f"invalid: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
