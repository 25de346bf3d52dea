"""The endpoint that error pages ask: never forwarded, right in all kinds of trouble, and silent about everything inside."""

import json
import re

import pytest

from headgate.config.schema import Config

PATH = "/.well-known/headgate/status"


def get(path, fields="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()


async def failing_page(stage, path="/"):
    """Return status and text of the page for a browser."""
    head, body = await stage.ask(get(path, "Accept: text/html\r\n"))
    return int(head.split()[1]), body.decode()


async def address(stage, path="/"):
    """Return what an error page asks."""
    _, text = await failing_page(stage, path)
    return re.search(r'data-ask="([^"]*)"', text)[1]


async def asked(stage, path):
    head, body = await stage.ask(get(path))
    assert head.startswith(b"HTTP/1.1 200 "), head
    return head, json.loads(body)


async def working(stage, path):
    return (await asked(stage, path))[1]["working"]


def test_killed_and_back(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        origin.stop()
        url = await address(stage)
        assert re.fullmatch(r"/\.well-known/headgate/status\?of=[\w-]{16}", url)
        head, told = await asked(stage, url)
        assert told.keys() == {"working", "since", "expected", "acknowledged"}
        assert told["working"] is False
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["since"])
        assert (told["expected"], told["acknowledged"]) == (None, False)
        assert b"Cache-Control: no-store\r\n" in head
        assert b"Content-Type: application/json\r\n" in head
        assert b"Access-Control" not in head
        seen = origin.seen
        for _ in range(5):
            assert await working(stage, url) is False
        assert origin.seen == seen, "the service is not asked"
        await origin.start()
        assert await working(stage, url) is False, "nobody has seen it work"
        assert (await failing_page(stage))[0] == 200
        await stage.until(lambda: works(stage), "the end of the trouble")
        assert await working(stage, url) is True
        await stage.quiet()

    play(part)


def works(stage):
    return stage.worker.public.condition("", "app").working


def test_unknown_tokens_get_nothing(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        for query in ("", "?of=", "?of=app", "?of=" + "A" * 16, "?of=%00", "?x=1", "?" + "&" * 3000, "?of=" + "x" * 5000):
            head, body = await stage.ask(get(PATH + query))
            assert (head.split()[1], body) == (b"404", b""), query
        assert origin.seen == 0
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("path", [PATH, "/.well-known/headgate/%73tatus", "//.well-known/./headgate/x/../status", PATH + "?of=x"])
def test_however_it_is_spelled_it_is_never_forwarded(play, path):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        head, _ = await stage.ask(get(path))
        assert head.split()[1] == b"404"
        assert origin.seen == 0
        await stage.quiet()

    play(part)


def test_only_reading(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            head, body = await stage.ask(get(PATH, "Content-Length: 0\r\n", method))
            assert (head.split()[1], body) == (b"405", b"")
            assert b"Allow: GET, HEAD\r\n" in head
        origin.stop()
        url = await address(stage)
        client = await stage.client()
        client.send(get(url, method="HEAD") + get(url))
        assert b"Content-Length: 9" in await client.head()
        assert json.loads((await client.response())[1])["working"] is False
        client.send(b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert b"Connection: close" in (await client.response())[0], "the rest of its body is not waited for"
        client.close()
        assert origin.seen == 0
        await stage.quiet()

    play(part)


def test_it_can_be_elsewhere_or_off(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, gateway={"status": {"path": "/st at/ü"}})
        origin.stop()
        url = await address(stage)
        assert url.startswith("/st%20at/%C3%BC?of=")
        assert await working(stage, url) is False
        stage.reload(origin, gateway={"status": {"path": "off"}})
        _, text = await failing_page(stage)
        assert 'data-check="here"' in text
        assert "data-ask" not in text
        await origin.start()
        head, body = await stage.ask(get(PATH))
        assert (head.split()[1], body) == (b"200", b"ok"), "off, it is a path as any other"
        await stage.quiet()

    play(part)


def test_clients_are_limited(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, gateway={"status": {"rate_limit": {"rate": "1/h", "burst": 3}}})
        statuses = [(await stage.ask(get(PATH)))[0].split()[1] for _ in range(5)]
        assert statuses == [b"404", b"404", b"404", b"429", b"429"]
        assert (await stage.ask(get("/")))[0].split()[1] == b"200"
        await stage.quiet()

    play(part)


def test_an_open_circuit_says_until_when(play):
    async def part(stage):
        origin = await stage.origin("x", lambda head: None)
        await stage.gateway(origin, breaker={"requests": 3, "window": "5s", "open": "30s"}, retry={"attempts": 1})
        for _ in range(4):
            await failing_page(stage)
        head, told = await asked(stage, await address(stage))
        assert told["working"] is False
        assert told["expected"] is not None
        assert b"Headgate-Trial" not in head
        await stage.quiet()

    play(part)


def test_an_active_check_that_passes_again_is_enough(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, health={"interval": "1s", "timeout": "1s"})
        origin.stop()
        for _ in range(3):
            await failing_page(stage)
        group, wall = stage.group, stage.worker.wall()
        health = group.servers[0].health
        for event, at, state in (
            ("check-passed", wall - 60, "down"),
            ("check-failed", wall, "down"),
            ("check-passed", wall + 1, "disturbed"),
        ):
            health.hear(event, "a look", at)
            group._arrange()
            assert stage.worker.public.condition("", "app").state == state
        assert works(stage)
        await failing_page(stage)
        stage.worker.public.serving("app").failed(stage.worker.clock() + 5)
        assert not works(stage), "traffic that fails afterwards is newer evidence"
        await stage.quiet()

    play(part)


def test_a_server_taken_out_by_an_administrator_is_maintenance(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway({"url": origin.url, "down": True})
        status, text = await failing_page(stage)
        assert status == 503
        _, told = await asked(stage, re.search(r'data-ask="([^"]*)"', text)[1])
        assert told["working"] is False
        assert stage.worker.public.condition("", "app").state == "maintenance"
        await stage.quiet()

    play(part)


def test_maintenance_of_a_route_ends_with_it(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, route="maintenance = true\nname = 'shop'\n")
        url = await address(stage)
        assert await working(stage, url) is False
        stage.reload(origin, route="name = 'shop'\n")
        assert await working(stage, url) is True
        assert origin.seen == 0
        await stage.quiet()

    play(part)


def test_a_rescued_request_is_no_trouble(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(stage.dead(), origin, policy="round-robin", ejection={"enabled": False})
        for _ in range(6):
            assert (await failing_page(stage))[0] == 200
        assert stage.worker.public.condition("", "app") == ("working", True, 0, 0, False)
        await stage.quiet()

    play(part)


def test_what_a_server_says_of_itself_is_trouble_too(play):
    async def part(stage):
        origin = await stage.origin("no", lambda head: stage.ok("no", "503 Service Unavailable"))
        await stage.gateway(origin)
        for _ in range(3):
            assert (await failing_page(stage))[0] == 503
        assert stage.worker.public.condition("", "app")[:2] == ("down", False)
        await stage.quiet()

    play(part)


def test_what_clients_do_is_no_trouble(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin, gateway={"limits": {"request_body_bytes": 10}})
        head, _ = await stage.ask(get("/", "Content-Length: 11\r\n", "POST"))
        assert head.split()[1] == b"413"
        assert works(stage)
        await stage.quiet()

    play(part)


def test_one_visitor_now_and_then_is_sent_to_try(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        origin.stop()
        url = await address(stage)
        now = stage.worker.clock
        shift = 0.0
        stage.worker.clock = stage.worker.public._worker.clock = lambda: now() + shift
        trials = []
        for _ in range(30):
            shift += 1.0
            head, told = await asked(stage, url)
            assert told["working"] is False
            trials.append(b"Headgate-Trial: ?1\r\n" in head)
        assert trials[0] is False
        assert 5 <= sum(trials) <= 15
        await stage.quiet()

    play(part)


def test_what_others_know(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        origin.stop()
        url = await address(stage)
        public, at = stage.worker.public, stage.worker.clock()
        begun = stage.worker.wall() - 600
        word = {"others": [at, at - 1, 0, 0, 1, 1, at - 1], "begun": begun, "expected": begun + 1200, "acknowledged": True}
        public.told({"upstreams": {"app": word, "gone": word}, "days": {}, "first_day": 0})
        _, told = await asked(stage, url)
        assert (told["working"], told["acknowledged"]) == (False, True)
        assert told["since"] < told["expected"]
        later = at + 3
        others = {**word, "others": [later, at - 1, later, 1, 1, 0, 0]}
        public.told({"upstreams": {"app": others}, "days": {}, "first_day": 0})
        await stage.until(lambda: works(stage), "the word of others")
        await stage.quiet()

    play(part)


@pytest.mark.parametrize(
    "nonsense",
    [{}, {"upstreams": 1, "days": {}, "first_day": 0}, {"upstreams": {"app": {}}, "days": {}, "first_day": 0},
     {"upstreams": {"app": {"others": [0] * 7, "begun": float("nan"), "expected": 0, "acknowledged": 0}},
      "days": {}, "first_day": 0},
     {"upstreams": {}, "days": {"app": 3}, "first_day": 0}],
)  # fmt: skip
def test_nonsense_changes_nothing(play, nonsense):
    async def part(stage):
        await stage.gateway(await stage.origin())
        with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
            stage.worker.public.told(nonsense)
        assert works(stage)

    play(part)


def test_what_is_told_ends_with_the_trouble(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        public = stage.worker.public
        assert public.take() is None
        await failing_page(stage)
        public.take()
        assert public.take() is None, "no trouble, nothing to tell"
        origin.stop()
        await failing_page(stage)
        (told,) = public.take().values()
        assert told[1] > 0
        now, shift = stage.worker.clock, 100.0
        await origin.start()
        await failing_page(stage)
        assert public.take() is not None, "the first success is told at once"
        stage.worker.clock = lambda: now() + shift
        (told,) = public.take().values()
        assert told[1] == 0, "over"
        shift = 200.0
        assert public.take() is None
        await stage.quiet()

    play(part)


def test_tokens_tell_nothing_and_outlive_a_reload(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        origin.stop()
        url = await address(stage)
        stage.reload(origin, retry={"attempts": 2})
        assert await working(stage, url) is False
        assert await address(stage) == url
        await stage.quiet()

    play(part)


def test_the_default_is_on():
    assert Config().gateway.status.path == PATH
