"""The way to one destination: what waits, what is tried again, what is held back, and that nobody waits for anybody else."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from headgate.notify import http, lane
from headgate.notify.courier import Courier
from headgate.notify.lane import Lane
from headgate.notify.message import Message

from .conftest import Receiver, destination, message, until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_BACKOFF", 0.02)
    monkeypatch.setattr(lane, "_LONGEST_BACKOFF", 0.1)


def same(one: Message) -> Message:
    return one


class Bench:
    """A lane to a receiver, and what it said."""

    def __init__(self, receiver: Receiver, kind: str = "webhook", **more: Any) -> None:
        self.said: list[str] = []
        self.lane = Lane(Courier("there", destination(kind, url=receiver.url, **more), "web1"), self.said.append, same)


async def end(*lanes: Lane) -> None:
    for one in lanes:
        await one.close(0.0)


def test_a_message_arrives_once(receiver: Receiver) -> None:
    async def work() -> None:
        bench = Bench(receiver)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.sent == 1)
        bench.lane.put(message())  # the same again
        bench.lane.put(message("resolved", state="resolved"))
        await until(lambda: bench.lane.counts.sent == 2)
        await end(bench.lane)
        assert bench.said == []

    asyncio.run(work())
    assert [got.data["what"] for got in receiver.got] == ["opened", "resolved"]
    assert len({got.data["key"] for got in receiver.got}) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answer(status)
    receiver.answer(status)

    async def work() -> None:
        bench = Bench(receiver)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)
        assert "tried again" in bench.said[0]
        assert f"answered {status}" in bench.said[0]
        assert "takes messages again" in bench.said[1]
        assert len(bench.said) == 2

    asyncio.run(work())
    assert len(receiver.got) == 3
    assert len({got.fields["Idempotency-Key"] for got in receiver.got}) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 410, 413])
def test_our_own_mistakes_are_told_and_not_repeated(receiver: Receiver, status: int) -> None:
    receiver.answer(status, {"Location": "http://127.0.0.1:1/"}, b"invalid_payload \x1b[31m")

    async def work() -> None:
        bench = Bench(receiver)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.failed == 1)
        bench.lane.put(message("worse", seen=5))
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)
        assert "1 message not sent" in bench.said[0]
        assert "\x1b" not in bench.said[0]
        assert bench.lane.state()["error"] == ""

    asyncio.run(work())
    assert len(receiver.got) == 2
    assert receiver.got[1].data["lost"] == 1  # the next one says that there was another


def test_retry_after_is_heeded(receiver: Receiver) -> None:
    receiver.answer(429, {"Retry-After": "1.5"})

    async def work() -> None:
        bench = Bench(receiver)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)

    asyncio.run(work())
    assert receiver.got[1].at - receiver.got[0].at >= 1.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("0", 0), ("-3", 0), ("0.25", 0.25), ("99999999", 3600), ("nan", 0), ("inf", 3600), ("soon", 0), ("", 0),
     ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 3600)],
)  # fmt: skip
def test_retry_after_may_be_anything(value: str, seconds: float) -> None:
    assert http.retry_after(value) == seconds


def test_a_destination_is_given_up_at_last(receiver: Receiver) -> None:
    for _ in range(100):
        receiver.answer(500)

    async def work() -> None:
        bench = Bench(receiver, give_up=0.2)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.failed == 1)
        assert bench.lane.state()["waiting"] == 0
        await end(bench.lane)
        assert "not sent" in bench.said[-1]

    asyncio.run(work())


def test_one_that_hangs_delays_nobody_else(receivers: Callable[[], Receiver]) -> None:
    slow, quick = receivers(), receivers()
    slow.answer(200, after=30.0)

    async def work() -> None:
        hanging, other = Bench(slow, timeout=30), Bench(quick)
        for number in range(20):
            hanging.lane.put(message(id=f"I{number}"))
            other.lane.put(message(id=f"I{number}"))
        await until(lambda: other.lane.counts.sent == 20)
        assert hanging.lane.counts.sent == 0
        await end(hanging.lane, other.lane)

    asyncio.run(work())


def test_no_answer_in_time_is_tried_again(receiver: Receiver) -> None:
    receiver.answer(200, after=20.0)

    async def work() -> None:
        bench = Bench(receiver, timeout=0.3)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)
        assert "no answer within 0.3 s" in bench.said[0]

    asyncio.run(work())


def test_what_waits_is_bounded_and_the_loss_is_told(receiver: Receiver) -> None:
    receiver.answer(500)

    async def work() -> None:
        bench = Bench(receiver, queue=10, rate="1000/s", wait=0.2)
        for number in range(50):
            bench.lane.put(message(id=f"I{number}"))
        assert bench.lane.state()["waiting"] == 10
        assert bench.lane.counts.lost == 40
        await until(lambda: bench.lane.counts.sent == 10)
        await end(bench.lane)

    asyncio.run(work())
    assert receiver.got[1].data["lost"] == 40
    assert [got.data["lost"] for got in receiver.got[2:]] == [0] * 9
    assert [got.data["key"][-3:] for got in receiver.got[1:]] == [f"I{number}" for number in range(40, 50)]


def test_news_of_the_same_incident_take_each_others_place(receiver: Receiver) -> None:
    async def work() -> None:
        bench = Bench(receiver, wait=0.3)
        bench.lane.put(message())
        bench.lane.put(message("worse", seen=400))
        for _ in range(3):
            bench.lane.put(message("resolved", state="resolved"))
            bench.lane.put(message("reopened", reopenings=3))
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)
        assert bench.lane.counts.held == 7

    asyncio.run(work())
    (got,) = receiver.got
    assert got.data["what"] == "reopened"
    assert got.data["before"] == {"opened": 1, "resolved": 3, "reopened": 2}
    assert "resolved 3 times" in got.data["text"]


def test_worse_before_it_was_told_is_opened(receiver: Receiver) -> None:
    async def work() -> None:
        bench = Bench(receiver, wait=0.2)
        bench.lane.put(message(seen=1))
        bench.lane.put(message("worse", seen=400))
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)

    asyncio.run(work())
    assert (receiver.got[0].data["what"], receiver.got[0].data["incident"]["seen"]) == ("opened", 400)


def test_a_flapping_incident_is_told_now_and_then(receiver: Receiver) -> None:
    async def work() -> None:
        bench = Bench(receiver, rate="1000/s")
        for number in range(30):
            what = ("opened" if not number else "reopened") if number % 2 == 0 else "resolved"
            bench.lane.put(message(what, reopenings=number // 2))
            await until(lambda: bench.lane.counts.sent + bench.lane.state()["waiting"] >= min(bench.lane.counts.tries + 1, 6))
            await asyncio.sleep(0.02)
        bench.lane.put(message(id="OTHER"))
        await until(lambda: any(got.data["key"].endswith("OTHER") for got in receiver.got))
        await end(bench.lane)
        assert bench.lane.counts.held > 15

    asyncio.run(work())
    assert sum(got.data["key"].endswith("AAAA") for got in receiver.got) == 6


def test_the_rate_is_kept_and_what_waited_is_one_message(receiver: Receiver, tmp_path: Any) -> None:
    (tmp_path / "url").write_text(receiver.url + "/hook\n")

    async def work() -> None:
        settings = destination("slack", url_file=str(tmp_path / "url"), rate="2/s", wait=0.01)
        chat = Lane(Courier("chat", settings, "web1"), lambda _: None, same)
        for number in range(30):
            chat.put(message(id=f"I{number}"))
            await asyncio.sleep(0.02)
        await until(lambda: chat.counts.sent == 30)
        await end(chat)

    began = time.time()
    asyncio.run(work())
    assert len(receiver.got) <= 2 * (receiver.got[-1].at - began) + 3
    assert any("changes" in got.data["text"] for got in receiver.got)
    assert [got.path for got in receiver.got] == ["/hook"] * len(receiver.got)


def test_what_is_under_way_at_the_end_is_given_a_moment(receiver: Receiver) -> None:
    async def work() -> int:
        bench = Bench(receiver, wait=60.0)
        for number in range(5):
            bench.lane.put(message(id=f"I{number}"))
        return await bench.lane.close(10.0)

    assert asyncio.run(work()) == 0
    assert len(receiver.got) == 5


def test_the_end_does_not_wait_for_one_that_hangs(receiver: Receiver) -> None:
    receiver.answer(200, after=60.0)

    async def work() -> int:
        bench = Bench(receiver, timeout=60)
        bench.lane.put(message())
        await until(lambda: receiver.got)
        return await asyncio.wait_for(bench.lane.close(0.2), 10)

    assert asyncio.run(work()) == 1


def test_another_process_goes_on(receiver: Receiver) -> None:
    receiver.answer(200)
    for _ in range(50):
        receiver.answer(503)

    async def first() -> str:
        bench = Bench(receiver, rate="1000/s")
        bench.lane.put(message(id="TOLD"))
        await until(lambda: bench.lane.counts.sent == 1)
        bench.lane.put(message(id="WAITS"))
        await until(lambda: bench.lane.counts.tries > 1)
        kept = json.dumps(bench.lane.snapshot())
        await end(bench.lane)
        return kept

    async def second(kept: str) -> None:
        bench = Bench(receiver, rate="1000/s")
        bench.lane.restore(json.loads(kept))
        receiver.answers.clear()
        bench.lane.put(message(id="TOLD"))  # the store says it again
        assert bench.lane.was_told("incident:TOLD")
        await until(lambda: bench.lane.counts.sent == 2)
        await end(bench.lane)

    kept = asyncio.run(first())
    receiver.got.clear()
    asyncio.run(second(kept))
    assert {got.data["key"] for got in receiver.got} == {"headgate/incident/WAITS"}


@pytest.mark.parametrize("told", [
    {}, {"waiting": 3}, {"waiting": [{}], "told": {}, "labels": {}, "counts": [0] * 5, "untold": 0},
    {"waiting": [], "told": [], "labels": {}, "counts": [0] * 5, "untold": 0},
    {"waiting": [], "told": {}, "labels": {}, "counts": ["x"] * 5, "untold": 0},
])  # fmt: skip
def test_what_is_no_memory_is_refused(receiver: Receiver, told: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        Bench(receiver).lane.restore(told)


def test_another_configuration_takes_over_what_waits(receivers: Callable[[], Receiver]) -> None:
    broken, good = receivers(), receivers()
    for _ in range(100):
        broken.answer(500)

    async def work() -> None:
        bench = Bench(broken)
        bench.lane.put(message())
        await until(lambda: bench.lane.counts.tries > 1)
        await bench.lane.follow(Courier("there", destination(url=good.url), "web1"))
        await until(lambda: bench.lane.counts.sent == 1)
        await end(bench.lane)

    asyncio.run(work())
    assert len(good.got) == 1


def test_secrets_are_in_no_note(receiver: Receiver, tmp_path: Any) -> None:
    secret = "T0SECRET/B1SECRET"
    (tmp_path / "url").write_text(f"{receiver.url}/services/{secret}")
    receiver.answer(400, {}, f"no service at /services/{secret} or {receiver.url}/services/{secret}".encode())

    async def work() -> None:
        said: list[str] = []
        chat = Lane(Courier("chat", destination("slack", url_file=str(tmp_path / "url")), "web1"), said.append, same)
        chat.put(message())
        await until(lambda: chat.counts.failed == 1)
        (tmp_path / "url").unlink()
        chat.put(message(id="B"))
        await until(lambda: chat.counts.tries == 2)
        await end(chat)
        assert "SECRET" not in f"{said}{chat.state()}{chat.snapshot()}"
        assert "[redacted]" in said[0]
        assert "No such file" in said[1]

    asyncio.run(work())


def test_an_answer_without_end_costs_little() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 no\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
        except OSError:
            writer.close()

    async def work() -> None:
        async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            sender = http.Http()
            with pytest.raises(http.NotSent, match=r"answered 400: x{200}$"):
                await sender.send(http.Post(f"http://127.0.0.1:{port}/", b"{}", {}), 10)
            await sender.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("answer", "said"), [(b"SSH-2.0-OpenSSH\r\n\r\n", "its answer is no HTTP"), (b"", "closed without an answer")]
)
def test_who_is_no_http_server_is_told_so(answer: bytes, said: str) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def work() -> None:
        async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            sender = http.Http()
            with pytest.raises(http.NotSent, match=said):
                await sender.send(http.Post(f"http://127.0.0.1:{port}/", b"{}", {}), 10)
            await sender.close()

    asyncio.run(work())
