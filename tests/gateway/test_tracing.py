"""Traced exchanges: what servers get of the trace, what is handed over, and that bounds hold and losses are counted."""

import asyncio
import os
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.config.schema import Limits
from headgate.config.telemetry import Telemetry
from headgate.gateway.tracing import MOST, MOST_HEALTHY, Tracer, clock_offset
from headgate.model.trace import Trace
from headgate.render.transcript import told_by
from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.request import read_request_head

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
TABLE = "[telemetry]\n"
HEDGED = {"hedge_after": "40ms", "budget": {"floor": 100.0}}


def parents(head):
    return re.findall(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n", head)


def collected(stage):
    """Let the worker hand over to a list, which is returned."""
    found = []
    stage.worker.hand_over = lambda message: found.append(message["telemetry"]) or True
    return found


def test_both_tries_of_a_hedged_request_are_children_of_their_own(play):
    async def part(stage):
        one, two = await stage.origin("one"), await stage.origin("two")

        async def slow(head):
            await asyncio.sleep(30)

        one.answer = slow
        await stage.gateway(one, {"url": two.url, "priority": 1}, retry=HEDGED, route=TABLE + "sample = 1")
        stage.group.usable = list(stage.group.servers)
        found = collected(stage)
        assert (await stage.ask(GET))[1] == b"two"
        (first,), (second,) = parents(one.heads[0]), parents(two.heads[0])
        assert first[0] == second[0]
        assert first[1] != second[1]
        await stage.until(lambda: found)
        told = told_by(found[0]["exchanges"][0])
        assert [told.trace.span_of(attempt).encode() for attempt in told.exchange.attempts] == [first[1], second[1]]
        assert [attempt.verdict for attempt in told.exchange.attempts] == ["hedged", None]
        await stage.quiet()

    play(part)


def test_a_retry_after_an_answer_tells_of_itself(play):
    async def part(stage):
        bad = await stage.origin("bad", lambda head: stage.ok("no", "503 Unavailable"))
        good = await stage.origin("good")
        await stage.gateway(bad, {"url": good.url, "priority": 1}, retry={"statuses": ["503"]}, route=TABLE + "sample = 1")
        stage.group.usable = list(stage.group.servers)
        await stage.ask(b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-%b-%b-01\r\ntracestate: a=1\r\n\r\n" % (TRACE, SPAN))
        heads = [*bad.heads, *good.heads]
        assert len(heads) == 2
        assert all(head.count(b"traceparent") == head.count(b"tracestate: a=1\r\n") == 1 for head in heads)
        spans = [parents(head)[0] for head in heads]
        assert spans[0][0] == spans[1][0] == TRACE
        assert len({span for _, span, _ in spans} | {SPAN}) == 3
        await stage.quiet()

    play(part)


def test_what_is_not_handed_over_is_counted_and_told_with_the_next(play):
    async def part(stage):
        await stage.gateway(stage.dead(), route=TABLE + "sample = 0")
        taken = []
        stage.worker.hand_over = lambda message: False
        assert (await stage.ask(GET))[0].startswith(b"HTTP/1.1 502")
        await asyncio.sleep(0.3)
        stage.worker.hand_over = lambda message: taken.append(message["telemetry"]) or True
        await stage.until(lambda: taken)
        assert (taken[0]["exchanges"], taken[0]["lost"]) == ([], [2, 1])
        assert (await stage.ask(GET))[0].startswith(b"HTTP/1.1 502")
        await stage.until(lambda: len(taken) == 2)
        assert (len(taken[1]["exchanges"]), taken[1]["lost"]) == (1, [0, 0])

    play(part)


def test_failures_find_room_when_there_is_none_for_what_went_well(play):
    async def part(stage):
        good = await stage.origin("good", lambda head: stage.ok("x") if b"/good" in head else None)
        await stage.gateway(good, route=TABLE + "sample = 1", ejection={"enabled": False}, retry={"attempts": 1})
        stage.worker.tracer._turn = lambda: None  # nothing is handed over before all are there
        found = collected(stage)
        client = await stage.client()
        for _ in range(MOST_HEALTHY + 20):
            client.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.response()
        for _ in range(MOST - MOST_HEALTHY + 5):
            client.send(b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.response()
        stage.worker.tracer.flush()
        exchanges = [told_by(one).exchange for one in found[0]["exchanges"]]
        assert len(exchanges) == MOST
        assert sum(one.cause is not None for one in exchanges) == MOST - MOST_HEALTHY
        assert found[0]["lost"] == [2 * 20 + 2 * 5, 5]

    play(part)


def test_a_reload_changes_what_comes_next(play):
    async def part(stage):
        origin = await stage.origin()
        await stage.gateway(origin)
        assert stage.worker.tracer is None
        assert await stage.ask(GET)
        stage.reload(origin, route=TABLE + "sample = 1")
        found = collected(stage)
        tracer = stage.worker.tracer
        assert await stage.ask(GET)
        await stage.until(lambda: found)
        stage.reload(origin, route=TABLE + "sample = 1")
        assert stage.worker.tracer is tracer, "nothing changed for it"
        stage.reload(origin, route=TABLE + "sample = 0.5")
        assert stage.worker.tracer is not tracer
        stage.reload(origin)
        assert await stage.ask(GET)
        assert [len(parents(head)) for head in origin.heads] == [0, 1, 0]
        records = await stage.access(3)
        assert ["trace_id" in record for record in records] == [False, True, False]

    play(part)


def test_an_exchange_that_began_before_a_reload_ends_as_it_began(play):
    async def part(stage):
        go = asyncio.Event()

        async def wait(head):
            await go.wait()
            return stage.ok()

        origin = await stage.origin("ok", wait)
        await stage.gateway(origin, route=TABLE + "sample = 1")
        found = collected(stage)
        asking = asyncio.create_task(stage.ask(GET))
        await stage.until(lambda: origin.heads)
        stage.reload(origin)
        go.set()
        await asking
        await stage.until(lambda: found)
        assert len(found[0]["exchanges"]) == 1
        await stage.quiet()

    play(part)


class Spy:
    """A worker, as far as a tracer sees one."""

    def __init__(self):
        self.loop = None


LIMITS = WireLimits.of(Limits())
VALUE = st.binary(max_size=200).map(lambda raw: raw.translate(None, b"\r\n\0")) | st.just(b"00-%b-%b-01" % (TRACE, SPAN))
NAME = st.sampled_from([b"traceparent", b"Traceparent", b"TRACESTATE", b"tracestate", b"trace", b"traceparent2", b"x"])


@settings(max_examples=300)
@given(st.lists(st.tuples(NAME, VALUE), max_size=8), st.sampled_from(["always", "trusted", "never"]), st.booleans())
def test_whatever_trace_headers_come_one_legal_one_goes_on(lines, trust, believed):
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    try:
        head = read_request_head(raw, LIMITS)
    except Refused:
        return
    tracer = Tracer(Telemetry(sample=0.5, trust=trust), Spy())
    trace = tracer.begin(head, raw, believed=believed)
    names = [line.partition(b":")[0].lower() for line in head.forward.split(b"\r\n")[:-1]]
    assert b"traceparent" not in names
    assert b"tracestate" not in names
    assert len(names) == sum(name.lower() not in (b"traceparent", b"tracestate") for name, _ in lines) + 1
    assert b"X-Keep: 1\r\n" in head.forward
    assert re.fullmatch(r"[0-9a-f]{32}", trace.trace_id)
    assert trace.flags in (0, 1, 2, 3)
    given_parents = [value.strip(b" \t") for name, value in lines if name.lower() == b"traceparent"]
    continued = trace.trace_id.encode() == TRACE
    assert continued == (given_parents == [b"00-%b-%b-01" % (TRACE, SPAN)] and trust != "never")
    if continued and (trust == "always" or believed):
        assert trace.sampled


def test_the_offset_of_the_clocks():
    offset = clock_offset()
    assert abs(time.monotonic_ns() + offset - time.time_ns()) < 1_000_000_000


def test_processes_that_fork_make_ids_of_their_own():
    assert Trace(0).trace_id != Trace(0).trace_id
    found = set()
    for _ in range(2):
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write, Trace(0).trace_id.encode())
            os._exit(0)
        os.close(write)
        found.add(os.read(read, 100))
        os.close(read)
        os.waitpid(pid, 0)
    assert len(found) == 2
