"""What we accept, h11 and llhttp accept too, with the same method, target, framing and split between messages.

Both are asked about mutations of messages that were chosen to be close to ambiguous. Where they disagree with us on purpose, the
difference is named with its reason; but what we send on is compared without such exceptions.
"""

import os
import re
from collections.abc import Callable
from typing import NamedTuple

import h11
import httptools
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headgate.wire.chunks import ChunkReader
from headgate.wire.framing import CHUNKED, UNTIL_CLOSE
from headgate.wire.heads import find_head_end
from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.request import RequestHead, read_request_head
from headgate.wire.response import ResponseHead, read_response_head
from headgate.wire.write import CHUNKED_LINE, LAST_CHUNK, chunk, content_length, field, status_line, upgrade_lines

LIMITS = WireLimits()
LLHTTP_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PURGE", b"REPORT", b"LINK")

pytestmark = pytest.mark.usefixtures("implementation")
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "300")),
    derandomize="FUZZ" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same examples in every run; FUZZ=10000 in the environment tries other ones."""


class Message(NamedTuple):
    """What a reader saw: method and target, or status; the body; and what stands behind the message."""

    first: tuple[bytes, ...]
    body: bytes
    rest: bytes


def read_body(length: int, data: bytes) -> tuple[bytes, bytes] | None:
    """Return our reader's body and rest; None when the body is incomplete. Raises Refused."""
    if length == CHUNKED:
        reader = ChunkReader(LIMITS)
        body = reader.feed(data)
        return (body, reader.rest) if reader.done else None
    if length == UNTIL_CLOSE:
        return data, b""
    return (data[:length], data[length:]) if len(data) >= length else None


def ours_request(stream: bytes) -> tuple[RequestHead, Message] | None:
    end = find_head_end(stream)
    if end < 0:
        return None
    try:
        head = read_request_head(stream[:end], LIMITS)
        body = read_body(head.length, stream[end + 2 :])
    except Refused:
        return None
    return (head, Message((head.method, head.target), *body)) if body else None


def ours_response(stream: bytes) -> tuple[ResponseHead, Message] | None:
    end = find_head_end(stream)
    if end < 0:
        return None
    try:
        head = read_response_head(stream[:end], b"GET", LIMITS)
        body = read_body(head.length, stream[end + 2 :]) if head.status >= 200 else None
    except Refused:
        return None
    return (head, Message((b"%d" % head.status,), *body)) if body else None


def h11_client() -> h11.Connection:
    """Return a client that has sent GET."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    return connection


def h11_message(connection: h11.Connection, stream: bytes, *, closed: bool = False) -> Message | str:
    """Return the first message that h11 reads, or why it does not; closed: the stream ends behind these bytes."""
    connection.receive_data(stream)
    if closed:
        connection.receive_data(b"")
    first, body = (), b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                first = (bytes(event.method), bytes(event.target))
            elif isinstance(event, h11.Response):
                first = (b"%d" % event.status_code,)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Message(first, body, bytes(connection.trailing_data[0]))
            else:
                return f"stopped: {event}"
    except h11.RemoteProtocolError as error:
        return str(error)


class Llhttp:
    """Callbacks of httptools: keeps the first message."""

    def __init__(self, parser: Callable) -> None:
        self.parser = parser(self)
        self.url = self.body = b""
        self.message: Message | None = None

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert self.message is None, "llhttp found two messages in one"
        request = hasattr(self.parser, "get_method")
        first = (self.parser.get_method(), self.url) if request else (b"%d" % self.parser.get_status_code(),)
        self.message = Message(first, self.body, b"")


def llhttp_message(parser: Callable, stream: bytes) -> tuple[Message | None, str]:
    """Return the message that llhttp reads, and why it stopped, "" when it did not."""
    seen = Llhttp(parser)
    try:
        seen.parser.feed_data(stream)
    except httptools.HttpParserUpgrade:
        pass  # the message is complete all the same
    except httptools.HttpParserError as error:
        return seen.message, str(error)
    return seen.message, ""


FRAMING = [
    b"Content-Length: 5", b"Content-Length: 0", b"content-length: 5", b"Content-Length: 5, 5", b"Content-Length:5 ",
    b"Content-Length: +5", b"Content-Length: 0x5", b"Content-Length: 05", b"Content-Length: 6", b"Content-Length: ",
    b"Content_Length: 3", b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked", b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: chunked;q=1", b"Transfer_Encoding: chunked", b"X: Transfer-Encoding: chunked",
    b"X: 1\n\rTransfer-Encoding: chunked", b"Foo\r\n Transfer-Encoding: chunked",
]  # fmt: skip
PLAIN = [
    b"Host: a", b"host: B:80", b"Accept: */*", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue",
    b"X: \xe9\xff", b"X_Y: 1", b"Trailer: A", b"X:", b"Via: 1.1 x", b"Upgrade: websocket", b"Connection: Upgrade",
    b"Connection: x", b"TE: trailers",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"05\r\nhello\r\n000\r\n\r\n", b"5\nhello\n0\n\n", b"5 \r\nhello\r\n0\r\n\r\n", b"0\r\nHost: x\r\n\r\n",
    b"1\r\nZ\r\nQ\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n",
]  # fmt: skip
NEXT = [b"", b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n", b"G", b"\r\n"]
OCTETS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b":",
    b",",
    b";",
    b"0",
    b"x",
    b"\x7f",
    b"\x85",
    b"\xff",
    b"-",
    b"_",
]

lines = st.lists(st.sampled_from(FRAMING) | st.sampled_from(PLAIN), max_size=5)


@st.composite
def mutations(draw: st.DrawFn, stream: bytes) -> bytes:
    """Insert, replace or delete a few octets, mostly in the head; or change the case of a letter."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(stream) - 1)))
        kind = draw(st.sampled_from(["insert", "replace", "delete", "case"]))
        if kind == "case":
            stream = stream[:at] + stream[at : at + 1].swapcase() + stream[at + 1 :]
        else:
            octet = b"" if kind == "delete" else draw(st.sampled_from(OCTETS))
            stream = stream[:at] + octet + stream[at + (kind != "insert") :]
    return stream


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PURGE"]))
    target = draw(st.sampled_from([b"/", b"/a?b=c", b"http://h/x", b"*", b"/a/../b", b"//x", b"/%2e%2e/"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2"]))
    fields = [b"Host: a", *draw(lines)]
    head = b"\r\n".join([method + b" " + target + b" " + version, *fields, b"", b""])
    return draw(mutations(head + draw(st.sampled_from(BODIES)))) + draw(st.sampled_from(NEXT))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    version = draw(st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.1 ", b"HTTP/1.0 "]))
    status = draw(st.sampled_from([b"200 OK", b"404 ", b"204 x", b"304 x", b"200"]))
    head = b"\r\n".join([version + status, *draw(lines), b"", b""])
    return draw(mutations(head + draw(st.sampled_from(BODIES)))) + draw(st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n\r\n"]))


def canonical_request(head: RequestHead, body: bytes) -> bytes:
    """Return the request as the gateway sends it on."""
    fields = head.forward
    if head.upgrade:
        fields += upgrade_lines(head.upgrade)
    line = head.method + b" " + head.forward_target + b" HTTP/1.1\r\n" + field(b"Host", head.host or b"default")
    return line + fields + _framed(head.length, head.length, body)


def canonical_response(head: ResponseHead, body: bytes) -> bytes:
    """Return the response as the gateway passes it on to an HTTP/1.1 client; a body until close goes on in chunks."""
    length = CHUNKED if head.length == UNTIL_CLOSE else head.length
    return status_line(head.reason_line) + head.forward + _framed(length, head.announced, body)


def _framed(length: int, announced: int, body: bytes) -> bytes:
    if length == CHUNKED:
        return CHUNKED_LINE + b"\r\n" + chunk(body) + LAST_CHUNK
    return (content_length(announced) if announced >= 0 else b"") + b"\r\n" + body


REPEATED_LENGTH = ("Invalid character in Content-Length", "Duplicate Content-Length")
"""Equal lengths are one length (RFC 9112 6.3 item 5), and one goes on. llhttp refuses them."""


def llhttp_differs(stream: bytes, method: bytes, error: str) -> bool:
    """Return whether llhttp is known to refuse what we accept. What we send on is compared without these exceptions."""
    if method not in LLHTTP_METHODS:
        return True  # RFC 9110 16.1: methods are an open set; llhttp knows a list
    if re.match(rb"[A-Z]+ [^ ]+ HTTP/1[.][2-9]\r", stream):
        return True  # RFC 9110 2.5: read as 1.1, and 1.1 goes on
    return error in REPEATED_LENGTH


@given(requests())
@fuzz
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET")
def test_requests(stream: bytes) -> None:
    found = ours_request(stream)
    if found is None:
        return
    _, ours = found
    assert h11_message(h11.Connection(h11.SERVER), stream) == ours
    theirs, error = llhttp_message(httptools.HttpRequestParser, stream[: len(stream) - len(ours.rest)])
    assert theirs == ours._replace(rest=b"") or llhttp_differs(stream, ours.first[0], error), error


@given(requests())
@fuzz
@example(b"POST /a/../b HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nVia: x\r\n\r\nhelloGET")
def test_requests_as_they_go_on(stream: bytes) -> None:
    found = ours_request(stream)
    if found is None:
        return
    head, ours = found
    sent = canonical_request(head, ours.body)
    again = ours_request(sent + b"NEXT")
    assert again is not None
    for name in ("method", "forward_target", "path", "length", "upgrade", "forward"):
        assert getattr(again[0], name) == getattr(head, name)
    expected = Message((head.method, head.forward_target), ours.body, b"NEXT")
    assert again[1] == expected
    assert h11_message(h11.Connection(h11.SERVER), sent + b"NEXT") == expected
    if head.method in LLHTTP_METHODS:
        theirs, error = llhttp_message(httptools.HttpRequestParser, sent)
        assert theirs == expected._replace(rest=b""), error


@given(responses())
@fuzz
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP")
def test_responses(stream: bytes) -> None:
    found = ours_response(stream)
    if found is None:
        return
    head, ours = found
    assert h11_message(h11_client(), stream, closed=head.length == UNTIL_CLOSE) == ours
    theirs, error = llhttp_message(httptools.HttpResponseParser, stream[: len(stream) - len(ours.rest)])
    if head.length == UNTIL_CLOSE and theirs is None and not error:
        return  # httptools cannot be told that the connection was closed
    if theirs is None and not error and b"chunked\t" in stream.lower():
        return  # llhttp does not strip a tab behind a transfer coding, and reads until close; "chunked" goes on
    assert theirs == ours._replace(rest=b"") or error in REPEATED_LENGTH, error


@given(responses())
@fuzz
@example(b"HTTP/1.0 200\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello")
def test_responses_as_they_go_on(stream: bytes) -> None:
    found = ours_response(stream)
    if found is None:
        return
    head, ours = found
    sent = canonical_response(head, ours.body)
    again = ours_response(sent + b"NEXT")
    assert again is not None
    assert (again[0].status, again[0].reason_line, again[0].forward) == (head.status, head.reason_line, head.forward)
    expected = ours._replace(rest=b"NEXT")
    assert again[1] == expected
    assert h11_message(h11_client(), sent + b"NEXT") == expected
    theirs, error = llhttp_message(httptools.HttpResponseParser, sent)
    assert theirs == expected._replace(rest=b""), error
