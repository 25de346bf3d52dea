"""How the lab's findings look in a terminal."""

from collections import Counter
from collections.abc import Mapping

from rich.table import Column, Table
from rich.text import Text

from .client import Sighting
from .layout import Layout
from .scenario import Expect
from .score import Result

_STYLE = {"right": "green", "differs": "yellow", "broken": "bold red", "skipped": "dim"}


def list_table(layout: Layout) -> Table:
    """Return all scenarios with the addresses of their servers."""
    columns = Column("scenario", no_wrap=True), Column("server", overflow="fold"), "what it does"
    table = Table(*columns, box=None, pad_edge=False)
    for name, scenario in layout.scenarios.items():
        table.add_row(name, Text("\n".join(layout.urls(name))), Text(scenario.title))
    return table


def expected_text(expect: Expect) -> str:
    """Return the right answer in a few words: "502", "200 cut", "200, 502"."""
    statuses = [str(status) if status else "no answer" for status in expect.statuses]
    text = ", ".join(statuses)
    if expect.also:
        text += " or " + " or ".join(map(str, expect.also))
    return text + " cut" * expect.cut


def seen_text(sightings: list[Sighting]) -> str:
    """Return what was seen in a few words."""
    words = {"complete": "", "cut": " cut", "hang": " hangs", "garbled": " garbled", "nothing": "", "left": ""}
    blank = {"nothing": "no answer", "left": "no answer", "hang": "hangs", "garbled": "garbled"}
    return ", ".join(f"{s.status}{words[s.ended]}" if s.status else blank.get(s.ended, s.ended) for s in sightings)


def score_table(results: list[Result]) -> tuple[Table, Text]:
    """Return the table of a score and its summary line."""
    table = Table("scenario", "right answer", "got", "cause", "ms", "verdict", box=None, pad_edge=False)
    for result in results:
        wrong_cause = result.cause_right is False
        cause = Text(result.cause or ("not visible" if result.scenario.expect.causes else ""), "red" if wrong_cause else "")
        table.add_row(
            result.scenario.name,
            expected_text(result.scenario.expect),
            seen_text(result.sightings),
            cause,
            str(sum(seen.ms for seen in result.sightings)),
            Text(f"{result.verdict}: {result.reason}" if result.reason else result.verdict, _STYLE[result.verdict]),
        )
    return table, Text(summary_text(results))


def summary_text(results: list[Result]) -> str:
    """Return the counts in one line."""
    counts = Counter(result.verdict for result in results)
    played = len(results) - counts["skipped"]
    causes = [result.cause_right for result in results if result.scenario.expect.causes and result.verdict != "skipped"]
    text = f"{counts['right']} of {played} right, {counts['differs']} differ, {counts['broken']} broken"
    text += f"; cause named in {causes.count(True)} of {len(causes)}"
    return text + (f"; {counts['skipped']} not played" if counts["skipped"] else "")


def compare_table(scores: Mapping[str, list[Result]]) -> Table:
    """Return all gateways side by side."""
    table = Table("scenario", "right answer", *scores, box=None, pad_edge=False)
    for row in zip(*scores.values(), strict=True):
        cells = [Text(seen_text(r.sightings) or "-", _STYLE[r.verdict]) for r in row]
        table.add_row(row[0].scenario.name, expected_text(row[0].scenario.expect), *cells)
    return table
