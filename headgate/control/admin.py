"""The admin API's places in the control process: opened after the start, loaded at the first question, closed at the end.

FastAPI is loaded only when somebody asks, so that a gateway that nobody asks pays nothing for it. Whatever fails here is noted
and ends the admin API at most: never the control process.
"""

import asyncio
import errno
import os
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..config.endpoints import Address
from .adminsocket import AUTO, Taken, address_for, bind, remove
from .door import Door
from .peers import all_draining
from .runfolder import Unsafe

if TYPE_CHECKING:
    from .adminserver import Server
    from .process import Control

_AGAIN: Final = 1.0
"""Seconds between tries while another process listens there."""
_LOOK: Final = 0.5
_MERCY: Final = 3.0
_FIRST: Final = Address("127.0.0.1", 8600, "")
_PORTS: Final = 100
"""Where browsers find the dashboard, unless configured: the first of these ports that is free."""
_HEIR_WAITS: Final = 15
"""Tries in which a new version waits for the port of the one before."""
_SHORTEST_TOKEN: Final = 16


class Admin:
    """One place where the admin API of a gateway can be asked, while its control process runs."""

    def __init__(self, control: "Control", listen: str, *, browsers: bool = False) -> None:
        """listen: as configured. browsers: it is `admin.dashboard`; then "auto" means a port, and the place is told."""
        self._control = control
        self._listen = listen
        self._browsers = browsers
        self._settings = control.desired.config.gateway.admin
        self._note = control.journal.note
        self._server: Server | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, where that is configured. Raises nothing: what goes wrong is noted."""
        if self._listen != "off":
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def end(self) -> None:
        """Stop listening; answers under way have a moment."""
        if self._task is None:
            return
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.wait([self._task], timeout=_MERCY)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        giving_way: asyncio.Task[None] | None = None
        try:
            token = self._token()
            if self._browsers and self._listen == AUTO:
                address, sock = await self._bind_any()
            else:
                address = address_for(self._listen, os.getppid(), os.environ, os.geteuid())
                sock = await self._bind(address)
            made = os.lstat(address.path) if address.path else None
            try:
                if self._browsers or self._listen != AUTO:
                    self._tell(address, sock)
                    giving_way = asyncio.create_task(self._give_way())
                await _asked(sock)
                await self._serve(sock, address, token)
            finally:
                remove(address.path, made)
                sock.close()
        except Unsafe as problem:
            self._note(f"no admin API: {problem}")
        except OSError as problem:
            where = f"{problem.filename}: " if problem.filename else ""
            self._note(f"no {self._what} on {self._listen}: {where}{problem.strerror or problem}")
        except Exception as problem:
            self._note(f"the admin API ended: {problem!r}")
        finally:
            if giving_way is not None:
                giving_way.cancel()

    @property
    def _what(self) -> str:
        return "dashboard" if self._browsers else "admin API"

    def _tell(self, address: Address, sock: socket.socket) -> None:
        """Note where it is, and let the status say it."""
        bound = address if address.path else Address(address.host, sock.getsockname()[1])
        if self._browsers:
            self._control.dashboard = f"http://{bound}/"
            self._note(f"dashboard on {self._control.dashboard}")
        else:
            self._note(f"admin API on {bound}")

    def _token(self) -> bytes:
        """Return what callers must show, b"" for nothing. Raises OSError, and Unsafe for a token that is none."""
        if self._settings.token is None:
            return b""
        token = Path(self._settings.token).read_bytes().strip()
        if len(token) < _SHORTEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
            raise Unsafe(
                f"{self._settings.token} holds no token of {_SHORTEST_TOKEN} or more plain characters; "
                "`openssl rand -hex 32` makes one"
            )
        return token

    async def _bind(self, address: Address) -> socket.socket:
        """Return the socket, as soon as nobody else listens there: after an upgrade the version before does so for a while."""
        waiting = False
        while True:
            try:
                sock = bind(address)
            except OSError as problem:
                if not isinstance(problem, Taken) and problem.errno != errno.EADDRINUSE:
                    raise
                if not waiting:
                    self._note(f"another process listens on {address}: the {self._what} is tried again each second")
                waiting = True
                await asyncio.sleep(_AGAIN)
            else:
                return sock

    async def _bind_any(self) -> tuple[Address, socket.socket]:
        """Return the first port that is free. A new version waits a moment for the place of the one before. Raises OSError."""
        for _ in range(_HEIR_WAITS if self._control.tools.heir else 0):
            try:
                return _FIRST, bind(_FIRST)
            except OSError:
                await asyncio.sleep(_AGAIN)
        for port in range(_FIRST.port, _FIRST.port + _PORTS):
            address = Address(_FIRST.host, port)
            try:
                return address, bind(address)
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE or port == _FIRST.port + _PORTS - 1:
                    raise
        raise AssertionError("there are ports")

    async def _serve(self, sock: socket.socket, address: Address, token: bytes) -> None:
        """Answer until the end. Raises Unsafe for an address that would let everybody in."""
        door = Door(address.host, 0 if address.path else sock.getsockname()[1], token, self._settings.dashboard_url or "")
        if not door.near and not token:  # the configuration's checks see to it; this is the last door
            raise Unsafe(f"{address} can be reached from other machines, and no token is asked")
        self._server = await asyncio.to_thread(_load, self._control, door)
        await self._server.serve([sock])

    async def _give_way(self) -> None:
        """Leave a fixed address to the gateway that follows, as soon as this one only drains."""
        while True:
            await asyncio.sleep(_LOOK)
            if all_draining(self._control.peers.values()):
                await self.end()
                return


async def _asked(sock: socket.socket) -> None:
    """Wait for the first connection."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_reader(sock.fileno(), asked.set)
    try:
        await asked.wait()
    finally:
        loop.remove_reader(sock.fileno())


def _load(control: "Control", door: Door) -> "Server":
    """Return the server. Takes a moment: much is imported."""
    from .adminserver import Server
    from .api import make_api
    from .dashboard import login_form
    from .guard import Guard

    pages = control.tools.pages() if control.tools.pages is not None else None
    form = partial(login_form, pages) if pages is not None else None
    return Server(Guard(make_api(control, with_token=bool(door.token), pages=pages), door, control.journal.note, form))
