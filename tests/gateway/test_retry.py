"""`may_retry`, as a table: what is permitted, and the reason that is given for everything else; then the same with servers."""

import asyncio
import itertools
import json
import socket

import pytest

from headgate.config.resilience import Retry
from headgate.gateway.retry import may_retry
from headgate.gateway.retrying import Retrying
from headgate.model.cause import Cause
from headgate.model.methods import IDEMPOTENT
from headgate.model.phases import BODY, CONNECT, HEAD, RESOLVE, SEND, TLS
from headgate.model.signals import DEADLINE, EOF, MALFORMED, REFUSED, RESET
from headgate.model.verdicts import VERDICTS


def cause(retry="idempotent", fault="upstream"):
    return Cause("x", "X", "any", fault, "x", 502, retry, True, True, "x")


USUAL = {
    "idempotent": True,
    "started": False,
    "kept": False,
    "replayable": True,
    "tries_left": 2,
    "time_left": 10.0,
    "elsewhere": True,
}


def asked(phase, signal, retry="idempotent", fault="upstream", **changes):
    return may_retry(cause(retry, fault), phase, signal, **{**USUAL, **changes})


@pytest.mark.parametrize(
    ("verdict", "phase", "signal", "changes"),
    [
        ("again-unsent", CONNECT, REFUSED, {"retry": "unsent"}),
        ("again-unsent", RESOLVE, DEADLINE, {"retry": "unsent", "idempotent": False, "replayable": False}),
        ("again-unsent", TLS, RESET, {"retry": "unsent", "idempotent": False}),
        ("not-elsewhere", CONNECT, REFUSED, {"retry": "unsent", "elsewhere": False}),
        ("again-idempotent", HEAD, EOF, {}),
        ("again-idempotent", HEAD, EOF, {"elsewhere": False}),
        ("again-idempotent", HEAD, DEADLINE, {}),
        ("not-elsewhere", HEAD, DEADLINE, {"elsewhere": False}),
        ("not-elsewhere", HEAD, MALFORMED, {"elsewhere": False}),
        ("not-idempotent", HEAD, EOF, {"idempotent": False}),
        ("not-idempotent", SEND, RESET, {"idempotent": False}),
        ("not-idempotent", HEAD, EOF, {"idempotent": False, "kept": True}),
        ("not-body", HEAD, EOF, {"replayable": False}),
        ("again-reused", HEAD, EOF, {"kept": True}),
        ("again-reused", SEND, RESET, {"kept": True, "tries_left": 0, "elsewhere": False}),
        ("not-attempts", HEAD, DEADLINE, {"tries_left": 0}),
        ("not-attempts", CONNECT, REFUSED, {"retry": "unsent", "tries_left": 0}),
        ("not-time", CONNECT, REFUSED, {"retry": "unsent", "time_left": 0.0}),
        ("not-time", HEAD, EOF, {"kept": True, "time_left": -1.0}),
        ("not-useful", HEAD, EOF, {"retry": "never"}),
        ("not-useful", HEAD, EOF, {"retry": "unsent"}),
        ("not-started", BODY, EOF, {"started": True}),
        ("not-wanted", HEAD, EOF, {"fault": "client"}),
    ],
)
def test_the_verdict_and_its_reason(verdict, phase, signal, changes):
    assert asked(phase, signal, **changes) == verdict


def everything():
    """Every combination of what a verdict may depend on."""
    for phase, signal, retry, idempotent in itertools.product(
        (CONNECT, SEND, HEAD, BODY), (EOF, RESET, DEADLINE, MALFORMED), ("never", "unsent", "idempotent", "reused-only"),
        (False, True),
    ):  # fmt: skip
        for started, kept, replayable, elsewhere, tries, time in itertools.product(*[(False, True)] * 4, (0, 1), (0.0, 1.0)):
            changes = {
                "idempotent": idempotent,
                "started": started,
                "kept": kept,
                "replayable": replayable,
                "elsewhere": elsewhere,
            }
            yield phase, signal, {"retry": retry, "tries_left": tries, "time_left": time, **changes}


def test_the_rules_that_hold_for_every_combination():
    for phase, signal, changes in everything():
        verdict = asked(phase, signal, **changes)
        assert verdict in VERDICTS
        if not verdict.startswith("again"):
            continue
        assert not changes["started"], "what began to reach the client is never repeated"
        assert changes["retry"] != "never"
        assert changes["time_left"] > 0
        if phase >= SEND:
            assert changes["idempotent"], "what may have been processed is only repeated where that is harmless"
            assert changes["replayable"], "half a body is never sent"
        if changes["tries_left"] == 0:
            assert changes["kept"], "beyond the configured tries only what a stale connection cost is repeated"


def test_pauses_grow_and_are_bounded():
    retrying = Retrying(Retry(backoff=0.1, longest_backoff=0.4))
    for tries, longest in ((0, 0.1), (1, 0.1), (2, 0.2), (3, 0.4), (30, 0.4)):
        pauses = [retrying.pause(tries) for _ in range(300)]
        assert 0 <= min(pauses) < longest / 4
        assert longest * 3 / 4 < max(pauses) <= longest


# Through the gateway.

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(fields="", body=b"form"):
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), fields.encode(), body)


def status(response):
    return int(response[0].split(b" ")[1])


def told(response):
    return json.loads(response[1])["error"]["cause"]


async def closes_after_reading(stage):
    return await stage.origin("bad", lambda head: None)


@pytest.mark.parametrize("method", sorted(IDEMPOTENT - {b"TRACE"}))
def test_idempotent_methods_are_tried_again_elsewhere(play, method):
    async def part(stage):
        bad, good = await closes_after_reading(stage), await stage.origin("good")
        await stage.gateway({"url": bad.url, "weight": 1000}, good, policy="round-robin")
        for _ in range(3):
            client = await stage.client()
            client.send(method + b" / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n")
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
            client.close()
        assert bad.seen > 0
        await stage.quiet()

    play(part)


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"LOCK"])
def test_other_methods_reach_one_server_once(play, method):
    async def part(stage):
        origins = [await closes_after_reading(stage) for _ in range(3)]
        await stage.gateway(*origins, policy="round-robin")
        for number in range(12):
            response = await stage.ask(method + b" /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" % number)
            assert status(response) == 502
        seen = [head.split(b" ")[1] for origin in origins for head in origin.heads]
        assert sorted(seen) == sorted(b"/%d" % number for number in range(12))
        assert {record["tries"][0]["verdict"] for record in await stage.access(12)} == {"not-idempotent"}
        await stage.quiet()

    play(part)


def test_a_client_s_key_makes_a_post_repeatable(play):
    async def part(stage):
        bad, good = await closes_after_reading(stage), await stage.origin("good")
        servers = {"url": bad.url, "weight": 1000}, good
        await stage.gateway(*servers, policy="round-robin")
        assert (await stage.ask(post("Idempotency-Key: 8e03\r\n")))[1] == b"good"
        assert bad.bodies == good.bodies == [b"form"]
        stage.reload(*servers, policy="round-robin", retry={"idempotency_key": False})
        assert status(await stage.ask(post("Idempotency-Key: 8e04\r\n"))) == 502
        assert len(good.bodies) == 1
        await stage.quiet()

    play(part)


def test_a_post_that_nobody_has_seen_goes_elsewhere(play):
    async def part(stage):
        good = await stage.origin("good")
        await stage.gateway(stage.dead(), stage.dead(), good, policy="round-robin", ejection={"enabled": False})
        for _ in range(9):
            assert (await stage.ask(post()))[1] == b"good"
        assert len(good.bodies) == 9
        await stage.quiet()

    play(part)


def test_the_budget_bounds_what_a_broken_upstream_gets(play):
    async def part(stage):
        origins = [await closes_after_reading(stage) for _ in range(2)]
        await stage.gateway(*origins, retry={"attempts": 5, "budget": {"share": 0.2, "floor": 1.0}}, ejection={"enabled": False})
        for _ in range(100):
            assert status(await stage.ask(GET)) == 502
        tries = sum(origin.seen for origin in origins)
        assert 100 < tries <= 100 + 0.2 * 100 + 1.0 * 10
        assert {record["tries"][-1]["verdict"] for record in await stage.access(100)} >= {"not-budget"}
        await stage.quiet()

    play(part)


def test_what_was_not_sent_needs_no_budget(play):
    async def part(stage):
        good = await stage.origin("good")
        none = {"budget": {"share": 0.0, "floor": 0.0}}
        await stage.gateway(stage.dead(), good, policy="round-robin", retry=none, ejection={"enabled": False})
        for _ in range(30):
            assert status(await stage.ask(GET)) == 200
        assert stage.group.retrying.budget.spent == 0
        await stage.quiet()

    play(part)


def test_a_connection_that_had_closed_needs_no_budget(play):
    async def part(stage):
        origin = await stage.origin("app")
        await stage.gateway(origin, retry={"attempts": 1, "budget": {"share": 0.0, "floor": 0.0}})
        await stage.ask(GET)
        count = 0

        def every_other(head):
            nonlocal count
            count += 1
            return None if count % 2 else stage.ok()

        origin.answer = every_other
        for _ in range(5):
            assert status(await stage.ask(GET)) == 200
        assert {record["tries"][0]["verdict"] for record in (await stage.access(6))[1:]} == {"again-reused"}
        await stage.quiet()

    play(part)


def test_a_try_has_a_time_of_its_own(play):
    async def part(stage):
        slow, quick = await stage.origin("slow"), await stage.origin("quick")

        async def late(head):
            await asyncio.sleep(60)

        slow.answer = late
        await stage.gateway({"url": slow.url, "weight": 1000}, quick, policy="round-robin", retry={"per_try": "150ms"})
        assert (await stage.ask(GET))[1] == b"quick"
        attempt = (await stage.access(1))[0]["tries"][0]
        assert (attempt["cause"], attempt["phase"]) == ("response-timeout", "head")
        assert any("retry.per_try" in line for line in stage.errors())
        await stage.quiet()

    play(part)


def test_a_try_s_time_runs_while_it_connects_as_well(play):
    async def part(stage):
        quick = await stage.origin("quick")
        with socket.socket() as full:  # a queue of connections that is full: SYNs are dropped
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            url = f"http://127.0.0.1:{port}"
            await stage.gateway({"url": url, "weight": 1000}, quick, policy="round-robin", retry={"per_try": "200ms"})
            assert (await stage.ask(GET))[1] == b"quick"
            record = (await stage.access(1))[0]
            assert record["tries"][0]["phase"] == "connect"
            assert record["duration_ms"] < 2500, "not only when the connection's own time was up"
            for sock in waiting:
                sock.close()
        await stage.quiet()

    play(part)


def test_the_same_server_is_asked_again_after_a_pause_only(play, monkeypatch):
    async def part(stage):
        count = 0

        def third_time(head):
            nonlocal count
            count += 1
            return stage.ok() if count == 3 else None

        origin = await stage.origin("app", third_time)
        await stage.gateway(origin)
        pauses = []
        monkeypatch.setattr(Retrying, "pause", lambda self, tries: pauses.append(tries) or 0.001)
        assert status(await stage.ask(GET)) == 200
        assert pauses == [1, 2]
        await stage.quiet()

    play(part)


def test_a_route_has_its_own_mind(play):
    async def part(stage):
        origins = [await closes_after_reading(stage) for _ in range(3)]
        await stage.gateway(*origins, retry={"attempts": 3}, route="retry = { attempts = 1 }")
        assert status(await stage.ask(GET)) == 502
        assert sum(origin.seen for origin in origins) == 1
        stage.reload(*origins, retry={"attempts": 1}, route="retry = { attempts = 3 }")
        assert status(await stage.ask(GET)) == 502
        assert sum(origin.seen for origin in origins) == 4
        await stage.quiet()

    play(part)


def test_budgets_outlive_a_reload(play):
    async def part(stage):
        origins = [await closes_after_reading(stage) for _ in range(2)]
        retry = "retry = { budget = { share = 0.0, floor = 0.3 } }"
        await stage.gateway(*origins, route=retry)
        for _ in range(12):
            assert status(await stage.ask(GET)) == 502
            stage.reload(*origins, route=retry)
        assert sum(origin.seen for origin in origins) == 12 + 3
        await stage.quiet()

    play(part)


def test_a_body_that_is_too_large_to_keep_is_sent_once(play):
    async def part(stage):
        origins = [await closes_after_reading(stage) for _ in range(2)]
        await stage.gateway(*origins, retry={"body_bytes": 10})
        response = await stage.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b"x" * 11)
        assert status(response) == 502
        assert sum(origin.seen for origin in origins) == 1
        assert (await stage.access(1))[0]["tries"][0]["verdict"] == "not-body"
        response = await stage.ask(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n" + b"x" * 10)
        assert [body for origin in origins for body in origin.bodies].count(b"x" * 10) == 3
        await stage.quiet()

    play(part)


def test_one_server_of_two_refuses_and_nobody_notices(play):
    async def part(stage):
        good = await stage.origin("good")
        await stage.gateway(good, stage.dead())
        client = await stage.client()
        for _ in range(1000):
            client.send(GET)
            assert status(await client.response()) == 200
        await stage.quiet()

    play(part)
