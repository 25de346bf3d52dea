"""Workers as the control process sees them: only whole tallies count, nothing is counted twice, and what waits is bounded."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest

from headgate.config.load import from_data
from headgate.control.desired import Desired
from headgate.control.peers import Peer, Totals, all_draining, told_by
from headgate.net.link import WAITING, Link

SERVER = {"busy": 1, "idle": 2, "requests": 3, "failed": 1, "latency": 0.1}


def tally(**changed: Any) -> dict[str, Any]:
    upstream = {
        "requests": 5,
        "retries": 1,
        "retries_refused": 0,
        "panic": False,
        "gate": None,
        "servers": {"http://a:1": SERVER},
    }
    counts = {
        "exchanges": 5,
        "lost_lines": 1,
        "failures": {"x": 2},
        "refusals": {},
        "upstreams": {"app": upstream},
        "ejections": [],
    }
    return json.loads(json.dumps({**counts, **changed}))


def test_totals_keep_what_the_dead_counted():
    totals = Totals()
    totals.bury(tally())
    totals.bury(tally(failures={"y": 1}))
    told = totals.of_all([tally(refusals={"z": 4})])
    assert told == {"exchanges": 15, "lost_lines": 3, "failures": {"x": 4, "y": 1}, "refusals": {"z": 4}}
    assert totals.of_upstream("app", [tally()]) == {"requests": 15, "retries": 3, "retries_refused": 0}
    assert totals.of_server("app", "http://a:1", [tally()]) == {"requests": 9, "failed": 3, "busy": 1, "idle": 2}
    assert totals.of_server("app", "http://b:1", [tally()]) == {}
    assert totals.of_upstream("other", [tally()]) == {}


def test_nothing_is_counted_twice_or_not_at_all_while_a_worker_takes_the_place_of_another():
    totals, before = Totals(), Peer(0, 1)
    before.counted(tally())
    peer = Peer(0, 2, before)
    assert totals.of_all(told_by([peer]))["exchanges"] == 5, "its last words are on their way"
    before.counted(tally(exchanges=6))
    peer.counted(tally(exchanges=1))
    assert totals.of_all(told_by([peer]))["exchanges"] == 7
    totals.bury(before.leave())
    assert totals.of_all(told_by([peer]))["exchanges"] == 7
    assert totals.of_all(told_by([Peer(0, 3, peer)]))["exchanges"] == 7
    totals.bury(before.leave())
    assert totals.of_all([])["exchanges"] == 6, "it can leave only once"


def test_who_was_replaced_often_is_forgotten():
    peer = Peer(0, 1)
    for pid in range(2, 3000):
        before, peer = peer, Peer(0, pid, peer)
        peer.counted(tally())
        before.leave()
    assert len(told_by([peer])) == 1
    assert len(peer._before) <= 1


def test_attempts_of_an_upstream_are_those_of_all_its_servers_that_ever_were():
    totals = Totals()
    totals.bury(tally())
    totals.ejected("app", "http://a:1")
    other = tally()
    other["upstreams"]["app"]["servers"] = {"http://b:1": SERVER, "http://c:1": SERVER}
    assert totals.attempts([other]) == {"app": 9}
    assert totals.of_server("app", "http://a:1", [])["ejections"] == 1


def test_reloads_are_remembered():
    totals = Totals()
    totals.reloaded(True, 10.0)
    totals.reloaded(False, 20.0)
    totals.reloaded(False, 30.0)
    again = Totals()
    again.restore(json.loads(json.dumps(totals.snapshot())))
    assert again.events == {"success": 1, "success_at": 10.0, "failure": 2, "failure_at": 30.0}


def test_totals_outlive_their_process():
    totals = Totals()
    totals.bury(tally())
    again = Totals()
    again.restore(json.loads(json.dumps(totals.snapshot())))
    assert again.snapshot() == totals.snapshot()
    again.bury(tally())
    assert again.of_all([])["exchanges"] == 10
    assert again.of_server("app", "http://a:1", [])["requests"] == 6
    assert totals.of_all([])["exchanges"] == 5, "they share nothing"


@pytest.mark.parametrize("told", [{}, {"past": {}}, {"past": {"exchanges": "many"}, "servers": {}}, []])
def test_totals_of_nonsense(told):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Totals().restore(told)


def test_the_summary_for_people():
    totals = Totals()
    totals.bury(tally(failures={"b": 1, "a": 1, "c": 5}))
    assert list(totals.summary([])) == ["failed attempts: 5 c, 1 a, 1 b", "stopped after 5 exchanges, 1 log lines lost"]
    assert list(Totals().summary([])) == ["stopped after 0 exchanges"]
    assert list(Totals().summary([tally(failures={}, refusals={"r": 1}, lost_lines=0)])) == [
        "requests refused or left by clients: 1 r",
        "stopped after 5 exchanges",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"exchanges": "5"}, {"exchanges": 5.5}, {"exchanges": True}, {"exchanges": None}, {"lost_lines": []},
        {"failures": [1]}, {"failures": {"x": "1"}}, {"failures": None}, {"refusals": 3}, {"refusals": {"x": None}},
        {"upstreams": []}, {"upstreams": {"app": {}}}, {"upstreams": {"app": None}}, {"upstreams": None},
        {"upstreams": {"app": {"requests": 1, "retries": 1, "retries_refused": 1, "servers": {"a": {"requests": 1}}}}},
        {"upstreams": {"app": {"requests": 1, "retries": 1, "retries_refused": 1, "servers": 3}}},
    ],
)  # fmt: skip
def test_half_a_tally_counts_nothing(changed):
    peer = Peer(0, 1)
    peer.counted(tally())
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        peer.counted(tally(**changed))
    assert peer.counts == tally()


def test_rates_are_those_of_late(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    peer = Peer(0, 1)
    assert peer.rate() == 0.0
    for second in range(60):
        now = 100.0 + second
        peer.counted(tally(exchanges=10 * second if second < 30 else 300))
    assert peer.rate() == 0.0
    now += 1
    peer.counted(tally(exchanges=400))
    assert 5 < peer.rate() < 15


def test_who_drains():
    one, other = Peer(0, 1), Peer(1, 2)
    assert not all_draining([])
    one.counts = {"draining": True}
    assert all_draining([one])
    assert not all_draining([one, other])


def test_what_waits_for_a_worker_that_reads_nothing_is_bounded_and_the_last_word_counts():
    config = {"upstream": {"app": {"servers": [f"http://server-{number}:1" for number in range(500)]}}}

    async def part() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        peer = Peer(0, 1)
        desired = Desired(2, config, "/", from_data(config, "/"), {})
        peer.tell(desired)
        assert not peer.behind, "there is no link: it will say hello, and be told then"
        peer.link = Link(lambda message: None, lambda why: None)
        await asyncio.get_running_loop().create_connection(lambda: peer.link, sock=ours)
        for _ in range(100):
            peer.tell(desired)
        assert peer.behind
        assert peer.link._transport.get_write_buffer_size() < 2 * WAITING
        desired.standings.of["app"]["http://server-3:1"].weight = 77
        theirs.setblocking(False)
        heard = bytearray()
        for _ in range(2000):
            await asyncio.sleep(0)
            try:
                heard += theirs.recv(1 << 20)
            except BlockingIOError:
                if peer.behind:
                    peer.tell(desired)
                elif not peer.link._transport.get_write_buffer_size():
                    break
        messages = []
        while heard:
            size = int.from_bytes(heard[:4])
            messages.append(json.loads(heard[4 : 4 + size]))
            del heard[: 4 + size]
        assert [message["do"] for message in messages] == ["state"] + ["servers"] * (len(messages) - 1)
        assert messages[0]["state"]["version"] == 2
        assert messages[-1]["servers"]["app"]["http://server-3:1"]["weight"] == 77
        assert len(messages) < 100
        peer.link.close()
        await asyncio.sleep(0)
        theirs.close()

    asyncio.run(part())
