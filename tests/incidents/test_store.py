"""The store as the control process uses it: what goes in comes out, now and after a restart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.incidents import store as module
from headgate.incidents.rows import LARGEST, pack
from headgate.incidents.store import Store

Group = Callable[..., dict[str, Any]]
Report = Callable[..., dict[str, Any]]

HOSTILE = "\x00\x1b[31m<script>alert(1)</script>\udc80\ud800'; DROP TABLE incident; --" + "é" * 5000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "incidents.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path, 0)
    yield opened
    opened.close(0)


def again(store: Store, path: Path, now: float) -> Store:
    store.close(now)
    return Store(path, now)


def only(store: Store) -> dict[str, Any]:
    (one,) = store.incidents()
    whole = store.incident(one["id"])
    assert whole is not None
    assert whole.items() >= one.items()
    return whole


def test_all_of_an_incident_survives_a_restart(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.event(1, "reload", "configuration 7", "shop")
    for n in range(90):
        sample = {"reference": f"ref-{n}", "attempts": [{"server": "a:1"}]}
        groups = [group(server=server, count=2, clients=[f"{n % 30:016x}"], samples=[sample]) for server in ("a:1", "b:1")]
        store.take(report(10 + n, *groups), 10 + n)
        store.flush(10 + n)
    id = only(store)["id"]
    store.acknowledge(id, "Ada", "on it", 50)
    store.silence(id, "Ada", "", 51, until=500)
    store.autopsy(id, {"cause": "program-not-running"}, 52)
    before = only(store)
    after = only(again(store, path, 100))
    assert after == before
    assert (after["failed"], after["clients"], after["clients_more"]) == (360, 30, False)
    assert [row["server"] for row in after["servers"]] == ["a:1", "b:1"]
    assert (after["server"], after["servers_count"]) == ("", 2)
    assert len(after["seconds"]) == 90
    assert after["minutes"] == [[0, 200, 200, 0], [60, 160, 160, 0]]
    assert [one["reference"] for one in after["samples"]] == [
        "ref-0",
        "ref-0",
        "ref-1",
        *(f"ref-{n}" for n in (87, 88, 88, 89, 89)),
    ]
    assert after["acknowledged"] == {"by": "Ada", "note": "on it", "at": 50}
    assert after["silenced_until"] == 500
    assert [one["action"] for one in after["actions"]] == ["acknowledge", "silence"]
    assert after["verdicts"] == [{"at": 52, "verdict": {"cause": "program-not-running"}}]
    assert [one["text"] for one in after["events"]] == ["configuration 7"]
    json.dumps(after, allow_nan=False)


def test_a_report_may_come_in_its_envelope(store: Store, group: Group, report: Report) -> None:
    store.take({"report": report(0, group())}, 0)
    assert only(store)["failed"] == 1


def test_commits_about_once_a_second(store: Store, group: Group, report: Report) -> None:
    store.take(report(0, group()), 0)
    assert not store.flush(0.5)
    assert store.flush(1.0)
    store.take(report(1, group()), 1)
    assert not store.flush(1.9)
    assert store.flush(0.1), "the clock was set back"


def test_an_incident_that_is_over_is_let_go_of_and_reopened_from_the_file(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take(report(0, group(clients=["00000000000000aa"])), 0)
    store.flush(100)
    assert not store._ledger.live
    store = again(store, path, 200)
    store.take(report(300, group(clients=["00000000000000aa", "00000000000000bb"])), 300)
    one = only(store)
    assert (one["state"], one["failed"], one["reopenings"], one["clients"]) == ("open", 2, 1, 2)
    store.close(300)


def test_clients_are_forgotten_when_it_cannot_be_reopened_and_still_counted(store: Store, group: Group, report: Report) -> None:
    store.take(report(0, group(clients=["00000000000000aa", "00000000000000bb"])), 0)
    store.flush(100)
    store.tidy(3600)
    assert store._file.read("SELECT count(*) FROM client") == [(1,)]
    store.tidy(3800)
    assert store._file.read("SELECT count(*) FROM client") == [(0,)]
    assert only(store)["clients"] == 2


def test_open_incidents_those_that_users_saw_first(store: Store, group: Group, report: Report) -> None:
    for n, (upstream, seen) in enumerate([("a", 1), ("b", 0), ("c", 1), ("d", 0)]):
        store.take(report(n, group(upstream=upstream, seen=seen)), n)
    assert [one["upstream"] for one in store.open_incidents()] == ["c", "a", "d", "b"]
    assert [one["severity"] for one in store.open_incidents()] == ["seen", "seen", "near-miss", "near-miss"]


def test_incidents_by_time_state_and_upstream(store: Store, group: Group, report: Report) -> None:
    for n in range(6):
        at = n * 1000
        store.take(report(at, group(upstream=f"u{n % 2}", cause=f"cause-{n}")), at)
        store.flush(at)

    def ask(**how: Any) -> list[float]:
        return [one["first"] for one in store.incidents(**how)]

    assert ask() == [5000, 4000, 3000, 2000, 1000, 0]
    assert ask(limit=2) == [5000, 4000]
    assert ask(since=2000, until=4000) == [4000, 3000, 2000]
    assert ask(state="open") == [5000]
    assert ask(state="resolved", limit=2) == [4000, 3000]
    assert ask(upstream="u0") == [4000, 2000, 0]
    assert ask(upstream="nothing") == []


def test_find_by_reference_written_or_not(store: Store, group: Group, report: Report) -> None:
    store.take(report(0, group(samples=[{"reference": "abc"}])), 0)
    found = store.find("abc")
    assert found == {"incident": only(store)["id"], "record": {"reference": "abc"}}
    store.flush(2)
    assert store.find("abc") == found
    assert store.find("other") is None
    assert store.find("") is None
    assert store.find("'; --\udc80") is None


def test_similar_is_of_the_same_upstream_and_cause(store: Store, group: Group, report: Report) -> None:
    for n, (upstream, cause) in enumerate([("shop", "x"), ("shop", "x"), ("mail", "x"), ("shop", "y"), ("", "x"), ("shop", "x")]):
        at = n * 10_000
        store.take(report(at, group(upstream=upstream, cause=cause)), at)
        store.flush(at)
    newest, *_ = store.incidents()
    assert [one["first"] for one in store.similar(newest["id"])] == [10_000, 0]
    assert store.similar(store.incidents(since=40_000, until=40_000)[0]["id"]) == []
    assert store.similar("NOTTHERE") == []


def test_changes_come_again_where_it_was_not_written_that_they_were_told(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take(report(0, group()), 0)
    store.flush(1)
    assert [what for _, what in store.changes(1)] == ["opened"]
    store._file.close()  # as if it were killed
    store = Store(path, 2)
    assert [what for _, what in store.changes(2)] == ["opened"]
    store = again(store, path, 3)
    assert store.changes(3) == []
    assert [what for _, what in store.changes(100)] == ["resolved"]
    store.close(100)


def test_resolved_by_hand_and_contradicted(store: Store, group: Group, report: Report) -> None:
    store.take(report(0, group()), 0)
    id = only(store)["id"]
    summary = store.resolve(id.lower(), "Ada", "restarted it", 5)
    assert summary is not None
    assert (summary["state"], summary["resolved"]) == ("resolved", 5)
    store.take(report(6, group()), 6)
    assert [what for _, what in store.changes(6)] == ["opened", "resolved", "reopened"]
    assert only(store)["reopened"] == [6]


def test_what_is_not_there_cannot_be_acted_on(store: Store) -> None:
    assert store.acknowledge("NOTTHERE", "x", "", 0) is None
    assert store.resolve("", "x", "", 0) is None
    assert store.silence("\udc80" * 900, "x", "", 0, 1) is None
    assert not store.autopsy("NOTTHERE", {}, 0)
    assert store.incident("NOTTHERE") is None


def test_events_of_ten_minutes_before_and_of_its_time(store: Store, group: Group, report: Report) -> None:
    for at in (399, 400, 999, 1005, 1500):
        store.event(at, "dns", str(at))
    store.event(1001, "drained", "mine", "shop", "a:1")
    store.event(1001, "drained", "another's", "mail")
    store.take(report(1000, group()), 1000)
    before = only(store)["events"]
    store.resolve(only(store)["id"], "", "", 1100)
    store.flush(1500)
    after = only(store)["events"]
    assert [one["text"] for one in before] == ["400", "999", "mine", "1005", "1500"]
    assert [one["text"] for one in after] == ["400", "999", "mine", "1005"]


def test_the_first_verdict_and_the_latest_are_kept(store: Store, group: Group, report: Report) -> None:
    store.take(report(0, group()), 0)
    id = only(store)["id"]
    for n in range(50):
        store.autopsy(id, {"n": n}, n)
        store.flush(n, at_once=True)
    assert [one["verdict"]["n"] for one in only(store)["verdicts"]] == [0, *range(31, 50)]


def test_hostile_strings_everywhere(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    sample = {"reference": HOSTILE, "target": HOSTILE, HOSTILE: HOSTILE, "number": float("nan")}
    whole = {"reference": "r", "attempts": [{"evidence": [HOSTILE]}]}
    hostile = group(HOSTILE, HOSTILE, upstream=HOSTILE, phase=HOSTILE, routes={HOSTILE: 1}, clients=[HOSTILE, "zz", 5])
    store.take(report(0, {**hostile, "samples": [sample, whole, HOSTILE]}), 0)
    store.event(0, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    id = only(store)["id"]
    store.acknowledge(id, HOSTILE, HOSTILE, 1)
    store.autopsy(id, {"cause": HOSTILE, "endless": float("inf")}, 1)
    store.flush(2)
    assert store.note == ""
    assert store.lost == 0
    store = again(store, path, 3)
    text = json.dumps(only(store), ensure_ascii=False)
    text.encode()
    assert len(text) < 50_000
    assert len(store.incidents(upstream=only(store)["upstream"])) == 1
    assert only(store)["clients"] == 1
    assert store._file.read("SELECT count(*) FROM incident") == [(1,)]
    store.close(3)


def test_a_sample_that_is_too_large_keeps_what_is_short() -> None:
    attempt = {"server": "a", "evidence": ["x" * 100]}
    large = {"reference": "r", "status": 502, "attempts": [attempt] * 1000, "sentence": "y" * 90_000}
    kept = json.loads(pack(large))
    assert (kept["reference"], kept["status"], len(kept["attempts"])) == ("r", 502, 2)
    assert len(kept["sentence"]) == 2000
    assert "left_out" in kept
    assert len(pack({"a": ["x" * LARGEST]})) < 100
    endless: list[Any] = []
    endless.append(endless)
    assert json.loads(pack(endless)) == {"left_out": "not readable"}


def test_what_the_workers_dropped_is_counted_and_survives(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take({**report(0, group()), "dropped": 7}, 0)
    store._ledger.lost = 3
    store = again(store, path, 1)
    assert (store.dropped, store.lost) == (7, 3)
    store.close(1)


def test_a_damaged_row_is_left_alone(path: Path, group: Group, report: Report) -> None:
    store = Store(path, 0)
    store.take(report(0, group(upstream="a"), group(upstream="b")), 0)
    store.flush(1)
    store._file.run("UPDATE incident SET body = '{' WHERE upstream = 'a'")
    store = again(store, path, 2)
    assert [one["upstream"] for one in store.incidents()] == ["b"]
    assert store.note == ""
    store.close(2)


def test_a_burst_is_counted_whole(store: Store, group: Group, report: Report) -> None:
    for n in range(400):
        many = [group(upstream=f"u{m % 5}", server=f"s{m}", count=1, samples=[{"reference": f"{n}.{m}"}]) for m in range(250)]
        store.take(report(n / 4, *many), n / 4)
        store.flush(n / 4)
    assert sum(one["failed"] for one in store.incidents()) == 100_000
    assert len(store.incidents()) == 5
    assert len(store._ledger.live) == 5
    assert all(len(store.incident(one["id"])["samples"]) == 8 for one in store.incidents())  # type: ignore[index]


def test_events_and_verdicts_that_cannot_be_written_are_bounded(
    store: Store, group: Group, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 5)
    store.take(report(0, group()), 0)
    id = only(store)["id"]
    for n in range(20):
        store.event(n, "kind", str(n))
        store.autopsy(id, {"n": n}, n)
    assert [one["text"] for one in only(store)["events"]] == [str(n) for n in range(15, 20)]
    assert len(only(store)["verdicts"]) == 5


def test_lists_have_pages_also_where_many_began_at_the_same_moment(tmp_path):
    store = Store(tmp_path / "incidents", 1000.0)
    for number in range(25):
        group = {"upstream": f"u{number}", "server": "s", "cause": "connection-refused", "phase": "connect", "count": 1}
        store.take({"at": 1000.0 + number // 10, "groups": [group]}, 1000.0 + number // 10)
    store.flush(1003.0, at_once=True)
    store.resolve(store.incidents(upstream="u3")[0]["id"], "me", "", 1003.0)
    found, after = [], None
    while page := store.incidents(limit=4, after=after, cause="connection-refused"):
        found += page
        after = (page[-1]["first"], page[-1]["id"])
        store.flush(1004.0 + len(found), at_once=True)
    assert len({one["id"] for one in found}) == len(found) == 25
    assert [(-one["first"], one["id"]) for one in found] == sorted((-one["first"], one["id"]) for one in found)
    assert store.incidents(cause="connection-timeout") == []
    store.close(2000.0)
