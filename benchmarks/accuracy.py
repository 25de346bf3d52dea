"""How often the doctor is right: real gateways are broken on purpose, their pages and logs told. See docs/accuracy.md.

Truth is what the lab did. A case counts where the visitor got an error (status 500 or more) that the gateway made itself, or that
it relayed from a server which really answered so. Counted for each product, separately for what the page allows and what the log
allows: product named; true cause alone, or inside the set that is left; and what must never be: "proved", and false.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.heads import heads
from headgate.diagnose.pages import judge_answer
from headgate.lab.capture import Capture, load
from headgate.logs.entry import Entry
from headgate.logs.read import read
from headgate.model.diagnosis import Diagnosis

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "gateways"
PAGE = ROOT / "docs" / "accuracy.md"
RELAYED = ("upstream-answered-error",)


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
        share = f"{100 * within / len(self.cases):.0f} %" if self.cases else "-"
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
        cases.append(_of_entry(one, truth, entries[0] if entries else None))
    return cases


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


def main(arguments: Sequence[str]) -> int:
    """Print the tables; `--misses` lists what is wrong. Returns 1 where something proved is false."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args(arguments)
    captures = [one for one in load(FIXTURES) if not options.only or one.kind == options.only]
    pages = by_page(captures)
    with tempfile.TemporaryDirectory() as folder:
        logs = by_log(captures, Path(folder))
    for title, cases in (("pages", pages), ("logs", logs)):
        sys.stdout.write(f"\n{title}\n" + "\n".join(table(cases)) + "\n")
        if options.misses:
            sys.stdout.write("\n".join(misses(cases)) + "\n")
    return int(any(case.false_proof for case in (*pages, *logs)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
