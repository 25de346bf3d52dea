"""A verdict for people at a terminal: what is wrong, on which hop, how sure, what speaks for it, who can act, what to do next."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ..diagnose.catalogue import catalogue
from ..diagnose.redact import clean
from ..model.diagnosis import Action, Diagnosis, Evidence
from .meanings import GRADE_STYLES, suspect_lines, visitor_rules
from .terminal import inline, labelled, show

_OUTCOMES: Final = {
    "up": "bold green",
    "partly": "bold yellow",
    "failing": "bold red",
    "unreachable": "bold red",
    "unknown": "bold",
}
_WHO: Final = {
    "visitor": "you, the visitor", "operator": "whoever runs the site's program", "admin": "whoever runs the gateway",
    "platform": "the platform's vendor", "network": "whoever runs the network or proxy in between",
}  # fmt: skip
_EVIDENCE_SHOWN: Final = 12


def print_diagnosis(console: Console, told: Diagnosis, reader: str = "all") -> None:
    """Print a verdict for a reader: "visitor", "operator", "admin" or "all"."""
    style = _OUTCOMES[told.outcome]
    word = f"{told.outcome} {told.status}" if told.status else told.outcome
    show(console, Group(Text.assemble((word, style), "  ", clean(told.subject, 200)), Text(told.summary, style="bold")))
    if reader == "visitor":
        show(console, Group(*_for_visitor(console, told)))
        return
    rows: list[tuple[str, RenderableType]] = []
    if told.generator is not None:
        rows.append(("written by", _generator(told)))
    if len(told.chain) > 1:
        rows.append(("way", _chain(told)))
    rows += [("cause" if number == 0 else "", line) for number, line in enumerate(suspect_lines(told.suspects))]
    rows += _evidence(told.evidence, _EVIDENCE_SHOWN if reader == "all" else 2 * _EVIDENCE_SHOWN)
    if told.split:
        rows.append(("to be sure", inline(told.split, console)))
    if told.who:
        rows.append(("who can act", Text("; ".join(_WHO[one] for one in told.who))))
    rows += [(f"next {number}", _action(one, console)) for number, one in enumerate(told.actions, 1)]
    if told.retry_after >= 0:
        rows.append(("wait", Text(f"the server asks to wait {told.retry_after:g} s")))
    rows += [("not known" if number == 0 else "", Text(one, style="dim")) for number, one in enumerate(told.unknowable)]
    show(console, labelled(rows))


def _generator(told: Diagnosis) -> Text:
    generator = told.generator
    assert generator is not None
    text = Text.assemble(
        (generator.name, "bold cyan"), f" {generator.version}" if generator.version else "", f" ({generator.certainty})"
    )
    if generator.note:
        text.append(f"  {generator.note}", style="dim")
    return text


def _chain(told: Diagnosis) -> Text:
    text = Text()
    for number, name in enumerate(told.chain):
        if number:
            broken = told.failing is not None and told.chain[number - 1] == told.failing[0]
            text.append(" -x-> " if broken else " -> ", style="bold red" if broken else "dim")
        text.append(name, style="cyan" if name != "?" else "dim")
    return text


def _evidence(evidence: Sequence[Evidence], most: int) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    for number, one in enumerate(evidence[:most]):
        mark = {True: ("+ ", "green"), False: ("x ", "red"), None: ("- ", "dim")}[one.ok]
        rows.append(("seen" if number == 0 else "", Text.assemble(mark, clean(one.text, 240))))
    return rows


def _action(action: Action, console: Console) -> Text:
    text = inline(action.text, console)
    if action.command:
        text.append("\n  ")
        text.append(action.command, style="bold cyan")
    return text


def _for_visitor(console: Console, told: Diagnosis) -> list[RenderableType]:
    parts: list[RenderableType] = [Text("")]
    if told.suspects and told.suspects[0].confidence in ("proved", "likely"):
        parts += [inline(catalogue()[told.suspects[0].cause].sections.get("Visitor", ""), console), Text("")]
    if told.retry_after > 0:
        parts.append(Text(f"The site asks to wait {told.retry_after:g} seconds."))
    if told.outcome == "up":
        return [*parts, Text("Reload the page.")]
    temporary = not told.suspects or any(catalogue()[one.cause].temporary for one in told.suspects)
    return [*parts, visitor_rules(temporary)]


__all__ = ["GRADE_STYLES", "print_diagnosis"]
