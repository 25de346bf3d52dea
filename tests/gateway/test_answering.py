"""Answers in the gateway's own name: which Retry-After they have, and which of the lines noted on the way in."""

import json

import pytest

from headgate.gateway.answering import answer_bytes

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ONE_A_MINUTE = 'rate_limit = { rate = "1/min" }\n'


def values(head, name):
    """Every value of a field, in order."""
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line]
    return [value.decode() for field, value in lines if field.lower() == name]


async def always_ok(stage, reader, writer):
    while True:
        await stage.request(reader)
        writer.write(OK)


async def dies(stage, reader, writer):
    await stage.request(reader)


def served_by(stage, script):
    return lambda reader, writer, number: script(stage, reader, writer)


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_a_refused_client_is_told_once_when_to_come_back(play, request_bytes):
    async def part(stage):
        await stage.gateway(await stage.server(served_by(stage, always_ok)), route=ONE_A_MINUTE)
        first, _ = await stage.ask(request_bytes)
        assert first.startswith(b"HTTP/1.1 200 ")
        assert values(first, b"ratelimit") == ['"default";r=0;t=1']
        head, body = await stage.ask(request_bytes)
        assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        (wait,) = values(head, b"retry-after")
        assert 50 <= int(wait) <= 60
        assert values(head, b"ratelimit") == [f'"default";r=0;t={wait}']
        assert values(head, b"ratelimit-policy") == ['"default";q=1;w=60']
        assert json.loads(body)["error"]["retry_after"] == int(wait)
        assert json.loads(body)["error"]["cause"] == "rate-limited"
        assert len(stage.heads) == 1
        record = (await stage.access(2))[1]
        assert (record["status"], record["cause"]) == (429, "rate-limited")
        assert "cause=rate-limited" in stage.errors()[0]
        assert "more often than the 1/min that route.rate_limit.rate allows" in stage.errors()[0]

    play(part)


def test_a_connection_outlives_a_refusal_and_a_head_has_no_body(play):
    async def part(stage):
        await stage.gateway(await stage.server(served_by(stage, always_ok)), route=ONE_A_MINUTE)
        client = await stage.client()
        client.send(GET)
        await client.response()
        client.send(GET.replace(b"GET", b"HEAD"))
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 429 ")
        assert len(values(head, b"ratelimit")) == 1
        client.send(GET)
        assert (await client.response())[0].startswith(b"HTTP/1.1 429 ")
        records = await stage.access(3)
        assert records[1]["sent"] == len(head)

    play(part)


def test_lines_noted_on_the_way_in_are_in_answers_to_failures_too(play):
    async def part(stage):
        await stage.gateway(await stage.server(served_by(stage, dies)), route='rate_limit = { rate = "9/min" }\n')
        head, _ = await stage.ask(GET)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert len(values(head, b"ratelimit")) == len(values(head, b"ratelimit-policy")) == 1
        assert values(head, b"retry-after") == ["5"]

    play(part)


def test_where_the_client_must_not_repeat_there_is_no_retry_after(play):
    async def part(stage):
        await stage.gateway(await stage.server(served_by(stage, dies)))
        head, body = await stage.ask(POST)
        assert head.startswith(b"HTTP/1.1 502 ")
        assert values(head, b"retry-after") == []
        assert json.loads(body)["error"]["retry_after"] is None

    play(part)


def test_an_open_circuit_says_when_the_next_trial_is_due(play):
    async def part(stage):
        breaker = {"requests": 2, "open": "90s", "longest": "100s"}
        await stage.gateway(await stage.server(served_by(stage, dies)), breaker=breaker, retry={"attempts": 1})
        for _ in range(2):
            head, _ = await stage.ask(GET)
            assert head.startswith(b"HTTP/1.1 502 ")
        head, body = await stage.ask(POST)
        assert head.startswith(b"HTTP/1.1 503 ")
        (wait,) = values(head, b"retry-after")
        assert 45 <= int(wait) <= 100
        error = json.loads(body)["error"]
        assert (error["cause"], error["retry_after"]) == ("circuit-open", int(wait))
        assert len(stage.heads) == 2
        noted, refused = (line for line in stage.errors() if "2 of 2 requests failed within 10 s" in line)
        assert noted.endswith(" note app: the circuit is open: 2 of 2 requests failed within 10 s")
        assert "cause=circuit-open" in refused

    play(part)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (41.0, "41")])
def test_seconds_are_rounded_up(play, seconds, told):
    async def part(stage):
        await stage.gateway(await stage.server(served_by(stage, always_ok)), route="maintenance = true\n")
        answered = []

        def record(flow):
            flow.facts = {"retry_after": seconds}
            answered.append(answer_bytes(stage.worker, flow, keep=False))

        stage.worker.recorder.refused = record
        await stage.ask(GET)
        assert values(answered[0].split(b"\r\n\r\n")[0], b"retry-after") == [told]

    play(part)
