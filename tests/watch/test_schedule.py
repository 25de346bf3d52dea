"""Waiting times: steady while up, sooner after a change, rarer while down, and never against what the server asks."""

from headgate.watch.schedule import FASTEST, Schedule


def waits(schedule: Schedule, count: int, up: bool = False, changed: bool = False, retry_after: float = -1.0) -> list[float]:
    return [schedule.next(up, changed, retry_after) for _ in range(count)]


def test_up_is_steady_with_jitter() -> None:
    found = waits(Schedule(100), 200, up=True)
    assert all(90 <= wait <= 110 for wait in found)
    assert len({round(wait, 3) for wait in found}) > 100


def test_down_becomes_rare_but_not_endlessly() -> None:
    found = waits(Schedule(10), 40)
    assert all(wait < 12 for wait in found[:3])
    assert max(found) <= 8 * 10 * 1.1
    assert min(found[20:]) >= 8 * 10 * 0.9


def test_after_a_change_it_looks_sooner_and_begins_anew() -> None:
    schedule = Schedule(100)
    waits(schedule, 20)
    assert schedule.next(False, True) <= 27.5
    assert schedule.next(False, False) <= 110


def test_somebody_who_waits_gets_no_backing_off() -> None:
    assert max(waits(Schedule(10, steady=True), 50)) <= 11


def test_retry_after_is_honoured_up_to_an_hour() -> None:
    assert Schedule(10).next(False, True, 120) == 120
    assert Schedule(10).next(False, True, 1e9) == 3600


def test_it_never_hammers() -> None:
    assert min(waits(Schedule(0.000001), 50, up=True)) >= FASTEST
