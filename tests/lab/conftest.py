"""Labs for the tests: one running in a thread, one scenario made on the spot."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate.lab.laboratory import Lab, start_lab
from headgate.lab.scenario import Scenario, parse_scenario

MINIMAL = """
title = "t"
why = "w"
group = "head"
expect = { status = 502 }
"""


@pytest.fixture
def scenario() -> Callable[[str], Scenario]:
    """Make a scenario from the lines that matter."""

    def make(lines: str, name: str = "mine") -> Scenario:
        text = MINIMAL if "expect" not in lines else MINIMAL.replace("expect = { status = 502 }\n", "")
        return parse_scenario(name, text + lines)

    return make


class LabInThread:
    """A lab with an event loop of its own, so that a test may use blocking sockets."""

    def __init__(self, scenarios: dict[str, Scenario], folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.lab: Lab = self.run(start_lab(scenarios, folder, base=0))

    def run(self, work):  # type: ignore[no-untyped-def]
        """Run a coroutine on the lab's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def stop(self) -> None:
        self.run(self.lab.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def lab_of(tmp_path: Path) -> Iterator[Callable[..., LabInThread]]:
    """Start labs of the given scenarios, stop them afterwards."""
    running: list[LabInThread] = []

    def start(*scenarios: Scenario) -> LabInThread:
        running.append(LabInThread({s.name: s for s in scenarios}, tmp_path))
        return running[-1]

    yield start
    for one in running:
        one.stop()
