"""Requests held while no server can be reached: a restart of the only one is not noticed, and nobody waits for ever."""

import asyncio
import json
import time

from headgate.traffic.health import Health

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nform"


def status(response):
    return int(response[0].split(b" ")[1])


def cause(response):
    return json.loads(response[1])["error"]["cause"]


def in_maintenance():
    health = Health(time.time())
    health.hear("maintenance", "a test", time.time())
    return {"health": health.snapshot(), "weight": 1, "until": 0.0, "pardoned": 0.0}


def test_a_restart_of_the_only_server_is_not_noticed(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, retry={"hold": "8s"})
        assert status(await stage.ask(GET)) == 200
        origin.stop()
        held = [asyncio.create_task(stage.ask(data)) for data in (GET, POST, GET)]
        await asyncio.sleep(0.4)
        assert not any(task.done() for task in held)
        await origin.start()
        assert [status(response) for response in await asyncio.gather(*held)] == [200, 200, 200]
        assert origin.seen == 4, "each once"
        record = (await stage.access(2))[1]
        assert {attempt["verdict"] for attempt in record["tries"]} == {"again-held", None}
        await stage.quiet()

    play(part)


def test_a_large_body_waits_with_its_request(play):
    async def part(stage):
        origin = await stage.origin("app")
        origin.stop()
        await stage.gateway(origin, retry={"hold": "8s"})
        body = bytes(range(256)) * 2000
        client = await stage.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.sleep(0.2)
        await origin.start()
        assert status(await client.response()) == 200
        assert origin.bodies == [body]
        await stage.quiet()

    play(part)


def test_after_that_time_the_cause_is_told(play):
    async def part(stage):
        await stage.gateway(stage.dead(), retry={"hold": "300ms"})
        response = await stage.ask(GET)
        assert (status(response), cause(response)) == (502, "connection-refused")
        record = (await stage.access(1))[0]
        assert 300 <= record["duration_ms"] < 3000
        verdicts = [attempt["verdict"] for attempt in record["tries"]]
        assert (verdicts[0], verdicts[-1]) == ("again-held", "not-elsewhere")
        await stage.quiet()

    play(part)


def test_several_servers_are_asked_again_and_again(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        a.stop()
        b.stop()
        await stage.gateway(a, b, retry={"hold": "8s"})
        held = asyncio.create_task(stage.ask(GET))
        await asyncio.sleep(0.2)
        await b.start()
        assert (await held)[1] == b"b"
        await stage.quiet()

    play(part)


def test_nobody_is_held_who_may_not_be(play):
    async def part(stage):
        origin = await stage.origin("app", lambda head: None)
        await stage.gateway(origin, retry={"hold": "8s"})
        assert status(await stage.ask(POST)) == 502, "it was sent: nothing to wait for"
        assert origin.seen == 1
        assert (await stage.access(1))[0]["duration_ms"] < 4000
        await stage.quiet()

    play(part)


def test_a_client_that_leaves_while_it_is_held_leaves_nothing_behind(play):
    async def part(stage):
        origin = await stage.origin("app")
        origin.stop()
        await stage.gateway(origin, retry={"hold": "8s"})
        clients = [await stage.client() for _ in range(5)]
        for client in clients:
            client.send(GET)
        await asyncio.sleep(0.15)
        for client in clients:
            client.close()
        await stage.until(lambda: not stage.worker.clients)
        assert {(record["status"], record["cause"]) for record in await stage.access(5)} == {(499, "client-gone")}
        asked = stage.group.servers[0].requests
        await origin.start()
        await asyncio.sleep(0.3)
        assert (stage.group.servers[0].requests, origin.seen) == (asked, 0)
        await stage.quiet()

    play(part)


def test_the_time_for_the_whole_exchange_holds_while_it_is_held(play):
    async def part(stage):
        await stage.gateway(stage.dead(), retry={"hold": "300ms"}, timeouts={"total": "300ms"})
        stage.group.retrying.hold = 60.0
        response = await stage.ask(GET)
        assert cause(response) in ("connection-refused", "response-total-timeout")
        assert (await stage.access(1))[0]["duration_ms"] < 3000
        await stage.quiet()

    play(part)


def test_requests_are_held_while_every_server_is_in_maintenance(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, retry={"hold": "8s"})
        stage.worker.told({"app": {origin.url: in_maintenance()}})
        picks = 0
        pick = type(stage.group).pick

        def counted(group, flow):
            nonlocal picks
            picks += 1
            return pick(group, flow)

        type(stage.group).pick = counted
        try:
            held = asyncio.create_task(stage.ask(GET))
            await asyncio.sleep(1.0)
        finally:
            type(stage.group).pick = pick
        assert not held.done()
        assert picks < 40, "the longer it lasts, the more rarely is it looked"
        stage.worker.told({"app": {origin.url: {**in_maintenance(), "health": Health(time.time()).snapshot()}}})
        assert status(await held) == 200
        await stage.quiet()

    play(part)


def test_then_they_are_told_that_there_is_none(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, retry={"hold": "200ms"}, timeouts={"total": "400ms"})
        stage.worker.told({"app": {origin.url: in_maintenance()}})
        for hold in (0.2, 60.0):  # the second one stands for a total time that ends before the hold does
            stage.group.retrying.hold = hold
            response = await stage.ask(GET)
            assert (status(response), cause(response)) == (503, "no-healthy-server")
        await stage.quiet()

    play(part)


def test_a_reload_brings_the_held_to_the_new_server(play):
    async def part(stage):
        await stage.gateway(stage.dead(), retry={"hold": "8s"})
        held = asyncio.create_task(stage.ask(GET))
        await asyncio.sleep(0.2)
        stage.reload(await stage.origin("new"), retry={"hold": "8s"})
        assert (await held)[1] == b"new"
        await stage.quiet()

    play(part)


def test_the_record_of_a_long_hold_stays_small(play):
    async def part(stage):
        await stage.gateway(stage.dead(), retry={"hold": "700ms", "backoff": "1ms", "longest_backoff": "2ms"})
        await stage.ask(GET)
        record = (await stage.access(1))[0]
        assert stage.group.servers[0].requests > 100
        assert len(record["tries"]) <= 40
        await stage.quiet()

    play(part)


def test_the_gateway_that_stops_lets_go_of_the_held(play):
    async def part(stage):
        await stage.gateway(stage.dead(), retry={"hold": "8s"}, gateway={"drain": "200ms"})
        client = await stage.client()
        client.send(GET)
        await asyncio.sleep(0.1)
        stage.worker.stop()
        await client.rest()
        await stage.until(lambda: not stage.worker.clients)
        assert (await stage.access(1))[0]["status"] in (502, 503)

    play(part)
