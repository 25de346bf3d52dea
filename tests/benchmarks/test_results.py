"""Reading what clients print, judging it, and summing up rounds."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from results import Results, Sample, check_wrk, median, read_result

CLEAN = {"requests": 100.0, "connect": 0.0, "read": 0.0, "write": 0.0, "timeout": 0.0, "status": 0.0}


def test_a_result_is_found_among_other_output():
    output = 'Running 1s test\n  2 threads\nRESULT {"requests": 12, "seconds": 1.5, "p50": 80.0}\n'
    assert read_result(output) == {"requests": 12.0, "seconds": 1.5, "p50": 80.0}


def test_output_without_a_result_is_quoted():
    with pytest.raises(ValueError, match="unable to connect"):
        read_result("unable to connect to 127.0.0.1:1\n")


def test_a_clean_load_has_no_problem():
    assert check_wrk(CLEAN, failing=False) == ""


@pytest.mark.parametrize(
    ("change", "failing", "said"),
    [
        ({"read": 3.0}, False, "3 read errors"),
        ({"timeout": 1.0}, False, "1 timeout errors"),
        ({"status": 7.0}, False, "7 of 100 answers were errors"),
        ({"status": 99.0}, True, "99 of 100 answers were errors"),
        ({"requests": 0.0}, False, "no request was answered"),
    ],
)
def test_what_spoils_a_load(change: dict[str, float], failing: bool, said: str):
    assert said in check_wrk(CLEAN | change, failing)


def test_a_failing_load_needs_errors_only():
    assert check_wrk(CLEAN | {"status": 100.0}, failing=True) == ""


def test_ratios_are_taken_round_by_round():
    results = Results()
    for nginx, envoy in ((10.0, 20.0), (30.0, 66.0), (10.0, 21.0)):
        results.add("small", "nginx", Sample(cpu_us=nginx))
        results.add("small", "envoy", Sample(cpu_us=envoy))
    assert results.ratios("small", "envoy", "cpu_us") == pytest.approx([2.0, 2.2, 2.1])
    assert median(results.ratios("small", "envoy", "cpu_us")) == pytest.approx(2.1)


def test_one_bad_round_spoils_the_cell():
    results = Results()
    results.add("small", "nginx", Sample(cpu_us=10.0))
    results.add("small", "nginx", Sample(problem="2 read errors"))
    assert results.problem("small", "nginx") == "2 read errors"
    assert results.values("small", "nginx", "cpu_us") == []


def test_a_number_that_was_not_measured_is_no_value():
    results = Results()
    results.add("1m", "nginx", Sample(cpu_us=10.0))
    assert results.values("1m", "nginx", "p99_us") == []
