"""The namespace of the lab's own: its routes fail as the scenarios need, and nothing else is touched."""

import os
import subprocess
import sys

import pytest

from headgate.lab import network

PROBE = """
import socket
from headgate.lab.network import furnish, inside
assert inside()
furnish()
for address in ("10.77.0.1", "10.78.0.1", "10.79.0.1"):
    with socket.socket() as sock:
        sock.settimeout(2)
        print(sock.connect_ex((address, 80)))
"""


def test_outside_is_outside() -> None:
    assert not network.inside()


def test_errnos_inside() -> None:
    prefix = network.command()
    if prefix is None:
        pytest.skip("not possible here: no network namespace of our own")
    env = os.environ | {"HEADGATE_LAB_NAMESPACE": "yes"}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=20, check=False, env=env
    )
    assert done.stdout.split() == ["113", "13", "101"], done.stderr


def test_without_the_tools_it_is_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert network.command() is None
