"""The laws of incidents: every failure in exactly one, none twice open, reopened instead of doubled, over when it is quiet."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.incidents import ledger as module
from headgate.incidents.grouping import REUSE, family
from headgate.incidents.ledger import Ledger, normal_id
from headgate.incidents.store import Store

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]

CAUSES = ["connection-refused", "response-timeout", "certificate-expired", "no-healthy-server", "closed-on-reuse"]
groups = st.builds(
    lambda upstream, server, cause, count, rescued: {
        "upstream": upstream, "server": "" if cause == "no-healthy-server" else server, "cause": cause, "phase": "head",
        "count": count, "seen": 0 if rescued else count, "rescued": count if rescued else 0, "routes": {"/": count},
        "clients": [f"{count:016x}"], "samples": [{"reference": f"{server}{count}"}],
    },
    st.sampled_from(["shop", "mail"]), st.sampled_from("abc"), st.sampled_from(CAUSES), st.integers(1, 9), st.booleans(),
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("take"), st.lists(groups, min_size=1, max_size=4)),
    st.tuples(st.just("wait"), st.sampled_from([0.2, 5.0, 40.0, 130.0, 1000.0, 5000.0, -300.0])),
    st.tuples(st.just("resolve"), st.integers(0, 5)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("tidy"), st.none()),
)


class World:
    """A store, what it was given, and its laws."""

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.taken = path, 1_000_000.0, 0
        self.store = Store(path, self.now)

    def all(self) -> list[dict[str, Any]]:
        return self.store.incidents(limit=1000)

    def do(self, what: str, how: Any) -> None:
        if what == "take":
            for one in how:
                self.take(one)
        elif what == "wait":
            self.now += how
            self.store.flush(self.now)
        elif what == "resolve":
            for one in self.store.open_incidents()[how:][:1]:
                self.store.resolve(one["id"], "me", "", self.now)
        elif what == "restart":
            self.store.close(self.now)
            self.store = Store(self.path, self.now)
        else:
            self.store.tidy(self.now)

    def take(self, one: dict[str, Any]) -> None:
        before = self.all()
        self.store.take({"at": self.now, "groups": [one]}, self.now)
        self.taken += one["count"]
        known = [other for other in before if self.reopens(other, one)]
        if known:
            assert len(self.all()) == len(before), (one, known)

    def reopens(self, other: dict[str, Any], one: dict[str, Any]) -> bool:
        """Return whether an incident has failures of the key, and is open or was resolved within the hour."""
        recent = other["upstream"] == one["upstream"]
        recent &= other["state"] == "open" or other["resolved"] + 3600 > self.now
        same = self.store._peek(other["id"])
        assert same is not None
        return recent and one["cause"] not in REUSE and (one["server"], one["cause"], "head") in same.keys

    def check(self) -> None:
        found = self.all()
        assert sum(one["failed"] for one in found) + self.store.lost == self.taken
        claims: list[tuple[str, str, str]] = []
        for one in found:
            whole = self.store.incident(one["id"])
            assert whole is not None
            for part in ("causes", "servers", "routes"):
                assert sum(row.get("failed", row.get("count")) for row in whole[part]) == one["failed"]
            assert [sum(row[n] for row in whole["minutes"]) for n in (1, 2, 3)] == [one["failed"], one["seen"], one["rescued"]]
            assert one["seen"] + one["rescued"] == one["failed"]
            assert (one["severity"] == "seen") == (one["seen"] > 0)
            if one["state"] == "open":
                same = self.store._peek(one["id"])
                assert same is not None
                claims += {(one["upstream"], server, family(cause, phase)) for server, cause, phase in same.keys}
        listed = {one["id"] for one in self.store.open_incidents()}
        assert listed == {one["id"] for one in found if one["state"] == "open"}
        assert len(claims) == len(set(claims))


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25))
def test_the_laws(script: list[tuple[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder) / "incidents.db")
        for step in script:
            world.do(*step)
            world.check()
        world.do("wait", 901.0)
        world.do("tidy", None)
        assert world.store.open_incidents() == []
        world.check()
        world.store.close(world.now)
        assert world.store.note == ""


@settings(max_examples=100)
@given(st.floats(0.3, 9.9), st.integers(3, 60))
def test_a_steady_rhythm_is_never_taken_for_the_end(period: float, times: int) -> None:
    ledger, now = Ledger(lambda _: None), 0.0
    group = {"upstream": "u", "server": "a", "cause": "connection-refused", "phase": "connect", "count": 1}
    for _ in range(times):
        ledger.take({"at": now, "groups": [group]}, now)
        now += period
        ledger.settle(now)
    assert [one.failed for one in ledger.open.values()] == [times]
    assert ledger.changes == [(next(iter(ledger.open)), "opened")]
    ledger.settle(now + 29)
    assert len(ledger.open) == (29 + period < 30)
    ledger.settle(now + 31)
    assert not ledger.open


@pytest.mark.parametrize("typed", ["a0b1-c2d3", "AOBI C2D3", " aobl-c2d3 "])
def test_an_identifier_is_understood_as_it_is_said(typed: str) -> None:
    assert normal_id(typed) == "A0B1C2D3"


def test_changes_are_told_once_and_what_was_not_told_is_not_worse(group: Group, report: Report) -> None:
    ledger = Ledger(lambda _: None)
    ledger.take(report(0, group(seen=0)), 0)
    ledger.take(report(1, group(count=500)), 1)
    ledger.settle(1)
    (id,) = ledger.live
    assert ledger.told(1) == [(id, "opened")]
    ledger.take(report(2, group(count=500)), 2)
    ledger.settle(2)
    assert ledger.told(2) == []
    for at in (20, 40, 70):
        ledger.take(report(at, group(count=1700)), at)
    ledger.settle(70)
    assert ledger.told(70) == [(id, "worse")]
    ledger.settle(1000)
    assert ledger.told(1000) == [(id, "resolved")]


def test_near_misses_that_users_see_in_the_end_are_worse(group: Group, report: Report) -> None:
    ledger = Ledger(lambda _: None)
    ledger.take(report(0, group(seen=0, rescued=1)), 0)
    ledger.told(0)
    ledger.take(report(1, group()), 1)
    ledger.settle(1)
    assert [what for _, what in ledger.told(1)] == ["worse"]


def test_what_has_no_room_is_counted(group: Group, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIVE", 10)
    ledger = Ledger(lambda _: None)
    ledger.take(report(0, *(group(upstream=f"u{n}", count=3) for n in range(15))), 0)
    assert (len(ledger.live), ledger.lost) == (10, 15)
    ledger.settle(100)  # they are over, and cannot be written
    ledger.take(report(100, group(upstream="new")), 100)
    assert ledger.lost == 18
    assert sum(one.failed for one in ledger.live.values()) == 28
    ledger.take(report(101, *(group(upstream=f"u{n}") for n in range(10))), 101)
    assert sum(one.failed for one in ledger.live.values()) + ledger.lost == 15 * 3 + 1 + 10


def test_clients_are_told_apart_up_to_a_number(group: Group, report: Report) -> None:
    ledger = Ledger(lambda _: None)
    for n in range(200):
        clients = [f"{n * 63 + m:016x}" for m in range(64)]  # the last one comes again as the next first
        ledger.take(report(n, group(clients=clients)), n)
        (one,) = ledger.live.values()
        assert one.client_count() == min((n + 1) * 63 + 1, 10_000)
        assert one.clients_more == ((n + 1) * 63 + 1 > 10_000)


def test_memory_for_clients_is_bounded_over_all_incidents(group: Group, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLIENTS", 100)
    ledger = Ledger(lambda _: None)
    for n in range(10):
        ledger.take(report(0, group(upstream=f"u{n}", clients=[f"{n:08x}{m:08x}" for m in range(30)])), 0)
    assert sum(one.client_count() for one in ledger.live.values()) == 100
    assert [one.clients_more for one in ledger.live.values()] == [False] * 3 + [True] * 7


def test_seconds_become_minutes_where_they_cannot_be_written(
    group: Group, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 100)
    ledger = Ledger(lambda _: None)
    for n in range(300):
        ledger.take(report(n, group(count=2)), n)
        ledger.not_written()
    (one,) = ledger.live.values()
    assert len(one.pending.seconds) <= 101
    assert one.pending.all_minutes() == {n * 60: [120, 120, 0] for n in range(5)}


def test_many_servers_and_routes_are_bounded_and_nothing_is_lost(group: Group, report: Report) -> None:
    ledger = Ledger(lambda _: None)
    for n in range(60):
        many = (group(server=f"s{n}.{m}", routes={f"r{n}.{m}": 1}) for m in range(100))
        ledger.take(report(n, *many), n)
    counted = list(ledger.live.values())
    assert sum(one.failed for one in counted) == 6000
    assert max(len(one.servers) for one in counted) <= 5000
    assert len(counted) == 2
    assert sum(sum(one.routes.values()) for one in counted) == 6000
    assert max(len(one.routes) for one in counted) <= 201


@pytest.mark.parametrize("bad", [
    None, 5, [], {}, {"groups": None}, {"groups": [None, 5, {}]}, {"groups": [{"count": "many"}]}, {"groups": [{"count": -1}]},
    {"groups": [{"count": 0}]},
    {"at": "now", "dropped": "x", "groups": [{"count": True, "routes": 3, "clients": 5, "samples": {}}]},
])  # fmt: skip
def test_what_is_no_report_does_no_harm(bad: Any) -> None:
    ledger = Ledger(lambda _: None)
    ledger.take(bad, 0)
    assert sum(one.failed for one in ledger.live.values()) <= 1


def test_a_report_from_the_past_or_the_future_is_of_now(group: Group, report: Report) -> None:
    for said, at in ((995, 995), (900, 1000), (2000, 1000)):
        ledger = Ledger(lambda _: None)
        ledger.take(report(said, group()), 1000)
        assert [one.last for one in ledger.live.values()] == [at]
