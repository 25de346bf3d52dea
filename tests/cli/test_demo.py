"""`headgate demo` as a user meets it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from headgate.lab.processes import free_port
from headgate.lab.scenario import load_scenarios
from headgate.lab.showcase import SHOWN

DEMO = [sys.executable, "-m", "headgate", "demo"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for the demo's own: its path is short, as those of unix sockets must be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run([*DEMO, *words], capture_output=True, text=True, timeout=50, check=False, env=env)


def ask(url: str, **fields: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", parts.path, headers=fields)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_once_tells_all_in_plain_text_and_leaves_nothing_behind(folder: Path) -> None:
    done = run(folder, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "a fault of Headgate's" not in done.stdout
    for headline in (
        "200  A healthy server",
        "502  connection-refused  Nothing listens on the port",
        "200  closed-on-reuse  A kept connection closes just as it is used again",
        "200 cut  body-truncated  1500 of 4000 announced bytes",
        "502  The server's own 502 passes untouched",
        "400  request-framing  A request with Content-Length and Transfer-Encoding",
    ):
        assert f"\n{headline}\n" in done.stdout
    assert "closed the connection after 1500 of 4000 bytes." in done.stdout
    assert "Tried again on a new connection" in done.stdout
    assert "no server saw a byte of it" in done.stdout
    assert "next      `openssl s_client -connect 127.0.0.1:" in done.stdout
    assert f"{len(SHOWN)} requests, {len(SHOWN) - 2} failures, each with its cause named." in done.stdout
    assert "Try it" not in done.stdout
    assert list(folder.iterdir()) == []


def test_json_at_a_port_of_ones_own(folder: Path) -> None:
    port = free_port()
    done = run(folder, "--once", "--json", "--port", str(port))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["gateway"] == f"http://127.0.0.1:{port}"
    assert tuple(scene["name"] for scene in told["scenes"]) == SHOWN
    assert all(scene["right"] for scene in told["scenes"])
    rescued = next(scene for scene in told["scenes"] if scene["name"] == "closed-on-reuse")
    assert (rescued["status"], rescued["cause"]) == (200, "closed-on-reuse")
    assert all(scene["sentence"] and scene["advice"] and scene["reference"] for scene in told["scenes"] if scene["cause"])


def test_what_does_not_end_as_it_should_is_told(folder: Path) -> None:
    wrong = (
        "import dataclasses, headgate.cli.demo as demo\n"
        "played = demo.scene\n"
        "demo.scene = lambda *words: dataclasses.replace(played(*words), right=False)\n"
        "demo.SHOWN = ('healthy',)\n"
        "demo.command(['--once'])\n"
    )
    env = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", wrong], capture_output=True, text=True, timeout=50, check=False, env=env)
    assert (done.returncode, done.stderr) == (1, "")
    assert "    expected  something else: this is a fault of Headgate's, please report it\n" in done.stdout


def test_a_port_that_is_taken_is_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        done = run(folder, "--once", "--port", str(port))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: the gateway cannot listen on port {port}: Address already in use.")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def staying(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that stays up, and what it said until then."""
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(folder)}
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("Ctrl-C ends"):
                    break
            yield process, "".join(lines)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_ctrl_c(staying: tuple[subprocess.Popen[str], str], folder: Path, number: int) -> None:
    process, told = staying
    urls = re.findall(r"http://127\.0\.0\.1:\d+/[a-z-]+", told[told.index("Try it") :])
    assert len(urls) == 8
    for url in urls[:3]:
        status, page = ask(url, Accept="text/html")
        assert status in (502, 503, 504)
        assert page.startswith("<!doctype html>")
    status, answer = ask(urls[0])
    assert json.loads(answer)["error"]["evidence"]
    assert "127.0.0.1" not in ask(urls[0], **{"X-Forwarded-For": "203.0.113.9"})[1]
    for what in ("configuration", "access log", "error log"):
        found = re.search(rf"^    {what} +(/.+)$", told, re.MULTILINE)
        assert found is not None
        assert Path(found[1]).stat().st_size > 0
    process.send_signal(number)
    process.send_signal(number)  # impatience changes nothing
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert rest == "\nEnded: servers and gateway are stopped, their files removed.\n"
    assert list(folder.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        ask(urls[0])


TOLD = (
    "dns-name-not-found", "connection-refused", "certificate-expired", "not-http-ssh", "closed-before-answer", "response-timeout",
    "length-conflict", "header-section-too-large", "body-truncated", "first-dies-post",
)  # fmt: skip
"""Ten things done to servers, all among those that the demo shows."""


def test_its_dashboard_tells_what_was_done_to_ten_servers(staying: tuple[subprocess.Popen[str], str]) -> None:
    _, told = staying
    found = re.search(r"^Its dashboard: (http://127\.0\.0\.1:\d+/)$", told, re.MULTILINE)
    assert found is not None
    dashboard = found[1]
    names = {scenario: load_scenarios()[scenario].expect.causes for scenario in TOLD}

    def looked_into() -> dict[str, str]:
        incidents = json.loads(ask(f"{dashboard}api/incidents?limit=100")[1])["incidents"]
        causes = {}
        for one in incidents:
            whole = json.loads(ask(f"{dashboard}api/incidents/{one['id']}")[1])
            if whole["upstream"] in TOLD and whole["verdicts"] and whole["cause"] in names[whole["upstream"]]:
                causes[whole["upstream"]] = whole["cause"]
        return causes

    end = time.monotonic() + 40
    while looked_into().keys() != set(TOLD):
        assert time.monotonic() < end, set(TOLD) - looked_into().keys()
        time.sleep(0.3)
    status, page = ask(dashboard, Accept="text/html")
    assert status == 200
    assert "The server refused the connection" in page
