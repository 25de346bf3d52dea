"""A new configuration while requests run: it holds at once, nothing is lost, a bad one changes nothing, nothing grows."""

import asyncio
import gc

import pytest

from headgate.gateway.group import Group
from headgate.gateway.pool import Server
from headgate.net.tls import BadTlsFile
from headgate.render.page import BadTemplate

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def status(response):
    return int(response[0].split(b" ")[1])


async def load(stage, statuses, stop):
    """Ask all the time, on a connection that is kept."""
    client = await stage.client()
    while not stop.is_set():
        client.send(GET)
        statuses.append(status(await client.response()))
        await asyncio.sleep(0)


def test_reloads_under_load_lose_no_request(play):
    async def part(stage):
        origins = [await stage.origin(name) for name in "abc"]
        await stage.gateway(*origins)
        statuses, stop = [], asyncio.Event()
        loads = [asyncio.create_task(load(stage, statuses, stop)) for _ in range(5)]
        variants = [
            {"policy": "round-robin"}, {"max_requests": 50, "queue": {}}, {"max_connections": 20}, {"breaker": {}},
            {"keep_alive": {"connections": 2}}, {"timeouts": {"head": "30s"}}, {"sticky": {}}, {"adaptive": {}},
            {"route": "max_requests = 100"}, {"gateway": {"limits": {"requests": 100}}}, {},
        ]  # fmt: skip
        for number in range(100):
            servers = origins[number % 3 :] or origins
            stage.reload(*servers, **variants[number % len(variants)])
            await asyncio.sleep(0.003)
        stop.set()
        await asyncio.gather(*loads)
        assert set(statuses) == {200}
        assert len(statuses) > 200
        await stage.quiet()

    play(part)


def test_a_server_that_stays_the_same_keeps_its_connections(play):
    async def part(stage):
        one, other = await stage.origin("one"), await stage.origin("other")
        await stage.gateway(one, other, policy="round-robin")
        for _ in range(4):
            await stage.ask(GET)
        before = {server.label: server for server in stage.group.servers}
        stage.reload(one, {"url": other.url, "weight": 2}, policy="least-requests", retry={"attempts": 2}, slow_start="1s")
        assert {server.label: server for server in stage.group.servers} == before
        for _ in range(20):
            await stage.ask(GET)
        assert (one.accepted, other.accepted) == (1, 1)
        assert [server.weight for server in stage.group.servers] == [1, 2]
        await stage.quiet()

    play(part)


def test_the_same_configuration_changes_nothing(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_connections=5, breaker={})
        group = stage.group
        await stage.ask(GET)
        stage.reload(origin, max_connections=5, breaker={})
        assert stage.group is group
        await stage.ask(GET)
        assert origin.accepted == 1
        await stage.quiet()

    play(part)


@pytest.mark.parametrize(
    "changes",
    [
        {"timeouts": {"connect": "2s"}},
        {"keep_alive": {"idle": "7s"}},
        {"deny_addresses": ["192.0.2.0/24"]},
        {"tls": {"name": "x"}},
    ],
)
def test_a_server_that_is_reached_in_another_way_does_not(play, changes):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        await stage.ask(GET)
        old = stage.group.servers[0]
        stage.reload(origin, **changes)
        assert stage.group.servers[0] is not old
        assert old.idle == []
        await stage.ask(GET)
        assert origin.accepted == 2
        await stage.quiet()

    play(part)


def test_other_name_servers_make_new_targets(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        old = stage.group.servers[0]
        stage.reload(origin, gateway={"dns": {"timeout": "1s"}})
        assert stage.group.servers[0] is not old
        assert stage.group.servers[0].target.resolver is stage.worker.resolver
        await stage.ask(GET)
        await stage.quiet()

    play(part)


def test_what_runs_ends_by_what_held_when_it_began(play):
    async def part(stage):
        go = asyncio.Event()

        async def answer(head):
            await go.wait()
            return stage.ok("old")

        old, new = await stage.origin("old", answer), await stage.origin("new")
        await stage.gateway(old, max_requests=1, max_total_requests=1, max_connections=1, breaker={}, adaptive={})
        running = asyncio.create_task(stage.ask(GET))
        await stage.until(lambda: old.seen == 1)
        stage.reload(new)
        assert (await stage.ask(GET))[1] == b"new"
        go.set()
        assert (await running)[1] == b"old"
        await stage.until(lambda: old.open == 0, "the end of the last connection to a server that was removed")
        await stage.quiet()

    play(part)


def test_an_upstream_that_was_removed_ends_what_it_began(play):
    async def part(stage):
        go = asyncio.Event()

        async def answer(head):
            await go.wait()
            return stage.ok("old")

        old, new = await stage.origin("old", answer), await stage.origin("new")
        await stage.gateway(old, max_requests=1, queue={"wait": "5s"})
        tasks = [asyncio.create_task(stage.ask(GET)) for _ in range(3)]
        await stage.until(lambda: old.seen == 1 and stage.group.gate.waiting == 2)
        config = stage.config(new)
        file = stage.folder / "headgate.toml"
        file.write_text(file.read_text().replace("upstream.app", "upstream.next").replace('"app"', '"next"'))
        stage.worker.apply(type(config).model_validate(stage.reread()))
        stage._groups += stage.worker.groups.values()
        assert list(stage.worker.groups) == ["next"]
        assert (await stage.ask(GET))[1] == b"new"
        go.set()
        assert {body for _, body in await asyncio.gather(*tasks)} == {b"old"}
        await stage.quiet()

    play(part)


def test_limits_come_and_go_while_connections_rest(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)

        async def slowly(head):
            await asyncio.sleep(0.02)
            return stage.ok()

        origin.answer = slowly
        await asyncio.gather(*(stage.ask(GET) for _ in range(6)))
        server = stage.group.servers[0]
        assert len(server.idle) == 6
        stage.reload(origin, max_connections=4)
        assert len(server.idle) == 4, "those above the new limit are closed"
        assert stage.worker.counting.of(f"idle app {origin.url}").total() == 4
        await asyncio.gather(*(stage.ask(GET) for _ in range(3)))
        stage.reload(origin, max_connections=9)
        await asyncio.gather(*(stage.ask(GET) for _ in range(3)))
        stage.reload(origin)
        assert (server.idle_gauge, server.keeps) == (None, 256)
        await asyncio.gather(*(stage.ask(GET) for _ in range(20)))
        await stage.quiet()

    play(part)


def test_what_the_gateway_limits_reaches_upstreams_that_stay(play):
    async def part(stage):
        origin = await stage.origin("much too long")
        await stage.gateway(origin)
        assert status(await stage.ask(GET)) == 200
        group = stage.group
        stage.reload(origin, gateway={"limits": {"response_body_bytes": 5}})
        assert stage.group is group
        assert status(await stage.ask(GET)) == 502
        stage.reload(origin)
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


def test_another_log_file(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        await stage.ask(GET)
        await stage.access(1)
        stage.reload(origin, gateway={"log": {"access": "other.log", "errors": "errors.log"}})
        await stage.ask(GET)
        stage.worker.recorder.flush()
        assert len((stage.folder / "other.log").read_text().splitlines()) == 1
        assert len(await stage.access(1)) == 1
        assert stage.worker.recorder.exchanges == 2

    play(part)


def everything(stage):
    worker = stage.worker
    names = "config limits wire_limits errors recorder resolver router groups name via most_clients details_for client_timeouts"
    return [getattr(worker, name) for name in names.split()] + [dict(worker.counting._numbers), stage.group.servers[:]]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tls": {"ca": "missing.pem"}, "https": True}, BadTlsFile),
        ({"tls": {"certificate": "missing.pem", "key": "missing.pem"}, "https": True}, BadTlsFile),
        ({"gateway": {"pages": {"html": "missing.html"}}}, BadTemplate),
        ({"gateway": {"log": {"access": "no/such/folder/access.log", "errors": "errors.log"}}}, OSError),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(play, changes, error):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_requests=3)
        await stage.ask(GET)
        before = everything(stage)
        settings = {"max_connections": 7, "retry": {"attempts": 1}, "policy": "round-robin", **changes}
        url = origin.url.replace("http:", "https:") if settings.pop("https", False) else origin.url
        gateway = {"name": "other", "log": {"access": "x.log", "errors": "y.log"}, **settings.pop("gateway", {})}
        config = stage.unchecked(url, gateway=gateway, **settings)
        with pytest.raises(error):
            stage.worker.apply(config)
        assert [now is was or now == was for now, was in zip(everything(stage), before, strict=True)] == [True] * len(before)
        assert status(await stage.ask(GET)) == 200
        assert origin.accepted == 1
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("number", [None, -1, 10**9, "1", 0.5])
def test_numbers_that_make_no_sense_change_nothing(play, number):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, max_requests=3)
        before = everything(stage)
        config = stage.config(origin, policy="round-robin", gateway={"log": {"access": "x.log", "errors": "y.log"}})
        with pytest.raises(ValueError, match="no gauge"):
            stage.worker.apply(config, {"gateway connections": number})
        assert [now is was or now == was for now, was in zip(everything(stage), before, strict=True)] == [True] * len(before)
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


def test_nothing_grows_over_many_configurations(play):
    async def part(stage):
        origins = [await stage.origin(name) for name in "ab"]
        await stage.gateway(*origins)
        stage._groups.clear()
        variants = [{"max_requests": 5, "queue": {}}, {"breaker": {}, "sticky": {}}, {"timeouts": {"head": "30s"}}, {}]

        async def turns(count):
            for number in range(count):
                stage.worker.apply(stage.config(*origins[number % 2 :], **variants[number % 4]))
                assert status(await stage.ask(GET)) == 200
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            stage._clients.clear()
            gc.collect()

        await turns(20)
        before = len(gc.get_objects())
        await turns(200)
        assert sum(isinstance(found, Group) for found in gc.get_objects()) == 1
        assert sum(isinstance(found, Server) for found in gc.get_objects()) == len(stage.group.servers)
        assert len(gc.get_objects()) < before + 500
        assert len(stage.worker.deadlines._slots) < 100
        await stage.quiet()

    play(part)
