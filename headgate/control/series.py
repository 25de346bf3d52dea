"""Owns what the charts of the dashboard get: requests, and failures that users saw by cause, in steps that fit the time shown."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..diagnose.catalogue import catalogue

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "15m": (900, 10), "1h": (3600, 60), "6h": (21_600, 300), "24h": (86_400, 1200), "7d": (604_800, 7200),
}  # fmt: skip
"""What can be chosen: seconds shown, and seconds of one step."""
_COLOURS: Final = 9
"""Causes told apart; all others are one."""
_OTHERS: Final = "other causes"
_FRESH: Final = 1.0
"""Seconds for which the same answer is given again."""


class Series:
    """The counts over time, made at most once a second for all who look."""

    def __init__(self, history: Callable[[], Any]) -> None:
        """history: returns what knows them (its method `series`), None where nothing does."""
        self._history = history
        self._made: dict[str, tuple[float, bytes]] = {}

    def told(self, name: str, now: float) -> bytes:
        """Return the counts of a range as JSON. now: wall-clock seconds."""
        made = self._made.get(name)
        if made is None or not 0 <= now - made[0] < _FRESH:
            made = self._made[name] = (now, json.dumps(self._series(name, now)).encode())
        return made[1]

    def _series(self, name: str, now: float) -> dict[str, Any]:
        length, step = RANGES[name]
        until = math.ceil(now / step) * step
        history = self._history()
        if history is None:
            return {"at": [], "step": step, "requests": [], "rescued": [], "causes": []}
        found = history.series(until - length, until, step)
        return {
            "at": [int(at) for at in found["at"]], "step": found.get("step", step),
            "requests": found["requests"], "rescued": found["rescued"],
            "causes": _ranked(found["failures"], len(found["at"])),
        }  # fmt: skip


def _ranked(failures: Mapping[str, list[int]], points: int) -> list[dict[str, Any]]:
    """Return causes, the most frequent first; beyond nine they are one."""
    ranked = sorted(((code, values) for code, values in failures.items() if any(values)), key=lambda pair: -sum(pair[1]))
    causes = [{"code": code, "title": _title(code), "values": values} for code, values in ranked[:_COLOURS]]
    rest = [values for _, values in ranked[_COLOURS:]]
    if rest:
        causes.append({"code": "", "title": _OTHERS, "values": [sum(one[at] for one in rest) for at in range(points)]})
    return causes


def _title(code: str) -> str:
    cause = catalogue().get(code)
    return cause.title if cause is not None else code
