"""Owns how products and their codes read as documentation: docs/products.md, and one page for each product, as Markdown.

`python -m headgate.diagnose.handbook docs` writes them. A page holds the product's words literally, so that a search finds them.
"""

import html
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from .captured import Captured
from .catalogue import catalogue
from .codes import EVIDENCE, Dictionary, Row, rows
from .heads import heads
from .products import KINDS, Answer, MarkRule, Product, products, sample_bytes

INDEX: Final = "products.md"
FOLDER: Final = "products"
_PLACES: Final = {
    "header": "the field {field}", "cookie": "a cookie", "body": "the page", "reason": "the reason phrase",
    "length": "the length of the body", "missing": "there is no field {field}", "proxy-status": "Proxy-Status",
}  # fmt: skip
_NARROWER: Final = {
    "body": "where the page says {text}",
    "reason": "where the reason phrase is {text}",
    "header": "where the field {field} has {text}",
}
_STRENGTHS: Final = {1: "weak", 2: "fair", 3: "good", 4: "strong", 5: "explicit"}
_UNSEEN: Final = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_BREAK: Final = re.compile(
    r"<(?:br|/?(?:p|div|h\d|title|li|ul|tr|table|center|hr|body|head|html|pre|td|blockquote))\b[^>]*>", re.I
)
_TAG: Final = re.compile(
    r"</?(?:a|b|body|blockquote|br|center|code|div|h\d|hr|html|i|li|p|pre|span|strong|title|ul)\b[^>]*>", re.I
)
_CAUSES_SHOWN: Final = 8
_CAUSES_FOLDED: Final = 3
"""Fewer causes than this are not worth folding up."""
_HEADING_LENGTH: Final = 120
_PAGES_SHOWN: Final = 8
_PAGE_LINES: Final = 14
_FIRST_ERROR: Final = 400


def pages() -> dict[str, str]:
    """Return the text of every page of the handbook of products, by its path below the folder of documentation."""
    by_product: dict[str, list[Row]] = {}
    for row in rows():
        by_product.setdefault(row.product, []).append(row)
    found = {INDEX: _index(by_product)}
    for product in products().values():
        found[f"{FOLDER}/{product.id}.md"] = _page(product, by_product.get(product.id, []))
    for dictionary, own in _by_dictionary(by_product.get("", [])).items():
        found[f"{FOLDER}/{dictionary.id}.md"] = _dictionary_page(dictionary, own)
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


def heading(row: Row) -> str:
    """Return what a row is looked for by: its code, or the words of a sentence's sample by which it is recognised."""
    if not row.has:
        return row.code
    whole_words = rf"(?:https?://)?(?:\b[\w/.-]+)?(?:{row.match or re.escape(row.has)})(?:[\w/-]+)?"
    hit = re.search(whole_words, row.sample, re.IGNORECASE)
    text = without_tags(" ".join((hit[0] if hit else row.has).split()))
    text = re.sub(r"\[client [^\]]*\] ", "", text).partition(", client: ")[0].rpartition('"msg":"')[2]
    if text.lower() in row.name.lower():
        return row.name
    if len(text) <= _HEADING_LENGTH:
        return text
    return (text[:_HEADING_LENGTH].rpartition(" ")[0] or text[:_HEADING_LENGTH]) + " ..."


def without_tags(text: str) -> str:
    """Return what people see of a piece of a page; the piece itself where that is nothing."""
    return _TAG.sub("", text).strip() or text


def _by_dictionary(own: Sequence[Row]) -> dict[Dictionary, list[Row]]:
    found: dict[Dictionary, list[Row]] = {}
    for row in own:
        found.setdefault(row.dictionary, []).append(row)
    return found


# The index.


def _index(by_product: dict[str, list[Row]]) -> str:
    count = sum(map(len, by_product.values()))
    lines = [
        "# Products and their codes",
        "",
        f"What {len(products())} products that can stand between a visitor and a program mean when they fail: {count} codes and",
        "sentences, and how each product's error page is recognised. A page holds its product's words literally: search it for",
        "the line of your log. `headgate explain WHAT` finds a code, a line or a whole error page by itself, offline.",
    ]
    for kind, title in KINDS.items():
        members = sorted((one for one in products().values() if one.kind == kind), key=lambda one: one.name.lower())
        if members:
            lines += ["", f"## {title[:1].upper()}{title[1:]}", "", "| Product | About | Error answers | Codes and sentences |"]
            lines += ["|---|---|---|---|", *(_index_row(one, len(by_product.get(one.id, []))) for one in members)]
    if general := _by_dictionary(by_product.get("", [])):
        lines += [
            "",
            "## Words of no single product",
            "",
            "| Words | Where they are met | Codes and sentences |",
            "|---|---|---|",
        ]
        for one, own in general.items():
            lines.append(f"| [{one.title}]({FOLDER}/{one.id}.md) | {_cell(one.where)} | {len(own)} |")
    return "\n".join(lines) + "\n"


def _index_row(product: Product, count: int) -> str:
    name = f"[{product.name}]({FOLDER}/{product.id}.md)"
    return f"| {name} | {_cell(product.about)} | {len(product.answers) or '-'} | {count or '-'} |"


# A page.


def _page(product: Product, own: Sequence[Row]) -> str:
    lines = [f"# {product.name}", "", f"{product.name}: {_prose(product.about.rstrip('.'))}."]
    if product.aliases:
        lines.append(f"Also called {', '.join(map(_code, product.aliases))}.")
    dictionaries = _by_dictionary(own)
    sections = {
        "What its error pages say": list(_error_pages(product)),
        "What its error answers mean": [line for one in product.answers for line in _answer(one)],
        "Where its own words are": [*(f"- {_command(one)}" for one in product.logs), *_status_page(product)],
        "Good to know": [f"- {_prose(one)}" for one in product.notes],
        **{one.title: _dictionary(one, several, "###") for one, several in dictionaries.items()},
        "How its answers are recognised": list(_marks(product)),
    }
    words = ", ".join(f"[{one.title}](#{_anchor(one.title)}) ({len(several)})" for one, several in dictionaries.items())
    if words:
        lines += ["", f"Its words: {words}."]
    for title, text in sections.items():
        if text:
            lines += ["", f"## {title}", "", *text]
    return _finished([*lines, "", f"Source: {_prose(product.source)}. [All products](../{INDEX})."])


def _dictionary_page(dictionary: Dictionary, own: Sequence[Row]) -> str:
    return _finished([f"# {dictionary.title}", "", *_dictionary(dictionary, own, "##"), "", f"[All products](../{INDEX})."])


def _finished(lines: Iterable[str]) -> str:
    """Return the lines as a page in which never two empty ones follow each other."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _status_page(product: Product) -> Iterator[str]:
    if product.status_page:
        yield f"- The vendor tells of incidents at <{product.status_page}>."


def _error_pages(product: Product) -> Iterator[str]:
    """Yield the visible text of the product's error pages, each text once."""
    seen: set[str] = set()
    for sample in sorted(product.samples, key=lambda one: one.origin != "capture"):
        answer = heads(sample_bytes(product.id, sample))[0]
        if not sample.wrote or 0 < answer.status < _FIRST_ERROR or len(seen) == _PAGES_SHOWN:
            continue
        text = "\n".join(visible(answer)) or "(no body)"
        if (key := f"{answer.status} " + re.sub(r"\d+", "", text)) not in seen:  # versions and ids differ each time
            seen.add(key)
            line = f"{answer.status} {answer.reason}".strip() if answer.status else "A page alone"
            origin = f"captured from {sample.of}" if sample.origin == "capture" else sample.of
            yield from (f"{_code(line)} ({_prose(origin)}):", "", *_quoted(text), "")


def visible(answer: Captured) -> list[str]:
    """Return the first lines that a person sees of an answer's body."""
    text = _UNSEEN.sub(" ", answer.text)
    if re.search(r"<(?:html|body|h1|p|title)\b", text, re.IGNORECASE):
        text = _BREAK.sub("\n", text)
        text = html.unescape(re.sub(r"<[^>]+>", "", text))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))[:_PAGE_LINES]


def _answer(answer: Answer) -> Iterator[str]:
    status = ", ".join(map(str, answer.status)) or "Any status"
    if answer.where:
        text = _code(_short(without_tags(answer.example or answer.match)))
        status += ", " + _NARROWER[answer.where].format(text=text, field=_code(answer.field))
    yield from (f"### {status}", "", _prose(answer.means))
    if answer.tell:
        yield from ("", f"How to tell: {_prose(answer.tell)}")
    if answer.causes:
        yield ""
        yield from _causes("It proves" if answer.proves and len(answer.causes) == 1 else "Causes", answer.causes)
    yield ""


def _marks(product: Product) -> Iterator[str]:
    groups = {
        f"{product.name} wrote an answer itself, if:": [one for one in product.marks if one.wrote and one.weight > 0],
        "An answer came through it, whoever wrote it, if:": [one for one in product.marks if not one.wrote and one.weight > 0],
        "Against it speaks:": [one for one in product.marks if one.weight <= 0],
    }
    for title, rules in groups.items():
        if rules:
            yield from (title, "", *map(_mark, rules), "")


def _mark(rule: MarkRule) -> str:
    place = _PLACES[rule.where].format(field=_code(rule.field))
    literal = re.sub(r"\(\?P<\w+>", "(", rule.match) or rule.has
    what = [part for part in (_prose(rule.words), _code(literal) if literal else "") if part]
    if rule.lengths:
        what.append(f"{', '.join(map(str, rule.lengths))} bytes")
    only = f", with status {', '.join(map(str, rule.status))}" if rule.status else ""
    note = f". {_prose(rule.note)}" if rule.note else ""
    strength = f" ({_STRENGTHS.get(rule.weight, '')} evidence)" if rule.weight > 0 else ""
    return f"- {place}{': ' if what else ''}{', '.join(what)}{only}{strength}{note}"


# Codes and sentences.


def _dictionary(dictionary: Dictionary, own: Sequence[Row], level: str) -> list[str]:
    """Return how a dictionary reads, with an entry for each row under a heading of this level."""
    lines = [f"Met: {_prose(dictionary.where.rstrip('.'))}. Source: {_prose(dictionary.source.rstrip('.'))}."]
    if dictionary.note:
        lines += ["", _prose(dictionary.note)]
    return lines + [line for row in own for line in _entry(row, level)]


def _entry(row: Row, level: str) -> Iterator[str]:
    title = heading(row)
    name = "" if row.name.lower() in title.lower() else f" {_prose(row.name)}"
    yield from ("", f"{level} {_code(title)}{name}", "")
    if row.sample and row.sample != title:
        yield from (*_quoted(row.sample), "")
    yield _prose(row.means)
    facts = []
    if row.status:
        facts.append(f"- Status: {', '.join(map(str, row.status))}")
    if row.tell:
        facts.append(f"- Which one: {_prose(row.tell)}")
    if row.visitor:
        facts.append(f"- For visitors: {_prose(row.visitor)}")
    if row.aliases:
        facts.append(f"- Also written: {', '.join(map(_code, row.aliases))}")
    if row.evidence != row.dictionary.evidence:
        facts.append(f"- Evidence: {EVIDENCE[row.evidence]}")
    if row.causes:
        facts += _causes("It proves" if row.proves and len(row.causes) == 1 else "It can stand for", row.causes)
    if facts:
        yield from ("", *facts)
    for what, lines in (("To check", row.check), ("To fix", row.fix)):
        if lines:
            yield from ("", f"{what}:", "", *_quoted("\n".join(lines)))


def _causes(title: str, codes: Sequence[str]) -> list[str]:
    """Return the likeliest causes as an item of a list, and further ones folded up below it."""
    shown = _CAUSES_SHOWN if len(codes) >= _CAUSES_SHOWN + _CAUSES_FOLDED else len(codes)
    lines = [f"- {title}: {', '.join(map(_link, codes[:shown]))}"]
    if rest := codes[shown:]:
        lines += ["", f"<details><summary>and {len(rest)} others</summary>", "", ", ".join(map(_link, rest)), "", "</details>"]
    return lines


# Markdown.


def _link(code: str) -> str:
    title = catalogue()[code].title
    plain = title[:1].lower() + title[1:] if not title[1:2].isupper() else title
    return f"[{plain}](../causes/{code}.md)"


def _command(line: str) -> str:
    """Return a command, and the comment behind it in words."""
    command, _, comment = line.partition("   # ")
    shown = command if "`" in command else _code(command)
    return f"{shown}: {_prose(comment)}" if comment else shown


def _quoted(text: str) -> list[str]:
    return ["```text", *text.splitlines(), "```"]


def _code(text: str) -> str:
    """Return text as a code span, also where it holds backticks itself (CommonMark 6.1)."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _prose(text: str) -> str:
    """Return a line in which nothing outside of code spans is taken for Markdown or HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(
        part if number % 2 else re.sub(r"[<*]|(?<!\w)_|_(?!\w)", r"\\\g<0>", part) for number, part in enumerate(parts)
    )


def _short(text: str) -> str:
    return text if len(text) <= _HEADING_LENGTH else text[:_HEADING_LENGTH] + "..."


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


def _anchor(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


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
