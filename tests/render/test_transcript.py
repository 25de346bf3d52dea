"""A transcript is JSON, is bounded, and the exchange that is made of it is explained as the first one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.explain import explain_attempt
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import CONNECT, HEAD
from headgate.model.trace import Trace
from headgate.render.transcript import MOST_ATTEMPTS, failures_of, told_by, transcript


def attempt(server="http://app:3000", **facts):
    one = Attempt("app", server, 100.0)
    one.address, one.phase, one.signal, one.t_resolved, one.t_end = "10.0.0.5:3000", CONNECT, "refused", 100.0001, 100.0123
    one.cause, one.facts, one.verdict = (
        catalogue()["connection-refused"],
        {"errno": 111, "elapsed_ms": 12, **facts},
        "again-unsent",
    )
    return one


def exchange(*attempts):
    one = Exchange("ref-1", "192.0.2.7", "https", 99.5)
    one.method, one.target, one.host, one.route, one.upstream = b"GET", b"/a?b=\xff", b"example.org", "all", "app"
    one.attempts += attempts
    one.status, one.outcome, one.t_end = 502, "answered", 101.25
    one.cause = attempts[-1].cause if attempts else None
    return one


def through_json(one, trace=None):
    return told_by(json.loads(json.dumps(transcript(one, trace))))


def test_what_comes_out_is_what_went_in():
    first = exchange(attempt(excerpt=b"\x00\xff\r\nSSH", offset=3), attempt("unix:/run/app.sock"))
    trace = Trace(3, "0" * 31 + "1", "00f067aa0ba902b7", "a=1")
    told = through_json(first, trace)
    again = told.exchange
    for name in ("reference", "client", "scheme", "method", "target", "host", "status", "outcome", "cause", "t_begin", "t_end"):
        assert getattr(again, name) == getattr(first, name), name
    for before, after in zip(first.attempts, again.attempts, strict=True):
        for name in Attempt.__slots__:
            assert getattr(after, name) == getattr(before, name), name
        assert explain_attempt(again, after) == explain_attempt(first, before)
    assert told.trace is not None
    assert (told.trace.trace_id, told.trace.span_id, told.trace.parent_id) == (trace.trace_id, trace.span_id, trace.parent_id)
    assert (told.trace.flags, told.trace.state) == (3, "a=1")
    assert [told.trace.span_of(one) for one in again.attempts] == [trace.span_of(one) for one in first.attempts]
    assert told.number == (0, 1)


def test_of_many_attempts_the_first_and_the_last_are_told():
    many = [attempt(f"http://app:{number}") for number in range(1, 40)]
    told = through_json(exchange(*many), Trace(1, "1" * 32))
    assert len(told.exchange.attempts) == MOST_ATTEMPTS
    assert told.number == (*range(MOST_ATTEMPTS - 1), 38)
    assert told.exchange.attempts[-1].server == "http://app:39"
    assert len(failures_of(exchange(*many))) == len(failures_of(told.exchange)) == MOST_ATTEMPTS


def test_it_is_bounded_whatever_is_in_it():
    hostile = attempt(error="x" * 100_000, servers=[{"server": "y" * 9000}] * 5000, excerpt=b"\xff" * 9000)
    one = exchange(*[hostile] * 12)
    one.target, one.host, one.method = b"/" + b"\xff" * 30_000, b"h" * 30_000, b"M" * 30_000
    assert len(json.dumps(transcript(one, None))) < 300_000


def test_who_failed():
    good, bad = attempt(), attempt()
    good.cause = good.signal = None
    served = exchange(bad, good)
    served.cause = None
    assert failures_of(served) == [bad]
    refused = exchange()
    refused.signal, refused.cause = "no-server", catalogue()["no-healthy-server"]
    assert failures_of(refused) == [None]
    gone = exchange()
    gone.signal, gone.cause = "client-gone", catalogue()["client-gone"]
    assert failures_of(gone) == []
    left = attempt()
    left.cause, left.signal = catalogue()["client-gone"], "client-gone"
    assert failures_of(exchange(left)) == []


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
        lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=5), inner, max_size=40),
        max_leaves=30,
    )
)
def test_any_facts_become_json(value):
    one = attempt()
    one.facts = {"error": value}
    json.dumps(transcript(exchange(one), None))


@pytest.mark.parametrize(
    "damage", [{"exchange": []}, {"attempts": [[0]]}, {"bytes": ["a"]}, {"trace": [1]}, {"cause": ["nobody-knows", None]}]
)
def test_what_makes_no_sense_is_told_so(damage):
    good = json.loads(json.dumps(transcript(exchange(attempt()), None)))
    with pytest.raises((KeyError, TypeError, ValueError)):
        told_by({**good, **damage})


def test_phases_are_kept():
    one = attempt()
    one.phase, one.t_head, one.status = HEAD, 100.5, 503
    assert through_json(exchange(one)).exchange.attempts[0].t_head == 100.5
