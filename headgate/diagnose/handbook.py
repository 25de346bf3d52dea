"""Owns how products and their codes read as documentation: docs/products.md, and one page for each product, as Markdown.

`python -m headgate.diagnose.handbook docs` writes them. A page holds the product's words literally, so that a search finds them.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from .catalogue import catalogue
from .codes import EVIDENCE, Row, rows
from .products import KINDS, Answer, MarkRule, Product, products

INDEX: Final = "products.md"
FOLDER: Final = "products"
GENERAL: Final = "general"
"""The page of words that belong to no single product."""
_PLACES: Final = {
    "header": "the field `{field}`", "cookie": "a cookie", "body": "the page", "reason": "the reason phrase",
    "length": "the length of the body", "missing": "the absence of `{field}`", "proxy-status": "Proxy-Status",
}  # fmt: skip


def pages() -> dict[str, str]:
    """Return the text of every page of the handbook of products, by its path below the folder of documentation."""
    by_product: dict[str, list[Row]] = {}
    for row in rows():
        by_product.setdefault(row.product, []).append(row)
    found = {INDEX: _index(by_product)}
    for product in products().values():
        found[f"{FOLDER}/{product.id}.md"] = _page(product, by_product.get(product.id, []))
    if general := by_product.get(""):
        found[f"{FOLDER}/{GENERAL}.md"] = _general(general)
    return found


def write(folder: Path) -> int:
    """Write all pages below `folder`, remove those of products that are no more, return how many there are. Raises OSError."""
    texts = pages()
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for old in (folder / FOLDER).glob("*.md"):
        if f"{FOLDER}/{old.name}" not in texts:
            old.unlink()
    for path, text in texts.items():
        (folder / path).write_text(text, encoding="utf-8")
    return len(texts)


def _index(by_product: dict[str, list[Row]]) -> str:
    count = sum(map(len, by_product.values()))
    lines = [
        "# Products and their codes",
        "",
        f"What {len(products())} products that can stand between a visitor and a program mean when they fail: {count} codes and",
        "sentences, and how each product's error page is recognised. `headgate explain WHAT` looks all this up, offline.",
    ]
    for kind, title in KINDS.items():
        members = sorted((one for one in products().values() if one.kind == kind), key=lambda one: one.name.lower())
        if members:
            lines += ["", f"## {title[:1].upper()}{title[1:]}", "", "| Product | About | Codes |", "|---|---|---|"]
            lines += [
                f"| [{one.name}]({FOLDER}/{one.id}.md) | {_cell(one.about)} | {len(by_product.get(one.id, []))} |"
                for one in members
            ]
    if by_product.get(""):
        lines += ["", "## Words of no single product", "", f"[Statuses, error numbers, DNS, TLS, clients]({FOLDER}/{GENERAL}.md)"]
    return "\n".join(lines) + "\n"


def _page(product: Product, own: Sequence[Row]) -> str:
    lines = [f"# {product.name}", "", f"{product.about} ({KINDS[product.kind]}.)"]
    if product.logs:
        lines += ["", "## Where its own words are", "", *(f"- `{one}`" if "`" not in one else f"- {one}" for one in product.logs)]
    if product.status_page:
        lines += ["", f"The vendor tells of incidents at {product.status_page}."]
    if product.answers:
        lines += ["", "## What its error answers mean", "", "| Status | It says | Causes | How to tell |", "|---|---|---|---|"]
        lines += [_answer(one) for one in product.answers]
    if product.marks:
        lines += ["", "## How its answers are recognised", "", *(_mark(one) for one in product.marks)]
    if product.notes:
        lines += ["", "## Good to know", "", *(f"- {one}" for one in product.notes)]
    lines += _dictionaries(own)
    lines += ["", f"Source: {product.source}"]
    return "\n".join(lines) + "\n"


def _general(own: Sequence[Row]) -> str:
    lines = ["# Words of no single product", "", "Statuses, error numbers, and what clients, resolvers and TLS libraries say."]
    return "\n".join([*lines, *_dictionaries(own)]) + "\n"


def _dictionaries(own: Sequence[Row]) -> Iterable[str]:
    """Yield a section for each dictionary, with an entry for each row."""
    for dictionary in dict.fromkeys(row.dictionary for row in own):
        yield from (
            "",
            f"## {dictionary.title}",
            "",
            f"{dictionary.where[:1].upper()}{dictionary.where[1:]}. Source: {dictionary.source}.",
        )
        if dictionary.note:
            yield from ("", dictionary.note)
        for row in own:
            if row.dictionary is dictionary:
                yield from _entry(row)


def _entry(row: Row) -> Iterable[str]:
    title = f"`{row.code}`" + (f" {row.name}" if row.name else "")
    yield from ("", f"### {title}", "")
    if row.sample:
        yield from ("```text", row.sample, "```", "")
    yield row.means
    facts = []
    if row.status:
        facts.append(f"- Status: {', '.join(map(str, row.status))}")
    if row.causes:
        sure = "It proves" if row.proves and len(row.causes) == 1 else "It can stand for"
        facts.append(f"- {sure}: {', '.join(map(_link, row.causes))}")
    if row.tell:
        facts.append(f"- Which one: {row.tell}")
    facts += [f"- Check: {line}" for line in row.check]
    facts += [f"- Fix: {line}" for line in row.fix]
    if row.aliases:
        facts.append(f"- Also written: {', '.join(f'`{one}`' for one in row.aliases)}")
    if row.evidence != row.dictionary.evidence:
        facts.append(f"- Evidence: {EVIDENCE[row.evidence]}")
    if facts:
        yield from ("", *facts)


def _answer(answer: Answer) -> str:
    status = ", ".join(map(str, answer.status)) or "any"
    narrower = (
        f" (where {answer.where}{f' `{answer.field}`' if answer.field else ''} matches `{answer.match}`)" if answer.where else ""
    )
    causes = ", ".join(map(_link, answer.causes)) or "none"
    return f"| {status} | {_cell(answer.means + narrower)} | {causes} | {_cell(answer.tell)} |"


def _link(code: str) -> str:
    return f"[{catalogue()[code].title[:1].lower() + catalogue()[code].title[1:]}](../causes/{code}.md)"


def _mark(rule: MarkRule) -> str:
    place = _PLACES[rule.where].format(field=rule.field)
    what = rule.words or (f"`{rule.match}`" if rule.match else f"`{rule.has}`" if rule.has else "")
    sizes = f" {', '.join(map(str, rule.lengths))} bytes" if rule.lengths else ""
    only = f", with {', '.join(map(str, rule.status))}" if rule.status else ""
    role = "it wrote the answer" if rule.wrote else "it passed the answer on"
    return f"- {place}{': ' + what if what else ''}{sizes}{only} (weight {rule.weight}: {role})"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def main(arguments: list[str]) -> int:
    """Print the index, or write all pages below the one folder that is named. Returns the exit code."""
    if not arguments:
        sys.stdout.write(pages()[INDEX])
        return 0
    if len(arguments) > 1:
        sys.stderr.write("usage: python -m headgate.diagnose.handbook [FOLDER]\n")
        return 2
    try:
        count = write(Path(arguments[0]))
    except OSError as error:
        sys.stderr.write(f"cannot write the handbook of products: {error}\n")
        return 2
    sys.stdout.write(f"{count} pages written below {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
