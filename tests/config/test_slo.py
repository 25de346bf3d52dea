"""The table of what users may expect."""

from pathlib import Path

import pytest

from headgate.config.findings import BadConfig
from headgate.config.load import read
from headgate.config.schema import Config

BASE = '[upstream.app]\nservers = ["http://127.0.0.1:3000"]\n[[route]]\nupstream = "app"\n'


def loaded(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    return read(str(file)).config


def test_a_route_may_promise_something_else_than_the_gateway(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, f'[gateway.slo]\ntarget = "99.5%"\n{BASE}[route.slo]\ntarget = 0.99\nlatency = "300ms"\nwindow = "7d"\n'
    )
    own = config.route[0].slo
    assert own is not None
    assert (config.gateway.slo.target, config.gateway.slo.latency, config.gateway.slo.window) == (0.995, None, 30 * 86_400)
    assert (own.target, own.latency, own.window) == (0.99, 0.3, 7 * 86_400)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("target = 99.9", 'found 99.9; expected at most "99.999%"'),
        ('target = "100%"', 'expected at most "99.999%"'),
        ('target = "lots"', "expected a share"),
        ('window = "120d"', 'expected at most "90d"'),
        ('window = "5m"', 'expected at least "1h"'),
        ('latency = "0s"', "expected more than"),
        ("goal = 1", "unknown key"),
    ],
)
def test_what_cannot_be_promised_is_said(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadConfig) as caught:
        loaded(tmp_path, f"{BASE}[gateway.slo]\n{line}\n")
    assert said in str(caught.value)
    assert ":6: gateway.slo" in str(caught.value)
