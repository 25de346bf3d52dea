"""Which servers may be used: strikes, rest, trial."""

import asyncio
from types import SimpleNamespace

import pytest

from headgate.config.schema import Upstream
from headgate.gateway.group import REST, STRIKES, Group


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def group(clock, *servers, **settings):
    worker = SimpleNamespace(
        clock=clock, limits=SimpleNamespace(response_body_bytes=0), loop=asyncio.get_running_loop, resolver=None
    )
    return Group("app", Upstream(servers=servers, policy="round-robin", **settings), worker)


URLS = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")


def test_each_in_turn(clock):
    servers = group(clock, *URLS)
    assert {servers.pick([]) for _ in range(3)} == set(servers.servers)


def test_another_try_goes_to_another_server(clock):
    servers = group(clock, *URLS)
    first, second, third = servers.servers
    assert servers.pick([first, second]) is third
    assert servers.elsewhere([first, second])
    assert not servers.elsewhere(servers.servers)
    assert servers.pick(list(servers.servers)) in servers.servers, "all were tried: then any"


def test_another_try_goes_to_the_less_busy(clock):
    servers = group(clock, *URLS)
    first, second, third = servers.servers
    second.busy = 5
    assert servers.pick([first]) is third


def test_after_three_strikes_in_a_row_a_server_rests(clock):
    servers = group(clock, *URLS)
    bad = servers.servers[0]
    for _ in range(STRIKES - 1):
        servers.strike(bad)
    assert bad in servers.usable
    servers.strike(bad)
    assert bad not in servers.usable
    assert all(servers.pick([]) is not bad for _ in range(12))


def test_an_answer_clears_the_strikes(clock):
    servers = group(clock, *URLS)
    bad = servers.servers[0]
    for _ in range(10):
        servers.strike(bad)
        servers.works(bad)
    assert bad in servers.usable


def test_after_its_rest_it_serves_on_trial(clock):
    servers = group(clock, *URLS)
    bad = servers.servers[0]
    for _ in range(STRIKES):
        servers.strike(bad)
    clock.now += REST - 0.1
    servers.turn()
    assert bad not in servers.usable
    clock.now += 0.2
    servers.turn()
    assert bad in servers.usable
    servers.strike(bad)
    assert bad not in servers.usable, "one more failure sends it back"


def test_the_last_one_never_rests(clock):
    servers = group(clock, *URLS)
    for server in servers.servers:
        for _ in range(STRIKES * 2):
            servers.strike(server)
    assert len(servers.usable) == 1
    assert servers.pick([]) is servers.usable[0]


def test_a_server_that_is_down_is_never_picked(clock):
    servers = group(clock, {"url": URLS[0], "down": True}, URLS[1])
    assert {servers.pick([]) for _ in range(5)} == {servers.servers[1]}
    assert servers.pick([servers.servers[1]]) is servers.servers[1]
    assert not servers.elsewhere([servers.servers[1]])


def test_none_is_left(clock):
    servers = group(clock, {"url": URLS[0], "down": True})
    assert servers.pick([]) is None
    assert servers.describe() == [{"server": URLS[0], "state": "down"}]


def test_the_limit_of_requests(clock):
    servers = group(clock, *URLS, max_requests=2)
    first, second, third = servers.servers
    first.busy = second.busy = 2
    assert servers.free(2) is third
    third.busy = 2
    assert servers.free(2) is None
