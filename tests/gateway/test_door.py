"""What is let in at all: requests at once of a route and of the gateway, and how often each client may ask."""

import asyncio
import json

import pytest

from headgate.gateway.door import _address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TRUSTED = {"trusted_proxies": ["127.0.0.0/8"]}


def get(path="/", *fields):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{''.join(field + chr(13) + chr(10) for field in fields)}\r\n".encode()


def status(response):
    return int(response[0].split(b" ")[1])


def cause(response):
    return json.loads(response[1])["error"]["cause"]


def field(head, name):
    return [line.split(b": ", 1)[1].decode() for line in head.split(b"\r\n") if line.lower().startswith(name.lower() + b":")]


async def stuck(stage):
    """Return a server that answers when the event is set."""
    go = asyncio.Event()

    async def answer(head):
        await go.wait()
        return stage.ok("late")

    return await stage.origin("app", answer), go


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"gateway": {"limits": {"requests": 2}}}, ("gateway-overloaded", "limits.requests")),
        ({"route": "max_requests = 2"}, ("server-limit-reached", "route.max_requests")),
    ],
)
def test_no_more_at_once_than_allowed(play, settings, named):
    async def part(stage):
        origin, go = await stuck(stage)
        await stage.gateway(origin, **settings)
        first = [asyncio.create_task(stage.ask(GET)) for _ in range(2)]
        await stage.until(lambda: origin.seen == 2)
        refused = await stage.ask(GET)
        assert (status(refused), cause(refused)) == (503, named[0])
        assert field(refused[0], b"retry-after")
        assert any(named[1] in line for line in stage.errors())
        assert origin.seen == 2
        go.set()
        assert [status(response) for response in await asyncio.gather(*first)] == [200, 200]
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


def test_every_end_of_a_request_gives_its_place_back(play):
    async def part(stage):
        origin, _go = await stuck(stage)
        await stage.gateway(
            origin,
            gateway={"limits": {"requests": 3}},
            route="max_requests = 2",
            timeouts={"head": "100ms"},
            retry={"attempts": 1},
        )
        assert status(await stage.ask(GET)) == 504
        client = await stage.client()
        client.send(GET)
        await stage.until(lambda: origin.seen == 2)
        client.close()
        await stage.until(lambda: not stage.worker.clients)
        origin.answer = lambda head: None
        assert status(await stage.ask(GET)) == 502
        origin.answer = lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
        client = await stage.client()
        client.send(GET)
        await client.head()
        origin.stop()
        await client.rest()
        assert status(await stage.ask(GET)) == 502
        loop = b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 " + stage.worker.pseudonym + b"\r\n\r\n"
        assert cause(await stage.ask(loop)) == "loop-detected"
        await stage.quiet()

    play(part)


def test_other_routes_are_not_concerned(play):
    async def part(stage):
        origin, go = await stuck(stage)
        await stage.gateway(origin, route='max_requests = 1\n[[route]]\nupstream = "app"\npath = "/free"')
        tasks = [asyncio.create_task(stage.ask(get("/free"))) for _ in range(3)] + [asyncio.create_task(stage.ask(GET))]
        await stage.until(lambda: origin.seen == 4)
        assert status(await stage.ask(GET)) == 503
        go.set()
        assert {status(response) for response in await asyncio.gather(*tasks)} == {200}
        await stage.quiet()

    play(part)


def test_who_comes_too_often_is_told_when_to_come_back(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, route='rate_limit = { rate = "60/min", burst = 3 }')
        left = []
        for _ in range(3):
            head, _ = await stage.ask(GET)
            assert head.startswith(b"HTTP/1.1 200 ")
            left += field(head, b"ratelimit")
            assert field(head, b"ratelimit-policy") == ['"default";q=3;w=3']
        assert [value.split(";")[1] for value in left] == ["r=2", "r=1", "r=0"]
        refused = await stage.ask(GET)
        assert (status(refused), cause(refused)) == (429, "rate-limited")
        assert field(refused[0], b"retry-after") == ["1"]
        assert field(refused[0], b"ratelimit") == ['"default";r=0;t=1']
        assert origin.seen == 3
        await asyncio.sleep(1.05)
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("rate", ["2/s", "2/sec", "2/min", "2/minute", "2/h", "2/hour", "2/d", "2/day"])
def test_every_way_to_write_a_rate(play, rate):
    async def part(stage):
        await stage.gateway(await stage.origin("app"), route=f'rate_limit = {{ rate = "{rate}" }}')
        assert [status(await stage.ask(GET)) for _ in range(3)] == [200, 200, 429]

    play(part)


def test_clients_are_told_apart_by_what_a_trusted_proxy_says(play):
    async def part(stage):
        await stage.gateway(await stage.origin("app"), gateway=TRUSTED, route='rate_limit = { rate = "1/min" }')

        async def asked_by(address):
            return status(await stage.ask(get("/", f"X-Forwarded-For: {address}")))

        assert await asked_by("192.0.2.1") == 200
        assert await asked_by("192.0.2.1") == 429
        assert await asked_by("192.0.2.2") == 200
        assert await asked_by("2001:db8:1:2::1") == 200
        assert await asked_by("2001:db8:1:2:ffff:1:2:3") == 429, "the same /64"
        assert await asked_by("2001:db8:1:3::1") == 200
        assert await asked_by("::ffff:192.0.2.9") == 200
        assert await asked_by("::ffff:192.0.2.10") == 200, "IPv4 addresses are not one network"
        assert await asked_by("::ffff:192.0.2.1") == 429
        await stage.quiet()

    play(part)


def test_an_untrusted_client_cannot_change_who_it_is(play):
    async def part(stage):
        await stage.gateway(await stage.origin("app"), route='rate_limit = { rate = "1/min" }')
        assert status(await stage.ask(get("/", "X-Forwarded-For: 192.0.2.1"))) == 200
        assert status(await stage.ask(get("/", "X-Forwarded-For: 192.0.2.2"))) == 429

    play(part)


def test_clients_are_told_apart_by_a_field(play):
    async def part(stage):
        route = 'rate_limit = { rate = "1/min", by = "header:X-Api-Key" }'
        await stage.gateway(await stage.origin("app"), route=route)
        assert status(await stage.ask(get("/", "X-API-Key: one"))) == 200
        assert status(await stage.ask(get("/", "x-api-key: one"))) == 429
        assert status(await stage.ask(get("/", "X-API-Key: two"))) == 200
        assert status(await stage.ask(GET)) == 200, "without it, by address"
        assert status(await stage.ask(get("/", "X-API-Key: "))) == 429, "an empty one is none"
        assert status(await stage.ask(get("/", "X-API-Key: 127.0.0.1"))) == 200, "nor does a value stand for an address"
        assert status(await stage.ask(get("/", f"X-API-Key: {'k' * 5000}1"))) == 200
        await stage.quiet()

    play(part)


def test_the_fields_are_in_answers_to_failures_as_well(play):
    async def part(stage):
        await stage.gateway(stage.dead(), route='rate_limit = { rate = "9/min" }\nmax_requests = 1')
        head, _ = await stage.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert field(head, b"ratelimit") == ['"default";r=8;t=54']
        await stage.quiet()

    play(part)


def test_what_is_refused_for_its_rate_takes_no_place(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(
            origin, route='rate_limit = { rate = "1/min" }\nmax_requests = 1', gateway={"limits": {"requests": 1}}
        )
        assert [status(await stage.ask(GET)) for _ in range(4)] == [200, 429, 429, 429]
        await stage.quiet()

    play(part)


def test_the_count_outlives_a_reload(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, route='rate_limit = { rate = "2/min" }')
        assert status(await stage.ask(GET)) == 200
        stage.reload(origin, route='rate_limit = { rate = "2/min" }\nmax_requests = 9')
        assert [status(await stage.ask(GET)) for _ in range(2)] == [200, 429]
        stage.reload(origin)
        assert status(await stage.ask(GET)) == 200
        await stage.quiet()

    play(part)


class Somebody:
    def __init__(self, client):
        self.client = client


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix", "192.0.2.1", False),
        ("no:address", "no:address", True),
        ("no:address", "no:other", False),
    ],
)
def test_addresses(one, other, same):
    assert (_address(Somebody(one)) == _address(Somebody(other))) is same
