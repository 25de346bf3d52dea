"""How servers stand, over reloads, restarts, and words that come twice."""

import json
from math import inf, nan

import pytest

from headgate.config.load import from_data
from headgate.control.standing import Standings
from headgate.traffic.health import TRAFFIC

A, B = "http://a:1", "http://b:1"


def config(*servers, **upstream):
    return from_data({"upstream": {"app": {"servers": list(servers) or [A, B], **upstream}}}, "/")


def ejected(**changed):
    return {"ejected": "app", "server": A, "until": 200.0, "at": 100.0, "why": "it fails", **changed}


def test_what_the_configuration_says():
    standings = Standings(config({"url": A, "down": True}, {"url": B, "weight": 5}), 1.0)
    assert standings.of["app"][A].health.state == "maintenance"
    assert (standings.of["app"][B].health.state, standings.of["app"][B].weight) == ("up", 5)
    checked = Standings(config(health={"path": "/", "initial": "down"}), 1.0)
    assert {one.health.state for one in checked.of["app"].values()} == {"down"}


def test_a_snapshot_makes_it_again_as_far_as_it_is_about_the_same():
    one = Standings(config(), 1.0)
    one.of["app"][A].health.hear("drain", "so said", 2.0)
    one.of["app"][A].weight = 9
    one.ejected(ejected(server=B), 100.0, 3.0)
    told = json.loads(json.dumps(one.snapshot()))
    again = Standings(config(A, "http://c:1"), 5.0)
    again.restore({**told, "gone": {}})
    assert again.of["app"][A].snapshot() == one.of["app"][A].snapshot()
    assert again.of["app"]["http://c:1"].health.state == "up"
    with pytest.raises((KeyError, TypeError, ValueError)):
        again.restore({"app": {A: {"health": {}}}})


def test_a_reload_keeps_what_is_about_the_same_server():
    old, new = config(), config(A, "http://c:1", policy="round-robin")
    before = Standings(old, 1.0)
    before.of["app"][A].health.hear("drain", "so said", 2.0)
    after = Standings(new, 3.0)
    after.inherit(before, old, new)
    assert after.of["app"][A] is before.of["app"][A]
    other = Standings(from_data({"upstream": {"other": {"servers": [A]}}}, "/"), 3.0)
    other.inherit(before, old, from_data({"upstream": {"other": {"servers": [A]}}}, "/"))
    assert other.of["other"][A].health.state == "up"


@pytest.mark.parametrize("event", ["drain", "maintenance"])
@pytest.mark.parametrize("change", [{"weight": 7}, {"priority": 1}, {"health": True}])
def test_what_an_administrator_said_holds_for_a_server_that_is_used_in_another_way(event, change):
    old = config()
    upstream = {"health": {"path": "/"}} if change.pop("health", False) else {}
    new = config({"url": A, **change}, B, **upstream)
    before = Standings(old, 1.0)
    before.of["app"][A].health.hear(event, "so said", 2.0)
    after = Standings(new, 3.0)
    after.inherit(before, old, new)
    assert after.of["app"][A].health.state == {"drain": "draining", "maintenance": "maintenance"}[event]
    assert after.of["app"][A].health.why == "so said"
    assert after.of["app"][B].health.usable


def test_the_file_has_the_last_word_where_it_changed():
    old, new = config({"url": A, "down": True}, B), config({"url": A, "down": False}, {"url": B, "down": True})
    after = Standings(new, 3.0)
    after.inherit(Standings(old, 1.0), old, new)
    assert after.of["app"][A].health.usable
    assert after.of["app"][B].health.state == "maintenance"


def test_an_ejection_is_news_once_and_ends():
    one = Standings(config(), 1.0)
    assert one.ejected(ejected(), 100.0, 2.0)
    assert not one.ejected(ejected(), 101.0, 3.0)
    assert one.ejected(ejected(until=300.0), 102.0, 3.0), "it lasts longer"
    assert list(one.over(299.0, 4.0)) == []
    assert list(one.over(300.0, 4.0)) == [("app", A)]
    assert list(one.over(301.0, 4.0)) == []
    assert one.of["app"][A].health.says(TRAFFIC) == "fine"
    assert not one.ejected(ejected(until=300.0), 300.5, 5.0), "it is over"


def test_an_ejection_that_was_pardoned_is_no_news():
    one = Standings(config(), 1.0)
    assert one.ejected(ejected(), 100.0, 2.0)
    standing = one.of["app"][A]
    standing.until, standing.pardoned = 0.0, 150.0
    standing.health.hear("told-up", "so said", 3.0)
    assert not one.ejected(ejected(), 151.0, 4.0)
    assert one.ejected(ejected(at=152.0, until=300.0), 152.0, 4.0), "that is another one"


@pytest.mark.parametrize("changed", [{"server": "http://z:1"}, {"ejected": "gone"}, {"until": nan}, {"until": -inf}])
def test_ejections_of_nobody(changed):
    one = Standings(config(), 1.0)
    assert not one.ejected(ejected(**changed), 100.0, 2.0)
    assert all(standing.health.usable for standing in one.of["app"].values())


@pytest.mark.parametrize("changed", [{"until": inf}, {"until": "soon"}, {"until": None}, {"at": []}])
def test_ejections_that_make_no_sense(changed):
    one = Standings(config(), 1.0)
    with pytest.raises((KeyError, TypeError, ValueError)):
        one.ejected(ejected(**changed), 100.0, 2.0)
    assert one.of["app"][A].health.usable
