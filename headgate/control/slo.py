"""Owns error budgets as metrics: looked at once a minute, beside everything else, and only while somebody scrapes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..config.schema import Config
from ..incidents.archive import Archive, Unreadable
from ..incidents.budget import budgets
from ..incidents.history import History
from .sheet import Labels, Sheet

if TYPE_CHECKING:
    from .process import Control

_EVERY: Final = 60.0


class Budgets:
    """The error budgets of a gateway's routes, as they were at most a minute or two ago."""

    def __init__(self, control: "Control") -> None:
        self._control = control
        self._looked = -_EVERY
        self._found: Sequence[Mapping[str, Any]] = ()
        self._looking = False

    async def look(self) -> None:
        """Look at them where it is time; while somebody else does, what was seen before is good enough."""
        if self._looking or time.monotonic() - self._looked < _EVERY:
            return
        self._looking = True
        try:
            self._control.desk.traffic.write(time.time())
            config, path = self._control.reloading.agreed.config, self._control.desk.store.path
            self._found = await asyncio.to_thread(_budgets, path, config, time.time())
        finally:
            self._looked, self._looking = time.monotonic(), False

    def add(self, sheet: Sheet) -> None:
        """Add them to a scrape."""
        left: dict[Labels, float] = {(one["route"],): 1 - one["spent"] for one in self._found}
        burn: dict[Labels, float] = {
            (one["route"], window): rate for one in self._found for window, rate in one["burn"].items() if rate is not None
        }
        target: dict[Labels, float] = {(one["route"],): one["target"] for one in self._found}
        sheet.gauge(
            "slo_budget_remaining", "Share of the error budget that is left; negative when more went wrong than was promised.",
            left, ("route",), summed=False,
        )  # fmt: skip
        sheet.gauge(
            "slo_burn_rate", "How many times faster than promised the error budget is used; 1 uses it up in its window.",
            burn, ("route", "window"), summed=False,
        )  # fmt: skip
        sheet.gauge("slo_target", "Share of requests that have to go well.", target, ("route",), summed=False)


def _budgets(path: Path, config: Config, now: float) -> list[dict[str, Any]]:
    try:
        with Archive(path) as archive:
            return budgets(History(archive), config, now)
    except Unreadable:
        return []
