import pytest

from headgate.wire.chunks import ChunkReader
from headgate.wire.limits import WireLimits
from headgate.wire.refusal import Refused
from headgate.wire.write import LAST_CHUNK, chunk, last_chunk

LIMITS = WireLimits()
pytestmark = pytest.mark.usefixtures("implementation")

LEGAL = [
    (b"0\r\n\r\n", b"", b"", b""),
    (b"000\r\n\r\n", b"", b"", b""),
    (b"5\r\nhello\r\n0\r\n\r\nrest", b"hello", b"", b"rest"),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789", b"", b""),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", b"", b""),
    (b"2\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", b"\r\n0\r", b"", b""),
    (b'5;a;b=c;d="e \\" f";g=""\r\nhello\r\n0;x\r\n\r\n', b"hello", b"", b""),
    (b"1\r\nx\r\n0\r\nA: b\r\nc:\td \r\n\r\n\r\n", b"x", b"A: b\r\nc:\td \r\n", b"\r\n"),
    (b"0\r\nA: b\r\nHost: x\r\ncontent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: A\r\n\r\n", b"", b"A: b\r\n", b""),
    (b"0\r\nSet-Cookie: a\r\nX-Forwarded-For: 1\r\ncontent_length: 5\r\nGrpc-Status: 0\r\n\r\n", b"", b"Grpc-Status: 0\r\n", b""),
]

ILLEGAL = [
    ("chunk-size", b"@@\r\n\r\n"),
    ("chunk-size", b"@@ 5\r\nhello\r\n"),
    ("chunk-size", b"@@+5\r\nhello\r\n"),
    ("chunk-size", b"@@-5\r\nhello\r\n"),
    ("chunk-size", b"0@@x5\r\nhello\r\n"),
    ("chunk-size", b"5@@_0\r\nhello\r\n"),
    ("chunk-size", b"@@g\r\n"),
    ("chunk-size", b"@@;a=b\r\n"),
    ("chunk-size", b"5@@\nhello\r\n0\r\n\r\n"),
    ("chunk-size", b"5@@\rhello\r\n0\r\n\r\n"),
    ("chunk-size", b"5@@\r\r\nhello"),
    ("chunk-size", b"5@@\0\r\nhello"),
    ("chunk-size", b"1234567890abcdef@@0\r\n"),
    ("chunk-size", b"0000000000000000@@5\r\nhello\r\n"),
    ("chunk-size", b"ffffffffffffffff@@f\r\n"),
    ("chunk-extension", b"5@@ \r\nhello\r\n"),
    ("chunk-extension", b"5@@\t\r\nhello\r\n"),
    ("chunk-extension", b"5@@ ;ext\r\nhello\r\n"),
    ("chunk-extension", b"5@@; ext\r\nhello\r\n"),
    ("chunk-extension", b"5@@;\r\nhello\r\n"),
    ("chunk-extension", b"5@@;a=\r\nhello\r\n"),
    ("chunk-extension", b'5@@;a="b\r\nhello\r\n'),
    ("chunk-extension", b"5@@;a=b c\r\nhello\r\n"),
    ("chunk-extension", b"5@@;a\rb\r\nhello\r\n"),
    ("chunk-extension", b"5@@;a\0\r\nhello\r\n"),
    ("chunk-extension", b"5;a@@\nhello\r\n0\r\n\r\n"),
    ("chunk-extension", b"5;@@\n"),
    ("chunk-extension", b"5@@;" + b"a" * 1500 + b"\r\nhello\r\n"),
    ("chunk-ending", b"5\r\nhello@@\n0\r\n\r\n"),
    ("chunk-ending", b"5\r\nhello@@0\r\n\r\n"),
    ("chunk-ending", b"5\r\nhello@@!\r\n0\r\n\r\n"),
    ("chunk-ending", b"5\r\nhello\r@@0\r\n\r\n"),
    ("chunk-ending", b"3\r\nhel@@lo\r\n0\r\n\r\n"),
    ("trailer-name", b"0\r\n@@: a\r\n\r\n"),
    ("trailer-name", b"0\r\nA@@ : a\r\n\r\n"),
    ("trailer-name", b"0\r\nA: b\r\nB@@\r\n\r\n"),
    ("trailer-name", b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".replace(b"GET ", b"GET@@ ")),
    ("trailer-value", b"0\r\nA: @@\0\r\n\r\n"),
    ("bare-lf", b"0\r\n@@\n"),
    ("bare-lf", b"0\r\nA: b@@\n\r\n"),
    ("bare-lf", b"0\r\nA b@@\n: c\r\n\r\n"),
    ("bare-cr", b"0\r\n@@\rA: b\r\n\r\n"),
    ("bare-cr", b"0\r\nA: b@@\rc\r\n\r\n"),
    ("obs-fold", b"0\r\nA: b\r\n@@ c\r\n\r\n"),
]


def feed(reader: ChunkReader, stream: bytes, size: int) -> bytes:
    """Feed the stream in pieces of this size. Return the payload."""
    return b"".join(reader.feed(stream[at : at + size]) for at in range(0, len(stream), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(("stream", "payload", "trailers", "rest"), LEGAL)
def test_legal_bodies_in_pieces(stream: bytes, payload: bytes, trailers: bytes, rest: bytes, size: int) -> None:
    reader = ChunkReader(LIMITS)
    assert feed(reader, stream, size) == payload
    assert reader.done
    assert (reader.trailers, reader.rest, reader.received) == (trailers, rest, len(payload))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(("rule", "marked"), ILLEGAL)
def test_illegal_bodies_are_blamed_at_the_same_byte_in_whatever_pieces(rule: str, marked: bytes, size: int) -> None:
    stream = marked.replace(b"@@", b"")
    reader = ChunkReader(LIMITS)
    with pytest.raises(Refused) as caught:
        feed(reader, stream, size)
    facts = caught.value.facts
    assert (caught.value.kind, facts["rule"], facts["offset"]) == ("malformed", rule, marked.index(b"@@"))
    assert caught.value.facts["excerpt"] in stream


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("limits", "prefix", "stream", "limit", "value"),
    [
        (WireLimits(trailer_line_bytes=10), "response", b"0\r\nA: 123\r\nB: 12345678\r\n\r\n", "response_trailer_line_bytes", 10),
        (WireLimits(trailer_line_bytes=10), "request", b"0\r\nA: 12345678", "request_trailer_line_bytes", 10),
        (WireLimits(trailer_bytes=20), "response", b"0\r\nA: 123456\r\nB: 1234567\r\n\r\n", "response_trailer_bytes", 20),
        (WireLimits(trailer_bytes=20), "request", b"0\r\nA: 123456789012345678", "request_trailer_bytes", 20),
    ],
)
def test_trailers_have_limits(limits: WireLimits, prefix: str, stream: bytes, limit: str, value: int, size: int) -> None:
    reader = ChunkReader(limits, prefix)
    with pytest.raises(Refused) as caught:
        feed(reader, stream, size)
    assert caught.value.kind == "too-large"
    assert (caught.value.facts["limit"], caught.value.facts["limit_value"]) == (limit, value)
    assert caught.value.facts["seen"] > value


def test_trailers_within_their_limits_pass() -> None:
    reader = ChunkReader(WireLimits(trailer_line_bytes=9, trailer_bytes=22))
    reader.feed(b"0\r\nA: 123456\r\nB: 123456\r\n\r\n")
    assert reader.done


def test_a_bare_lf_is_blamed_before_the_line_is_too_long() -> None:
    for size in (1, 10_000):
        reader = ChunkReader(WireLimits(trailer_line_bytes=10))
        with pytest.raises(Refused) as caught:
            feed(reader, b"0\r\nA\n" + b"b" * 20 + b"\r\n\r\n", size)
        assert (caught.value.facts["rule"], caught.value.facts["offset"]) == ("bare-lf", 4)


def test_a_large_chunk_passes_through_piece_by_piece_without_being_kept() -> None:
    reader = ChunkReader(LIMITS)
    assert reader.feed(b"7fffffffffffffff\r\n") == b""
    piece = b"x" * 1000
    assert all(reader.feed(piece) is piece for _ in range(10))
    assert (reader.received, reader.done) == (10_000, False)


def test_an_incomplete_body_is_not_done() -> None:
    for end in range(len(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")):
        reader = ChunkReader(LIMITS)
        reader.feed(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"[:end])
        assert not reader.done


def test_what_comes_after_the_end_is_kept_apart() -> None:
    reader = ChunkReader(LIMITS)
    assert reader.feed(b"0\r\n\r\nGET") == b""
    assert reader.feed(b" /") == b""
    assert reader.rest == b"GET /"


def test_what_we_write_is_what_we_read() -> None:
    stream = chunk(b"hello") + chunk(b"") + chunk(b"x" * 300) + LAST_CHUNK + chunk(b"y") + last_chunk(b"A: b\r\n")
    reader = ChunkReader(LIMITS)
    assert reader.feed(stream) == b"hello" + b"x" * 300
    second = ChunkReader(LIMITS)
    assert second.feed(reader.rest) == b"y"
    assert (second.done, second.trailers, second.rest) == (True, b"A: b\r\n", b"")
