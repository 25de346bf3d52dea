"""Owns which failures have one root: same cause, or same word where the log names no cause; and which only follow from others."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from ..diagnose.catalogue import catalogue
from ..diagnose.meanings import of_sentence
from ..diagnose.redact import clean
from .entry import Entry
from .keep import group_of, minute_of
from .reading import Group, Reading

_NOBODY: Final = "no-healthy-server"
_LONGEST_CODE: Final = 12
_LONGEST_WORD: Final = 70
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|\[[0-9a-fA-F:]{2,}\](?::\d+)?")
_OVERLAP: Final = 0.8
_LEAD: Final = 2
"""Minutes by which the first failure may lie before those that follow from it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What failures of one root share."""

    cause: str  # code, "" where the line allows too many
    word: str = field(compare=False)  # the product's code or sentence where there is no cause, as the first failure has it
    status: int  # where there is neither
    product: str = ""
    sense: str = ""  # what tells words apart: two sentences that differ in an address only mean the same

    @property
    def named(self) -> bool:
        """Whether the log names a cause."""
        return bool(self.cause)


@dataclass
class Cluster:
    """Failures of one root."""

    kind: Kind
    entries: list[Entry] = field(default_factory=list)
    groups: "Counter[Group]" = field(default_factory=Counter)
    count: int = 0
    follows: int = 0  # further failures that only follow from these

    @property
    def confidence(self) -> str:
        """How sure the cause is, for most of the failures."""
        counts = Counter(entry.confidence or "possible" for entry in self.entries)
        proved, likely = counts["proved"], counts["likely"]
        half = len(self.entries) / 2
        if not self.kind.named:
            return "possible"
        return "proved" if proved >= half and proved else "likely" if proved + likely >= half and proved + likely else "possible"

    @property
    def made_by(self) -> str:
        """Who made most of the answers."""
        return most(entry.made_by for entry in self.entries)

    @property
    def product(self) -> str:
        """Whose log it is, mostly."""
        return most(entry.product for entry in self.entries)


def most(values: Iterable[str]) -> str:
    """Return the commonest value, "" of none."""
    counts = Counter(values)
    return counts.most_common(1)[0][0] if counts else ""


def kind_of(entry: Entry) -> Kind:
    """Return what an entry shares with others of its root."""
    cause = group_of(entry).cause
    if cause:
        return Kind(cause, "", 0)
    word, sense = word_of(entry.reason, entry.product)
    return Kind("", word, 0 if word else entry.status, entry.product, sense)


@lru_cache(4096)
def word_of(reason: str, product: str) -> tuple[str, str]:
    """Return a product's own word for a failure, and what it means: its code, or what a dictionary knows of its sentence.

    Two empty strings where there is neither.
    """
    if len(reason) <= _LONGEST_CODE:
        return ("", "") if reason[:3].isdigit() else (reason, reason)
    known = of_sentence(_ADDRESS.sub("*", reason), product) or of_sentence(reason, product)
    return (clean(known[0].word, _LONGEST_WORD), known[0].means) if known else ("", "")


def clusters(reading: Reading) -> list[Cluster]:
    """Return the failures by their root, the largest first, those that only follow from others counted with these."""
    found: dict[Kind, Cluster] = {}
    for entry in reading.failures:
        kind = kind_of(entry)
        found.setdefault(kind, Cluster(kind)).entries.append(entry)
    scale = reading.failed / len(reading.failures) if reading.failures else 1.0
    for cluster in found.values():
        cluster.count = max(1, round(len(cluster.entries) * scale))
        cluster.groups = _groups(cluster, reading, scale)
    return _followed(sorted(found.values(), key=lambda one: -one.count))


def _groups(cluster: Cluster, reading: Reading, scale: float) -> "Counter[Group]":
    """Return a cluster's failures as they are counted: exact, or in proportion where not all were kept."""
    groups: Counter[Group] = Counter(group_of(entry) for entry in cluster.entries)
    if not reading.sampled:
        return groups
    return Counter({group: max(1, round(number * scale)) for group, number in groups.items()})


def _followed(found: list[Cluster]) -> list[Cluster]:
    """Count "no server left" with the failures for which the servers were taken out, where these came first."""
    nobody = next((one for one in found if one.kind.cause == _NOBODY), None)
    if nobody is None or len(found) == 1:
        return found
    reason = next((one for one in found if one is not nobody and _strikes(one) and _leads(one, nobody)), None)
    if reason is None:
        return found
    reason.follows = nobody.count
    rest = [one for one in found if one is not nobody]
    return sorted(rest, key=lambda one: -(one.count + one.follows))


def _strikes(cluster: Cluster) -> bool:
    """Whether failures of this cause take a server out."""
    cause = catalogue().get(cluster.kind.cause)
    if cause is not None:
        return cause.strike
    return bool(cluster.kind.word) and any((known := catalogue().get(code)) and known.strike for code in _first(cluster))


def _first(cluster: Cluster) -> Sequence[str]:
    return cluster.entries[0].causes[:3] if cluster.entries else ()


def _leads(one: Cluster, nobody: Cluster) -> bool:
    """Whether one cluster's failures lie in or shortly before the minutes of the other."""
    minutes = {minute_of(entry) for entry in one.entries}
    wide = {minute + lead for minute in minutes for lead in range(_LEAD + 1)}
    inside = sum(minute_of(entry) in wide for entry in nobody.entries)
    begins = min(entry.time for entry in one.entries) <= min(entry.time for entry in nobody.entries) + 1
    places = {_place(entry) for entry in one.entries}
    same = sum(_place(entry) in places for entry in nobody.entries)
    return begins and min(inside, same) >= _OVERLAP * len(nobody.entries)


def _place(entry: Entry) -> tuple[str, str]:
    """Return what tells the server group: its name where the log has it, else what paths begin with."""
    return (entry.cluster, "") if entry.cluster else (entry.host, "/".join(entry.path.partition("?")[0].split("/")[:2]))
