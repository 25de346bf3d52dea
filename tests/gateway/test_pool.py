"""Idle connections to one server, and what its closing teaches; no sockets, and a clock of our own."""

import pytest

from headgate.config.schema import KeepAlive
from headgate.gateway.pool import FORGET_AFTER, Server, below


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Connection:
    """Stands for an Upstream."""

    def __init__(self, rested_since: float, *, fit: bool = True) -> None:
        self.rested_since = rested_since
        self.closed = False
        self._fit = fit

    def fit(self) -> bool:
        return self._fit

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock():
    return Clock()


def server(clock, **settings):
    return Server("http://a:1", None, KeepAlive(**settings), clock)


def test_the_latest_used_is_taken_first(clock):
    pool = server(clock)
    connections = [Connection(clock.now) for _ in range(3)]
    assert all(pool.keep(connection) for connection in connections)
    assert [pool.take() for _ in range(4)] == [*reversed(connections), None]
    assert not any(connection.closed for connection in connections)


def test_what_rested_too_long_or_is_unfit_is_closed_on_the_way(clock):
    pool = server(clock, idle="10s")
    old, broken, good = Connection(clock.now - 10), Connection(clock.now, fit=False), Connection(clock.now - 9.9)
    for connection in (good, old, broken):
        pool.keep(connection)
    assert pool.take() is good
    assert (old.closed, broken.closed, good.closed) == (True, True, False)


def test_no_more_are_kept_than_allowed(clock):
    pool = server(clock, connections=2)
    assert [pool.keep(Connection(clock.now)) for _ in range(3)] == [True, True, False]
    assert not server(clock, connections=0).keep(Connection(clock.now))


def test_dropping_and_closing(clock):
    pool = server(clock)
    one, other = Connection(clock.now), Connection(clock.now)
    pool.keep(one)
    pool.keep(other)
    pool.drop(one)
    pool.drop(one)
    pool.close_idle()
    assert (one.closed, other.closed, pool.idle) == (False, True, [])


@pytest.mark.parametrize("limit", [0.4, 1, 2, 5, 15, 60, 75, 300])
def test_a_connection_is_gone_before_the_server_closes_it(limit):
    assert limit / 2 <= below(limit) < limit


def test_keep_alive_timeout_is_believed(clock):
    pool = server(clock, idle="55s")
    pool.told(5)
    assert pool.idle_limit == below(5)
    pool.told(500)
    assert pool.idle_limit <= 55


def test_a_server_that_grants_nothing_gets_nothing_kept(clock):
    pool = server(clock)
    pool.told(0)
    assert not pool.keep(Connection(clock.now))


def test_two_closes_after_the_same_rest_teach_a_limit(clock):
    pool = server(clock, idle="55s")
    pool.closed_idle(15.0)
    assert pool.idle_limit == 55
    pool.closed_idle(15.2)
    assert pool.idle_limit == below(15.0)


@pytest.mark.parametrize("rests", [(15.0, 30.0), (15.0, 5.0, 40.0), (0.1, 0.1, 0.1), (0.0, 0.0), (80.0, 80.0)])
def test_closes_that_do_not_agree_or_say_nothing_teach_nothing(clock, rests):
    pool = server(clock, idle="55s")
    for rest in rests:
        pool.closed_idle(rest)
    assert pool.idle_limit == 55


def test_what_was_learned_is_forgotten_after_ten_minutes(clock):
    pool = server(clock, idle="55s")
    pool.closed_idle(15.0)
    pool.closed_idle(15.0)
    clock.now += FORGET_AFTER - 1
    pool.refresh()
    assert pool.idle_limit == below(15.0)
    clock.now += 2
    pool.refresh()
    assert pool.idle_limit == 55
    pool.closed_idle(15.0)
    assert pool.idle_limit == 55, "the hint of then no longer counts"


def test_a_server_that_now_grants_more_is_believed_in_time(clock):
    """It said 5 seconds, was given other settings, and says 60 with every response."""
    pool = server(clock, idle="55s")
    pool.told(5)
    for _ in range(int(FORGET_AFTER)):
        clock.now += 2
        pool.refresh()
        pool.told(60)
    assert pool.idle_limit > below(5)
