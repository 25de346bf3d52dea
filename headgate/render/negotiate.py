"""Decides which form of an error answer a client gets, from its Accept field (RFC 9110 12.5.1).

A form that is named outright beats a range at equal quality, and the order of the offers settles the rest. An offer may
ask to be named outright: no range reaches it. An Accept that is malformed, or accepts nothing we have, never fails: the
malformed members are ignored, and the default is sent (RFC 9110 12.4.1 allows it, and an answer beats none).
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_TCHAR: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE: Final = re.compile(rb"\s*(" + _TCHAR + rb")/(" + _TCHAR + rb")\s*((?:;[^;]*)*)")
_WEIGHT: Final = re.compile(rb"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")  # RFC 9110 12.4.2
_MEMBERS: Final = 100  # more members than any client sends


class Offer(NamedTuple):
    """A form that can be asked for."""

    name: str
    media_type: bytes  # lower case
    outright: bool = False  # only for clients that name it, never by a range


class _Range(NamedTuple):
    kind: bytes
    subtype: bytes
    weight: float


def choose(accept: bytes | None, offers: Sequence[Offer], default: str) -> str:
    """Return the name of the offer that the client likes best; `default` where it says nothing or likes none."""
    if not accept:
        return default
    ranges = [found for member in accept.split(b",")[:_MEMBERS] if (found := _parse(member)) is not None]
    best, best_score = default, (0.0, 0)
    for offer in offers:
        score = _score(offer, ranges, preferred=offer.name == default)
        if score > best_score:
            best, best_score = offer.name, score
    return best


def _parse(member: bytes) -> _Range | None:
    """Return one member of the list, or None where it is malformed. Parameters other than q are ignored."""
    found = _RANGE.fullmatch(member)
    if found is None:
        return None
    weight = 1.0
    for parameter in found[3].split(b";"):
        key, _, value = parameter.strip().partition(b"=")
        if key.lower() == b"q":
            if not _WEIGHT.fullmatch(value):
                return None
            weight = float(value)
            break
    return _Range(found[1].lower(), found[2].lower(), weight)


def _score(offer: Offer, ranges: list[_Range], *, preferred: bool) -> tuple[float, int]:
    """Return (quality, how closely it was named): the most specific range that fits decides (RFC 9110 12.5.1)."""
    kind, _, subtype = offer.media_type.partition(b"/")
    closest, weight = -1, 0.0
    for candidate in ranges:
        if candidate.kind == kind and candidate.subtype == subtype:
            near = 4
        elif candidate.subtype != b"*" or offer.outright or candidate.kind not in (kind, b"*"):
            continue
        else:
            near = (2 if candidate.kind == kind else 0) + preferred
        if near > closest:
            closest, weight = near, candidate.weight
    return weight, closest if weight else 0
