"""Owns how one kind of telemetry reaches a collector: in bounded batches, tried again while that is of use, else counted as lost.

It never makes anybody wait: whoever has something to tell puts it into a bounded queue; a collector that hangs, lies or is gone
costs this queue's worth of memory, and the counts say what was lost and why.
"""

import asyncio
import gzip
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

QUEUE: Final = 4096
"""Spans, or log records, that may wait."""
BATCH: Final = 512
"""Those of them that go out together, one exchange more or less."""
SOON: Final = 0.5
"""Seconds in which more may come before a small batch goes out."""
TRIES: Final = 6
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Tries of one batch, and seconds between them: twice as long each time, where the collector does not say how long."""
MOST_PATIENCE: Final = 300.0
"""Seconds that a collector may ask for with Retry-After."""
QUIET: Final = 30.0
"""Seconds between two notes of trouble."""


class Item(NamedTuple):
    """Something to be told."""

    weight: int  # spans or log records that it makes
    what: Any


class Answer(NamedTuple):
    """What came of one delivery."""

    done: bool  # it is over, for better or worse
    refused: int = 0  # items that the collector did not take, where it is over
    why: str = ""  # it is not as it should be
    pause: float = -1.0  # seconds that the collector asks for before the next try


Post = Callable[[bytes], Awaitable[Answer]]
Encode = Callable[[Sequence[Any]], tuple[bytes, int]]
"""Returns the body of a request, and how many items it has: fewer than their weights where one makes no sense."""


class Exporter:
    """Delivers one kind of telemetry."""

    def __init__(self, kind: str, encode: Encode, post: Post, note: Callable[[str], None], counts: Counter[str]) -> None:
        """kind: "traces" or "logs". encode: runs beside the loop. counts: what was "sent", and why items were lost, so far."""
        self.kind = kind
        self.counts = counts
        self.waiting = 0  # items in the queue, and those on their way
        self.trouble = ""  # why the last delivery failed, "" while all is well
        self._encode, self._post, self._note = encode, post, note
        self._queue: deque[Item] = deque()
        self._batch: list[Item] = []  # on its way
        self._some, self._enough = asyncio.Event(), asyncio.Event()
        self._said, self._noted = False, -QUIET  # trouble was noted, and when
        self._task = asyncio.get_running_loop().create_task(self._run())

    def put(self, items: Sequence[Item]) -> None:
        """Take over what is to be told; what finds no room is lost."""
        for item in items:
            if self.waiting + item.weight > QUEUE:
                self.counts["full"] += item.weight
            elif item.weight:
                self.waiting += item.weight
                self._queue.append(item)
                self._some.set()
        if self.waiting >= BATCH:
            self._enough.set()

    def leave(self) -> list[Item]:
        """Stop at once; return what was not delivered, or not for certain."""
        self._task.cancel()
        left = [*self._batch, *self._queue]
        self.waiting, self._batch = 0, []
        self._queue.clear()
        return left

    async def end(self, patience: float) -> None:
        """Deliver what waits, but not for long; the rest is lost."""
        self._enough.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.waiting:
                    self._enough.set()
                    await asyncio.sleep(0.01)
        self.counts["ended"] += sum(item.weight for item in self.leave())

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON):
                    await self._enough.wait()
            self._next()
            weight = sum(item.weight for item in self._batch)
            lost = await self._deliver(weight)
            self.counts["sent"] += weight - sum(lost.values())
            self.counts.update(lost)
            self.waiting -= weight
            self._batch = []

    def _next(self) -> None:
        """Take the next batch out of the queue."""
        weight = 0
        while self._queue and weight < BATCH:
            self._batch.append(self._queue.popleft())
            weight += self._batch[-1].weight
        if not self._queue:
            self._some.clear()
        if self.waiting - weight < BATCH:
            self._enough.clear()

    async def _deliver(self, weight: int) -> Counter[str]:
        """Deliver the batch; return how much of it was lost, by why."""
        body, good = await asyncio.to_thread(self._packed, [item.what for item in self._batch])
        lost = Counter({"malformed": weight - good})
        pause = FIRST_PAUSE
        for number in range(TRIES if good else 0):
            if number:
                await asyncio.sleep(pause)
            answer = await self._post(body)
            self._told(answer)
            if answer.done:
                lost["refused"] += min(answer.refused, good)
                return lost
            pause = (
                answer.pause if answer.pause >= 0 else min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) * random.uniform(0.75, 1.25)
            )
        lost["unreachable"] += good
        return lost

    def _packed(self, whats: Sequence[Any]) -> tuple[bytes, int]:
        body, good = self._encode(whats)
        return gzip.compress(body, 5), good

    def _told(self, answer: Answer) -> None:
        """Note when the collector begins to fail, and when it works again; not each time where that changes all the time."""
        self.trouble = answer.why
        now = asyncio.get_running_loop().time()
        if answer.why and not self._said and now - self._noted >= QUIET:
            self._said, self._noted = True, now
            self._note(f"telemetry: {self.kind} are not delivered: {answer.why}")
        elif self._said and not answer.why:
            self._said = False
            self._note(f"telemetry: {self.kind} are delivered again")
