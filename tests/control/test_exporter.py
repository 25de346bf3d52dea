"""Batches, bounds, retries and what is counted: nothing that is put in is ever unaccounted for."""

import asyncio
import gzip
from collections import Counter

import pytest
import uvloop

from headgate.control import exporter
from headgate.control.collector import patience
from headgate.control.exporter import BATCH, QUEUE, TRIES, Answer, Exporter, Item


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(exporter, "SOON", 0.01)
    monkeypatch.setattr(exporter, "FIRST_PAUSE", 0.001)


async def until(condition):
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited in vain")


class Stage:
    """An exporter, what it posted, and the answers that it gets."""

    def __init__(self, answers=()):
        self.answers = list(answers)
        self.posted = []
        self.notes = []
        self.counts = Counter()
        self.exporter = Exporter("traces", self.encode, self.post, self.notes.append, self.counts)

    def encode(self, whats):
        good = [what for what in whats if what != "bad"]
        return repr(good).encode(), len(good)

    async def post(self, body):
        self.posted.append(gzip.decompress(body).decode())
        answer = self.answers.pop(0) if self.answers else Answer(True)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return Answer(True)
        return answer

    async def settled(self):
        await until(lambda: not self.exporter.waiting)
        return {why: count for why, count in self.counts.items() if count}


def run(work):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def test_what_is_put_in_comes_out_in_order():
    async def work():
        stage = Stage()
        stage.exporter.put([Item(1, number) for number in range(3)])
        assert await stage.settled() == {"sent": 3}
        assert stage.posted == ["[0, 1, 2]"]
        assert stage.notes == []
        stage.exporter.leave()

    run(work())


def test_large_batches_are_divided():
    async def work():
        stage = Stage()
        stage.exporter.put([Item(1, "x") for _ in range(BATCH * 3)])
        assert await stage.settled() == {"sent": BATCH * 3}
        assert [body.count("x") for body in stage.posted] == [BATCH] * 3
        stage.exporter.leave()

    run(work())


def test_what_finds_no_room_is_counted():
    async def work():
        held = asyncio.Event()
        stage = Stage([held])
        stage.exporter.put([Item(1, "first")])
        await until(lambda: stage.posted)
        stage.exporter.put([Item(1, "x") for _ in range(QUEUE + 100)])
        assert stage.exporter.waiting == QUEUE
        assert stage.counts["full"] == 101
        held.set()
        assert await stage.settled() == {"sent": QUEUE, "full": 101}
        stage.exporter.leave()

    run(work())


def test_it_tries_again_and_says_so_once():
    async def work():
        trouble = Answer(False, why="gone")
        stage = Stage([trouble, trouble, Answer(False, why="busy", pause=0.0)])
        stage.exporter.put([Item(2, "x")])
        assert await stage.settled() == {"sent": 1, "malformed": 1}
        assert len(stage.posted) == 4
        assert stage.notes == ["telemetry: traces are not delivered: gone", "telemetry: traces are delivered again"]
        stage.exporter.leave()

    run(work())


def test_it_gives_up_and_goes_on_with_the_next():
    async def work():
        stage = Stage([Answer(False, why="gone")] * TRIES)
        stage.exporter.put([Item(1, "x")])
        assert await stage.settled() == {"unreachable": 1}
        assert stage.exporter.trouble == "gone"
        stage.exporter.put([Item(1, "y")])
        assert await stage.settled() == {"unreachable": 1, "sent": 1}
        assert stage.exporter.trouble == ""
        stage.exporter.leave()

    run(work())


def test_what_is_refused_is_counted_and_never_more_than_there_was():
    async def work():
        stage = Stage([Answer(True, 2, "too long"), Answer(True, 1 << 62, "401")])
        stage.exporter.put([Item(1, "x") for _ in range(5)])
        assert await stage.settled() == {"sent": 3, "refused": 2}
        stage.exporter.put([Item(1, "x") for _ in range(5)])
        assert await stage.settled() == {"sent": 3, "refused": 7}
        stage.exporter.leave()

    run(work())


def test_nothing_but_nonsense_is_not_posted():
    async def work():
        stage = Stage()
        stage.exporter.put([Item(3, "bad")])
        assert await stage.settled() == {"malformed": 3}
        assert stage.posted == []
        stage.exporter.leave()

    run(work())


def test_who_leaves_takes_everything_along():
    async def work():
        stage = Stage([asyncio.Event()])
        stage.exporter.put([Item(1, "first")])
        await until(lambda: stage.posted)
        stage.exporter.put([Item(1, "second")])
        assert [item.what for item in stage.exporter.leave()] == ["first", "second"]
        assert stage.exporter.waiting == 0
        assert not +stage.counts

    run(work())


def test_the_end_waits_a_little_and_counts_the_rest():
    async def work():
        stage = Stage([asyncio.Event()])
        stage.exporter.put([Item(2, "x")])
        await stage.exporter.end(0.1)
        assert +stage.counts == Counter(ended=2)
        other = Stage()
        other.exporter.put([Item(1, "x")])
        await other.exporter.end(10)
        assert +other.counts == Counter(sent=1)

    run(work())


def test_trouble_that_comes_and_goes_is_not_noted_each_time():
    async def work():
        stage = Stage([answer for _ in range(20) for answer in (Answer(False, why="gone"), Answer(True))])
        for _ in range(20):
            stage.exporter.put([Item(1, "x")])
            await stage.settled()
        assert stage.counts["sent"] == 20
        assert len(stage.notes) == 2
        stage.exporter.leave()

    run(work())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, -1), ("", -1), ("0", 0), ("3", 3), ("99999999999999999999", 300), ("-1", -1), ("1.5", -1), ("soon", -1), ("²", -1),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0), ("Fri, 31 Dec 2999 23:59:59 GMT", 300), ("Fri, 99 Dec 1999", -1),
    ],
)  # fmt: skip
def test_retry_after(value, seconds):
    assert patience(value) == seconds
