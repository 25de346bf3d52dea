"""The report of `headgate diagnose`: the verdict, the way with the hop that failed, and the timeline of each look's phases."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..diagnose.catalogue import catalogue
from ..diagnose.sentence import duration
from .page import render

PHASES: Final = (
    ("resolve", "#6d28d9"), ("connect", "#b45309"), ("tls", "#0e7490"), ("send", "#4d7c0f"), ("wait", "#1d4ed8"),
    ("head", "#a21caf"), ("body", "#475569"),
)  # fmt: skip
"""Phases of a look and their colours; "wait" is the time until the first byte."""
_PLAIN: Final = "#8a837b"
_TONES: Final = {"up": "good", "partly": "mid", "failing": "bad", "unreachable": "bad", "unknown": "soft"}


def page(document: Mapping[str, Any]) -> str:
    """Return the report as one HTML file.

    document: what `headgate diagnose --json` prints: model.diagnosis.Diagnosis.as_json() and "looks".
    """
    looks: Sequence[Mapping[str, Any]] = document.get("looks", ())
    total = max((_length(look) for look in looks), default=0.0) or 1.0
    titles = {code: cause.title for code, cause in catalogue().items()}
    return render("diagnosis.html", {
        **document, "tone": _TONES[document["outcome"]], "titles": titles, "phases": PHASES,
        "rows": [_row(look, total) for look in looks], "total": duration(total),
    })  # fmt: skip


def _length(look: Mapping[str, Any]) -> float:
    """Return the milliseconds that a look's bar stands for."""
    ends: list[float] = [end for _, end in look["phases"]]
    return max(ends, default=float(look["took_ms"]))


def _row(look: Mapping[str, Any], total: float) -> dict[str, Any]:
    mark, tone = {True: ("✓", "good"), False: ("✕", "bad"), None: ("·", "soft")}[look["ok"]]
    return {
        "label": look["label"], "text": look["text"], "mark": mark, "tone": tone, "spans": _spans(look, total),
        "at": f"from {duration(look['at_ms'])}, for {duration(look['took_ms'])}",
    }  # fmt: skip


def _spans(look: Mapping[str, Any], total: float) -> list[dict[str, Any]]:
    """Return the bars of a look: one for each phase, or one for the whole."""
    colours = dict(PHASES)
    spans, before = [], 0.0
    for name, end in look["phases"]:
        if end > before:
            spans.append(_span(name, before, end - before, total, colours.get(name, _PLAIN)))
            before = end
    if not spans and look["took_ms"] > 0:
        spans.append(_span(look["kind"], 0.0, look["took_ms"], total, _PLAIN))
    return spans


def _span(name: str, begin: float, length: float, total: float, colour: str) -> dict[str, Any]:
    left = min(100.0, 100 * begin / total)
    return {
        "left": f"{left:.2f}", "width": f"{min(100 - left, 100 * length / total):.2f}", "colour": colour,
        "title": f"{name}: {duration(length)}",
    }  # fmt: skip
