"""Owns the words, tones and signs by which the dashboard tells states and causes: a colour never stands alone."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..diagnose.catalogue import catalogue
from ..render import incident as words

COLOURS: Final = 10
"""Colours of causes there are in dashboard.css (.k0 to .k9); the last one stands for all others."""


class State(NamedTuple):
    """How a state of a server is shown."""

    tone: str
    icon: str
    label: str
    meaning: str
    order: int  # the worst first


STATES: Final[Mapping[str, State]] = {
    "down": State("bad", "cross", "down", "its checks fail: it gets no requests", 0),
    "ejected": State("bad", "eject", "ejected", "too much of its traffic failed: it gets no requests for a while", 1),
    "draining": State("mid", "drain", "draining", "nothing new: only clients bound to it", 2),
    "maintenance": State("mid", "wrench", "maintenance", "taken out: it gets no requests", 3),
    "unchecked": State("soft", "question", "not checked yet", "it gets requests; no verdict of its checks yet", 4),
    "up": State("good", "check", "up", "it gets requests", 5),
}
_UNKNOWN: Final = State("soft", "question", "unknown", "", 4)


def state(name: str) -> State:
    """Return how a state is shown, also one that is not known."""
    return STATES.get(name, _UNKNOWN)


def counted_rows(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return causes with their counts and titles, the most frequent first, and each one's share of the largest."""
    most = max(counts.values(), default=0)
    rows = []
    for code, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        cause = catalogue().get(code)
        rows.append({"code": code, "title": cause.title if cause else code, "count": count, "share": round(100 * count / most)})
    return rows


def row(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return an incident as a list shows it."""
    seen = one["severity"] == "seen"
    return {
        **one, "title": words.title(one), "where": words.where(one), "impact": words.impact(one),
        "clients_said": words.clients(one),
        "lasting": words.lasting(one), "is_open": one["state"] == "open", "is_seen": seen,
        "tone": ("bad" if seen else "mid") if one["state"] == "open" else "soft",
    }  # fmt: skip
