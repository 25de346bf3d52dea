"""One report out of whatever logs there are: its verdict, its tables, its bounds, and what it says of what could not be read."""

import gzip
import json
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import START, Request, combined, failing, reading, refused, report, traffic

from headgate.diagnose.redact import REDACTED
from headgate.logs import keep
from headgate.logs import sample as samples
from headgate.logs.analyse import TOP, analyse
from headgate.logs.finding import KINDS
from headgate.logs.read import read
from headgate.logs.reading import Reading
from headgate.logs.report import OUTCOMES
from headgate.logs.sample import Sample, sample_of


def some(number: int, status: int = 502, step: float = 1.0) -> list[Request]:
    return [Request(START + at * step, "", f"/{chr(97 + at % 26)}", f"203.0.113.{at % 7}", "GET", status) for at in range(number)]


def text_of(requests: list[Request]) -> str:
    return "".join(map(combined, requests))


def test_no_failures(tmp_path: Path) -> None:
    told = report(tmp_path, {"access.log": text_of(some(100, 200))})
    assert told.outcome == "clean"
    assert told.verdict == "None of 100 requests failed, 2026-11-20 10:00:00 to 10:01:00 UTC (60 s)."
    assert (told.requests, told.failed, told.rate) == (100, 0, 0.0)
    assert not any((told.roots, told.findings, told.causes, told.paths, told.clients, told.statuses))
    assert sum(told.over_time.requests) == 100
    assert not any(told.over_time.failed)


def test_an_error_log_without_failures(tmp_path: Path) -> None:
    line = "2026/11/20 10:00:0{} [notice] 1#1: signal process started\n"
    told = report(tmp_path, {"error.log": "".join(line.format(at) for at in range(9))})
    assert told.outcome == "clean"
    assert told.verdict.startswith("No failed request is told of in 9 lines")
    assert told.rate == -1


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"hello world\n" * 40, "no known format"),
        (b"\x00\x01\x02\xff\xfe\x7fELF" * 500, "binary"),
        (b"\x00" * 999, "NUL"),
    ],
)
def test_nothing_can_be_read(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "it.log").write_bytes(content)
    told = analyse(read([str(tmp_path / "it.log")]))
    assert told.outcome == "nothing"
    assert told.verdict == "Nothing could be read."
    assert word in told.files[0].error
    assert told.roots == ()
    assert told.first == told.last == -1


def test_no_files_at_all() -> None:
    told = analyse(Reading())
    assert (told.outcome, told.rate, told.files) == ("nothing", -1.0, ())


def test_what_cannot_be_read_does_not_hide_the_rest(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(text_of(some(20)))
    told = analyse(read([str(tmp_path / "missing.log"), str(tmp_path), str(tmp_path / "access.log")]))
    assert told.outcome == "failures"
    assert [bool(file.error) for file in told.files] == [True, True, False]
    assert told.failed == 20


def test_one_failure_only(tmp_path: Path) -> None:
    (bad,) = some(1)
    told = report(tmp_path, {"access.log": combined(bad), "error.log": refused(bad)})
    assert told.verdict == (
        "1 of 1 requests failed (100 %), at 2026-11-20 10:00:00 UTC. Cause: The server refused the connection."
    )
    (root,) = told.roots
    assert (root.cause, root.confidence, root.count, root.share, root.status) == ("connection-refused", "proved", 1, 1.0, 502)
    assert root.summary[1] == "1 request (100 % of the failures), at 10:00:00 UTC; at 10.0.0.1:8080; all for /a."
    assert told.findings == ()
    assert told.joined == 1
    assert told.makers == {"gateway": 1, "upstream": 0, "": 0}


def test_one_failure_of_an_error_log(tmp_path: Path) -> None:
    told = report(tmp_path, {"error.log": refused(some(1)[0])})
    assert told.verdict.startswith("1 failed request is told of in 1 line, at 2026-11-20 10:00:00 UTC. ")
    assert (told.requests, told.rate, told.over_time.requests) == (0, -1.0, ())


def test_the_verdict_weighs_causes(tmp_path: Path) -> None:
    errors = [refused(one).replace("111: Connection refused", "113: No route to host") for one in some(50)[20:]]
    errors += map(refused, some(20))
    told = report(tmp_path, {"access.log": text_of(some(50)), "error.log": "".join(errors)})
    assert [(root.cause, root.count, root.share) for root in told.roots] == [
        ("host-unreachable", 30, 0.6),
        ("connection-refused", 20, 0.4),
    ]
    assert "50 of 50 requests failed (100 %)" in told.verdict
    assert f"Main cause (60 %): {told.roots[0].title}." in told.verdict
    assert sum(root.share for root in told.roots) == 1.0
    assert [(row.name, row.count, row.share) for row in told.causes] == [
        ("host-unreachable", 30, 0.6),
        ("connection-refused", 20, 0.4),
    ]


@pytest.mark.parametrize("hours", [-9, -1, 1, 2, 5.5])
def test_logs_whose_clocks_differ(tmp_path: Path, hours: float) -> None:
    requests = some(30, step=10.0)
    errors = "".join(refused(replace(one, time=one.time + hours * 3600)) for one in requests)
    told = report(tmp_path, {"access.log": text_of(requests), "error.log": errors})
    assert (told.failed, told.joined) == (30, 30)
    assert told.roots[0].cause == "connection-refused"
    assert (told.first, told.last) == (START, START + 290)
    assert told.over_time.width < 60
    assert any("time zones differ" in note for note in told.notes)


def test_lines_without_order(tmp_path: Path) -> None:
    requests = failing(traffic(random.Random(1)), lambda one: one.upstream == "app2" and one.time > START + 1800)
    mixed = random.Random(2).sample(requests, len(requests))
    one = report(tmp_path, {"access.log": "".join(line.line for line in requests)})
    other = report(tmp_path, {"access.log": "".join(line.line for line in mixed)})
    assert [(find.kind, find.keys, find.count) for find in other.findings] == [
        (find.kind, find.keys, find.count) for find in one.findings
    ]
    assert other.over_time == one.over_time


def test_mixed_formats_in_one_file(tmp_path: Path) -> None:
    balanced = failing(traffic(random.Random(1), 600), lambda one: one.upstream == "app2")
    text = "".join(one.line for one in balanced) + text_of(some(300, 200)) + "".join(map(refused, some(40)))
    told = report(tmp_path, {"all.log": text})
    assert told.requests == len(balanced) + 300
    assert told.failed >= sum(one.status == 503 for one in balanced)
    assert told.files[0].kind == "mixed"
    assert told.files[0].unreadable == 0
    assert [find.keys for find in told.findings if find.kind == "server"] == [{"upstream": "app2"}]


def test_the_sample_has_every_format_of_a_file(tmp_path: Path) -> None:
    """What comes after the first lines is read by the formats that reading met there."""
    (tmp_path / "all.log").write_text(text_of(some(400, 200)) + "".join(one.line for one in traffic(random.Random(1), 600)))
    found = read([str(tmp_path / "all.log")])
    made = sample_of(found)
    assert made.exact
    assert made.size == found.tally.requests


def test_a_log_cut_in_mid_line(tmp_path: Path) -> None:
    text = text_of(some(50)) + combined(some(1)[0])[:40]
    told = report(tmp_path, {"access.log": text})
    assert told.files[0].cut
    assert told.unreadable == 0
    assert told.failed == 50


def test_lines_that_cannot_be_read_are_counted_and_shown(tmp_path: Path) -> None:
    told = report(tmp_path, {"access.log": text_of(some(50)) + "garbage password=hUsh \x1b[31m\n" * 9})
    assert told.unreadable == 9
    assert [line.number for line in told.files[0].examples] == [51, 52, 53, 54, 55]
    assert told.files[0].examples[0].text == f"garbage password={REDACTED} \\x1b[31m"


@given(st.binary(max_size=300), st.integers(0, 2000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_and_cuts_never_raise(tmp_path: Path, garbage: bytes, cut: int) -> None:
    text = text_of(some(12)).encode() + garbage + "".join(map(refused, some(6))).encode()
    (tmp_path / "it.log").write_bytes(text[:-cut] if cut else text)
    told = analyse(read([str(tmp_path / "it.log")]))
    assert told.outcome in OUTCOMES
    assert json.loads(json.dumps(told.as_json()))["failed"] == told.failed


def test_thousands_of_paths_clients_and_servers_stay_bounded(tmp_path: Path) -> None:
    rng = random.Random(9)
    requests = [
        replace(one, path=f"/p{at}q/{at}z", client=f"198.51.{at % 250}.{at // 250}", upstream=f"10.{at % 200}.{at // 200}.1:80")
        for at, one in enumerate(traffic(rng, 4000, 2.0))
    ]
    told = analyse(reading(tmp_path, failing(requests, lambda _: rng.random() < 0.6)))
    assert told.failed > 3000
    assert len(told.paths) == len(told.clients) == len(told.upstreams) == TOP
    assert len(told.heat.rows) <= 12
    assert all(len(root.servers) <= 5 for root in told.roots)
    assert len(json.dumps(told.as_json())) < 60_000
    assert told.findings == ()


def test_tables_count_exactly(tmp_path: Path) -> None:
    requests = failing(traffic(random.Random(21)), lambda one: one.path == "/cart" and int(one.time) % 2 == 0)
    bad = [one for one in requests if one.status == 503]
    told = analyse(reading(tmp_path, requests), top=3)
    assert [(row.name, row.count, row.requests) for row in told.paths] == [
        ("/cart", len(bad), sum(one.path == "/cart" for one in requests))
    ]
    assert [row.count for row in told.clients] == [number for _, number in Counter(one.client for one in bad).most_common(3)]
    assert {row.name: row.count for row in told.upstreams}.items() <= Counter(one.upstream for one in bad).items()
    assert {row.name: row.requests for row in told.upstreams}.items() <= Counter(one.upstream for one in requests).items()
    assert {row.name: row.count for row in told.methods} == Counter(one.method for one in bad)
    assert [(row.name, row.count, row.requests) for row in told.statuses] == [("503", len(bad), len(bad))]
    assert told.rate == pytest.approx(len(bad) / len(requests))


def test_failures_that_another_server_cured_are_near_misses(tmp_path: Path) -> None:
    requests = some(40, 200)
    told = report(tmp_path, {"access.log": text_of(requests), "error.log": "".join(map(refused, requests[10:15]))})
    assert told.outcome == "clean"
    assert [(row.name, row.count) for row in told.near_misses] == [("connection-refused", 5)]


def test_what_the_gateway_says_of_itself_is_told(tmp_path: Path) -> None:
    restart = "2026/11/20 10:29:58 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)\n"
    rng = random.Random(22)
    requests = failing(traffic(rng), lambda one: one.time > START + 1800 and rng.random() < 0.2, 502)
    bad = [one for one in requests if one.status == 502]
    told = report(tmp_path, {"access.log": text_of(requests), "error.log": restart + "".join(map(refused, bad))})
    assert any("Address already in use" in line.text for line in told.events)
    (onset,) = [one for one in told.findings if one.kind == "onset"]
    assert "Just before, at 10:29:58, nginx said: bind() to 0.0.0.0:80 failed" in onset.detail


def test_compressed_logs_and_several_files(tmp_path: Path) -> None:
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(text_of(some(30)).encode()))
    (tmp_path / "access.log").write_text(text_of([replace(one, time=one.time + 60) for one in some(30, 200)]))
    told = analyse(read([str(tmp_path / "access.log.1.gz"), str(tmp_path / "access.log")]))
    assert (told.requests, told.failed) == (60, 30)
    assert [find.kind for find in told.findings] == ["ended"]


def test_standard_input_leaves_no_sample() -> None:
    found = Reading()
    assert not sample_of(found).exact
    assert sample_of(found).size == 0
    assert analyse(found, sample=Sample()).outcome == "nothing"


def test_the_sample_of_many_files_is_no_larger_than_that_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_LINES", 500)
    monkeypatch.setattr(samples, "_WINDOW", 2048)
    monkeypatch.setattr(samples, "_WINDOWS", 20)
    names = [str(tmp_path / f"{at}.log") for at in range(60)]
    for name in names:
        Path(name).write_text(text_of(some(300)))
    made = sample_of(read(names))
    assert not made.exact
    assert len(made.runs) <= 20
    assert 0 < made.size <= 20 * 2048 // 90


def test_a_sample_of_failures_is_even(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more failed than are kept, both halves of the time are kept alike, and counts are exact."""
    monkeypatch.setattr(keep.Keeper.__init__, "__defaults__", (200,))
    rng = random.Random(23)
    requests = failing(traffic(rng, 7200, 2.0), lambda _: rng.random() < 0.3, 503)
    found = reading(tmp_path, requests)
    told = analyse(found)
    failed = sum(one.status == 503 for one in requests)
    assert told.sampled
    assert told.failed == failed == sum(row.count for row in told.causes)
    assert sum(root.count for root in told.roots) == pytest.approx(failed, rel=0.05)
    assert 60 <= len(found.failures) <= 200
    late = sum(one.time > START + 3600 for one in found.failures)
    assert 0.25 < late / len(found.failures) < 0.75
    assert told.findings == ()


def test_a_large_log_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    lines = [combined(one) for one in some(1000, 200)] + [combined(one) for one in some(100, 502)]
    path.write_text("".join(lines * 40))
    found = read([str(path)])
    tracemalloc.start()
    told = analyse(found)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (told.requests, told.failed) == (44_000, 4_000)
    assert peak < 60 << 20


def test_a_report_is_plain_data(tmp_path: Path) -> None:
    told = analyse(reading(tmp_path, failing(traffic(random.Random(24)), lambda one: one.upstream == "app1")))
    plain = json.loads(json.dumps(told.as_json()))
    assert plain["outcome"] in OUTCOMES
    assert plain["roots"][0]["evidence"][0]["number"] > 0
    assert {one["kind"] for one in plain["findings"]} <= set(KINDS)


def test_failures_that_only_an_error_log_tells_of_are_no_part_of_the_requests(tmp_path: Path) -> None:
    """Caddy's own words beside nginx's access log: never "60 of 20 requests failed"."""
    said = "dial tcp 10.0.0.1:80: connect: connection refused"
    caddy = f'{{"level":"error","ts":%s,"logger":"http.log.error","msg":"{said}","status":502}}\n'
    told = report(tmp_path, {"all.log": text_of(some(20)) + "".join(caddy % (START + at) for at in range(40))})
    assert told.verdict.startswith("20 of 20 requests failed (100 %), ")
    assert "; error logs alone tell of 40 more that failed. " in told.verdict
    assert (told.failed, told.rate) == (60, 1.0)
    assert {"Caddy", "nginx"} <= {word.strip("(),") for word in told.files[0].title.split()}


def test_a_log_begins_with_its_earliest_line_of_any_kind(tmp_path: Path) -> None:
    early = refused(replace(some(1)[0], time=START - 3600, path="/early"))
    told = report(tmp_path, {"all.log": early * 30 + text_of(some(40))})
    assert told.first == START - 3600
