"""The present state, as processes hand it to each other."""

import os

import pytest

from headgate.net.seat import read_state, write_state


def test_a_state_comes_back():
    state = {"version": 3, "data": {"a": ["b", 1, 2.5, True, None]}, "long": "ü" * 3_000_000}
    fd = write_state(state)
    assert read_state(fd) == state
    assert read_state(fd) == state, "reading does not use it up"
    os.close(fd)


@pytest.mark.parametrize("data", [b"", b"{", b"[]"])
def test_what_is_none(data):
    fd = os.memfd_create("test")
    os.write(fd, data)
    with pytest.raises(ValueError, match=r"."):
        read_state(fd)
    os.close(fd)
