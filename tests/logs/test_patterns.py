"""Each kind of pattern is found where it was planted, and nothing is found where there is only chance."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from planted import START, Request, combined, failing, reading, refused, scene, traffic

from headgate.logs import sample as samples
from headgate.logs.analyse import analyse
from headgate.logs.finding import CONFIDENCE, KINDS, MOST_LINES, Finding
from headgate.logs.patterns import find, merged
from headgate.logs.read import read

Maker = Callable[[random.Random], list[Request]]


def one_server(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: rng.random() < (0.3 if one.upstream == "app2" else 0.005))


def one_path(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: rng.random() < (0.5 if one.path == "/report" else 0.005))


def below_a_path(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: rng.random() < (0.3 if one.path.startswith("/api/") else 0.005))


def one_client(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: rng.random() < (0.6 if one.client == "203.0.113.7" else 0.005))


def one_method(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: rng.random() < (0.5 if one.method == "POST" else 0.005))


def within(rng: random.Random, begin: float, end: float, rate: float) -> list[Request]:
    return failing(traffic(rng), lambda one: START + begin <= one.time < START + end and rng.random() < rate)


def burst(rng: random.Random) -> list[Request]:
    return within(rng, 1200, 1260, 0.6)


def onset(rng: random.Random) -> list[Request]:
    return within(rng, 1800, 3600, 0.1)


def ended(rng: random.Random) -> list[Request]:
    return within(rng, 0, 1800, 0.1)


def gap(rng: random.Random) -> list[Request]:
    return [one for one in within(rng, 1800, 1900, 0.6) if not START + 1700 < one.time < START + 1800]


def periodic(rng: random.Random) -> list[Request]:
    return failing(traffic(rng), lambda one: (one.time - START) % 60 < 3 and rng.random() < 0.8)


def idle(rng: random.Random) -> list[Request]:
    """A server closes connections after a minute of rest; the gateway finds that out only when it uses one."""
    last: dict[str, float] = {}
    found = []
    for one in traffic(rng, 14_400, 0.02):
        dead = one.time - last.get(one.upstream, one.time) > 60 and rng.random() < 0.5
        found.append(replace(one, status=502, seconds=0.002) if dead else one)
        last[one.upstream] = one.time
    return found


def alternating(rng: random.Random) -> list[Request]:
    return [replace(one, status=503) if at % 3 == 1 else one for at, one in enumerate(traffic(rng, 600))]


def timer(rng: random.Random) -> list[Request]:
    """Some requests end by a limit of 30 s; the gateway's other failures take as long as they take."""
    slow = [replace(one, status=504, seconds=30 + rng.random() * 0.05) if rng.random() < 0.02 else one for one in traffic(rng)]
    return [replace(one, status=502, seconds=rng.uniform(0.01, 40)) if rng.random() < 0.005 else one for one in slow]


def retries(rng: random.Random) -> list[Request]:
    found = []
    for one in traffic(rng):
        bad = rng.random() < 0.03
        found += [replace(one, status=503, time=one.time + 0.6 * again) for again in range(4)] if bad else [one]
    return found


def overload(rng: random.Random) -> list[Request]:
    some, found = traffic(rng), []
    for minute in range(60):
        number = rng.choice((20, 40, 80, 160))
        for _ in range(number):
            one = replace(rng.choice(some), time=START + minute * 60 + rng.random() * 60)
            found.append(replace(one, status=503) if rng.random() < (number - 60) / 500 else one)
    return found


PLANTED: list[tuple[str, Maker, dict[str, str]]] = [
    ("server", one_server, {"upstream": "app2"}),
    ("path", one_path, {"path": "/report"}),
    ("path", below_a_path, {"path": "/api/"}),
    ("client", one_client, {"client": "203.0.113.7"}),
    ("method", one_method, {"method": "POST"}),
    ("burst", burst, {"begin": "2026-11-20 10:20:", "end": "2026-11-20 10:20:"}),
    ("onset", onset, {"begin": "2026-11-20 10:30:"}),
    ("ended", ended, {"end": "2026-11-20 10:29:"}),
    ("gap", gap, {"begin": "2026-11-20 10:30:", "end": "2026-11-20 10:31:"}),
    ("periodic", periodic, {"seconds": "60"}),
    ("idle", idle, {"seconds": "60"}),
    ("alternating", alternating, {"every": "3"}),
    ("timer", timer, {"seconds": "30"}),
    ("retries", retries, {}),
    ("overload", overload, {}),
]


def test_every_kind_is_planted() -> None:
    assert {kind for kind, _, _ in PLANTED} == set(KINDS)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("kind", "make", "keys"), PLANTED, ids=[make.__name__ for _, make, _ in PLANTED])
def test_a_planted_pattern_is_found(tmp_path: Path, kind: str, make: Maker, keys: dict[str, str], seed: int) -> None:
    found = find(scene(tmp_path, make(random.Random(seed))))
    assert found, "nothing was found"
    first = found[0]
    assert first.kind == kind, found
    assert first.confidence == "likely", found
    assert set(first.keys) == set(keys)
    for name, value in keys.items():
        assert first.keys[name].startswith(value), first
    assert {one.kind for one in found} <= {kind, "burst", "onset", "ended"}, found


@pytest.mark.parametrize("make", [make for _, make, _ in PLANTED], ids=lambda make: str(make.__name__))
def test_a_finding_is_whole(tmp_path: Path, make: Maker) -> None:
    place = scene(tmp_path, make(random.Random(7)))
    for one in find(place):
        assert one.kind in KINDS
        assert one.confidence in CONFIDENCE
        assert 0 < one.count <= place.failed
        assert 0 < one.share <= 1
        assert 1 <= len(one.evidence) <= MOST_LINES
        assert all(line.text in (tmp_path / "access.log").read_text() for line in one.evidence)
        assert one.title
        assert not one.title.endswith(".")
        assert one.detail.endswith(".")


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_chance_makes_no_pattern(tmp_path: Path, seed: int, rate: float) -> None:
    rng = random.Random(f"{seed} {rate}")
    requests = failing(traffic(rng), lambda _: rng.random() < rate, rng.choice((502, 503, 504)))
    assert find(scene(tmp_path, requests)) == []


@pytest.mark.parametrize("seed", range(3))
def test_chance_makes_no_pattern_in_a_log_without_servers_and_durations(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    requests = failing(traffic(rng), lambda _: rng.random() < 0.03, 502)
    (tmp_path / "access.log").write_text("".join(map(combined, requests)))
    assert analyse(read([str(tmp_path / "access.log")])).findings == ()


def test_what_all_requests_share_is_no_pattern_where_only_some_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MOST_LINES", 1000)
    rng = random.Random(5)
    same = [replace(one, method="GET", path=f"/api{one.path}", client="203.0.113.9") for one in traffic(rng)]
    place = scene(tmp_path, failing(same, lambda _: rng.random() < 0.1))
    assert not place.sample.exact
    assert [one.title for one in find(place)] == []


def test_a_path_is_found_where_only_some_requests_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_LINES", 1000)
    place = scene(tmp_path, one_path(random.Random(6)))
    assert not place.sample.exact
    first = find(place)[0]
    assert (first.kind, first.keys, first.confidence) == ("path", {"path": "/report"}, "likely")
    assert "about" in first.detail


@pytest.mark.parametrize(("begin", "end", "kind"), [(0, 1800, "ended"), (1800, 3600, "onset")])
def test_a_server_that_fails_in_one_half_only(tmp_path: Path, begin: float, end: float, kind: str) -> None:
    rng = random.Random(11)
    requests = failing(
        traffic(rng), lambda one: one.upstream == "app3" and begin <= one.time - START < end and rng.random() < 0.3
    )
    found = {one.kind: one for one in find(scene(tmp_path, requests))}
    assert set(found) == {"server", kind}
    assert found["server"].keys == {"upstream": "app3"}
    assert found["server"].title == "app3 fails, the other 3 servers not"


def test_a_path_that_fails_in_one_half_only(tmp_path: Path) -> None:
    rng = random.Random(12)
    requests = failing(traffic(rng), lambda one: one.path == "/search" and one.time > START + 1800 and rng.random() < 0.5)
    found = {one.kind: one for one in find(scene(tmp_path, requests))}
    assert set(found) == {"path", "onset"}
    assert found["path"].title == "Only /search fails"


def test_a_few_failures_make_no_claim(tmp_path: Path) -> None:
    requests = traffic(random.Random(13))
    some = [one for one in requests if one.upstream == "app2"][:4]
    assert find(scene(tmp_path, failing(requests, lambda one: one in some))) == []


def test_uploads_are_told_together(tmp_path: Path) -> None:
    rng = random.Random(14)
    mixed = [replace(one, method=rng.choice(("POST", "PUT", "PATCH"))) if one.method == "POST" else one for one in traffic(rng)]
    found = find(scene(tmp_path, failing(mixed, lambda one: one.method != "GET" and rng.random() < 0.5)))
    assert [(one.kind, one.keys["method"], one.title) for one in found] == [
        ("method", "with a body", "Only requests with a body fail")
    ]


def test_where_only_failures_are_known_nothing_is_more_than_possible(tmp_path: Path) -> None:
    rng = random.Random(15)
    lines = [refused(replace(one, path=rng.choices(("/pay", "/a", "/b"), (18, 1, 1))[0])) for one in traffic(rng, 300)]
    (tmp_path / "error.log").write_text("".join(lines))
    told = analyse(read([str(tmp_path / "error.log")]))
    assert told.requests == 0
    assert told.findings
    assert {one.confidence for one in told.findings} == {"possible"}
    assert "path" in {one.kind for one in told.findings}


def test_failures_of_which_alone_is_known_that_they_come_at_a_pace_are_no_sure_rhythm(tmp_path: Path) -> None:
    lines = [refused(Request(START + 10.0 * at, "", "/x", "203.0.113.1")) for at in range(40)]
    (tmp_path / "error.log").write_text("".join(lines))
    (only,) = analyse(read([str(tmp_path / "error.log")])).findings
    assert (only.kind, only.keys, only.confidence) == ("periodic", {"seconds": "10"}, "possible")


def test_a_monitor_that_asks_at_its_pace_is_told_as_such(tmp_path: Path) -> None:
    requests = traffic(random.Random(31)) + [
        Request(START + 30.0 * at, "app1", "/health", "203.0.113.251", status=503) for at in range(100)
    ]
    found = {one.kind: one for one in find(scene(tmp_path, requests))}
    assert found["periodic"].confidence == "possible"
    assert "a health check or a monitor" in found["periodic"].detail
    assert found["client"].keys == {"client": "203.0.113.251"}
    assert found["path"].keys == {"path": "/health"}


def test_a_pattern_of_one_cause_counts_its_failures_only(tmp_path: Path) -> None:
    """Every third request is refused; other failures come by chance, and belong to a root of their own."""
    rng = random.Random(16)
    requests = [replace(one, status=503) if at % 3 == 0 else one for at, one in enumerate(traffic(rng, 1200))]
    requests = failing(requests, lambda one: one.status == 200 and rng.random() < 0.02, 504)
    told = analyse(reading(tmp_path, requests))
    assert len(told.roots) == 2
    first, second = told.roots
    assert [one.kind for one in first.findings] == ["alternating"]
    assert first.findings[0].count == first.count == sum(one.status == 503 for one in requests)
    assert second.findings == ()


def finding(kind: str, count: int, cause: str = "", confidence: str = "likely", weight: float = 20.0) -> Finding:
    return Finding(kind, kind, "", count, 0.5, confidence, {"path": "/"}, (), cause, weight)


def test_what_is_true_of_nearly_all_failures_is_told_once() -> None:
    whole = [finding("path", 100)]
    assert merged(whole, [[finding("path", 50, "connection-refused", weight=30.0)]]) == whole
    assert merged(whole, [[finding("path", 95, "connection-refused", weight=10.0)]]) == whole
    told = merged(whole, [[finding("path", 95, "connection-refused", weight=30.0)]])
    assert [one.cause for one in told] == ["connection-refused"]


def test_one_moment_is_told_once_for_several_causes(tmp_path: Path) -> None:
    """A deployment breaks requests in three ways."""
    rng = random.Random(41)
    requests = [
        replace(one, status=rng.choice((502, 503, 504))) if one.time > START + 1800 and rng.random() < 0.3 else one
        for one in traffic(rng)
    ]
    told = analyse(reading(tmp_path, requests))
    assert len(told.roots) == 3
    assert all([one.kind for one in root.findings] == ["onset"] for root in told.roots)
    assert [one.kind for one in told.findings] == ["onset"]
    assert told.findings[0].count == told.failed


def test_two_moments_are_told_apart() -> None:
    one, other = (replace(finding("burst", 9), keys={"begin": f"2026-11-20 10:{minute}:00"}) for minute in (10, 20))
    assert len(merged([one], [[other]])) == 2
    near = replace(other, kind="onset", keys={"begin": "2026-11-20 10:11:30"})
    assert merged([one], [[near]]) == [one]
    assert len(merged([one], [[replace(other, keys={"begin": "?"})]])) == 2
    assert len(merged([one], [[replace(other, keys={"end": "2026-11-20 10:10:00"})]])) == 2


def test_sure_findings_come_first_then_large_ones() -> None:
    told = merged([finding("path", 9, confidence="possible"), finding("client", 5)], [[finding("method", 7, "response-timeout")]])
    assert [one.kind for one in told] == ["method", "client", "path"]
