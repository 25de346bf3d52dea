"""Servers on loopback that follow a script, for the probe's requests; the lab's certificates, made once."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest

from headgate.lab.certificates import Certificates

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONGEST = 15.0
"""Seconds after which a test's conversation is broken off."""


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def served() -> Callable[..., Any]:
    """Return run(handler, client, tls=None, path=""): serve by `handler`, await client(port or path), and give its result."""

    def run(handler: Handler, client: Callable[[Any], Awaitable[Any]], tls: ssl.SSLContext | None = None, path: str = "") -> Any:
        async def serve() -> Any:
            writers: list[asyncio.StreamWriter] = []

            async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writers.append(writer)
                with suppress(OSError, asyncio.IncompleteReadError):
                    await handler(reader, writer)
                writer.close()

            if path:
                server = await asyncio.start_unix_server(one, path)
                where: Any = path
            else:
                server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
                where = server.sockets[0].getsockname()[1]
            try:
                async with asyncio.timeout(LONGEST):
                    return await client(where)
            finally:
                server.close()
                for writer in writers:
                    writer.transport.abort()

        return asyncio.run(serve())

    return run


@pytest.fixture
def says() -> Callable[..., Handler]:
    """Return a maker of handlers: read one request's head, write pieces (a number is a pause in seconds), then close.

    stay: keep the connection open afterwards. first: write before anything was read.
    """

    def make(*pieces: bytes | float, stay: bool = False, first: bool = False) -> Handler:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not first:
                await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if stay or first:
                await asyncio.sleep(LONGEST)

        return handler

    return make


@pytest.fixture
def handshaking() -> Callable[[ssl.SSLContext], AbstractContextManager[int]]:
    """Return a context manager: a port where TLS handshakes are done by blocking sockets, whose alerts really go out."""

    def handshake(sock: socket.socket, tls: ssl.SSLContext) -> None:
        sock.settimeout(2)
        with sock.dup() as plain:
            plain.settimeout(2)
            with suppress(OSError), tls.wrap_socket(sock, server_side=True) as secured:
                secured.recv(65_536)
            with suppress(OSError):  # what is unread at the close would make it a reset, which overtakes the alert
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65_536):
                    pass

    @contextmanager
    def run(tls: ssl.SSLContext) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.05)
            over = threading.Event()

            def serve() -> None:
                while not over.is_set():
                    with suppress(TimeoutError):
                        handshake(server.accept()[0], tls)

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                yield server.getsockname()[1]
            finally:
                over.set()
                thread.join()

    return run
