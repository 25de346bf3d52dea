"""Owns one HTTP/2 request of the probe, framed by the h2 library: over TLS, where the server offers it."""

import asyncio
import time
from dataclasses import replace
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from ..diagnose.captured import BODY_MAX, Captured, lower
from ..diagnose.catalogue import catalogue
from ..model import signals as s
from ..model.exchange import NEVER, Attempt
from ..model.phases import BODY, HEAD, SEND, TLS
from ..net.failing import Broken, fail, late, of_stream
from ..net.streams import Link, Refusal
from .answer import decoded
from .frames import FrameFilter, NotFrames
from .request import Sent, open_link, refused

_READ: Final = 65_536
_STREAM: Final = 1
_OF_CONNECTION: Final = frozenset({"connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})


class _Answer:
    """What came so far."""

    def __init__(self) -> None:
        self.fields: tuple[tuple[str, str], ...] = ()
        self.status = 0
        self.body = b""
        self.received = 0
        self.done = False
        self.error = ""  # how the server ended the stream or the connection


async def ask2(sent: Sent, seconds: float) -> tuple[Attempt, Captured | None]:
    """Send one request by HTTP/2 and read its answer, within `seconds`. What fails stands in the attempt, with its cause."""
    begun = time.monotonic()
    end = begun + seconds
    attempt = Attempt("", sent.url.text, begun)
    answer = _Answer()
    link: Link | None = None
    try:
        link = await open_link(replace(sent, alpn=("h2",)), attempt, end)
        if link.tls is None or link.tls.selected_alpn_protocol() != "h2":
            raise Broken(
                TLS, s.TLS_PROTOCOL, {"tls_reason": "NO_APPLICATION_PROTOCOL", "error": "the server does not offer HTTP/2"}
            )
        await _exchange(sent, attempt, link, end, answer)
    except Broken as broken:
        fail(attempt, broken)
    except Refusal as refusal:
        return attempt, refused(sent, attempt, refusal)
    finally:
        if link is not None:
            await link.close()
    if attempt.t_end == NEVER:
        attempt.t_end = time.monotonic()
    return attempt, _captured(sent, attempt, answer, begun)


async def _exchange(sent: Sent, attempt: Attempt, link: Link, end: float, answer: _Answer) -> None:
    talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    talk.local_settings = h2.settings.Settings(client=True, initial_values={h2.settings.SettingCodes.ENABLE_PUSH: 0})
    talk.initiate_connection()
    talk.send_headers(_STREAM, _head(sent), end_stream=True)
    await _write(talk, attempt, link)
    attempt.t_sent = time.monotonic()
    attempt.phase = HEAD
    frames = FrameFilter(_STREAM)
    while not answer.done:
        data = await _more(attempt, link, end)
        if not data:
            raise _unanswered(attempt, Broken(attempt.phase, s.EOF))
        try:
            for event in talk.receive_data(frames.feed(data)):
                _take(event, attempt, answer, talk)
        except (h2.exceptions.ProtocolError, NotFrames) as error:
            _broke(attempt, f"the server broke HTTP/2: {error}")
            return
        await _write(talk, attempt, link)
    if answer.error:
        _broke(attempt, answer.error)


def _head(sent: Sent) -> list[tuple[str, str]]:
    """Return the request's fields; Host goes into :authority, fields of the connection stay out (RFC 9113 8.2.2)."""
    given = [(name.lower(), value) for name, value in sent.fields]
    host = next((value for name, value in given if name == "host"), sent.url.authority)
    head = [(":method", sent.method), (":scheme", "https"), (":authority", host), (":path", sent.url.target)]
    return [*head, *(pair for pair in given if pair[0] not in _OF_CONNECTION)]


def _take(event: h2.events.Event, attempt: Attempt, answer: _Answer, talk: h2.connection.H2Connection) -> None:
    if isinstance(event, h2.events.ResponseReceived):
        attempt.t_head = time.monotonic()
        attempt.phase = BODY
        pairs = [(_text(name), _text(value)) for name, value in event.headers or ()]
        status = dict(pairs).get(":status", "0")
        answer.status = attempt.status = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 0
        answer.fields = lower(pair for pair in pairs if not pair[0].startswith(":"))
    elif isinstance(event, h2.events.DataReceived):
        answer.received += len(event.data or b"")
        answer.body = (answer.body + (event.data or b""))[:BODY_MAX]
        talk.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
        answer.done = answer.received > 4 * BODY_MAX
    elif isinstance(event, h2.events.StreamEnded):
        answer.done = True
    elif isinstance(event, h2.events.StreamReset):
        if not answer.done:  # after the answer's end it only says that the rest of the request is not wanted
            answer.done, answer.error = True, f"the server reset the stream ({_code(event.error_code)})"
    elif isinstance(event, h2.events.ConnectionTerminated) and not answer.done:
        answer.done, answer.error = True, f"the server ended the connection (GOAWAY, {_code(event.error_code)})"


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _code(code: object) -> str:
    """Return an error code by name and number: "INTERNAL_ERROR, 2"."""
    number = int(code) if isinstance(code, int) else 0
    return f"{code.name}, {number}" if isinstance(code, h2.errors.ErrorCodes) else f"error {number}"


async def _write(talk: h2.connection.H2Connection, attempt: Attempt, link: Link) -> None:
    data = talk.data_to_send()
    if not data:
        return
    try:
        link.writer.write(data)
        await link.writer.drain()
    except OSError as error:
        raise of_stream(error, SEND) from None
    attempt.sent += len(data)


async def _more(attempt: Attempt, link: Link, end: float) -> bytes:
    try:
        async with asyncio.timeout(max(0.0, end - time.monotonic())):
            data = await link.reader.read(_READ)
    except TimeoutError:
        raise _unanswered(attempt, late(attempt.phase, end - attempt.t_start)) from None
    except OSError as error:
        raise _unanswered(attempt, of_stream(error, attempt.phase)) from None
    if data and attempt.t_first == NEVER:
        attempt.t_first = time.monotonic()
    attempt.received += len(data)
    return data


def _unanswered(attempt: Attempt, broken: Broken) -> Broken:
    """Settings and the like are no part of an answer: until its head comes, nothing has come."""
    if broken.phase == HEAD:
        broken.facts["untouched"] = True
    return broken


def _broke(attempt: Attempt, error: str) -> None:
    """HTTP/2 itself broke down; the waist has no signal for it, since the gateway does not speak HTTP/2 yet."""
    attempt.signal, attempt.facts, attempt.t_end = s.MALFORMED, {"error": error}, time.monotonic()
    attempt.cause = catalogue()["http2-error"]


def _captured(sent: Sent, attempt: Attempt, answer: _Answer, begun: float) -> Captured | None:
    if not answer.status:
        return None
    fields = dict(answer.fields)
    announced = fields.get("content-length", "")
    known = announced.isascii() and announced.isdigit() and len(announced) < 16
    body = decoded(attempt, answer.body, fields.get("content-encoding", ""))
    extra = {"http2": answer.error} if answer.error else {}
    return Captured(
        answer.status, "", "2", answer.fields, body,
        int(announced) if known else answer.received, attempt.t_head - begun, sent.url.text, attempt.signal is None, extra=extra,
    )  # fmt: skip
