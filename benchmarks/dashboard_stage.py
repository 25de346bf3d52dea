"""A gateway whose servers break while one looks, and a day of memories: what the dashboard is looked at with."""

import asyncio
import contextlib
import json
import math
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import client as http_client
from pathlib import Path
from typing import Any

from headgate.incidents.amounts import add
from headgate.incidents.history import History
from headgate.incidents.store import Store
from headgate.incidents.traffic_rows import ALL
from headgate.lab.processes import free_port
from headgate.model.counted import BUCKETS

CONFIGURATION = """\
[gateway]
listen = ["127.0.0.1:{port}"]
workers = 2
trusted_proxies = ["127.0.0.0/8"]
admin = {{ listen = "127.0.0.1:{admin}", dashboard = "off" }}
log = {{ access = "access.log", errors = "error.log" }}

[incidents]
file = "incidents.db"

[upstream.checkout]
servers = ["http://127.0.0.21:8000"]

[upstream.shop]
servers = ["http://127.0.0.11:8000", "http://127.0.0.12:8000", "http://127.0.0.13:8000"]
health = {{ path = "/health", interval = "2s" }}

[upstream.search]
servers = ["http://127.0.0.31:8000", "http://127.0.0.32:8000"]
timeouts = {{ head = "900ms" }}

[upstream.accounts]
servers = ["http://127.0.0.41:8000", "http://127.0.0.42:8000"]

[upstream.images]
servers = ["http://127.0.0.51:8000", "http://127.0.0.52:8000", "http://127.0.0.53:8000", "http://127.0.0.54:8000"]

[[route]]
path = "/checkout"
upstream = "checkout"

[[route]]
path = "/search"
upstream = "search"

[[route]]
path = "/account"
upstream = "accounts"

[[route]]
path = "/images"
upstream = "images"

[[route]]
path = "/"
upstream = "shop"
"""
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
MALFORMED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Order total: 49.90\r\nContent-Length: 3\r\n\r\nok\n"


class Origin:
    """A server whose answer can be changed while it runs."""

    def __init__(self, address: str, port: int = 8000) -> None:
        self.address, self.port = address, port
        self.answer, self.delay = GOOD, 0.004
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                health = head.startswith(b"GET /health ")
                await asyncio.sleep(0.001 if health else random.expovariate(1 / self.delay))
                writer.write(GOOD if health else self.answer)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@dataclass
class Stage:
    """What runs."""

    origins: dict[str, Origin]
    port: int
    admin: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.admin}"

    def get(self, path: str) -> Any:
        connection = http_client.HTTPConnection("127.0.0.1", self.admin, timeout=20)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def post(self, path: str, body: dict[str, Any]) -> int:
        connection = http_client.HTTPConnection("127.0.0.1", self.admin, timeout=20)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status


@contextlib.asynccontextmanager
async def stage(*, memories: bool = True) -> AsyncIterator[Stage]:
    """Run servers and gateway as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="headgate-stage-") as name:
        folder = Path(name)
        port, admin = free_port(), free_port()
        (folder / "headgate.toml").write_text(CONFIGURATION.format(port=port, admin=admin))
        if memories:
            remember(folder / "incidents.db", time.time())
        origins = {f"127.0.0.{n}": Origin(f"127.0.0.{n}") for n in (11, 12, 13, 21, 31, 32, 41, 42, 51, 52, 53, 54)}
        for origin in origins.values():
            await origin.start()
        command = [sys.executable, "-m", "headgate", "serve", "headgate.toml"]
        with (folder / "output.log").open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=folder, stdout=sink, stderr=sink, env=os.environ | {"HEADGATE_RUN": name}
            )
        try:
            for where in (port, admin):
                await _until_open(where, folder / "output.log")
            yield Stage(origins, port, admin, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            for origin in origins.values():
                await origin.stop()


async def _until_open(port: int, output: Path) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError(f"the gateway does not come up: see {output}")


async def traffic(stage: Stage, seconds: float, rate: float = 40.0) -> None:
    """Send requests as a site has them."""
    paths = ("/", "/", "/products/1024", "/search?q=lamp", "/images/4711.webp", "/images/12.webp", "/account", "/checkout")
    end, running = time.monotonic() + seconds, set()
    while time.monotonic() < end:
        task = asyncio.create_task(_request(stage.port, random.choice(paths), f"203.0.113.{random.randrange(1, 60)}"))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(random.expovariate(rate))
    await asyncio.gather(*running)


async def _request(port: int, path: str, client: str) -> None:
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n".encode()
        )
        await reader.read()
        writer.close()


# A day of memories.

PAST = (
    # hours ago, minutes, upstream, server, cause, phase, failures a minute, of which users saw
    (2.3, 4, "shop", "http://127.0.0.13:8000", "connection-refused", "connect", 50, 0.0),
    (5.1, 11, "search", "http://127.0.0.31:8000", "response-timeout", "head", 14, 0.9),
    (9.4, 2, "checkout", "http://127.0.0.21:8000", "connection-refused", "connect", 130, 1.0),
    (14.0, 40, "accounts", "http://127.0.0.42:8000", "closed-on-reuse", "head", 3, 0.0),
    (21.5, 7, "images", "http://127.0.0.52:8000", "body-truncated", "body", 9, 0.8),
    (45.0, 3, "checkout", "http://127.0.0.21:8000", "header-invalid", "head", 40, 1.0),
    (70.0, 25, "shop", "http://127.0.0.12:8000", "connection-timeout", "connect", 20, 0.1),
)


def remember(path: Path, now: float) -> None:
    """Fill a store with traffic and incidents of the days before."""
    begin = now - 7 * 86_400
    store = Store(path, begin)
    history = History(store)
    random.seed(5)
    for hours, minutes, upstream, server, cause, phase, count, seen in reversed(PAST):
        first = now - hours * 3600
        for second in range(0, minutes * 60, 5):
            part = max(1, count // 12)
            users = round(part * seen)
            group = {
                "upstream": upstream, "server": server, "cause": cause, "phase": phase, "count": part, "seen": users,
                "rescued": part - users, "routes": {f"*/{upstream}": part},
                "clients": [f"{random.randrange(60):016x}" for _ in range(3)], "samples": [],
            }  # fmt: skip
            store.take({"at": first + second, "groups": [group]}, first + second)
        store.tidy(first + minutes * 60 + 1000)
        store.flush(first + minutes * 60 + 1000, at_once=True)
    minute = int(begin) // 60 * 60
    while minute < now:
        _minute(history, minute, now)
        minute += 60
        if minute % 21_600 == 0:
            history.flush(minute, lambda: None, at_once=True)
    history.flush(now, lambda: None, at_once=True)
    store.close(now)


def _minute(history: History, at: int, now: float) -> None:
    day = 0.55 + 0.45 * math.sin((at / 3600 - 9) / 24 * 2 * math.pi)
    requests = round(min(60, now - at) * 38 * day * random.uniform(0.93, 1.07))
    seen: dict[str, int] = {}
    rescued = 0
    for hours, minutes, _, _, cause, _, count, share in PAST:
        if now - hours * 3600 <= at < now - hours * 3600 + minutes * 60:
            rescued += round(count * (1 - share))
            if share:
                seen[cause] = seen.get(cause, 0) + round(count * share)
    spread = [0] * (len(BUCKETS) + 1)
    spread[3] = requests
    body: dict[str, Any] = {"requests": requests, "spread": spread, "seconds": requests * 0.01}
    if seen:
        body |= {"seen": seen, "bad": sum(seen.values())}
    if rescued:
        body["rescued"] = {"connection-refused again-unsent": rescued}
    changes: dict[Any, Any] = {ALL: {}, ("pair", "shop", "*/"): body}
    add(changes[ALL], body)
    history.add(at + 1, changes)


async def story(stage: Stage, seconds: float, *, told: Callable[[str], None] = print) -> None:
    """Let things break, one after the other, under traffic."""
    running = asyncio.create_task(traffic(stage, seconds))
    await asyncio.sleep(seconds * 0.2)
    told("one of three shops stops")
    await stage.origins["127.0.0.12"].stop()
    stage.post("/api/upstreams/accounts/servers/http%3A%2F%2F127.0.0.42%3A8000/maintenance", {"why": "new disk, back at noon"})
    await asyncio.sleep(seconds * 0.15)
    told("search becomes slow")
    stage.origins["127.0.0.31"].delay = stage.origins["127.0.0.32"].delay = 1.2
    await asyncio.sleep(seconds * 0.2)
    told("a new configuration; then the checkout sends a header that is none")
    stage.post("/api/reload", {})
    await asyncio.sleep(seconds * 0.05)
    stage.origins["127.0.0.21"].answer = MALFORMED
    await running
