"""The state machine of a server: its whole table, the independence of its witnesses, and its way between processes."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.health import BOUND, EVENTS, PRECEDENCE, STATES, USABLE, WITNESSES, Health, Streak

SAY = {
    ("administrator", "ready"): "ready",
    ("administrator", "drain"): "drain",
    ("administrator", "maintenance"): "maintenance",
    ("checks", "none"): "checks-ended",
    ("checks", "unknown"): "checks-begun",
    ("checks", "passing"): "check-passed",
    ("checks", "failing"): "check-failed",
    ("traffic", "fine"): "ejection-over",
    ("traffic", "ejected"): "ejected",
}
TABLE = """
             none     unknown    passing  failing
ready        up       unchecked  up       down
+ejected     ejected  ejected    ejected  down
drain        draining draining   draining down
+ejected     ejected  ejected    ejected  down
maintenance  maintenance maintenance maintenance maintenance
+ejected     maintenance maintenance maintenance maintenance
"""
HEARD = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.text(max_size=400)), max_size=60)


def expected() -> dict[tuple[str, str, str], str]:
    header, *rows = TABLE.strip().splitlines()
    found, administrator = {}, ""
    for row in rows:
        name, *states = row.split()
        administrator = administrator if name == "+ejected" else name
        traffic = "ejected" if name == "+ejected" else "fine"
        found |= {(administrator, checks, traffic): state for checks, state in zip(header.split(), states, strict=True)}
    return found


def test_every_combination_of_words_has_its_state_in_whatever_order_they_were_said() -> None:
    table = expected()
    assert set(table) == set(itertools.product(*WITNESSES.values()))
    for words, state in table.items():
        for order in itertools.permutations(zip(WITNESSES, words, strict=True)):
            health = Health(0.0)
            for number, word in enumerate(order):
                health.hear(SAY[word], "", number)
            assert health.state == state, order
            assert health.usable == (state in ("up", "unchecked"))
            assert health.bound == (state in ("up", "unchecked", "draining"))
            assert health.last_resort == (words[0] == "ready")


def test_the_tables_speak_of_the_same_things() -> None:
    assert all(word in WITNESSES[witness] for says in EVENTS.values() for witness, word in says.items())
    assert all(word in WITNESSES[witness] for _, witness, word in PRECEDENCE)
    assert USABLE < BOUND < STATES == set(expected().values())
    assert {(witness, word) for says in EVENTS.values() for witness, word in says.items()} == set(SAY)


@pytest.mark.parametrize(
    ("given_rules", "state", "usable"),
    [({}, "up", True), ({"checked": True}, "unchecked", True), ({"checked": True, "initial": "down"}, "down", False)],
)
def test_how_a_server_begins(given_rules: dict, state: str, usable: bool) -> None:
    health = Health(5.0, **given_rules)
    assert (health.state, health.usable, health.since, list(health.changes)) == (state, usable, 5.0, [])
    health.hear("check-passed", "answered 200", 6.0)
    assert health.state == "up"


@pytest.mark.parametrize("rules", [{"initial": "down"}, {"checked": True, "initial": "asleep"}])
def test_a_beginning_without_an_end_is_refused(rules: dict) -> None:
    with pytest.raises(ValueError, match="initial"):
        Health(0.0, **rules)


def test_no_witness_overwrites_another_and_the_reason_is_that_of_who_decides() -> None:
    health = Health(0.0, checked=True)
    assert health.hear("check-passed", "answered 200", 1.0)
    assert health.hear("ejected", "3 connections failed", 2.0)
    assert not health.hear("check-passed", "answered 200", 3.0)
    assert (health.state, health.why, health.since) == ("ejected", "3 connections failed", 2.0)
    assert health.hear("check-failed", "connection refused", 4.0)
    assert (health.state, health.why, health.since) == ("down", "connection refused", 4.0)
    assert not health.hear("ejection-over", "10 s are over", 5.0)
    assert not health.hear("ejected", "5 of 5 requests failed", 6.0)
    assert not health.hear("ejected", "said twice", 6.5)
    assert health.hear("check-passed", "answered 200", 7.0)
    assert (health.state, health.why) == ("ejected", "5 of 5 requests failed")
    assert health.hear("ejection-over", "20 s are over", 8.0)
    assert (health.state, health.why, health.since) == ("up", "20 s are over", 8.0)
    assert [(change.was, change.now, change.event) for change in health.changes] == [
        ("unchecked", "up", "check-passed"),
        ("up", "ejected", "ejected"),
        ("ejected", "down", "check-failed"),
        ("down", "ejected", "check-passed"),
        ("ejected", "up", "ejection-over"),
    ]


def test_taking_out_a_server_that_is_down_is_told_as_it_is_no_last_resort_any_more() -> None:
    health = Health(0.0, checked=True)
    health.hear("check-failed", "connection refused", 1.0)
    assert health.last_resort
    assert health.hear("drain", "asked for", 2.0)
    assert (health.state, health.since, health.why, health.last_resort) == ("down", 1.0, "connection refused", False)
    assert health.changes[-1] == (2.0, "down", "down", "drain", "asked for")
    health.hear("check-passed", "answered 200", 3.0)
    assert (health.state, health.why) == ("draining", "asked for")


def test_the_word_of_somebody_who_knows_counts_until_there_is_news() -> None:
    health = Health(0.0)
    health.hear("ejected", "3 connections failed", 1.0)
    assert health.hear("told-up", "asked for", 2.0)
    assert health.state == "up"
    assert health.hear("told-down", "asked for", 3.0)
    assert health.state == "down"
    assert health.hear("told-up", "asked for", 4.0)
    assert health.usable


def test_what_is_not_an_event_changes_nothing() -> None:
    health = Health(0.0)
    with pytest.raises(ValueError, match='no event "explode": there are check-passed'):
        health.hear("explode", "", 1.0)
    assert (health.state, len(health.changes)) == ("up", 0)


@given(st.booleans(), HEARD)
def test_whatever_is_heard_the_state_follows_from_the_last_words(checked: bool, events: list[tuple[str, str]]) -> None:
    health = Health(0.0, checked)
    words = {"administrator": "ready", "checks": "unknown" if checked else "none", "traffic": "fine"}
    table, since = expected(), 0.0
    for at, (event, why) in enumerate(events, 1):
        was = (health.state, health.last_resort)
        changed = health.hear(event, why, at)
        words |= EVENTS[event]
        assert health.state == table[tuple(words.values())]
        assert changed == (was != (health.state, health.last_resort))
        if changed:
            assert health.changes[-1] == (at, was[0], health.state, event, why[:300])
        since = at if was[0] != health.state else since
        assert health.since == since
        assert words == {witness: health.says(witness) for witness in WITNESSES}
    assert len(health.changes) <= 20
    for earlier, later in itertools.pairwise(health.changes):
        assert earlier.now == later.was


@given(st.booleans(), HEARD)
def test_it_crosses_between_processes_unchanged(checked: bool, events: list[tuple[str, str]]) -> None:
    health = Health(0.0, checked)
    for at, (event, why) in enumerate(events, 1):
        health.hear(event, why, at)
    data = json.loads(json.dumps(health.snapshot()))
    other = Health.of({**data, "of a later version": 1})
    assert other.snapshot() == health.snapshot()
    assert (other.usable, other.bound, other.last_resort) == (health.usable, health.bound, health.last_resort)
    for event in EVENTS:
        assert other.hear(event, "x", 99.0) == health.hear(event, "x", 99.0)
    assert other.snapshot() == health.snapshot()


def sound() -> dict:
    health = Health(0.0, checked=True)
    health.hear("check-failed", "connection refused", 1.0)
    return health.snapshot()


KEYS = [
    ("state",), ("since",), ("why",), ("witnesses",), ("reasons",), ("changes",), ("witnesses", "checks"), ("reasons", "traffic"),
    ("changes", 0), *(("changes", 0, key) for key in ("at", "was", "now", "event", "why")),
]  # fmt: skip
WRONG = [None, [7], {"a": []}, True, float("nan"), float("inf"), 10**400, "x" * 301, ""]
MALFORMED = [
    (path, bad) for path in KEYS for bad in WRONG if bad != "" or path[-1] not in ("why", "traffic")
]  # no reason is fine


@pytest.mark.parametrize(("path", "bad"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_a_malformed_message_is_refused_by_the_name_of_its_key(path: tuple, bad: object) -> None:
    data = place = sound()
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = bad
    with pytest.raises(ValueError, match=r"a server's health: .*" + str(path[0])):
        Health.of(data)


@pytest.mark.parametrize("path", [path for path in KEYS if path != ("changes", 0)], ids=lambda path: ".".join(map(str, path)))
def test_a_missing_key_is_named(path: tuple) -> None:
    data = place = sound()
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(ValueError, match=r"\.".join(map(str, path)) + " is missing"):
        Health.of(data)


@pytest.mark.parametrize("data", [None, [], "x", 7])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="the whole is not an object"):
        Health.of(data)


def test_a_state_that_contradicts_the_witnesses_is_refused() -> None:
    with pytest.raises(ValueError, match="state is not what it must be"):
        Health.of({**sound(), "state": "up"})


def test_too_many_changes_are_refused() -> None:
    with pytest.raises(ValueError, match="changes is not what it must be"):
        Health.of({**sound(), "changes": sound()["changes"] * 21})


def test_a_verdict_needs_its_looks_in_a_row() -> None:
    streak = Streak(rise=2, fall=3)
    looks = "-- + -- - - + - + + - + + - - -"
    told = [(look, streak.passed() if look == "+" else streak.failed()) for look in looks.replace(" ", "")]
    assert [number for number, (_, crossed) in enumerate(told) if crossed] == [5, 10, 16]


def test_a_forgotten_verdict_is_told_again() -> None:
    streak = Streak(rise=1, fall=1)
    assert streak.failed()
    assert not streak.failed()
    streak.forget()
    assert streak.failed()


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.booleans(), max_size=60))
def test_verdicts_alternate_and_each_is_carried_by_its_row(rise: int, fall: int, looks: list[bool]) -> None:
    streak, verdicts = Streak(rise, fall), []
    for number, passed in enumerate(looks, 1):
        crossed = streak.passed() if passed else streak.failed()
        needed = rise if passed else fall
        row = looks[max(0, number - needed) : number]
        agree = len(row) == needed and all(look == passed for look in row)
        assert crossed == (agree and (not verdicts or verdicts[-1] != passed))
        if crossed:
            verdicts.append(passed)


@pytest.mark.parametrize(("rise", "fall"), [(0, 1), (1, 0)])
def test_no_verdict_comes_from_no_look(rise: int, fall: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Streak(rise, fall)
