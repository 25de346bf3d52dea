"""A worker among the other processes: it does what it is told once, tells what it has to, and serves on when nobody speaks."""

import asyncio
import json
import os
import socket
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from headgate.gateway import orders as module
from headgate.gateway.orders import Orders
from headgate.net.channel import Channel
from headgate.net.seat import Seat
from headgate.render.page import BadTemplate

CONFIG = {"upstream": {"app": {"servers": ["http://a:1"]}}}


def state(version: int, **changed: Any) -> dict[str, Any]:
    return {"version": version, "data": CONFIG, "folder": "/", "gauges": {}, "servers": {}, **changed}


class Worker:
    """What `Orders` needs of one, written down."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopping = False
        self.did: list[Any] = []
        self.trouble: Exception | None = None
        self.recorder = SimpleNamespace(note=self.did.append)
        self.tell: Any = None
        self.tracer: Any = None
        self.failed: list[dict[str, Any]] = []  # reports that wait
        self.reporting = SimpleNamespace(take=lambda at: self.failed.pop(0) if self.failed else None)

    def wall(self) -> float:
        return 7.0

    def stop(self) -> None:
        self.did.append("ends" if self.stopping else "stops")
        self.stopping = True

    def orphaned(self) -> None:
        self.did.append("orphaned")

    def apply(self, config: Any, gauges: Any) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.did.append(("applies", list(config.upstream)))

    def told(self, servers: Any) -> None:
        if not isinstance(servers, dict):
            raise TypeError("no object")
        self.did.append(("told", servers))


class Scene:
    """A worker, its parent's end of the channel, and the control process's end of a link."""

    def __init__(self) -> None:
        self.worker = Worker()
        theirs, self.parent = Channel.pair()
        self.orders = Orders(self.worker, Seat(1, theirs, (), -1), 4)  # type: ignore[arg-type]
        self.seat = theirs
        self.control: socket.socket | None = None
        self.orders.begin()

    def link(self) -> None:
        old = self.control
        self.control, other = socket.socketpair()
        self.control.setblocking(False)
        self.parent.send({"do": "link"}, [other.fileno()])
        other.close()
        if old is not None:
            old.close()

    def say(self, message: Any) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self.control is not None
        self.control.sendall(struct.pack(">I", len(data)) + data)

    async def hears(self) -> Any:
        """Return the next message on the link, None at its end."""
        assert self.control is not None
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            head = await loop.sock_recv(self.control, 4)
            if not head:
                return None
            data = b""
            while len(data) < int.from_bytes(head):
                data += await loop.sock_recv(self.control, int.from_bytes(head) - len(data))
        return json.loads(data)

    async def does(self, what: Any) -> None:
        for _ in range(2000):
            if what in self.worker.did:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"waited in vain: {self.worker.did}")

    def end(self) -> None:
        self.orders.end()
        self.parent.close()
        self.seat.close()
        if self.control is not None:
            self.control.close()


@pytest.fixture
def play(monkeypatch):
    monkeypatch.setattr(module, "tally", lambda worker: {"exchanges": 3})

    def run(part) -> None:
        async def whole() -> None:
            scene = Scene()
            try:
                await part(scene)
            finally:
                scene.end()
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        asyncio.run(whole())

    return run


def test_it_says_hello_on_every_link_and_leaves_the_one_before(play):
    async def part(scene):
        for _ in range(3):
            scene.link()
            assert await scene.hears() == {"hello": 1, "pid": os.getpid(), "version": 4, "counts": {"exchanges": 3, "dropped": 0}}
        scene.worker.tell({"news": 1})
        assert await scene.hears() == {"news": 1}

    play(part)


def test_it_tells_what_it_counts(play, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.01)

    async def part(scene):
        scene.link()
        await scene.hears()
        for _ in range(3):
            assert await scene.hears() == {"counts": {"exchanges": 3, "dropped": 0}}

    play(part)


def test_its_last_word(play):
    async def part(scene):
        scene.link()
        await scene.hears()
        scene.orders.end()
        assert await scene.hears() == {"counts": {"exchanges": 3, "dropped": 0}, "last": True}

    play(part)


def test_told_by_several_to_stop_it_stops_once(play):
    async def part(scene):
        scene.orders.stop()  # SIGTERM for the whole group
        scene.parent.send({"do": "stop"})
        scene.parent.send({"do": "stop"})
        scene.parent.send({"do": "end"})
        await scene.does("ends")
        assert scene.worker.did == ["stops", "ends"]

    play(part)


def test_told_to_end_it_does_not_wait(play):
    async def part(scene):
        scene.parent.send({"do": "end"})
        await scene.does("ends")
        assert scene.worker.did == ["ends"]

    play(part)


def test_without_a_parent_it_ends(play):
    async def part(scene):
        scene.parent.close()
        await scene.does("orphaned")

    play(part)


def test_nonsense_from_the_parent_is_noted(play):
    async def part(scene):
        files = len(os.listdir("/proc/self/fd"))
        scene.parent.sock.send(b"{{")
        scene.parent.send({"do": "dance"}, [0])
        scene.parent.send({"do": "link"})
        scene.parent.send({}, [0, 0])
        scene.parent.send({"do": "stop"})
        await scene.does("stops")
        assert "not a JSON object" in scene.worker.did[0]
        assert len(os.listdir("/proc/self/fd")) == files

    play(part)


def test_a_state_is_applied_and_answered(play):
    async def part(scene):
        scene.link()
        await scene.hears()
        scene.say({"do": "state", "state": state(5, servers={"app": {}})})
        assert await scene.hears() == {"applied": 5}
        assert scene.worker.did == [("applies", ["app"]), ("told", {"app": {}})]
        scene.say({"do": "servers", "servers": {"x": {}}})
        await scene.does(("told", {"x": {}}))
        scene.link()
        assert (await scene.hears())["version"] == 5

    play(part)


@pytest.mark.parametrize(
    "trouble",
    [BadTemplate("page.html: no"), FileNotFoundError(2, "No such file", "log"), ValueError("no gauge"), OSError(24, "full")],
)
def test_a_state_that_cannot_be_applied_is_refused_with_the_reason(play, trouble):
    async def part(scene):
        scene.link()
        await scene.hears()
        scene.worker.trouble = trouble
        scene.say({"do": "state", "state": state(5)})
        assert await scene.hears() == {"rejected": 5, "why": str(trouble)}
        scene.worker.trouble = None
        scene.say({"do": "state", "state": state(6)})
        assert await scene.hears() == {"applied": 6}

    play(part)


def test_a_configuration_that_is_none_is_refused(play):
    async def part(scene):
        scene.link()
        await scene.hears()
        scene.say({"do": "state", "state": state(5, data={"upstream": {"app": {}}})})
        assert (await scene.hears())["rejected"] == 5
        assert scene.worker.did == []

    play(part)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"{", b"[1]", {}, {"do": "dance"}, {"do": ["state"]}, {"do": "state"}, {"do": "state", "state": {}},
        {"do": "state", "state": []}, {"do": "state", "state": {"version": "x"}}, {"do": "servers"},
        {"do": "servers", "servers": 1},
    ],
)  # fmt: skip
def test_nonsense_on_the_link_ends_it_by_name_and_nothing_else(play, nonsense):
    async def part(scene):
        scene.link()
        await scene.hears()
        scene.say(nonsense)
        assert await scene.hears() is None
        assert len(scene.worker.did) == 1
        assert scene.worker.did[0].startswith("the link to the control process ended: malformed message: ")
        scene.worker.tell({"lost": 1})
        scene.link()
        assert (await scene.hears())["hello"] == 1

    play(part)


def test_without_a_link_nothing_is_told_and_nothing_fails(play):
    async def part(scene):
        scene.worker.tell({"lost": 1})
        scene.link()
        await scene.hears()
        scene.control.close()
        await asyncio.sleep(0.05)
        scene.worker.tell({"lost": 2})
        assert scene.worker.did == []

    play(part)


# Failures.


def test_failures_wait_until_somebody_listens_and_the_last_ones_are_told_at_the_end(play):
    async def part(scene):
        scene.worker.failed += [{"groups": [1]}]
        await asyncio.sleep(2.5 * module.REPORT_EVERY)
        assert scene.worker.failed
        scene.link()
        heard = await scene.hears()
        assert "hello" in heard
        while "report" not in heard:
            heard = await scene.hears()
        assert heard == {"report": {"groups": [1]}}
        scene.worker.failed += [{"groups": [2]}]
        scene.orders.end()
        reports = []
        while not heard.get("last"):
            heard = await scene.hears()
            reports.append(heard.get("report"))
        assert {"groups": [2]} in reports

    play(part)
