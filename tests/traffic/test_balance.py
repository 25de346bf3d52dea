"""The policies, as functions from servers to a server: laws that hold for each, and what makes each its own."""

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.traffic.balance import KEYED, POLICIES, LeastRequests, Only, PeakEwma, RoundRobin
from headgate.traffic.choices import MOST_RIVALS
from headgate.traffic.turns import MOST_TURNS, reduced, smooth

QUICK = settings(max_examples=40, deadline=None)


@dataclass(slots=True, eq=False)
class Server:
    label: str
    share: int = 1
    busy: int = 0
    cost: float = 0.0
    priority: int = 0


def servers(*shares: int) -> list[Server]:
    return [Server(f"http://10.0.0.{number}:80", share) for number, share in enumerate(shares)]


SHARES = st.lists(st.one_of(st.integers(1, 10), st.integers(1, 1000)), min_size=1, max_size=8)
COSTS = st.one_of(st.just(0.0), st.floats(1e-6, 100))
KEYS = st.one_of(st.just(b""), st.binary(max_size=20))


@st.composite
def groups(draw: st.DrawFn) -> list[Server]:
    """Return servers with any load."""
    group = servers(*draw(SHARES))
    for server in group:
        server.busy, server.cost = draw(st.integers(0, 50)), draw(COSTS)
    return group


# Laws of every policy


@pytest.mark.parametrize("policy", [*POLICIES.values(), Only])
@QUICK
@given(group=groups(), keys=st.lists(KEYS, min_size=1, max_size=30))
def test_only_the_servers_given_are_picked(policy, group, keys):
    given_servers = set(group)
    made = policy(group)
    group.clear()  # what becomes of the caller's list is its own affair
    assert {made.pick(key) for key in keys} <= given_servers
    assert {made.pick_other(key, given_servers) for key in keys} <= given_servers


@pytest.mark.parametrize("policy", POLICIES.values())
@QUICK
@given(group=groups(), keys=st.lists(KEYS, min_size=1, max_size=5), chance=st.randoms(use_true_random=False))
def test_a_retry_goes_elsewhere_as_long_as_there_is_another(policy, group, keys, chance):
    made = policy(group)
    for key in keys:
        tried = [made.pick(key)]
        while len(tried) < len(group):
            tried.append(made.pick_other(key, tried))
        assert len(set(tried)) == len(group)
        tried = chance.sample(group, chance.randrange(len(group)))
        assert made.pick_other(key, tried) not in tried


@pytest.mark.parametrize("policy", POLICIES.values())
def test_retries_in_a_large_group_go_elsewhere_too(policy):
    group = servers(*[1] * (3 * MOST_RIVALS))
    made = policy(group)
    for size in (1, 5, len(group) - 1):
        for _ in range(50):
            assert made.pick_other(b"key", group[:size]) not in group[:size]


@pytest.mark.parametrize("name", sorted(KEYED))
def test_without_a_key_a_keyed_policy_takes_the_less_busy(name):
    idle, busy = servers(1, 1)
    busy.busy = 10
    made = POLICIES[name]([idle, busy])
    assert {made.pick(b"") for _ in range(50)} == {idle}
    assert {made.pick(b"%d" % number) for number in range(50)} == {idle, busy}


def test_policies_without_a_key_are_the_others():
    assert set(POLICIES) - KEYED == {"least-requests", "round-robin", "peak-ewma"}


# Turns


@given(SHARES)
def test_small_shares_keep_their_proportions(shares):
    least = reduced(shares)
    assert min(least) >= 1
    if sum(shares) <= MOST_TURNS:
        assert all(share * least[0] == one * shares[0] for share, one in zip(shares, least, strict=True))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=300))
def test_a_round_is_bounded_and_each_server_has_a_turn(shares):
    least = reduced(shares)
    assert min(least) >= 1
    assert sum(least) <= MOST_TURNS + len(shares)
    assert all(
        one == round(share * sum(least) / sum(shares)) or abs(one - share * MOST_TURNS / sum(shares)) <= 1
        for share, one in zip(shares, least, strict=True)
    )


def test_the_lightest_among_many_heavy_ones_has_one_turn():
    assert reduced([1, *[1000] * 100])[0] == 1
    group = servers(1, *[1000] * 100)
    assert smooth(group).count(group[0]) == 1


@QUICK
@given(SHARES)
def test_turns_lie_far_apart(shares):
    group = servers(*shares)
    turns = smooth(group)
    counts = Counter(turns)
    for server in group:
        at = [place for place, one in enumerate(turns) if one is server]
        gaps = [after - before for before, after in zip(at, [*at[1:], at[0] + len(turns)], strict=True)]
        assert max(gaps) <= len(turns) / counts[server] + len(group)


@pytest.mark.parametrize("shares", [(1,), (1, 1), (3, 1), (5, 1, 1), (1, 1000), (10, 20, 30)])
def test_round_robin_gives_each_its_share_in_every_round(shares):
    group = servers(*shares)
    policy = RoundRobin(group)
    least = reduced(shares)
    for _ in range(2):
        picked = Counter(policy.pick() for _ in range(sum(least)))
        assert [picked[server] for server in group] == least


def test_the_turns_of_a_heavy_server_are_broken_up():
    heavy, *others = servers(5, 1, 1)
    policy = RoundRobin([heavy, *others])
    turns = [policy.pick() is heavy for _ in range(21)]
    assert not any(all(turns[at : at + 4]) for at in range(len(turns) - 3))


def test_workers_begin_at_different_servers():
    group = servers(1, 1, 1)
    random.seed(1)
    assert {RoundRobin(group).pick() for _ in range(50)} == set(group)


# Two random choices


@pytest.mark.parametrize("policy", [LeastRequests, PeakEwma])
def test_of_two_the_busier_is_never_taken(policy):
    idle, busy = servers(1, 1)
    busy.busy = 1
    made = policy([busy, idle])
    assert {made.pick() for _ in range(200)} == {idle}


@pytest.mark.parametrize("policy", [LeastRequests, PeakEwma])
@pytest.mark.parametrize("shares", [(1, 1, 1), (1,) * 20, (5, 1, 1), (1, 5, 1), (1, 1, 5), (9, 9, 1)])
def test_the_busiest_of_many_is_never_taken(policy, shares):
    group = servers(*shares)
    made = policy(group)
    for stalled in group:
        stalled.busy = 10 * stalled.share
        assert {made.pick() for _ in range(100 * len(group))} == set(group) - {stalled}
        stalled.busy = 0


@pytest.mark.parametrize("shares", [(1, 1), (3, 1), (1, 1, 1), (5, 3, 1, 1), (1000, 10), (100, 100, 10)])
def test_idle_servers_get_requests_by_their_shares(shares):
    group = servers(*shares)
    random.seed(4)
    made = LeastRequests(group)
    number = 20_000
    picked = Counter(made.pick() for _ in range(number))
    for server in group:
        expected = number * server.share / sum(shares)
        assert abs(picked[server] - expected) < 5 * expected**0.5


@pytest.mark.parametrize("policy", [LeastRequests, PeakEwma])
def test_requests_that_stay_spread_by_shares(policy):
    """Nothing ends: the requests under way must come to stand in proportion to the shares."""
    group = servers(6, 3, 2, 1)
    random.seed(4)
    made = policy(group)
    for _ in range(1200):
        made.pick().busy += 1
    for server in group:
        assert abs(server.busy - 100 * server.share) <= 30


@pytest.mark.parametrize("policy", [LeastRequests, PeakEwma])
def test_a_retry_goes_to_the_least_busy_and_among_equals_by_chance(policy):
    failed, idle, also_idle, busy = group = servers(1, 3, 1, 1)
    busy.busy = 9
    random.seed(4)
    made = policy(group)
    picked = Counter(made.pick_other(b"", [failed]) for _ in range(400))
    assert set(picked) == ({idle, also_idle} if policy is LeastRequests else {idle})
    assert made.pick_other(b"", [failed, idle, also_idle]) is busy
    if policy is LeastRequests:
        assert picked[idle] > 2 * picked[also_idle]


def test_the_quicker_gets_more_until_it_is_busy():
    quick, slow = servers(1, 1)
    quick.cost, slow.cost = 0.010, 0.050
    made = PeakEwma([quick, slow])
    for _ in range(60):
        made.pick().busy += 1
    assert quick.busy + slow.busy == 60
    assert 48 <= quick.busy <= 52


def test_a_new_server_is_asked_but_not_flooded():
    *known, new = group = servers(1, 1, 1, 1)
    for server in known:
        server.cost, server.busy = 0.100, 5
    random.seed(4)
    made = PeakEwma(group)
    for _ in range(100):  # nobody answers meanwhile
        made.pick().busy += 1
    assert 10 <= new.busy <= 45


def test_a_retry_takes_a_new_server_for_as_quick_as_the_quickest():
    failed, quick, slow, new = group = servers(1, 1, 1, 1)
    quick.cost, slow.cost, failed.cost = 0.010, 0.100, 0.001
    made = PeakEwma(group)
    assert {made.pick_other(b"", [failed]) for _ in range(100)} == {quick, new}
    new.busy = 1
    assert {made.pick_other(b"", [failed]) for _ in range(100)} == {quick}
