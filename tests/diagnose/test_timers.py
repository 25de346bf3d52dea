"""Whose limit a duration is."""

import pytest

from headgate.diagnose.products import products
from headgate.diagnose.timers import IDLE, TIMERS, Timer, idle_name, timers_at


@pytest.mark.parametrize("timer", TIMERS, ids=lambda one: f"{one.product}-{one.seconds:g}")
def test_a_timer_is_found_by_its_product(timer: Timer) -> None:
    assert timer in timers_at(timer.seconds, [timer.product])
    assert timer in timers_at(timer.seconds * 1.01, [timer.product])


def test_timers_are_of_known_products() -> None:
    assert {one.product for one in TIMERS} - {""} <= set(products())


def test_the_products_own_timers_come_first_then_those_of_no_product() -> None:
    names = [(one.product, one.seconds) for one in timers_at(60.1, ["nginx"])]
    assert names == [("nginx", 60.0), ("", 60.0)]


def test_where_the_product_has_none_a_program_behind_it_may() -> None:
    assert [one.product for one in timers_at(30.05, ["haproxy"])] == [""]


def test_where_nothing_else_fits_other_products_are_named() -> None:
    assert {one.product for one in timers_at(100.3, ["nginx"])} == {"cloudflare"}


@pytest.mark.parametrize("seconds", [0.0, 1.0, 7.0, 12.0, 42.0, 59.5, 62.0, 29.9, 100_000.0])
def test_no_timer_is_near(seconds: float) -> None:
    assert timers_at(seconds, ["nginx"]) == []


def test_a_timer_fires_late_rather_than_early() -> None:
    assert timers_at(5.25, ["envoy"])
    assert not timers_at(4.9, ["envoy"])


def test_idle_times() -> None:
    for seconds, name in IDLE:
        assert idle_name(seconds) == name
    assert "nginx" in idle_name(75.4)
    assert idle_name(15.0) == ""
    assert idle_name(500.0) == ""
