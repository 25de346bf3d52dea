"""Upstreams of a local gateway are asked as the gateway would, and what comes of it is said in words."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from headgate.lab.certificates import Certificates
from headgate.probe.upstream import ask

OK = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nhi"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_by_http_with_the_host_of_the_site(served: Callable[..., Any]) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    attempt, captured, text = served(handler, lambda port: ask(f"http://127.0.0.1:{port}", "www.example.org"))
    assert (captured.status, captured.body, attempt.cause) == (502, b"hi", None)
    assert text.startswith("502 Bad Gateway in ")
    assert b"Host: www.example.org\r\n" in got[0]
    assert got[0].count(b"ost:") == 1


def test_by_a_unix_socket(served: Callable[..., Any], tmp_path: Any) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    path = str(tmp_path / "app.sock")
    attempt, captured, text = asyncio.run(ask(f"unix:{path}"))
    assert (attempt.cause.code if attempt.cause else "", captured) == ("socket-missing", None)
    assert text
    _, captured, text = served(handler, lambda where: ask(f"unix:{where}", "site.test:8080"), path=path)
    assert captured.status == 502
    assert b"Host: site.test:8080\r\n" in got[0]


def test_refused() -> None:
    attempt, captured, text = asyncio.run(ask(f"http://127.0.0.1:{closed_port()}"))
    assert attempt.cause is not None
    assert (attempt.cause.code, captured) == ("connection-refused", None)
    assert "refused" in text


@pytest.mark.parametrize(
    ("scheme", "name"), [("fastcgi", "FastCGI"), ("uwsgi", "uwsgi"), ("scgi", "SCGI"), ("ajp", "AJP"), ("grpc", "gRPC")]
)
def test_of_other_protocols_only_the_connection_is_tried(
    served: Callable[..., Any], says: Callable[..., Any], scheme: str, name: str
) -> None:
    attempt, captured, text = served(says(b""), lambda port: ask(f"{scheme}://127.0.0.1:{port}"))
    assert (attempt.cause, captured) == (None, None)
    assert attempt.t_connected > 0
    assert name in text
    attempt, _, text = asyncio.run(ask(f"{scheme}://127.0.0.1:{closed_port()}"))
    assert attempt.cause is not None
    assert attempt.cause.code == "connection-refused"


def test_a_certificate_that_is_not_trusted_is_said_and_the_answer_too(
    served: Callable[..., Any], says: Callable[..., Any], certificates: Certificates
) -> None:
    tls = certificates.context("expired")
    _attempt, captured, text = served(says(OK), lambda port: ask(f"https://127.0.0.1:{port}"), tls=tls)
    assert (captured.status, captured.body) == (502, b"hi")
    assert "502 Bad Gateway" in text
    assert "certificate is not trusted from here" in text


@pytest.mark.parametrize("server", ["http://", "http://a b/", "http://x:99999", "fastcgi://", "nonsense", "unix:", ""])
def test_what_is_no_address_is_said(server: str) -> None:
    attempt, captured, text = asyncio.run(ask(server, seconds=2.0))
    assert captured is None
    assert attempt.cause is not None
    assert text
