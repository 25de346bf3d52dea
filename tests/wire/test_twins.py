"""The compiled splitter and the pure one: the same answers to everything, refusals included."""

import os
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headgate.wire import fields
from headgate.wire.refusal import Refused

if fields.Splitter is fields.PureSplitter:
    pytest.skip("the compiled splitter was not built, or HEADGATE_PURE is set", allow_module_level=True)

SPECIAL = {b"host": 1, b"via": 2, b"content-length": 3, b"x": 4, b"a-b-c": 5, b"k_v": 6, b"x" * 64: 7}
STAY = (2, 5)
pure = fields.PureSplitter(SPECIAL, STAY, "request_header_count")
compiled = fields.Splitter(SPECIAL, STAY, "request_header_count")

NAMES = [
    b"Host", b"host", b"VIA", b"Content-Length", b"content_length", b"Content_length", b"X", b"Y", b"a-b_c", b"A_b_c",
    b"A-B-C", b"k_v", b"K_V", b"k-v", b"x" * 63, b"X" * 64, b"x" * 65, b"_", b"-", b"!#$%&'*+-.^_`|~09azAZ",
    b"", b"a b", b"\xc1", b"\0",
]  # fmt: skip
VALUES = [b" a", b"", b" ", b"\t \t", b"b  ", b"\tc\t", b" d e", b" \xff", b" a\0", b"a\rb", b"a\nb", b"\x7f", b"\x1f", b":"]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b" \r\n"]
lines = st.builds(
    lambda name, colon, value, end: name + colon + value + end,
    st.sampled_from(NAMES) | st.text("ahostvi-_", max_size=5).map(str.encode),
    st.sampled_from([b":", b":", b":", b": ", b":", b"", b" :"]),
    st.sampled_from(VALUES),
    st.sampled_from(ENDS),
)
legal = st.builds(
    lambda name, value: name + b":" + value + b"\r\n",
    st.sampled_from(NAMES[:-4]),
    st.sampled_from(VALUES[:8]),
)
sections = st.lists(legal | legal | legal | lines, max_size=8).map(b"".join) | st.binary(max_size=30)


def outcome(splitter: fields.PureSplitter, head: bytes, start: int, most: int) -> object:
    try:
        return splitter.split(head, start, most)
    except Refused as refused:
        return refused.kind, refused.facts


@given(sections, st.integers(0, 40), st.sampled_from([1 << 30, 8, 3, 0]))
@settings(max_examples=int(os.environ.get("FUZZ", "1000")), derandomize="FUZZ" not in os.environ, database=None, deadline=None)
@example(b"", 0, 0)
@example(b"\n", 0, 0)
@example(b":\r\n", 0, 9)
@example(b"A: b\r\nHost: c\r\n", 6, 1)
def test_the_same_answers(section: bytes, start: int, most: int) -> None:
    start = min(start, len(section))
    assert outcome(compiled, section, start, most) == outcome(pure, section, start, most)


def test_the_same_answers_for_every_octet_everywhere() -> None:
    head = b"Host: a b\r\nVia:c \r\nY_z: d\r\n"
    for at in range(len(head)):
        for octet in range(256):
            changed = head[:at] + bytes((octet,)) + head[at + 1 :]
            assert outcome(compiled, changed, 0, 9) == outcome(pure, changed, 0, 9)


def test_the_same_answers_for_long_lines_at_every_offset() -> None:
    chance = random.Random(1)
    for _ in range(300):
        value = bytearray(b"v" * chance.randrange(300))
        if value:
            value[chance.randrange(len(value))] = chance.choice(b"\t\r\n\0 \x7f\x80\xff\x1f")
        head = b"GET / HTTP/1.1\r\n" + b"n" * chance.randrange(1, 90) + b":" + bytes(value) + b"\r\nHost: a\r\n"
        assert outcome(compiled, head, 16, 9) == outcome(pure, head, 16, 9)


@pytest.mark.parametrize(
    "arguments", [(), (b"a",), (b"a", 0, 1, 2), ("a", 0), (b"a", "0"), (b"a", 0, "1"), (None, 0), (b"a", 2), (b"a", -1)]
)
def test_wrong_arguments_are_errors_and_no_crash(arguments: tuple[object, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        compiled.split(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [(), (1,), ({"a": 1},), ({b"a": "1"},), ({b"a": 1}, 5), ({b"a": 1}, (), 7), ({b"a": 1 << 80},), ({b"a": -1},), ({b"A": 1},)],
)
def test_a_splitter_cannot_be_made_of_anything(arguments: tuple[object, ...]) -> None:
    with pytest.raises((TypeError, AttributeError, OverflowError, AssertionError)):
        fields.Splitter(*arguments)


def test_bounds_of_the_compiled_table() -> None:
    many = {b"name-%d" % number: number for number in range(1, 129)}
    splitter = fields.Splitter(many)
    for name, number in many.items():
        assert splitter.split(name.upper() + b":1\r\n", 0) == (b"", [(number, b"1")])
    with pytest.raises(AssertionError):
        fields.Splitter({**many, b"one-more": 200})
    with pytest.raises(AssertionError):
        fields.Splitter({b"x" * 65: 1})
