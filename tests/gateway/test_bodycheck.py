"""Bodies looked at on their way: size and coding, in whatever pieces they come."""

import gzip
import zlib

import pytest

from headgate.gateway.bodycheck import BodyCheck
from headgate.model.signals import CODING, TOO_LARGE

TEXT = bytes(range(256)) * 40


def fed(check, data, size):
    """Feed `data` in pieces; return the first fault, that of the end included."""
    for at in range(0, len(data), size):
        if (fault := check.piece(data[at : at + size])) is not None:
            return fault
    return check.ended()


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        (b"gzip", gzip.compress(TEXT, mtime=0)),
        (b"x-gzip", gzip.compress(TEXT, mtime=0)),
        (b"deflate", zlib.compress(TEXT)),
        (b"br", b"not looked at"),
        (b"gzip, br", b"not looked at"),
        (b"", b"anything"),
        (b"gzip", b""),
    ],
)
def test_what_is_right_passes(coding, data, size):
    assert fed(BodyCheck(0, coding), data, size) is None


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    "data", [b"plain text, not gzip at all", gzip.compress(TEXT, mtime=0)[:-20] + bytes(20), gzip.compress(TEXT, mtime=0)[:50]]
)
def test_what_does_not_decode_is_named(data, size):
    signal, facts = fed(BodyCheck(0, b"gzip"), data, size)
    assert signal == CODING
    assert facts["coding"] == "gzip"
    assert facts["error"]
    assert 0 <= facts["offset"] <= len(data)
    assert len(facts["excerpt"]) <= 64


def test_a_look_ahead_counts_nothing():
    check = BodyCheck(0, b"gzip")
    data = gzip.compress(TEXT, mtime=0)
    assert check.peek(data[:10]) is None
    assert check.peek(b"rubbish!")[0] == CODING
    assert fed(check, data, 50) is None


def test_a_bomb_is_decoded_in_bounded_memory():
    data = gzip.compress(bytes(50_000_000), mtime=0)
    assert fed(BodyCheck(0, b"gzip"), data, 10_000) is None


def test_several_gzip_members_are_one_body():
    """RFC 1952 section 2.2: a gzip file is a series of members."""
    assert fed(BodyCheck(0, b"gzip"), gzip.compress(b"one") + gzip.compress(b"two"), 100_000) is None


@pytest.mark.parametrize(("length", "fits"), [(0, True), (100, True), (101, False)])
def test_the_largest_size(length, fits):
    check = BodyCheck(100, b"")
    assert (check.announced(length) is None) is fits
    fault = fed(check, bytes(length), 30)
    assert (fault is None) is fits
    if fault:
        assert fault[0] == TOO_LARGE
        assert fault[1]["limit"] == "response_body_bytes"
        assert fault[1]["limit_value"] == 100
        assert fault[1]["seen"] > 100


def test_no_limit():
    assert BodyCheck(0, b"").announced(1 << 50) is None
