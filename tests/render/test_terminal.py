"""What people see at a terminal: aligned, within the width, coloured there and nowhere else."""

import io
import re

import pytest
from rich.console import Console

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.classify import classify
from headgate.model import phases, signals
from headgate.model.cause import Cause
from headgate.model.exchange import Attempt, Exchange
from headgate.model.facts import Facts
from headgate.render.exchange import print_exchange
from headgate.render.terminal import READERS, print_cause, print_causes

PROSE = {
    "Visitor": "The service hung up.",
    "Operator": "Your program `app` closed [red]early[/red].",
    "Administrator": "Look at\nthe server.",
    "How we know": "An end of file.",
    "Usual reasons": "- it crashed\n- it was killed\n  for its memory\n- third",
    "What to check": "- `ss -ltnp` on HOST:PORT",
    "How to fix": "- mend it",
    "How to prevent": "- watch it",
}


def cause_with_prose() -> Cause:
    plain = catalogue()["closed-before-answer"]
    return Cause(**{slot: getattr(plain, slot) for slot in Cause.__slots__} | {"sections": PROSE})


def printed(width: int = 100, *, colour: bool = False) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(
        file=file, width=width, force_terminal=colour, color_system="truecolor" if colour else None, highlight=False
    ), file


def failed_exchange() -> Exchange:
    exchange = Exchange("k3-17", "198.51.100.7", "http", 10.0)
    exchange.method, exchange.upstream, exchange.t_end = b"GET", "app", 10.04
    first = Attempt("app", "http://10.0.0.5:3000", 10.0)
    first.address, first.phase, first.signal, first.t_end = "10.0.0.5:3000", phases.CONNECT, signals.REFUSED, 10.001
    first.facts = Facts(errno=111, elapsed_ms=1)
    first.cause = classify(first.phase, first.signal, first.facts)
    second = Attempt("app", "http://10.0.0.6:3000", 10.001)
    second.address, second.phase, second.signal = "10.0.0.6:3000", phases.HEAD, signals.EOF
    second.facts, second.cause = Facts(untouched=True, elapsed_ms=31), cause_with_prose()
    second.t_connected, second.t_sent, second.t_end = 10.002, 10.003, 10.032
    exchange.attempts += [first, second]
    exchange.cause, exchange.status = second.cause, 502
    return exchange


def test_an_exchange_in_a_pipe() -> None:
    console, file = printed(120)
    print_exchange(console, failed_exchange())
    assert file.getvalue() == (
        "502 closed-before-answer  The server closed the connection without answering\n"
        "  what       10.0.0.6:3000 took the request and closed the connection 31 ms later without a byte in answer.\n"
        "  before     connection-refused: Nothing listens on 10.0.0.5:3000: the connection was refused after 1 ms.\n"
        "  when       connected      1 ms   +1 ms\n"
        "             request sent   2 ms   +1 ms\n"
        "             first byte     never\n"
        "             head complete  never\n"
        "             failed         31 ms  +29 ms\n"
        "  seen       no byte of the response had come\n"
        "  why        it crashed\n"
        "             it was killed for its memory\n"
        "  retry      tried again only where repeating is harmless: an idempotent method and a body that was kept\n"
        "  next       `ss -ltnp` on 10.0.0.6:3000\n"
        "             mend it\n"
        "  reference  k3-17\n"
    )


def test_offending_bytes_are_shown_escaped() -> None:
    exchange = failed_exchange()
    attempt = exchange.attempts[-1]
    attempt.signal, attempt.facts = signals.MALFORMED, Facts(rule="not-http", excerpt=b"\x1b[2J[bold]x")
    attempt.cause = exchange.cause = catalogue()["not-http"]
    console, file = printed()
    print_exchange(console, exchange)
    assert "  bytes      \\x1b[2J[bold]x\n" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_a_served_exchange() -> None:
    exchange = Exchange("k", "", "http", 1.0)
    exchange.status, exchange.outcome = 200, "served"
    console, file = printed()
    print_exchange(console, exchange)
    assert file.getvalue().startswith("200 served: nothing failed\n")


def test_colour_in_terminals_only() -> None:
    console, file = printed(colour=True)
    print_cause(console, cause_with_prose())
    assert "\x1b[" in file.getvalue()
    assert "`" not in file.getvalue()
    console, file = printed()
    print_cause(console, cause_with_prose())
    assert "\x1b[" not in file.getvalue()
    assert "`app` closed [red]early[/red]." in file.getvalue()


@pytest.mark.parametrize("width", [40, 72, 120])
def test_lines_fit_the_width(width: int) -> None:
    console, file = printed(width)
    print_cause(console, cause_with_prose())
    print_exchange(console, failed_exchange())
    print_causes(console, catalogue().values())
    assert max(len(line) for line in file.getvalue().splitlines()) <= width
    assert not re.search(r" $", file.getvalue(), re.MULTILINE)


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_gets_the_sections_meant_for_them(reader: str) -> None:
    console, file = printed()
    print_cause(console, cause_with_prose(), reader)
    headings = [line for line in file.getvalue().splitlines() if line in PROSE]
    assert headings == list(READERS[reader])
    assert ("Proxy-Status" in file.getvalue()) == (reader != "visitor")


def test_items_hang_behind_their_dash() -> None:
    console, file = printed(30)
    print_cause(console, cause_with_prose(), "operator")
    assert "\n  - it was killed for its\n    memory\n" in file.getvalue()


def test_the_list_names_every_cause_below_its_phase() -> None:
    console, file = printed(120)
    print_causes(console, catalogue().values())
    lines = file.getvalue().splitlines()
    assert [line for line in lines if re.fullmatch(r"\w+", line)] == [*phases.PHASES, "any"]
    assert {line.split()[1] for line in lines if line.startswith("  ")} == set(catalogue())
