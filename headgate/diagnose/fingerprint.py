"""Owns who wrote an answer, and who only passed it on: the marks of `knowledge/products`, weighed.

An explicit statement (Proxy-Status, an error header of the product's own) is believed first, then the page, then its length.
`Server` and `Via` alone only say who stands in the way: many gateways put their name on what others wrote. Two marks in
different places make an author certain; a page alone can be imitated.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from ..model.diagnosis import CERTAINTY, Mark, Recognised
from .captured import Captured
from .products import Answer, MarkRule, Product, products
from .proxystatus import members
from .redact import clean

EXPLICIT: Final = 5
"""Weight of a mark by which a product names itself as the author."""
NEAR: Final = ("forward-proxy", "cdn", "firewall", "cloud", "platform", "balancer", "cache", "gateway", "server")
"""Kinds of products from the visitor inwards, as they usually stand."""
_HEAD: Final = 49_152
_TAIL: Final = 16_384
"""How much of a body is searched, at its beginning and its end."""
_SHOWN: Final = 120
_LIKELY: Final = 3
_SURE: Final = 4
_SIDES: Final = {"header": "head", "cookie": "head", "body": "body", "length": "body", "reason": "reason"}
"""Where a mark stands → which independent part of the answer that is. An absent field is no mark of its own."""
_STATUS: Final = re.compile(
    r"<(?:title|h1|h2)[^>]{0,80}>[^<\d]{0,40}([45]\d\d)\b|\A\W{0,3}(?:error code: )?([45]\d\d)\b", re.IGNORECASE
)


class _Seen:
    """A captured answer, prepared once for all patterns."""

    __slots__ = ("captured", "fields", "length", "lower", "status", "text")

    def __init__(self, captured: Captured) -> None:
        body = captured.body
        if len(body) > _HEAD + _TAIL:
            body = body[:_HEAD] + b"\n" + body[-_TAIL:]
        self.captured = captured
        self.text = body.decode("utf-8", "replace").replace("\r\n", "\n")
        self.lower = self.text.lower()
        self.status = status_of(captured)
        self.fields: dict[str, str] = {}
        for name, value in captured.fields:
            self.fields[name] = f"{self.fields[name]}, {value}" if name in self.fields else value
        whole = captured.complete and not captured.headless and "content-encoding" not in self.fields
        self.length = captured.length if whole else -1


def recognise(captured: Captured) -> list[Recognised]:
    """Return the products that an answer betrays, best first: who wrote it, then those that passed it on, outermost first.

    Nobody writes an answer below 400: there all only passed it on. Never raises.
    """
    seen = _Seen(captured)
    found = [one for product in products().values() if (one := _weigh(product, seen)) is not None]
    claims = [one for one in found if one.wrote]
    authors = sorted(claims, key=lambda one: _rank(one, claims))
    others = [one for one in found if not one.wrote]
    authors, others = _stated(seen, authors, others)
    if authors:
        measured = _only_measured(authors[0])
        rivals = [one for one in authors[1:] if not _kin(one, authors[0]) and (measured or not _only_measured(one))]
        authors = [authors[0], *rivals]
        others = [one for one in others if not _kin(one, authors[0]) or _stands_before(one, authors[0])]
    heirs = {products()[one.product].family for one in others if one.product in products()}
    return authors + sorted((one for one in others if one.product not in heirs), key=_place)


def generator_and_chain(captured: Captured) -> tuple[Recognised | None, tuple[str, ...]]:
    """Return who wrote an error (None: nobody that is known) and the names on the way, outermost first, the author last."""
    found = recognise(captured)
    author = found[0] if found and found[0].wrote and _weight(found[0]) > 1 else None
    before = [one.name for one in found if not one.wrote]
    if author is None:
        return None, tuple(dict.fromkeys(before))
    return author, (*dict.fromkeys(name for name in before if name != author.name), author.name)


def answers_of(captured: Captured, recognised: Recognised) -> Answer | None:
    """Return what the author means with this answer: the first row of its own that fits, else of the product it descends from."""
    product = products().get(recognised.product)
    seen = _Seen(captured)
    while product is not None:
        for answer in product.answers:
            if seen.status in answer.status and _fits(answer, seen):
                return answer
        product = products().get(product.family)
    return None


def status_of(captured: Captured) -> int:
    """Return the status, or the one that a pasted page names in its title or heading; 0 where it names none."""
    if captured.status:
        return captured.status
    hit = _STATUS.search(captured.body[:4096].decode("utf-8", "replace"))
    return int(hit[1] or hit[2]) if hit else 0


def _fits(answer: Answer, seen: _Seen) -> bool:
    if not answer.where:
        return True
    value = {"body": seen.text, "reason": seen.captured.reason}.get(answer.where)
    if value is None:
        value = seen.fields.get(answer.field, "")
    return bool(value) and _pattern(answer.match).search(value) is not None


@cache
def _pattern(match: str) -> re.Pattern[str]:
    return re.compile(match, re.IGNORECASE | re.DOTALL)


def _weigh(product: Product, seen: _Seen) -> Recognised | None:
    """Return a product with the marks of it that are in an answer, None where there is none."""
    hits: list[tuple[MarkRule, Mark]] = []
    version = ""
    for rule in product.marks:
        if hit := _hit(rule, seen):
            version = version or hit[1]
            hits.append((rule, Mark(rule.where, hit[0], rule.weight)))
    if not any(rule.weight > 0 and rule.where != "missing" for rule, _ in hits):
        return None
    marks = tuple(mark for _, mark in sorted(hits, key=lambda one: -one[0].weight) if mark.weight > 0)
    measurable = not seen.captured.body  # a page that is there speaks for itself, and its length is no mark of its own
    own = [rule for rule, _ in hits if rule.wrote and rule.where != "missing" and (measurable or rule.where != "length")]
    total = sum(rule.weight for rule, _ in hits if rule.wrote)
    wrote = not 0 < seen.status < 400 and any(rule.weight > 0 for rule in own) and total > 0
    if not wrote and not any(rule.where in ("header", "cookie") for rule, mark in hits if mark.weight > 1):
        return None
    certainty = _certainty([rule for rule, _ in hits], total) if wrote else _presence(marks)
    note = next((rule.note for rule, _ in hits if rule.note), "") if wrote and certainty != "certain" else ""
    return Recognised(product.id, product.name, certainty, marks, wrote, version, note)


def _certainty(rules: Sequence[MarkRule], total: int) -> str:
    """Return how sure an authorship is. Certain: the product says so itself, or marks in two parts of the answer agree."""
    against = any(rule.weight < 0 for rule in rules)
    if any(rule.weight >= EXPLICIT and rule.wrote for rule in rules) and not against:
        return "certain"
    sides = {_SIDES[rule.where] for rule in rules if rule.where in _SIDES and rule.weight > 0}
    if len(sides) > 1 and sum(rule.weight for rule in rules) >= _SURE and not against:
        return "certain"
    return "likely" if total >= _LIKELY else "possible"


def _presence(marks: Sequence[Mark]) -> str:
    return "likely" if sum(mark.weight for mark in marks) >= _LIKELY else "possible"


def _hit(rule: MarkRule, seen: _Seen) -> tuple[str, str] | None:
    """Return what betrays a product, in words, and its version; None where the rule does not hold."""
    if rule.status and (seen.status not in rule.status if seen.status else rule.where != "body"):
        return None
    if rule.where == "body":
        return _searched(rule, seen.text) if rule.has in seen.lower else None
    if rule.where == "header":
        value = seen.fields.get(rule.field)
        if value is None or (rule.has and rule.has not in value.lower()):
            return None
        named = _searched(rule, value)
        return (rule.words or clean(f"{rule.field}: {value}", _SHOWN), named[1]) if named else None
    return _other(rule, seen)


def _other(rule: MarkRule, seen: _Seen) -> tuple[str, str] | None:
    if rule.where == "missing":
        absent = not seen.captured.headless and bool(seen.captured.status) and rule.field not in seen.fields
        return (rule.words or f"no {rule.field} field", "") if absent else None
    if rule.where == "length":
        return (rule.words or f"a body of {seen.length} bytes", "") if seen.length in rule.lengths else None
    if rule.where == "reason":
        return _searched(rule, seen.captured.reason) if seen.captured.reason else None
    if rule.where == "cookie":
        for value in seen.captured.all("set-cookie"):
            if hit := _pattern(rule.match).match(value):
                return rule.words or clean(f"the cookie {hit[0].rstrip('=')}", _SHOWN), ""
    return None


def _searched(rule: MarkRule, text: str) -> tuple[str, str] | None:
    """Return the words for a pattern that matches in `text`, and the version it names."""
    if not rule.match:
        return rule.words or clean(rule.has, _SHOWN), ""
    hit = _pattern(rule.match).search(text)
    if hit is None:
        return None
    return rule.words or clean(" ".join(hit[0].split()), _SHOWN), hit.groupdict().get("version") or ""


def _stated(seen: _Seen, authors: list[Recognised], others: list[Recognised]) -> tuple[list[Recognised], list[Recognised]]:
    """Let Proxy-Status (RFC 9209) decide: its first member with an error wrote the answer, the others passed it on."""
    value = seen.fields.get("proxy-status", "")
    if not value or 0 < seen.status < 400:
        return authors, others
    listed = members(value)
    writer = next((name for name, parameters in listed if "error" in parameters), None)
    for name, parameters in listed:
        mark = Mark(
            "proxy-status",
            clean(f"Proxy-Status: {name}; error={parameters.get('error', '')}".removesuffix("; error="), _SHOWN),
            EXPLICIT,
        )
        known = _named(name)
        if name == writer:
            authors, others = _with_author(mark, known, name, authors, others)
            writer = None
        elif known is not None and not any(one.product == known.id for one in (*authors, *others)):
            others = [*others, Recognised(known.id, known.name, "certain", (mark,), False)]
    return authors, others


def _with_author(
    mark: Mark, known: Product | None, name: str, authors: list[Recognised], others: list[Recognised]
) -> tuple[list[Recognised], list[Recognised]]:
    """Put the author that Proxy-Status names first; a name of its owner's choice goes to whom the rest of the answer betrays."""
    every = [*authors, *others]
    same = next((one for one in every if known is not None and one.product == known.id), None)
    if known is None and same is None:
        same = next((one for one in every if _speaks(one)), None)
    if same is None:
        same = (
            Recognised(known.id, known.name, "certain", (), True)
            if known
            else Recognised("", clean(name, 60), "certain", (), True)
        )
    first = replace(same, certainty="certain", wrote=True, marks=(mark, *same.marks))
    rest = [one for one in authors if one.product != first.product]
    return (
        [first],
        [*(one for one in others if one.product != first.product), *(replace(one, wrote=False) for one in rest if _in_head(one))],
    )


def _speaks(one: Recognised) -> bool:
    """Whether a product is known to send Proxy-Status under a name of its owner's choice."""
    return any(rule.where == "proxy-status" for rule in products()[one.product].marks)


def _in_head(one: Recognised) -> bool:
    return any(mark.where in ("header", "cookie") for mark in one.marks)


@cache
def _names() -> dict[str, Product]:
    found: dict[str, Product] = {}
    for product in products().values():
        for name in (product.id, product.name, *product.aliases):
            found.setdefault(name.lower(), product)
    return found


def _named(name: str) -> Product | None:
    """Return the product of a name in Proxy-Status: whole, or its first word."""
    words: Iterator[str] = iter((name.lower(), re.split(r"[\s/:;,_-]", name.lower(), maxsplit=1)[0]))
    return next((_names()[word] for word in words if word in _names()), None)


def _rank(one: Recognised, claims: Sequence[Recognised]) -> tuple[int, int, int, int, str]:
    """Return the order of authors: the surest first; of relatives the one with a mark more than its ancestor."""
    explicit = any(mark.weight >= EXPLICIT for mark in one.marks)
    family = products()[one.product].family
    younger = any(other.product == family and other.certainty == one.certainty for other in claims)
    return CERTAINTY.index(one.certainty), 0 if explicit else 1, 0 if younger else 1, -_weight(one), one.product


def _only_measured(one: Recognised) -> bool:
    """Whether nothing but a body's length speaks for a product."""
    return all(mark.where == "length" for mark in one.marks)


def _weight(one: Recognised) -> int:
    return sum(mark.weight for mark in one.marks)


def _kin(one: Recognised, author: Recognised) -> bool:
    """Whether two products share a page, because one descends from the other or both from a third."""
    known = products()
    lines = [
        {product.id, product.family} - {""}
        for product in (known.get(one.product), known.get(author.product))
        if product is not None
    ]
    return len(lines) > 1 and bool(lines[0] & lines[1])


def _stands_before(one: Recognised, author: Recognised) -> bool:
    """Whether a relative of the author has a mark in the head that the author does not share: it passed the answer on."""
    return _in_head(one) and not {mark.text for mark in one.marks} & {mark.text for mark in author.marks} and not _in_head(author)


def _place(one: Recognised) -> tuple[int, int, str]:
    kind = products()[one.product].kind if one.product in products() else ""
    return NEAR.index(kind) if kind in NEAR else len(NEAR), -_weight(one), one.product
