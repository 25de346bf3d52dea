import pytest

from headgate.wire.heads import find_head_end, skip_empty_lines


@pytest.mark.parametrize(
    ("buffer", "start", "end"),
    [
        (b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody", 0, 22),
        (b"xxGET / HTTP/1.1\r\nA: b\r\n\r\n", 2, 24),
        (b"HTTP/1.1 200\r\n\r\n", 0, 14),
        (b"GET / HTTP/1.1\r\nA: b\r\n\r", 0, -1),
        (b"GET / HTTP/1.1\nA: b\n\n", 0, -1),
        (b"", 0, -1),
    ],
)
def test_a_head_ends_behind_the_crlf_of_its_last_line(buffer: bytes, start: int, end: int) -> None:
    assert find_head_end(buffer, start) == end


@pytest.mark.parametrize(
    ("buffer", "start", "begin"),
    [(b"", 0, 0), (b"GET", 0, 0), (b"\r\n\r\nGET", 0, 4), (b"x\r\nG", 1, 3), (b"\r", 0, 0), (b"\n", 0, 0), (b"\r\n\r", 0, 2)],
)
def test_empty_lines_before_a_request_are_skipped(buffer: bytes, start: int, begin: int) -> None:
    assert skip_empty_lines(buffer, start) == begin
