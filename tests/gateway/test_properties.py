"""Random exchanges, cuts and corruptions through the real data plane: h11 is the judge of what a client takes for complete."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import h11
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.config.load import load
from headgate.gateway.sockets import bind
from headgate.gateway.worker import Worker

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
BODIES = st.one_of(st.binary(max_size=40), st.integers(0, 300_000).map(lambda size: bytes(range(256)) * (size // 256)))
PIECES = st.lists(st.integers(1, 9_000), min_size=1, max_size=5)


def framed(body: bytes, pieces: list[int], *, chunked: bool) -> bytes:
    """Return a body in its framing: chunks of the sizes in `pieces`, over and over."""
    if not chunked:
        return body
    data, at, turn = b"", 0, 0
    while at < len(body):
        piece = body[at : at + max(pieces[turn % len(pieces)], len(body) // 500)]
        data += b"%x\r\n%b\r\n" % (len(piece), piece)
        at += len(piece)
        turn += 1
    return data + b"0\r\n\r\n"


def framing(body: bytes, *, chunked: bool) -> bytes:
    return b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % len(body)


async def send_in_pieces(writer: asyncio.StreamWriter, data: bytes, cuts: list[int]) -> None:
    """Send data cut at these positions, letting the gateway see each piece for itself."""
    at = 0
    for cut in sorted({*cuts, len(data)}):
        if at < cut <= len(data):
            writer.write(data[at:cut])
            await writer.drain()
            await asyncio.sleep(0)
            at = cut


class Peer:
    """An HTTP/1.1 endpoint that is h11 on a stream."""

    def __init__(self, reader: asyncio.StreamReader, role: type[h11.SERVER] | type[h11.CLIENT]) -> None:
        self.h11 = h11.Connection(role, max_incomplete_event_size=1 << 20)
        self._reader = reader

    async def message(self) -> tuple[h11.Request | h11.Response, bytes, bool] | None:
        """Return the next head, its body, and whether it was complete; None when the stream ends before a head."""
        head: h11.Request | h11.Response | None = None
        body = bytearray()
        while True:
            try:
                event = self.h11.next_event()
            except h11.RemoteProtocolError:
                return (head, bytes(body), False) if head is not None else None
            if event is h11.NEED_DATA:
                try:
                    self.h11.receive_data(await asyncio.wait_for(self._reader.read(65_536), 8))
                except ConnectionResetError:
                    return (head, bytes(body), False) if head is not None else None
            elif isinstance(event, h11.Request | h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return head, bytes(body), True
            elif isinstance(event, h11.ConnectionClosed):
                return (head, bytes(body), False) if head is not None else None


async def through_the_gateway(
    folder: Path,
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    act: Callable[[asyncio.StreamReader, asyncio.StreamWriter, Worker], Awaitable[None]],
) -> None:
    """Run a client against a gateway in front of a server."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    sock = bind("127.0.0.1:0")
    file = folder / "headgate.toml"
    file.write_text(
        '[gateway]\nlisten = ["127.0.0.1:0"]\nlog = { access = "off", errors = "errors.log" }\n[upstream.app]\n'
        f'servers = ["http://127.0.0.1:{server.sockets[0].getsockname()[1]}"]\ntimeouts = {{ head = "1s", idle = "1s" }}\n'
    )
    worker = Worker(load(str(file)), asyncio.get_running_loop())
    await worker.listen([sock])
    running = asyncio.create_task(worker.run())
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    try:
        await asyncio.wait_for(act(reader, writer, worker), 15)
    finally:
        writer.close()
        server.close()
        worker.stop()
        worker.stop()
        await running
        await asyncio.sleep(0)


def run(part: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(part)  # type: ignore[arg-type]


EXCHANGE = st.fixed_dictionaries(
    {
        "method": st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"REPORT"]),
        "sent": BODIES,
        "sent_chunked": st.booleans(),
        "pieces": PIECES,
        "answered": BODIES,
        "answered_how": st.sampled_from(["length", "chunked", "close"]),
        "status": st.sampled_from([200, 201, 404, 500, 503]),
        "server_closes": st.booleans(),
        "cuts": st.lists(st.integers(0, 2_000), max_size=6),
    }
)


@QUICK
@given(exchanges=st.lists(EXCHANGE, min_size=1, max_size=4), pipelined=st.booleans())
def test_exchanges_arrive_as_they_were_sent(tmp_path, exchanges, pipelined):
    seen = []

    async def serve(reader, writer):
        peer = Peer(reader, h11.SERVER)
        while message := await peer.message():
            request, body, whole = message
            assert whole
            number = int(bytes(request.target)[1:])
            told = exchanges[number]
            seen.append((number, bytes(request.method), body))
            how, answer = told["answered_how"], told["answered"]
            chunked, close = how == "chunked", how == "close" or told["server_closes"]
            head = b"HTTP/1.1 %d X\r\nX-Number: %d\r\n" % (told["status"], number)
            head += b"Connection: close\r\n" if close else b""
            head += framing(answer, chunked=chunked) if how != "close" else b""
            await send_in_pieces(writer, head + b"\r\n" + framed(answer, told["pieces"], chunked=chunked), told["cuts"])
            if close:
                return
            peer.h11.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            peer.h11.send(h11.EndOfMessage())
            peer.h11.start_next_cycle()

    async def act(reader, writer, worker):
        peer = Peer(reader, h11.CLIENT)
        data = [
            b"%b /%d HTTP/1.1\r\nHost: a\r\n%b\r\n%b"
            % (
                told["method"],
                number,
                framing(told["sent"], chunked=told["sent_chunked"]),
                framed(told["sent"], told["pieces"], chunked=told["sent_chunked"]),
            )
            for number, told in enumerate(exchanges)
        ]
        sending = asyncio.create_task(send_in_pieces(writer, b"".join(data), exchanges[0]["cuts"])) if pipelined else None
        for number, told in enumerate(exchanges):
            if sending is None:
                await send_in_pieces(writer, data[number], told["cuts"])
            peer.h11.send(h11.Request(method=told["method"], target="/", headers=[("Host", "a")]))
            peer.h11.send(h11.EndOfMessage())
            response, body, whole = await peer.message()
            assert whole
            assert response.status_code == told["status"]
            assert (b"x-number", b"%d" % number) in response.headers
            assert body == told["answered"]
            peer.h11.start_next_cycle()
        assert not worker.recorder.failures

    run(through_the_gateway(tmp_path, serve, act))
    assert seen == [(number, told["method"], told["sent"]) for number, told in enumerate(exchanges)]


ANSWERS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX: y\r\n\r\n" + b"abcdefghijklmnopqrst",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nf;x=y\r\nfghijklmnopqrst\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"abcdefghijklmnopqrst",
        b"HTTP/1.0 404 Gone\r\nContent-Length: 20\r\nConnection: keep-alive\r\n\r\n" + b"abcdefghijklmnopqrst",
    ]
)
BODY = b"abcdefghijklmnopqrst"


async def judge(folder, said, *, reset, version):
    """Play a server that says these bytes and leaves; return what the client saw."""
    result = []

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        await asyncio.sleep(0.002)
        if reset:
            writer.transport.abort()

    async def act(reader, writer, worker):
        writer.write(b"POST / HTTP/1.%d\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % version)
        peer = Peer(reader, h11.CLIENT)
        peer.h11.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
        peer.h11.send(h11.EndOfMessage())
        result.append(await peer.message())
        assert "unexpected" not in "".join(worker.recorder.failures)
        assert "gateway-error" not in worker.recorder.failures

    await through_the_gateway(folder, serve, act)
    return result[0]


@settings(QUICK, max_examples=120)
@given(answer=ANSWERS, share=st.floats(0, 1, exclude_max=True), reset=st.booleans(), version=st.integers(0, 1))
def test_a_response_that_breaks_off_never_looks_complete(tmp_path, answer, share, reset, version):
    cut = int(share * len(answer))
    outcome = []

    async def part():
        outcome.append(await judge(tmp_path, answer[:cut], reset=reset, version=version))

    run(part())
    if outcome[0] is None:
        return  # the connection broke before a head: no response at all
    response, _, whole = outcome[0]
    assert response.status_code in (200, 404, 502)
    if whole:
        assert response.status_code == 502
        assert any(name == b"proxy-status" for name, _ in response.headers)


@settings(QUICK, max_examples=150)
@given(answer=ANSWERS, share=st.floats(0, 1, exclude_max=True), octet=st.integers(0, 255), version=st.integers(0, 1))
def test_a_corrupted_response_is_relayed_whole_refused_or_cut(tmp_path, answer, share, octet, version):
    """What the client takes for complete is what a strict reader of the server's bytes takes for complete, or our own 502."""
    at = int(share * len(answer))
    damaged = answer[:at] + bytes((octet,)) + answer[at + 1 :]
    outcome = []

    async def part():
        outcome.append(await judge(tmp_path, damaged, reset=False, version=version))

    run(part())
    if outcome[0] is None:
        return
    response, body, whole = outcome[0]
    own = any(name == b"proxy-status" and b"error=" in value for name, value in response.headers)
    assert own or response.status_code != 500 or b" 500 " in damaged
    if whole and not own:
        assert body == expected(damaged), (body, damaged)


def expected(said: bytes) -> bytes | None:
    """Return the body that h11 reads in what a server said before it closed, None where that is not a whole response."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(said)
    connection.receive_data(b"")
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif not isinstance(event, h11.Response | h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
    return body
