"""The servers of one upstream, seen from outside: who is asked, who is left alone, and what the control process may say of it."""

import asyncio
import json
import time
from collections import Counter

import pytest

from headgate.gateway.group import DOUBT
from headgate.traffic.balance import POLICIES
from headgate.traffic.health import Health

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TRUSTED = {"details_for": ["127.0.0.0/8"], "trusted_proxies": ["127.0.0.0/8"]}


def get(path="/", *fields):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{''.join(field + chr(13) + chr(10) for field in fields)}\r\n".encode()


def status(response):
    return int(response[0].split(b" ")[1])


async def bodies(stage, count, data=GET):
    """Return who answered how often."""
    return Counter([(await stage.ask(data))[1].decode() for _ in range(count)])


async def three(stage):
    return [await stage.origin(name) for name in ("a", "b", "c")]


def state(*events, weight=1, until=0.0, pardoned=0.0, checked=False):
    """Return what the control process tells of a server after these events."""
    health = Health(time.time(), checked)
    for event in events:
        health.hear(event, "told in a test", time.time())
    return {"health": health.snapshot(), "weight": weight, "until": until, "pardoned": pardoned}


def keyed(policy):
    return {"policy": policy, "hash_on": "path"} if policy in ("ring-hash", "maglev") else {"policy": policy}


# Choosing.


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_asks_every_server(play, policy):
    async def part(stage):
        await stage.gateway(*await three(stage), **keyed(policy))
        answered = Counter()
        for number in range(60):
            answered[(await stage.ask(get(f"/{number}")))[1]] += 1
        assert set(answered) == {b"a", b"b", b"c"}
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_server_that_refuses_is_never_noticed(play, policy):
    async def part(stage):
        a, b, _ = await three(stage)
        await stage.gateway(a, stage.dead(), b, **keyed(policy))
        for number in range(40):
            assert status(await stage.ask(get(f"/{number}"))) == 200
        await stage.quiet()

    play(part)


def test_weights_are_shares(play):
    async def part(stage):
        a, b, c = await three(stage)
        servers = {"url": a.url, "weight": 3}, {"url": b.url, "weight": 2}, c
        await stage.gateway(*servers, policy="round-robin")
        assert await bodies(stage, 60) == {"a": 30, "b": 20, "c": 10}
        await stage.quiet()

    play(part)


def test_backups_serve_only_while_no_other_is_up(play):
    async def part(stage):
        a, b, c = await three(stage)
        await stage.gateway(a, b, {"url": c.url, "priority": 1}, policy="round-robin")
        assert set(await bodies(stage, 6)) == {"a", "b"}
        stage.worker.told({"app": {a.url: state("check-failed", checked=True)}})
        assert set(await bodies(stage, 4)) == {"b"}
        stage.worker.told({"app": {b.url: state("check-failed", checked=True)}})
        assert set(await bodies(stage, 4)) == {"c"}
        assert not stage.group.panic
        stage.worker.told({"app": {a.url: state("check-passed", checked=True)}})
        assert set(await bodies(stage, 4)) == {"a"}
        await stage.quiet()

    play(part)


def test_a_request_that_failed_everywhere_else_goes_to_the_backup_rather_than_to_what_is_down(play):
    async def part(stage):
        a, b, c = await three(stage)
        a.answer = lambda head: None
        await stage.gateway(a, b, {"url": c.url, "priority": 1}, policy="round-robin")
        stage.worker.told({"app": {b.url: state("check-failed", checked=True)}})
        assert await bodies(stage, 1) == {"c": 1}
        assert b.seen == 0
        c.stop()
        assert await bodies(stage, 1) == {"b": 1}, "the last resort"
        await stage.quiet()

    play(part)


def test_a_server_that_came_back_begins_slowly(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin", slow_start="60s")
        assert await bodies(stage, 20) == {"a": 10, "b": 10}, "not at the start"
        stage.worker.told({"app": {a.url: state("maintenance"), b.url: state()}})
        stage.worker.told({"app": {a.url: state("maintenance", "ready")}})
        assert await bodies(stage, 22) == {"a": 2, "b": 20}
        stage.group.servers[0].warm_since -= 30
        stage.group.turn()
        assert await bodies(stage, 32) == {"a": 12, "b": 20}
        stage.group.servers[0].warm_since -= 31
        stage.group.turn()
        assert await bodies(stage, 20) == {"a": 10, "b": 10}
        await stage.quiet()

    play(part)


def test_turns_go_on_when_nothing_changed(play):
    async def part(stage):
        a, b, c = await three(stage)
        await stage.gateway(a, b, c, policy="round-robin")
        answered = Counter()
        for _ in range(9):
            answered += await bodies(stage, 1)
            stage.worker.told({"app": {server.url: state() for server in (a, b, c)}})
        assert answered == {"a": 3, "b": 3, "c": 3}

    play(part)


# Keys.


@pytest.mark.parametrize("policy", ["ring-hash", "maglev"])
@pytest.mark.parametrize(
    ("hash_on", "request_of"),
    [
        ("path", lambda key: get(f"/{key}?{time.monotonic_ns()}")),
        ("header:X-User", lambda key: get("/", f"x-USER: {key}")),
        ("cookie:user", lambda key: get("/", f"Cookie: a=b; user={key}; z=1")),
        ("client", lambda key: get("/", f"X-Forwarded-For: 10.0.0.{key}")),
    ],
)
def test_the_same_key_goes_to_the_same_server(play, policy, hash_on, request_of):
    async def part(stage):
        await stage.gateway(*await three(stage), policy=policy, hash_on=hash_on, gateway=TRUSTED)
        homes = {key: await bodies(stage, 3, request_of(key)) for key in range(24)}
        assert all(len(home) == 1 for home in homes.values())
        assert len({next(iter(home)) for home in homes.values()}) == 3
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("policy", ["ring-hash", "maglev"])
def test_a_retry_leaves_the_key_s_server_and_the_key_comes_home(play, policy):
    async def part(stage):
        origins = await three(stage)
        await stage.gateway(*origins, policy=policy, hash_on="path")
        home = (await stage.ask(get("/key")))[1].decode()
        at_home = next(origin for origin in origins if origin.name == home)
        at_home.answer = lambda head: None
        assert (await stage.ask(get("/key")))[1].decode() != home
        at_home.answer = lambda head: stage.ok(home)
        assert (await stage.ask(get("/key")))[1].decode() == home
        await stage.quiet()

    play(part)


def test_requests_without_a_key_are_spread(play):
    async def part(stage):
        await stage.gateway(*await three(stage), policy="ring-hash", hash_on="header:x-user")
        assert len(await bodies(stage, 40)) == 3

    play(part)


# Ejection.


def test_three_refused_connections_eject(play):
    async def part(stage):
        a = await stage.origin("a")
        gone = stage.dead()
        await stage.gateway(a, gone, policy="round-robin", ejection={"base": "100ms"})
        assert await bodies(stage, 20) == {"a": 20}
        server = stage.group.servers[1]
        assert server.health.state == "ejected"
        assert "3 connections failed" in server.health.why
        assert server.requests == 3, "and it is asked no more"
        assert any(f"{gone} is ejected" in line for line in stage.errors())
        (told,) = stage.tells
        assert (told["ejected"], told["server"], "3 connections failed" in told["why"]) == ("app", gone, True)
        await asyncio.sleep(0.12)
        stage.group.turn()
        assert server.health.state == "up"
        assert await bodies(stage, 20) == {"a": 20}
        assert (server.health.state, server.requests) == ("ejected", 4), "on trial: one more failure is enough"
        assert len(stage.tells) == 2
        await stage.quiet()

    play(part)


def test_a_server_that_came_back_from_its_ejection_stays(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        b.stop()
        await stage.gateway(a, b, policy="round-robin", ejection={"base": "100ms"})
        await bodies(stage, 10)
        assert stage.group.servers[1].health.state == "ejected"
        await b.start()
        await asyncio.sleep(0.12)
        stage.group.turn()
        assert await bodies(stage, 10) == {"a": 5, "b": 5}
        b.stop()
        assert await bodies(stage, 2) == {"a": 2}
        assert stage.group.servers[1].health.state == "up", "no trial any more"
        await stage.quiet()

    play(part)


def test_one_client_with_one_bad_path_ejects_nobody(play):
    async def part(stage):
        origins = await three(stage)
        for origin in origins:
            origin.answer = lambda head, name=origin.name: None if b"/bad" in head else stage.ok(name)
        await stage.gateway(*origins, policy="round-robin")
        for number in range(60):
            assert status(await stage.ask(get("/bad"))) == 502
            if number % 3 == 0:
                assert status(await stage.ask(get(f"/good/{number}"))) == 200
        assert [server.health.state for server in stage.group.servers] == ["up"] * 3
        assert stage.tells == []
        await stage.quiet()

    play(part)


def test_a_server_that_fails_many_clients_is_ejected(play):
    async def part(stage):
        a, b, c = await three(stage)
        c.answer = lambda head: None
        await stage.gateway(a, b, c, policy="round-robin", gateway=TRUSTED, ejection={"failures": 4})
        for number in range(60):
            response = await stage.ask(get(f"/{number}", f"X-Forwarded-For: 10.0.0.{number}"))
            assert status(response) == 200
        assert stage.group.servers[2].health.state == "ejected"
        assert "clients failed within" in stage.group.servers[2].health.why
        await stage.quiet()

    play(part)


def test_a_server_in_doubt_gets_a_tenth_until_it_answers(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        b.answer = lambda head: None
        await stage.gateway(a, b, policy="round-robin", ejection={"failures": 1000})
        while b.seen < DOUBT:
            await stage.ask(GET)
        assert [server.share for server in stage.group.servers] == [10, 1]
        b.answer = lambda head: stage.ok("b")
        while stage.group.servers[1].suspect:
            await stage.ask(GET)
        assert [server.share for server in stage.group.servers] == [10, 10]
        assert await bodies(stage, 10) == {"a": 5, "b": 5}

    play(part)


def test_all_that_refuse_are_ejected_but_never_the_last(play):
    async def part(stage):
        await stage.gateway(*(stage.dead() for _ in range(4)), policy="round-robin", retry={"attempts": 1})
        for _ in range(60):
            assert status(await stage.ask(GET)) == 502
        states = Counter(server.health.state for server in stage.group.servers)
        assert states == {"ejected": 3, "up": 1}
        await stage.quiet()

    play(part)


def test_one_server_in_five_that_works_is_found_whatever_the_number_of_tries(play):
    async def part(stage):
        a = await stage.origin("a")
        await stage.gateway(a, *(stage.dead() for _ in range(4)), policy="round-robin", retry={"attempts": 2})
        for _ in range(20):
            assert status(await stage.ask(GET)) == 200
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
        assert status(await stage.ask(post)) == 200, "nothing of it had been sent to the others"
        await stage.quiet()

    play(part)


def test_one_try_means_one(play):
    async def part(stage):
        a = await stage.origin("a")
        await stage.gateway(a, stage.dead(), policy="round-robin", retry={"attempts": 1}, ejection={"enabled": False})
        answers = Counter([status(await stage.ask(GET)) for _ in range(10)])
        assert answers == {200: 5, 502: 5}
        await stage.quiet()

    play(part)


def test_of_those_that_can_be_reached_no_more_than_their_share_are_ejected(play):
    async def part(stage):
        origins = [await stage.origin(name) for name in "abcd"]
        for origin in origins[1:]:
            origin.answer = lambda head: None
        ejection = {"failures": 3, "most": 0.25}
        await stage.gateway(*origins, policy="round-robin", gateway=TRUSTED, ejection=ejection, retry={"attempts": 1})
        for number in range(200):
            await stage.ask(get(f"/{number}", f"X-Forwarded-For: 10.0.0.{number}"))
        assert Counter(server.health.state for server in stage.group.servers) == {"ejected": 1, "up": 3}
        assert stage.group.servers[0].health.state == "up"
        await stage.quiet()

    play(part)


def test_ejection_can_be_switched_off(play):
    async def part(stage):
        a = await stage.origin("a")
        await stage.gateway(a, stage.dead(), policy="round-robin", ejection={"enabled": False})
        assert await bodies(stage, 20) == {"a": 20}
        assert stage.group.servers[1].health.state == "up"
        assert stage.tells == []

    play(part)


def test_statuses_that_are_to_count_eject(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        b.answer = lambda head: stage.ok("no", "500 Internal Server Error")
        await stage.gateway(a, b, policy="round-robin", gateway=TRUSTED, ejection={"statuses": ["500-599"], "failures": 3})
        for number in range(30):
            await stage.ask(get(f"/{number}", f"X-Forwarded-For: 10.0.0.{number}"))
        assert stage.group.servers[1].health.state == "ejected"
        assert b.seen <= 6
        await stage.quiet()

    play(part)


def test_when_all_look_down_all_are_asked_and_those_who_may_know_are_told(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin", gateway=TRUSTED)
        down = state("check-failed", checked=True)
        stage.worker.told({"app": {a.url: down, b.url: down}})
        head, _ = await stage.ask(GET)
        assert b"\r\nHeadgate-Notice: fail-open; every server of this upstream looks down\r\n" in head
        head, _ = await stage.ask(get("/", "X-Forwarded-For: 192.0.2.1"))
        assert b"Headgate-Notice" not in head
        assert set(await bodies(stage, 4)) == {"a", "b"}
        assert [line for line in stage.errors() if "fail open" in line]
        stage.worker.told({"app": {a.url: state("check-passed", checked=True)}})
        head, body = await stage.ask(GET)
        assert (b"Headgate-Notice" in head, body) == (False, b"a")
        assert [line for line in stage.errors() if "up again" in line]
        await stage.quiet()

    play(part)


# What the control process says.


def test_drain_and_maintenance_and_ready(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin")
        for event in ("drain", "maintenance"):
            stage.worker.told({"app": {a.url: state(event)}})
            assert await bodies(stage, 4) == {"b": 4}
            b.answer = lambda head: None
            assert status(await stage.ask(GET)) == 502, "not even as a last resort"
            b.answer = lambda head: stage.ok("b")
            stage.worker.told({"app": {a.url: state(event, "ready")}})
            assert set(await bodies(stage, 12)) == {"a", "b"}
        stage.worker.told({"app": {a.url: state("maintenance"), b.url: state("maintenance")}})
        response = await stage.ask(GET)
        assert (status(response), json.loads(response[1])["error"]["cause"]) == (503, "no-healthy-server")
        await stage.quiet()

    play(part)


def test_what_was_ejected_elsewhere_is_ejected_here_and_comes_back_by_itself(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin")
        stage.worker.told({"app": {b.url: state("ejected", until=time.monotonic() + 0.1)}})
        assert await bodies(stage, 4) == {"a": 4}
        await asyncio.sleep(0.12)
        stage.group.turn()
        assert await bodies(stage, 4) == {"a": 2, "b": 2}
        b.stop()
        stage.worker.told({"app": {b.url: state("ejected", until=time.monotonic() + 0.05)}})
        await asyncio.sleep(0.07)
        stage.worker.told({"app": {b.url: state("ejected", "ejection-over")}})
        assert await bodies(stage, 4) == {"a": 4}
        assert stage.group.servers[1].health.state == "ejected", "on trial, whoever noticed the end of it"
        await stage.quiet()

    play(part)


def test_a_pardon_ends_an_ejection_and_news_that_are_too_old_do_not(play):
    async def part(stage):
        a = await stage.origin("a")
        await stage.gateway(a, stage.dead(), policy="round-robin")
        gone = stage.group.servers[1]
        await bodies(stage, 10)
        assert gone.health.state == "ejected"
        stage.worker.told({"app": {gone.label: state()}})
        assert gone.health.state == "ejected", "they do not know of it yet"
        assert "3 connections failed" in gone.health.why
        stage.worker.told({"app": {gone.label: state(pardoned=time.monotonic())}})
        assert gone.health.state == "up"
        asked = gone.requests
        await bodies(stage, 10)
        assert gone.requests == asked + 3, "not on trial"
        await stage.quiet()

    play(part)


def test_a_weight_that_is_told_holds(play):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin")
        stage.worker.told({"app": {a.url: state(weight=3)}})
        assert await bodies(stage, 40) == {"a": 30, "b": 10}

    play(part)


def test_what_is_told_of_others_is_left_alone(play):
    async def part(stage):
        a = await stage.origin("a")
        await stage.gateway(a)
        stage.worker.told({"other": {a.url: "nonsense"}, "app": {"http://127.0.0.1:1": "nonsense"}})
        stage.worker.told({})
        assert await bodies(stage, 1) == {"a": 1}

    play(part)


def nonsense():
    good = state()
    for key in good:
        yield {name: value for name, value in good.items() if name != key}
    for key, value in (
        ("weight", 0), ("weight", -1), ("weight", 1001), ("weight", 1.5), ("weight", "heavy"), ("weight", None), ("weight", True),
        ("until", -1.0), ("until", float("nan")), ("until", float("inf")), ("until", "soon"), ("until", None),
        ("pardoned", float("nan")), ("pardoned", []), ("health", {}), ("health", None), ("health", "up"),
        ("health", {**good["health"], "state": "down"}), ("health", {**good["health"], "witnesses": {"checks": "passing"}}),
    ):  # fmt: skip
        yield {**good, key: value}
    yield from ([], None, 3, "up")


NONSENSE = list(nonsense())


@pytest.mark.parametrize("bad", NONSENSE, ids=[str(number) for number in range(len(NONSENSE))])
def test_what_makes_no_sense_changes_nothing(play, bad):
    async def part(stage):
        a, b = await stage.origin("a"), await stage.origin("b")
        await stage.gateway(a, b, policy="round-robin")
        for told in (
            {"app": {a.url: state("maintenance"), b.url: bad}},
            {"app": {a.url: bad, b.url: state("maintenance")}},
            {"app": bad} if not isinstance(bad, dict) else {"app": {a.url: bad}},
        ):
            with pytest.raises((KeyError, TypeError, ValueError)):
                stage.worker.told(told)
            assert [server.health.state for server in stage.group.servers] == ["up", "up"]
        assert await bodies(stage, 4) == {"a": 2, "b": 2}

    play(part)


@pytest.mark.parametrize("bad", [None, [], 3, "app"])
def test_what_is_no_object_at_all_is_refused(play, bad):
    async def part(stage):
        await stage.gateway(await stage.origin("a"))
        with pytest.raises(TypeError):
            stage.worker.told(bad)

    play(part)


# Latency.


def test_the_slower_server_gets_less(play):
    async def part(stage):
        quick, slow = await stage.origin("quick"), await stage.origin("slow")

        async def slowly(head):
            await asyncio.sleep(0.03)
            return stage.ok("slow")

        slow.answer = slowly
        await stage.gateway(quick, slow, policy="peak-ewma")
        answered = await bodies(stage, 40)
        assert answered["quick"] > 4 * answered["slow"]
        await stage.quiet()

    play(part)


def test_a_server_that_lets_requests_run_out_of_time_counts_as_slow(play):
    async def part(stage):
        quick, stuck = await stage.origin("quick"), await stage.origin("stuck")

        async def never(head):
            await asyncio.sleep(60)

        stuck.answer = never
        await stage.gateway(quick, stuck, policy="peak-ewma", timeouts={"head": "100ms"}, ejection={"enabled": False})
        answered = await bodies(stage, 30)
        assert answered == {"quick": 30}
        assert stuck.seen <= 4
        await stage.quiet()

    play(part)
