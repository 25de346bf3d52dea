"""Incidents of a running gateway name what the lab did: the numbers that docs/accuracy.md publishes hold here too."""

import asyncio
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
REACHED = 0.95
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    spec = importlib.util.spec_from_file_location("incidents", ROOT / "benchmarks" / "incidents.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["incidents"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    before = os.environ.get("HEADGATE_RUN")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            found: list[Any] = asyncio.run(module.measure(Path(folder)))
        finally:
            os.environ.pop("HEADGATE_RUN")
            if before is not None:
                os.environ["HEADGATE_RUN"] = before
    return found


def test_each_failure_becomes_an_incident(rows: list[Any]) -> None:
    assert len(rows) > 95
    assert [row.scenario for row in rows if not row.id] == []


def test_their_causes_are_the_true_ones(rows: list[Any]) -> None:
    wrong = [(row.scenario, row.truth, row.causes) for row in rows if not row.right]
    assert len(wrong) <= (1 - REACHED) * len(rows), wrong


def test_looks_agree_with_them(rows: list[Any]) -> None:
    visible = [row for row in rows if row.visible]
    wrong = [(row.scenario, row.truth, row.looked, row.verdict) for row in visible if not row.seen]
    assert len(visible) > 70
    assert len(wrong) <= (1 - REACHED) * len(visible), wrong
