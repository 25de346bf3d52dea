"""The watch as a whole: it ends when it may, tells of changes by command and webhook, and no teller can stop it."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from headgate.watch import notify
from headgate.watch.history import History
from headgate.watch.notify import Ways, is_webhook
from headgate.watch.run import Events, Plan, watch
from headgate.watch.state import UP, Change, Sighting

SITE, OTHER = "https://a.example/", "https://b.example/"


class Scripted:
    """A site that shows one state after the other, the last for good."""

    def __init__(self, **states: list[str]) -> None:
        self.states = {"a": states.get("a", [UP]), "b": states.get("b", [UP])}
        self.looks = 0

    async def __call__(self, url: str) -> Sighting:
        self.looks += 1
        row = self.states["a" if url == SITE else "b"]
        state = row.pop(0) if len(row) > 1 else row[0]
        return Sighting(float(self.looks), state, text=f"it is {state}")


def run(plan: Plan, site: Scripted) -> tuple[bool, list[Change], list[str]]:
    changes: list[Change] = []
    troubles: list[str] = []
    events = Events(changed=lambda _url, change: changes.append(change), trouble=troubles.append)

    async def work() -> bool:
        async with asyncio.timeout(20):
            with History(":memory:") as history:
                return await watch(plan, site, history, events)

    return asyncio.run(work()), changes, troubles


def test_until_up() -> None:
    reached, changes, _ = run(Plan((SITE,), 0.2, "up", 10, 1, 1), Scripted(a=["connection-refused", "503", UP]))
    assert reached
    assert [one.new for one in changes] == ["connection-refused", "503", UP]


def test_until_all_are_up() -> None:
    site = Scripted(a=[UP], b=["r", "r", UP])
    assert run(Plan((SITE, OTHER), 0.2, "up", 10, 1, 1), site)[0]
    assert site.states == {"a": [UP], "b": [UP]}


def test_until_down() -> None:
    assert run(Plan((SITE,), 0.2, "down", 10, 1, 1), Scripted(a=[UP, UP, "r"]))[0]


def test_the_timeout_comes_first() -> None:
    assert not run(Plan((SITE,), 0.2, "up", 0.7, 1, 1), Scripted(a=["r"]))[0]


def test_a_command_gets_the_change_and_its_failure_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = f'printf "%s|%s|%s\\n" "$HEADGATE_URL" "$HEADGATE_OLD" "$HEADGATE_STATE" >> {out}; exit 3'
    reached, _, troubles = run(Plan((SITE,), 0.2, "up", 10, 1, 1, Ways(command=command)), Scripted(a=["r", UP]))
    assert reached
    assert sorted(out.read_text().splitlines()) == [f"{SITE}|r|up", f"{SITE}||r"]
    assert troubles == ["--exec: exit code 3"] * 2


class _Hook(BaseHTTPRequestHandler):
    answers: list[int]
    got: list[dict[str, object]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(json.loads(body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    _Hook.answers, _Hook.got = [], []
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_json_and_is_tried_again(hook: HTTPServer) -> None:
    _Hook.answers = [503]
    ways = Ways(webhook=f"http://127.0.0.1:{hook.server_port}/in")
    reached, _, troubles = run(Plan((SITE,), 0.2, "up", 15, 1, 1, ways), Scripted(a=[UP]))
    assert reached
    assert troubles == []
    assert [one["state"] for one in _Hook.got] == [UP, UP]
    assert _Hook.got[0]["url"] == SITE


def test_a_dead_webhook_is_told_and_does_not_stop_the_watch(hook: HTTPServer) -> None:
    _Hook.answers = [500] * 10
    ways = Ways(webhook=f"http://127.0.0.1:{hook.server_port}/in")
    reached, _, troubles = run(Plan((SITE,), 0.2, "up", 15, 1, 1, ways), Scripted(a=[UP]))
    assert reached
    assert troubles == ["webhook 127.0.0.1: answered 500"]


@pytest.fixture
def line_server() -> Iterator[tuple[int, list[bytes]]]:
    """Whatever is in the list is what every connection is answered; with nothing in it there is no answer."""
    answer: list[bytes] = []
    kept: list[socket.socket] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            kept.append(peer)
            if answer:
                peer.recv(65536)
                peer.sendall(answer[0])
                peer.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1], answer
        server.shutdown(socket.SHUT_RDWR)
    for peer in kept:
        peer.close()


def test_what_a_webhook_answers_is_not_shown(line_server: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_PAUSE", 0.01)
    port, answer = line_server
    answer.append(b"\x1b]0;owned\x07 sesame\r\n\r\n")
    _, _, troubles = run(
        Plan((SITE,), 0.2, "up", 15, 1, 1, Ways(webhook=f"http://ann:sesame@127.0.0.1:{port}/")), Scripted(a=[UP])
    )
    assert troubles == ["webhook 127.0.0.1: its answer is no HTTP"]


def test_a_webhook_that_never_answers_holds_nothing_up(
    line_server: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_TIME", 0.3)
    ways = Ways(webhook=f"http://127.0.0.1:{line_server[0]}/")
    reached, _, troubles = run(Plan((SITE,), 0.2, "up", 15, 1, 1, ways), Scripted(a=[UP]))
    assert reached
    assert troubles in (["webhook 127.0.0.1: no answer within 0.3 s"], ["webhook 127.0.0.1: timed out"])


def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_TIME", 0.5)
    ways = Ways(command=f"sleep 60 & echo $! > {tmp_path}/child; wait")
    _, _, troubles = run(Plan((SITE,), 0.2, "up", 15, 1, 1, ways), Scripted(a=[UP]))
    assert troubles == ["--exec: not finished after 0.5 s, ended"]
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("it still runs")


def test_a_failure_in_a_look_ends_the_watch_with_it() -> None:
    async def broken(_url: str) -> Sighting:
        raise RuntimeError("a defect")

    async def work() -> None:
        with History(":memory:") as history:
            await watch(Plan((SITE,), 0.2, timeout=5), broken, history, Events())

    with pytest.raises(RuntimeError, match="a defect"):
        asyncio.run(work())


@pytest.mark.parametrize(("url", "good"), [
    ("https://hooks.example.org/x", True), ("http://127.0.0.1:9/", True), ("file:///etc/passwd", False),
    ("hooks.example.org", False),
    ("http://a.example:port/", False), ("http://a b/", False), ("http://a.example:0/", False),
    ("https://", False), ("http://[::1", False),
])  # fmt: skip
def test_webhooks_are_http_only(url: str, good: bool) -> None:
    assert is_webhook(url) is good
