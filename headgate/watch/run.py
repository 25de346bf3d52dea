"""Owns the watch itself: looks at each site when it is due, believes changes, remembers and tells them, until it may end."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from .history import History
from .notify import Ways, tell
from .schedule import Schedule
from .state import UP, Change, Sighting, State

Glance = Callable[[str], Awaitable[Sighting]]
"""How a site is looked at."""
_LAST_WORDS = 15.0
"""Seconds that notifications get once the watch is over."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch, and how."""

    urls: tuple[str, ...]
    interval: float = 30.0
    until: str = ""  # "up", "down": end when every site is (believed to be) so; "": never
    timeout: float = 0.0  # seconds after which to give up, 0: never
    need: int = 2
    window: int = 3
    ways: Ways = field(default_factory=Ways)


@dataclass
class Events:
    """Whom to call: of each look, each believed change, and each notification that failed."""

    looked: Callable[[str, Sighting], None] = field(default=lambda _url, _sighting: None)
    changed: Callable[[str, Change], None] = field(default=lambda _url, _change: None)
    trouble: Callable[[str], None] = field(default=lambda _text: None)


async def watch(plan: Plan, glance: Glance, history: History, events: Events) -> bool:
    """Watch until the plan's end; return whether its `until` was reached (False: the timeout came first).

    Without `until` and timeout it only ends by cancellation. Raises BadHistory when the history can no longer be written.
    """
    states = {url: State(plan.need, plan.window) for url in plan.urls}
    for url, state in states.items():
        state.resume(history.changes(url))
    reached = asyncio.Event()
    telling: set[asyncio.Task[None]] = set()

    async def follow(url: str) -> None:
        schedule = Schedule(plan.interval, steady=bool(plan.until))
        while True:
            sighting = await glance(url)
            change = states[url].see(sighting)
            history.add(url, sighting, change)
            events.looked(url, sighting)
            if change is not None:
                events.changed(url, change)
                _start(_spread(plan.ways, url, change, events), telling)
            if plan.until and all(_is(one, plan.until) for state in states.values() for one in (state.now, state.latest)):
                reached.set()
                return
            differs = change is not None or sighting.state != states[url].now
            await asyncio.sleep(schedule.next(sighting.state == UP, differs, sighting.retry_after))

    followers = [asyncio.create_task(follow(url)) for url in plan.urls]
    try:
        return await _until(reached, followers, plan.timeout)
    finally:
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        if telling:
            _, late = await asyncio.wait(telling, timeout=_LAST_WORDS)
            if late:
                events.trouble(f"{len(late)} notification{'s were' if len(late) > 1 else ' was'} not finished")


async def _until(reached: asyncio.Event, followers: Sequence[asyncio.Task[None]], seconds: float) -> bool:
    """Wait for the end that was asked for; a follower's exception is raised here."""
    waiter = asyncio.create_task(reached.wait())
    try:
        pending: set[asyncio.Task[object]] = {waiter, *followers}
        end = time.monotonic() + seconds if seconds else None
        while not reached.is_set():
            left = None if end is None else max(0.0, end - time.monotonic())
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if not done or not pending:
                break
        return reached.is_set()
    finally:
        waiter.cancel()


def _start(work: Awaitable[None], kept: set[asyncio.Task[None]]) -> None:
    task = asyncio.ensure_future(work)
    kept.add(task)
    task.add_done_callback(kept.discard)


async def _spread(ways: Ways, url: str, change: Change, events: Events) -> None:
    data = {
        "url": url, "state": change.new, "old": change.old, "at": change.at, "lasted": change.lasted, "down": change.down,
        "text": change.text, "status": change.status,
    }  # fmt: skip
    for problem in await tell(ways, f"{url} is {change.new}", change.text or change.new, data):
        events.trouble(problem)


def _is(state: str, wanted: str) -> bool:
    return state == UP if wanted == "up" else bool(state) and state != UP
