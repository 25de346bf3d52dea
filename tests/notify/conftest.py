"""Receivers that write down what they get, and answer as they are told."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headgate.config.notify import Destination
from headgate.notify.message import Message, about, example

PATIENCE = 20.0


@dataclass
class Got:
    path: str
    fields: dict[str, str]
    body: bytes
    at: float

    @property
    def data(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """An HTTP server. answers: (status, fields, body, seconds to wait first) for the next requests, then 200."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes, float]] = field(default_factory=list)

    def answer(self, status: int, fields: dict[str, str] | None = None, body: bytes = b"", after: float = 0.0) -> None:
        self.answers.append((status, fields or {}, body, after))


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Starts receivers."""
    started: list[tuple[ThreadingHTTPServer, threading.Thread]] = []
    over = threading.Event()

    def start() -> Receiver:
        receiver = Receiver()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.answers.pop(0) if receiver.answers else (200, {}, b"ok", 0.0)
                receiver.got.append(Got(self.path, dict(self.headers), body, time.time()))
                over.wait(answer[3])
                self.send_response(answer[0])
                for name, value in {"Content-Length": str(len(answer[2])), **answer[1]}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer[2])

            def log_message(self, *args: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        started.append((server, thread))
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        return receiver

    yield start
    over.set()
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


def destination(kind: str = "webhook", **more: Any) -> Destination:
    """Return a destination that does not make tests wait."""
    return Destination.model_validate({"kind": kind, "wait": 0.01, **more})


def message(what: str = "opened", id: str = "AAAA", **more: Any) -> Message:
    """Return a message of an incident."""
    now = time.time()
    return about(what, now, {**example(now, test=False), "id": id, **more}, f"http://gate.example/incidents/{id}")


async def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        await asyncio.sleep(0.01)
    return found
