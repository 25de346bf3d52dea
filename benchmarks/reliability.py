"""Measures what clients see while servers and the gateway's own processes break, and writes it into docs/reliability.md.

    .venv/bin/python benchmarks/reliability.py [--quick] [--write]

Every table says what was done, how many requests were made meanwhile, and how many of them failed, in which way. Nothing is timed
against a wall: the machine may be as busy as it likes. It takes about a minute, or half of one with --quick.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from chaos import Gateway, Load, Server, Step, Verdict, play, wait_for
from disturbances import behaving, control_killed, killed, reloaded, restarted, stalled, upgraded, worker_killed
from report import machine_facts, write_between_markers

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
MARKER = "<!-- bench:begin (written by benchmarks/reliability.py --write, do not edit) -->"
TIMEOUTS = '[upstream.app.timeouts]\nhead = "1s"\nconnect = "500ms"\n'
CLIENTS = 16
HEAD = (
    "| What was done meanwhile | GETs | failed | POSTs | failed | executed twice | broken connections | slowest answer |\n"
    "|---|---|---|---|---|---|---|---|"
)
HURTS: dict[str, tuple[int, Callable[[Server], None]]] = {
    "one of two refuses": (2, lambda server: server.end()),
    "one of three closes after reading": (3, lambda server: server.mode("close")),
    "one of three resets after reading": (3, lambda server: server.mode("reset")),
}
"""How one of so many servers fails all the time."""


def say(text: str) -> None:
    """A line of progress."""
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def row(what: str, verdict: Verdict) -> str:
    """One line of a table."""
    account = verdict.account
    posts = sum(count for kind, count in account.wrong.items() if kind.startswith("POST"))
    broken = sum(account.broken.values()) + account.refused
    cells = (
        what, f"{account.asked['GET']:,}", verdict.wrong_gets, f"{account.asked['POST']:,}", posts, len(verdict.twice), broken,
        f"{account.slowest * 1000:.0f} ms",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


async def asked(gateway: Gateway, servers: Sequence[Server], gets: int) -> Verdict:
    """Ask until there were so many GETs."""
    load = Load(gateway.port, CLIENTS, 0.1, 0.0)
    for _ in range(6000):
        if load.account.asked["GET"] >= gets:
            break
        await asyncio.sleep(0.01)
    account = await load.end()
    return Verdict(account, Counter(path for server in servers for path in server.executed()))


def chaos(quick: bool) -> list[str]:
    """The disturbances, one after the other, over four servers and two workers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = [Server(letter, folder) for letter in "abcd"]
        gateway = Gateway(folder, servers, "workers = 2", TIMEOUTS)
        a, b, c, d = servers
        steps: dict[str, Step] = {
            "one server killed, back after 0.6 s": killed(a),
            "one server restarted in order": restarted(b),
            "one server stopped (SIGSTOP) for 1.5 s; `timeouts.head` is 1 s": stalled(c),
            "one server slow (200 ms) for 1.5 s": behaving(d, "slow"),
            "one server resets every connection after reading, 1.5 s": behaving(a, "reset"),
            "one server closes every connection after reading, 1.5 s": behaving(b, "close"),
            f"{20 if quick else 100} reloads": reloaded(gateway, 20 if quick else 100),
            "the control process killed (kill -9)": control_killed(gateway),
            "upgrade to a new process": upgraded(gateway),
            "a worker killed (kill -9)": worker_killed(gateway),
        }
        rows = []
        try:
            for what, step in steps.items():
                for server in servers:
                    server.file.write_text("")
                say(what)
                rows.append(row(what, asyncio.run(play(gateway, servers, [step], clients=CLIENTS))))
        finally:
            gateway.end()
            for server in servers:
                server.end()
        return rows


def failing_pairs(quick: bool) -> list[str]:
    """Servers that fail all the time."""
    gets, rows = (2_000 if quick else 10_000), []
    for what, (count, hurt) in HURTS.items():
        say(what)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            servers = [Server(letter, folder) for letter in "abc"[:count]]
            gateway = Gateway(folder, servers, "workers = 2")
            try:
                hurt(servers[0])
                rows.append(row(what, asyncio.run(asked(gateway, servers, gets))))
            finally:
                gateway.end()
                for server in servers:
                    server.end()
    return rows


def held(quick: bool) -> list[str]:
    """The only server restarts, with and without `retry.hold`."""
    rows = []
    for what, upstream in (('`retry.hold = "10s"`', '[upstream.app.retry]\nhold = "10s"\n'), ("no hold (the default)", "")):
        say(f"the only server restarts: {what}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = Server("a", folder)
            gateway = Gateway(folder, [server], "workers = 2", upstream)
            try:
                steps = [killed(server, 0.5)] * (1 if quick else 3)
                verdict = asyncio.run(play(gateway, [server], steps, posts=0.0))
                rows.append(row(f"the only server killed and started again, {what}", verdict))
            finally:
                gateway.end()
                server.end()
    return rows


def back_again() -> list[str]:
    """How long a request waits that comes just after the only worker was killed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = [Server("a", folder)]
        gateway = Gateway(folder, servers, "workers = 1")
        try:
            found = sorted(_answered_after_a_kill(gateway) for _ in range(5))
            return [f"| {found[2] * 1000:.0f} ms | {found[-1] * 1000:.0f} ms |"]
        finally:
            gateway.end()
            servers[0].end()


def _answered_after_a_kill(gateway: Gateway) -> float:
    """Kill the worker, ask at once, and return the seconds until the answer: the connection waits for another worker."""
    time.sleep(1.2)
    (before,) = gateway.workers()
    begun = time.monotonic()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: before not in gateway.workers(), "its end")
    with socket.create_connection(("127.0.0.1", gateway.port), 15) as sock:
        sock.sendall(b"GET /after HTTP/1.1\r\nHost: chaos\r\n\r\n")
        if not sock.recv(65_536).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("a wrong answer after the kill of a worker")
    return time.monotonic() - begun


def steady(quick: bool) -> list[str]:
    """Descriptors and memory of the workers over many requests with failures among them."""
    total, rows = (20_000 if quick else 200_000), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = [Server(letter, folder) for letter in "abcd"]
        gateway = Gateway(folder, servers, "workers = 2", TIMEOUTS)
        servers[1].mode("close")
        servers[2].end()
        servers[3].mode("error")
        try:
            made = 0
            for _ in range(4):
                say(f"{made:,} of {total:,} requests")
                account = asyncio.run(asked(gateway, servers, round(total / 4 * 0.9))).account
                made += sum(account.asked.values())
                time.sleep(1.0)
                rows.append(f"| {made:,} | {_files(gateway)} | {_memory(gateway) / 1024:.1f} MiB |")
        finally:
            gateway.end()
            for server in servers:
                server.end()
    return rows


def _files(gateway: Gateway) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in gateway.workers())


def _memory(gateway: Gateway) -> int:
    """KiB of anonymous memory of the workers, what they still share with their parent included."""
    found = 0
    for pid in gateway.workers():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                found += int(line.split()[1])
    return found


def document(quick: bool) -> str:
    """All tables."""
    parts = [
        *(f"- {name}: {value}" for name, value in machine_facts().items()), "",
        "### Clients, while something breaks", "",
        f"{CLIENTS} clients ask through two workers, over four servers on this machine; a request in ten is a POST.", "",
        HEAD, *chaos(quick), "",
        "### Servers that fail all the time", "", HEAD, *failing_pairs(quick), "",
        "### The only server restarts", "", HEAD, *held(quick), "",
        "### How long a killed worker is away", "",
        "The only worker is killed, and a request made at once: its connection waits until another worker is there.", "",
        "| Answered after, median of 5 | longest |", "|---|---|", *back_again(), "",
        "### Nothing grows", "",
        "Two workers; of four servers one closes every connection, one refuses, one answers 503, one works.", "",
        "| Requests so far | open files of both workers | memory of both workers |", "|---|---|---|", *steady(quick), "",
    ]  # fmt: skip
    return "\n".join(parts)


def main() -> None:
    """Measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a minute instead of one")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reliability.md")
    options = parser.parse_args()
    text = document(options.quick)
    if options.write:
        write_between_markers(DOCUMENT, text, MARKER)
    print(text)


if __name__ == "__main__":
    main()
