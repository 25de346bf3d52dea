"""Causes for people at a terminal: colour there only, plain text in pipes, lines folded to the width."""

import re
import sys
from collections.abc import Iterable
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ..diagnose.catalogue import SECTIONS, bullets
from ..model.cause import Cause

READERS: Final = {
    "visitor": ("Visitor",),
    "operator": tuple(heading for heading in SECTIONS if heading not in ("Visitor", "Administrator")),
    "admin": tuple(heading for heading in SECTIONS if heading not in ("Visitor", "Operator")),
    "all": SECTIONS,
}
"""Which sections of the catalogue each reader is shown."""
RETRIES_IN_WORDS: Final = {
    "never": "never",
    "unsent": "yes, nothing was sent",
    "idempotent": "idempotent methods only",
    "reused-only": "idempotent methods, on a new connection",
}
_PIPE_WIDTH: Final = 130
_NARROWEST: Final = 30
_UNSAFE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CODE: Final = re.compile(r"`([^`]+)`")


class SafeConsole(Console):
    """A console that lets through what it makes itself, and no control character that stood in a text.

    Texts are escaped where they come in; this is the last door, for what was forgotten there.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does it, with ESC, other controls and marks that turn the direction of writing replaced."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSAFE.search(segment.text):
                yield segment
            else:
                yield Segment(_UNSAFE.sub("?", segment.text), segment.style)


def console_for_output() -> Console:
    """Return a console on standard output: the terminal's width and colours, or plain text with room for long lines in a pipe."""
    if not sys.stdout.isatty():
        return SafeConsole(highlight=False, width=_PIPE_WIDTH)
    console = SafeConsole(highlight=False)
    if console.width < _NARROWEST:  # also COLUMNS=0: the terminal folds what does not fit, which beats showing nothing
        console.width = _NARROWEST
    return console


def print_cause(console: Console, cause: Cause, reader: str = "all") -> None:
    """Print a catalogue entry for a reader (a key of READERS)."""
    parts: list[RenderableType] = [headline(cause.status, cause.code, cause.title)]
    if reader != "visitor":
        parts.append(labelled(_properties(cause)))
    for heading in READERS[reader]:
        if text := cause.sections.get(heading):
            parts += [Text(""), Text(heading, style="bold"), Padding(_prose(text, console), (0, 0, 0, 2))]
    show(console, Group(*parts))


def print_causes(console: Console, causes: Iterable[Cause]) -> None:
    """Print a list of causes, grouped by phase: status, code, title."""
    phase = ""
    table = grid()
    for cause in causes:
        if cause.phase != phase:
            if phase:
                table.add_row()
            phase = cause.phase
            table.add_row(Text(phase, style="bold"))
        table.add_row(Text(f"  {cause.status}"), Text(cause.code, style="cyan"), Text(cause.title))
    show(console, table)


def show(console: Console, what: RenderableType) -> None:
    """Print it, in pipes without the blanks that fill a terminal's line."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def headline(status: int, code: str, title: str) -> Text:
    """Return status, code and title of a cause as one line."""
    colour = "bold red" if status >= 500 else "bold yellow"
    return Text.assemble((str(status), colour), " ", (code, "bold cyan"), "  ", (title, "bold"))


def _properties(cause: Cause) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [
        ("phase", Text(cause.phase)),
        ("fault", Text(cause.fault)),
        ("Proxy-Status", Text(f"error={cause.error}")),
        ("tried again", Text(RETRIES_IN_WORDS[cause.retry])),
        ("waiting helps", Text("maybe" if cause.temporary else "no")),
    ]
    if cause.aliases:
        rows.append(("also called", Text(", ".join(cause.aliases))))
    if cause.deviation:
        rows.append(("status", Text(cause.deviation)))
    return rows


def grid() -> Table:
    """Return an empty table without lines."""
    return Table.grid(padding=(0, 2))


def labelled(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return rows with a dim label before each."""
    table = grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(Text(f"  {label}", style="dim"), value)
    return table


def _prose(text: str, console: Console) -> Group:
    """Return the catalogue's prose: paragraphs, and lists whose items hang behind their dash."""
    blocks: list[RenderableType] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith(("- ", "* ")):
            items = grid()
            items.padding = (0, 1)
            for item in bullets(paragraph):
                items.add_row(Text("-"), inline(item, console))
            blocks.append(items)
        else:
            blocks.append(inline(" ".join(paragraph.split()), console))
    return Group(*blocks)


def inline(text: str, console: Console) -> Text:
    """Return one line of prose; what stands in backticks is coloured, or keeps them where there is no colour."""
    if console.color_system is None:
        return Text(text)
    result = Text()
    for number, part in enumerate(_CODE.split(text)):
        result.append(part, style="cyan" if number % 2 else "")
    return result
