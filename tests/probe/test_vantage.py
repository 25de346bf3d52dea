"""Another Headgate is asked by HTTP, believed only in what it says plainly, and followed nowhere."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from headgate.diagnose.looks import Look
from headgate.probe.vantage import vantage_look


@contextmanager
def other(status: int, body: bytes, **fields: str) -> Iterator[tuple[str, list[str]]]:
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(where: str) -> Look:
    return asyncio.run(vantage_look(where, "https://example.org/a?b=c", 3.0, 0.0))


def test_its_verdict_is_told() -> None:
    body = json.dumps({"outcome": "failing", "summary": "nginx wrote it", "suspects": [{"cause": "connection-refused"}]}).encode()
    with other(200, body) as (where, paths):
        look = ask(where + "/")
    assert (look.ok, look.facts["outcome"], look.facts["cause"]) == (False, "failing", "connection-refused")
    assert paths == ["/api/diagnose?url=https%3A%2F%2Fexample.org%2Fa%3Fb%3Dc"]


def test_up_is_up() -> None:
    with other(200, b'{"outcome": "up", "summary": "It answers"}') as (where, _):
        assert ask(where).ok is True


def test_what_is_no_verdict_proves_nothing() -> None:
    for status, body in ((200, b"<html>"), (200, b"[1]"), (200, b"[" * 100_000), (403, b"{}"), (500, b"")):
        with other(status, body) as (where, _):
            assert ask(where).ok is None


def test_a_verdict_of_another_shape_is_told_as_far_as_it_goes() -> None:
    for suspects in (b"5", b"null", b'{"a": 1}', b'["x"]'):
        with other(200, b'{"outcome": "up", "summary": 7, "suspects": ' + suspects + b"}") as (where, _):
            assert (ask(where).ok, ask(where).facts["cause"]) == (True, "")


def test_redirects_are_not_followed() -> None:
    with other(200, b'{"outcome": "up"}') as (aim, paths), other(302, b"", Location=aim) as (where, _):
        assert ask(where).ok is None
        assert paths == []


def test_unreachable_or_senseless_is_said_without_credentials() -> None:
    for where in ("http://127.0.0.1:9", "ftp://x/", "http://user:secret@127.0.0.1:9"):
        look = ask(where)
        assert look.ok is None
        assert "secret" not in json.dumps(look.as_json())
