"""What was recorded of real gateways can be read, is enough to test with, and names nothing of the machine it was made on."""

import re
from collections import Counter
from pathlib import Path

import pytest

from headgate.lab.capture import Capture, failing, load, samples, save
from headgate.lab.peers import PEERS
from headgate.lab.scenario import load_scenarios

FIXTURES = Path(__file__).parent.parent / "fixtures" / "gateways"
ALL = load(FIXTURES)


def one(**changes: object) -> Capture:
    values: dict[str, object] = {
        "kind": "nginx", "version": "1.2", "scenario": "head-reset", "causes": ("head-reset",), "origin": "made", "status": 502,
        "ended": "complete", "ms": 50, "token": "lab-1", "response": b"HTTP/1.1 502 Bad\r\n\r\n\x00\xff", "access": ("a", "b"),
        "errors": (),
    }  # fmt: skip
    return Capture(**values | changes)  # type: ignore[arg-type]


def test_round_trip(tmp_path: Path) -> None:
    captures = [one(), one(kind="caddy", errors=("\u00e9 {}",))]
    save(captures, tmp_path)
    assert sorted(load(tmp_path), key=lambda c: c.kind, reverse=True) == captures


@pytest.mark.parametrize("kind", PEERS)
def test_each_kind_has_failures_enough(kind: str) -> None:
    mine = [capture for capture in ALL if capture.kind == kind]
    assert len({capture.scenario for capture in mine if capture.causes}) >= 20
    assert {"upstream-502", "connection-refused", "response-timeout"} <= {capture.scenario for capture in mine}
    assert all(capture.version[0].isdigit() for capture in mine)


def test_each_is_a_scenario_with_its_causes() -> None:
    scenarios = load_scenarios()
    assert {capture.scenario for capture in ALL} <= set(failing(scenarios.values()))
    for capture in ALL:
        assert capture.causes == scenarios[capture.scenario].expect.causes


def test_status_and_log_belong_to_the_response() -> None:
    for capture in ALL:
        if capture.status and capture.ended != "garbled" and capture.status != 101:
            statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", capture.response)
            assert str(capture.status).encode() in statuses, (capture.kind, capture.scenario)
        for line in capture.access:
            assert not (other := re.findall(r"[ 0-9]/([a-z0-9-]+)\?lab=", line)) or set(other) == {capture.scenario}, line


def test_lengths_are_still_true() -> None:
    for capture in ALL:
        head, _, body = capture.response.partition(b"\r\n\r\n")
        told = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if told and capture.origin == "made" and capture.ended == "complete":
            assert len(body) == int(told[1]), (capture.kind, capture.scenario)


def test_nothing_of_the_machine_is_told() -> None:
    for path in FIXTURES.glob("*.jsonl"):
        text = path.read_text()
        assert not re.findall(r"/tmp/|/root/|/home/|headgate-lab-", text), path.name
        assert set(re.findall(r"lab=(lab-\w+)", text)) == {"lab-000000000001"}, path.name


def test_one_sample_for_each_page() -> None:
    pages = samples([one(), one(scenario="other"), one(kind="caddy"), one(scenario="cut", ended="cut"), one(origin="relayed")])
    assert list(pages) == ["nginx/captured-head-reset.http", "caddy/captured-head-reset.http"]
    assert Counter(name.split("/")[0] for name in samples(ALL)).keys() == set(PEERS)
