"""Answers after which another server is asked: the last real one is relayed when no better one is found, byte for byte."""

import asyncio
import json

import pytest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BUSY = b"HTTP/1.1 503 Busy Indeed\r\nX-One: 1\r\nContent-Length: 4\r\nX-Two: 2\r\n\r\nbusy"


def status(response):
    return int(response[0].split(b" ")[1])


def fields(head):
    return {line.split(b":")[0].lower(): line.split(b": ", 1)[1] for line in head.split(b"\r\n")[1:] if line}


async def servers(stage, *answers, **settings):
    """Start servers that are asked in this order."""
    origins = []
    for number, answer in enumerate(answers):
        origin = await stage.origin(str(number))
        origin.answer = answer if callable(answer) else lambda head, answer=answer: answer
        origins.append(origin)
    tables = [{"url": origin.url, "priority": number} for number, origin in enumerate(origins)]
    settings.setdefault("retry", {"statuses": ["500-504", "429"], "attempts": 3, "budget": {"floor": 100.0}})
    await stage.gateway(*tables, **settings)
    return origins


def test_another_server_is_asked(play):
    async def part(stage):
        first, second = await servers(stage, BUSY, stage.ok("fine"))
        for _ in range(5):
            assert (await stage.ask(GET))[1] == b"fine"
        assert (first.seen, second.seen) == (5, 5)
        assert first.accepted == 1, "its connection is as good as before"
        record = (await stage.access(5))[0]
        assert [(attempt["cause"], attempt["verdict"]) for attempt in record["tries"]] == [
            ("upstream-answered-error", "again-status"), (None, None),
        ]  # fmt: skip
        assert (record["status"], record["cause"]) == (200, None)
        await stage.quiet()

    play(part)


def test_the_last_real_answer_is_relayed_as_it_came(play):
    async def part(stage):
        last = BUSY.replace(b"busy", b"last")
        first, second = await servers(stage, BUSY, last)
        head, body = await stage.ask(GET)
        assert (first.seen, second.seen) == (1, 1)
        assert head.startswith(b"HTTP/1.1 503 Busy Indeed\r\n")
        assert body == b"last"
        found = fields(head)
        assert (found[b"x-one"], found[b"x-two"], found[b"content-length"]) == (b"1", b"2", b"4")
        assert b"server" not in found, "not a word of the gateway's own answers"
        record = (await stage.access(1))[0]
        assert (record["status"], record["outcome"], record["upstream_status"]) == (503, "served", 503)
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("then", [None, b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
def test_when_the_next_ones_fail_the_answer_put_aside_is_relayed(play, then):
    async def part(stage):
        first, *_ = await servers(stage, BUSY, then, then)
        client = await stage.client()
        for _ in range(3):
            client.send(GET)
            head, body = await client.response()
            assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 503 Busy Indeed", b"busy")
        assert first.seen == 3
        record = (await stage.access(3))[0]
        assert (record["status"], record["outcome"], record["cause"]) == (503, "served", None)
        await stage.quiet()

    play(part)


def test_when_the_next_one_refuses_the_answer_put_aside_is_relayed(play):
    async def part(stage):
        first = await stage.origin("first", lambda head: BUSY)
        await stage.gateway(first, {"url": stage.dead(), "priority": 1}, retry={"statuses": ["503"]})
        assert (await stage.ask(GET))[1] == b"busy"
        await stage.quiet()

    play(part)


def test_when_the_next_one_is_full_or_its_circuit_open_the_answer_is_relayed(play):
    async def part(stage):
        first, _second = await servers(stage, BUSY, stage.ok("fine"), max_total_requests=2, queue={"wait": "100ms"})
        assert (await stage.ask(GET))[1] == b"fine"
        head = BUSY[: BUSY.index(b"busy")]
        gauge = stage.worker.counting.of("upstream app")

        async def slowly(_):
            gauge.up()
            gauge.up()
            return BUSY

        first.answer = slowly
        response = await stage.ask(GET)
        assert (response[0].split(b"\r\n")[0], response[1]) == (head.split(b"\r\n")[0], b"busy")
        record = (await stage.access(2))[1]
        assert (record["status"], record["outcome"], record["cause"]) == (503, "served", None)
        gauge.down()
        gauge.down()
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("gap", [0, 0.01])
@pytest.mark.parametrize("sent", [0, 1, 30_000, 59_999])
def test_an_answer_that_breaks_off_while_it_is_put_aside_is_none(play, sent, gap):
    async def part(stage):
        async def breaks(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\n")
            await asyncio.sleep(gap)
            writer.write(b"x" * sent)

        broken = await stage.server(breaks)
        good = await stage.origin("good")
        retry = {"statuses": ["503"], "attempts": 2, "budget": {"floor": 100.0}}
        await stage.gateway({"url": broken}, {"url": good.url, "priority": 1}, retry=retry)
        assert (await stage.ask(GET))[1] == b"good"
        good.answer = lambda head: None
        response = await stage.ask(GET)
        assert status(response) == 502, "half an answer is never relayed"
        assert b"cause" in response[1]
        good.answer = lambda head: BUSY
        assert (await stage.ask(GET))[1] == b"busy"
        await stage.quiet()

    play(part)


def test_a_whole_answer_is_kept_while_the_next_one_breaks_off(play):
    async def part(stage):
        async def breaks(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 60000\r\n\r\n" + b"x" * 100)

        first = await stage.origin("first", lambda head: BUSY)
        retry = {"statuses": ["503"], "attempts": 3, "budget": {"floor": 100.0}}
        third = stage.dead()
        await stage.gateway(first, {"url": await stage.server(breaks), "priority": 1}, {"url": third, "priority": 2}, retry=retry)
        assert (await stage.ask(GET))[1] == b"busy"
        await stage.quiet()

    play(part)


def test_in_pieces_it_is_the_same(play):
    async def part(stage):
        whole = b"HTTP/1.1 503 Busy\r\nContent-Length: 50000\r\n\r\n" + b"y" * 50_000

        async def trickles(reader, writer, number):
            while True:
                await stage.request(reader)
                for at in range(0, len(whole), 17_000):
                    writer.write(whole[at : at + 17_000])
                    await writer.drain()
                    await asyncio.sleep(0.005)

        url = await stage.server(trickles)
        await stage.gateway({"url": url}, {"url": stage.dead(), "priority": 1}, retry={"statuses": ["503"]})
        for _ in range(2):
            assert (await stage.ask(GET))[1] == b"y" * 50_000
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("kind", ["large", "chunked", "until-close"])
def test_large_answers_and_those_of_unknown_length_are_relayed_at_once(play, kind):
    async def part(stage):
        body = b"z" * 100_000
        head = {
            "large": b"Content-Length: 100000\r\n\r\n" + body,
            "chunked": b"Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + body + b"\r\n0\r\n\r\n",
            "until-close": b"\r\n" + body,
        }[kind]

        async def serve(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\n" + head)
            await writer.drain()

        good = await stage.origin("good")
        await stage.gateway({"url": await stage.server(serve)}, {"url": good.url, "priority": 1}, retry={"statuses": ["503"]})
        client = await stage.client()
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        data = await client.rest()
        assert data.startswith(b"HTTP/1.1 503 Busy\r\n")
        assert data.count(b"z") >= 100_000
        assert good.seen == 0
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("empty", [b"Content-Length: 0\r\n\r\n", b"Content-Length: 5\r\n\r\nbytes"])
@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_empty_answers_and_heads(play, empty, method):
    async def part(stage):
        answer = b"HTTP/1.1 503 Busy\r\n" + (empty if method == b"GET" else empty.split(b"\r\n\r\n")[0] + b"\r\n\r\n")
        await servers(stage, answer, None)
        client = await stage.client()
        for _ in range(2):
            client.send(GET.replace(b"GET", method))
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 503 Busy\r\n")
            length = fields(head)[b"content-length"]
            assert length == (b"5" if b"5" in empty else b"0")
            if method == b"GET":
                await client.reader.readexactly(int(length))
        await stage.quiet()

    play(part)


def test_bytes_beyond_an_answer_put_aside_end_its_connection(play):
    async def part(stage):
        first, _ = await servers(stage, BUSY + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", stage.ok("fine"))
        for _ in range(3):
            assert (await stage.ask(GET))[1] == b"fine"
        assert first.accepted == 3
        await stage.quiet()

    play(part)


def test_late_bytes_beyond_it_do_so_as_well(play):
    async def part(stage):
        accepted = 0

        async def serve(reader, writer, number):
            nonlocal accepted
            accepted += 1
            while True:
                await stage.request(reader)
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nbusy")
                await asyncio.sleep(0.01)
                writer.write(b"busyHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

        good = await stage.origin("fine")
        retry = {"statuses": ["503"], "budget": {"floor": 100.0}}
        await stage.gateway({"url": await stage.server(serve)}, {"url": good.url, "priority": 1}, retry=retry)
        for _ in range(3):
            assert (await stage.ask(GET))[1] == b"fine"
        assert accepted == 3
        await stage.quiet()

    play(part)


def test_a_post_is_not_sent_to_another_server(play):
    async def part(stage):
        first, second = await servers(stage, BUSY, stage.ok("fine"))
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nform"
        assert (await stage.ask(post))[1] == b"busy"
        assert (first.seen, second.seen) == (1, 0)
        keyed = post.replace(b"Host: a", b"Host: a\r\nIdempotency-Key: k")
        assert (await stage.ask(keyed))[1] == b"fine"
        assert second.bodies == [b"form"]
        await stage.quiet()

    play(part)


def test_attempts_and_budget_bound_it(play):
    async def part(stage):
        retry = {"statuses": ["503"], "attempts": 2, "budget": {"share": 0.0, "floor": 0.3}}
        origins = await servers(stage, BUSY, BUSY, BUSY, retry=retry)
        for _ in range(6):
            assert (await stage.ask(GET))[1] == b"busy"
        assert sorted(origin.seen for origin in origins) == [0, 3, 6]
        await stage.quiet()

    play(part)


def test_other_statuses_are_relayed_at_once(play):
    async def part(stage):
        _first, second = await servers(stage, stage.ok("gone", "410 Gone"), stage.ok("fine"))
        assert status(await stage.ask(GET)) == 410
        assert second.seen == 0

    play(part)


def test_the_client_leaves_while_an_answer_is_put_aside(play):
    async def part(stage):
        begun = asyncio.Event()

        async def serve(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nbusy")
            begun.set()
            await asyncio.sleep(30)

        await stage.gateway({"url": await stage.server(serve)}, {"url": stage.dead(), "priority": 1}, retry={"statuses": ["503"]})
        client = await stage.client()
        client.send(GET)
        await begun.wait()
        await asyncio.sleep(0.05)
        client.close()
        await stage.until(lambda: not stage.worker.clients)
        await stage.quiet()

    play(part)


def test_a_body_that_never_ends_is_given_up(play):
    async def part(stage):
        async def serve(reader, writer, number):
            await stage.request(reader)
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nbusy")
            await asyncio.sleep(30)

        good = await stage.origin("good")
        await stage.gateway(
            {"url": await stage.server(serve)}, {"url": good.url, "priority": 1},
            retry={"statuses": ["503"]}, timeouts={"idle": "100ms"},
        )  # fmt: skip
        assert (await stage.ask(GET))[1] == b"good"
        await stage.quiet()

    play(part)


def test_answers_that_count_as_failures_eject_and_are_put_aside(play):
    async def part(stage):
        _first, _second = await servers(
            stage, BUSY, stage.ok("fine"), ejection={"statuses": ["503"], "failures": 1000}, breaker={"requests": 1000}
        )
        for _ in range(5):
            assert (await stage.ask(GET))[1] == b"fine"
        assert [server.failed for server in stage.group.servers] == [5, 0]
        await stage.quiet()

    play(part)


def test_one_that_was_judged_says_nothing_about_the_next(play):
    async def part(stage):
        broken = b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
        settings = {
            "check_content_coding": True,
            "ejection": {"statuses": ["500"], "failures": 1000},
            "breaker": {"requests": 1000},
        }
        _first, _second = await servers(stage, broken, stage.ok("fine"), retry={"budget": {"floor": 100.0}}, **settings)
        response = await stage.ask(GET)
        assert status(response) in (200, 502)
        assert [server.failed for server in stage.group.servers] == [1, 0]
        assert stage.group.gate._breaker._bad.total(stage.worker.clock()) == 1
        await stage.quiet()

    play(part)


def test_notes_of_the_route_stand_in_it_too(play):
    async def part(stage):
        await servers(stage, BUSY, None, route='rate_limit = { rate = "5/s" }')
        head, _ = await stage.ask(GET)
        assert fields(head)[b"ratelimit"].startswith(b'"default";r=4')
        await stage.quiet()

    play(part)


def test_details_are_not_mixed_in(play):
    async def part(stage):
        await servers(stage, BUSY, None, gateway={"details_for": ["127.0.0.1"]})
        _, body = await stage.ask(GET)
        assert body == b"busy"
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(body)

    play(part)
