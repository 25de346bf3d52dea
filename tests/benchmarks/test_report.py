"""The tables, and their place in the document."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import report
from results import Results, Sample

GATEWAYS = {"nginx": "nginx", "headgate": "Headgate", "envoy": "Envoy"}
LOADS = {"small": "small", "idle": "idle"}


@pytest.fixture
def results() -> Results:
    results = Results({"kernel": "Linux 6.1"})
    for cpu in (20.0, 21.0, 22.0):
        results.add("small", "nginx", Sample(cpu_us=cpu, per_second=48_000.4, p50_us=900.0, p99_us=2000.0))
        results.add("small", "headgate", Sample(cpu_us=cpu * 1.5, per_second=30_000.0, p50_us=1500.0, p99_us=3000.0))
    results.add("small", "envoy", Sample(problem="not installed"))
    results.add("idle", "nginx", Sample(kib=0.44))
    return results


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0.456, "0.46 µs"), (17.54, "17.5 µs"), (930.4, "930 µs"), (1018.0, "1.02 ms"), (105_400.0, "105 ms")],
)
def test_durations(microseconds: float, text: str):
    assert report.duration(microseconds) == text


def test_cpu_table(results: Results):
    assert report.cpu_table(results, LOADS, GATEWAYS) == [
        ["CPU time per request", "nginx", "Headgate : nginx", "Envoy : nginx"],
        ["small", "21.0 µs", "1.50 (1.50 to 1.50)", "not installed"],
        ["p99, 64 connections, saturated", "2.00 ms", "1.50 (1.50 to 1.50)", "not installed"],
    ]


def test_without_nginx_there_are_no_ratios(results: Results):
    del results.samples["small"]["nginx"]
    table = report.cpu_table(results, LOADS, {"headgate": "Headgate"})
    assert table[0] == ["CPU time per request", "Headgate"]
    assert table[1] == ["small", "31.5 µs"]


def test_other_table(results: Results):
    rows = {row[0]: row[1:] for row in report.other_table(results, LOADS, GATEWAYS)}
    assert rows["p50 / p99, 64 connections, saturated"] == ["900 µs / 2.00 ms", "1.50 ms / 3.00 ms", "not installed"]
    assert rows["small requests, one core"] == ["48,000/s", "30,000/s", "not installed"]
    assert rows["memory per idle connection"] == ["0.4 KiB", "not measured", "not measured"]


def test_markdown():
    assert report.as_markdown([["a", "b"], ["1|2", "3"]]) == "| a | b |\n| --- | ---: |\n| 1/2 | 3 |"
    assert report.as_markdown([]) == ""


def test_text_is_aligned():
    assert report.as_text([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path, results: Results):
    file = tmp_path / "page.md"
    file.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_between_markers(file, report.document(results, [report.cpu_table(results, LOADS, GATEWAYS)]))
    text = file.read_text()
    assert text.startswith("before\n" + report.BEGIN)
    assert text.endswith(report.END + "\nafter\n")
    assert "old" not in text
    assert "- kernel: Linux 6.1" in text
    assert "| small | 21.0 µs |" in text


def test_a_page_without_markers_is_refused(tmp_path: Path):
    file = tmp_path / "page.md"
    file.write_text("nothing here\n")
    with pytest.raises(ValueError, match="no place"):
        report.write_between_markers(file, "text")
    assert file.read_text() == "nothing here\n"


def test_the_document_has_the_markers():
    text = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    assert text.count(report.BEGIN) == 1
    assert "| small, equal requests |" in text.partition(report.BEGIN)[2].partition(report.END)[0], "its end is the next one"


def test_json_keeps_every_round(results: Results):
    assert len(json.loads(results.as_json())["samples"]["small"]["nginx"]) == 3


def test_the_machine_is_described_without_its_name():
    facts = report.machine_facts()
    assert set(facts) == {"processor", "kernel", "Python"}
    assert "cores" in facts["processor"]
