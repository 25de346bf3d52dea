"""The whole lab, played through real `headgate serve` processes: one test for each scenario."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.lab import network
from headgate.lab.laboratory import start_lab
from headgate.lab.scenario import load_scenarios
from headgate.lab.score import Result
from headgate.lab.session import score_kind

SCENARIOS = load_scenarios()
SHARED = [name for name, scenario in SCENARIOS.items() if scenario.needs != "netns"]
ENCLOSED = [name for name, scenario in SCENARIOS.items() if scenario.needs == "netns"]


async def play_all(names: list[str], folder: Path) -> dict[str, Result]:
    lab = await start_lab(SCENARIOS, folder, base=0)
    try:
        results = await score_kind(lab.layout, "headgate", names, folder / "headgate")
        return {result.scenario.name: result for result in results}
    finally:
        await lab.stop()


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """All scenarios that were asked for, played side by side."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    names = [name for name in SHARED if any(params.get("shared") == name for params in calls)]
    return asyncio.run(play_all(names, tmp_path_factory.mktemp("lab")))


def story(result: Result) -> str:
    return json.dumps(result.summary() | {"record": result.record}, indent=1)


@pytest.mark.parametrize("shared", SHARED)
def test_scenario(shared: str, played: dict[str, Result]) -> None:
    result = played[shared]
    expect = result.scenario.expect
    if result.verdict == "skipped":
        pytest.skip(result.reason)
    assert result.verdict == "right", story(result)
    assert result.cause_right is not False, story(result)
    if expect.causes:
        assert result.cause in expect.causes, story(result)
    if expect.tries is not None:
        assert result.tries == expect.tries, story(result)


@pytest.mark.parametrize("enclosed", ENCLOSED)
def test_scenario_in_a_namespace(enclosed: str) -> None:
    prefix = network.command()
    if prefix is None:
        pytest.skip("not possible here: no network namespace of our own")
    done = subprocess.run(
        [sys.executable, "-m", "headgate", "lab", "play", enclosed, "--json"],
        capture_output=True, text=True, timeout=40, check=False, env=os.environ | {"PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert done.stdout.startswith("{"), done.stderr
    summary = json.loads(done.stdout)
    assert (summary["verdict"], summary["cause_right"]) == ("right", True), done.stdout


def test_no_scenario_is_left_out() -> None:
    assert sorted(SHARED + ENCLOSED) == sorted(SCENARIOS)
