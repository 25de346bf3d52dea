"""Autopsies of the lab's faulty servers: whatever a probe from outside can see is named as traffic names it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.config.schema import Config
from headgate.diagnose.catalogue import catalogue
from headgate.lab import network
from headgate.lab.gateways import headgate
from headgate.lab.laboratory import Lab, start_lab
from headgate.lab.scenario import Scenario, load_scenarios
from headgate.lab.settings import Setting
from headgate.lab.unseen import unseen
from headgate.net.resolve import Resolver
from headgate.probe.autopsy import autopsy
from headgate.wire.limits import WireLimits

SCENARIOS = {name: one for name, one in load_scenarios().items() if one.expect.causes}
AT_ONCE = 6
UNSEEN = unseen(SCENARIOS)
ENCLOSED = [name for name, one in SCENARIOS.items() if one.needs == "netns" and name not in UNSEEN]
AS_ANOTHER = [name for name, one in SCENARIOS.items() if one.place == "unix-forbidden"]
VISIBLE = [name for name in SCENARIOS if name not in UNSEEN and name not in ENCLOSED and name not in AS_ANOTHER]


async def examine(lab: Lab, scenario: Scenario, folder: Path, seconds: float = 4.0) -> dict[str, Any]:
    """Examine a scenario's server as the gateway of the lab is told to use it."""
    setting = Setting(lab.layout, (scenario,), 1, folder)  # no gateway listens: only its configuration is of interest
    config = Config.model_validate(tomllib.loads(headgate(setting)))
    upstream = config.upstream[scenario.name]
    resolver = Resolver(config.gateway.dns)
    failure = {"cause": scenario.expect.causes[0], "sentence": "as traffic saw it", "upstream": scenario.name}
    limits = WireLimits.of(config.gateway.limits)
    try:
        return await autopsy(upstream.servers[0], upstream, failure, resolver, seconds=seconds, limits=limits)
    finally:
        resolver.close()


async def examine_all(names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    lab = await start_lab(load_scenarios(), folder, base=0)
    gate = asyncio.Semaphore(AT_ONCE)
    found: dict[str, dict[str, Any]] = {}

    async def one(name: str) -> None:
        async with gate:
            found[name] = await examine(lab, SCENARIOS[name], folder)

    async def again(name: str) -> None:
        """A machine that is busy with other things makes quick servers look slow: alone, a second time."""
        await lab.players[name].reset()
        found[name] = await examine(lab, SCENARIOS[name], folder)

    try:
        await asyncio.gather(*map(one, names))
        for name in names:
            if found[name]["cause"] not in SCENARIOS[name].expect.causes:
                await again(name)
        return found
    finally:
        await lab.stop()


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return asyncio.run(examine_all([name for name in VISIBLE if name != "network-unreachable"], tmp_path_factory.mktemp("lab")))


def test_what_a_probe_can_see_is_named_as_traffic_names_it(examined: dict[str, dict[str, Any]]) -> None:
    """At least 95 of 100; the table of the others stands in the message."""
    wrong = {
        name: (one["cause"], one["verdict"])
        for name, one in examined.items()
        if one["cause"] not in SCENARIOS[name].expect.causes
    }
    assert len(examined) > 75
    assert len(wrong) <= 0.05 * len(examined), json.dumps(wrong, indent=1)


def test_each_verdict_is_whole(examined: dict[str, dict[str, Any]]) -> None:
    for name, one in examined.items():
        if one["cause"] not in SCENARIOS[name].expect.causes:
            continue
        assert one["agrees"] is True, name
        assert one["cause"] in catalogue(), name
        assert not one["healthy"], name
        assert one["confidence"] in ("proved", "likely"), name
        assert one["evidence"], name
        assert 1 <= len(one["actions"]) <= 3, name
        assert len(one["verdict"]) <= 500, name
        assert json.loads(json.dumps(one)) == one, name


def test_the_exceptions_are_scenarios(examined: dict[str, dict[str, Any]]) -> None:
    assert set(UNSEEN) <= set(SCENARIOS)
    assert all(UNSEEN.values())


def test_a_server_that_is_well_is_said_to_be_so(tmp_path: Path) -> None:
    async def run() -> dict[str, dict[str, Any]]:
        lab = await start_lab(load_scenarios(), tmp_path, base=0)
        try:
            return {
                name: await examine(lab, SCENARIOS[name], tmp_path)
                for name in ("closed-on-reuse", "request-denied", "no-healthy-server")
            }
        finally:
            await lab.stop()

    found = asyncio.run(run())
    assert all(one["healthy"] and one["cause"] == "" and one["agrees"] is None for one in found.values())
    assert "kept connection" in found["closed-on-reuse"]["verdict"]
    assert "not the server's doing" in found["request-denied"]["verdict"]
    assert "works again: 200 OK" in found["no-healthy-server"]["verdict"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may pass."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.parametrize("name", AS_ANOTHER)
def test_a_socket_of_somebody_else(name: str, open_folder: Path) -> None:
    async def run() -> dict[str, Any]:
        lab = await start_lab({name: SCENARIOS[name]}, open_folder, base=0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65_534)  # nobody: for root no door is closed
            return await examine(lab, SCENARIOS[name], open_folder)
        finally:
            os.seteuid(user)
            await lab.stop()

    found = asyncio.run(run())
    assert found["cause"] == "socket-forbidden", found
    assert any("mode s---------" in line for line in found["evidence"]), found["evidence"]
    assert "writable for the group" in found["actions"][0]["text"]


PLAY = """
import asyncio, contextlib, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_autopsy_lab as here
from headgate.lab import network
from headgate.lab.places import no_ports_left

async def main(names, folder):
    network.furnish()
    lab = await here.start_lab(here.load_scenarios(), folder, base=0)
    causes = {}
    for name in names:
        full = here.SCENARIOS[name].place == "ports-exhausted"
        with no_ports_left(lab.layout, name) if full else contextlib.nullcontext():
            causes[name] = (await here.examine(lab, here.SCENARIOS[name], folder))["cause"]
    await lab.stop()
    print(json.dumps(causes))

asyncio.run(main(sys.argv[3:], Path(sys.argv[2])))
"""


def test_routes_and_ports_that_are_missing(tmp_path: Path) -> None:
    """In a network namespace of its own, as the lab plays them."""
    prefix = network.command()
    if prefix is None:
        pytest.skip("no network namespace can be made here")
    names = [*ENCLOSED, "network-unreachable"]
    words = [*prefix, sys.executable, "-c", PLAY, str(Path(__file__).parent), str(tmp_path), *names]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    causes = json.loads(done.stdout)
    assert all(causes[name] in SCENARIOS[name].expect.causes for name in names), causes
