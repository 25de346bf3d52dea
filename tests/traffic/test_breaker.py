"""The circuit breaker: its table, its probes, and what may never happen whatever comes in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.breaker import CHANGES, CLOSED, HALF_OPEN, OPEN, Breaker


def opened(now: float = 100.0, **rules) -> Breaker:
    breaker = Breaker(**rules)
    for _ in range(20):
        breaker.failed(now, breaker.allow(now))
    assert breaker.state == OPEN
    return breaker


def test_the_table_reaches_every_state_and_leaves_every_state() -> None:
    assert {state for state, _ in CHANGES} == set(CHANGES.values()) == {CLOSED, OPEN, HALF_OPEN}


def test_too_large_a_share_opens_it_and_it_says_why() -> None:
    breaker = Breaker()
    for number in range(10):
        breaker.succeeded(100.0, breaker.allow(100.0))
        assert breaker.state == CLOSED
        breaker.failed(100.0 + number / 10, breaker.allow(100.0))
    assert breaker.state == OPEN
    assert breaker.why == "10 of 20 requests failed within 10 s"
    assert (breaker.since, breaker.opened) == (100.9, 1)
    assert breaker.allow(105.8) == 0
    assert breaker.refused == 1
    assert breaker.retry_after(104.9) == pytest.approx(1.0)


def test_few_requests_prove_nothing() -> None:
    breaker = Breaker(min_requests=20)
    for _ in range(19):
        breaker.failed(100.0, breaker.allow(100.0))
    assert breaker.state == CLOSED
    assert breaker.retry_after(100.0) == 0.0
    breaker.failed(110.0, breaker.allow(110.0))  # the others are too long ago by now
    assert breaker.state == CLOSED


def test_one_probe_goes_and_its_success_closes() -> None:
    breaker = opened()
    probe = breaker.allow(105.0)
    assert probe
    assert breaker.state == HALF_OPEN
    assert breaker.allow(105.1) == 0
    assert breaker.retry_after(105.1) == pytest.approx(4.9)
    breaker.succeeded(105.2, probe)
    assert (breaker.state, breaker.why) == (CLOSED, "1 probe succeeded")
    assert breaker.allow(105.2)
    breaker.failed(105.3, breaker.allow(105.3))
    assert breaker.state == CLOSED, "failures from before it opened do not count any more"


def test_a_failed_probe_opens_it_for_longer_each_time() -> None:
    breaker = opened(0.0, open_for=5.0, longest=30.0)
    now, lengths = 0.0, []
    for _ in range(5):
        lengths.append(breaker.retry_after(now))
        now += lengths[-1]
        breaker.failed(now, breaker.allow(now))
        assert (breaker.state, breaker.why) == (OPEN, "a probe failed")
    assert lengths == [5, 10, 20, 30, 30]


def test_the_length_is_forgiven_after_a_calm_time_and_not_before() -> None:
    for calm, length in ((4.0, 10.0), (6.0, 5.0)):
        breaker = opened(100.0)
        breaker.succeeded(105.0, breaker.allow(105.0))
        for _ in range(20):
            breaker.failed(105.0 + calm, breaker.allow(105.0 + calm))
        assert breaker.retry_after(105.0 + calm) == length


def test_waiting_for_a_slow_probe_is_not_a_calm_time() -> None:
    breaker = opened(100.0)
    breaker.failed(165.0, breaker.allow(105.0))
    assert breaker.retry_after(165.0) == 10.0


def test_what_was_answered_before_it_opened_is_forgotten() -> None:
    breaker = Breaker(open_for=1.0)
    for _ in range(10):
        breaker.succeeded(100.0, breaker.allow(100.0))
    for _ in range(10):
        breaker.failed(100.0, breaker.allow(100.0))
    breaker.succeeded(101.0, breaker.allow(101.0))
    for _ in range(19):
        breaker.failed(102.0, breaker.allow(102.0))
    assert (breaker.state, breaker.opened) == (CLOSED, 1)


def test_probes_begin_anew_each_time() -> None:
    breaker = opened(probes=3)
    first, second, _ = [breaker.allow(105.0) for _ in range(3)]
    breaker.succeeded(105.0, first)
    breaker.failed(105.0, second)
    probes = [breaker.allow(115.0) for _ in range(4)]
    assert [bool(probe) for probe in probes] == [True, True, True, False]
    breaker.succeeded(115.0, probes[0])
    breaker.succeeded(115.0, probes[1])
    assert breaker.state == HALF_OPEN


def test_a_client_that_goes_away_gives_the_probe_back() -> None:
    breaker = opened()
    breaker.abandoned(105.0, breaker.allow(105.0))
    assert breaker.state == HALF_OPEN
    assert breaker.retry_after(105.0) == 0.0
    assert breaker.allow(105.0)
    assert not breaker.allow(105.0)


def test_a_probe_that_never_comes_back_does_not_keep_it_half_open() -> None:
    breaker = opened()
    assert breaker.allow(105.0)
    assert not breaker.allow(109.9)
    assert breaker.allow(110.0)
    assert not breaker.allow(110.0)


def test_all_of_several_probes_must_succeed() -> None:
    breaker = opened(probes=3)
    probes = [breaker.allow(105.0) for _ in range(4)]
    assert [bool(probe) for probe in probes] == [True, True, True, False]
    breaker.succeeded(105.1, probes[0])
    breaker.succeeded(105.1, probes[1])
    assert (breaker.state, breaker.allow(105.1)) == (HALF_OPEN, 0)
    breaker.succeeded(105.1, probes[2])
    assert (breaker.state, breaker.why) == (CLOSED, "3 probes succeeded")


def test_results_of_requests_from_before_are_not_probes() -> None:
    breaker = Breaker()
    early = breaker.allow(100.0)
    for _ in range(20):
        breaker.failed(100.0, breaker.allow(100.0))
    probe = breaker.allow(105.0)
    for hear in (breaker.succeeded, breaker.failed, breaker.abandoned):
        hear(105.0, early)
        assert breaker.state == HALF_OPEN
        assert not breaker.allow(105.0)
    breaker.succeeded(105.0, probe)
    assert breaker.state == CLOSED


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(
            st.sampled_from(["allow", "succeeded", "failed", "abandoned"]),
            st.integers(0, 9),
            st.sampled_from([0.0, 0.1, 2.0, 7.0]),
        ),
        max_size=200,
    ),
)
def test_whatever_happens_the_upstream_is_spared(probes: int, events: list) -> None:
    """Open means nothing goes before its time; half-open means few; every change is one of the table and has its reason."""
    breaker = Breaker(share=0.5, min_requests=3, open_for=5.0, longest=20.0, probes=probes)
    now, under_way, sent, given_back = 1000.0, [], 0, 0
    for kind, which, wait in events:
        now += wait
        was, due = breaker.state, breaker.retry_after(now) == 0.0
        if kind == "allow":
            given_pass = breaker.allow(now)
            assert bool(given_pass) == due
            if given_pass:
                under_way.append(given_pass)
                sent += 1
        elif under_way:
            getattr(breaker, kind)(now, under_way.pop(which % len(under_way)))
            given_back += kind == "abandoned"
        if breaker.state != was:
            assert breaker.state in {after for (before, _), after in CHANGES.items() if before == was}
            assert breaker.since == now
            assert breaker.why
            sent, given_back = int(breaker.state == HALF_OPEN), 0  # the request that made it half-open is the first probe
        if breaker.state == HALF_OPEN:
            assert sent <= probes + given_back + (now - breaker.since) / 5.0
        if breaker.state == OPEN:
            assert breaker.retry_after(breaker.since) in (5.0, 10.0, 20.0)


@pytest.mark.parametrize(
    "rules",
    [
        {"share": 0.0},
        {"share": 1.1},
        {"min_requests": 0},
        {"window": 0},
        {"probes": 0},
        {"open_for": 0.0},
        {"open_for": 9.0, "longest": 5.0},
    ],
)
def test_rules_that_cannot_be_followed_are_refused(rules: dict) -> None:
    with pytest.raises(ValueError, match=r"breaker|rest"):
        Breaker(**rules)
