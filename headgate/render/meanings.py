"""What a code or a sentence means, for people at a terminal: one block for each product whose words it may be."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..diagnose.advice import lines_for
from ..diagnose.catalogue import catalogue
from ..diagnose.codes import EVIDENCE, Row
from ..diagnose.meanings import Meaning, products_of
from ..diagnose.products import Product, products
from ..diagnose.redact import clean
from ..model.diagnosis import Suspect
from .terminal import grid, inline, labelled, show

GRADE_STYLES: Final = {"proved": "bold red", "likely": "yellow", "possible": "dim"}
VISITOR_RULES: Final = (
    "Reload once, then wait: half a minute, two minutes, ten.",
    "Do not send a payment or an order again before you know whether the first arrived.",
    "Try another network (the phone's data): that tells whether it is yours. Try a private window: whether it is your cookies.",
    "Tell the site's owner the address, the time, and any Ray ID, request ID or reference on the page.",
)
"""What holds for every visitor and every cause."""
_MEANINGS_SHOWN: Final = 12
_CHECKS: Final = 3
_SUSPECTS_SHOWN: Final = 8
_PHASES: Final = {
    "admit": "refused by rule or setting", "resolve": "its name was not found", "connect": "no connection", "tls": "no TLS",
    "send": "the request was not taken", "head": "no valid answer", "body": "the answer broke off", "any": "in any phase",
}  # fmt: skip


def print_meanings(console: Console, text: str, meanings: Sequence[Meaning], reader: str) -> None:
    """Print what `text` means, for a reader: "visitor", "operator", "admin" or "all"."""
    owners = products_of(meanings)
    if len(owners) > 1 and len({one.word.lower() for one in meanings}) == 1:
        names = ", ".join(_name(one) for one in owners)
        show(console, Text(f"{clean(text, 80)} is said by several products, and does not mean the same: {names}.", style="bold"))
    for number, meaning in enumerate(meanings[:_MEANINGS_SHOWN]):
        show(console, Group(*([Text("")] if number or len(owners) > 1 else []), *_block(console, meaning, reader)))
    if len(meanings) > _MEANINGS_SHOWN:
        show(console, Text(f"and {len(meanings) - _MEANINGS_SHOWN} more: --json shows all", style="dim"))
    if reader in ("visitor", "all") and any(one.suspects for one in meanings):
        show(console, Group(Text(""), Text("For visitors", style="bold"), *_visitor(console, meanings)))


def _name(product: str) -> str:
    known = products().get(product)
    return known.name if known else product


def _block(console: Console, meaning: Meaning, reader: str) -> list[RenderableType]:
    head = Text.assemble((clean(meaning.word, 100), "bold cyan"), "  ", (meaning.owner, "bold"))
    if meaning.name:
        head.append(f": {meaning.name}")
    if reader == "visitor":
        return [head]
    rows: list[tuple[str, RenderableType]] = [("means", inline(meaning.means, console))]
    if meaning.facts:
        rows.append(("here", Text(", ".join(f"{key} {clean(value, 80)}" for key, value in meaning.facts.items()))))
    if meaning.status:
        rows.append(("status", Text(", ".join(map(str, meaning.status)))))
    rows += [("causes" if number == 0 else "", line) for number, line in enumerate(suspect_lines(meaning.suspects))]
    if not meaning.suspects:
        rows.append(("causes", Text("none: nothing failed, or it says nothing of why", style="dim")))
    if meaning.tell:
        rows.append(("which one", inline(meaning.tell, console)))
    rows += _to_do(console, meaning, reader)
    if meaning.where:
        rows.append(("met", Text(meaning.where, style="dim")))
    if meaning.source:
        rows.append(("source", Text(f"{meaning.source} ({EVIDENCE[meaning.evidence]})", style="dim")))
    return [head, labelled(rows)]


def suspect_line(suspect: Suspect) -> Text:
    """Return one cause in one line: how sure, its code, its title."""
    cause = catalogue()[suspect.cause]
    grade = (f"{suspect.confidence:<9}", GRADE_STYLES[suspect.confidence])
    return Text.assemble(grade, (cause.code, "cyan"), "  ", cause.title)


def suspect_lines(suspects: Sequence[Suspect]) -> Iterator[Text]:
    """Yield a line for each cause; of many only the first few, and the others by the phase in which they happen."""
    few = suspects if len(suspects) <= _SUSPECTS_SHOWN else suspects[: _SUSPECTS_SHOWN // 2]
    yield from map(suspect_line, few)
    others: dict[str, list[str]] = {}
    for one in suspects[len(few) :]:
        others.setdefault(catalogue()[one.cause].phase, []).append(one.cause)
    for phase, codes in others.items():
        yield Text.assemble((f"possible  {_PHASES[phase]}: ", "dim"), (", ".join(codes), "cyan"))


def _to_do(console: Console, meaning: Meaning, reader: str) -> list[tuple[str, RenderableType]]:
    """Return what to check and to fix: the product's own words first, then the catalogue's for the likeliest cause."""
    checks, fixes = list(meaning.check), list(meaning.fix)
    if meaning.suspects and (len(meaning.suspects) <= _SUSPECTS_SHOWN or meaning.suspects[0].confidence != "possible"):
        cause = catalogue()[meaning.suspects[0].cause]
        checks += lines_for(meaning.product or "none", cause, "What to check")
        fixes += lines_for(meaning.product or "none", cause, "How to fix")
    elif product := products().get(meaning.product):
        checks += [f"{line}: {product.name}'s own words for this moment, which name the cause" for line in product.logs]
    rows: list[tuple[str, RenderableType]] = []
    for label, lines in (("check", checks), ("fix", fixes)):
        shown = lines[:_CHECKS] if reader == "all" else lines[: _CHECKS + 2]
        rows += [(label if number == 0 else "", inline(line, console)) for number, line in enumerate(shown)]
    return rows


def visitor_rules(temporary: bool) -> Table:
    """Return what every visitor may do; waiting only where it can help."""
    rows = grid()
    for rule in VISITOR_RULES if temporary else VISITOR_RULES[1:]:
        rows.add_row(Text("  -"), Text(rule))
    return rows


def _visitor(console: Console, meanings: Sequence[Meaning]) -> list[RenderableType]:
    first = next(one for one in meanings if one.suspects)
    said = first.visitor or catalogue()[first.suspects[0].cause].sections.get("Visitor", "")
    rows = visitor_rules(any(catalogue()[suspect.cause].temporary for one in meanings for suspect in one.suspects))
    same = len({one.suspects[0].cause for one in meanings if one.suspects}) == 1 and len(first.suspects) == 1
    return [inline(f"  {said}", console), rows] if same else [rows]


def print_products_with(console: Console, status: int) -> None:
    """Print what each product means when it made a status itself: the same number stands for different things."""
    rows = grid()
    count = 0
    for product in products().values():
        for answer in product.answers:
            if status in answer.status and not answer.where:
                rows.add_row(Text(f"  {product.name}", style="cyan"), inline(answer.means, console))
                count += 1
                break
    if count:
        show(console, Group(Text(""), Text(f"What {status} means when the gateway itself made it", style="bold"), rows))


def print_products(console: Console) -> None:
    """Print every product that can be recognised."""
    rows = grid()
    for product in sorted(products().values(), key=lambda one: one.id):
        rows.add_row(Text(product.id, style="cyan"), Text(product.name), Text(_about(product), style="dim"))
    show(console, rows)


def _about(product: Product) -> str:
    return product.about


def print_codes(console: Console, rows: Sequence[Row]) -> None:
    """Print every code and sentence of every dictionary, by dictionary."""
    table = grid()
    owner = ""
    for row in rows:
        if row.dictionary.id != owner:
            owner = row.dictionary.id
            table.add_row()
            table.add_row(Text(row.dictionary.title, style="bold"))
        table.add_row(Text(f"  {clean(row.code, 40)}", style="cyan"), Text(row.name or row.means.split(". ")[0]))
    show(console, table)
