"""The stream between the planes: whole messages, bounds, and what happens to nonsense."""

import asyncio
import json
import socket
import struct

import pytest

from headgate.net.link import LARGEST, WAITING, Link


class End:
    """One end of a link, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[dict] = []
        self.over: list[str] = []
        self.link = Link(self.hear, self.over.append)

    def hear(self, message: dict) -> None:
        if "number" in message:
            int(message["number"])
        self.heard.append(message)


async def pair() -> tuple[End, End]:
    one, other = End(), End()
    sockets = socket.socketpair()
    for end, sock in zip((one, other), sockets, strict=True):
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda end=end: end.link, sock=sock)
    return one, other


async def raw() -> tuple[End, socket.socket]:
    """Return an end, and a socket to write nonsense into."""
    end = End()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    await asyncio.get_running_loop().create_connection(lambda: end.link, sock=ours)
    return end, theirs


async def until(condition) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("waited in vain")


def test_messages_arrive_whole_and_in_order():
    async def part():
        one, other = await pair()
        texts = ["", "x", "ü" * 1000, "y" * 3_000_000]
        for text in texts:
            assert one.link.send({"text": text})
        await until(lambda: len(other.heard) == len(texts))
        assert [message["text"] for message in other.heard] == texts
        other.link.send({"back": True})
        await until(lambda: one.heard)
        one.link.close()
        await until(lambda: other.over)
        assert other.over == ["closed by the other end"]

    asyncio.run(part())


def test_bytes_may_come_one_by_one():
    async def part():
        end, theirs = await raw()
        data = json.dumps({"a": 1}).encode()
        for byte in struct.pack(">I", len(data)) + data:
            theirs.send(bytes([byte]))
            await asyncio.sleep(0)
        await until(lambda: end.heard)
        assert end.heard == [{"a": 1}]
        theirs.close()
        await until(lambda: end.over)

    asyncio.run(part())


NONSENSE = {
    "no JSON": struct.pack(">I", 3) + b"{{{",
    "no object": struct.pack(">I", 2) + b"[]",
    "not UTF-8": struct.pack(">I", 2) + b"\xff\xff",
    "too large": struct.pack(">I", LARGEST + 1),
    "makes no sense": struct.pack(">I", 15) + b'{"number": "x"}',
    "nested too deep": struct.pack(">I", 200_000) + b"[" * 200_000,
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_ends_the_link_by_name(data):
    async def part():
        end, theirs = await raw()
        good = json.dumps({"a": 1}).encode()
        theirs.sendall(struct.pack(">I", len(good)) + good + data)
        await until(lambda: end.over)
        assert end.heard == [{"a": 1}], "what came before it counts"
        assert end.over[0].startswith("malformed message: ")
        assert not end.link.send({"late": True})
        assert theirs.recv(10) == b""
        theirs.close()
        await asyncio.sleep(0)
        assert len(end.over) == 1, "told once"

    asyncio.run(part())


def test_what_does_not_fit_is_dropped_and_counted():
    async def part():
        end, theirs = await raw()
        piece = {"text": "x" * 1_000_000}
        sent = sum(end.link.send(piece) for _ in range(20))
        assert 0 < sent < 20
        assert end.link.dropped == 20 - sent
        assert sent * 1_000_000 < WAITING + 3_000_000
        assert end.link.send({"small": True}, important=True), "what has to arrive may go beyond the bound"
        theirs.close()
        await until(lambda: end.over)

    asyncio.run(part())


def test_nothing_can_be_sent_before_and_after():
    async def part():
        end = End()
        assert not end.link.send({})
        assert end.link.dropped == 1

    asyncio.run(part())
