"""Known smuggling payloads: each is refused, or read and passed on in a form that has one reading only.

In every one of them a lenient reader finds a request for /admin that a strict one does not.
"""

import h11
import pytest

from headgate.wire.chunks import ChunkReader
from headgate.wire.framing import CHUNKED
from headgate.wire.heads import find_head_end, skip_empty_lines
from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.request import read_request_head

LIMITS = WireLimits()
ADMIN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
START = b"POST / HTTP/1.1\r\nHost: a\r\n"
pytestmark = pytest.mark.usefixtures("implementation")


def chunked_body(hidden: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)


def requests(stream: bytes) -> list[bytes]:
    """Return the paths of the requests in the stream. Raises Refused at the first illegal one."""
    paths = []
    at = skip_empty_lines(stream)
    while at < len(stream):
        end = find_head_end(stream, at)
        assert end >= 0
        head = read_request_head(stream[at:end], LIMITS)
        paths.append(head.path)
        if head.length == CHUNKED:
            reader = ChunkReader(LIMITS, "request")
            reader.feed(stream[end + 2 :])
            assert reader.done
            at = len(stream) - len(reader.rest)
        else:
            at = end + 2 + head.length
        at = skip_empty_lines(stream, at)
    return paths


LENGTH_AND_CODING = [
    b"Content-Length: %d\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: %d",
    b"Content-Length: %d\r\nTransfer-Encoding: xchunked",
    b"Content-Length: %d\r\nTransfer-Encoding: identity",
    b"Content-Length: %d\r\nTransfer-Encoding : chunked",
    b"Content-Length: %d\r\nTransfer-Encoding\t: chunked",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Content-Length: %d\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Content-Length: %d\r\nTransfer-Encoding:\tchunked",
    b"Content-Length: %d\r\nTransfer-Encoding:\x0bchunked",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\x0b",
    b"Content-Length: %d\r\nTransfer-Encoding: \x00chunked",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\x00",
    b"Content-Length: %d\r\nTransfer-Encoding: \xffchunked",
    b'Content-Length: %d\r\nTransfer-Encoding: "chunked"',
    b"Content-Length: %d\r\nTransfer-Encoding: 'chunked'",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked, cow",
    b"Content-Length: %d\r\nTransfer-Encoding: cow, chunked",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked;x=y",
    b"Content-Length: %d\r\nTransfer-Encoding:\r\n chunked",
    b"Content-Length: %d\r\nX: x\r\n Transfer-Encoding: chunked",
    b"Content-Length: %d\r\nX: x\nTransfer-Encoding: chunked",
    b"Content-Length: %d\r\nX: x\rTransfer-Encoding: chunked",
    b"Content-Length: %d\r\nX: x\r\r\nTransfer-Encoding: chunked",
    b"Content-Length: %d\r\n\rTransfer-Encoding: chunked",
    b"Content-Length: %d\r\n Transfer-Encoding: chunked",
    b"Content-Length: %d\r\n\x00Transfer-Encoding: chunked",
    b"Content-Length: %d\r\nTransfer-Encoding\x00: chunked",
    b"Content-Length: %d\r\nTransfer\xadEncoding: chunked",
    b"Content-Length: %d\r\nTransfer Encoding: chunked",
    b"Content-Length: %d\r\nTransfer-\r\nEncoding: chunked",
    b"Content-Length: %d\r\nTRANSFER-ENCODING: CHUNKED",
    b"Content-Length: %d\nTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("fields", LENGTH_AND_CODING)
def test_a_length_beside_anything_like_a_coding(fields: bytes) -> None:
    body = b"0\r\n\r\n" + ADMIN
    with pytest.raises(Refused):
        requests(START + fields % len(body) + b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 0\r\nContent-Length: %d",
        b"Content-Length: %d\r\nContent-Length: 0",
        b"Content-Length: 0, %d",
        b"Content-Length: +%d",
        b"Content-Length: -0\r\nX: %d",
        b"Content-Length: 0x%x",
        b"Content-Length: %d.0",
        b"Content-Length: %d e",
        b"Content-Length: \xa0%d",
        b"Content-Length: \x0c%d",
        b"Content-Length : %d",
        b"Content-Length\x00: %d",
        b" Content-Length: %d",
        b"X: y\n\nContent-Length: %d",
        b"Content-Length:\r\n %d",
        b"Content-Length: 1844674407370955161%d",
    ],
)
def test_lengths_of_two_readings(fields: bytes) -> None:
    with pytest.raises(Refused):
        requests(START + fields % len(ADMIN) + b"\r\n\r\n" + ADMIN)


@pytest.mark.parametrize(
    "body",
    [
        b"0x0\r\n\r\n" + ADMIN,
        b"0 \r\n\r\n" + ADMIN,
        b"0\n\n" + ADMIN,
        b"0\r\n\n" + ADMIN,
        b"+0\r\n\r\n" + ADMIN,
        b"-1\r\n\r\n" + ADMIN,
        b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
        b"5 ;ext\r\nhello\r\n0\r\n\r\n" + ADMIN,
        b"2;\nxx\r\n" + chunked_body(ADMIN),
        b"2;x\n\r\nxx\r\n0\r\n\r\n" + ADMIN,
        b"2;\rxx\r\n0\r\n\r\n" + ADMIN,
        b"2\r\nxxxx\r\n0\r\n\r\n" + ADMIN,
        b"2\r\nxx\n0\r\n\r\n" + ADMIN,
        b"2\r\nxxXX0\r\n\r\n" + ADMIN,
        b"10000000000000000\r\n\r\n" + ADMIN,
        b"10000000000000005\r\nhello\r\n0\r\n\r\n" + ADMIN,
        b"f" * 40 + b"\r\n" + ADMIN,
        b"0\r\nX: y\n\r\n" + ADMIN,
        b"0\r\n : y\r\n\r\n" + ADMIN,
        b"0\r\n" + ADMIN,
    ],
)
def test_chunks_of_two_readings(body: bytes) -> None:
    with pytest.raises(Refused):
        requests(START + b"Transfer-Encoding: chunked\r\n\r\n" + body)


@pytest.mark.parametrize(
    "stream",
    [
        START + b"Content-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Content-Length: %d\r\nContent_Length: 0\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Content-Length: %d\r\nTransfer_Encoding: chunked\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Content-Length: %d\r\nX: Transfer-Encoding: chunked\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (len(ADMIN), len(ADMIN)) + ADMIN,
        START + b"Content-Length: %d\r\nConnection: Content-Length\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Content-Length: %d\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" % len(ADMIN) + ADMIN,
        START + b"Transfer-Encoding: chunked\r\n\r\n" + chunked_body(ADMIN),
        START + b"Transfer-Encoding:\tCHUNKED \r\nTransfer_Encoding: x\r\n\r\n" + chunked_body(ADMIN),
        START + b"Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n\r\n" + chunked_body(ADMIN),
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ADMIN) + ADMIN,
        b"\r\n\r\nGET /?x=HTTP/1.1\\r\\n HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    ],
)
def test_what_is_accepted_hides_nothing(stream: bytes) -> None:
    """There is one request, and what goes on of it frames nothing: the gateway writes the one framing field itself."""
    assert requests(stream) == [b"/"]
    at = skip_empty_lines(stream)
    head = read_request_head(stream[at : find_head_end(stream, at)], LIMITS)
    assert head.upgrade == b""
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\n" + head.forward + b"\r\n")
    event = reader.next_event()
    assert isinstance(event, h11.Request)
    names = {name.replace(b"_", b"-") for name, _ in event.headers}
    assert not names & {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
