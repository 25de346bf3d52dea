import sys

import pytest

from headgate.wire import fields
from headgate.wire.fields import find, without
from headgate.wire.refusal import Refused

SPECIAL = {b"host": 1, b"via": 2, b"content-length": 3}


@pytest.fixture
def splitter(implementation: type):
    return implementation(SPECIAL, (2,), "request_header_count")


def test_splits_from_start_to_end(splitter) -> None:
    head = b"GET / HTTP/1.1\r\nA: b\r\nHost:\t x \t\r\nB:c \r\nVIA: y\r\nContent_length: 4\r\nhost: z\r\nA: b\r\n"
    expected = (b"A: b\r\nB:c \r\nVIA: y\r\nA: b\r\n", [(1, b"x"), (2, b"y"), (1, b"z")])
    for _ in range(3):  # the second time everything is known
        assert splitter.split(head, 16) == expected


def test_equal_special_lines_are_all_reported_and_removed(splitter) -> None:
    assert splitter.split(b"Host: a\r\nX: 1\r\nHost: a\r\n", 0) == (b"X: 1\r\n", [(1, b"a"), (1, b"a")])


def test_an_empty_section(splitter) -> None:
    assert splitter.split(b"GET / HTTP/1.1\r\n", 16) == (b"", [])


def test_values_may_be_empty_and_of_any_legal_octet(splitter) -> None:
    value = bytes(octet for octet in range(256) if octet == 9 or (octet >= 0x20 and octet != 0x7F))
    head = b"A:\r\nB: \t\r\nC:" + value + b"\r\nHost:" + value + b"\r\nVia:\r\n"
    assert splitter.split(head, 0) == (
        b"A:\r\nB: \t\r\nC:" + value + b"\r\nVia:\r\n",
        [(1, value.strip(b" \t")), (2, b"")],
    )


@pytest.mark.parametrize(
    "octet", [octet for octet in range(256) if octet not in b"!#$%&'*+-.^_`|~" and not chr(octet).isalnum()] + [0xAA]
)
def test_octets_that_no_name_has(splitter, octet: int) -> None:
    if octet == 0x3A:
        return
    with pytest.raises(Refused):
        splitter.split(b"A: b\r\nX" + bytes((octet,)) + b"Y: c\r\n", 0)


@pytest.mark.parametrize("octet", [*(octet for octet in range(0x20) if octet != 9), 0x7F])
@pytest.mark.parametrize("name", [b"X", b"Host", b"Via", b"Content_Length"])
def test_octets_that_no_value_has(splitter, octet: int, name: bytes) -> None:
    for _ in range(2):  # an illegal line is never remembered as a legal one
        with pytest.raises(Refused):
            splitter.split(name + b": a" + bytes((octet,)) + b"b\r\n", 0)


def test_too_many_lines(splitter) -> None:
    splitter.split(b"A: b\r\nHost: c\r\n", 0, 2)
    with pytest.raises(Refused) as caught:
        splitter.split(b"A: b\r\nHost: c\r\nX_Y: d\r\n", 0, 2)
    assert caught.value.facts == {"limit": "request_header_count", "limit_value": 2, "seen": 3}


def test_what_is_remembered_is_bounded_and_stays_right(splitter) -> None:
    for number in range(3000):
        line = b"X-%d: %d\r\n" % (number, number)
        assert splitter.split(b"Host: %d\r\n" % number + line, 0) == (line, [(1, b"%d" % number)])
    long = b"X-Long: " + b"y" * 5000 + b"\r\n"
    assert splitter.split(long + b"Host: a\r\n", 0) == (long, [(1, b"a")])


def test_a_long_name_is_read_like_a_short_one(splitter) -> None:
    line = b"X" * 5000 + b": 1\r\n"
    assert splitter.split(line, 0) == (line, [])


def test_the_constructor_takes_lower_case_tokens_only(implementation: type) -> None:
    for special in ({b"Host": 1}, {b"a b": 1}, {b"a": 0}, {b"": 1}):
        with pytest.raises(AssertionError):
            implementation(special)


def test_the_pure_splitter_serves_where_it_is_wanted_or_no_other_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_PURE", "1")
    assert fields._splitter() is fields.PureSplitter
    monkeypatch.delenv("HEADGATE_PURE")
    monkeypatch.delattr("headgate.wire._fields", raising=False)
    monkeypatch.setitem(sys.modules, "headgate.wire._fields", None)
    assert fields._splitter() is fields.PureSplitter


HEAD = b"GET / HTTP/1.1\r\nA: 1\r\nB:2\r\na:  3 \r\nC-D: x:y\r\n"


@pytest.mark.parametrize(("name", "value"), [(b"a", b"1, 3"), (b"b", b"2"), (b"c-d", b"x:y"), (b"c", None)])
def test_find_joins_repeated_fields(name: bytes, value: bytes | None) -> None:
    assert find(HEAD, name) == value


def test_without_drops_lines_by_name() -> None:
    assert without(b"A: 1\r\nB:2\r\na:  3 \r\nC: 4\r\n", {b"a", b"c"}) == b"B:2\r\n"
    assert without(b"A: 1\r\n", {b"b"}) == b"A: 1\r\n"
    assert without(b"A: 1\r\n", {b"a"}) == b""
