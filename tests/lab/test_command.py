"""`headgate lab` as a user meets it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAB = [sys.executable, "-m", "headgate", "lab"]


def run(*words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "200"}
    return subprocess.run([*LAB, *words], capture_output=True, text=True, timeout=timeout, check=False, env=env)


def free_base() -> int:
    """Return a base port whose first ports are free."""
    for base in range(18_000, 19_600, 400):  # labs with base 0 begin at 20,000
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", base)) != 0:
                return base
    raise AssertionError("no free base port")


def test_list() -> None:
    done = run("list")
    assert done.returncode == 0
    assert "body-truncated" in done.stdout
    entries = json.loads(run("list", "--json").stdout)
    assert len(entries) >= 85
    assert {"name", "title", "why", "servers"} <= entries[0].keys()


def test_config_for_each_kind(tmp_path: Path) -> None:
    for kind, mark in (("headgate", "[gateway]"), ("nginx", "proxy_pass"), ("haproxy", "backend"), ("envoy", "clusters")):
        done = run("--dir", str(tmp_path), "config", "--for", kind)
        assert done.returncode == 0
        assert mark in done.stdout


def test_a_typo_in_a_scenario_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('title = "t"\nwhy = "w"\ngroup = "head"\nexpect = { status = 502 }\nupstraem = []\n')
    done = run("--scenarios", str(tmp_path), "list")
    assert done.returncode == 2
    assert done.stderr == "Error: mine.toml: upstraem: no such key; did you mean 'upstream'?\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("score", "--gateway", "nonsense"), "expected http://host:port"),
        (("score", "--gateway", "http://127.0.0.1:1"), "no gateway answers at 127.0.0.1:1"),
        (("score", "--gateway", "http://127.0.0.1:1", "--only", "nothing"), "no scenario is called 'nothing'"),
        (("play", "nothing"), "no scenario is called 'nothing'"),
    ],
)
def test_wrong_use(words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_lab_stays_until_it_is_interrupted_and_is_its_own_gateway(tmp_path: Path) -> None:
    base = free_base()
    words = ["--base-port", str(base), "--dir", str(tmp_path)]
    lab = subprocess.Popen([*LAB, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", base + 1)) == 0:
                    break
            time.sleep(0.05)
        servers = {entry["name"]: entry["servers"] for entry in json.loads(run(*words, "list", "--json").stdout)}
        done = run(*words, "score", "--gateway", servers["healthy"][0], "--only", "healthy")  # without a gateway between
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 of 1 right" in done.stdout
        done = run(*words, "score", "--gateway", servers["not-http"][0], "--only", "not-http", "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)[0]["verdict"] == "broken"
    finally:
        lab.send_signal(signal.SIGINT)
        _, errors = lab.communicate(timeout=10)
    assert "Traceback" not in errors


def test_play_shows_the_conversation() -> None:
    done = run("play", "body-truncated")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrote 1500 bytes" in done.stdout
    assert "Right is 200 cut; right, cause body-truncated." in done.stdout
