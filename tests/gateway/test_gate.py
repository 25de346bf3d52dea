"""Limits, queue, circuit breaker and adaptive limit of one upstream, with real requests."""

import asyncio
import json

import pytest

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def cause(response):
    return json.loads(response[1])["error"]["cause"]


def status(response):
    return int(response[0].split(b" ")[1])


class Held:
    """Answers only when told to."""

    def __init__(self, stage):
        self.stage = stage
        self.go = asyncio.Event()

    async def __call__(self, head):
        await self.go.wait()
        return self.stage.ok("late")


def asking(stage, count, data=GET):
    return [asyncio.create_task(stage.ask(data)) for _ in range(count)]


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_requests": 2}, "max_requests"),
        ({"max_connections": 2}, "max_connections"),
        ({"max_total_requests": 2}, "max_total_requests"),
        ({"max_requests": 2, "max_connections": 4, "max_total_requests": 3}, "max_requests"),
    ],
)
def test_one_request_more_than_the_limit_gets_503_at_once(play, limits, name):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, **limits)
        first = asking(stage, 2)
        await stage.until(lambda: origin.seen == 2)
        refused = await stage.ask(GET)
        assert (status(refused), cause(refused)) == (503, "server-limit-reached")
        assert b"\r\nRetry-After: " in refused[0]
        assert any(name in line for line in stage.errors())
        held.go.set()
        assert [status(response) for response in await asyncio.gather(*first)] == [200, 200]
        assert status(await stage.ask(GET)) == 200, "there is room again"
        assert origin.seen == 3
        await stage.quiet()

    play(part)


def test_a_full_server_leaves_its_turn_to_another(play):
    async def part(stage):
        one, other = await stage.origin("one"), await stage.origin("other")
        held = one.answer = other.answer = Held(stage)
        await stage.gateway(one, other, policy="round-robin", max_requests=2)
        first = asking(stage, 4)
        await stage.until(lambda: one.seen + other.seen == 4)
        assert (one.seen, other.seen) == (2, 2)
        assert status(await stage.ask(GET)) == 503
        held.go.set()
        await asyncio.gather(*first)
        await stage.quiet()

    play(part)


def test_connections_are_never_more_than_allowed_idle_ones_included(play):
    async def part(stage):
        origin = await stage.origin()
        most = 0

        async def answer(head):
            nonlocal most
            most = max(most, origin.open)
            await asyncio.sleep(0.002)
            return stage.ok()

        origin.answer = answer
        await stage.gateway(origin, max_connections=3, queue={"size": 100, "wait": "5s"})
        responses = await asyncio.gather(*asking(stage, 60))
        assert {status(response) for response in responses} == {200}
        assert most <= 3
        assert origin.accepted <= 3, "kept connections are used again"
        await stage.quiet()

    play(part)


def test_a_connection_that_had_closed_is_replaced_within_the_limit(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_connections=3)

        async def together(head):
            await asyncio.sleep(0.02)
            return stage.ok()

        origin.answer = together
        await asyncio.gather(*asking(stage, 3))
        assert (origin.open, len(stage.group.servers[0].idle)) == (3, 3)
        count = 0

        def closes_first(head):
            nonlocal count
            count += 1
            return None if count == 1 else stage.ok()

        origin.answer = closes_first
        assert status(await stage.ask(GET)) == 200
        await asyncio.sleep(0.02)
        assert (count, origin.accepted, origin.open) == (2, 4, 2), "one had closed, one gave way to the new one"
        await stage.quiet()

    play(part)


def test_without_keep_alive_connections_are_bounded_too(play):
    async def part(stage):
        origin = await stage.origin()
        most = 0

        async def answer(head):
            nonlocal most
            most = max(most, origin.open)
            await asyncio.sleep(0.002)
            return stage.ok()

        origin.answer = answer
        await stage.gateway(origin, max_connections=2, keep_alive={"connections": 0}, queue={"size": 100, "wait": "5s"})
        responses = await asyncio.gather(*asking(stage, 30))
        assert {status(response) for response in responses} == {200}
        assert most <= 3, "one that the server has not yet seen the end of may be counted here"
        await stage.quiet()

    play(part)


def test_those_above_the_limit_wait_and_are_served(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, max_requests=1, queue={"size": 5, "wait": "5s"})
        waiting = asking(stage, 6)
        await stage.until(lambda: origin.seen == 1 and stage.group.gate.waiting == 5)
        one_more = await stage.ask(GET)
        assert (status(one_more), cause(one_more)) == (503, "server-limit-reached"), "the queue is full"
        held.go.set()
        assert {status(response) for response in await asyncio.gather(*waiting)} == {200}
        assert origin.seen == 6
        await stage.quiet()

    play(part)


def test_who_waited_too_long_is_told_so(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, max_requests=1, queue={"size": 5, "wait": "150ms"})
        first = asking(stage, 1)
        await stage.until(lambda: origin.seen == 1)
        late = await stage.ask(GET)
        assert (status(late), cause(late)) == (503, "queue-timed-out")
        assert b"\r\nRetry-After: " in late[0]
        held.go.set()
        await asyncio.gather(*first)
        assert origin.seen == 1
        await stage.quiet()

    play(part)


def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, max_requests=1, queue={"size": 5, "wait": "5s"})
        first = asking(stage, 1)
        await stage.until(lambda: origin.seen == 1)
        client = await stage.client()
        client.send(GET)
        await stage.until(lambda: stage.group.gate.waiting == 1)
        client.close()
        await stage.until(lambda: stage.group.gate.waiting == 0)
        record = (await stage.access(1))[0]
        assert (record["status"], record["cause"]) == (499, "client-gone")
        held.go.set()
        await asyncio.gather(*first)
        assert origin.seen == 1, "what nobody waits for is not asked"
        await stage.quiet()

    play(part)


def test_the_time_for_the_whole_exchange_ends_the_wait_as_well(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_total_requests=1, queue={"size": 5, "wait": "300ms"}, timeouts={"total": "300ms"})
        stage.group.gate._room.patience = 60.0
        other_worker = stage.worker.counting.of("upstream app")
        other_worker.up()
        late = await stage.ask(GET)
        assert (status(late), cause(late)) == (503, "queue-timed-out")
        other_worker.down()
        assert (status(await stage.ask(GET)), origin.seen) == (200, 1)
        await stage.quiet()

    play(part)


def test_room_that_another_worker_made_is_noticed(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_total_requests=1, queue={"size": 5, "wait": "5s"})
        other_worker = stage.worker.counting.of("upstream app")
        other_worker.up()
        waiting = asking(stage, 3)
        await stage.until(lambda: stage.group.gate.waiting == 3)
        other_worker.down()
        assert {status(response) for response in await asyncio.gather(*waiting)} == {200}
        await stage.quiet()

    play(part)


def test_bodies_wait_too(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, max_requests=1, queue={"size": 5, "wait": "5s"})
        first = asking(stage, 1)
        await stage.until(lambda: origin.seen == 1)
        body = bytes(range(256)) * 1000
        head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        client = await stage.client()
        client.send(head + body[:300])
        await stage.until(lambda: stage.group.gate.waiting == 1)
        client.send(body[300:])
        await asyncio.sleep(0.05)
        held.go.set()
        assert status(await client.response()) == 200
        await asyncio.gather(*first)
        assert origin.bodies[1] == body
        await stage.quiet()

    play(part)


def test_the_queue_of_a_replaced_configuration_is_not_forgotten(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, max_requests=1, queue={"size": 5, "wait": "300ms"})
        first = asking(stage, 1)
        await stage.until(lambda: origin.seen == 1)
        late = asking(stage, 2)
        await stage.until(lambda: stage.group.gate.waiting == 2)
        stage.reload(origin, max_requests=1, queue={"size": 6, "wait": "300ms"})
        assert {cause(response) for response in await asyncio.gather(*late)} == {"queue-timed-out"}
        late = asking(stage, 2)
        await stage.until(lambda: stage.group.gate.waiting == 2)
        stage.reload(origin)  # no limit any more
        held.go.set()
        assert {status(response) for response in await asyncio.gather(*first, *late)} == {200}
        await stage.quiet()

    play(part)


def test_a_retry_prefers_a_server_with_room_that_did_not_fail(play):
    async def part(stage):
        bad, one, other = await stage.origin("bad", lambda head: None), await stage.origin("one"), await stage.origin("other")
        await stage.gateway({"url": bad.url, "weight": 1000}, one, other, max_requests=1, policy="round-robin")
        other_worker = stage.worker.counting.of(f"busy app {one.url}")
        other_worker.up()
        for _ in range(12):
            assert (await stage.ask(GET))[1] == b"other"
        assert one.seen == 0
        assert bad.seen > 0
        other_worker.down()
        await stage.quiet()

    play(part)


def test_the_circuit_opens_tries_again_and_closes(play):
    async def part(stage):
        works = False
        origin = await stage.origin("app", lambda head: stage.ok() if works else None)
        breaker = {"requests": 4, "share": 0.5, "open": "200ms", "longest": "200ms", "probes": 2, "window": "10s"}
        await stage.gateway(origin, breaker=breaker, retry={"attempts": 1})
        for _ in range(4):
            assert status(await stage.ask(GET)) == 502
        seen = origin.seen
        refused = await stage.ask(GET)
        assert (status(refused), cause(refused)) == (503, "circuit-open")
        assert b"\r\nRetry-After: 1\r\n" in refused[0]
        assert origin.seen == seen
        assert stage.group.gate.describe()["circuit"] == "open"
        await asyncio.sleep(0.25)
        assert status(await stage.ask(GET)) == 502, "the first probe fails"
        assert cause(await stage.ask(GET)) == "circuit-open"
        works = True
        await asyncio.sleep(0.25)
        assert status(await stage.ask(GET)) == 200
        assert stage.group.gate.describe()["circuit"] == "half-open"
        assert status(await stage.ask(GET)) == 200
        assert stage.group.gate.describe()["circuit"] == "closed"
        await stage.quiet()

    play(part)


def test_no_more_than_the_allowed_probes_at_once(play):
    async def part(stage):
        origin = await stage.origin("app", lambda head: None)
        breaker = {"requests": 2, "open": "100ms", "longest": "100s", "probes": 1}
        await stage.gateway(origin, breaker=breaker, retry={"attempts": 1})
        for _ in range(2):
            await stage.ask(GET)
        held = origin.answer = Held(stage)
        await asyncio.sleep(0.15)
        stage.group.gate._breaker._rest.base = 60.0  # so that the probe's slowness lets no second one through here
        probe = asking(stage, 1)
        await stage.until(lambda: origin.seen == 3)
        assert cause(await stage.ask(GET)) == "circuit-open"
        held.go.set()
        assert status((await asyncio.gather(*probe))[0]) == 200
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


def test_a_probe_whose_client_leaves_gives_its_place_to_another(play):
    async def part(stage):
        origin = await stage.origin("app", lambda head: None)
        await stage.gateway(origin, breaker={"requests": 2, "open": "100ms", "probes": 1}, retry={"attempts": 1})
        for _ in range(2):
            await stage.ask(GET)
        held = origin.answer = Held(stage)
        await asyncio.sleep(0.15)
        client = await stage.client()
        client.send(GET)
        await stage.until(lambda: origin.seen == 3)
        client.close()
        await stage.until(lambda: not stage.worker.clients)
        held.go.set()
        assert status(await stage.ask(GET)) == 200
        assert stage.group.gate.describe()["circuit"] == "closed"
        await stage.quiet()

    play(part)


def test_statuses_that_count_as_failures_open_the_circuit(play):
    async def part(stage):
        origin = await stage.origin("app", lambda head: stage.ok("no", "500 Internal Server Error"))
        await stage.gateway(origin, breaker={"requests": 3}, ejection={"statuses": ["500-599"]})
        for _ in range(3):
            assert status(await stage.ask(GET)) == 500
        assert cause(await stage.ask(GET)) == "circuit-open"
        assert origin.seen == 3
        await stage.quiet()

    play(part)


def test_clients_that_leave_open_no_circuit(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, breaker={"requests": 2})
        for number in range(6):
            client = await stage.client()
            client.send(GET)
            await stage.until(lambda number=number: origin.seen == number + 1)
            client.close()
        held.go.set()
        await stage.until(lambda: not stage.worker.clients)
        assert status(await stage.ask(GET)) == 200
        assert stage.group.gate.describe()["circuit"] == "closed"
        await stage.quiet()

    play(part)


def test_the_adaptive_limit_sheds_what_a_slow_server_cannot_take(play):
    async def part(stage):
        origin = await stage.origin()
        held = origin.answer = Held(stage)
        await stage.gateway(origin, adaptive={"least": 4, "most": 4})
        first = asking(stage, 4)
        await stage.until(lambda: origin.seen == 4)
        refused = await stage.ask(GET)
        assert (status(refused), cause(refused)) == (503, "server-limit-reached")
        assert stage.group.gate.describe()["adaptive_limit"] == 4
        held.go.set()
        await asyncio.gather(*first)
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


def test_refused_servers_leave_every_count_at_nothing(play):
    async def part(stage):
        await stage.gateway(
            stage.dead(), stage.dead(), max_requests=5, max_connections=5, max_total_requests=8,
            queue={"size": 9, "wait": "200ms"}, breaker={"requests": 1000}, adaptive={},
        )  # fmt: skip
        responses = await asyncio.gather(*asking(stage, 30))
        assert {status(response) for response in responses} <= {502, 503}
        await stage.quiet()

    play(part)
