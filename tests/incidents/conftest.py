"""Reports of workers, as the tests of incidents make them."""

from collections.abc import Callable
from typing import Any

import pytest

Report = Callable[..., dict[str, Any]]


def make_group(cause: str = "connection-refused", server: str = "a:1", **more: Any) -> dict[str, Any]:
    count = more.get("count", 1)
    phase = {"no-healthy-server": "admit", "response-timeout": "head"}.get(cause, "connect")
    group = {"upstream": "shop", "server": server, "cause": cause, "phase": phase, "count": count, "seen": count, "rescued": 0}
    return {**group, "routes": {"/": count}, "clients": [], "samples": [], **more}


def make_report(at: float, *groups: dict[str, Any]) -> dict[str, Any]:
    return {"at": at, "dropped": 0, "groups": list(groups)}


@pytest.fixture(scope="session")
def group() -> Callable[..., dict[str, Any]]:
    """One group of a report."""
    return make_group


@pytest.fixture(scope="session")
def report() -> Report:
    """A report with groups."""
    return make_report
