"""`headgate report` as an operator uses it: of real gateways with servers that misbehave, running and down, and of nothing."""

import asyncio
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from headgate.config.units import parse_duration
from headgate.incidents.store import Store

PROMPT = 20.0
PROGRAM = [sys.executable, "-c", "from headgate.cli import main\nmain()"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REST = 0.8
"""Seconds of rest after which the server `resting` forgets a connection."""
AFTER = 1.1
"""Seconds after which the server `giving_up` gives up."""
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def request(reader: asyncio.StreamReader) -> bytes:
    """Return the head of a request, nothing at the end."""
    with suppress(asyncio.IncompleteReadError, OSError):
        return await reader.readuntil(b"\r\n\r\n")
    return b""


async def resting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, but reset a request on a connection that has rested, as a firewall does that has forgotten it."""
    last = float("inf")
    while await request(reader):
        if time.monotonic() - last > REST:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        writer.write(OK)
        last = time.monotonic()
    writer.close()


async def giving_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without an answer, always after the same time."""
    await request(reader)
    await asyncio.sleep(AFTER)
    writer.close()


async def cutting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End every body after 64 KiB."""
    await request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(65_536))
    writer.close()


async def boasting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a head of 90 KB."""
    while await request(reader):
        fields = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 30_000) for number in range(3))
        writer.write(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok")
    writer.close()


def taking(seconds: float) -> Handler:
    """Return a server that takes so long."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await request(reader):
            await asyncio.sleep(seconds)
            writer.write(OK)
        writer.close()

    return server


def closing(handler: Handler) -> Handler:
    """Return the same server, which closes its connections when the test ends."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    return server


SERVERS: dict[str, Handler] = {
    "shop": resting, "lazy": giving_up, "files": cutting, "cookies": boasting, "quick": taking(0.002), "slow": taking(0.05),
}  # fmt: skip


@contextmanager
def serving() -> Iterator[dict[str, str]]:
    """Run the servers in a thread; yield their URLs by name."""
    urls: dict[str, str] = {}
    ready, over = threading.Event(), []

    async def run() -> None:
        end = asyncio.Event()
        over.append((asyncio.get_running_loop(), end))
        servers = []
        for name, handler in SERVERS.items():
            servers.append(await asyncio.start_server(closing(handler), "127.0.0.1", 0))
            urls[name] = f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # connections that end with the loop
        ready.set()
        await end.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(PROMPT)
    yield urls
    loop, end = over[0]
    loop.call_soon_threadsafe(end.set)
    thread.join()


class Place:
    """A gateway in front of them, and how the command is run beside it."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder, self.file, self.store = folder, folder / "headgate.toml", folder / "incidents"
        ways = {name: [name] for name in ("shop", "lazy", "files", "cookies")} | {"pair": ["quick", "slow"]}
        parts = [
            f'[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 1\nlog = {{ access = "off" }}\n[incidents]\nfile = "{self.store}"\n'
        ]
        for name, servers in ways.items():
            told = json.dumps([urls[server] for server in servers])
            parts.append(f'[upstream.{name}]\npolicy = "round-robin"\nservers = {told}\n[[route]]\nname = "{name}"\n')
            parts.append(f'path = "/{name}"\nupstream = "{name}"\n')
        parts.append('[route.slo]\ntarget = "99%"\nlatency = "25ms"\nwindow = "7d"\n')
        self.file.write_text("".join(parts))
        with open(folder / "errors", "wb") as errors:
            self.process = subprocess.Popen([*PROGRAM, "serve", str(self.file)], stderr=errors, env=self.environment)
        self.port = int(self._said(r"listening on 127\.0\.0\.1:(\d+)"))

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"HEADGATE_RUN": str(self.folder / "run"), "TZ": "UTC"}

    def _said(self, pattern: str) -> str:
        end = time.monotonic() + PROMPT
        while (found := re.search(pattern, (self.folder / "errors").read_text())) is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        return found[1]

    def ask(self, path: str, times: int) -> None:
        """Send so many requests at once."""

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            await reader.read()
            writer.close()

        async def all_of_them() -> None:
            await asyncio.gather(*(one() for _ in range(times)))

        asyncio.run(all_of_them())

    def report(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*PROGRAM, "report", *arguments], capture_output=True, timeout=60, env=self.environment, cwd=self.folder, check=False
        )
        assert done.returncode == code, done.stderr.decode()
        return (done.stdout if not code else done.stderr).decode()

    def json(self, *arguments: str) -> Any:
        return json.loads(self.report("--json", *arguments))

    def advised(self, *arguments: str) -> dict[str, Any]:
        return {f"{one['rule']} {one['upstream']}".strip(): one for one in self.json(*arguments)["advice"]}

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(PROMPT) == 0


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A gateway after a bad week: all of it in some seconds."""
    with tempfile.TemporaryDirectory(prefix="hg") as folder, serving() as urls:
        place = Place(Path(folder), urls)
        for _ in range(4):
            place.ask("shop", 12)
            time.sleep(REST + 0.2)
        for path, times in (("lazy", 8), ("files", 5), ("cookies", 4)):
            place.ask(path, times)
        for _ in range(50):
            place.ask("pair", 16)
        end = time.monotonic() + PROMPT
        while place.json()["traffic"]["requests"] < 4 * 12 + 17 + 800:
            assert time.monotonic() < end
            time.sleep(0.1)
        yield place
        place.stop()


def test_it_advises_what_the_numbers_prove(place: Place) -> None:
    found = place.advised()
    idle = found["idle-too-long shop"]
    hits = re.fullmatch(
        r"Of resets on kept connections, (\d+) of (\d+) came (\d+ ms|\d(\.\d)? s)( or more)? after the last use\.",
        idle["evidence"],
    )
    assert hits is not None, idle["evidence"]
    assert int(hits[1]) >= 12
    assert int(hits[1]) >= 0.8 * int(hits[2])  # a busy machine may let some rest longer
    assert (idle["setting"], idle["now"]) == ("upstream.shop.keep_alive.idle", "55s")
    assert float(parse_duration(idle["to"])) < float(hits[3].split()[0]) / (1000 if hits[3].endswith("ms") else 1)
    assert "5 of 5 ended after exactly 65,536 bytes (64KiB)" in found["body-cut-at-size files"]["evidence"]
    assert re.search(r"2\d of 24 came 1.[12] s after the request", found["server-timer lazy"]["evidence"])
    assert found["response-head-limit cookies"]["to"] == '"256KiB"'
    assert "slow-server pair" in found


def test_what_it_advises_can_be_written_into_the_configuration(place: Place) -> None:
    to = place.advised()["idle-too-long shop"]["to"]
    changed = place.folder / "changed.toml"
    changed.write_text(
        place.file.read_text().replace("[upstream.lazy]", f'[upstream.shop.keep_alive]\nidle = "{to}"\n[upstream.lazy]')
    )
    done = subprocess.run([*PROGRAM, "check", str(changed)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert "idle-too-long shop" not in place.advised(str(changed), "--store", str(place.store))


def test_what_it_cost_and_what_was_saved(place: Place) -> None:
    told = place.json()
    assert told["traffic"]["requests"] == 4 * 12 + 17 + 800
    assert told["traffic"]["seen"] == 17
    assert {one["cause"]: one["count"] for one in told["traffic"]["causes"]} == {
        "closed-before-answer": 8, "body-truncated": 5, "header-section-too-large": 4,
    }  # fmt: skip
    (saved,) = told["near_misses"]
    assert (saved["cause"], saved["how"]) == ("reset-on-reuse", "again-reused")
    assert saved["count"] == told["traffic"]["rescued"]
    budgets = {one["route"]: one for one in told["budgets"]}
    assert (budgets["shop"]["state"], budgets["lazy"]["state"]) == ("fine", "exhausted")
    assert budgets["pair"]["failed"] == 0
    assert 300 <= budgets["pair"]["slow"] <= 500  # half of them go to the slow server
    routes = {one["route"]: one for one in told["routes"]}
    assert routes["pair"]["slowest"] == "wait"
    assert told["incidents"][0]["seen"] == 8


def test_in_a_pipe_it_is_plain_text(place: Place) -> None:
    said = place.report("--since", "1h")
    assert "\x1b" not in said
    for title in ("What to change", "Error budgets", "Incidents", "Near misses", "Slowest routes", "Servers to worry about"):
        assert f"\n{title}" in said
    assert all(len(line) <= 130 for line in said.splitlines())
    assert "went well; users saw 17 failures; " in said


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href") and tag not in ("a", "use")]


def test_the_page_is_one_file_without_scripts(place: Place) -> None:
    file = place.folder / "report.html"
    assert f"Report: {file}" in place.report("--html", str(file))
    text = file.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert not page.links
    assert {"svg", "table", "section"} <= set(page.tags)
    assert "keep_alive.idle" in text
    assert "cannot be" not in place.report("--html", str(place.folder / "other.html"), "--json")


def test_a_gateway_that_is_down_is_read_from_its_file(place: Place) -> None:
    running = place.json()
    copied = place.folder / "copy"
    subprocess.run(["cp", str(place.store), str(copied)], check=True)
    if Path(f"{place.store}-wal").exists():
        subprocess.run(["cp", f"{place.store}-wal", f"{copied}-wal"], check=True)
    for arguments in (["--store", str(copied)], [str(place.file)], [str(place.file), "--store", str(copied)]):
        told = place.json(*arguments)
        assert told["traffic"]["requests"] == running["traffic"]["requests"]
        assert told["incidents_count"] == running["incidents_count"]
        assert ("idle-too-long shop" in place.advised(*arguments)) is True
    alone = place.advised("--store", str(copied))
    assert alone["idle-too-long shop"]["now"] == "not known"
    assert any("configuration is not known" in note for note in place.json("--store", str(copied))["notes"])


def test_an_empty_week_is_said_kindly(place: Place, tmp_path: Path) -> None:
    Store(tmp_path / "empty", time.time()).close(time.time())
    said = place.report("--store", str(tmp_path / "empty"))
    assert "No requests came by in this time, and nothing failed: there is nothing to report." in said
    page = tmp_path / "page.html"
    place.report("--store", str(tmp_path / "empty"), "--html", str(page))
    assert "there is nothing to report" in page.read_text()
    assert "nothing to report" in place.report("--since", "2020-01-01", "--until", "2020-01-08")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "soon"], '--since "soon": expected 24h or 7d, or a date such as 2026-11-14'),
        (["--since", "1h", "--until", "2h"], "the time has to begin before it ends"),
        (["--since", "2999-01-01"], "the time has to begin before it ends, and in the past"),
        (["--store", "nowhere"], "nowhere: No such file or directory"),
        (["--store", "headgate.toml"], "headgate.toml: not a file of incidents"),
        (["--store", "incidents", "--admin", "127.0.0.1:1"], "ask no gateway"),
        (["nowhere.toml"], "nowhere.toml"),
        (["--html", "no/such/folder.html"], "No such file or directory"),
        (["--admin", "127.0.0.1:1"], "no gateway answers on 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(place: Place, arguments: list[str], said: str) -> None:
    told = place.report(*arguments, code=2)
    assert said in told
    assert "Traceback" not in told


def test_a_configuration_that_keeps_none_is_told_so(place: Place) -> None:
    file = place.folder / "memory.toml"
    file.write_text('[incidents]\nfile = "memory"\n[upstream.app]\nservers = ["http://127.0.0.1:1"]\n')
    assert "kept in memory only" in place.report(str(file), code=2)
