"""docs/operations.md is true: its curl lines work, its unit is one that systemd takes, and its list of states is complete."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate.control.guard import LARGEST
from headgate.control.statefolder import state_folder
from headgate.traffic.health import STATES

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
CURL = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
UNIT = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("line", CURL)
def test_the_curl_lines_work(shared, origins, line):
    shared.status()
    line = line.replace("http://127.0.0.1:3000", origins[0].url)
    done = subprocess.run(
        ["bash", "-c", line],
        env={"PATH": "/usr/bin:/bin", "SOCKET": str(shared.socket)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if line.endswith("/metrics"):
        assert "headgate_build_info" in {family.name for family in text_string_to_metric_families(done.stdout.decode())}
        return
    told = json.loads(done.stdout)
    assert "detail" not in told, told
    if line.endswith("/weight"):
        assert told["weight"] == 5
    if line.endswith("/eject"):
        assert (told["state"], told["why"]) == ("ejected", "it lies")


def test_every_route_stands_in_a_line(shared):
    paths = shared.ask("GET", "/api/openapi.json").json["paths"]
    shown = " ".join(CURL)
    for path in paths:
        last = path.rpartition("/")[2]
        assert f"/{last}" in shown or f"POST {path}" in PAGE or last.startswith("{") or f"`{last}`" in PAGE, path


def test_the_problem_that_is_shown_is_what_comes(shared):
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert shared.ask("GET", "/api/upstreams/shop").json == shown


def test_every_state_has_its_row():
    assert set(re.findall(r"^\| `([a-z]+)` \| ", PAGE, re.MULTILINE)) == STATES


def test_the_numbers_are_those_of_the_code():
    assert f"bodies over {LARGEST >> 10} KiB" in PAGE


def test_the_unit_is_whole():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT)
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "all", "mixed")
    assert state_folder({"STATE_DIRECTORY": f"/var/lib/{service['StateDirectory']}"}, 1) == Path("/var/lib/headgate")
    assert f"/run/{service['RuntimeDirectory']}" == service["Environment"].partition("=")[2]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_unit(tmp_path):
    program = shutil.which("true")
    assert program is not None
    file = tmp_path / "headgate.service"
    file.write_text(UNIT.replace("/usr/local/bin/headgate", program).replace("User=headgate", "User=root"))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=30, check=False)
    complaints = [line for line in done.stderr.splitlines() if "headgate.service" in line]
    assert complaints == []


def test_a_wrong_key_in_a_unit_would_be_noticed(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd")
    file = tmp_path / "headgate.service"
    file.write_text("[Service]\nExecStart=/bin/true\nKilMode=mixed\n")
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert "KilMode" in done.stderr
