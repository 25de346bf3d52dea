"""Owns how pages that are looked at stay up to date: made once a second for all who look, not at all when nobody does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

EVERY: Final = 1.0
"""Seconds between two looks at what changed."""
LISTENERS: Final = 32
TOPICS: Final = 16
"""Bounds: pages that are looked at, and different ones of them."""
_BEAT: Final = 10.0
"""Seconds after which those are told that there is nothing new."""

Load = Callable[[str], tuple[str, dict[str, Any]]]
Render = Callable[[str, Mapping[str, Any]], dict[str, str]]


class Full(Exception):
    """Enough pages are being looked at. The message is a sentence."""


class _Topic:
    """One page, as those who look at it saw it last."""

    def __init__(self) -> None:
        self.listeners = 0
        self.version = 0
        self.regions: dict[str, tuple[int, str]] = {}  # by name: when it last changed, and what it is
        self.over = False  # there is no such page any more
        self.changed = asyncio.Event()

    def became(self, regions: Mapping[str, str]) -> None:
        """Take in what the page is now."""
        news = {name for name, html in regions.items() if self.regions.get(name, (0, None))[1] != html}
        if news:
            self.version += 1
            self.regions |= {name: (self.version, regions[name]) for name in news}
            self.tell()

    def tell(self) -> None:
        """Wake all who look."""
        self.changed.set()
        self.changed = asyncio.Event()


class Live:
    """All pages that are looked at."""

    def __init__(self, load: Load, render: Render) -> None:
        """load: returns name and data of the page at an address; raises LookupError. render: makes its regions, in a thread."""
        self._load, self._render = load, render
        self._topics: dict[str, _Topic] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def listeners(self) -> int:
        """How many look."""
        return sum(topic.listeners for topic in self._topics.values())

    def stream(self, of: str) -> AsyncIterator[bytes]:
        """Return the events of a page, for as long as they are read. Raises Full."""
        if self.listeners >= LISTENERS or (of not in self._topics and len(self._topics) >= TOPICS):
            raise Full(f"{self.listeners} pages of this dashboard are open already; close some, or reload this one now and then")
        return self._events(of)

    async def _events(self, of: str) -> AsyncIterator[bytes]:
        topic, seen = self._topics.setdefault(of, _Topic()), 0
        topic.listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            yield event("beat", f"{time.time():.3f}")
            while not topic.over:
                changed = topic.changed
                news = {name: html for name, (version, html) in topic.regions.items() if version > seen}
                if news:
                    seen = topic.version
                    yield event("regions", json.dumps(news))
                    continue
                try:
                    async with asyncio.timeout(_BEAT):
                        await changed.wait()
                except TimeoutError:
                    yield event("beat", f"{time.time():.3f}")
            yield event("over", "")
        finally:
            topic.listeners -= 1
            if not topic.listeners and self._topics.get(of) is topic:
                del self._topics[of]

    async def _run(self) -> None:
        """Look what changed, as long as somebody wants to know."""
        while self._topics:
            begun = time.monotonic()
            for of, topic in list(self._topics.items()):
                await self._look(of, topic)
            await asyncio.sleep(max(0.1, EVERY - (time.monotonic() - begun)))

    async def _look(self, of: str, topic: _Topic) -> None:
        try:
            name, data = self._load(of)
            topic.became(await asyncio.to_thread(self._render, name, data))
        except Exception:  # it is no more, or cannot be made: loaded anew, the page says so itself
            topic.over = True
            self._topics.pop(of, None)
            topic.tell()


def event(name: str, data: str) -> bytes:
    """Return an event as it is sent. data: one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()
