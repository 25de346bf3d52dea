"""A gateway tells people: of an incident from beginning to end, of shares of failures, and across the death of a process."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Running


class Hook:
    """A webhook."""

    def __init__(self) -> None:
        hook = self
        self.got: list[dict[str, Any]] = []
        self.tries = 0
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.tries += 1
                if hook.status == 200:
                    hook.got.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/in"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def whats(self) -> list[str]:
        return [one["what"] for one in self.got]

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    one = Hook()
    yield one
    one.end()


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that is taken, and where nobody listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def begin(tmp_path: Path, run_folder: Path, dead: str) -> Iterator[Callable[..., Running]]:
    """Starts a gateway whose only server is dead. more: the rest of its configuration."""
    started: list[Running] = []

    def start(more: str) -> Running:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Running(folder, run_folder, text(dead, more)))
        return started[-1]

    yield start
    for gateway in started:
        gateway.end()


def text(dead: str, more: str) -> str:
    return (
        '[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\nlog = { access = "off" }\n[gateway.admin]\ndashboard = "off"\n'
        f'dashboard_url = "https://gate.example.org/"\n[upstream.app]\nservers = ["{dead}"]\n{more}'
    )


def destination(hook: Hook, **more: str) -> str:
    keys = {"kind": "webhook", "url": hook.url, "wait": "1s", **more}
    return "[destination.hook]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items())


def only(gateway: Running) -> str:
    """Return the id of the one incident that is open."""
    (one,) = gateway.ask("GET", "/api/incidents").json["incidents"]
    return str(one["id"])


def sent(gateway: Running) -> int:
    """Return how many messages arrived, as the metrics have it."""
    page = gateway.ask("GET", "/metrics").body.decode()
    found = re.search(r'^headgate_messages_total\{destination="hook",result="sent"\} (\d+)', page, re.MULTILINE)
    return int(found[1]) if found else 0


def kill_control(gateway: Running) -> None:
    """Kill the control process, and wait for the next one."""
    before = gateway.control()
    os.kill(before, signal.SIGKILL)

    def replaced() -> bool:
        try:
            return gateway.control() != before
        except (OSError, http.client.HTTPException, StopIteration):
            return False

    gateway.until(replaced)


def test_an_incident_is_told_from_its_beginning_to_its_end(begin: Callable[..., Running], hook: Hook, dead: str) -> None:
    everything = '[[notify]]\non = ["opened", "acknowledged", "resolved", "reopened"]\n'
    gateway = begin(destination(hook) + everything)
    assert gateway.get() == 502
    gateway.until(lambda: hook.got)
    told = hook.got[0]
    id = only(gateway)
    assert (told["what"], told["incident"]["id"], told["incident"]["cause"]) == ("opened", id, "connection-refused")
    assert told["link"] == f"https://gate.example.org/incidents/{id}"
    assert "Looked into (proved): Nothing listens on" in told["text"]
    assert dead.removeprefix("http://") in told["text"]

    assert gateway.ask("POST", f"/api/incidents/{id}/acknowledge", {"who": "ann", "note": "on it"}).status == 200
    gateway.until(lambda: len(hook.got) == 2)
    assert "ann is on it (on it)" in hook.got[1]["text"]
    assert gateway.ask("POST", f"/api/incidents/{id}/resolve", {"who": "ann", "note": ""}).status == 200
    gateway.until(lambda: len(hook.got) == 3)
    assert gateway.get() == 502
    gateway.until(lambda: len(hook.got) == 4)
    assert hook.whats == ["opened", "acknowledged", "resolved", "reopened"]
    assert {one["key"] for one in hook.got} == {f"headgate/incident/{id}"}
    gateway.until(lambda: sent(gateway) == 4)


def test_a_silenced_incident_tells_nobody(begin: Callable[..., Running], hook: Hook) -> None:
    gateway = begin(destination(hook, wait="60s"))
    assert gateway.get() == 502
    gateway.until(lambda: gateway.ask("GET", "/api/incidents").json["incidents"])
    assert (
        gateway.ask("POST", f"/api/incidents/{only(gateway)}/silence", {"who": "ann", "note": "", "seconds": 600}).status == 200
    )
    assert gateway.ask("POST", f"/api/incidents/{only(gateway)}/resolve", {"who": "ann", "note": ""}).status == 200
    assert gateway.stop() == 0
    assert hook.tries == 0


def test_what_waits_outlives_the_process(begin: Callable[..., Running], hook: Hook) -> None:
    hook.status = 503
    gateway = begin(destination(hook))
    assert gateway.get() == 502
    gateway.until(lambda: hook.tries >= 2)
    gateway.says("answered 503; it is tried again")
    kill_control(gateway)
    hook.status = 200
    gateway.until(lambda: sent(gateway) == 1)
    kill_control(gateway)  # and what was told is not told again
    assert gateway.ask("POST", f"/api/incidents/{only(gateway)}/resolve", {"who": "ann", "note": ""}).status == 200
    gateway.until(lambda: "resolved" in hook.whats)
    assert hook.whats == ["opened", "resolved"]


def test_a_reload_sends_what_waits_elsewhere(begin: Callable[..., Running], hook: Hook, dead: str) -> None:
    hook.status = 503
    gateway = begin(destination(hook))
    assert gateway.get() == 502
    gateway.until(lambda: hook.tries)
    other = Hook()
    try:
        gateway.file.write_text(text(dead, destination(other)))
        assert gateway.ask("POST", "/api/reload").status == 200
        gateway.until(lambda: other.got)
        gateway.file.write_text(text(dead, ""))  # nobody is told any more
        assert gateway.ask("POST", "/api/reload").status == 200
        assert gateway.ask("POST", f"/api/incidents/{only(gateway)}/resolve", {"who": "ann", "note": ""}).status == 200
        assert gateway.stop() == 0
        assert other.whats == ["opened"]
    finally:
        other.end()


def test_the_end_gives_messages_a_moment(begin: Callable[..., Running], hook: Hook) -> None:
    gateway = begin(destination(hook, wait="60s"))
    assert gateway.get() == 502
    gateway.until(lambda: gateway.ask("GET", "/api/incidents").json["incidents"])
    assert gateway.stop() == 0
    assert hook.whats == ["opened"]


def test_the_end_says_what_was_not_told(begin: Callable[..., Running], hook: Hook) -> None:
    hook.status = 503
    gateway = begin(destination(hook))
    assert gateway.get() == 502
    gateway.until(lambda: hook.tries)
    assert gateway.stop() == 0
    assert "1 message about incidents not sent before the end" in gateway.errors()


def test_a_share_of_failures_is_told(begin: Callable[..., Running], hook: Hook) -> None:
    rule = '[[notify]]\nname = "too many"\nshare = "1%"\nfor = "2s"\nwindow = "2s"\nrequests = 3\ncauses = ["connection-*"]\n'
    gateway = begin(destination(hook) + rule)
    gateway.until(lambda: gateway.get() and hook.got)
    told = hook.got[0]
    assert told["key"] == "headgate/share/too many"
    assert told["what"] == "opened"
    assert told["share"]["share"] == 1.0
    gateway.until(lambda: "resolved" in hook.whats)  # nobody asks any more


def test_a_gateway_that_tells_nobody_loads_nothing_for_it() -> None:
    names = "('httpx', 'headgate.notify', 'smtplib')"
    code = f"import headgate.control.process, sys; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
