"""Who is told of what: each change once, by the rules, and nobody of what is silenced."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headgate.config.notify import Notify
from headgate.notify import notifier as module
from headgate.notify.message import example
from headgate.notify.notifier import Known, Notifier, Rules
from headgate.notify.share import Traffic

from .conftest import Receiver, destination, until


def rule(**keys: Any) -> Notify:
    return Notify.model_validate(keys)


def summary(id: str = "AAAA", **more: Any) -> dict[str, Any]:
    return {**example(time.time(), test=False), "opened": time.time() + 5, "id": id, **more}


def play(
    receiver: Receiver, work: Callable[[Notifier], Awaitable[None]], *rules: Notify, known: Known | None = None, **more: Any
) -> list[tuple[str, str]]:
    """Run a notifier with one webhook called "hook" for a while; return what was told, as (what, id of the incident)."""

    async def run() -> None:
        settings = destination(url=receiver.url, rate="10000/s", **more)
        one = Notifier(
            Rules({"hook": settings}, rules, "web1"), say=lambda _: None, link=lambda id: f"http://g/{id}", known=known
        )
        await work(one)
        assert await one.close(10.0) == 0

    asyncio.run(run())
    return [(got.data["what"], got.data["key"].rpartition("/")[2]) for got in receiver.got]


def changes(*told: tuple[str, dict[str, Any]]) -> Callable[[Notifier], Awaitable[None]]:
    """Return what tells a notifier of changes, one after the other, each when the one before was dealt with."""

    async def work(one: Notifier) -> None:
        for change in told:
            one.changed(time.time(), [change])
            await until(lambda: all(state["waiting"] == 0 for state in one.state().values()))

    return work


OVER: dict[str, Any] = {"state": "resolved", "resolved": 5.0}


def test_without_rules_what_users_saw_is_told(receiver: Receiver) -> None:
    told = play(receiver, changes(
        ("opened", summary()), ("changed", summary()), ("worse", summary(seen=900)), ("resolved", summary(**OVER)),
        ("reopened", summary(reopenings=1)), ("opened", summary("BBBB", severity="near-miss", seen=0)),
        ("resolved", summary("BBBB", severity="near-miss", seen=0, **OVER)),
    ))  # fmt: skip
    assert told == [("opened", "AAAA"), ("worse", "AAAA"), ("resolved", "AAAA"), ("reopened", "AAAA")]


def test_a_near_miss_that_users_begin_to_see_is_told_as_soon_as_they_do(receiver: Receiver) -> None:
    told = play(receiver, changes(
        ("opened", summary(severity="near-miss")), ("worse", summary(severity="seen")), ("resolved", summary(**OVER)),
    ), rule(on=("opened", "resolved")))  # fmt: skip
    assert told == [("opened", "AAAA"), ("resolved", "AAAA")]


def test_silenced_incidents_tell_nobody(receiver: Receiver) -> None:
    silenced = {"silenced_until": time.time() + 60}
    told = play(receiver, changes(
        ("opened", summary(**silenced)), ("worse", summary(**silenced, seen=800)), ("resolved", summary(**silenced, **OVER)),
    ))  # fmt: skip
    assert told == []
    told = play(receiver, changes(("opened", summary(silenced_until=time.time() - 5))))
    assert told == [("opened", "AAAA")]


def test_one_that_is_silenced_while_it_waits_tells_nobody(receiver: Receiver) -> None:
    known = Known(incident=lambda id: summary(id, silenced_until=time.time() + 60))
    assert play(receiver, changes(("opened", summary())), known=known) == []


def test_acknowledged_ones_tell_that_they_get_worse_or_are_over(receiver: Receiver) -> None:
    on = {"acknowledged": {"by": "ann", "note": "", "at": 7.0}}
    everything = rule(on=("opened", "worse", "changed", "resolved", "reopened"))
    told = play(receiver, changes(
        ("opened", summary()), ("changed", summary(**on)), ("worse", summary(**on, seen=999)),
        ("resolved", summary(**on, **OVER)),
    ), everything)  # fmt: skip
    assert told == [("opened", "AAAA"), ("worse", "AAAA"), ("resolved", "AAAA")]


@pytest.mark.parametrize(("keys", "fits"), [
    ({"upstreams": ("shop",)}, True), ({"upstreams": ("sh*",)}, True), ({"upstreams": ("other", "x")}, False),
    ({"causes": ("connection-*",)}, True), ({"causes": ("tls-*",)}, False),
    ({"servers": ("http://10.0.0.5:8000",)}, True), ({"servers": ("http://10.0.0.6:*",)}, False),
    ({"routes": ("shop.example.org/",)}, True), ({"routes": ("x",)}, False),
    ({"on": ("resolved",)}, False), ({"to": ("hook",)}, True), ({"to": ("other",)}, False),
])  # fmt: skip
def test_rules_choose(receiver: Receiver, keys: dict[str, Any], fits: bool) -> None:
    assert play(receiver, changes(("opened", summary())), rule(**keys)) == [("opened", "AAAA")] * fits


def test_several_rules_tell_once(receiver: Receiver) -> None:
    assert play(receiver, changes(("opened", summary())), rule(), rule(causes=("connection-*",))) == [("opened", "AAAA")]


def test_the_end_is_told_where_the_beginning_was(receiver: Receiver) -> None:
    told = play(receiver, changes(
        ("opened", summary()), ("resolved", summary(cause="tls-timeout", **OVER)), ("resolved", summary("BBBB", **OVER)),
        ("resolved", summary("OLD", opened=5.0, **OVER)),
    ), rule(causes=("connection-refused",)))  # fmt: skip
    assert told == [("opened", "AAAA"), ("resolved", "AAAA"), ("resolved", "OLD")]


def test_alerts_that_were_opened_are_acknowledged_and_closed(receiver: Receiver, tmp_path: Any) -> None:
    (tmp_path / "key").write_text("K" * 32)
    on = {"acknowledged": {"by": "ann", "note": "", "at": 7.0}, "silenced_until": time.time() + 60}
    work = changes(
        ("opened", summary()), ("acknowledged", summary(acknowledged=on["acknowledged"])), ("worse", summary(**on)),
        ("resolved", summary(**on, **OVER)), ("resolved", summary("BBBB", **on, **OVER)),
    )  # fmt: skip

    async def run() -> None:
        pager = destination("pagerduty", url=receiver.url, key_file=str(tmp_path / "key"), rate="1000/s")
        one = Notifier(Rules({"hook": pager}, [rule(on=("opened",))], "web1"), say=lambda _: None)
        await work(one)
        await one.close(5.0)

    asyncio.run(run())
    sent = [(got.data["event_action"], got.data["dedup_key"]) for got in receiver.got]
    assert sent == [(action, "headgate/incident/AAAA") for action in ("trigger", "acknowledge", "resolve")]


def test_the_message_has_what_is_known_when_it_is_sent(receiver: Receiver) -> None:
    verdict = {
        "verdict": "nothing listens on 10.0.0.5:8000",
        "cause": "connection-refused",
        "confidence": "proved",
        "looks": ["x"] * 999,
    }
    known = Known(incident=lambda id: summary(id, seen=4321, verdicts=[{"at": 1.0, "verdict": verdict}]))
    play(receiver, changes(("opened", summary())), known=known)
    assert "4,321 requests" in receiver.got[0].data["text"]
    assert "nothing listens on 10.0.0.5:8000" in receiver.got[0].data["text"]
    assert "looks" not in json.dumps(receiver.got[0].data)


def test_a_share_of_failures_is_told_and_its_end(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]

    class Clock:
        monotonic = staticmethod(lambda: now[0])
        time = staticmethod(time.time)

    monkeypatch.setattr(module, "time", Clock)

    async def work(one: Notifier) -> None:
        good = bad = 0
        for second in range(400):
            now[0] += 1.0
            good, bad = good + 98, bad + (2 if 60 <= second < 200 else 0)
            one.traffic(time.time(), Traffic({("/", "shop", 200): good, ("/", "shop", 502): bad}))
        await until(lambda: all(state["waiting"] == 0 for state in one.state().values()))

    told = play(receiver, work, rule(name="bad", share="1%", **{"for": 60.0, "window": 30.0}), wait=0.3)
    assert told == [("resolved", "bad")]  # both within the time that messages wait for others
    assert receiver.got[0].data["before"] == {"opened": 1}
    assert receiver.got[0].data["share"]["limit"] == 0.01


def test_what_lasts_is_told_again_to_alertmanager(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPEAT", 0.1)
    lasting = [summary(), summary("NEAR", severity="near-miss"), summary("QUIET", silenced_until=time.time() + 60)]

    async def run() -> None:
        alerts = destination("alertmanager", url=receiver.url, rate="1000/s")
        known = Known(open=lambda: lasting, incident=lambda id: next((one for one in lasting if one["id"] == id), None))
        one = Notifier(Rules({"hook": alerts}, [], "web1"), say=lambda _: None, known=known)
        for _ in range(300):
            one.tick(time.time())
            await asyncio.sleep(0.01)
            if len(receiver.got) == 3:
                lasting[0]["silenced_until"] = time.time() + 60
            if len(receiver.got) == 4:
                break
        await one.close(5.0)

    asyncio.run(run())
    sent = [alert for got in receiver.got for alert in got.data]
    assert {alert["labels"]["incident"] for alert in sent} == {"AAAA"}
    assert [alert["endsAt"] > alert["startsAt"] for alert in sent]
    ends = [alert["endsAt"] for alert in sent]
    assert ends[:3] == sorted(ends[:3])
    assert ends[3] < ends[2]  # silenced: it ends now


def test_reloads_keep_what_waits_and_end_what_is_gone(receivers: Callable[[], Receiver]) -> None:
    stays, goes, comes = receivers(), receivers(), receivers()
    for _ in range(50):
        stays.answer(503)
    said: list[str] = []

    async def run() -> None:
        first = {"stays": destination(url=stays.url), "goes": destination(url=goes.url, wait=30)}
        one = Notifier(Rules(first, [], "web1"), say=said.append)
        one.changed(time.time(), [("opened", summary())])
        await until(lambda: len(stays.got) > 0)
        second = {"stays": destination(url=comes.url), "comes": destination(url=comes.url)}
        one.follow(Rules(second, [], "web1"))
        assert list(one.state()) == ["stays", "comes"]
        await until(lambda: comes.got and goes.got)
        one.changed(time.time(), [("worse", summary(seen=999))])
        await until(lambda: len(comes.got) == 3)
        await one.close(5.0)

    asyncio.run(run())
    assert [got.data["what"] for got in goes.got] == ["opened"]
    assert sorted(got.data["what"] for got in comes.got) == ["opened", "opened", "worse"]  # of each what it does not know


def test_the_memory_of_one_process_is_that_of_the_next(receiver: Receiver) -> None:
    kept: list[str] = []

    async def first() -> None:
        one = Notifier(Rules({"hook": destination(url=receiver.url, wait=30)}, [], "web1"), say=lambda _: None)
        one.changed(time.time(), [("opened", summary())])
        kept.append(json.dumps(one.snapshot()))

    async def second() -> None:
        one = Notifier(Rules({"hook": destination(url=receiver.url)}, [], "web1"), say=lambda _: None)
        one.restore(json.loads(kept[0]))
        await until(lambda: receiver.got)
        await one.close(5.0)

    asyncio.run(first())
    receiver.got.clear()
    asyncio.run(second())
    assert [got.data["what"] for got in receiver.got] == ["opened"]
