"""Which failures belong to one incident."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headgate
from headgate.incidents.grouping import LIVENESS, NO_SERVER, REUSE, family, reopening_keys
from headgate.incidents.ledger import Ledger

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(lambda _: None)


def servers(ledger: Ledger) -> list[list[str]]:
    return sorted(sorted(one.servers) for one in ledger.live.values())


def test_every_cause_named_here_is_in_the_catalogue() -> None:
    known = {path.stem for path in (Path(headgate.__file__).parent / "knowledge" / "causes").glob("*.md")}
    assert known >= LIVENESS | REUSE | NO_SERVER


def test_families() -> None:
    assert family("connection-refused", "connect") == family("response-timeout", "head")
    assert family("header-invalid", "head") != family("length-invalid", "head")
    assert family("upstream-answered-error", "head") != family("upstream-answered-error", "body")


def test_a_flapping_server_is_one_incident(ledger: Ledger, group: Group, report: Report) -> None:
    faces = ["connection-refused", "response-timeout", "connection-timeout", "connection-reset"]
    for n in range(40):
        ledger.take(report(n, group(faces[n % 4])), n)
    (one,) = ledger.live.values()
    assert one.failed == 40
    assert {cause for cause, _ in one.causes} == set(faces)


def test_the_main_cause_is_the_one_of_most_failures(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("response-timeout", count=2), group("connection-refused", count=9)), 0)
    (one,) = ledger.live.values()
    assert one.main() == ("connection-refused", "connect")


def test_while_open_the_main_cause_is_that_of_now_and_later_that_of_all(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("connection-refused", count=1000)), 0)
    for n in range(1, 11):
        ledger.take(report(n * 25, group("response-timeout", count=20)), n * 25)
    (one,) = ledger.live.values()
    assert one.main() == ("response-timeout", "head")
    ledger.resolve(one, "resolve", 300)
    assert one.main() == ("connection-refused", "connect")


def test_another_reason_is_another_incident(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("connection-refused"), group("certificate-expired"), group("header-invalid")), 0)
    assert len(ledger.live) == 3


def test_another_upstream_is_another_incident(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group(), group(upstream="mail")), 0)
    assert len(ledger.live) == 2


def test_servers_that_fail_together_are_one_incident(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, *(group(server=f"s{n}") for n in range(50))), 0)
    (one,) = ledger.live.values()
    assert one.asked_servers() == 50


def test_servers_that_fail_one_after_the_other_are_one_incident(ledger: Ledger, group: Group, report: Report) -> None:
    for n in range(20):
        at = n * 100
        ledger.take(report(at, *(group(server=f"s{m}") for m in range(n + 1))), at)
    assert len(ledger.live) == 1


def test_a_server_that_begins_much_later_has_its_own(ledger: Ledger, group: Group, report: Report) -> None:
    for n in range(10):
        ledger.take(report(n * 20, group(server="a")), n * 20)
    ledger.take(report(200, group(server="b")), 200)
    assert servers(ledger) == [["a"], ["b"]]


def test_servers_with_different_causes_have_their_own(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("connection-refused", "a"), group("response-timeout", "b")), 0)
    assert servers(ledger) == [["a"], ["b"]]


@pytest.mark.parametrize("first", ["connection-refused", "no-healthy-server"])
def test_that_no_server_is_left_belongs_to_why(ledger: Ledger, group: Group, report: Report, first: str) -> None:
    why, what = group("connection-refused", "a"), group("no-healthy-server", "", count=50)
    for n, one in enumerate([why, what] if first == "connection-refused" else [what, why]):
        ledger.take(report(n, one), n)
    (incident,) = ledger.live.values()
    assert incident.main()[0] == "connection-refused"
    assert incident.failed == 51


def test_no_server_left_keeps_it_open(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("connection-refused", "a")), 0)
    for n in range(100):
        ledger.take(report(n, group("no-healthy-server", "")), n)
        ledger.settle(n)
    assert [one.state for one in ledger.live.values()] == ["open"]


def test_kept_connections_that_close_belong_to_a_server_that_is_down(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("closed-on-reuse", "a", phase="head")), 0)
    ledger.take(report(1, group("connection-refused", "a")), 1)
    ledger.take(report(20, group("reset-on-reuse", "a", phase="head")), 20)
    (one,) = ledger.live.values()
    assert one.main()[0] == "connection-refused"


def test_kept_connections_that_close_all_the_time_are_their_own(ledger: Ledger, group: Group, report: Report) -> None:
    for n in range(30):
        ledger.take(report(n * 10, group("closed-on-reuse", "a", phase="head")), n * 10)
    ledger.take(report(300, group("connection-refused", "a")), 300)
    assert sorted(one.main()[0] for one in ledger.live.values()) == ["closed-on-reuse", "connection-refused"]


def test_a_kept_connection_that_closes_does_not_reopen_what_it_only_accompanied() -> None:
    down, reuse = ("u", "a", "connection-refused", "connect"), ("u", "a", "closed-on-reuse", "head")
    assert reopening_keys([down, reuse]) == [down]
    assert reopening_keys([reuse]) == [reuse]


def test_the_same_again_reopens_and_another_face_does_not(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group("connection-refused")), 0)
    ledger.settle(100)
    ledger.take(report(1000, group("connection-refused")), 1000)
    (one,) = ledger.live.values()
    assert (one.state, one.reopenings, one.failed) == ("open", 1, 2)
    ledger.settle(2000)
    ledger.take(report(3000, group("response-timeout")), 3000)
    assert len(ledger.live) == 2


def test_every_server_of_a_reopened_incident_is_in_it_again(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, *(group(server=name) for name in "abc")), 0)
    ledger.settle(100)
    for n in range(100):  # far beyond the time in which it could be reopened
        at = 1000 + n * 100
        ledger.take(report(at, *(group(server=name) for name in "abc")), at)
        ledger.settle(at)
    assert len(ledger.live) == 1


def test_later_than_that_it_is_another_one(ledger: Ledger, group: Group, report: Report) -> None:
    ledger.take(report(0, group()), 0)
    ledger.settle(100)
    ledger.take(report(100 + 3601, group()), 100 + 3601)
    assert len(ledger.live) == 2
