"""A second server asked beside a slow one: who answers, what becomes of the other, and that nothing is left counted."""

import asyncio
import json

import pytest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEDGED = {"hedge_after": "40ms", "budget": {"floor": 100.0}}


def status(response):
    return int(response[0].split(b" ")[1])


class Waits:
    """A server that answers after a time of its own, counting who left it meanwhile."""

    def __init__(self, stage, name, seconds, answer=True):
        self.stage, self.name, self.seconds, self.answer = stage, name, seconds, answer

    async def __call__(self, head):
        await asyncio.sleep(self.seconds)
        return self.stage.ok(self.name) if self.answer is True else self.answer


async def pair(stage, first, second, **settings):
    """Start two servers of which the first is asked first."""
    one, two = await stage.origin("one"), await stage.origin("two")
    one.answer, two.answer = first, second
    await stage.gateway(one, {"url": two.url, "priority": 1}, retry=HEDGED, **settings)
    stage.group.usable = list(stage.group.servers)  # the policy begins with the first, a hedge may go to the second
    return one, two


def test_the_second_answers_when_the_first_is_slow(play):
    async def part(stage):
        one, two = await pair(stage, Waits(stage, "one", 30), lambda head: stage.ok("two"))
        assert (await stage.ask(GET))[1] == b"two"
        await stage.until(lambda: [server.busy for server in stage.group.servers] == [0, 0])
        assert (one.seen, two.seen) == (1, 1)
        record = (await stage.access(1))[0]
        assert (record["status"], record["attempts"], record["upstream_status"]) == (200, 2, 200)
        assert record["server"] in two.url
        assert [server.failed for server in stage.group.servers] == [0, 0]
        await stage.quiet()
        assert len(stage.group.servers[0].idle) == 0, "who was left is not used again"
        assert len(stage.group.servers[1].idle) == 1

    play(part)


def test_the_first_answers_after_all(play):
    async def part(stage):
        one, two = await pair(stage, Waits(stage, "one", 0.15), Waits(stage, "two", 30))
        assert (await stage.ask(GET))[1] == b"one"
        assert (one.seen, two.seen) == (1, 1)
        record = (await stage.access(1))[0]
        assert record["attempts"] == 2
        assert record["server"] in one.url, "the record names who answered"
        assert record["upstream_status"] == 200
        await stage.quiet()
        assert [len(server.idle) for server in stage.group.servers] == [1, 0]

    play(part)


def test_a_quick_first_asks_nobody_else(play):
    async def part(stage):
        one, two = await pair(stage, lambda head: stage.ok("one"), lambda head: stage.ok("two"))
        for _ in range(20):
            assert (await stage.ask(GET))[1] == b"one"
        await asyncio.sleep(0.06)
        assert (one.seen, two.seen) == (20, 0)
        assert stage.group.retrying.budget.spent == 0
        await stage.quiet()

    play(part)


def test_the_second_takes_over_when_the_first_fails(play):
    async def part(stage):
        _one, _two = await pair(stage, Waits(stage, "one", 0.1, None), Waits(stage, "two", 0.15))
        assert (await stage.ask(GET))[1] == b"two"
        record = (await stage.access(1))[0]
        assert [attempt["verdict"] for attempt in record["tries"]] == ["again-hedged", None]
        assert [server.failed for server in stage.group.servers] == [1, 0]
        await stage.quiet()

    play(part)


def test_the_first_goes_on_when_the_second_fails(play):
    async def part(stage):
        one, _two = await pair(stage, Waits(stage, "one", 0.2), lambda head: None)
        assert (await stage.ask(GET))[1] == b"one"
        record = (await stage.access(1))[0]
        assert [attempt["cause"] is None for attempt in record["tries"]] == [False, True]
        assert record["server"] in one.url
        assert [server.failed for server in stage.group.servers] == [0, 1]
        await stage.quiet()

    play(part)


def test_a_second_that_cannot_be_reached_harms_nobody(play):
    async def part(stage):
        _one, two = await pair(stage, Waits(stage, "one", 0.15), None)
        two.stop()
        assert (await stage.ask(GET))[1] == b"one"
        await stage.quiet()

    play(part)


def test_both_fail(play):
    async def part(stage):
        _one, _two = await pair(stage, Waits(stage, "one", 0.08, None), Waits(stage, "two", 0.1, None))
        response = await stage.ask(GET)
        assert (status(response), json.loads(response[1])["error"]["cause"]) == (502, "closed-before-answer")
        record = (await stage.access(1))[0]
        assert all(attempt["cause"] for attempt in record["tries"])
        await stage.quiet()

    play(part)


def test_the_client_leaves_while_both_are_asked(play):
    async def part(stage):
        _one, two = await pair(stage, Waits(stage, "one", 30), Waits(stage, "two", 30))
        client = await stage.client()
        client.send(GET)
        await stage.until(lambda: two.seen == 1)
        client.close()
        await stage.until(lambda: not stage.worker.clients)
        assert (await stage.access(1))[0]["status"] == 499
        await stage.quiet()
        assert [server.failed for server in stage.group.servers] == [0, 0]

    play(part)


def test_the_time_for_the_whole_exchange_ends_both(play):
    async def part(stage):
        one, two = await pair(stage, Waits(stage, "one", 30), Waits(stage, "two", 30), timeouts={"total": "250ms"})
        response = await stage.ask(GET)
        assert (status(response), json.loads(response[1])["error"]["cause"]) == (504, "response-total-timeout")
        assert (one.seen, two.seen) == (1, 1)
        await stage.quiet()

    play(part)


def test_each_try_has_its_own_time(play):
    async def part(stage):
        one, two = await stage.origin("one"), await stage.origin("two")
        one.answer, two.answer = Waits(stage, "one", 30), Waits(stage, "two", 30)
        retry = {"hedge_after": "40ms", "per_try": "200ms", "attempts": 2}
        await stage.gateway(one, {"url": two.url, "priority": 1}, retry=retry)
        stage.group.usable = list(stage.group.servers)
        response = await stage.ask(GET)
        assert (status(response), json.loads(response[1])["error"]["cause"]) == (504, "response-timeout")
        assert (await stage.access(1))[0]["duration_ms"] < 2000
        await stage.quiet()

    play(part)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
)
def test_what_must_not_arrive_twice_is_not_hedged(play, request_bytes):
    async def part(stage):
        _one, two = await pair(stage, Waits(stage, "one", 0.15), lambda head: stage.ok("two"))
        assert (await stage.ask(request_bytes))[1] == b"one"
        assert two.seen == 0
        await stage.quiet()

    play(part)


def test_hedges_are_within_the_budget(play):
    async def part(stage):
        one, two = await stage.origin("one"), await stage.origin("two")
        one.answer = Waits(stage, "one", 0.06)
        retry = {"hedge_after": "10ms", "budget": {"share": 0.0, "floor": 0.3}}
        await stage.gateway(one, {"url": two.url, "priority": 1}, retry=retry)
        stage.group.usable = list(stage.group.servers)
        answers = [(await stage.ask(GET))[1] for _ in range(8)]
        assert sorted(answers) == [b"one"] * 5 + [b"two"] * 3
        await stage.quiet()

    play(part)


def test_a_full_server_is_not_asked_beside(play):
    async def part(stage):
        _one, two = await pair(
            stage, Waits(stage, "one", 0.12), lambda head: stage.ok("two"),
            max_requests=1, max_total_requests=2, breaker={}, adaptive={}, queue={},
        )  # fmt: skip
        other_worker = stage.worker.counting.of(f"busy app {two.url}")
        other_worker.up()
        assert (await stage.ask(GET))[1] == b"one"
        assert stage.group.retrying.budget.spent == 0
        other_worker.down()
        assert (await stage.ask(GET))[1] == b"two"
        await stage.quiet()

    play(part)


def test_an_interim_response_does_not_win(play):
    async def part(stage):
        async def hints(head):
            return b"HTTP/1.1 103 Early Hints\r\nLink: </two>\r\n\r\n"

        _one, _two = await pair(stage, Waits(stage, "one", 0.2), hints)
        assert (await stage.ask(GET))[1] == b"one"
        await stage.quiet()

    play(part)


def test_an_interim_response_and_the_final_one_together(play):
    async def part(stage):
        both = b"HTTP/1.1 103 Early Hints\r\nLink: </two>\r\n\r\n" + stage.ok("two")
        _one, _two = await pair(stage, Waits(stage, "one", 30), lambda head: both)
        assert (await stage.ask(GET))[1] == b"two"
        await stage.quiet()

    play(part)


def test_kept_connections_are_used_for_the_second_as_well(play):
    async def part(stage):
        _one, two = await pair(stage, Waits(stage, "one", 30), lambda head: stage.ok("two"))
        for _ in range(5):
            assert (await stage.ask(GET))[1] == b"two"
        assert two.accepted == 1
        await stage.quiet()

    play(part)


def test_a_large_answer_of_the_second_arrives_whole(play):
    async def part(stage):
        body = bytes(range(256)) * 4000
        large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        await pair(stage, Waits(stage, "one", 30), lambda head: large)
        assert (await stage.ask(GET))[1] == body
        await stage.quiet()

    play(part)


def test_many_at_once_leave_nothing_counted(play):
    async def part(stage):
        count = 0

        def now_and_then(name):
            async def answer(head):
                nonlocal count
                count += 1
                await asyncio.sleep((count * 7 % 11) / 100)
                return None if count % 5 == 0 else stage.ok(name)

            return answer

        origins = [await stage.origin(str(number)) for number in range(3)]
        for origin in origins:
            origin.answer = now_and_then(origin.name)
        await stage.gateway(
            *origins, retry={"hedge_after": "20ms", "per_try": "300ms", "budget": {"floor": 1000}},
            max_requests=500, max_total_requests=900, breaker={"requests": 100_000}, ejection={"enabled": False},
        )  # fmt: skip
        responses = await asyncio.gather(*(stage.ask(GET) for _ in range(150)))
        assert {status(response) for response in responses} <= {200, 502}
        assert sum(status(response) == 200 for response in responses) > 140
        await stage.quiet()
        await stage.until(
            lambda: sum(origin.open for origin in origins) == sum(len(server.idle) for server in stage.group.servers)
        )

    play(part)
