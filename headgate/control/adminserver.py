"""How the admin API is served: uvicorn in the control process's own loop, with bounds on connections, heads and time."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .guard import App

_MOST: Final = 64
"""Connections at once; more are closed without a word."""
_HEAD: Final = 16 << 10
"""Bytes of a request head."""
_PATIENCE: Final = 10.0
"""Seconds for a request head."""


class _Protocol(H11Protocol):
    """uvicorn's, with an end to waiting for a head."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _MOST:
            transport.abort()
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Begin to wait for a head, or stop where there is one; what is between two requests has uvicorn's own limit."""
        complete = self.conn.their_state is not h11.IDLE
        if complete:
            self._rest()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_PATIENCE, self._late)

    def _rest(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _late(self) -> None:
        self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to the process that it is a guest in."""

    def __init__(self, app: App) -> None:
        """app: the ASGI application."""
        for name in ("uvicorn.error", "uvicorn.access"):  # what matters is noted by the guard
            logging.getLogger(name).addHandler(logging.NullHandler())
            logging.getLogger(name).propagate = False
        settings: dict[str, Any] = {
            "loop": "none", "http": _Protocol, "ws": "none", "lifespan": "off", "interface": "asgi3", "log_config": None,
            "access_log": False, "server_header": False, "proxy_headers": False, "h11_max_incomplete_event_size": _HEAD,
            "timeout_keep_alive": 5, "timeout_graceful_shutdown": 1,
        }  # fmt: skip
        super().__init__(uvicorn.Config(app, **settings))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
