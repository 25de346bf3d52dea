"""Frames pass in whatever pieces they come; a goodbye in order does not, and what is no frame is named."""

import pytest

from headgate.probe.frames import FrameFilter, NotFrames


def frame(kind: int, payload: bytes, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + stream.to_bytes(4, "big") + payload


def goaway(last: int, error: int) -> bytes:
    return frame(7, last.to_bytes(4, "big") + error.to_bytes(4, "big") + b"why")


def test_only_a_goodbye_in_order_is_held_back() -> None:
    settings, data = frame(4, bytes(6)), frame(0, b"hello", 1)
    assert FrameFilter(1).feed(settings + goaway(1, 0) + data) == settings + data
    for one in (goaway(0, 0), goaway(1, 2), goaway(2**31 - 1, 11)):
        assert FrameFilter(1).feed(one) == one


def test_byte_by_byte() -> None:
    whole = frame(4, bytes(6)) + goaway(2**31 - 1, 0) + frame(0, b"hello", 1)
    reader = FrameFilter(1)
    assert b"".join(reader.feed(whole[at : at + 1]) for at in range(len(whole))) == frame(4, bytes(6)) + frame(0, b"hello", 1)


def test_what_is_no_frame() -> None:
    with pytest.raises(NotFrames, match=r"by HTTP/1\.1"):
        FrameFilter(1).feed(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(NotFrames, match="are allowed"):
        FrameFilter(1).feed(b"SSH-2.0-OpenSSH\r\n")
