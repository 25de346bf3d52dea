"""Whatever bytes come: a head or a refusal, never anything else, and in time that grows with their number only."""

import os
import re
from itertools import pairwise

import httptools
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headgate.wire import request, response
from headgate.wire.chunks import ChunkReader
from headgate.wire.limits import WireLimits
from headgate.wire.refusal import EXCERPT, RULES, Refused
from headgate.wire.request import RequestHead, check_early_request, read_request_head
from headgate.wire.response import ResponseHead, check_early_response, read_response_head
from headgate.wire.sniff import looks_like

LIMITS = WireLimits()
pytestmark = pytest.mark.usefixtures("implementation")
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ", "300")),
    derandomize="FUZZ" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same examples in every run; FUZZ=10000 in the environment tries other ones."""

WORDS = [
    b"GET ", b"/", b"http://", b"*", b" HTTP/1.1", b"HTTP/1.0 200 OK", b"\r\n", b"\n", b"\r", b": ", b":", b" ", b"\t",
    b"\0", b",", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: x\r\n",
    b"Expect: 100-continue\r\n", b"Via: 1.1 a\r\n", b"X_Y: 1\r\n", b"\xff", b"5\r\n", b"0\r\n", b";a=b", b"hello", b"..",
    b"%2e", b"?", b"[::1]", b"Upgrade: a\r\n",
]  # fmt: skip
noise = st.binary(max_size=60) | st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=25).map(b"".join)
heads = noise | st.builds(
    lambda start, rest: start + rest + b"\r\n", st.sampled_from([b"GET / HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.1 200 OK\r\n"]), noise
)


def check(refused: Refused, data: bytes) -> None:
    """A refusal says which rule or limit, and where."""
    facts = refused.facts
    assert refused.kind in ("malformed", "unsupported", "too-large")
    if refused.kind == "too-large":
        assert facts["seen"] > facts["limit_value"]
    else:
        assert facts["rule"] in RULES
        assert 0 <= facts["offset"] <= len(data)
        assert len(facts["excerpt"]) <= EXCERPT
        assert facts["excerpt"] in data
    assert str(refused)


@given(heads)
@fuzz
@example(b"")
@example(b"\n")
@example(b"\r\n")
def test_a_request_is_read_or_refused(data: bytes) -> None:
    try:
        head = read_request_head(data, LIMITS)
    except Refused as refused:
        check(refused, data)
        return
    assert isinstance(head, RequestHead)
    assert all(hasattr(head, name) for name in RequestHead.__slots__)
    check_forward(head.forward, set(request.SPECIAL) - {b"via", b"cdn-loop", b"expect"})
    assert head.host == head.host.lower()
    assert re.fullmatch(rb"/[!-\"$-~]*|\*", head.forward_target)
    again = read_request_head(data, LIMITS)
    assert all(getattr(again, name) == getattr(head, name) for name in RequestHead.__slots__)


@given(heads, st.sampled_from([b"GET", b"HEAD"]))
@fuzz
@example(b"", b"GET")
def test_a_response_is_read_or_refused(data: bytes, method: bytes) -> None:
    try:
        head = read_response_head(data, method, LIMITS)
    except Refused as refused:
        check(refused, data)
        return
    assert isinstance(head, ResponseHead)
    assert all(hasattr(head, name) for name in ResponseHead.__slots__)
    check_forward(head.forward, set(response.SPECIAL) - {b"via", b"proxy-status", b"content-encoding"})
    assert head.length >= -2
    assert re.fullmatch(rb"[1-5][0-9][0-9] [\t\x20-\x7e\x80-\xff]*", head.reason_line)


def check_forward(forward: bytes, removed: set[bytes]) -> None:
    """What goes on is a sequence of legal lines, none of which frames or routes."""
    assert re.fullmatch(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*", forward)
    names = {line.partition(b":")[0].lower() for line in forward.split(b"\r\n")[:-1]}
    assert not names & removed
    assert not {name.replace(b"_", b"-") for name in names if b"_" in name} & removed


@given(noise, st.integers(0, 60))
@fuzz
def test_early_checks_pass_or_refuse(data: bytes, checked: int) -> None:
    for early in (check_early_request, check_early_response):
        try:
            early(data, LIMITS, min(checked, len(data)))
        except Refused as refused:
            check(refused, data)


@given(heads, st.integers(0, 80))
@fuzz
def test_what_is_refused_early_would_have_been_refused_later(data: bytes, size: int) -> None:
    """Nothing that may become a legal head is refused before it is complete."""
    for read, early in (
        (lambda: read_request_head(data, LIMITS), check_early_request),
        (lambda: read_response_head(data, b"GET", LIMITS), check_early_response),
    ):
        try:
            read()
        except Refused:
            continue
        early(data[:size], LIMITS)


@given(noise)
@fuzz
def test_anything_may_be_sniffed(data: bytes) -> None:
    assert looks_like(data) is None or isinstance(looks_like(data), str)


CHUNKS = [
    b"5\r\nhello\r\n", b"05;a=b\r\nhello\r\n", b"1\r\n\r\r\n", b"0\r\n\r\n", b"0\r\n", b"A: b\r\n", b"\r\n", b"\n", b"\r",
    b"f", b"5", b";", b'a="b"', b" ", b"\0", b"x" * 30, b"1e\r\n" + b"y" * 30 + b"\r\n", b"ffffffffffffffff\r\n",
]  # fmt: skip
bodies = st.lists(st.sampled_from(CHUNKS), max_size=12).map(b"".join)


def decode(data: bytes, cuts: list[int]) -> tuple[object, ...]:
    """Return everything there is to know about a chunked body that comes in pieces."""
    reader = ChunkReader(LIMITS)
    payload = b""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    try:
        for begin, end in pairwise(edges):
            payload += reader.feed(data[begin:end])
    except Refused as refused:
        return ("refused", refused.facts.get("rule"), refused.facts.get("offset"))
    assert reader.received == len(payload)
    return (payload, reader.done, reader.rest, reader.trailers)


@given(bodies, st.lists(st.integers(0, 200), max_size=8))
@fuzz
@example(b"5\r\nhello\r\n0\r\nA: b\r\n\r\nrest", list(range(30)))
def test_chunks_do_not_depend_on_how_they_are_cut(data: bytes, cuts: list[int]) -> None:
    assert decode(data, cuts) == decode(data, [])


class Body:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.body = b""
        self.done = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


@given(bodies)
@fuzz
@example(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")
def test_bodies_that_we_accept_llhttp_decodes_alike(data: bytes) -> None:
    outcome = decode(data, [])
    if outcome[0] == "refused" or not outcome[1]:
        return
    payload, _, rest, _ = outcome
    body = Body()
    httptools.HttpRequestParser(body).feed_data(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[: len(data) - len(rest)]
    )
    assert (body.body, body.done) == (payload, True)


@pytest.mark.parametrize(
    "data",
    [
        b"GET " + b"/." * 4000 + b" HTTP/1.1\r\nHost: a\r\n",
        b"GET " + b"/%2" * 2600 + b" HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: " + b"a," * 15_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"5," * 15_000 + b"5\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: " + b"a=b," * 8_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"Via: a\r\n" * 97,
        b"GET / HTTP/1.1\r\nHost: " + b"a." * 16_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b" " * 30_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX" + b" " * 30_000 + b"\r\n",
        b" " * 8000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: " + b"timeout=" * 4000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: " + b", " * 16000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1" + b" " * 32000 + b"x\r\n",
        b"HTTP/1.1 200 OK\r\nUpgrade: " + b",a" * 16000 + b"\r\n",
        b"\x00" * 30_000,
        b"\r\r\n" * 10_000,
        b"<" * 30_000,
        b"220 " + b"ft" * 15_000,
    ],
)
@pytest.mark.timeout(5)
def test_nasty_heads_take_no_more_time_than_nice_ones(data: bytes) -> None:
    for action in (
        lambda: read_request_head(data, LIMITS),
        lambda: read_response_head(data, b"GET", LIMITS),
        lambda: check_early_request(data, LIMITS),
        lambda: check_early_response(data, LIMITS),
        lambda: looks_like(data),
    ):
        try:
            action()
        except Refused as refused:
            check(refused, data)
