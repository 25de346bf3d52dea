import pytest

from headgate.wire.connection import OPTIONS, Options, persists, protocols, read_connection


@pytest.mark.parametrize(
    ("value", "close", "keep_alive", "upgrade", "nominated"),
    [
        (b"", False, False, False, set()),
        (b"close", True, False, False, set()),
        (b" ,Keep-Alive,\tUPGRADE ,", False, True, True, set()),
        (b"X-A, x-b, TE, transfer-encoding", False, False, False, {b"x-a", b"x-b"}),
        (b'a b, "c", d;e, close', True, False, False, set()),
    ],
)
def test_options(value: bytes, close: bool, keep_alive: bool, upgrade: bool, nominated: set[bytes]) -> None:
    assert read_connection(value) == Options(close, keep_alive, upgrade, frozenset(nominated))
    assert OPTIONS[value] == read_connection(value)


def test_close_wins() -> None:
    assert not persists(1, read_connection(b"keep-alive, close"))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"websocket", b"websocket"),
        (b"HTTP/2.0, SHTTP/1.3, IRC/6.9, RTA/x11", b"HTTP/2.0, SHTTP/1.3, IRC/6.9, RTA/x11"),
        (b"h2c", b""),
        (b"H2C , websocket", b"websocket"),
        (b"a/, /b, c/d/e, f g", b""),
    ],
)
def test_protocols(value: bytes, found: bytes) -> None:
    assert protocols(value) == found
