"""An exchange for people at a terminal: what happened, when, what was seen, and what to do next."""

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..diagnose.catalogue import bullets
from ..diagnose.explain import Explanation, Step, explain, explain_attempt
from ..diagnose.sentence import duration
from ..model.exchange import Attempt, Exchange
from .terminal import grid, headline, inline, labelled, show

_REASONS_SHOWN: Final = 2


def print_exchange(console: Console, exchange: Exchange) -> None:
    """Print why an exchange ended as it did; earlier attempts that failed otherwise get a line each."""
    told = explain(exchange)
    rows: list[tuple[str, RenderableType]] = [("what", Text(told.sentence))]
    others = [attempt for attempt in exchange.attempts if attempt.cause not in (None, told.cause)]
    rows += [("before", Text(_one_line(exchange, attempt))) for attempt in others]
    rows.append(("when", _timeline(told.timeline)))
    rows += [("seen" if number == 0 else "", Text(line)) for number, line in enumerate(told.evidence)]
    if told.bytes:
        rows.append(("bytes", Text(told.bytes, style="yellow")))
    reasons = bullets(told.cause.sections.get("Usual reasons", ""))[:_REASONS_SHOWN] if told.cause else ()
    rows += [("why" if number == 0 else "", inline(line, console)) for number, line in enumerate(reasons)]
    if told.verdict:
        rows.append(("retry", Text(told.verdict)))
    rows += [("next" if number == 0 else "", inline(line, console)) for number, line in enumerate(told.next_steps)]
    rows.append(("reference", Text(exchange.reference)))
    show(console, Group(_told(told, exchange.status), labelled(rows)))


def _told(told: Explanation, status: int) -> Text:
    if told.cause is None:
        return Text(told.headline, style="bold green")
    return headline(status or told.cause.status, told.cause.code, told.cause.title)


def _one_line(exchange: Exchange, attempt: Attempt) -> str:
    told = explain_attempt(exchange, attempt)
    return f"{told.cause.code if told.cause else ''}: {told.sentence}"


def _timeline(steps: tuple[Step, ...]) -> Table:
    table = grid()
    for step in steps:
        if step.at_ms < 0:
            table.add_row(Text(step.name), Text("never", style="red"))
        else:
            table.add_row(Text(step.name), Text(duration(step.at_ms)), Text(f"+{duration(step.took_ms)}", style="dim"))
    return table
