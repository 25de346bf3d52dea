import pytest

from headgate.wire.limits import WireLimits
from headgate.wire.response import read_response_head
from headgate.wire.write import STATUS_LINES, chunk, content_length, field, last_chunk, status_line, upgrade_lines


@pytest.mark.parametrize("status", STATUS_LINES)
def test_our_status_lines_are_legal(status: int) -> None:
    head = read_response_head(STATUS_LINES[status], b"GET", WireLimits())
    assert head.status == status
    assert status_line(head.reason_line) == STATUS_LINES[status]


def test_the_forms() -> None:
    assert STATUS_LINES[502] == b"HTTP/1.1 502 Bad Gateway\r\n"
    assert STATUS_LINES[413] == b"HTTP/1.1 413 Content Too Large\r\n"
    assert field(b"A", b"b") == b"A: b\r\n"
    assert content_length(0) == b"Content-Length: 0\r\n"
    assert upgrade_lines(b"websocket") == b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk(b"A: b\r\n") == b"0\r\nA: b\r\n\r\n"
    assert last_chunk(b"") == b"0\r\n\r\n"
