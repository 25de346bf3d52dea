"""The gateway as an attacker meets it, over real sockets: what must hold whatever clients and servers send."""

import asyncio
import json
import re
import socket
import sys
from pathlib import Path

import h11
import pytest

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SPLIT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def answering(stage, answer=OK):
    """Return a script that answers every request alike, keeping no heads."""

    async def script(reader, writer, number):
        while True:
            await stage.request(reader)
            stage.heads.clear()
            writer.write(answer)
            await writer.drain()

    return script


def saying(stage, answer, *, close=True):
    """Return a script that reads a request head and says `answer`."""

    async def script(reader, writer, number):
        await stage.request(reader)
        writer.write(answer)
        await writer.drain()
        if not close:
            await reader.read()

    return script


async def settle(condition):
    """Wait until the condition holds."""
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


async def still_serves(stage):
    """Assert that a new client is served, and that nothing of the others is left behind."""
    head, _ = await stage.ask(GET)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert stage.worker.groups["app"].servers[0].busy == 0


# Slow clients.


def test_a_head_that_never_ends_is_408_and_named(play):
    async def part(stage):
        await stage.gateway(await stage.server(answering(stage)), gateway={"timeouts": {"head": "300ms"}})
        clients = [await stage.client() for _ in range(30)]

        async def drip(client):
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy":
                client.send(bytes((byte,)))
                await asyncio.sleep(0.02)

        drips = [asyncio.create_task(drip(client)) for client in clients]
        await still_serves(stage)
        for client in clients:
            head, body = await client.response()
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"client-head-timeout" in body
        await asyncio.gather(*drips)
        assert sum("cause=client-head-timeout" in line for line in stage.errors()) == 30

    play(part)


def test_a_body_that_stops_is_408_and_named(play):
    async def part(stage):
        gone = asyncio.Event()

        async def script(reader, writer, number):
            await stage.request(reader)
            await reader.read()
            gone.set()

        await stage.gateway(await stage.server(script), gateway={"timeouts": {"body": "200ms"}})
        head, body = await stage.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"client-body-timeout" in body
        await asyncio.wait_for(gone.wait(), 5)
        assert any("cause=client-body-timeout" in line for line in stage.errors())
        assert stage.worker.groups["app"].servers[0].failed == 0

    play(part)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_never_reads_is_cut_and_named(play, chunked, version):
    """Visibly, too: when it reads on at last, it does not take what it has for the whole."""

    async def part(stage):
        piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        answer = SPLIT + piece * 20 if chunked else b"HTTP/1.1 200 OK\r\nContent-Length: 20971520\r\n\r\n" + bytes(20 << 20)
        await stage.gateway(await stage.server(answering(stage, answer)), gateway={"timeouts": {"read": "300ms"}})
        client = await stage.client()
        client.writer.transport.pause_reading()
        client.send(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % version)
        record = (await stage.access())[0]
        assert (record["outcome"], record["cause"]) == ("cut", "client-read-timeout")
        assert any("cause=client-read-timeout" in line for line in stage.errors())
        assert stage.worker.groups["app"].servers[0].failed == 0
        client.writer.transport.resume_reading()
        data, broken = b"", False
        try:
            while piece := await asyncio.wait_for(client.reader.read(1 << 20), 8):
                data += piece
        except ConnectionResetError:
            broken = True
        assert broken or not complete(data)

    play(part)


def test_one_byte_at_a_time(play):
    async def part(stage):
        async def script(reader, writer, number):
            while True:
                head = await stage.request(reader)
                assert b"Transfer-Encoding: chunked" in head
                body = b""
                while size := int(await reader.readline(), 16):
                    body += await reader.readexactly(size)
                    await reader.readexactly(2)
                await reader.readline()
                for byte in SPLIT + b"3\r\n" + body + b"\r\n0\r\n\r\n":
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0)

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n2\r\nyz\r\n0\r\nT: 1\r\n\r\n"
        for byte in request * 2:
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await client.response())[1] == b"xyz"
        assert (await client.response())[1] == b"xyz"

    play(part)


# Too much at once.


def test_pipelined_requests_wait_in_bounded_memory(play):
    async def part(stage):
        await stage.gateway(await stage.server(answering(stage)))
        client = await stage.client()
        count = 60_000
        most = 0

        async def feed():
            for _ in range(count // 1_000):
                client.send(GET * 1_000)
                await client.writer.drain()

        feeding = asyncio.create_task(feed())
        for number in range(3_000):
            assert (await client.response())[1] == b"ok"
            if number % 50 == 0:
                most = max(most, *(len(down._buffer) for down in stage.worker.clients))
        feeding.cancel()
        assert most < 700_000

    play(part)


@pytest.mark.parametrize("own", [False, True], ids=["relayed", "answered by the gateway"])
def test_many_pipelined_requests_on_one_connection(play, own):
    """Each is read where the one before it ended, in whatever pieces they come; without recursion."""

    async def part(stage):
        await stage.gateway(await stage.server(answering(stage)), route="maintenance = true\n" if own else "")
        client = await stage.client()
        count = 20_000 if own else 5_000
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count)))
        for _ in range(count):
            head, _ = await client.response()
            assert head.startswith(b"HTTP/1.1 503 " if own else b"HTTP/1.1 200 "), head
        assert [record["target"] for record in await stage.access(count)] == [f"/{number}" for number in range(count)]

    play(part)


@pytest.mark.parametrize("size", [5_000, 100_000])
def test_responses_wait_in_bounded_memory_for_clients_that_send_but_never_read(play, size):
    async def part(stage):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size))
        await stage.gateway(await stage.server(answering(stage, answer)))
        clients = [deaf_socket(stage.port) for _ in range(5)]
        most = 0
        for client in clients:
            for _ in range(20_000_000 // size // 100):
                try:
                    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(client, GET * 100), 1)
                except TimeoutError:
                    break
            await asyncio.sleep(0.2)
            most = max(most, *(down.transport.get_write_buffer_size() for down in stage.worker.clients))
        for client in clients:
            client.close()
        assert most < 1_000_000

    play(part)


def deaf_socket(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def test_a_client_that_never_reads_costs_no_other_client_anything(play):
    """The connection to the server goes back to the pool fit for use, though its last client had stopped reading."""

    async def part(stage):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
        await stage.gateway(await stage.server(answering(stage, answer)), timeouts={"head": "1s"})
        sock = deaf_socket(stage.port)
        for number in range(100):
            await asyncio.get_running_loop().sock_sendall(sock, GET)
            await settle(lambda number=number: stage.worker.recorder.exchanges > number)
            if next(iter(stage.worker.clients)).transport.get_write_buffer_size() > 65_536:
                break
        head, _ = await stage.ask(GET)
        sock.close()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert not stage.worker.recorder.failures

    play(part)


@pytest.mark.parametrize("field", [b"", b"Connection: close\r\n"])
def test_a_client_that_does_not_take_the_end_of_its_response_is_let_go(play, field):
    """What is left then is less than would stop the exchange: it has ended, but the client's time to read has not."""

    async def part(stage):
        async def script(reader, writer, number):
            while True:
                size = 10 if b" /small " in await stage.request(reader) else 60_000
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size)))

        await stage.gateway(await stage.server(script), gateway={"timeouts": {"read": "300ms", "idle": "60s"}})
        sock = deaf_socket(stage.port)
        for number in range(200):
            await asyncio.get_running_loop().sock_sendall(sock, GET)
            await settle(lambda number=number: stage.worker.recorder.exchanges > number)
            if next(iter(stage.worker.clients)).transport.get_write_buffer_size() > 0:
                break
        await asyncio.get_running_loop().sock_sendall(sock, b"GET /small HTTP/1.1\r\nHost: a\r\n%b\r\n" % field)
        try:
            await settle(lambda: not stage.worker.clients)
        finally:
            sock.close()
        assert not stage.worker.recorder.failures

    play(part)


def test_connections_above_the_limit_get_503_and_are_closed(play):
    async def part(stage):
        await stage.gateway(await stage.server(answering(stage)), gateway={"limits": {"connections": 5}})
        within = [await stage.client() for _ in range(5)]
        await settle(lambda: len(stage.worker.clients) == 5)
        for _ in range(20):
            client = await stage.client()
            client.send(GET)
            head, body = await client.response()
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"gateway-overloaded" in body
            assert b"Connection: close\r\n" in head
            assert await client.rest() == b""
        for client in within:
            client.send(GET)
            assert (await client.response())[1] == b"ok"
        within[0].close()
        await settle(lambda: len(stage.worker.clients) == 4)
        await still_serves(stage)

    play(part)


@pytest.mark.parametrize(
    ("request_bytes", "status", "cause"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000, 431, "request-header-too-large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000, 431, "request-header-too-large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 150 + b"\r\n", 431, "request-header-too-large"),
        (b"GET /" + b"x" * 100_000, 414, "request-target-too-long"),
        (b"X" * 100_000, 414, "request-target-too-long"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 10_000, 400, "request-framing"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: " + b"x" * 50_000,
            431,
            "request-header-too-large",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: 1\r\n" * 20_000,
            431,
            "request-header-too-large",
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 10_000, 400, "request-framing"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 30_000 + b"\r\n\r\n", 400, "request-framing"),
    ],
)
def test_endless_requests_end(play, request_bytes, status, cause):
    async def part(stage):
        await stage.gateway(await stage.server(answering(stage)))
        client = await stage.client()
        client.send(request_bytes)
        head, body = await client.response()
        assert int(head.split(b" ")[1]) == status
        assert cause.encode() in body
        await still_serves(stage)

    play(part)


@pytest.mark.parametrize(
    ("start", "more", "cause"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "too-many-interim-responses"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1_000, "header-line-too-large"),
        (b"HTTP/1.1 200 ", b"y" * 1_000, None),
        (b"", b"\x00" * 1_000, "not-http"),
        (SPLIT + b"1;", b"x" * 1_000, "chunk-invalid"),
        (SPLIT + b"0\r\n", b"T: 1\r\n", "trailer-section-too-large"),
        (SPLIT + b"0\r\nT: ", b"x" * 1_000, "trailer-line-too-large"),
    ],
)
def test_endless_responses_end(play, start, more, cause):
    async def part(stage):
        sent = 0

        async def script(reader, writer, number):
            nonlocal sent
            await stage.request(reader)
            writer.write(start)
            for _ in range(5_000):
                writer.write(more * 10)
                await writer.drain()
                sent += len(more) * 10

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        data = await client.head()
        while data.startswith(b"HTTP/1.1 103 "):
            data = await client.head()
        if start.startswith(SPLIT):
            data += await client.rest()
        record = (await stage.access())[0]
        assert record["outcome"] == ("cut" if start.startswith(SPLIT) else "answered")
        assert record["status"] != 500
        assert cause is None or record["cause"] == cause
        assert not data.endswith(b"0\r\n\r\n")
        assert sent < 10_000_000

    play(part)


def test_a_body_in_answer_to_head_is_not_relayed(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(2_000):
                writer.write(OK * 100)
                await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(3):
            client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await client.head()
            assert b"Content-Length: 100000000\r\n" in head
        assert [record["reused"] for record in await stage.access(3)] == [False] * 3

    play(part)


# Servers that say too much.


def test_an_answer_before_the_question_is_no_answer_to_the_next_request(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(OK)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            await reader.read()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(3):
            client.send(GET)
            assert (await client.response())[1] == b"ok"
            await settle(lambda: not stage.worker.groups["app"].servers[0].idle)

    play(part)


@pytest.mark.parametrize("surplus", [OK, b"garbage", b"\r\n", b"HTTP/1.1 500 Evil\r\n\r\n"])
@pytest.mark.parametrize("answer", [OK, SPLIT + b"2\r\nok\r\n0\r\n\r\n"])
def test_bytes_after_the_response_never_reach_a_client(play, answer, surplus):
    async def part(stage):
        await stage.gateway(await stage.server(answering(stage, answer + surplus)))
        client = await stage.client()
        client.send(GET * 5)
        for _ in range(5):
            assert (await client.response())[1] == b"ok"
        assert not any(record["reused"] for record in await stage.access(5))

    play(part)


@pytest.mark.parametrize(
    "line",
    [
        b"Location: /a\rSet-Cookie: b=1",
        b"Location: /a\nSet-Cookie: b=1",
        b"Location: /a\r\n\nHTTP/1.1 200 OK",
        b"Location: /a\x00b",
        b"Location : /a",
        b" folded: 1",
    ],
)
def test_response_splitting_is_refused(play, line):
    async def part(stage):
        answer = b"HTTP/1.1 302 Found\r\nX-First: 1\r\n%b\r\nContent-Length: 0\r\n\r\n" % line
        await stage.gateway(await stage.server(saying(stage, answer)))
        head, _ = await stage.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"Set-Cookie" not in head

    play(part)


# Request smuggling.

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /outer HTTP/1.1\r\nHost: a\r\n"
PAYLOADS = [
    POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 0, 38\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: +38\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 0x26\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    POST + b"Content-Length: 38\r\n\r\n" + SMUGGLED,
    POST + b"Content_Length: 38\r\n\r\n" + SMUGGLED,
    POST + b"Connection: Content-Length\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabX0\r\n\r\n" + SMUGGLED,
    POST + b'Transfer-Encoding: chunked\r\n\r\n5;a="\r\n"\r\nabcde\r\n0\r\n\r\n' + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n" + SMUGGLED,
    b"POST /outer HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    b"GET /outer HTTP/1.1 \r\nHost: a\r\n\r\n" + SMUGGLED,
    b"GET  /outer HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED,
    b"GET /outer\x0bHTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    b"GET http://b/outer HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/0.9\r\nHost: a\r\n\r\n" + SMUGGLED,
    b"GET /outer\r\n\r\n" + SMUGGLED,
    b"\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n" + SMUGGLED,
    b"GET /outer HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"
    + SMUGGLED,
]


def parsed(stream):
    """Return (method, target, body) of each request in what a server received, as h11 reads it."""
    found = []
    while stream:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(stream)
        request = connection.next_event()
        assert isinstance(request, h11.Request), request
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        found.append((request.method, request.target, body))
        stream = connection.trailing_data[0]
    return found


def recording(streams):
    """Return a script that keeps every byte it gets, and answers once for each request that h11 sees in them."""

    async def script(reader, writer, number):
        streams.append(b"")
        answered = 0
        while data := await reader.read(65_536):
            streams[number] += data
            try:
                seen = parsed(streams[number])
            except (AssertionError, h11.RemoteProtocolError):
                continue  # not complete yet; the test parses it again
            for _ in seen[answered:]:
                writer.write(OK)
            answered = len(seen)

    return script


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_each_server_sees_exactly_the_requests_that_were_answered(play, payload):
    async def part(stage):
        streams = []
        await stage.gateway(await stage.server(recording(streams)), timeouts={"head": "2s"})
        client = await stage.client()
        client.send(payload + b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = await client.rest()
        seen = [request for stream in streams for request in parsed(stream)]
        passed = answers.count(b"HTTP/1.1 200 OK\r\n")
        assert len(seen) == passed
        refused = re.findall(rb"HTTP/1\.1 (\d+) ", answers.replace(b"HTTP/1.1 200 OK\r\n", b""))
        assert all(status[:1] == b"4" or status in (b"501", b"505") for status in refused), answers
        assert len(refused) <= 1
        targets = [target for _, target, _ in seen]
        expected = [b"/outer", b"/smuggled", b"/last"] if b"/outer" in payload else [b"/smuggled", b"/last"]
        assert targets == expected[: len(targets)] or targets == [b"/outer", b"/last"], targets
        if not refused:
            assert targets[-1] == b"/last"
        assert len(await stage.access(passed + len(refused))) == passed + len(refused)

    play(part)


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad Request", b"426 Upgrade Required"])
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_a_refused_upgrade_leaves_no_tunnel(play, protocol, status):
    """What follows is a request, read by the gateway: its route and its access rules hold."""

    async def part(stage):
        answer = b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status
        await stage.gateway(
            await stage.server(answering(stage, answer)),
            route='[[route]]\npath = "/admin"\nupstream = "app"\ndeny = ["127.0.0.0/8"]\n',
        )
        client = await stage.client()
        client.send(
            b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMA\r\n"
            b"Sec-WebSocket-Version: 777\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n" % protocol
        )
        head, _ = await client.response()
        assert status in head
        head, _ = await client.response()
        assert head.startswith(b"HTTP/1.1 403 ")

    play(part)


def test_an_upgrade_with_a_body_is_not_offered(play):
    async def part(stage):
        await stage.gateway(await stage.server(saying(stage, OK, close=False)))
        await stage.ask(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab")
        assert b"pgrade" not in stage.heads[0]

    play(part)


# Lies.


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: a\x0bb",
        b'X-Request-Id: "><script>alert(1)</script>',
        b"X-Forwarded-For: 6.6.6.6",
        b"X-Forwarded-Host: evil.example",
        b"X-Forwarded-Proto: https",
        b"X-Real-IP: 6.6.6.6",
        b"Forwarded: for=6.6.6.6;host=evil.example",
        b"X_Forwarded_For: 6.6.6.6",
        b"Via: 1.1 evil.example",
    ],
)
def test_what_clients_say_of_themselves_is_not_passed_off_as_ours(play, line):
    async def part(stage):
        await stage.gateway(await stage.server(saying(stage, OK)))
        await stage.ask(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\nConnection: close\r\n\r\n" % line)
        for head in stage.heads:
            assert b"6.6.6.6" not in head
            assert b"script" not in head
            assert b"X-Forwarded-Proto: http\r\n" in head
            assert b"X-Forwarded-Host: a\r\n" in head
            assert head.index(b"Via: 1.1 headgate") > head.find(b"evil.example")

    play(part)


@pytest.mark.parametrize("host", [b'a"b', b"a\\b", b"a b", b"a\tb", b"a,b", b"a/b", b"a@b", b"a;b", b"\xff", b"[::1", b"a:b"])
def test_a_host_that_is_none_is_refused(play, host):
    async def part(stage):
        await stage.gateway(await stage.server(saying(stage, OK)))
        head, _ = await stage.ask(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert not stage.heads

    play(part)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /\x1b[31mred\x1b[0m HTTP/1.1\r\nHost: a\r\n\r\n",
        b'GET /"}\\u0000%0d%0a HTTP/1.1\r\nHost: a\r\n\r\n',
        b"GET /a\rlevel=error HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x1b[2J\r\n\r\n",
        b'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: "\x80\xff\\\r\nReferer: \xe2\x80\xa8\r\n\r\n',
        b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\xff\xfe\x00\x01\r\n\r\n",
    ],
)
@pytest.mark.parametrize("form", ["json", "combined"])
def test_no_request_forges_a_log_line(play, request_bytes, form):
    async def part(stage):
        log = {"access": "access.log", "errors": "errors.log", "format": form}
        await stage.gateway(await stage.server(saying(stage, OK)), gateway={"log": log})
        client = await stage.client()
        client.send(request_bytes)
        await client.response()
        await settle(lambda: stage.worker.recorder.exchanges == 1)
        stage.worker.recorder.flush()
        for name in ("access.log", "errors.log"):
            raw = (stage.folder / name).read_bytes()
            assert raw.count(b"\n") <= 1
            assert all(0x20 <= byte < 0x7F for byte in raw.rstrip(b"\n"))
        if form == "json":
            assert json.loads((stage.folder / "access.log").read_text())["client"] == "127.0.0.1"

    play(part)


def test_public_answers_tell_nothing_internal(play):
    async def part(stage):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        await stage.gateway(f"http://127.0.0.1:{port}")
        for accept in (b"application/json", b"text/html", b"text/plain", b"application/problem+json"):
            head, body = await stage.ask(b"GET /secret?token=abc HTTP/1.1\r\nHost: a\r\nAccept: %b\r\n\r\n" % accept)
            assert head.startswith(b"HTTP/1.1 502 ")
            for word in (b"%d" % port, b"127.0.0.1", b"/secret", b"token", b"Errno", b"Traceback", b".py", b"headgate-"):
                assert word not in head + body, word

    play(part)


# Leaving at every stage.

STAGES = [
    b"",
    b"GET / HT",
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    GET,
    GET + GET,
    b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX: ",
]


async def moody(stage, reader, writer):
    while True:
        head = await stage.request(reader)
        if b" /slow " in head:
            await asyncio.sleep(0.1)
        elif b" /big " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + bytes(5_000_000))
            await writer.drain()
            continue
        elif b" /chunks " in head:
            writer.write(SPLIT + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 50 + b"0\r\n\r\n")
            await writer.drain()
            continue
        elif b" /tunnel " in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
            while data := await reader.read(100):
                writer.write(data)
        writer.write(OK)


@pytest.mark.parametrize("how", ["reset", "close", "shutdown"])
def test_clients_that_leave_at_any_stage_leave_nothing_behind(play, how):
    async def part(stage):
        await stage.gateway(await stage.server(lambda reader, writer, number: moody(stage, reader, writer)))
        kept = []
        for request in STAGES:
            for wait in (0, 0.03):
                sock = socket.create_connection(("127.0.0.1", stage.port))
                sock.sendall(request)
                await asyncio.sleep(wait)
                if how == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                if how == "shutdown":
                    sock.shutdown(socket.SHUT_WR)
                    kept.append(sock)
                else:
                    sock.close()
        await settle(lambda: not stage.worker.clients or how == "shutdown")
        for sock in kept:
            sock.close()
        await settle(lambda: not stage.worker.clients)
        server = stage.worker.groups["app"].servers[0]
        assert (server.busy, server.failed) == (0, 0)
        assert not stage.worker.recorder.failures
        await still_serves(stage)

    play(part)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    ("said", "cut"),
    [
        (None, False),
        (b"", False),
        (b"HT", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + bytes(1_000_000), True),
        (SPLIT, True),
        (SPLIT + b"5\r\nab", True),
        (SPLIT + b"5\r\nabcde", True),
        (SPLIT + b"5\r\nabcde\r\n0\r\n", True),
    ],
)
def test_servers_that_leave_at_any_stage(play, said, cut, method, reset):
    """502 while nothing has gone out, a visible cut afterwards; never 500, never an exchange that hangs."""

    async def part(stage):
        async def script(reader, writer, number):
            if said is not None:
                await stage.request(reader)
                writer.write(said)
                await writer.drain()
                await asyncio.sleep(0.02)
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"%b / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % method)
        data = await asyncio.wait_for(client.reader.read(1 << 16), 8)
        while data.startswith(b"HTTP/1.1 1"):
            data = data.partition(b"\r\n\r\n")[2] or await asyncio.wait_for(client.reader.read(1 << 16), 8)
        record = (await stage.access())[0]
        if cut:
            data += await client.rest()
            assert record["outcome"] == "cut"
            assert not complete(data)
        else:
            assert data.startswith(b"HTTP/1.1 502 ")
            assert record["outcome"] == "answered"
        assert stage.worker.groups["app"].servers[0].busy == 0

    play(part)


def complete(data):
    """Tell whether a client would take these bytes for a whole response."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return False
    except h11.RemoteProtocolError:
        return False
    return True


# Tunnels.


@pytest.mark.parametrize("hold_back", [False, True])
def test_a_tunnel_outlives_the_timeouts_of_ordinary_exchanges(play, hold_back):
    """Also one whose client did not read for a while."""

    async def part(stage):
        size = 20_000_000 if hold_back else 10_000

        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + bytes(size))
            await writer.drain()
            while data := await reader.read(100):
                writer.write(data)

        await stage.gateway(await stage.server(script), timeouts={"total": "1s", "idle": "300ms"})
        client = await stage.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await client.head()
        if hold_back:
            client.writer.transport.pause_reading()
            await asyncio.sleep(0.2)
            client.writer.transport.resume_reading()
        await client.reader.readexactly(size)
        await asyncio.sleep(1.3)
        client.send(b"hello")
        assert await asyncio.wait_for(client.reader.readexactly(5), 5) == b"hello"

    play(part)


# All of it, on a real process.

MIXED = [
    GET,
    GET,
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"GET /%d HTTP/1.1\r\nHost: h%d.example\r\nX-%d: %d\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000,
]


def rss(pid: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_memory_stays_bounded_over_many_mixed_requests(tmp_path):
    async def part():
        async def script(reader, writer):
            try:
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(OK)
            except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
                writer.close()

        server = await asyncio.start_server(script, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        errors = (tmp_path / "stderr").open("wb")
        gateway = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from headgate.cli import main; main()", "serve", "--listen", "127.0.0.1:0", "--to", url,
            stdout=asyncio.subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
        errors.close()
        try:
            await settle(lambda: b"listening on" in (tmp_path / "stderr").read_bytes())
            port = int(re.search(rb"listening on 127.0.0.1:(\d+)", (tmp_path / "stderr").read_bytes())[1])
            await flood(port, 4_000, 0)
            before = rss(gateway.pid)
            await flood(port, 10_000, 1)
            assert rss(gateway.pid) - before < 15_000
            assert gateway.returncode is None
        finally:
            gateway.terminate()
            code = await asyncio.wait_for(gateway.wait(), 10)
        assert code == 0
        assert b"Traceback" not in (tmp_path / "stderr").read_bytes()
        server.close()

    asyncio.run(asyncio.wait_for(part(), 50))


async def flood(port: int, count: int, seed: int) -> None:
    """Send `count` requests of all kinds, some good ones on kept connections."""

    async def one(start: int) -> None:
        for number in range(start, count, 16):
            data = MIXED[number % len(MIXED)]
            if b"%d" in data:
                data %= (number, seed * count + number, number, number)
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(data + GET)
                if number % 3:
                    await asyncio.wait_for(reader.read(65_536), 8)
                writer.close()
            except ConnectionError:
                pass

    await asyncio.gather(*(one(start) for start in range(16)))
