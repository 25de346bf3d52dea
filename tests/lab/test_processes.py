"""Processes of the lab's own: started, starved, ended; nobody else's."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.lab.gateways import Written
from headgate.lab.laboratory import LabError
from headgate.lab.layout import Layout
from headgate.lab.processes import children, free_port, running, starved, version
from headgate.lab.settings import Setting

OPENER = """
import sys
for line in sys.stdin:
    try:
        open("/dev/null").close()
        print("opened", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


def test_a_starved_process_opens_nothing_until_it_is_fed_again() -> None:
    process = subprocess.Popen([sys.executable, "-c", OPENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def try_to_open() -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    try:
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert try_to_open() == "opened"
        with starved(process.pid):
            assert try_to_open() == "24"
        assert try_to_open() == "opened"
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == before
    finally:
        process.communicate(timeout=5)


def test_children_are_found() -> None:
    process = subprocess.Popen(["sleep", "5"])
    try:
        assert process.pid in children(os.getpid())
    finally:
        process.terminate()
        process.wait()


def test_a_gateway_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    path = tmp_path / "headgate.toml"
    path.write_text("nonsense = 1\n")
    written = Written("headgate", path, Setting(Layout({}, 20_000, tmp_path), (), free_port(), tmp_path))

    async def work() -> None:
        async with running(written):
            pytest.fail("it must not start")

    with pytest.raises(LabError, match=r"headgate did not start(.|\n)*nonsense"):
        asyncio.run(work())


def test_version_of_ourselves() -> None:
    assert version("headgate")[0].isdigit()


def test_a_free_port_is_kept_for_who_asked() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):  # a server, which binds with SO_REUSEADDR
        socket.create_connection(("127.0.0.1", port)).close()
