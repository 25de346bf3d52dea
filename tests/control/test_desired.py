"""The desired state: what it keeps, what a file may change, and what it may not."""

import json
from pathlib import Path

import pytest

from headgate.config.load import read
from headgate.control.desired import Desired, NotApplied
from headgate.traffic.gaugenames import gauge_names
from headgate.traffic.shared import Gauges, create

TEXT = '[gateway]\nlisten = ["127.0.0.1:1"]\n[upstream.app]\nservers = ["http://a:1", "http://b:1"]\nmax_requests = 5\n'


@pytest.fixture
def gauges():
    return Gauges(create(Gauges.size(8, 1)), 1)


@pytest.fixture
def desired(tmp_path, gauges):
    (tmp_path / "gate.toml").write_text(TEXT)
    loaded = read(tmp_path / "gate.toml")
    return Desired(3, loaded.data, loaded.folder, loaded.config, gauges.assign(gauge_names(loaded.config)))


def asks(desired: Desired, folder: Path, gauges: Gauges, text: str) -> Desired:
    (folder / "gate.toml").write_text(text)
    return desired.read(str(folder / "gate.toml"), gauges)


def test_a_state_comes_back(desired):
    desired.standings.of["app"]["http://a:1"].weight = 9
    state = json.loads(json.dumps(desired.state()))
    again = Desired.of(state)
    assert again.state() == state
    assert again.config == desired.config
    assert again.standings.of["app"]["http://a:1"].weight == 9


@pytest.mark.parametrize("key", ["version", "data", "folder", "gauges", "servers"])
def test_half_a_state(desired, key):
    state = desired.state()
    del state[key]
    with pytest.raises((KeyError, TypeError, ValueError)):
        Desired.of(state)


def test_another_file(desired, tmp_path, gauges):
    desired.standings.of["app"]["http://a:1"].weight = 9
    found = asks(desired, tmp_path, gauges, TEXT.replace("http://b:1", "http://c:1"))
    assert (found.version, list(found.standings.of["app"])) == (4, ["http://a:1", "http://c:1"])
    assert found.standings.of["app"]["http://a:1"].weight == 9
    same = [name for name in found.numbers if name in desired.numbers]
    assert same
    assert all(found.numbers[name] == desired.numbers[name] for name in same)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"127.0.0.1:1"', '"127.0.0.1:2"', "gateway.listen changed"),
        ("[upstream", "workers = 7\n[upstream", "gateway.workers changed"),
        ("[upstream", 'workers = 7\nadmin.listen = "off"\n[upstream', "gateway.workers and gateway.admin changed"),
        ("max_requests = 5", "max_requests = -5", "gate.toml:5"),
        ("[upstream", "[[upstream", "not valid TOML"),
        ("http://a:1", "http://", "gate.toml:4"),
    ],
)
def test_what_cannot_be_applied(desired, tmp_path, gauges, old, new, words):
    before = json.dumps(desired.state())
    with pytest.raises(NotApplied, match=words):
        asks(desired, tmp_path, gauges, TEXT.replace(old, new))
    assert json.dumps(desired.state()) == before


def test_too_many_limits(desired, tmp_path, gauges):
    many = ", ".join(f'"http://a:{number}"' for number in range(1, 30))
    with pytest.raises(NotApplied, match="too many limits"):
        asks(desired, tmp_path, gauges, TEXT.replace('"http://a:1", "http://b:1"', many))
    assert asks(desired, tmp_path, gauges, TEXT).numbers == desired.numbers


def test_the_same_again_after_a_try_in_vain(desired, tmp_path, gauges):
    tried = asks(desired, tmp_path, gauges, TEXT.replace("http://b:1", "http://c:1"))
    back = desired.again(tried.version + 1)
    gauges.resume(back.numbers)
    assert (back.version, back.numbers, back.standings) == (5, desired.numbers, desired.standings)
    later = asks(back, tmp_path, gauges, TEXT)
    assert later.numbers == desired.numbers
    assert later.version == 6
