"""traceparent and tracestate: the W3C's own cases, and whatever bytes a client may think of."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.wire.tracecontext import parent_line, read_parent, read_state, state_line

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LEGAL = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (LEGAL, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-ff", 255),
        (f"cc-{TRACE}-{SPAN}-01", 1),  # a version to come is read as far as it is known
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-holds", 1),
    ],
)
def test_what_is_legal(value, flags):
    assert read_parent(value.encode()) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        "", "00", "-", LEGAL + "-more", LEGAL + "-", LEGAL + " ", " " + LEGAL, LEGAL + "\n", LEGAL.upper(), LEGAL[:-1],
        f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}x-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01", f"000-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01.x", f"{LEGAL}, {LEGAL}", f"{LEGAL},{LEGAL}",
        f"00-{TRACE}-{SPAN}-0x", f"cc-{TRACE}-{SPAN}-01-" + "x" * 1000, f"00_{TRACE}_{SPAN}_01", LEGAL + "0",
    ],
)  # fmt: skip
def test_what_is_not_legal(value):
    assert read_parent(value.encode()) is None


@given(st.binary(max_size=600))
@example(LEGAL.encode())
def test_any_bytes_are_read_or_refused(value):
    found = read_parent(value)
    if found is None:
        return
    assert re.fullmatch(r"[0-9a-f]{32}", found.trace_id)
    assert re.fullmatch(r"[0-9a-f]{16}", found.span_id)
    assert set(found.trace_id) != {"0"}
    assert set(found.span_id) != {"0"}
    assert 0 <= found.flags <= 255


HEX = st.text("0123456789abcdef", min_size=1)


@given(
    st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda text: text.strip("0")),
    st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda text: text.strip("0")),
    st.integers(0, 255),
)
def test_what_is_written_is_read_again(trace, span, flags):
    line = parent_line(trace, span, flags)
    assert line.endswith(b"\r\n")
    name, _, value = line[:-2].partition(b": ")
    assert (name, read_parent(value)) == (b"traceparent", (trace, span, flags))


@pytest.mark.parametrize(
    "value",
    [
        "a=1",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1 , b=2",
        "a=1,,b=2",
        "tenant@vendor=x",
        "0=1",
        "a/b_*-c=!~ x",
        "a=1,\tb=2",
    ],
)
def test_a_state_goes_on_as_it_came(value):
    assert read_state(value.encode()) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        " , ",
        "a",
        "=1",
        "a=",
        "A=1",
        "a=1;b=2=3",
        "a b=1",
        "a=1,b",
        "a=é",
        "a=\x01",
        ",".join(f"k{n}=1" for n in range(33)),
        "a=x\x7f",
        "k" * 300 + "=1",
    ],
)
def test_a_state_that_is_not_legal_goes_nowhere(value):
    assert read_state(value.encode()) == ""


def test_what_is_too_long_is_shortened_as_the_recommendation_says():
    large, small = f"large={'x' * 200}", [f"k{number}={'v' * 40}" for number in range(20)]
    left = read_state(",".join([small[0], large, *small[1:]]).encode()).split(",")
    assert large not in left
    assert left == small[: len(left)]
    assert 0 < len(",".join(left)) <= 512


@given(
    st.binary(max_size=3000)
    | st.lists(st.text("abz09=,-@/ \t!~", max_size=150), max_size=40).map(lambda parts: ",".join(parts).encode())
)
def test_a_state_can_neither_break_its_line_nor_grow(value):
    state = read_state(value)
    assert len(state) <= 512
    assert state.isascii()
    assert not set("\r\n\0") & set(state)
    assert state_line(state).count(b"\r\n") == bool(state)
    assert read_state(state.encode()) == state
