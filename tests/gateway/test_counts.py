"""What is counted of exchanges: each once, under names that are bounded, whatever statuses servers invent."""

import json

import pytest

from headgate.gateway.counts import Counts
from headgate.model.cause import Cause
from headgate.model.counted import BUCKETS, MOST, OTHER, SPANS, SPREADS
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import CONNECT, HEAD


def exchange(route="shop", upstream="app", status=200, outcome="served", seconds=0.02):
    made = Exchange("ref", "192.0.2.1", "http", 0.0)
    made.route, made.upstream, made.status, made.outcome, made.t_end = route, upstream, status, outcome, seconds
    return made


def failed(upstream="app", phase=CONNECT, code="connection-refused", verdict="again-unsent"):
    attempt = Attempt(upstream, "http://a:1", 0.0)
    attempt.cause = Cause(code, "x", "connect", "upstream", "connection_refused", 502, "unsent", True, True, "x")
    attempt.phase, attempt.verdict = phase, verdict
    return attempt


def rows(counts, kind):
    told = json.loads(json.dumps(counts.told()))
    return sorted(told[kind])


def test_exchanges_are_told_by_route_upstream_class_and_outcome():
    counts = Counts()
    for status in (200, 204, 201, 404, 503):
        counts.ended(exchange(status=status))
    counts.ended(exchange(status=502, outcome="answered"))
    counts.ended(exchange(status=503, outcome="answered"))
    counts.ended(exchange(route="", upstream="", status=404, outcome="answered"))
    assert rows(counts, "requests") == [
        ["", "", 404, "answered", 1],
        ["shop", "app", 200, "served", 3],
        ["shop", "app", 400, "served", 1],
        ["shop", "app", 500, "served", 1],
        ["shop", "app", 502, "answered", 1],
        ["shop", "app", 503, "answered", 1],
    ]
    assert counts.exchanges == 8


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (60.0, 13), (60.1, 14), (1e6, 14)])
def test_a_duration_is_in_the_first_bucket_that_holds_it(seconds, bucket):
    counts = Counts()
    counts.ended(exchange(seconds=seconds))
    [[route, upstream, cells, total]] = rows(counts, "durations")
    assert (route, upstream, total) == ("shop", "app", seconds)
    assert cells == [int(number == bucket) for number in range(len(BUCKETS) + 1)]


def test_durations_are_of_all_statuses_but_not_of_tunnels():
    counts = Counts()
    counts.ended(exchange(status=200, seconds=0.5))
    counts.ended(exchange(status=502, outcome="answered", seconds=1.0))
    counts.ended(exchange(status=101, outcome="tunnel", seconds=7200.0))
    [[*_, cells, total]] = rows(counts, "durations")
    assert (sum(cells), total) == (2, 1.5)
    assert counts.exchanges == 3


def test_statuses_that_a_server_invents_are_one_row_for_each_class():
    counts = Counts()
    for status in range(200, 1000):
        for route in ("a", "b", "c"):
            counts.ended(exchange(route=route, status=status))
    assert len(rows(counts, "requests")) == 3 * 8
    assert counts.exchanges == 3 * 800


def test_names_are_bounded_and_nothing_is_lost():
    counts = Counts()
    for _ in range(2):
        for number in range(10 * MOST):
            counts.ended(exchange(route=f"r{number}"))
    told = rows(counts, "requests")
    assert len(told) == MOST + 1
    assert [OTHER, OTHER, 200, "served", 2 * 9 * MOST] in told
    assert ["r0", "app", 200, "served", 2] in told
    assert counts.exchanges == 20 * MOST
    spreads = rows(counts, "durations")
    assert len(spreads) == SPREADS + 1
    assert sum(sum(cells) for *_, cells, _ in spreads) == 20 * MOST
    assert len(counts._found) <= 8 * MOST, "what is remembered to be quick is bounded, too"


def test_failed_attempts_by_upstream_phase_cause_and_verdict():
    counts = Counts()
    for attempt in (failed(), failed(), failed(verdict="not-elsewhere"), failed(phase=HEAD, code="head-timeout"), failed("b")):
        counts.attempt_failed(attempt)
    counts.attempt_failed(failed(verdict=None))
    assert rows(counts, "failed") == [
        ["app", "connect", "connection-refused", "", 1],
        ["app", "connect", "connection-refused", "again-unsent", 2],
        ["app", "connect", "connection-refused", "not-elsewhere", 1],
        ["app", "head", "head-timeout", "again-unsent", 1],
        ["b", "connect", "connection-refused", "again-unsent", 1],
    ]
    assert counts.failures == {"connection-refused": 5, "head-timeout": 1}


def test_failed_attempts_are_bounded():
    counts = Counts()
    for number in range(MOST + 50):
        counts.attempt_failed(failed(f"u{number}"))
    told = rows(counts, "failed")
    assert len(told) == MOST + 1
    assert [OTHER, "connect", "connection-refused", "again-unsent", 50] in told


def timed():
    made = exchange(seconds=3.0)
    attempt = Attempt("app", "http://a:1", 0.5)
    attempt.t_connected, attempt.t_sent, attempt.t_first, attempt.t_head, attempt.t_end = 0.75, 1.0, 2.0, 2.25, 3.0
    made.attempts.append(attempt)
    return made


def test_a_part_of_the_exchanges_is_timed_by_what_their_time_went_into():
    counts = Counts()
    for _ in range(170):
        counts.ended(timed())
    [[route, upstream, count, *seconds]] = rows(counts, "spans")
    assert (route, upstream, count) == ("shop", "app", 10)
    spent = {"before": 0.5, "resolve": 0, "connect": 0.25, "tls": 0, "send": 0.25, "wait": 1.0, "head": 0.25, "body": 0.75}
    assert dict(zip(SPANS, seconds, strict=True)) == {name: 10 * each for name, each in spent.items()}
    assert rows(counts, "paces") == [["app", "http://a:1", 10, 17.5]]


def test_what_no_server_answered_is_not_timed():
    counts = Counts()
    for _ in range(40):
        counts.ended(exchange(status=502, outcome="answered"))
        counts.ended(exchange())
    assert rows(counts, "spans") == rows(counts, "paces") == []
