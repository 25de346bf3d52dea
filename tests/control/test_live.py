"""Pages that are looked at: one computation for all who look, only what changed is sent, and nothing is done for nobody."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from headgate.control import live as module
from headgate.control.live import Full, Live


class Source:
    """A page that can be changed."""

    def __init__(self) -> None:
        self.loads = 0
        self.regions = {"head": "<p>1</p>", "body": "<p>a</p>"}
        self.broken: Exception | None = None

    def load(self, of: str) -> tuple[str, dict[str, Any]]:
        self.loads += 1
        if self.broken is not None:
            raise self.broken
        return "page", {"of": of}

    def render(self, name: str, data: Any) -> dict[str, str]:
        assert (name, data) == ("page", {"of": "/"})
        return dict(self.regions)


def run(monkeypatch: pytest.MonkeyPatch, test: Callable[[Live, Source], Coroutine[Any, Any, None]], every: float = 0.01) -> None:
    monkeypatch.setattr(module, "EVERY", every)
    source = Source()

    async def main() -> None:
        async with asyncio.timeout(20):
            await test(Live(source.load, source.render), source)

    asyncio.run(main())


async def regions(stream: Any) -> dict[str, str]:
    """Return the next regions of a stream."""
    while True:
        name, data = (await anext(stream)).decode().rstrip("\n").split("\n")
        if name == "event: regions":
            return dict(json.loads(data.removeprefix("data: ")))


def test_all_at_first_then_only_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(live: Live, source: Source) -> None:
        stream = live.stream("/")
        assert await regions(stream) == source.regions
        source.regions["body"] = "<p>b\nc</p>"
        assert await regions(stream) == {"body": "<p>b\nc</p>"}
        late = live.stream("/")
        assert await regions(late) == source.regions
        assert live.listeners == 2

    run(monkeypatch, test)


def test_who_is_slow_gets_the_latest_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(live: Live, source: Source) -> None:
        slow, quick = live.stream("/"), live.stream("/")
        await regions(slow)
        await regions(quick)
        for number in range(5):
            source.regions["head"] = f"<p>{number}</p>"
            assert await regions(quick) == {"head": f"<p>{number}</p>"}
        assert await regions(slow) == {"head": "<p>4</p>"}

    run(monkeypatch, test)


def test_one_computation_for_all_and_none_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(live: Live, source: Source) -> None:
        streams = [live.stream("/") for _ in range(20)]
        for stream in streams:
            await regions(stream)
        assert source.loads == 1
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        assert live.listeners == 0
        assert source.loads == 1
        assert await regions(live.stream("/")) == source.regions

    run(monkeypatch, test, every=0.3)


@pytest.mark.parametrize("problem", [LookupError("forgotten"), ValueError("a mistake of ours")])
def test_what_is_no_more_is_told(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    async def test(live: Live, source: Source) -> None:
        stream = live.stream("/")
        await regions(stream)
        source.broken = problem
        events = [event async for event in stream]
        assert events[-1] == b"event: over\ndata: \n\n"
        assert live.listeners == 0

    run(monkeypatch, test)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(live: Live, source: Source) -> None:
        streams = [live.stream("/") for _ in range(module.LISTENERS)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(Full, match="32 pages"):
            live.stream("/")
        for stream in streams[module.TOPICS :]:
            await stream.aclose()  # type: ignore[attr-defined]
        others = [live.stream(f"/{number}") for number in range(module.TOPICS - 1)]
        for stream in others:
            await anext(stream)
        with pytest.raises(Full):
            live.stream("/one-more")
        assert live.stream("/")

    run(monkeypatch, test, every=30.0)
