"""The desired state: which configuration, and how the servers stand. What may change while serving, and what needs an upgrade."""

import time
from collections.abc import Mapping
from typing import Any

from ..config.findings import BadConfig
from ..config.load import from_data, read
from ..config.schema import Config
from ..traffic.gaugenames import gauge_names
from ..traffic.shared import Gauges
from .standing import Standings

FIXED = ("listen", "workers", "admin", "secret")
"""Keys of [gateway] that are settled when the gateway starts."""


class NotApplied(Exception):
    """A configuration cannot take the place of the present one. The message says why; nothing has changed."""


class Desired:
    """What all processes should do, with a version that grows."""

    def __init__(self, version: int, data: Mapping[str, Any], folder: str, config: Config, numbers: Mapping[str, int]) -> None:
        """data, folder: what `from_data` makes the config of. numbers: of the gauges."""
        self.version = version
        self.data = data
        self.folder = folder
        self.config = config
        self.numbers = dict(numbers)
        self.standings = Standings(config, time.time())

    @staticmethod
    def of(state: Mapping[str, Any]) -> "Desired":
        """Return what a state says. Raises KeyError, TypeError or ValueError for what is none."""
        config = from_data(state["data"], state["folder"])
        desired = Desired(int(state["version"]), state["data"], state["folder"], config, state["gauges"])
        desired.standings.restore(state["servers"])
        return desired

    def state(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "version": self.version, "data": self.data, "folder": self.folder, "gauges": self.numbers,
            "servers": self.standings.snapshot(),
        }  # fmt: skip

    def read(self, path: str, gauges: Gauges) -> "Desired":
        """Return the desired state that a file asks for instead of this one. Raises NotApplied."""
        try:
            loaded = read(path)
        except BadConfig as problem:
            raise NotApplied(str(problem)) from None
        _check_fixed(self.config, loaded.config)
        try:
            numbers = gauges.assign(gauge_names(loaded.config))
        except ValueError as problem:
            raise NotApplied(f"too many limits: {problem}") from None
        found = Desired(self.version + 1, loaded.data, loaded.folder, loaded.config, numbers)
        found.standings = self.followed_by(loaded.config)
        return found

    def followed_by(self, config: Config) -> Standings:
        """Return how the servers of another configuration stand, as far as this one knows."""
        standings = Standings(config, time.time())
        standings.inherit(self.standings, self.config, config)
        return standings

    def again(self, version: int) -> "Desired":
        """Return the same with a higher version, after another was tried in vain. The standings are shared."""
        found = Desired(version, self.data, self.folder, self.config, self.numbers)
        found.standings = self.standings
        return found


def _check_fixed(old: Config, new: Config) -> None:
    """Raise NotApplied when something changed that only a new process can do."""
    before, after = old.gateway, new.gateway
    changed = [key for key in FIXED if getattr(before, key) != getattr(after, key)]
    if (before.tls is None) != (after.tls is None):
        changed.append("tls")
    if changed:
        keys = " and ".join(f"gateway.{key}" for key in changed)
        raise NotApplied(f"{keys} changed, which a reload cannot apply: `headgate upgrade` does, without losing a connection")
