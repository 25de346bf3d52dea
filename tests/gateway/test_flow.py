"""Exchanges over real sockets: what is relayed, what is named, what is tried again."""

import asyncio
import gzip
import hashlib
import os

import pytest

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def always_ok(stage, reader, writer):
    while True:
        await stage.request(reader)
        writer.write(OK)


def ok(stage):
    return lambda reader, writer, number: always_ok(stage, reader, writer)


def test_keep_alive_on_both_sides(play):
    async def part(stage):
        connections = []

        async def script(reader, writer, number):
            connections.append(number)
            await always_ok(stage, reader, writer)

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(5):
            client.send(GET)
            head, body = await client.response()
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == b"ok"
        assert connections == [0]
        records = await stage.access(5)
        assert [record["reused"] for record in records] == [False, True, True, True, True]
        assert len({record["reference"] for record in records}) == 5

    play(part)


def test_pipelined_requests_are_answered_in_order(play):
    async def part(stage):
        async def script(reader, writer, number):
            while True:
                head = await stage.request(reader)
                path = head.split(b" ")[1]
                await asyncio.sleep(0.02 if path == b"/0" else 0)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20)))
        assert [(await client.response())[1] for _ in range(20)] == [b"/%d" % number for number in range(20)]

    play(part)


@pytest.mark.parametrize("size", [0, 1, 5_000, 70_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_whole_both_ways(play, size, chunked):
    body = os.urandom(size)

    async def part(stage):
        async def script(reader, writer, number):
            head = (await stage.request(reader)).lower()
            if b"chunked" in head:
                got = b""
                while length := int(await reader.readline(), 16):
                    got += await reader.readexactly(length)
                    await reader.readexactly(2)
                await reader.readline()
            else:
                got = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            digest = hashlib.sha256(got).hexdigest().encode()
            if chunked:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Digest: %b\r\n\r\n" % digest)
                for start in range(0, len(got), 7_919):
                    piece = got[start : start + 7_919]
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Digest: %b\r\n\r\n%b" % (len(got), digest, got))
            await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        if chunked:
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, size, 9_001):
                piece = body[start : start + 9_001]
                client.send(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece))
            client.send(b"0\r\n\r\n")
        else:
            client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
        head, got = await client.response()
        assert hashlib.sha256(body).hexdigest().encode() in head
        assert got == body

    play(part)


def test_a_long_body_is_spliced_and_the_connection_kept(play):
    body = os.urandom(2_000_000)

    async def part(stage):
        async def script(reader, writer, number):
            while True:
                await stage.request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(3):
            client.send(GET)
            assert (await client.response())[1] == body
        records = await stage.access(3)
        assert [record["reused"] for record in records] == [False, True, True]
        assert records[0]["sent"] > len(body)

    play(part)


def test_a_spliced_body_that_breaks_off_is_cut(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(700_000))
            await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(GET)
        await client.head()
        assert len(await client.rest()) < 2_000_000
        record = (await stage.access())[0]
        assert (record["status"], record["outcome"], record["cause"]) == (200, "cut", "body-truncated")

    play(part)


def test_close_delimited_bodies(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")

        await stage.gateway(await stage.server(script))
        head, body = await stage.ask(GET)
        assert b"Transfer-Encoding: chunked" in head
        assert body == b"all of it"
        client = await stage.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        head = await client.head()
        assert b"chunked" not in head
        assert b"Connection: close" in head
        assert await client.rest() == b"all of it"

    play(part)


def test_an_old_client_never_takes_a_cut_for_the_end(play):
    """HTTP/1.0 without a length: only a reset can show that the response broke off."""

    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.head()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.readexactly(100), 8)

    play(part)


def test_hop_by_hop_fields_and_spoofed_ones_do_not_pass(play):
    async def part(stage):
        await stage.gateway(await stage.server(ok(stage)))
        await stage.ask(
            b"GET /x HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n"
            b"TE: trailers\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: spoofed\r\nX-Other: 2\r\n"
            b"Content_Length: 5\r\n\r\n"
        )
        head = stage.heads[0]
        for absent in (b"X-Secret", b"Keep-Alive:", b"6.6.6.6", b"spoofed", b"Content_Length"):
            assert absent not in head
        assert b"X-Other: 2\r\n" in head
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in head
        assert b"X-Forwarded-Proto: http\r\n" in head
        assert b"Forwarded: for=127.0.0.1;host=example.org;proto=http\r\n" in head
        assert b"Via: 1.1 headgate-" in head

    play(part)


def test_a_trusted_proxy_is_believed(play):
    async def part(stage):
        await stage.gateway(await stage.server(ok(stage)), gateway={"trusted_proxies": ["127.0.0.0/8"]})
        await stage.ask(
            b"GET / HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 203.0.113.9, 127.0.0.7\r\nX-Forwarded-Proto: https\r\n"
            b"X-Request-Id: abc-123\r\n\r\n"
        )
        head = stage.heads[0]
        assert b"X-Forwarded-For: 203.0.113.9, 127.0.0.7, 127.0.0.1\r\n" in head
        assert b"X-Forwarded-Proto: https\r\n" in head
        assert b"X-Request-Id: abc-123\r\n" in head
        record = (await stage.access())[0]
        assert (record["client"], record["reference"]) == ("203.0.113.9", "abc-123")

    play(part)


def test_continue_end_to_end_and_early_hints(play):
    async def part(stage):
        async def script(reader, writer, number):
            head = await stage.request(reader)
            assert b"Expect: 100-continue\r\n" in head
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(4) == b"body"
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK)

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"body")
        assert await client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        assert (await client.response())[1] == b"ok"

    play(part)


def test_an_early_answer_to_an_upload_arrives(play):
    """The server answers 413, closes with unread data, and so resets: the client must see 413, not 502."""

    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            await writer.drain()
            writer.close()

        await stage.gateway(await stage.server(script))
        for _ in range(10):
            client = await stage.client()
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + bytes(3_000_000))
            head, body = await client.response()
            assert head.startswith(b"HTTP/1.1 413 ")
            assert b"Connection: close" in head
            assert body == b"big"
            client.close()

    play(part)


def test_upgrade_only_when_offered_and_accepted(play):
    async def part(stage):
        async def script(reader, writer, number):
            head = await stage.request(reader)
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
            if b"Upgrade: websocket" in head:
                writer.write((await reader.readexactly(4)).upper())
                await writer.drain()

        await stage.gateway(await stage.server(script), gateway={"details_for": ["127.0.0.0/8"]})
        client = await stage.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert b"Upgrade: websocket\r\n" in await client.head()
        assert await client.reader.readexactly(5) == b"hello"
        client.send(b"ping")
        assert await client.rest() == b"PING"
        head, body = await stage.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"upgrade-not-offered" in body
        records = await stage.access(2)
        assert records[0]["outcome"] == "tunnel"

    play(part)


def test_options_may_ask_for_the_gateway_itself(play):
    async def part(stage):
        await stage.gateway(await stage.server(ok(stage)))
        client = await stage.client()
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 204 ")
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n")
        await client.response()
        assert [head.split(b"\r\n")[0] for head in stage.heads] == [b"OPTIONS * HTTP/1.1"]
        assert b"Max-Forwards: 2\r\n" in stage.heads[0]

    play(part)


def test_loops_end(play):
    async def part(stage):
        await stage.gateway("itself")
        head, body = await stage.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"loop-detected" in body
        assert len(await stage.access(2)) == 2

    play(part)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_connection_that_dies_before_the_answer(play, method):
    """GET is sent again, POST is not: the server may have executed it."""

    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            if number:
                writer.write(OK)
                await writer.drain()

        await stage.gateway(await stage.server(script))
        length = b"Content-Length: 0\r\n" if method == b"POST" else b""
        head, body = await stage.ask(b"%b / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, length))
        record = (await stage.access())[0]
        if method == b"GET":
            assert body == b"ok"
            assert [attempt["cause"] for attempt in record["tries"]] == ["closed-before-answer", None]
        else:
            assert head.startswith(b"HTTP/1.1 502 ")
            assert len(stage.heads) == 1
            assert record["tries"][0]["verdict"] == "not-idempotent"

    play(part)


def test_a_kept_connection_closed_at_once_is_replaced(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(OK)
            await writer.drain()
            if number == 0:
                await stage.request(reader)  # the second request meets a server that closes instead

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(GET)
        await client.response()
        client.send(GET)
        assert (await client.response())[1] == b"ok"
        record = (await stage.access(2))[1]
        assert record["tries"][0]["cause"] == "closed-on-reuse"
        assert record["tries"][0]["verdict"] == "again-reused"

    play(part)


def test_an_idle_connection_the_server_closed_is_never_used(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(OK)
            await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(5):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            assert (await client.response())[1] == b"ok"
            await asyncio.sleep(0.02)
        assert not stage.errors()[1:] or all("level=error" not in line for line in stage.errors())

    play(part)


def test_the_pool_learns_how_long_the_server_keeps_connections(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(OK)
            await writer.drain()
            await asyncio.sleep(0.5)  # its keep-alive

        await stage.gateway(await stage.server(script))
        server = stage.worker.groups["app"].servers[0]
        client = await stage.client()
        limits = []
        for _ in range(3):
            client.send(GET)
            await client.response()
            limits.append(server.idle_limit)
            await asyncio.sleep(0.7)
        assert limits[:2] == [55.0, 55.0], "one close alone may be a restart"
        assert limits[2] < 0.5

    play(part)


def test_the_next_server_is_asked_when_one_refuses(play):
    async def part(stage):
        listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        closed = listener.sockets[0].getsockname()[1]
        listener.close()
        await listener.wait_closed()
        await stage.gateway(f"http://127.0.0.1:{closed}", await stage.server(ok(stage)), policy="round-robin")
        for _ in range(6):
            assert (await stage.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"))[1] == b"ok"
        records = await stage.access(6)
        rescued = [record for record in records if record["attempts"] == 2]
        assert rescued
        assert rescued[0]["tries"][0]["cause"] == "connection-refused"
        assert all(head.count(b"POST") == 1 for head in stage.heads)

    play(part)


def test_surplus_bytes_cost_the_connection_not_the_response(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            await writer.drain()
            await asyncio.sleep(0.2)

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        for _ in range(2):
            client.send(GET)
            assert (await client.response())[1] == b"ok"
        records = await stage.access(2)
        assert [record["reused"] for record in records] == [False, False]
        assert records[0]["tries"][0]["cause"] == "unsolicited-response"

    play(part)


def test_own_502_of_a_server_passes_untouched_and_marked(play):
    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\nX-Own: 1\r\n\r\nmine!")

        await stage.gateway(await stage.server(script))
        head, body = await stage.ask(GET)
        assert body == b"mine!"
        assert b"X-Own: 1\r\n" in head
        assert b"Proxy-Status: headgate; received-status=502\r\n" in head
        assert (await stage.access())[0]["outcome"] == "served"

    play(part)


def test_a_client_that_leaves_is_499_and_the_server_is_let_go(play):
    async def part(stage):
        gone = asyncio.Event()

        async def script(reader, writer, number):
            await stage.request(reader)
            assert await reader.read(1) == b""
            gone.set()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(GET)
        await asyncio.sleep(0.1)
        client.close()
        await asyncio.wait_for(gone.wait(), 5)
        record = (await stage.access())[0]
        assert (record["status"], record["outcome"], record["cause"]) == (499, "gone", "client-gone")
        assert stage.worker.groups["app"].servers[0].failed == 0
        assert stage.worker.groups["app"].servers[0].busy == 0

    play(part)


def test_backpressure_holds_the_server_back(play):
    """A client that does not read keeps the gateway from collecting the body, chunked so that it passes through Python."""

    async def part(stage):
        sent = 0

        async def script(reader, writer, number):
            nonlocal sent
            await stage.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"10000\r\n" + bytes(65_536) + b"\r\n"
            for _ in range(600):
                writer.write(piece)
                await writer.drain()
                sent += 65_536
            writer.write(b"0\r\n\r\n")
            await writer.drain()

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.writer.transport.pause_reading()
        client.send(GET)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 30_000_000
        client.writer.transport.resume_reading()
        assert len((await client.response())[1]) == 600 * 65_536

    play(part)


def test_backpressure_holds_the_client_back(play):
    async def part(stage):
        go_on = asyncio.Event()

        async def script(reader, writer, number):
            await stage.request(reader)
            await go_on.wait()
            await reader.readexactly(60_000_000)
            writer.write(OK)

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\n")
        piece, sent = bytes(1_000_000), 0
        try:
            for _ in range(60):
                client.send(piece)
                await asyncio.wait_for(client.writer.drain(), 0.5)
                sent += len(piece)
        except TimeoutError:
            pass
        assert sent < 40_000_000
        go_on.set()
        client.send(bytes(60_000_000 - sent - 1_000_000))
        assert (await client.response())[1] == b"ok"

    play(part)


def test_head_and_bodiless_statuses(play):
    async def part(stage):
        async def script(reader, writer, number):
            while True:
                head = await stage.request(reader)
                if head.startswith(b"HEAD"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
                elif b"/304" in head:
                    writer.write(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Content-Length: 5000\r\n" in await client.head()
        client.send(b"GET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 304 ")
        client.send(b"GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 204 ")
        assert len(await stage.access(3)) == 3

    play(part)


@pytest.mark.parametrize(("broken", "length"), [(False, True), (True, True), (True, False)])
def test_compressed_bodies_are_looked_at_where_asked_for(play, broken, length):
    whole = gzip.compress(bytes(100_000))
    body = whole[:-5] if broken else whole

    async def part(stage):
        async def script(reader, writer, number):
            await stage.request(reader)
            framing = b"Content-Length: %d" % len(body) if length else b"Connection: close"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n%b\r\n\r\n%b" % (framing, body))

        await stage.gateway(await stage.server(script), check_content_coding=True, retry={"attempts": 1})
        client = await stage.client()
        client.send(GET)
        head = await client.head()
        record = (await stage.access())[0]
        if not broken:
            assert head.startswith(b"HTTP/1.1 200 ")
            assert record["outcome"] == "served"
        else:
            assert record["cause"] == "content-coding-invalid"
            assert head.startswith(b"HTTP/1.1 502 " if length else b"HTTP/1.1 200 ")
            assert record["outcome"] == ("answered" if length else "cut")

    play(part)


def test_trailers_pass_to_those_who_take_them(play):
    async def part(stage):
        async def script(reader, writer, number):
            while True:
                await stage.request(reader)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n"
                )

        await stage.gateway(await stage.server(script))
        client = await stage.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n")
        await client.head()
        assert await client.reader.readuntil(b"\r\n\r\n") == b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"
        client.send(GET)
        await client.head()
        assert await client.reader.readuntil(b"\r\n\r\n") == b"2\r\nok\r\n0\r\n\r\n"

    play(part)


@pytest.mark.parametrize(
    ("raw", "status", "cause"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "request-host-invalid"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "request-malformed"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "request-framing"),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 9000), 414, "request-target-too-long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 40000), 431, "request-header-too-large"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "request-version-unsupported"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "request-version-unsupported"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "request-tls-on-plain-port"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "request-coding-unsupported"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "request-method-unsupported"),
    ],
)
def test_bad_requests_are_named_and_their_connection_ends(play, raw, status, cause):
    async def part(stage):
        await stage.gateway(await stage.server(ok(stage)))
        client = await stage.client()
        client.send(raw)
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert cause.encode() in body
        assert b"Connection: close" in head
        assert await client.rest() == b""
        assert not stage.heads
        assert stage.worker.recorder.refusals[cause] == 1
        assert not stage.worker.recorder.failures

    play(part)


def test_a_slow_request_head_is_408(play):
    async def part(stage):
        await stage.gateway(await stage.server(ok(stage)), gateway={"timeouts": {"head": "200ms"}})
        client = await stage.client()
        client.send(b"GET / HTTP/1.1\r\n")
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"client-head-timeout" in body

    play(part)


def test_stop_drains(play):
    async def part(stage):
        release = asyncio.Event()

        async def script(reader, writer, number):
            await stage.request(reader)
            await release.wait()
            writer.write(OK)

        await stage.gateway(await stage.server(script))
        busy, idle = await stage.client(), await stage.client()
        busy.send(GET)
        await asyncio.sleep(0.1)
        stage.worker.stop()
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", stage.port)
        release.set()
        head, body = await busy.response()
        assert body == b"ok"
        assert b"Connection: close\r\n" in head
        await asyncio.wait_for(stage._running, 5)

    play(part)
