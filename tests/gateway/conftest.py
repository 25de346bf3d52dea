"""A stage for the data plane: scripted servers, one real worker, and raw clients, on loopback and in one loop."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from headgate.config.load import load
from headgate.gateway.sockets import bind
from headgate.gateway.worker import Worker

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
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 8)

    async def response(self) -> tuple[bytes, bytes]:
        """Return head and body of one response with Content-Length or chunks (decoded by a reader that is not ours)."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while size := int(await asyncio.wait_for(self.reader.readline(), 8), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            while await self.reader.readline() != b"\r\n":
                pass
            return head, body
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        return head, await asyncio.wait_for(self.reader.readexactly(length), 8)

    async def rest(self) -> bytes:
        """Return everything until the connection ends; a reset counts as an end."""
        data = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), 8):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def close(self) -> None:
        self.writer.close()


class Stage:
    """Servers and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heads: list[bytes] = []  # request heads as servers saw them
        self.worker: Worker
        self.port = 0
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
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 8)
        self.heads.append(head)
        return head

    async def gateway(self, *urls: str, route: str = "", gateway: dict[str, Any] | None = None, **upstream: Any) -> None:
        """Start a worker in front of the servers; the URL "itself" stands for its own."""
        sock = bind("127.0.0.1:0")
        self.port = sock.getsockname()[1]
        urls = tuple(url.replace("itself", f"http://127.0.0.1:{self.port}") for url in urls)
        settings = {"listen": ["127.0.0.1:0"], "log": {"access": "access.log", "errors": "errors.log"}, **(gateway or {})}
        text = "[gateway]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in settings.items())
        text += f"\n[upstream.app]\nservers = {toml(urls)}\n" + "\n".join(
            f"{key} = {toml(value)}" for key, value in upstream.items()
        )
        text += '\n[[route]]\nupstream = "app"\n' + route
        file = self.folder / "headgate.toml"
        file.write_text(text)
        self.worker = Worker(load(file), asyncio.get_running_loop())
        await self.worker.listen([sock])
        self._running = asyncio.create_task(self.worker.run())

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
        for _ in range(200):
            self.worker.recorder.flush()
            lines = (self.folder / "access.log").read_text().splitlines()
            if len(lines) >= count:
                return [json.loads(line) for line in lines]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{len(lines)} of {count} records came: {lines}")

    def errors(self) -> list[str]:
        return (self.folder / "errors.log").read_text().splitlines()

    async def end(self) -> None:
        for client in self._clients:
            client.close()
        for server in self._servers:
            server.close()
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
                await asyncio.wait_for(part(stage), 20)
            finally:
                await stage.end()

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(act())

    return play
