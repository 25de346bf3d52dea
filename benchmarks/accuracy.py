"""How often the doctor is right: real gateways are broken on purpose, their pages and logs told. See docs/accuracy.md.

Truth is what the lab did. A case counts where the visitor got an error (status 500 or more) that the gateway made itself, or that
it relayed from a server which really answered so. Counted for each product, separately for what the page allows and what the log
allows: product named; true cause alone, or inside the set that is left; and what must never be: "proved", and false.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.heads import heads
from headgate.diagnose.judge import judge
from headgate.diagnose.looks import Asked
from headgate.diagnose.pages import judge_answer
from headgate.lab.capture import Capture, failing, load
from headgate.lab.gateways import suits, write
from headgate.lab.laboratory import start_lab
from headgate.lab.layout import Layout
from headgate.lab.network import furnish, inside
from headgate.lab.processes import binary, running
from headgate.lab.scenario import Scenario, load_scenarios
from headgate.lab.score import host_for
from headgate.lab.session import setting_for, target_of
from headgate.logs.entry import Entry
from headgate.logs.read import read
from headgate.model.diagnosis import Diagnosis
from headgate.probe.examine import examine

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "gateways"
PAGE = ROOT / "docs" / "accuracy.md"
INCIDENTS = "## Incidents, of a running gateway\n"
RELAYED = ("upstream-answered-error",)
AT_ONCE = 6
REQUESTS = 7
"""Requests of one examination: enough for the plain one, the cache, HEAD and the usual variations."""


@dataclass
class Case:
    """One failure, and what was said of it."""

    kind: str
    scenario: str
    truth: tuple[str, ...]
    product: str = ""
    causes: tuple[str, ...] = ()
    confidence: str = ""

    @property
    def named(self) -> bool:
        """The product was named."""
        return self.product == self.kind

    @property
    def within(self) -> bool:
        """The true cause is the one named, or in the set."""
        return bool(set(self.truth) & set(self.causes))

    @property
    def false_proof(self) -> bool:
        """It was called proved, and is false."""
        return self.confidence == "proved" and self.causes[0] not in self.truth


@dataclass
class Score:
    """The cases of one product by one way of looking."""

    kind: str
    cases: list[Case] = field(default_factory=list)

    def row(self) -> str:
        """Return a line of the table."""
        named = sum(one.named for one in self.cases)
        within = sum(one.within for one in self.cases)
        proved = sum(one.confidence == "proved" for one in self.cases)
        false = sum(one.false_proof for one in self.cases)
        sizes = sorted(len(one.causes) for one in self.cases)
        median = sizes[len(sizes) // 2] if sizes else 0
        share = f"{100 * within / len(self.cases):.1f} %".replace(".0", "") if self.cases else "-"
        return f"| {self.kind} | {len(self.cases)} | {named} | {within} ({share}) | {proved} | {median} | {false} |"


def truth_of(capture: Capture) -> tuple[str, ...]:
    """Return what really happened, as the catalogue calls it; empty where the case does not count (the client's own faults)."""
    if capture.status < 500 or any(catalogue()[cause].fault == "client" for cause in capture.causes):
        return ()
    return RELAYED if capture.origin == "relayed" else capture.causes


def by_page(captures: Iterable[Capture]) -> list[Case]:
    """Tell each error page that a gateway made."""
    cases = []
    for one in captures:
        truth = truth_of(one)
        found = heads(one.response)
        if not truth or not found or one.origin != "made":
            continue
        cases.append(_case(one, truth, judge_answer(found[-1])))
    return cases


def _case(one: Capture, truth: tuple[str, ...], told: Diagnosis) -> Case:
    product = told.generator.product if told.generator else ""
    return Case(one.kind, one.scenario, truth, product, tuple(s.cause for s in told.suspects), told.confidence)


def by_log(captures: Sequence[Capture], folder: Path) -> list[Case]:
    """Tell each failure by the lines that the gateway wrote about it, in its access log and its error log."""
    cases = []
    for one in captures:
        truth = truth_of(one)
        if not truth or not one.access:
            continue
        files = []
        for name in ("access", "errors"):
            if lines := getattr(one, name):
                files.append(folder / f"{one.kind}-{one.scenario}-{name}.log")
                files[-1].write_text("\n".join(lines) + "\n", encoding="latin-1")
        entries = read([str(file) for file in files]).failures
        cases.append(
            _of_entry(one, truth, next((entry for entry in entries if _is_false(entry, truth)), entries[0]) if entries else None)
        )
    return cases


def _is_false(entry: Entry, truth: tuple[str, ...]) -> bool:
    return entry.confidence == "proved" and entry.causes[0] not in truth


def _of_entry(one: Capture, truth: tuple[str, ...], entry: Entry | None) -> Case:
    if entry is None:
        return Case(one.kind, one.scenario, truth)
    return Case(one.kind, one.scenario, truth, entry.product, entry.causes, entry.confidence)


def scores(cases: Sequence[Case]) -> list[Score]:
    """Return the cases by product."""
    found: dict[str, Score] = {}
    for case in cases:
        found.setdefault(case.kind, Score(case.kind)).cases.append(case)
    return list(found.values())


def table(cases: Sequence[Case]) -> list[str]:
    """Return a Markdown table with a line for each product and one for all."""
    head = ["| Product | Failures | Product named | True cause in the set | Proved | Causes left (median) | Proved and false |"]
    head.append("|---|--:|--:|--:|--:|--:|--:|")
    return [*head, *(one.row() for one in scores(cases)), Score("**all**", list(cases)).row()]


def misses(cases: Iterable[Case]) -> list[str]:
    """Return a line for each case that is wrong."""
    return [
        f"{one.kind} {one.scenario}: true {'/'.join(one.truth)}; said {one.product or 'nobody'}, {one.confidence or 'nothing'}: "
        + (", ".join(one.causes[:6]) or "-")
        for one in cases
        if not one.named or not one.within or one.false_proof
    ]


async def by_probe(captures: Sequence[Capture]) -> list[Case]:
    """Examine a URL behind each gateway and each broken server, all running here and now, by the looks of `headgate diagnose`.

    captures: which of a gateway's scenarios end in an error page of its own; the others it relays, and they are left out.
    """
    made: dict[str, set[str]] = {}
    for one in captures:
        if truth_of(one) and one.origin == "made" and binary(one.kind):
            made.setdefault(one.kind, set()).add(one.scenario)
    if inside():
        furnish()
    with tempfile.TemporaryDirectory(prefix="headgate-accuracy-") as folder:
        lab = await start_lab(load_scenarios(), Path(folder), base=0)
        try:
            found = []
            for kind, names in made.items():
                found += await _probe_kind(lab.layout, kind, names, Path(folder) / kind)
            return found
        finally:
            await lab.stop()


async def _probe_kind(layout: Layout, kind: str, names: set[str], folder: Path) -> list[Case]:
    chosen = (layout.scenarios[name] for name in failing(layout.scenarios.values()) if name in names)
    suited = [s for s in chosen if suits(s, kind) and (s.needs != "netns" or inside())]
    plain = [s for s in suited if s.request[0].method == "GET" and not s.request[0].raw and not s.request[0].target]
    setting = setting_for(layout, suited, folder)
    gate = asyncio.Semaphore(AT_ONCE)
    async with running(write(kind, setting, folder)) as run:
        host = host_for(layout, target_of(run, alone=False))

        async def one(scenario: Scenario) -> Case | None:
            async with gate:
                asked = Asked(
                    f"http://127.0.0.1:{setting.port}/{scenario.name}", fields=(("Host", host),), seconds=12.0, requests=REQUESTS
                )
                told = judge(asked, await examine(asked))
                if told.status < 500:
                    return None
                product = told.generator.product if told.generator else ""
                causes = tuple(suspect.cause for suspect in told.suspects)
                return Case(kind, scenario.name, scenario.expect.causes, product, causes, told.confidence)

        found = await asyncio.gather(*(one(scenario) for scenario in plain))
    return [case for case in found if case is not None]


def page(results: Mapping[str, Sequence[Case]], versions: Mapping[str, str]) -> str:
    """Return docs/accuracy.md."""
    named = ", ".join(f"{kind} {number}" for kind, number in versions.items())
    lines = [
        "# How often the doctor is right",
        "",
        "Real gateways are put in front of servers that the lab breaks on purpose, and what they show is told by",
        "`headgate explain`, `headgate diagnose` and `headgate logs`. Truth is what the lab did. `make accuracy` does all of it",
        "and writes this page.",
        "",
        f"Measured with {named}.",
        "",
        "A case counts where the visitor got a status of 500 or more that the gateway made itself, for a fault that is not the",
        "client's own; for logs also where it passed on what the server really answered. *In the set* means that the true cause",
        "is the one named, or one of those left open: an nginx page says 502 for dozens of faults and tells nobody which, so",
        "more than the set cannot be had from it. *Proved and false* is what must never be.",
    ]
    for title, cases in results.items():
        lines += ["", f"## {title}", "", *table(cases)]
        if wrong := misses(cases):
            lines += ["", "What is wrong or not in the set:", "", *(f"- {line}" for line in wrong)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the tables; `--misses` lists what is wrong, `--live` breaks gateways now, `--write` writes docs/accuracy.md.

    Returns 1 where something proved is false.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="only this kind of gateway")
    options = parser.parse_args(arguments)
    captures = [one for one in load(FIXTURES) if not options.only or one.kind == options.only]
    results = {"Error pages, by explain": by_page(captures)}
    with tempfile.TemporaryDirectory() as folder:
        results["Logs, by logs"] = by_log(captures, Path(folder))
    if options.live or options.write:
        results["Running gateways, from outside, by diagnose"] = asyncio.run(by_probe(captures))
    for title, cases in results.items():
        sys.stdout.write("\n".join(("", title, *table(cases), *(misses(cases) if options.misses else ()))) + "\n")
    if options.write:
        rest = PAGE.read_text(encoding="utf-8").partition(INCIDENTS)[2]  # which incidents.py writes
        text = page(results, {one.kind: one.version for one in captures})
        PAGE.write_text(f"{text.rstrip()}\n\n{INCIDENTS}{rest}", encoding="utf-8")
    return int(any(case.false_proof for cases in results.values() for case in cases))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
