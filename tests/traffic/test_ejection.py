"""Outlier detection: what ejects a server, what never may, for how long, and how many at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.ejection import Ejection, Outliers, Record

NOW = 1000.0


def pair(**rules) -> tuple[Outliers, Record, Record]:
    outliers = Outliers(**rules)
    return outliers, outliers.join("one"), outliers.join("two")


def refuse(outliers: Outliers, record: Record, now: float, times: int = 3) -> Ejection | None:
    told = [outliers.bad(record, now, "client", b"/", unsent=True) for _ in range(times)]
    return next((ejection for ejection in told if ejection), None)


def mixed(outliers: Outliers, record: Record, now: float, times: int, clients: int = 3, paths: int = 3) -> list[Ejection]:
    told = [outliers.bad(record, now, f"192.0.2.{n % clients}", b"/%d" % (n % paths), unsent=False) for n in range(times)]
    return [ejection for ejection in told if ejection]


def test_connections_that_fail_in_a_row_eject_whoever_asked() -> None:
    outliers, one, _ = pair()
    assert refuse(outliers, one, NOW, 2) is None
    outliers.good(one, NOW)
    assert refuse(outliers, one, NOW, 2) is None
    told = refuse(outliers, one, NOW, 1)
    assert told == (NOW + 10, 10.0, "3 connections failed without a success in between")
    assert one.until == NOW + 10


def test_on_trial_one_connection_failure_sends_it_back_for_longer_and_one_success_ends_the_trial() -> None:
    outliers, one, _ = pair()
    refuse(outliers, one, NOW)
    assert outliers.over(NOW + 9.9) == []
    assert outliers.over(NOW + 10) == [one]
    assert outliers.over(NOW + 10) == []
    told = refuse(outliers, one, NOW + 11, 1)
    assert told == (NOW + 31, 20.0, "on trial after an ejection, a connection failed again")
    assert outliers.over(NOW + 31) == [one]
    outliers.good(one, NOW + 31)
    assert refuse(outliers, one, NOW + 32, 2) is None
    assert refuse(outliers, one, NOW + 32, 1)


def test_failures_of_several_clients_and_paths_eject_by_their_share() -> None:
    outliers, one, two = pair()
    for second in range(6):
        outliers.good(one, NOW + second)
        outliers.good(two, NOW + second)
    told = mixed(outliers, one, NOW + 6, 20)
    assert len(told) == 1
    assert told[0].why == "9 of 15 requests of 3 clients failed within 10 s"  # 6 of 9 beside the worst client: half of the rest
    assert one.until == NOW + 16


@pytest.mark.parametrize(("clients", "paths"), [(1, 5), (5, 1), (1, 1)])
def test_one_client_or_one_path_ejects_nobody_who_answers_others(clients: int, paths: int) -> None:
    outliers, one, _ = pair()
    for tenth in range(600):
        assert mixed(outliers, one, NOW + tenth / 10, 5, clients, paths) == []
        outliers.good(one, NOW + tenth / 10)


def test_a_query_does_not_make_another_path() -> None:
    outliers, one, _ = pair()
    outliers.good(one, NOW)
    for number in range(100):
        assert outliers.bad(one, NOW, f"192.0.2.{number}", b"/search?q=%d" % number, unsent=False) is None


def test_a_loud_client_does_not_make_the_odd_failure_of_another_count() -> None:
    outliers, one, _ = pair()
    for number in range(10):
        outliers.good(one, NOW)
        assert mixed(outliers, one, NOW, 4, clients=1, paths=4) == []
        if number in (4, 8):
            assert outliers.bad(one, NOW, "another", b"/other", unsent=False) is None


def test_a_failure_that_all_servers_share_ejects_none() -> None:
    outliers, one, two = pair()
    for _ in range(40):
        assert mixed(outliers, one, NOW, 3) + mixed(outliers, two, NOW, 3) == []
        outliers.good(one, NOW)
        outliers.good(two, NOW)


def test_three_of_four_that_fail_alike_are_still_worse_than_the_fourth() -> None:
    outliers = Outliers()
    records = [outliers.join(name) for name in "abcd"]
    for _ in range(20):
        outliers.good(records[3], NOW)
        for record in records[:3]:
            mixed(outliers, record, NOW, 3)
    assert [record.until > 0 for record in records] == [True, True, False, False], "two are half of four"
    assert outliers.spared > 0


def test_a_service_with_one_client_and_one_path_needs_a_long_run() -> None:
    outliers, one, two = pair()
    outliers.good(two, NOW)
    told = []
    for tenth in range(0, 200):
        now = NOW + tenth / 10
        told += [ejection for ejection in [outliers.bad(one, now, "gateway", b"/rpc", unsent=False)] if ejection]
    assert [ejection.why for ejection in told] == ["101 requests in a row failed over 10 s"]
    few, one, _ = pair()
    for number in range(9):
        assert few.bad(one, NOW + 60 * number, "gateway", b"/rpc", unsent=False) is None
    assert few.bad(one, NOW + 540, "gateway", b"/rpc", unsent=False).why == "10 requests in a row failed over 540 s"


def test_a_long_run_that_all_servers_share_ejects_none() -> None:
    outliers, one, two = pair()
    for second in range(60):
        for record in (one, two):
            assert outliers.bad(record, NOW + second, "gateway", b"/rpc", unsent=False) is None


def test_one_bad_moment_of_a_busy_server_ejects_it_not() -> None:
    outliers, one, _ = pair()
    for number in range(1000):
        outliers.good(one, NOW + number / 125)
    assert mixed(outliers, one, NOW + 9, 200) == []


def test_a_server_put_aside_is_not_one_that_does_better() -> None:
    outliers, one, two = pair(most_ejected=1.0)
    three = outliers.join("three")
    outliers.eject(three, NOW, "asked for")
    for number in range(4):
        assert mixed(outliers, one, NOW, number) + mixed(outliers, two, NOW, number) == []
    outliers.release(three, NOW)
    assert mixed(outliers, one, NOW, 1)


def test_failures_out_of_the_window_do_not_count() -> None:
    outliers, one, two = pair()
    outliers.good(one, NOW)
    outliers.good(two, NOW)
    for number in range(9):
        assert mixed(outliers, one, NOW + 20 * number, 4) == []
        outliers.good(one, NOW + 20 * number)


def test_the_last_usable_server_is_never_ejected() -> None:
    alone = Outliers()
    only = alone.join("only")
    assert refuse(alone, only, NOW, 50) is None
    outliers, one, two = pair(most_ejected=1.0)
    assert refuse(outliers, one, NOW)
    assert refuse(outliers, two, NOW, 50) is None
    outliers, one, two = pair()
    two.barred = True
    assert refuse(outliers, one, NOW, 50) is None
    two.barred = False
    assert refuse(outliers, one, NOW + 0.9, 1) is None, "not judged again before a second is over"
    assert refuse(outliers, one, NOW + 1, 1)


def test_a_server_that_left_counts_no_more() -> None:
    outliers, one, two = pair()
    outliers.leave(two)
    assert refuse(outliers, one, NOW, 9) is None


def test_who_knows_better_may_eject_and_release() -> None:
    outliers, one, two = pair()
    assert outliers.eject(one, NOW, "asked for") == (NOW + 10, 10.0, "asked for")
    assert outliers.eject(one, NOW, "asked for") is None
    assert outliers.eject(two, NOW, "asked for") is None
    outliers.release(one, NOW + 1)
    assert outliers.over(NOW + 60) == []
    assert outliers.eject(two, NOW + 2, "asked for")


def test_after_a_release_the_old_evidence_is_gone() -> None:
    outliers, one, _ = pair()
    refuse(outliers, one, NOW)
    outliers.release(one, NOW + 1)
    assert refuse(outliers, one, NOW + 1, 2) is None
    outliers.release(one, NOW + 2)
    assert mixed(outliers, one, NOW + 2, 9, clients=1, paths=9) == []
    assert mixed(outliers, one, NOW + 2, 9, clients=9, paths=9)
    outliers.release(one, NOW + 3)
    assert mixed(outliers, one, NOW + 3, 4) == []


def test_failures_while_ejected_prove_nothing() -> None:
    outliers, one, _ = pair()
    refuse(outliers, one, NOW)
    assert refuse(outliers, one, NOW + 5, 20) is None
    assert one.failed.total(NOW + 5) == 3
    assert outliers.over(NOW + 10) == [one]
    assert one.failed.total(NOW + 10) == 0


def test_ejections_grow_and_only_answers_forgive() -> None:
    def lengths(answered: float) -> list[float]:
        outliers, one, _ = pair(base=10.0, longest=60.0)
        now, found = NOW, []
        outliers.good(one, now)
        for wait in (0.0, 0.0, 0.0, 0.0, 200.0):
            now += wait
            if wait and answered >= 0:
                outliers.good(one, now - answered)
            told = refuse(outliers, one, now)
            found.append(told.seconds)
            now = told.until
            outliers.over(now)
        return found

    assert lengths(answered=100.0) == [10, 20, 40, 60, 10]
    assert lengths(answered=0.0) == [10, 20, 40, 60, 10]
    assert lengths(answered=-1) == [10, 20, 40, 60, 60]


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # server
        st.sampled_from(["good", "bad", "bad", "bad", "refused"]),
        st.integers(0, 4),  # client
        st.integers(0, 4),  # path
        st.sampled_from([0.0, 0.0, 0.01, 0.3, 5.0]),
    ),
    max_size=150,
)


@given(st.integers(1, 4), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.sets(st.integers(0, 3)), EVENTS)
def test_never_more_than_the_share_and_never_the_last(servers: int, share: float, barred: set[int], events: list) -> None:
    outliers = Outliers(failures=2, run=3, window=1, base=5.0, longest=20.0, most_ejected=share)
    records = [outliers.join(str(number)) for number in range(servers)]
    for number in barred & set(range(servers)):
        records[number].barred = True
    now = NOW
    for number, kind, client, path, wait in events:
        now += wait
        for record in outliers.over(now):
            assert record.until == 0
        record = records[number % servers]
        if kind == "good":
            outliers.good(record, now)
            continue
        was = record.until
        told = outliers.bad(record, now, str(client), b"/%d" % path, kind == "refused")
        assert (told is not None) == (record.until != was)
        if told:
            serving = [other for other in records if not other.barred or other is record]
            out = [other for other in serving if other.until]
            if kind != "refused":  # nobody is served by asking a server that cannot be connected to
                assert len(out) <= max(1, share * len(serving))
            assert len(out) < len(serving)
            assert 5 <= told.seconds <= 20
            assert told.until == now + told.seconds
            assert told.why
        assert len(record.failures) <= 64


def leaves_out(failures: list[tuple[int, int]], answered: int, which: int) -> bool:
    """Tell whether the failures suffice without any one client (which 0) or path (which 1)."""
    for key in {failure[which] for failure in failures}:
        rest = sum(1 for failure in failures if failure[which] != key)
        if rest < 2 or rest < 0.5 * (rest + answered):
            return False
    return True


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_within_one_second_it_ejects_exactly_when_no_client_and_no_path_can_be_the_cause(events: list) -> None:
    outliers, one, _ = pair()
    failures, answered = [], 0
    for fine, client, path in events:
        if fine:
            outliers.good(one, NOW)
            answered += 1
            continue
        failures.append((client, path))
        told = outliers.bad(one, NOW, str(client), b"/%d" % path, unsent=False)
        enough = len(failures) >= 5 and len(failures) >= answered
        assert (told is not None) == (enough and leaves_out(failures, answered, 0) and leaves_out(failures, answered, 1))
        if told:
            break


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 200), st.sampled_from([0.0, 0.1, 1.0, 9.0, 30.0])), max_size=60),
    st.booleans(),
)
def test_no_single_client_and_no_single_path_ever_ejects_a_server_that_answers(bursts: list, same_client: bool) -> None:
    outliers, one, two = pair()
    outliers.good(two, NOW)
    now = NOW
    for times, other, wait in bursts:
        now += wait
        for number in range(times):
            various = other + number
            client, path = ("the same", b"/%d" % various) if same_client else (str(various), b"/the-same")
            assert outliers.bad(one, now, client, path, unsent=False) is None
        outliers.good(one, now)


def test_a_flood_of_failures_is_judged_over_the_time_that_the_evidence_spans() -> None:
    outliers, one, two = pair()
    for _ in range(1000):
        outliers.good(two, NOW)
        assert mixed(outliers, one, NOW, 2, clients=1, paths=3) == []
        outliers.good(one, NOW)
    for second in (1, 2):
        for number in range(30):  # others fail, too, but far more are answered at the same time
            outliers.bad(one, NOW + second, f"192.0.2.{number % 5}", b"/%d" % (number % 7), unsent=False)
            for _ in range(4):
                outliers.good(one, NOW + second)
    assert one.until == 0


@pytest.mark.parametrize(
    "rules",
    [
        {"window": 0},
        {"failures": 0},
        {"share": 0.0},
        {"share": 1.5},
        {"connections": 0},
        {"run": 0},
        {"base": 0.0},
        {"base": 20.0, "longest": 10.0},
        {"most_ejected": -0.1},
        {"most_ejected": 1.1},
    ],
)
def test_rules_that_cannot_be_followed_are_refused(rules: dict) -> None:
    with pytest.raises(ValueError, match=r"at least 1|first rest"):
        Outliers(**rules)
