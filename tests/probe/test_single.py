"""The plain look of a watch: one GET, the addresses in order, nothing followed."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from headgate import __version__
from headgate.model.exchange import Attempt
from headgate.model.phases import RESOLVE
from headgate.probe import single
from headgate.probe.single import agent, glance
from headgate.probe.url import BadUrl


def test_the_agent_is_honest() -> None:
    assert agent() == f"Mozilla/5.0 (compatible; Headgate-diagnose/{__version__})"


def test_one_request_and_no_redirect(served: Callable[..., Any]) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")

    attempt, captured = served(handler, lambda port: glance(f"http://localhost:{port}/a", (("user-agent", "me"),), 5.0))
    assert (captured.status, captured.header("location"), attempt.cause) == (302, "/b", None)
    assert len(got) == 1
    assert got[0].startswith(b"GET /a HTTP/1.1\r\nHost: localhost:")
    assert b"user-agent: me\r\n" in got[0]
    assert b"Headgate" not in got[0]


def test_addresses_are_tried_in_order(
    served: Callable[..., Any], says: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*_: object) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    monkeypatch.setattr(single, "resolve", two)
    handler = says(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")
    attempt, captured = served(handler, lambda port: glance(f"http://site.test:{port}/", (), 5.0))
    assert (captured.status, attempt.address.rpartition(":")[0]) == (503, "127.0.0.1")


def test_all_refused_and_a_silent_first(
    served: Callable[..., Any], says: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*_: object) -> list[str]:
        return ["127.0.0.1", "127.0.0.9"]

    monkeypatch.setattr(single, "resolve", two)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        attempt, captured = asyncio.run(glance(f"http://site.test:{sock.getsockname()[1]}/", (), 5.0))
    assert captured is None
    assert attempt.cause is not None
    assert (attempt.cause.code, attempt.address.rpartition(":")[0]) == ("connection-refused", "127.0.0.9")


def test_a_first_address_that_is_silent_leaves_time_for_the_second(
    served: Callable[..., Any], says: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*_: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async def client(port: int) -> Any:
        with socket.create_server(("127.0.0.2", port), backlog=0) as silent:
            callers = [socket.socket() for _ in range(4)]
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(silent.getsockname())
            found = await glance(f"http://site.test:{port}/", (), 2.0)
            for caller in callers:
                caller.close()
        return found

    monkeypatch.setattr(single, "resolve", two)
    attempt, captured = served(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), client)
    assert captured is not None
    assert (captured.status, attempt.cause) == (200, None)


def test_a_name_that_is_none() -> None:
    attempt, captured = asyncio.run(glance("http://nowhere.invalid/", (), 5.0))
    assert captured is None
    assert isinstance(attempt, Attempt)
    assert attempt.phase == RESOLVE
    assert attempt.cause is not None
    assert attempt.cause.code.startswith("dns-")


def test_a_url_that_is_none() -> None:
    with pytest.raises(BadUrl):
        asyncio.run(glance("gopher://x/"))
