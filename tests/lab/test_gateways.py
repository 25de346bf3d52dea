"""The configurations that the lab writes are accepted by the programs they are for."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from headgate.config.load import load
from headgate.lab.certificates import Certificates
from headgate.lab.gateways import KINDS, merge, suits, toml, write
from headgate.lab.layout import Layout
from headgate.lab.processes import binary
from headgate.lab.scenario import load_scenarios
from headgate.lab.settings import Setting

SCENARIOS = load_scenarios()


def setting(folder: Path, kind: str) -> Setting:
    Certificates(folder)
    shared = tuple(s for s in SCENARIOS.values() if suits(s, kind) and not s.alone)
    return Setting(Layout(SCENARIOS, 21_000, folder), shared, 28_080, folder)


def test_headgate_accepts_all_routes(tmp_path: Path) -> None:
    written = write("headgate", setting(tmp_path, "headgate"), tmp_path)
    config = load(str(written.path))
    assert {route.path for route in config.route} == {f"/{name}" for name, s in SCENARIOS.items() if not s.alone}


@pytest.mark.parametrize("name", [name for name, s in SCENARIOS.items() if s.alone])
def test_headgate_accepts_each_that_is_alone(tmp_path: Path, name: str) -> None:
    layout = Layout(SCENARIOS, 21_000, tmp_path)
    written = write("headgate", Setting(layout, (SCENARIOS[name],), 28_080, tmp_path), tmp_path)
    assert len(load(str(written.path)).route) == 1


CHECKS = {
    "nginx": lambda program, path: [program, "-t", "-e", f"{path.parent}/error.log", "-p", str(path.parent), "-c", str(path)],
    "haproxy": lambda program, path: [program, "-c", "-f", str(path)],
    "envoy": lambda program, path: [program, "--mode", "validate", "-c", str(path), "--log-level", "error"],
}
"""How each program checks a configuration."""


@pytest.mark.parametrize("kind", CHECKS)
def test_peers_accept_theirs(kind: str) -> None:
    program = binary(kind)
    if program is None:
        pytest.skip(f"{kind} is not installed")
    with tempfile.TemporaryDirectory(prefix="hg-") as name:  # a short one: paths of sockets have 107 bytes at most
        written = write(kind, setting(Path(name), kind), Path(name))
        done = subprocess.run(CHECKS[kind](program, written.path), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kind_has_every_route_that_suits_it(tmp_path: Path) -> None:
    for kind, make in KINDS.items():
        text = make(setting(tmp_path, kind))
        for scenario in SCENARIOS.values():
            if suits(scenario, kind) and not scenario.alone:
                assert scenario.name in text, (kind, scenario.name)


def test_envoy_gets_json(tmp_path: Path) -> None:
    assert json.loads(KINDS["envoy"](setting(tmp_path, "envoy")))["static_resources"]["clusters"]


def test_headgate_has_one_worker_unless_a_scenario_wants_more(tmp_path: Path) -> None:
    written = write("headgate", setting(tmp_path, "headgate"), tmp_path)
    assert load(str(written.path)).gateway.workers == 1


def test_merge_goes_table_by_table() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": 5}) == {"a": {"b": 1, "c": 4}, "d": 3, "e": 5}


def test_toml_values() -> None:
    assert toml({"a": [1, 'x"y'], "b": True, "c": 0.5}) == '{ a = [1, "x\\"y"], b = true, c = 0.5 }'
