"""Owns what a code or a sentence stands for: every dictionary that knows it, said side by side where they disagree."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from ..model.cause import Cause
from ..model.diagnosis import Suspect
from .catalogue import catalogue
from .codes import Dictionary, Found, Row, lookup, phrases, rows, shapes
from .products import products

_SPLITS: Final = (
    re.compile(r"[\s]+"),  # "502.3 12002", "502 UF", "503 SC--"
    re.compile(r"[\s,;|/]+"),  # "UF,URX"
)
_NOISE: Final = frozenset(
    {"http", "error", "code", "exit", "status", "flag", "flags", "state", "termination", "reason", "err", "no", "-"}
)
_MET_TOGETHER: Final = {"iis": ("arr", "ancm"), "arr": ("iis", "ancm"), "ancm": ("iis", "arr"), "istio": ("envoy",)}
"""Products whose words share one log line: IIS, its proxy module and its program runner; Istio speaks Envoy's."""
_SIMILAR: Final = 0.72
_NEAR_SHOWN: Final = 4
_PARTS_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one code or sentence means in one product's words."""

    word: str  # the code, or the part of the text that was recognised
    product: str  # id, "" where the words belong to no single product
    owner: str  # whose words: "HAProxy termination state", "Linux, macOS and Windows error numbers"
    name: str  # the long form, or ""
    means: str
    suspects: tuple[Suspect, ...]
    status: tuple[int, ...] = ()
    tell: str = ""
    visitor: str = ""
    check: tuple[str, ...] = ()
    fix: tuple[str, ...] = ()
    where: str = ""  # where such a word is met
    source: str = ""
    evidence: str = ""  # one of codes.EVIDENCE
    facts: Mapping[str, str] = field(default_factory=dict)  # what the text adds: errno, address, host, ...
    at: int = 0
    weight: int = 0  # how much of the text it explains: the longer, the more specific


def of_code(text: str) -> list[Meaning]:
    """Return what a code means, most specific first; of a combination ("502.3 12002", "UF,URX") the meaning of each part.

    Empty when no dictionary knows it, and where the text is a sentence of one (of_sentence).
    """
    if whole := _exact(text):
        return whole
    if any(2 * len(one.word) >= len(text.strip()) for one in of_sentence(text)):
        return []  # a sentence that happens to hold a code: as a whole it says more
    for split in _SPLITS:
        parts = [part for part in split.split(text.strip(" ()[]{}<>\"'.,:;")) if part and part.lower() not in _NOISE]
        if 1 <= len(parts) <= _PARTS_MOST and parts != [text]:
            found = [meaning for part in parts for meaning in _exact(part)]
            if found:
                return _agreeing(found, len(parts))
    return []


def of_sentence(text: str, product: str = "") -> list[Meaning]:
    """Return what the sentences in a text mean, most specific first. `product` narrows it to one product's."""
    found = [_of_found(one) for one in phrases(text, product)]
    found.sort(key=lambda one: -one.weight)
    return _without_covered(found)


def of_cause(cause: Cause) -> Meaning:
    """Return a cause of our own catalogue as a meaning."""
    suspect = Suspect(cause.code, "proved", (f"{cause.code} is Headgate's own name for it",))
    return Meaning(
        cause.code, "headgate", "Headgate's causes", cause.title, cause.sections["Operator"], (suspect,), (cause.status,)
    )


def near(text: str) -> list[str]:
    """Return codes that resemble an unknown one, the closest first."""
    known = {row.code.lower(): row.code for row in rows() if not row.has} | {code: code for code in catalogue()}
    close = get_close_matches(text.lower(), known, n=_NEAR_SHOWN, cutoff=_SIMILAR)
    return [known[one] for one in close]


def shaped(text: str) -> list[Dictionary]:
    """Return the dictionaries to which an unknown code would belong by its shape."""
    return shapes(text)


def products_of(meanings: Iterable[Meaning]) -> list[str]:
    """Return the products that the meanings name, each once, in order."""
    return list(dict.fromkeys(one.product for one in meanings if one.product))


def _exact(text: str) -> list[Meaning]:
    wanted = text.strip(" ()[]{}<>\"'").rstrip(".,;:")
    cause = catalogue_cause(wanted)
    own = [of_cause(cause)] if cause else []
    return own + [_of_row(row, wanted) for row in lookup(wanted)]


def catalogue_cause(text: str) -> Cause | None:
    """Return the cause of our catalogue whose code is `text`, written with blanks, dashes or underscores."""
    return catalogue().get("-".join(text.lower().replace("_", " ").split()))


def _agreeing(found: Sequence[Meaning], parts: int) -> list[Meaning]:
    """Of a combination keep what belongs together: where one product knows every part, its meanings only."""
    if parts < 2:
        return list(found)
    counts: dict[str, set[str]] = {}
    for one in found:
        counts.setdefault(one.product, set()).add(one.word.lower())
    best = max((len(words) for product, words in counts.items() if product), default=0)
    whole = {product for product, words in counts.items() if product and len(words) == best}
    kin = {kin for product in whole for kin in _MET_TOGETHER.get(product, ())}
    kept = [one for one in found if not one.product or one.product in whole | kin]
    return kept or list(found)


def _of_found(found: Found) -> Meaning:
    row = found.row
    return _meaning(row, found.text, dict(found.groups), found.at, max(len(row.has), len(row.match) // 2, len(found.text) // 2))


def _of_row(row: Row, word: str) -> Meaning:
    return _meaning(row, row.code if row.code.lower() == word.lower() else word, {}, 0, len(row.code))


def _meaning(row: Row, word: str, facts: dict[str, Any], at: int, weight: int) -> Meaning:
    return Meaning(
        word=word, product=row.product, owner=_owner(row), name=row.name, means=row.means, suspects=suspects_of(row),
        status=row.status, tell=row.tell, visitor=row.visitor, check=row.check, fix=row.fix, where=row.dictionary.where,
        source=row.source or row.dictionary.source, evidence=row.evidence, facts=facts, at=at, weight=weight,
    )  # fmt: skip


def suspects_of(row: Row) -> tuple[Suspect, ...]:
    """Return the causes that a row allows: proved when the words state the only one, likely when there is but one."""
    alone = "proved" if row.proves else "likely"
    confidence = alone if len(row.causes) == 1 else "possible"
    return tuple(Suspect(code, confidence, (row.means,), row.tell) for code in row.causes)


def _owner(row: Row) -> str:
    product = products().get(row.product) if row.product else None
    title = row.dictionary.title
    return title if product is None or product.name.lower() in title.lower() else f"{product.name}: {title}"


def _without_covered(found: list[Meaning]) -> list[Meaning]:
    """Leave out a sentence that only repeats a part of a more specific one of the same product, or of no single product."""
    kept: list[Meaning] = []
    for one in found:
        span = range(one.at, one.at + len(one.word))
        if not any(_covers(more, one, span) for more in kept):
            kept.append(one)
    return kept


def _covers(more: Meaning, one: Meaning, span: range) -> bool:
    inside = more.at <= span.start and span.stop <= more.at + len(more.word)
    overlap = more.at < span.stop and span.start < more.at + len(more.word)
    return (inside or overlap) and (not one.product or one.product == more.product)
