"""The judge: what counts as right, different, or broken."""

import asyncio
import json
from pathlib import Path

import pytest

from headgate.lab.client import Sighting
from headgate.lab.laboratory import LabError
from headgate.lab.layout import Layout
from headgate.lab.scenario import load_scenarios
from headgate.lab.score import Result, Target, _find, judge, obstacle, score


def verdict(scenario, expect: str, *seen: Sighting, lines: str = "", **facts: object) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    result = Result(scenario(f"expect = {{ {expect} }}\nplace = 'closed'\n{lines}"), sightings=list(seen))
    for key, value in facts.items():
        setattr(result, key, value)
    judge(result)
    return result.verdict, result.reason


def saw(status: int, ended: str = "complete", **more: object) -> Sighting:
    return Sighting("t", status, ended, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expect", "seen", "wanted"),
    [
        ("status = 502", saw(502), "right"),
        ("status = 502", saw(503), "differs"),
        ("status = 502, also = [503]", saw(503), "right"),
        ("status = 502", saw(500), "broken"),
        ("status = 502", saw(200), "broken"),
        ("status = 502, tolerated = [200]", saw(200), "differs"),
        ("status = 502", saw(0, "nothing"), "broken"),
        ("status = 408, tolerated = [0]", saw(0, "nothing"), "differs"),
        ("status = 502", saw(0, "hang"), "broken"),
        ("status = 502", saw(0, "garbled"), "broken"),
        ("status = 200", saw(200, "cut"), "broken"),
        ("status = 200", saw(502), "differs"),
        ("status = 200, cut = true", saw(200, "cut"), "right"),
        ("status = 200, cut = true", saw(200), "broken"),
        ("status = 200, cut = true", saw(502), "right"),
        ("status = 200, cut = true", saw(504), "right"),
        ("status = 200, cut = true", saw(206, "cut"), "differs"),
        ("status = 0", saw(0, "left"), "right"),
        ("status = 0", saw(200), "differs"),
        ("status = 200, body = 'a'", saw(200, body=b"a"), "right"),
        ("status = 200, body = 'a'", saw(200, body=b"b"), "broken"),
        ("status = 200, interim = [103]", saw(200, interim=[103]), "right"),
        ("status = 200, interim = [103]", saw(200), "differs"),
        ("status = 200, trailer = 'X: 1'", saw(200, trailers=["x: 1"]), "right"),
        ("status = 200, trailer = 'X: 1'", saw(200), "differs"),
        ("status = 400, closed = true", saw(400, closed=True), "right"),
        ("status = 400, closed = true", saw(400), "differs"),
    ],
)
def test_verdicts(scenario, expect: str, seen: Sighting, wanted: str) -> None:  # type: ignore[no-untyped-def]
    found, reason = verdict(scenario, expect, seen)
    assert found == wanted
    assert bool(reason) == (wanted != "right")


def test_executed_twice_is_broken_and_too_seldom_differs(scenario) -> None:  # type: ignore[no-untyped-def]
    assert verdict(scenario, "status = 502, executed = 1", saw(502), executed=1)[0] == "right"
    assert verdict(scenario, "status = 502, executed = 1", saw(502), executed=2)[0] == "broken"
    assert verdict(scenario, "status = 502, executed = 1", saw(502), executed=0)[0] == "differs"


def test_tries_count_only_where_they_are_known(scenario) -> None:  # type: ignore[no-untyped-def]
    assert verdict(scenario, "status = 502, tries = 2", saw(502))[0] == "right"
    assert verdict(scenario, "status = 502, tries = 2", saw(502), tries=1) == ("differs", "1 tries, expected 2")


def test_each_request_is_judged(scenario) -> None:  # type: ignore[no-untyped-def]
    lines = "request = [{}, {}]"
    assert verdict(scenario, "status = [200, 200]", saw(200), saw(200), lines=lines)[0] == "right"
    assert verdict(scenario, "status = [200, 200]", saw(503), saw(200), lines=lines) == ("differs", "request 1: answered 503")


def test_a_destroyed_healthy_answer_is_broken(scenario) -> None:  # type: ignore[no-untyped-def]
    result = Result(load_scenarios()["healthy"], sightings=[saw(502)])
    judge(result)
    assert result.verdict == "broken"


def test_obstacles() -> None:
    scenarios, strange = load_scenarios(), Target("h", 1)
    ours = Target("h", 1, "headgate", pid=1, alone=True, netns=True)
    assert all(obstacle(scenario, ours) == "" for scenario in scenarios.values())
    assert "network namespace" in obstacle(scenarios["host-unreachable"], strange)
    assert "must have started" in obstacle(scenarios["descriptors-exhausted"], strange)
    assert "of its own" in obstacle(scenarios["loop-detected"], strange)
    assert "Headgate's own" in obstacle(scenarios["maintenance"], strange)
    assert obstacle(scenarios["maintenance"], Target("h", 1, "headgate")) == ""


def test_the_log_line_with_the_mark_is_found(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    assert _find(log, {"x"}) == {}
    log.write_text("\n".join([json.dumps({"reference": "a", "n": n}) for n in (1, 2)] + ["a, not JSON", '{"reference": "b"}']))
    assert _find(log, {"a"}) == {"reference": "a", "n": 2}
    assert _find(log, {"zz"}) == {}


def test_without_a_gateway_it_says_so(scenario, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    layout = Layout({"mine": scenario("place = 'closed'")}, 20_000, tmp_path)
    with pytest.raises(LabError, match=r"no gateway answers at 127.0.0.1:1$"):
        asyncio.run(score(layout, Target("127.0.0.1", 1), ["mine"]))
