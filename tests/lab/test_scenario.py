"""Scenario files: all of ours are valid, and a typo in one is told in one clear sentence."""

from pathlib import Path

import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.lab.scenario import VERBS, BadScenario, load_scenarios, parse_scenario

UNPLAYED = {
    "gateway-error": "an error in Headgate itself: nothing that a server or client sends may cause it",
    "memory-exhausted": "the kernel would have to run out of memory for everybody on the machine",
}
"""Causes without a scenario, and why."""

GOOD = """
title = "t"
why = "w"
group = "body"
upstream = [[{ read = "head" }, { close = true }]]
expect = { status = 502 }
"""


def test_all_built_in_scenarios_are_valid_and_plenty() -> None:
    assert len(load_scenarios()) >= 85


def test_every_cause_has_a_scenario() -> None:
    played = {cause for scenario in load_scenarios().values() for cause in scenario.expect.causes}
    assert {code for code, cause in catalogue().items() if not cause.elsewhere} - played == set(UNPLAYED)
    assert played <= set(catalogue())


@pytest.mark.parametrize("scenario", load_scenarios().values(), ids=lambda s: s.name)
def test_expectations_fit_the_catalogue(scenario) -> None:  # type: ignore[no-untyped-def]
    expect = scenario.expect
    if expect.causes and not expect.cut and len(expect.statuses) == 1 and expect.status not in (0, 200):
        assert {catalogue()[cause].status for cause in expect.causes} <= {*expect.statuses, *expect.also}


def test_enough_scenarios_are_healthy() -> None:
    served = [s for s in load_scenarios().values() if not s.expect.cut and s.expect.statuses[-1] in (101, 200, 204, 304)]
    assert len(served) >= 25


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('why = "w"', 'wy = "w"', "mine.toml: wy: no such key; did you mean 'why'?"),
        ('why = "w"', "", "mine.toml: why: this key is needed, and is not there"),
        ('why = "w"', 'why = "w"\nshceme = "https"', "mine.toml: shceme: no such key; did you mean 'scheme'?"),
        ("{ close = true }", "{ clsoe = true }", "mine.toml: upstream.0.1.clsoe: no such key; did you mean 'close'?"),
        ("{ close = true }", '{ read = "haed" }', "mine.toml: upstream.0.1.read: 'haed', expected"),
        ("{ close = true }", "{ }", "mine.toml: upstream.0.1: a step has exactly one verb, this one has none"),
        ("{ close = true }", "{ wait = 1, reset = true }", "this one has wait and reset"),
        ("{ close = true }", "{ repeat = 3 }", "repeat and steps belong together"),
        ("{ close = true }", "{ wait = 500 }", "mine.toml: upstream.0.1.wait: 500, expected less than or equal to 20"),
        ('group = "body"', 'group = "bdoy"', "did you mean 'body'?"),
        ("{ status = 502 }", "{ status = 502, cuase = 'x' }", "mine.toml: expect.cuase: no such key; did you mean 'cause'?"),
        ("{ status = 502 }", "{ status = [502, 502] }", "expected one status for each of the 1 requests, not 2"),
        ("{ close = true }", "{ close = true }, []", "mine.toml: upstream.0.2"),
        ("group", "= group", "mine.toml: not valid TOML"),
        ('upstream = [[{ read = "head" }, { close = true }]]', "", "mine.toml: upstream: expected a list of connections"),
        ('why = "w"', 'why = "w"\ngateway = { upstraem = {} }', "gateway.upstraem: no such key; did you mean 'upstream'?"),
    ],
)
def test_a_mistake_is_one_clear_sentence(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(BadScenario) as caught:
        parse_scenario("mine", GOOD.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    assert list(load_scenarios(tmp_path)) == ["mine"]


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="no scenario files"):
        load_scenarios(tmp_path)


def test_every_verb_is_used_or_tested() -> None:
    text = Path(__file__).with_name("test_player.py").read_text()
    for verb in VERBS:
        assert f"{verb} = " in text, f"no test plays the verb {verb}"
