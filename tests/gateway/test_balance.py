"""The policies, as functions from servers to a server."""

import random
from collections import Counter

import pytest

from headgate.config.schema import KeepAlive
from headgate.gateway.balance import POLICIES, LeastRequests, Only, RoundRobin
from headgate.gateway.pool import Server


def servers(*weights):
    return [Server(f"http://s{number}:1", None, KeepAlive(), lambda: 0.0, weight) for number, weight in enumerate(weights)]


def test_the_only_one():
    (one,) = servers(1)
    assert [Only([one]).pick() for _ in range(3)] == [one] * 3


@pytest.mark.parametrize("weights", [(1,), (1, 1), (3, 1), (5, 1, 1), (1, 1000)])
def test_round_robin_gives_each_its_share_in_every_round(weights):
    group = servers(*weights)
    policy = RoundRobin(group)
    for _ in range(2):
        picked = Counter(policy.pick() for _ in range(sum(weights)))
        assert [picked[server] for server in group] == list(weights)


def test_round_robin_spreads_the_turns_of_a_heavy_server():
    heavy, *others = servers(4, 1, 1)
    policy = RoundRobin([heavy, *others])
    turns = [policy.pick() is heavy for _ in range(12)]
    assert not any(turns[at : at + 4] == [True] * 4 for at in range(len(turns)))


def test_workers_begin_round_robin_at_different_servers(monkeypatch):
    group = servers(1, 1, 1)
    first = set()
    for start in range(3):
        monkeypatch.setattr(random, "randrange", lambda stop, start=start: start)
        first.add(RoundRobin(group).pick())
    assert first == set(group)


def test_least_requests_never_takes_the_busier_of_two():
    idle, busy = servers(1, 1)
    busy.busy = 10
    policy = LeastRequests([idle, busy])
    picked = Counter(policy.pick() for _ in range(400))
    assert picked[idle] > picked[busy]


def test_least_requests_measures_by_weight():
    small, large = servers(1, 10)
    small.busy, large.busy = 2, 15
    policy = LeastRequests([small, large])
    assert Counter(policy.pick() for _ in range(500)).most_common(1)[0][0] is large


def test_least_requests_gives_every_idle_server_its_turn():
    group = servers(1, 1, 1, 1)
    policy = LeastRequests(group)
    assert {policy.pick() for _ in range(400)} == set(group)


def test_every_policy_of_the_configuration_is_there():
    assert set(POLICIES) == {"least-requests", "round-robin"}
