"""One HTTP/1.1 request meets every kind of server: the answer is kept, what is wrong is named, and nothing lasts for ever."""

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from headgate.diagnose.captured import BODY_MAX, Captured
from headgate.lab.certificates import NAME, Certificates
from headgate.model.exchange import NEVER, Attempt
from headgate.model.phases import BODY, CONNECT, HEAD
from headgate.probe.request import Connection, Sent, ask
from headgate.probe.url import parse_url

Result = tuple[Attempt, Captured | None]


def at(port: int, **more: Any) -> Sent:
    return Sent(parse_url(f"http://site.test:{port}/a?b=c"), address=("127.0.0.1", port), **more)


@pytest.fixture
def answer(served: Callable[..., Any], says: Callable[..., Any]) -> Callable[..., Result]:
    def get(*pieces: bytes | float, seconds: float = 5.0, method: str = "GET", **how: bool) -> Result:
        result: Result = served(says(*pieces, **how), lambda port: ask(at(port, method=method), seconds))
        return result

    return get


def code(attempt: Attempt) -> str:
    return attempt.cause.code if attempt.cause is not None else ""


def test_a_plain_answer_fills_everything(answer: Callable[..., Result]) -> None:
    attempt, captured = answer(b"HTTP/1.1 502 Bad  Luck\r\nServer: nginx\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc")
    assert captured is not None
    assert (captured.status, captured.reason, captured.version, captured.body) == (502, "Bad  Luck", "1.1", b"abc")
    assert captured.fields == (("server", "nginx"), ("x-a", "1"), ("x-a", "2"), ("content-length", "3"))
    assert (captured.length, captured.complete, captured.url) == (3, True, attempt.server)
    assert (attempt.status, attempt.cause, attempt.signal, attempt.phase) == (502, None, None, BODY)
    times = (attempt.t_start, attempt.t_connected, attempt.t_sent, attempt.t_first, attempt.t_head, attempt.t_end)
    assert NEVER not in times
    assert list(times) == sorted(times)
    assert attempt.address.startswith("127.0.0.1:")
    assert attempt.sent > 0
    assert attempt.body_received == attempt.body_expected == 3


def test_what_is_sent(served: Callable[..., Any]) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    fields = (("Cookie", "a=b"), ("X-Bad", "1\r\nInjected: yes"))
    served(handler, lambda port: ask(at(port, method="POST", fields=fields), 5))
    served(handler, lambda port: ask(at(port, fields=(("host", "other.test"), ("Connection", "close, x"))), 5))
    assert got[0].startswith(b"POST /a?b=c HTTP/1.1\r\nHost: site.test:")
    assert b"Cookie: a=b\r\nX-Bad: 1 Injected: yes\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" in got[0]
    assert got[1] == b"GET /a?b=c HTTP/1.1\r\nhost: other.test\r\nConnection: close, x\r\n\r\n"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"hello" * 99, mtime=0)),
        ("x-gzip", gzip.compress(b"hello" * 99, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 99)),
        ("Deflate", zlib.compress(b"hello" * 99)[2:-4]),
        ("identity", b"hello" * 99),
    ],
)
def test_codings_are_undone(answer: Callable[..., Result], coding: str, body: bytes) -> None:
    attempt, captured = answer(
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    assert captured is not None
    assert attempt.cause is None
    assert (captured.body, captured.length) == (b"hello" * 99, len(body))


def test_a_coding_that_does_not_decode_is_a_failure_with_an_answer(answer: Callable[..., Result]) -> None:
    attempt, captured = answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")
    assert code(attempt) == "content-coding-invalid"
    assert captured is not None
    assert (captured.status, captured.body) == (200, b"hello")


def test_a_bomb_stays_small(answer: Callable[..., Result]) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    _, captured = answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    assert captured is not None
    assert len(captured.body) == BODY_MAX


def test_chunks_and_interim_answers(answer: Callable[..., Result]) -> None:
    attempt, captured = answer(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Con",
        0.05,
        b"tinue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        0.05,
        b"c\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
        stay=True,
    )
    assert captured is not None
    assert attempt.cause is None
    assert (captured.status, captured.body, captured.length, captured.complete) == (200, b"abcde", 5, True)


def test_until_close_and_http_1_0(answer: Callable[..., Result]) -> None:
    _, captured = answer(b"HTTP/1.0 503 Down\r\n\r\n<html>")
    assert captured is not None
    assert (captured.version, captured.status, captured.body, captured.complete) == ("1.0", 503, b"<html>", True)


def test_answers_without_body(answer: Callable[..., Result]) -> None:
    for status, method in ((200, "HEAD"), (304, "GET")):
        attempt, captured = answer(b"HTTP/1.1 %d X\r\nContent-Length: 500\r\n\r\n" % status, method=method, stay=True)
        assert captured is not None
        assert (captured.body, captured.length, captured.complete) == (b"", 500, True)
        assert attempt.cause is None


@pytest.mark.parametrize(
    ("pieces", "cause", "status"),
    [
        ((b"",), "closed-before-answer", 0),
        ((b"HTTP/1.1 200 OK\r\nServer: x",), "head-truncated", 200),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",), "body-truncated", 200),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",), "chunked-truncated", 200),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",), "chunk-invalid", 200),
        ((b"<html><body>hello</body></html>",), "not-http", 0),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), "not-http-ssh", 0),
        ((b"220 mail.test ESMTP Postfix\r\n",), "not-http-mail", 0),
        ((b"-ERR unknown command\r\n",), "not-http-redis", 0),
        ((b"\x15\x03\x01\x00\x02\x02\x46",), "not-http-tls", 0),
        ((b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),), "not-http-http2", 0),
        ((b"HTTP/1.1 502 Bad Gateway\nServer: old\n\nbody",), "line-ending-invalid", 502),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",), "length-conflict", 200),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",), "length-invalid", 200),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",), "length-and-coding", 200),
        ((b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",), "header-invalid", 200),
        ((b"HTTP/1.1 abc\r\n\r\n",), "status-line-invalid", 0),
        ((b"HTTP/3.7 200 OK\r\n\r\n",), "version-unsupported", 200),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"a" * 60_000 + b"\r\n\r\n",), "header-line-too-large", 200),
        ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3000 + b"\r\n",), "too-many-headers", 200),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * 40,), "too-many-interim-responses", 0),
    ],
)
def test_what_is_wrong_is_named(answer: Callable[..., Result], pieces: tuple[bytes], cause: str, status: int) -> None:
    attempt, captured = answer(*pieces)
    assert code(attempt) == cause
    assert (captured.status if captured is not None else 0) == status
    assert captured is None or not captured.complete
    assert attempt.t_end > attempt.t_start


def test_the_broken_rule_is_told_with_place_and_excerpt(answer: Callable[..., Result]) -> None:
    attempt, _ = answer(b"SSH-2.0-OpenSSH_9.2\r\n", first=True)
    assert attempt.facts is not None
    assert attempt.phase == HEAD
    assert (attempt.signal, attempt.facts["rule"], attempt.facts["offset"]) == ("malformed", "not-http", 0)
    assert attempt.facts["looks_like"] == "ssh"
    assert attempt.facts["excerpt"].startswith(b"SSH-2.0")


def test_an_endless_head_ends(answer: Callable[..., Result]) -> None:
    attempt, _ = answer(b"HTTP/1.1 200 OK\r\n", *[b"X-Y: " + b"z" * 1000 + b"\r\n"] * 3000, stay=True)
    assert code(attempt) in ("header-section-too-large", "too-many-headers")


def test_an_endless_body_is_cut_at_the_cap(served: Callable[..., Any]) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(2000):
            writer.write(b"x" * 65_536)
            await writer.drain()

    attempt, captured = served(handler, lambda port: ask(at(port), 10))
    assert captured is not None
    assert (len(captured.body), captured.length) == (BODY_MAX, -1)
    assert attempt.cause is None
    assert attempt.received < 3_000_000


@pytest.mark.parametrize(
    ("pieces", "cause"),
    [
        ((), "response-timeout"),
        ((b"HTTP/1.1 200",), "head-stalled"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",), "body-stalled"),
        ((b"H", 0.1, b"T", 0.1, b"T", 0.1, b"P", 0.1, b"/", 0.1, b"1"), "head-stalled"),
    ],
)
def test_every_wait_ends(answer: Callable[..., Result], pieces: tuple[bytes | float, ...], cause: str) -> None:
    attempt, captured = answer(*pieces, seconds=0.4, stay=True)
    assert (attempt.signal, code(attempt)) == ("deadline", cause)
    assert (captured is not None) == (cause == "body-stalled")
    assert attempt.facts is not None
    assert attempt.facts["limit"] == "timeout"


def test_a_reset_before_and_in_the_answer(served: Callable[..., Any]) -> None:
    def resetting(*pieces: bytes) -> Any:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        return handler

    attempt, captured = served(resetting(), lambda port: ask(at(port), 5))
    assert (code(attempt), captured) == ("reset-before-answer", None)
    attempt, captured = served(resetting(b"HTTP/1.1 200 OK\r\n"), lambda port: ask(at(port), 5))
    assert code(attempt) == "head-reset"
    attempt, captured = served(resetting(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), lambda port: ask(at(port), 5))
    assert code(attempt) == "body-reset"
    assert captured is not None
    assert captured.body == b"ab"


def test_refused_and_no_such_name() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        attempt, captured = asyncio.run(ask(at(sock.getsockname()[1]), 5))
    assert (code(attempt), captured, attempt.phase) == ("connection-refused", None, CONNECT)
    attempt, captured = asyncio.run(ask(Sent(parse_url("http://nowhere.invalid/")), 5))
    assert captured is None
    assert code(attempt).startswith("dns-")


def test_a_unix_socket(served: Callable[..., Any], says: Callable[..., Any], tmp_path: Any) -> None:
    sent = Sent(parse_url("http://localhost/"), unix=str(tmp_path / "app.sock"))
    attempt, captured = asyncio.run(ask(sent, 5))
    assert (code(attempt), captured) == ("socket-missing", None)
    handler = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    attempt, captured = served(handler, lambda path: ask(sent, 5), path=sent.unix)
    assert captured is not None
    assert captured.body == b"hi"
    assert attempt.address == f"unix:{sent.unix}"
    attempt, _ = asyncio.run(ask(replace(sent, unix="/" + "a" * 200), 5))
    assert code(attempt) == "address-unusable"


def test_a_unix_socket_whose_queue_is_full(tmp_path: Any) -> None:
    path = str(tmp_path / "full.sock")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(0)
        for client in clients:
            client.setblocking(False)
            client.connect_ex(path)
        attempt, _ = asyncio.run(ask(Sent(parse_url("http://localhost/"), unix=path), 2))
    for client in clients:
        client.close()
    assert code(attempt) == "socket-backlog-full"


# Kept connections.


def serving(times: int) -> Any:
    """Return a handler that answers so many requests on a connection, and then closes it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(times):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            await writer.drain()
        await asyncio.sleep(0.1)

    return handler


@pytest.mark.parametrize("secured", [False, True])
def test_a_kept_connection_that_the_server_closes_while_it_rests(
    served: Callable[..., Any], certificates: Certificates, secured: bool
) -> None:
    async def client(port: int) -> list[Result]:
        url = parse_url(f"http{'s' if secured else ''}://{NAME}:{port}/")
        sent = Sent(url, address=("127.0.0.1", port), ca=str(certificates.ca_file))
        kept = Connection(sent)
        found = [await ask(sent, 5, kept), await ask(sent, 5, kept)]
        assert kept.open
        await asyncio.sleep(0.3)
        found.append(await ask(sent, 5, kept))
        assert not kept.open
        await kept.close()
        return found

    first, second, third = served(serving(2), client, tls=certificates.context("good") if secured else None)
    assert [one[1].body for one in (first, second)] == [b"0", b"1"]
    assert not first[0].reused
    assert second[0].reused
    assert second[0].requests == 1
    assert second[0].idle >= 0
    assert second[0].address == first[0].address
    assert second[0].t_connected == NEVER
    assert (code(third[0]), third[1]) == ("closed-on-reuse", None)
    assert third[0].reused
    assert third[0].facts["idle_ms"] >= 100
    assert third[0].facts["requests"] == 2


def test_a_kept_connection_that_the_server_closes_upon_the_request(served: Callable[..., Any]) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serving(1)(reader, writer)
        await reader.readuntil(b"\r\n\r\n")

    async def client(port: int) -> Result:
        kept = Connection(at(port))
        await ask(kept.sent, 5, kept)
        return await ask(kept.sent, 5, kept)

    assert code(served(handler, client)[0]) == "closed-on-reuse"


def test_connection_close_is_honoured(served: Callable[..., Any], says: Callable[..., Any]) -> None:
    async def client(port: int) -> bool:
        kept = Connection(at(port))
        await ask(kept.sent, 5, kept)
        return kept.open

    assert served(says(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", stay=True), client) is False


# TLS.


def over_tls(port: int, certificates: Certificates, **more: Any) -> Sent:
    return Sent(parse_url(f"https://{NAME}:{port}/"), address=("127.0.0.1", port), ca=str(certificates.ca_file), **more)


def test_over_tls(served: Callable[..., Any], says: Callable[..., Any], certificates: Certificates) -> None:
    handler = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    good, expired = certificates.context("good"), certificates.context("expired")
    attempt, captured = served(handler, lambda port: ask(over_tls(port, certificates), 5), tls=good)
    assert captured is not None
    assert captured.body == b"hi"
    assert attempt.t_secured >= attempt.t_connected > 0
    attempt, captured = served(handler, lambda port: ask(over_tls(port, certificates), 5), tls=expired)
    assert (code(attempt), captured) == ("certificate-expired", None)
    attempt, captured = served(handler, lambda port: ask(over_tls(port, certificates, verify=False), 5), tls=expired)
    assert captured is not None
    assert captured.body == b"hi"


def test_a_client_certificate_is_wanted_after_the_handshake(handshaking: Callable[..., Any], certificates: Certificates) -> None:
    with handshaking(certificates.context("client-certificate")) as port:
        attempt, _ = asyncio.run(ask(over_tls(port, certificates), 5))
    assert code(attempt) == "client-certificate-required"


# Proxies.


def test_a_proxy_is_asked_with_the_whole_url(served: Callable[..., Any]) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(line) + line)

    async def client(port: int) -> Result:
        return await ask(Sent(parse_url("http://site.test/a"), proxy=parse_url(f"http://127.0.0.1:{port}")), 5)

    _attempt, captured = served(handler, client)
    assert captured.body == b"GET http://site.test/a HTTP/1.1"


def through(port: int, ca: str = "") -> Sent:
    return Sent(parse_url(f"https://{NAME}/"), proxy=parse_url(f"http://127.0.0.1:{port}"), ca=ca)


def test_a_proxy_that_refuses_connect_gives_its_answer(served: Callable[..., Any], says: Callable[..., Any]) -> None:
    handler = says(b"HTTP/1.1 502 Bad Gateway\r\nServer: squid\r\nContent-Length: 4\r\n\r\noops")
    attempt, captured = served(handler, lambda port: ask(through(port), 5))
    assert (captured.status, captured.header("server"), captured.body) == (502, "squid", b"oops")
    assert captured.extra == {"connect": "502"}
    assert captured.url == f"https://{NAME}/"
    assert attempt.status == 502


@pytest.mark.parametrize(
    ("pieces", "cause"),
    [
        ((b"SSH-2.0-x\r\n\r\n",), "not-http-ssh"),
        ((b"",), "closed-before-answer"),
        ((b"HTTP/1.1 200 Fine\r\n\r\n",), "tls-closed"),
    ],
)
def test_a_proxy_that_is_none(served: Callable[..., Any], says: Callable[..., Any], pieces: tuple[bytes], cause: str) -> None:
    attempt, captured = served(says(*pieces), lambda port: ask(through(port), 5))
    assert (code(attempt), captured) == (cause, None)


@pytest.mark.parametrize(("kind", "cause"), [("good", ""), ("expired", "certificate-expired")])
def test_a_tunnel(served: Callable[..., Any], certificates: Certificates, kind: str, cause: str) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(certificates.context(kind))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ninside")
        await writer.drain()

    attempt, captured = served(handler, lambda port: ask(through(port, str(certificates.ca_file)), 5))
    assert got == [f"CONNECT {NAME}:443 HTTP/1.1".encode()]
    assert code(attempt) == cause
    assert (captured.body if captured is not None else None) == (None if cause else b"inside")
