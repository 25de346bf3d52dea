"""What is drawn adds up to what was counted, within bounds, whatever the clocks say."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from planted import START, Request, combined, failing, reading, refused, report, traffic

from headgate.logs import keep
from headgate.logs.read import read
from headgate.logs.report import Report
from headgate.logs.sample import sample_of
from headgate.logs.scene import Scene
from headgate.logs.series import MOST_BINS, WIDTHS, width_for
from headgate.logs.timeline import EDGES, heat, latency, over_time

DAY = 86_400.0


def told(folder: Path, requests: list[Request]) -> Report:
    return report(folder, {"access.log": "".join(one.line for one in sorted(requests, key=lambda one: one.time))})


@pytest.mark.parametrize(("seconds", "rate"), [(1, 20.0), (20, 5.0), (600, 2.0), (3 * 3600, 0.5), (9 * DAY, 0.005)])
def test_bins_add_up(tmp_path: Path, seconds: float, rate: float) -> None:
    rng = random.Random(seconds)
    requests = failing(traffic(rng, seconds, rate), lambda _: rng.random() < 0.3, 503)
    requests = failing(requests, lambda one: one.status == 200 and rng.random() < 0.2, 504)
    made = told(tmp_path, requests)
    drawn, failed = made.over_time, sum(one.status >= 500 for one in requests)
    assert failed
    assert len(drawn.failed) == len(drawn.requests) <= MOST_BINS + 1
    assert sum(drawn.requests) == len(requests)
    assert sum(drawn.failed) == failed == made.failed
    assert [sum(column) for column in zip(*(row for _, row in drawn.causes), strict=True)] == list(drawn.failed)
    assert sum(sum(row) for _, row in made.heat.rows) == failed
    assert {len(row) for _, row in made.heat.rows} == {len(made.heat.rows[0][1])}
    assert len(made.heat.rows[0][1]) <= 61
    assert sum(bar.count for bar in made.latency) == failed
    assert drawn.begin <= requests[0].time < drawn.begin + drawn.width
    assert made.heat.begin <= requests[0].time < made.heat.begin + made.heat.width


def test_each_failure_lies_in_its_bin(tmp_path: Path) -> None:
    bad = (3, 40)
    requests = [Request(START + at, f"app{1 + at % 2}", "/", "203.0.113.1", "GET", 503 if at in bad else 200) for at in range(60)]
    made = told(tmp_path, requests)
    assert made.over_time.width == 1.0
    assert [at for at, number in enumerate(made.over_time.failed) if number] == [3, 40]
    rows = dict(made.heat.rows)
    assert rows["app2"][int(3 // made.heat.width)] == 1
    assert rows["app1"][int(40 // made.heat.width)] == 1


def test_servers_with_most_failures_are_drawn(tmp_path: Path) -> None:
    requests = [
        Request(START + at, f"app{at % 40}", "/", "203.0.113.1", "GET", 503 if at % 40 < 20 else 200) for at in range(800)
    ]
    requests += [replace(one, upstream="worst", status=503) for one in requests[:100]]
    names = [name for name, _ in told(tmp_path, requests).heat.rows]
    assert names[0] == "worst"
    assert len(names) == 12


def test_the_commonest_causes_are_drawn_apart_the_rest_together(tmp_path: Path) -> None:
    words = ("", "no live upstreams", "upstream timed out (110: Connection timed out)", "upstream sent too big header",
             "upstream prematurely closed connection", "upstream sent invalid header",
             "connect() failed (113: No route to host)", "connect() failed (101: Network is unreachable)",
             "SSL_do_handshake() failed (SSL: error:0A000086:SSL routines::certificate verify failed)")  # fmt: skip
    lines = []
    for at in range(270):
        line = refused(Request(START + at, "", f"/{at}", "203.0.113.1"))
        word = words[at % len(words)]
        lines.append(line.replace("connect() failed (111: Connection refused)", word) if word else line)
    made = report(tmp_path, {"error.log": "".join(lines)})
    rows = made.over_time.causes
    assert len(rows) == 7
    assert rows[-1][0] == "(others)"
    assert sum(sum(row) for _, row in rows) == made.failed >= 240


@pytest.mark.parametrize("wrong", [0.0, 1e6, START - 400 * DAY, START + 400 * DAY, 4e9])
def test_a_wrong_clock_squeezes_nothing(tmp_path: Path, wrong: float) -> None:
    rng = random.Random(3)
    requests = failing(traffic(rng), lambda _: rng.random() < 0.05)
    astray = [replace(requests[7], time=wrong, status=503), replace(requests[8], time=wrong + 60, status=200)]
    made = told(tmp_path, [*requests, *astray])
    assert made.over_time.width == 60.0
    assert START <= made.first < made.last <= START + 3600
    assert any("dated far from all others" in note for note in made.notes)
    assert sum(made.over_time.requests) == len(requests)
    assert START <= made.roots[0].begin < made.roots[0].end <= START + 3600


def test_two_logs_of_different_weeks_are_no_wrong_clock(tmp_path: Path) -> None:
    rng = random.Random(4)
    early = traffic(rng)
    late = [replace(one, time=one.time + 30 * DAY) for one in traffic(rng)]
    made = told(tmp_path, failing([*early, *late], lambda _: rng.random() < 0.05))
    assert made.last - made.first > 30 * DAY
    assert not any("dated far" in note for note in made.notes)


def test_a_log_with_few_lines_has_no_strays(tmp_path: Path) -> None:
    requests = [Request(START + at * 40 * DAY, "app1", "/", "203.0.113.1", "GET", 503) for at in range(9)]
    made = told(tmp_path, requests)
    assert (made.first, made.last) == (START, START + 320 * DAY)
    assert not made.notes


def test_without_durations_no_bars(tmp_path: Path) -> None:
    requests = [Request(START + at, "", "/", "203.0.113.1", "GET", 502) for at in range(9)]
    made = report(tmp_path, {"access.log": "".join(map(combined, requests))})
    assert made.latency == ()
    assert made.failed == 9


def test_bars_name_the_timers_that_end_in_them(tmp_path: Path) -> None:
    took = [60.05] * 5 + [0.02] * 3
    requests = [Request(START + at, "app1", "/", "203.0.113.1", "GET", 504, seconds) for at, seconds in enumerate(took)]
    bars = told(tmp_path, requests).latency
    counted = {bar.low: bar for bar in bars if bar.count}
    assert set(counted) == {0.01, 59.94}
    assert counted[59.94].count == 5
    assert counted[59.94].timers
    assert counted[0.01].timers == ()
    assert [bar.high for bar in bars[:-1]] == [bar.low for bar in bars[1:]]


def test_edges_rise() -> None:
    assert list(EDGES) == sorted(set(EDGES))


def test_widths_are_round() -> None:
    assert width_for(0) == 1.0
    assert width_for(119) == 1.0
    assert width_for(120) == 2.0
    assert width_for(10, 60.0) == 60.0
    for span in (10.0, 1e3, 1e6, 1e9, 1e12):
        assert span / width_for(span) <= MOST_BINS
        assert width_for(span) in WIDTHS or span > WIDTHS[-1] * MOST_BINS


def test_where_not_all_failures_were_kept_bins_are_exact_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep.Keeper.__init__, "__defaults__", (50,))
    rng = random.Random(8)
    requests = failing(traffic(rng, 7200), lambda _: rng.random() < 0.1)
    found = reading(tmp_path, requests)
    failed = sum(one.status == 503 for one in requests)
    assert found.sampled
    assert found.failed == failed > 500
    assert 20 <= len(found.failures) <= 50
    scene = Scene(found, sample_of(found), found.failures, found.groups)
    assert sum(over_time(scene).failed) == failed
    assert sum(sum(row) for _, row in heat(scene).rows) == failed
    assert sum(bar.count for bar in latency(scene)) == pytest.approx(failed, rel=0.05)
    halves = Counter(one.time > START + 3600 for one in found.failures)
    assert min(halves[True], halves[False]) > 0.2 * len(found.failures)


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_text("")
    found = read([str(tmp_path / "empty.log")])
    scene = Scene(found, sample_of(found), found.failures, found.groups)
    assert over_time(scene).failed == ()
    assert heat(scene).rows == ()
    assert latency(scene) == ()


def test_what_has_no_cause_is_drawn_by_status(tmp_path: Path) -> None:
    requests = [Request(START + at, "", "/", "203.0.113.1", "GET", (502, 503, 504)[at % 3]) for at in range(90)]
    made = report(tmp_path, {"access.log": "".join(map(combined, requests))})
    assert {name: sum(row) for name, row in made.over_time.causes} == {"502": 30, "503": 30, "504": 30}
    coarse = [replace(one, time=START + 600 * at) for at, one in enumerate(requests)]
    made = report(tmp_path, {"access.log": "".join(map(combined, coarse))})
    assert made.over_time.width >= 60
    assert {name: sum(row) for name, row in made.over_time.causes} == {"502": 30, "503": 30, "504": 30}
