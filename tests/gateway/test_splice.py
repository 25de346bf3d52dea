"""Bodies moved by the kernel, between real sockets."""

import asyncio
import os
import socket

import pytest
import uvloop

from headgate.gateway import splice as splice_module
from headgate.gateway.splice import Splice


class Stage:
    """A server's and a client's socket pair, with a splice in the middle."""

    def __init__(self):
        self.server, self.source = socket.socketpair()
        self.target, self.client = socket.socketpair()
        for sock in (self.server, self.source, self.target, self.client):
            sock.setblocking(False)
        self.taken = self.given = 0
        self.ends = []

    def splice(self, length):
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        return Splice(loop, self.source.fileno(), self.target.fileno(), length, self.moved, self.end)

    def moved(self, taken, given):
        self.taken += taken
        self.given += given

    def end(self, how, error):
        self.ends.append(how)
        self.ended.set_result((how, error))

    def close(self):
        for sock in (self.server, self.source, self.target, self.client):
            sock.close()


def play(part):
    async def act():
        stage = Stage()
        try:
            await asyncio.wait_for(part(stage), 10)
        finally:
            stage.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(act())


async def receive(sock, size):
    data = b""
    while len(data) < size and (piece := await asyncio.get_running_loop().sock_recv(sock, 1 << 20)):
        data += piece
    return data


@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
def test_all_of_it_arrives_and_no_byte_more_is_taken(size):
    body = os.urandom(size)

    async def part(stage):
        stage.splice(size).start()
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(stage.server, body + b"next"))
        assert await receive(stage.client, size) == body
        assert (await stage.ended)[0] == "done"
        await sending
        assert (stage.taken, stage.given) == (size, size)
        assert stage.source.recv(100) == b"next"

    play(part)


def test_a_server_that_closes_early():
    async def part(stage):
        stage.splice(1_000).start()
        stage.server.send(b"abc")
        stage.server.close()
        assert (await stage.ended)[0] == "eof"
        assert await receive(stage.client, 3) == b"abc"
        assert stage.taken == 3

    play(part)


def test_a_client_that_left():
    async def part(stage):
        stage.client.close()
        stage.splice(1_000).start()
        stage.server.send(b"abc")
        how, error = await stage.ended
        assert how == "target"
        assert isinstance(error, BrokenPipeError | ConnectionResetError)

    play(part)


def test_a_client_that_does_not_read_blocks_it_and_then_lets_it_go_on():
    size = 8_000_000

    async def part(stage):
        splice = stage.splice(size)
        splice.start()
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(stage.server, bytes(size)))
        before = -1
        for _ in range(200):
            await asyncio.sleep(0.02)
            if splice.blocked and stage.taken == before:
                break
            before = stage.taken
        assert stage.taken < size
        assert len(await receive(stage.client, size)) == size
        assert (await stage.ended)[0] == "done"
        await sending

    play(part)


@pytest.mark.parametrize("begun", [False, True])
def test_stopping_gives_every_descriptor_back(begun):
    async def part(stage):
        await asyncio.sleep(0)
        spare = len(splice_module._SPARE)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(40):
            splice = stage.splice(1_000_000)
            if begun:
                stage.server.send(b"x")
                splice.start()
                await receive(stage.client, 1)
            splice.stop()
            splice.stop()
        kept = 2 * (len(splice_module._SPARE) - spare)
        assert len(os.listdir("/proc/self/fd")) == before + kept
        assert not stage.ends

    play(part)


def test_a_pipe_with_bytes_in_it_is_never_used_again():
    """They would be another client's response."""

    async def part(stage):
        stage.target.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        splice = stage.splice(8_000_000)
        splice.start()
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(stage.server, b"s" * 8_000_000))
        for _ in range(200):
            await asyncio.sleep(0.01)
            if splice.blocked:
                break
        assert splice._held
        splice.stop()
        sending.cancel()
        for reading, _ in splice_module._SPARE:
            with pytest.raises(BlockingIOError):
                os.read(reading, 1)

    play(part)
