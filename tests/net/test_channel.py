"""Messages with descriptors between two processes."""

import os
import socket

import pytest

from headgate.net.channel import Channel, Gone


@pytest.fixture
def ends():
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


def test_messages_are_whole_and_in_order(ends):
    one, other = ends
    assert other.receive() is None
    assert one.send({"a": 1})
    assert one.send({"b": "x" * 10_000})
    assert other.receive() == ({"a": 1}, [])
    assert other.receive() == ({"b": "x" * 10_000}, [])
    assert other.receive() is None


def test_descriptors_come_along(ends):
    one, other = ends
    reading, writing = os.pipe()
    assert one.send({"do": "take"}, [writing])
    os.close(writing)
    message, fds = other.receive()
    assert message == {"do": "take"}
    os.write(fds[0], b"hello")
    os.close(fds[0])
    assert os.read(reading, 10) == b"hello"
    os.close(reading)


def test_the_end(ends):
    one, other = ends
    one.send({"last": 1})
    one.close()
    assert other.receive() == ({"last": 1}, [])
    with pytest.raises(Gone):
        other.receive()
    assert not other.send({"anyone": 1})


def test_last_words_of_one_that_did_not_read_all(ends):
    one, other = ends
    other.send({"never": "read"})
    one.send({"last": 1})
    one.send({"last": 2})
    one.close()
    assert other.receive() == ({"last": 1}, [])
    assert other.receive() == ({"last": 2}, [])
    with pytest.raises(Gone):
        other.receive()


def test_one_that_is_not_read_does_not_hold_up_the_other(ends):
    one, _ = ends
    assert not all(one.send({"x": "y" * 10_000}) for _ in range(1000))


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b"[" * 60_000])
def test_nonsense_is_told_and_its_descriptors_closed(ends, data):
    one, other = ends
    reading, writing = os.pipe()
    socket.send_fds(one.sock, [data], [writing])
    os.close(writing)
    with pytest.raises(ValueError, match="not a JSON object"):
        other.receive()
    assert os.read(reading, 1) == b"", "nobody holds the other end any more"
    os.close(reading)
    assert one.send({"a": 1})
    assert other.receive() == ({"a": 1}, [])
