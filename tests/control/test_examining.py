"""When incidents are looked into: at once and again, one look at a server at a time, and never more than a few."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from headgate.config.load import from_data
from headgate.control.examining import Examining

SERVERS = [f"http://10.0.0.{n}:80" for n in range(1, 9)]


def summary(number: int, **changed: Any) -> dict[str, Any]:
    """Return an incident at one server."""
    label = SERVERS[number % len(SERVERS)]
    told = {"id": f"I{number}", "upstream": "app", "cause": "connection-refused", "phase": "connect", "state": "open"}
    return {**told, "servers": [{"server": label}], **changed}


class Scene:
    """A desk with incidents, and looks that last until they are let go."""

    def __init__(self) -> None:
        self.incidents: dict[str, dict[str, Any]] = {}
        self.looks: list[tuple[str, dict[str, Any]]] = []
        self.verdicts: list[tuple[str, dict[str, Any]]] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None
        self.notes: list[str] = []
        self.samples: list[dict[str, Any]] = []
        config = from_data({"upstream": {"app": {"servers": SERVERS}}}, "/")
        standings = {label: SimpleNamespace(health=SimpleNamespace(usable=label != SERVERS[5])) for label in SERVERS}
        self.control: Any = SimpleNamespace(
            desired=SimpleNamespace(config=config, standings=SimpleNamespace(of={"app": standings})),
            tools=SimpleNamespace(examine=self.examine),
            journal=SimpleNamespace(note=self.notes.append),
        )
        self.desk: Any = SimpleNamespace(
            store=SimpleNamespace(
                summary=self.incidents.get,
                samples=lambda id: self.samples,
                autopsy=lambda id, verdict, now: self.verdicts.append((id, verdict)),
                open_incidents=lambda limit: list(self.incidents.values())[:limit],
            ),
            settings=SimpleNamespace(examine=True, examine_for=5.0),
            signs=SimpleNamespace(last_success=lambda upstream, label: 7.0),
        )
        self.examining = Examining(self.control, self.desk)

    async def examine(self, server: Any, upstream: Any, failure: Any, resolver: Any, **more: Any) -> dict[str, Any]:
        self.looks.append((server.url, {**failure, **more}))
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return {"verdict": "it is so"}

    def happens(self, *numbers: int, what: str = "opened", at: float = 0.0, **changed: Any) -> None:
        told = [summary(number, **changed) for number in numbers]
        self.incidents.update({one["id"]: one for one in told})
        self.examining.tick(at, at, [(what, one) for one in told])

    def tick(self, at: float) -> None:
        self.examining.tick(at, at, [])

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
def play():
    def run(part) -> None:
        async def whole() -> None:
            scene = Scene()
            await part(scene)
            scene.examining.end()
            await scene.settle()

        asyncio.run(whole())

    return run


def test_at_once_and_again_while_it_lasts_ever_more_rarely(play):
    async def part(scene):
        scene.go_on.set()
        scene.happens(0)
        await scene.settle()
        assert scene.verdicts == [("I0", {"verdict": "it is so"})]
        label, told = scene.looks[0]
        assert label == SERVERS[0]
        assert (told["upstream"], told["last_success"], told["seconds"]) == ("app", 7.0, 5.0)
        loop = asyncio.get_running_loop()
        counts = []
        for seconds in (5, 11, 30, 45, 110, 111, 240, 600):
            scene.tick(loop.time() + seconds)
            await scene.settle()
            counts.append(len(scene.looks))
        assert counts[0] == 1
        assert counts == sorted(counts)
        assert 4 <= counts[-1] <= 8
        scene.happens(0, what="resolved", at=loop.time() + 601, state="resolved")
        scene.tick(loop.time() + 9999)
        await scene.settle()
        assert len(scene.looks) == counts[-1]

    play(part)


def test_never_more_than_a_few_at_the_same_time(play):
    async def part(scene):
        scene.happens(*range(8))
        await scene.settle()
        assert len(scene.looks) == 4
        scene.go_on.set()
        await scene.settle()
        scene.tick(0.1)
        await scene.settle()
        assert len(scene.verdicts) == 8

    play(part)


def test_a_server_is_not_looked_at_twice_within_moments(play):
    async def part(scene):
        scene.go_on.set()
        scene.happens(0, 8)
        await scene.settle()
        assert len(scene.looks) == 1
        scene.tick(3.0)
        await scene.settle()
        assert {id for id, _ in scene.verdicts} == {"I0", "I8"}

    play(part)


def test_what_traffic_last_saw_of_this_server_goes_along(play):
    async def part(scene):
        mine, other = ({"server": label, "cause": "connection-refused", "address": label[7:]} for label in SERVERS[:2])
        scene.samples = [{"host": "shop.example", "attempts": [mine, other]}, {"host": "x", "attempts": [other]}]
        scene.happens(0)
        await scene.settle()
        told = scene.looks[0][1]
        assert (told["address"], told["host"]) == ("10.0.0.1:80", "shop.example")

    play(part)


def test_where_no_server_was_asked_one_that_gets_no_requests_is(play):
    async def part(scene):
        scene.happens(0, servers=[{"server": ""}])
        await scene.settle()
        assert [label for label, _ in scene.looks] == [SERVERS[5]]

    play(part)


@pytest.mark.parametrize("changed", [{"upstream": "gone"}, {"upstream": ""}])
def test_nothing_to_look_at(play, changed):
    async def part(scene):
        scene.happens(0, **changed)
        for at in range(5):
            scene.tick(at * 100.0)
            await scene.settle()
        assert scene.looks == []

    play(part)


def test_switched_off_only_what_a_person_asks_for_is_done(play):
    async def part(scene):
        scene.go_on.set()
        scene.desk.settings.examine = False
        scene.happens(0)
        await scene.settle()
        assert scene.looks == []
        assert scene.examining.ask("I0")
        assert not scene.examining.ask("I1")
        scene.tick(asyncio.get_running_loop().time() + 1)
        await scene.settle()
        assert len(scene.verdicts) == 1
        scene.tick(asyncio.get_running_loop().time() + 100)
        await scene.settle()
        assert len(scene.verdicts) == 1

    play(part)


def test_a_person_may_ask_about_one_that_is_over(play):
    async def part(scene):
        scene.go_on.set()
        scene.incidents["I0"] = summary(0, state="resolved")
        assert scene.examining.ask("I0")
        scene.tick(asyncio.get_running_loop().time() + 1)
        await scene.settle()
        assert len(scene.verdicts) == 1

    play(part)


def test_an_error_is_noted_and_ends_nothing(play):
    async def part(scene):
        scene.go_on.set()
        scene.error = RuntimeError("odd")
        scene.happens(0)
        await scene.settle()
        assert scene.notes == ["internal error: incident I0 could not be examined: RuntimeError('odd')"]
        scene.error = None
        scene.tick(asyncio.get_running_loop().time() + 11)
        await scene.settle()
        assert len(scene.verdicts) == 1

    play(part)


def test_what_a_former_process_left_open_is_looked_into(play):
    async def part(scene):
        scene.go_on.set()
        scene.incidents["I3"] = summary(3)
        scene.examining.resume()
        scene.tick(asyncio.get_running_loop().time() + 1)
        await scene.settle()
        assert [id for id, _ in scene.verdicts] == ["I3"]

    play(part)


def test_many_incidents_are_bounded(play):
    async def part(scene):
        scene.happens(*range(1000))
        assert len(scene.examining._cases) <= 200

    play(part)
