"""Owns the way to one destination: what waits for it, when it is sent, what is held back, tried again and at last left out.

Messages of one thread take each other's place while they wait, so that a hanging destination costs a bounded memory, and is told
how things stand, not how they stood. Times are of the monotonic clock, but for those in messages.
"""

import asyncio
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..config.forms import parsed_rate
from ..diagnose.moments import span
from .courier import Courier
from .failing import NotSent
from .message import LASTING, Message, of_json

_THREADS: Final = 5000
"""Threads that are remembered."""
_OFTEN: Final = 6
_OFTEN_IN: Final = 1800.0
"""Messages of one thread within so many seconds: more of a flapping one wait, and become one."""
_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 300.0
_NEVER: Final = float("inf")

Refresh = Callable[[Message], Message | None]
"""Returns a message with what is known now; None where nobody is to be told any more."""


@dataclass(slots=True)
class Waiting:
    """A message that waits."""

    message: Message
    since: float
    due: float


@dataclass(slots=True)
class Thread:
    """What a destination was told of one incident."""

    last: str = ""  # Message.identity() of what was told last
    open: bool = False
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_OFTEN))


@dataclass(slots=True)
class Counts:
    """What became of messages. Times are wall-clock seconds, 0 for never."""

    sent: int = 0
    failed: int = 0  # not delivered at last
    held: int = 0  # taken together with a later one
    lost: int = 0  # left out for want of room
    tries: int = 0
    sent_at: float = 0.0
    error: str = ""
    error_at: float = 0.0


class Lane:
    """Messages to one destination, sent one after another by a task of its own."""

    def __init__(self, courier: Courier, say: Callable[[str], None], refresh: Refresh, moved: Callable[[], object] = int) -> None:
        """say: hears of trouble with the destination, and of its end. moved: called whenever `snapshot` is another."""
        self.courier = courier
        self.counts = Counts()
        self.threads: OrderedDict[str, Thread] = OrderedDict()
        self._say, self._refresh, self._moved = say, refresh, moved
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._untold = 0  # left out, or not delivered, since the last that was
        self._sending: list[Waiting] = []
        self._failures = 0  # tries in a row that failed
        self._trouble_since = 0.0
        self._retry_at = 0.0
        self._taken: deque[float] = deque()  # when messages were sent, as far as the rate is concerned
        self._hurry = False
        self._news = asyncio.Event()
        self._tried = asyncio.Event()
        self._former: list[Courier] = []  # of configurations before, while they may be sending
        self._task: asyncio.Task[None] | None = None

    # In.

    def put(self, message: Message) -> None:
        """Take a message, unless the same was told already."""
        now, settings = time.monotonic(), self.courier.settings
        before = self._waiting.get(message.key)
        thread = self.threads.get(message.key)
        if before is None and thread is not None and message.what != LASTING and thread.last == message.identity():
            return
        if before is not None:
            if message.what != LASTING:
                self.counts.held += 1
            before.message = message.after(before.message)
        else:
            self._waiting[message.key] = Waiting(message, now, max(now + settings.wait, self._not_before(thread, now)))
        self._bound()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._news.set()
        self._moved()

    def _not_before(self, thread: Thread | None, now: float) -> float:
        if thread is None or self.courier.way.repeats or len(thread.times) < _OFTEN:
            return now
        return thread.times[0] + _OFTEN_IN

    def _bound(self) -> None:
        while len(self._waiting) > self.courier.settings.queue:
            _, left_out = self._waiting.popitem(last=False)
            if left_out.message.what != LASTING:
                self.counts.lost += 1
                self._untold += 1

    def knows(self, key: str) -> bool:
        """Return whether the destination was told of a thread that is not over, or will be."""
        thread = self.threads.get(key)
        return (
            (thread is not None and thread.open) or key in self._waiting or any(one.message.key == key for one in self._sending)
        )

    def was_told(self, key: str) -> bool:
        """Return whether the destination was told of a thread that is not over."""
        thread = self.threads.get(key)
        return thread is not None and thread.open

    # Out.

    async def _run(self) -> None:
        while True:
            self._news.clear()
            delay = self._delay(time.monotonic())
            if delay > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(delay, 3600.0)):
                        await self._news.wait()
                continue
            await self._send()
            self._tried.set()
            await self._close_former()

    async def _close_former(self) -> None:
        while self._former:
            await self._former.pop().close()

    def _delay(self, now: float) -> float:
        """Return the seconds until something may be sent."""
        if not self._waiting:
            return _NEVER
        due = 0.0 if self._hurry else min(one.due for one in self._waiting.values())
        return max(due, self._retry_at, self._allowed_at(now)) - now

    def _allowed_at(self, now: float) -> float:
        """Return when the rate allows another message."""
        count, seconds = parsed_rate(self.courier.settings.rate)
        while self._taken and self._taken[0] <= now - seconds:
            self._taken.popleft()
        return self._taken[-count] + seconds if len(self._taken) >= count else now

    def _take(self, now: float) -> list[Waiting]:
        """Return what goes together: what is due, and what waits beside it, with what is known of it now."""
        found: list[Waiting] = []
        for key, one in list(self._waiting.items()):
            if len(found) >= self.courier.way.most:
                break
            if one.due <= now or self._hurry:
                del self._waiting[key]
                message = self._refresh(one.message)
                if message is not None:
                    found.append(replace(one, message=message))
        return found

    async def _send(self) -> None:
        now = time.monotonic()
        self._sending = self._take(now)
        if not self._sending:
            return
        messages, untold = [one.message for one in self._sending], self._untold
        self.counts.tries += 1
        self._taken.append(now)
        try:
            await self.courier.send(messages, untold)
        except NotSent as problem:
            self._failed(problem, time.monotonic())
        except Exception as problem:  # a mistake of ours must not end the lane
            self._failed(NotSent(f"internal error: {problem!r}", again=False), time.monotonic())
        else:
            self._arrived(messages, untold, time.monotonic())
        self._sending = []
        self._moved()

    def _arrived(self, messages: list[Message], untold: int, now: float) -> None:
        self.counts.sent += sum(message.what != LASTING for message in messages)
        self.counts.sent_at = time.time()
        self._untold -= untold
        for message in messages:
            thread = self.threads.setdefault(message.key, Thread())
            self.threads.move_to_end(message.key)
            thread.open = not message.is_over()
            if message.what != LASTING:
                thread.last = message.identity()
                thread.times.append(now)
        while len(self.threads) > _THREADS:
            self.threads.popitem(last=False)
        if self._failures:
            self._say(f"{self._name()} takes messages again, after {span(now - self._trouble_since)}")
        self._failures, self._retry_at, self.counts.error = 0, 0.0, ""

    def _failed(self, problem: NotSent, now: float) -> None:
        """Have messages tried again later, or leave them out."""
        self.counts.error, self.counts.error_at = str(problem), time.time()
        settings = self.courier.settings
        late = [one for one in self._sending if not problem.again or now - one.since >= settings.give_up]
        if problem.again:
            self._back_off(problem, now)
        for one in reversed(self._sending):
            if one not in late:
                self._put_back(one)
        told = sum(one.message.what != LASTING for one in late)
        if told:
            self.counts.failed += told
            self._untold += told
            self._say(f"{self._name()}: {told} message{'s' * (told > 1)} not sent: {problem}")
        elif problem.again and self._failures == 1:
            self._say(f"{self._name()}: {problem}; it is tried again for {span(settings.give_up)}")

    def _back_off(self, problem: NotSent, now: float) -> None:
        if not self._failures:
            self._trouble_since = now
        longest = min(_BACKOFF * 2.0 ** min(self._failures, 20), _LONGEST_BACKOFF)
        self._failures += 1
        self._retry_at = now + max(problem.after, longest * random.uniform(0.5, 1.0))

    def _put_back(self, one: Waiting) -> None:
        newer = self._waiting.pop(one.message.key, None)
        if newer is not None:
            one = Waiting(newer.message.after(one.message), newer.since, one.due)
        self._waiting[one.message.key] = one
        self._waiting.move_to_end(one.message.key, last=False)
        self._bound()

    def _name(self) -> str:
        return f"notify {self.courier.name}, {self.courier.where()}"

    # From one configuration, and one process, to the next.

    async def follow(self, courier: Courier) -> None:
        """Go on by another configuration; what waits stays."""
        self._former.append(self.courier)
        courier.labels = self.courier.labels
        self.courier = courier
        self._retry_at = 0.0
        self._bound()
        self._news.set()
        if not self._sending:
            await self._close_former()

    async def close(self, seconds: float) -> int:
        """Send what waits within a time; return how many messages could not be sent."""
        self._hurry = True
        self._news.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (self._waiting or self._sending) and not self._failures:
                    self._tried.clear()
                    await self._tried.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._former.append(self.courier)
        await self._close_former()
        return sum(one.message.what != LASTING for one in (*self._sending, *self._waiting.values()))

    def snapshot(self) -> dict[str, Any]:
        """Return what the next process has to know, as JSON has it."""
        waiting = [one.message.as_json() for one in (*self._sending, *self._waiting.values()) if one.message.what != LASTING]
        told = {key: thread.last for key, thread in self.threads.items() if thread.open}
        labels = {key: of for key, of in self.courier.labels.items() if key in told}
        counts = self.counts
        return {
            "waiting": waiting, "told": told, "labels": labels,
            "untold": self._untold, "counts": [counts.sent, counts.failed, counts.held, counts.lost, counts.tries],
        }  # fmt: skip

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on where another process was. Raises KeyError, TypeError or ValueError for what is no snapshot."""
        messages = [of_json(one) for one in told["waiting"]]
        for key, last in told["told"].items():
            self.threads[str(key)] = Thread(str(last), True)
        self.courier.labels = {str(key): {str(a): str(b) for a, b in of.items()} for key, of in told["labels"].items()}
        counts = self.counts
        counts.sent, counts.failed, counts.held, counts.lost, counts.tries = map(int, told["counts"])
        self._untold = int(told["untold"])
        for message in messages:
            self.put(message)

    def state(self) -> dict[str, Any]:
        """Return how it stands, for status and metrics. Times are wall-clock seconds, 0 for never."""
        counts, now = self.counts, time.monotonic()
        return {
            "kind": self.courier.settings.kind, "where": self.courier.where(), "sent": counts.sent, "failed": counts.failed,
            "held": counts.held, "lost": counts.lost, "tries": counts.tries, "waiting": len(self._waiting) + len(self._sending),
            "sent_at": counts.sent_at, "error": counts.error, "error_at": counts.error_at,
            "retry_in": round(max(0.0, self._retry_at - now), 1) if self._failures else 0.0,
        }  # fmt: skip
