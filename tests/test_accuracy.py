"""The doctor is right about what real gateways showed and logged: the numbers that docs/accuracy.md publishes hold here too."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from headgate.lab.capture import Capture, load

ROOT = Path(__file__).parent.parent
KINDS = ("nginx", "haproxy", "apache", "envoy", "caddy", "traefik", "varnish", "squid")
REACHED = 0.95
LEAST_KINDS_OF_FAILURE = 12


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy", ROOT / "benchmarks" / "accuracy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def captures() -> list[Capture]:
    return load(ROOT / "tests" / "fixtures" / "gateways")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["page", "log"])
def test_of_each_gateway(accuracy: ModuleType, captures: list[Capture], tmp_path: Path, kind: str, way: str) -> None:
    mine = [one for one in captures if one.kind == kind]
    cases = accuracy.by_page(mine) if way == "page" else accuracy.by_log(mine, tmp_path)
    wrong = "\n".join(accuracy.misses(cases))
    assert len({case.scenario for case in cases}) >= LEAST_KINDS_OF_FAILURE
    assert not [case for case in cases if case.false_proof], wrong
    assert sum(case.within for case in cases) >= REACHED * len(cases), wrong
    assert sum(case.named for case in cases) >= len(cases) - (1 if kind == "caddy" else 0), wrong  # a 504 of Caddy is unsigned
