"""A stage for the data plane: scripted servers, one real worker, and raw clients, on loopback and in one loop."""

import asyncio
import contextlib
import gc
import json
import time
import tomllib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from headgate.config.findings import BadConfig
from headgate.config.load import load
from headgate.config.schema import Config
from headgate.gateway.flow import Flow
from headgate.gateway.group import Group
from headgate.gateway.sockets import bind
from headgate.gateway.worker import Worker
from headgate.lab.processes import free_port

PATIENCE = 20.0
"""Seconds within which things have to happen: far more than they need, so that a busy machine fails nothing."""

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


def toml(value: Any) -> str:
    """Return a value as TOML text."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)


class Client:
    """A raw connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)

    async def response(self) -> tuple[bytes, bytes]:
        """Return head and body of one response with Content-Length or chunks (decoded by a reader that is not ours)."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while size := int(await asyncio.wait_for(self.reader.readline(), PATIENCE), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            while await self.reader.readline() != b"\r\n":
                pass
            return head, body
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        return head, await asyncio.wait_for(self.reader.readexactly(length), PATIENCE)

    async def rest(self) -> bytes:
        """Return everything until the connection ends; a reset counts as an end."""
        data = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def close(self) -> None:
        self.writer.close()


Answer = bytes | None | Awaitable[bytes | None]


def ok(name: str = "ok", status: str = "200 OK", fields: str = "") -> bytes:
    """Return a response with a text as its body."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(name)}\r\n{fields}\r\n{name}".encode()


class Origin:
    """A server that counts and can be stopped and started: each request gets what `answer` says, None closes."""

    def __init__(self, name: str, answer: Callable[[bytes], Answer] | None) -> None:
        self.name = name
        self.answer = answer or (lambda head: ok(name))
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.accepted = 0
        self.open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def seen(self) -> int:
        return len(self.heads)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop listening, and break every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lower = head.lower()
                length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in lower else 0
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                answer = self.answer(head)
                data = answer if isinstance(answer, bytes) or answer is None else await answer
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()


class Stage:
    """Servers and a gateway."""

    ok = staticmethod(ok)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heads: list[bytes] = []  # request heads as servers saw them
        self.worker: Worker
        self.port = 0
        self.tells: list[dict[str, Any]] = []  # what the worker told the control process
        self._groups: list[Group] = []  # every group there ever was
        self._origins: list[Origin] = []
        self._servers: list[asyncio.Server] = []
        self._clients: list[Client] = []
        self._running: asyncio.Task[None] | None = None

    async def server(self, script: Script) -> str:
        """Start a server; return its URL. The script gets reader, writer and the connection's number, from 0."""
        count = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            number, count = count, count + 1
            try:
                await script(reader, writer, number)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        """Read a request head on a server, keep it in `heads`, and return it."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        self.heads.append(head)
        return head

    async def origin(self, name: str = "ok", answer: Callable[[bytes], Answer] | None = None) -> Origin:
        """Start a server that counts."""
        origin = Origin(name, answer)
        await origin.start()
        self._origins.append(origin)
        return origin

    def dead(self) -> str:
        """Return the URL of a server that refuses connections."""
        return f"http://127.0.0.1:{free_port()}"

    def config(self, *servers: Any, route: str = "", gateway: dict[str, Any] | None = None, **upstream: Any) -> Config:
        """Return a configuration: one upstream `app` with these servers (URLs, tables, or origins), one route."""
        tables = [server.url if isinstance(server, Origin) else server for server in servers]
        settings = {"listen": ["127.0.0.1:0"], "log": {"access": "access.log", "errors": "errors.log"}, **(gateway or {})}
        text = "[gateway]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in settings.items())
        text += f"\n[upstream.app]\nservers = {toml(tables)}\n" + "\n".join(
            f"{key} = {toml(value)}" for key, value in upstream.items()
        )
        text += '\n[[route]]\nupstream = "app"\n' + route
        file = self.folder / "headgate.toml"
        file.write_text(text)
        return load(file)

    def reread(self) -> dict[str, Any]:
        """Return what the configuration file says now, unchecked, but with the whole paths of the log files."""
        data = tomllib.loads((self.folder / "headgate.toml").read_text())
        log = data["gateway"]["log"]
        log |= {key: str(self.folder / name) for key, name in log.items() if key != "format"}
        return data

    def unchecked(self, *servers: Any, **settings: Any) -> Config:
        """Return a configuration with files that are not there: they were when it was checked."""
        with contextlib.suppress(BadConfig):
            self.config(*servers, **settings)
        return Config.model_validate(self.reread())

    async def gateway(self, *urls: Any, route: str = "", gateway: dict[str, Any] | None = None, **upstream: Any) -> None:
        """Start a worker in front of the servers; the URL "itself" stands for its own."""
        sock = bind("127.0.0.1:0")
        self.port = sock.getsockname()[1]
        urls = tuple(url.replace("itself", f"http://127.0.0.1:{self.port}") if isinstance(url, str) else url for url in urls)
        config = self.config(*urls, route=route, gateway=gateway, **upstream)
        self.worker = Worker(config, asyncio.get_running_loop())
        self.worker.tell = self.tells.append
        self._groups += self.worker.groups.values()
        await self.worker.listen([sock])
        self._running = asyncio.create_task(self.worker.run())

    def reload(self, *servers: Any, route: str = "", gateway: dict[str, Any] | None = None, **upstream: Any) -> None:
        """Apply another configuration."""
        self.worker.apply(self.config(*servers, route=route, gateway=gateway, **upstream))
        self._groups += [group for group in self.worker.groups.values() if group not in self._groups]

    @property
    def group(self) -> Group:
        return self.worker.groups["app"]

    async def until(self, condition: Callable[[], Any], what: object = "") -> None:
        """Wait until a condition holds; fail when it does not within PATIENCE."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"it did not come about: {what}"
            await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Fail unless the gateway comes to rest: nothing counted as under way, nothing waiting, no task, no timer."""
        for client in self._clients:
            client.close()
        await self.until(lambda: not self.worker.clients, "the clients leave")
        unrest: list[object] = []

        def rests() -> bool:
            unrest[:] = self._unrest()
            return not unrest

        await self.until(rests, unrest)
        notes = [line for line in self.errors() if "internal error" in line]
        assert not notes, notes

    def _unrest(self) -> list[object]:
        """Return what has not come to rest."""
        servers = {id(server): server for group in self._groups for server in group.servers}.values()
        found: list[object] = [("busy", server.label, server.busy) for server in servers if server.busy]
        gates = [group.gate for group in self._groups if group.gate is not None]
        found += [("gate", gate.describe()) for gate in gates if gate.waiting or gate.describe()["under_way"]]
        counting = self.worker.counting
        for name in counting._numbers:
            counted = [server for server in servers if server.idle_gauge is not None and name == f"idle app {server.label}"]
            told, true = counting.of(name).total(), sum(len(server.idle) for server in counted)
            found += [(name, told, true)] if told != true else []
        found += [("kept by a retired server", server.label) for server in servers if server.retired and server.idle]
        for flow in [found for found in gc.get_objects() if isinstance(found, Flow)]:
            left = (flow._timer, flow._waits_in, flow.server, flow.conn, flow.hedge, flow.held)
            found += [("flow", left)] if left != (None, None, None, None, None, ()) else []
        running = [task for task in asyncio.all_tasks() if "headgate" in task.get_coro().cr_code.co_filename]
        return found + [("task", task) for task in running if task is not self._running]

    async def client(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def ask(self, data: bytes) -> tuple[bytes, bytes]:
        """Send a request on a connection of its own; return head and body of the response."""
        client = await self.client()
        client.send(data)
        response = await client.response()
        client.close()
        return response

    async def access(self, count: int = 1) -> list[dict[str, Any]]:
        """Return the access log's records once there are `count`."""
        lines: list[str] = []

        def came() -> bool:
            self.worker.recorder.flush()
            lines[:] = (self.folder / "access.log").read_text().splitlines()
            return len(lines) >= count

        await self.until(came, lines)
        return [json.loads(line) for line in lines]

    def errors(self) -> list[str]:
        return (self.folder / "errors.log").read_text().splitlines()

    async def end(self) -> None:
        for client in self._clients:
            client.close()
        for server in self._servers:
            server.close()
        for origin in self._origins:
            origin.stop()
        if self._running is not None:
            self.worker.stop()
            self.worker.stop()
            await self._running
        await asyncio.sleep(0.01)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], None]:
    """Return a function that plays a coroutine on a stage of its own."""

    def play(part: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        async def act() -> None:
            stage = Stage(tmp_path)
            try:
                await asyncio.wait_for(part(stage), 50)
            finally:
                await stage.end()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(act())

    return play
