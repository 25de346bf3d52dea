"""The lab as a whole: starts and stops every upstream, the DNS server and the door through which `score` gives orders."""

import asyncio
import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .certificates import Certificates
from .dns import DnsServer, name_of
from .layout import DEFAULT_BASE, Layout
from .places import occupy, tcp_socket
from .player import Player
from .scenario import Scenario


class LabError(Exception):
    """The lab cannot start, or is not there. The message is one sentence for the user."""


class Lab:
    """All upstreams of a layout. Use `await start()`, then `await stop()`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.certificates = Certificates(layout.folder)
        self.players = {name: Player(scenario, self.certificates) for name, scenario in layout.scenarios.items()}
        self._kept: list[socket.socket] = []
        self._dns = DnsServer({name_of(name): s.dns for name, s in layout.scenarios.items() if s.dns})
        self._door: asyncio.Server | None = None

    async def start(self) -> None:
        """Open everything. Raises LabError when a port is in use; nothing stays open then."""
        try:
            door = tcp_socket(*self.layout.control)
            self._door = await asyncio.start_server(self._order, sock=door)
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._kept.append(udp)
            udp.bind(self.layout.dns)
            await self._dns.start(udp, tcp_socket(*self.layout.dns))
            for name, player in self.players.items():
                self._kept += occupy(self.layout, name, player)
        except OSError as error:
            await self.stop()
            raise LabError(
                f"the lab cannot start at port {self.layout.base}: {error.strerror or error}; is another lab running?"
            ) from None

    async def stop(self) -> None:
        """Close everything."""
        if self._door is not None:
            self._door.close()
        self._dns.stop()
        await asyncio.gather(*(player.stop() for player in self.players.values()))
        for sock in self._kept:
            sock.close()
        self._kept.clear()

    async def _order(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one order, "reset NAME" or "seen NAME", with a line of JSON."""
        try:
            async with asyncio.timeout(5):
                verb, _, name = (await reader.readline()).decode("ascii", "replace").strip().partition(" ")
                writer.write(json.dumps(await self._obey(verb, name)).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _obey(self, verb: str, name: str) -> dict[str, Any]:
        player = self.players.get(name)
        if player is None:
            return {"error": f"no scenario is called {name!r}"}
        if verb == "reset":
            await player.reset()
        return {"connections": player.connections, "requests": player.requests}


async def order(layout: Layout, verb: str, name: str) -> dict[str, Any]:
    """Give the running lab an order, return its answer. Raises LabError when no lab runs, or does not know the scenario."""
    host, port = layout.control
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"{verb} {name}\n".encode())
            line = await reader.readline()
            writer.close()
        answer: dict[str, Any] = json.loads(line)
    except (OSError, TimeoutError, ValueError):
        raise LabError(f"no lab answers at {host}:{port}; start one with: headgate lab") from None
    if "error" in answer:
        raise LabError(f"the lab at {host}:{port} says: {answer['error']}")
    return answer


async def start_lab(scenarios: Mapping[str, Scenario], folder: Path, base: int = DEFAULT_BASE) -> Lab:
    """Start a lab and return it. base 0: take any free block of ports. Raises LabError."""
    if base:
        lab = Lab(Layout(scenarios, base, folder))
        await lab.start()
        return lab
    trouble = ""
    for _ in range(20):
        lab = Lab(Layout(scenarios, random.randrange(20_000, 32_000), folder))
        try:
            await lab.start()
            return lab
        except LabError as error:
            trouble = str(error)
    raise LabError(trouble)
