"""Owns where heads begin and end in a stream of bytes."""


def skip_empty_lines(buffer: bytes, start: int = 0) -> int:
    """Return where the first line that is not empty begins: old clients send CRLF after a body (RFC 9112 2.2)."""
    while buffer.startswith(b"\r\n", start):
        start += 2
    return start


def find_head_end(buffer: bytes, start: int = 0) -> int:
    """Return where the head that begins at `start` ends, just behind the CRLF of its last line; -1 when it is incomplete.

    The head is `buffer[start:end]`, an empty line follows, and the body begins at `end + 2`.
    """
    end = buffer.find(b"\r\n\r\n", start)
    return end + 2 if end >= 0 else -1
