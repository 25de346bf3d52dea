"""Plays one scenario's script to everybody who connects: which script for which connection, and what each verb does."""

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from time import monotonic

from .certificates import Certificates
from .channel import Channel, Gone
from .scenario import Scenario, Step

MOST_CONNECTIONS = 256
"""At once, for one scenario; more are closed at the door."""
LINES = 200
"""Of a trace."""
CRLF = b"\r\n"
LONGEST = 30.0
"""Seconds that one connection may live."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class _End(Exception):
    """The script closed the connection."""


class Player:
    """One scenario's servers: their listening sockets, the count of connections and of requests."""

    def __init__(self, scenario: Scenario, certificates: Certificates) -> None:
        self.scenario = scenario
        self.connections = 0
        self.requests = 0
        self.trace: list[str] = []  # what happened, a line each, up to LINES
        self._begin = monotonic()
        self._certificates = certificates
        self._acceptors: list[asyncio.Task[None]] = []
        self._running: dict[asyncio.Task[None], Channel] = {}

    def listen(self, sock: socket.socket) -> None:
        """Serve a listening socket until `stop`."""
        sock.setblocking(False)
        self._acceptors.append(asyncio.create_task(self._accept(sock)))

    async def reset(self) -> None:
        """Close all connections and begin with the first script again."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self.connections = self.requests = 0
        self.trace.clear()
        self._begin = monotonic()

    async def stop(self) -> None:
        """End everything."""
        for task in self._acceptors:
            task.cancel()
        await asyncio.gather(*self._acceptors, return_exceptions=True)
        await self.reset()

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock:
            while True:
                try:
                    peer, _ = await loop.sock_accept(sock)
                except OSError:
                    await asyncio.sleep(0.05)  # out of descriptors, or the peer left before it was accepted
                    continue
                if len(self._running) >= MOST_CONNECTIONS:
                    peer.close()
                    continue
                if peer.family != socket.AF_UNIX:
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(Channel(peer))

    def _start(self, channel: Channel) -> None:
        scripts = self.scenario.upstream
        script = scripts[min(self.connections, len(scripts) - 1)]
        self.connections += 1
        channel.number = self.connections
        self._note(channel, "opened")
        task = asyncio.create_task(self._play(channel, script))
        self._running[task] = channel
        task.add_done_callback(self._running.pop)

    async def _play(self, channel: Channel, script: tuple[Step, ...]) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await self._steps(channel, script)
        except (Gone, ssl.SSLError) as error:
            self._note(channel, f"ended by the gateway: {error}")
        except (_End, TimeoutError):
            pass
        finally:
            channel.close()

    def _note(self, channel: Channel, text: str) -> None:
        if len(self.trace) < LINES:
            self.trace.append(f"{(monotonic() - self._begin) * 1000:6.0f} ms  connection {channel.number}: {text}")

    async def _steps(self, channel: Channel, steps: tuple[Step, ...]) -> None:
        for step in steps:
            await self._step(channel, step)

    async def _step(self, channel: Channel, step: Step) -> None:
        """Do one step. Raises Gone when the peer left, _End when the script closed."""
        if step.verb not in ("read", "repeat"):
            self._note(channel, describe(step))
        match step.verb:
            case "read":
                await self._read(channel, step.read)
            case "repeat":
                for _ in range(step.repeat or 0):
                    await self._steps(channel, step.steps)
            case "wait":
                await asyncio.sleep(step.wait or 0)
            case "stall":
                await asyncio.sleep(step.stall or 0)
                raise _End
            case "say_continue":
                if _EXPECTS.search(channel.head):
                    await channel.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            case "echo":
                await _echo(channel)
            case "close":
                raise _End
            case "half_close":
                channel.half_close()
            case "reset":
                channel.reset()
                raise _End
            case "tls":
                await channel.secure(self._certificates.context(str(step.tls)))
            case _:
                await channel.send(payload(step))

    async def _read(self, channel: Channel, what: str | int | None) -> None:
        if what == "head":
            channel.head = await channel.take_until(b"\r\n\r\n")
            self.requests += 1
            self._note(channel, f"read a request: {channel.head.split(CRLF)[0].decode('latin-1')}")
        elif what == "body":
            await _read_body(channel, channel.head)
        elif what == "all":
            with contextlib.suppress(Gone):
                await _discard(channel)
        else:
            await channel.take(int(what or 0))


def describe(step: Step) -> str:
    """Return what a step does, in a few words."""
    value = getattr(step, step.verb)
    if step.verb.startswith("write") or step.verb == "answer":
        data = payload(step)
        return f"wrote {len(data)} bytes: {data[:60].decode('latin-1').encode('unicode_escape').decode()}"
    return step.verb if value is True else f"{step.verb} {value}" + " s" * (step.verb in ("wait", "stall"))


def payload(step: Step) -> bytes:
    """Return the bytes that a writing verb sends."""
    if step.answer is not None:
        body = step.answer.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
    if step.write_base64 is not None:
        return base64.b64decode(step.write_base64)
    if step.write_hex is not None:
        return bytes.fromhex(step.write_hex)
    if step.write_bytes is not None:
        return b"x" * step.write_bytes
    return (step.write or "").encode("latin-1")


async def _read_body(channel: Channel, head: bytes) -> None:
    """Read and drop the request body that `head` announces."""
    if _CHUNKED.search(head):
        while (size := int((await channel.take_until(b"\r\n")).split(b";")[0], 16)) > 0:
            await channel.take(size + 2)
        while await channel.take_until(b"\r\n") != b"\r\n":
            pass
    elif found := _LENGTH.search(head):
        left = int(found[1])
        while left > 0:
            left -= len(await channel.take(min(left, 65_536)))


async def _discard(channel: Channel) -> None:
    while True:
        await channel.fill()
        channel.buffer.clear()


async def _echo(channel: Channel) -> None:
    while True:
        if channel.buffer:
            data = bytes(channel.buffer)
            channel.buffer.clear()
            await channel.send(data)
        await channel.fill()
