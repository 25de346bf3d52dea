"""(phase, signal, facts) → Cause: the only way to a cause. The table is `knowledge/classification.toml`, first fit wins."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ..model.cause import Cause
from ..model.phases import PHASES
from ..model.signals import SIGNALS
from .catalogue import catalogue

Row = tuple[tuple[tuple[str, tuple[Any, ...]], ...], Cause]
"""What the facts must say, as (key, allowed values), and the cause that follows."""


class BadRow(ValueError):
    """A row of the classification is not valid. The message names the row and what was expected."""


def classify(phase: int, signal: str, facts: Mapping[str, Any] | None) -> Cause:
    """Return the cause for a symptom.

    phase: a number of model.phases; signal: one of model.signals; facts: the evidence, or None.
    A pair that no row foresees is an error of ours, and is answered as such: `gateway-error`.
    """
    for wanted, cause in table().get((phase, signal), ()):
        if not wanted:
            return cause
        if facts is not None and all(facts.get(key) in allowed for key, allowed in wanted):
            return cause
    return catalogue()["gateway-error"]


@cache
def table() -> Mapping[tuple[int, str], list[Row]]:
    """Return the rows by (phase, signal), in file order. Raises BadRow."""
    text = (files("headgate") / "knowledge" / "classification.toml").read_text(encoding="utf-8")
    rows: dict[tuple[int, str], list[Row]] = {}
    for number, row in enumerate(tomllib.loads(text)["row"], start=1):
        cause = catalogue().get(row["cause"])
        if cause is None:
            raise BadRow(f"classification.toml, row {number}: no cause is called {row['cause']!r}")
        wanted = tuple((key, tuple(v) if isinstance(v, list) else (v,)) for key, v in row.get("facts", {}).items())
        for phase in _phases(number, row["phase"]):
            for signal in _signals(number, row["signal"]):
                rows.setdefault((phase, signal), []).append((wanted, cause))
    return rows


def _phases(number: int, text: str) -> list[int]:
    names = PHASES if text == "any" else text.split("|")
    try:
        return [PHASES.index(name) for name in names]
    except ValueError:
        raise BadRow(f"classification.toml, row {number}: phase {text!r}, expected some of {', '.join(PHASES)}") from None


def _signals(number: int, value: str | list[str]) -> list[str]:
    signals = [value] if isinstance(value, str) else value
    for signal in signals:
        if signal not in SIGNALS:
            raise BadRow(f"classification.toml, row {number}: no signal is called {signal!r}")
    return signals
