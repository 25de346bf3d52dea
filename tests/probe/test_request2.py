"""One HTTP/2 request: answers, codings, resets and goodbyes of a scripted server; and nginx, which really speaks it."""

import asyncio
import contextlib
import gzip
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from headgate.diagnose.captured import BODY_MAX, Captured
from headgate.lab.certificates import NAME, Certificates
from headgate.lab.processes import free_port
from headgate.model.exchange import Attempt
from headgate.probe.request import Sent
from headgate.probe.request2 import ask2
from headgate.probe.url import parse_url

Result = tuple[Attempt, Captured | None]
Script = Callable[[h2.connection.H2Connection], None]


def code(attempt: Attempt) -> str:
    return attempt.cause.code if attempt.cause is not None else ""


def speaker(script: Script, got: list[tuple[bytes, bytes]] | None = None, close: bool = False, after: bytes = b"") -> Any:
    """Return a handler that follows a script once a request has come."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        talk.initiate_connection()
        while data := await reader.read(65_536):
            events = talk.receive_data(data)
            request = next((event for event in events if isinstance(event, h2.events.RequestReceived)), None)
            if request is not None:
                (got if got is not None else []).extend(request.headers or ())
                script(talk)
            writer.write(talk.data_to_send() + (after if request is not None else b""))
            await writer.drain()
            if request is not None and close:
                return

    return handler


@pytest.fixture
def asked(served: Callable[..., Any], certificates: Certificates) -> Callable[..., Result]:
    def run(handler: Any, seconds: float = 5.0, alpn: str = "h2", **more: Any) -> Result:
        certificates.context("good")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.folder / "good.pem")
        tls.set_alpn_protocols([alpn])

        async def client(port: int) -> Result:
            url = parse_url(f"https://{NAME}:{port}/a?b")
            return await ask2(Sent(url, address=("127.0.0.1", port), ca=str(certificates.ca_file), **more), seconds)

        result: Result = served(handler, client, tls=tls)
        return result

    return run


def test_an_answer(asked: Callable[..., Result]) -> None:
    got: list[tuple[bytes, bytes]] = []

    def script(talk: h2.connection.H2Connection) -> None:
        talk.send_headers(1, [(":status", "502"), ("server", "envoy"), ("x-a", "ä")])
        talk.send_data(1, b"upstream", end_stream=True)

    fields = (("User-Agent", "x"), ("Connection", "close"), ("Host", "other.test"), ("Cookie", "a=b"))
    attempt, captured = asked(speaker(script, got), fields=fields)
    assert captured is not None
    assert (captured.status, captured.version, captured.reason, captured.body) == (502, "2", "", b"upstream")
    assert captured.fields == (("server", "envoy"), ("x-a", "ä"))
    assert (captured.length, captured.complete, captured.extra) == (8, True, {})
    assert (attempt.status, attempt.cause) == (502, None)
    assert attempt.t_start <= attempt.t_secured <= attempt.t_sent <= attempt.t_head <= attempt.t_end
    sent = dict(got)
    assert (sent[b":path"], sent[b":authority"], sent[b"cookie"]) == (b"/a?b", b"other.test", b"a=b")
    assert b"connection" not in sent


def test_a_coding_is_undone(asked: Callable[..., Result]) -> None:
    def script(body: bytes) -> Script:
        def run(talk: h2.connection.H2Connection) -> None:
            talk.send_headers(1, [(":status", "200"), ("content-encoding", "gzip"), ("content-length", str(len(body)))])
            talk.send_data(1, body, end_stream=True)

        return run

    _, captured = asked(speaker(script(gzip.compress(b"hello" * 50))))
    assert captured is not None
    assert captured.body == b"hello" * 50
    attempt, captured = asked(speaker(script(b"plain")))
    assert captured is not None
    assert (code(attempt), captured.body) == ("content-coding-invalid", b"plain")


def test_an_endless_body_is_cut(asked: Callable[..., Result]) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        talk.initiate_connection()
        begun = False
        for _ in range(5000):
            for event in talk.receive_data(await reader.read(65_536)):
                if isinstance(event, h2.events.RequestReceived):
                    talk.send_headers(1, [(":status", "200")])
                    begun = True
            while begun and talk.local_flow_control_window(1) >= 16_384:
                talk.send_data(1, b"x" * 16_384)
            writer.write(talk.data_to_send())
            await writer.drain()

    attempt, captured = asked(handler, seconds=10.0)
    assert captured is not None
    assert (len(captured.body), attempt.cause) == (BODY_MAX, None)


@pytest.mark.parametrize("answered", [False, True])
def test_a_reset_stream(asked: Callable[..., Result], answered: bool) -> None:
    def script(talk: h2.connection.H2Connection) -> None:
        if answered:
            talk.send_headers(1, [(":status", "200")])
        talk.reset_stream(1, h2.errors.ErrorCodes.INTERNAL_ERROR)

    attempt, captured = asked(speaker(script))
    assert code(attempt) == "http2-error"
    assert attempt.facts is not None
    assert attempt.facts["error"] == "the server reset the stream (INTERNAL_ERROR, 2)"
    assert (captured is not None) == answered
    assert captured is None or (captured.complete, "INTERNAL_ERROR" in captured.extra["http2"]) == (False, True)


def test_a_reset_after_the_whole_answer_is_no_failure(asked: Callable[..., Result]) -> None:
    def script(talk: h2.connection.H2Connection) -> None:
        talk.send_headers(1, [(":status", "413")], end_stream=True)

    attempt, captured = asked(speaker(script, after=b"\x00\x00\x04\x03\x00\x00\x00\x00\x01" + bytes(4)))  # RST_STREAM
    assert captured is not None
    assert (captured.status, code(attempt), captured.extra) == (413, "", {})


def test_goaway(asked: Callable[..., Result]) -> None:
    def error(talk: h2.connection.H2Connection) -> None:
        talk.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=1)

    def not_served(talk: h2.connection.H2Connection) -> None:
        talk.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=0)

    for script, words in ((error, "ENHANCE_YOUR_CALM"), (not_served, "NO_ERROR")):
        attempt, captured = asked(speaker(script))
        assert (code(attempt), captured) == ("http2-error", None)
        assert attempt.facts is not None
        assert words in attempt.facts["error"]


def test_goaway_in_order_before_the_answer(asked: Callable[..., Result]) -> None:
    goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + (1).to_bytes(4, "big") + bytes(4)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        talk.initiate_connection()
        while not any(isinstance(one, h2.events.RequestReceived) for one in talk.receive_data(await reader.read(65_536))):
            pass
        writer.write(talk.data_to_send() + goaway)
        talk.send_headers(1, [(":status", "200")])
        talk.send_data(1, b"last", end_stream=True)
        writer.write(talk.data_to_send())
        await writer.drain()

    attempt, captured = asked(handler)
    assert captured is not None
    assert (captured.body, code(attempt)) == (b"last", "")


def test_silence_and_closing(asked: Callable[..., Result]) -> None:
    def nothing(_: h2.connection.H2Connection) -> None:
        """No answer."""

    def head(talk: h2.connection.H2Connection) -> None:
        talk.send_headers(1, [(":status", "200")])

    assert code(asked(speaker(nothing), seconds=0.5)[0]) == "response-timeout"
    assert code(asked(speaker(head), seconds=0.5)[0]) == "body-stalled"
    assert code(asked(speaker(nothing, close=True))[0]) == "closed-before-answer"
    assert code(asked(speaker(head, close=True))[0]) == "body-truncated"


def test_what_is_no_http2(asked: Callable[..., Result], says: Callable[..., Any]) -> None:
    attempt, captured = asked(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert (code(attempt), captured) == ("http2-error", None)
    attempt, captured = asked(says(b""), alpn="http/1.1")
    assert captured is None
    assert code(attempt) in ("tls-protocol-error", "tls-alert")


def test_a_proxy_that_refuses(served: Callable[..., Any], says: Callable[..., Any]) -> None:
    async def client(port: int) -> Result:
        return await ask2(Sent(parse_url("https://site.test/"), proxy=parse_url(f"http://127.0.0.1:{port}")), 5.0)

    attempt, captured = served(says(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), client)
    assert (captured.status, captured.extra) == (403, {"connect": "403"})
    assert attempt.t_end > attempt.t_start


# nginx.


@pytest.fixture
def nginx(tmp_path: Path, certificates: Certificates) -> Iterator[int]:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("nginx is not installed")
    certificates.context("good")
    port, pem = free_port(), certificates.folder / "good.pem"
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path}; fastcgi_temp_path {tmp_path};
            uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
            server {{
                listen 127.0.0.1:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem};
                location / {{ proxy_pass http://127.0.0.1:9; }}
            }}
        }}""")
    command = [program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            yield port
        finally:
            process.terminate()


def _wait(port: int) -> None:
    import socket

    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail("nginx does not listen")


def test_nginx_answers_its_502_by_http2(nginx: int, certificates: Certificates) -> None:
    sent = Sent(parse_url(f"https://{NAME}:{nginx}/"), address=("127.0.0.1", nginx), ca=str(certificates.ca_file))
    attempt, captured = asyncio.run(ask2(sent, 5.0))
    assert captured is not None
    assert (captured.status, captured.version, code(attempt)) == (502, "2", "")
    assert captured.header("server").startswith("nginx")
    assert b"502 Bad Gateway" in captured.body
    assert captured.length == len(captured.body)
