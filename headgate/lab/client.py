"""The lab's client: sends a scenario's requests as they are written, well or badly, and notes exactly what came back."""

import asyncio
import json
import socket
from dataclasses import dataclass, field
from itertools import takewhile
from time import monotonic
from typing import Any

from .channel import Channel, Gone
from .reader import Garbled, ResponseReader
from .scenario import Request

PATIENCE = 7.0
"""Seconds that the client waits for one response; more than every timeout of the lab's configurations together."""
RAW_MAX = 65_536
"""Most bytes of a response that are kept as they came."""


@dataclass
class Sighting:
    """What the client saw for one request."""

    token: str  # in the target and in X-Request-Id
    status: int = 0  # 0: no response
    ended: str = "nothing"  # complete | cut | hang | garbled | nothing (closed without a response) | left (by the client itself)
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    body_bytes: int = 0
    interim: list[int] = field(default_factory=list)
    trailers: list[str] = field(default_factory=list)
    closed: bool = False  # the gateway closed the connection afterwards
    raw: bytearray = field(default_factory=bytearray)  # the response as it came, at most RAW_MAX bytes
    note: str = ""  # what was garbled, how it broke
    ms: int = 0

    def header(self, name: str) -> str:
        """Return a field's value, "" when absent."""
        return ", ".join(value for known, value in self.fields if known == name)

    def error(self) -> dict[str, Any]:
        """Return the `error` member of a JSON error answer; {} when there is none."""
        try:
            found = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """One scenario's client. `path` is the prefix of the scenario's route, `host` what stands in Host."""

    def __init__(self, address: tuple[str, int], host: str, path: str) -> None:
        self._address, self._host, self._path = address, host, path
        self._channels: list[Channel] = []

    async def connect(self) -> None:
        """Open a connection, and leave earlier ones open. Raises OSError."""
        sock = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_connect(sock, self._address)
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._channels.append(Channel(sock))

    def close(self) -> None:
        """Close all connections."""
        for channel in self._channels:
            channel.close()

    async def play(self, requests: tuple[Request, ...], tokens: list[str]) -> list[Sighting]:
        """Send all requests, return what was seen for each. Raises OSError when the gateway cannot be reached."""
        seen: list[asyncio.Task[Sighting]] = []
        for number, (request, token) in enumerate(zip(requests, tokens, strict=True)):
            if request.wait:
                await asyncio.sleep(request.wait)
            if not self._channels or request.new_connection:
                for _ in range(request.crowd + 1):
                    await self.connect()
            sent = request.pipelined or await self._send_ahead(requests[number:], tokens[number:])
            seen.append(asyncio.create_task(self._one(self._channels[-1], request, token, sent)))
            if not request.background:
                await seen[-1]
        return list(await asyncio.gather(*seen))

    async def _send_ahead(self, requests: tuple[Request, ...], tokens: list[str]) -> bool:
        """Send a request together with those that are pipelined behind it. Return False when there are none."""
        count = 1 + sum(1 for _ in takewhile(lambda request: request.pipelined, requests[1:]))
        if count == 1:
            return False
        batch = [build(request, self._host, self._path, token) for request, token in zip(requests, tokens, strict=True)]
        await self._channels[-1].send(b"".join(head + body for head, body in batch[:count]))
        return True

    async def _one(self, channel: Channel, request: Request, token: str, sent: bool) -> Sighting:
        """Send one request and read its response."""
        sighting = Sighting(token)
        reader, begin = ResponseReader(request.method), monotonic()
        sender = None if sent else asyncio.create_task(self._send(channel, request, token, reader))
        try:
            async with asyncio.timeout(request.leave_after or PATIENCE):
                if request.read_after:
                    await asyncio.sleep(request.read_after)
                await self._receive(channel, reader, sighting)
                if request.tunnel is not None and reader.status == 101:
                    await _tunnel(channel, request.tunnel, sighting)
        except TimeoutError:
            sighting.ended = "left" if request.leave_after else "hang"
        finally:
            if sender is not None:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        if sighting.ended == "left":
            channel.close()
        sighting.ms = round((monotonic() - begin) * 1000)
        _note(reader, sighting)
        return sighting

    async def _send(self, channel: Channel, request: Request, token: str, reader: ResponseReader) -> None:
        head, body = build(request, self._host, self._path, token)
        try:
            if request.await_continue:
                await channel.send(head)
                for _ in range(30):
                    if reader.interim or reader.status:
                        break
                    await asyncio.sleep(0.01)
                await channel.send(body if not reader.status else b"")
                return
            await channel.send((head + body)[: request.stop_after])
        except Gone:
            pass  # what the gateway said before it closed is what counts

    async def _receive(self, channel: Channel, reader: ResponseReader, sighting: Sighting) -> None:
        try:
            while True:
                sighting.raw += channel.buffer[: RAW_MAX - len(sighting.raw)]
                reader.feed(bytes(channel.buffer))
                channel.buffer.clear()
                if reader.complete:
                    break
                await channel.fill()
            sighting.ended = "complete"
            channel.buffer += reader.rest
            if reader.rest and len(sighting.raw) < RAW_MAX:
                del sighting.raw[-len(reader.rest) :]
        except Garbled as error:
            sighting.ended, sighting.note = "garbled", str(error)
        except Gone as error:
            sighting.closed = True
            if str(error) == "closed" and reader.eof():
                sighting.ended = "complete"
            else:
                sighting.ended, sighting.note = "cut" if reader.status else "nothing", str(error)

    async def is_closed(self) -> bool:
        """Return whether the gateway closes the last connection within 1.5 s (some wait a second for the client to close)."""
        try:
            async with asyncio.timeout(1.5):
                while True:
                    await self._channels[-1].fill()
        except Gone:
            return True
        except TimeoutError:
            return False


def _note(reader: ResponseReader, sighting: Sighting) -> None:
    sighting.status, sighting.fields = reader.status, reader.fields if reader.status else []
    sighting.body = sighting.body or bytes(reader.body)
    sighting.body_bytes, sighting.interim, sighting.trailers = reader.body_bytes, reader.interim, reader.trailers


async def _tunnel(channel: Channel, text: str, sighting: Sighting) -> None:
    """Send text through an upgraded connection and read as many bytes."""
    try:
        await channel.send(text.encode())
        sighting.body = await channel.take(len(text.encode()))
    except Gone as error:
        sighting.body, sighting.closed = bytes(channel.buffer), True
        sighting.ended, sighting.note = "cut", str(error)


def build(request: Request, host: str, path: str, token: str) -> tuple[bytes, bytes]:
    """Return head and body of a request as they go out. `token` marks it: in the query, and as X-Request-Id."""
    if request.raw is not None:
        return request.raw.replace("{path}", path).replace("{token}", token).replace("{host}", host).encode("latin-1"), b""
    target = request.target if request.target is not None else path + request.path
    target += "f" * request.filler
    target += ("&" if "?" in target else "?") + "lab=" + token if target.startswith("/") else ""
    body = b"b" * request.body_bytes if request.body_bytes is not None else (request.body or "").encode()
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}", f"X-Request-Id: {token}", "Accept: application/json"]
    lines += request.headers
    lines += ["X-Filler: " + "f" * 490] * request.filler_headers
    if request.chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body)) + b"0\r\n\r\n"
    elif request.body is not None or request.body_bytes is not None:
        lines.append(f"Content-Length: {len(body)}")
    if request.await_continue:
        lines.append("Expect: 100-continue")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body


def _parts(body: bytes) -> list[bytes]:
    return [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
