"""The strict reader of the lab's client: complete, cut, or garbled, in whatever pieces the bytes come."""

import pytest

from headgate.lab.reader import Garbled, ResponseReader


def read(data: bytes, method: str = "GET", step: int = 1) -> ResponseReader:
    reader = ResponseReader(method)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return reader


COMPLETE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", b"abc"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b""),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz", b"z"),
]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize(("data", "body"), COMPLETE)
def test_complete(data: bytes, body: bytes, step: int) -> None:
    reader = read(data, step=step)
    assert reader.complete
    assert bytes(reader.body) == body


def test_details_of_a_response() -> None:
    reader = read(COMPLETE[5][0])
    assert (reader.status, reader.interim, reader.field("Content-Length")) == (200, [103], "1")
    assert read(COMPLETE[2][0]).trailers == ["X-T: 1"]


def test_head_has_no_body() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD").complete


@pytest.mark.parametrize(("data", "_"), COMPLETE)
def test_every_shorter_beginning_is_incomplete(data: bytes, _: bytes) -> None:
    for end in range(len(data)):
        reader = read(data[:end], step=1000)
        assert not reader.complete
        assert not reader.eof()


def test_without_a_length_the_close_completes() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not reader.complete
    assert reader.eof()
    assert bytes(reader.body) == b"abc"


def test_bytes_beyond_the_response_are_kept() -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1", step=1000)
    assert reader.complete
    assert bytes(reader.rest) == b"HTTP/1.1"


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
    ],
)
def test_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        read(data)
