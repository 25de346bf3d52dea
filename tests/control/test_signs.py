"""What was different before an incident: told when it is so, and not when it is not."""

from pathlib import Path

import pytest

from headgate.control.signs import more_resent, resent_segments, slower


@pytest.mark.parametrize(
    ("past", "present", "said"),
    [
        ([0.1] * 20, [0.4] * 6, "answers became slower: 400 ms, 100 ms before"),
        ([0.1] * 20, [0.19] * 6, ""),
        ([0.001] * 20, [0.04] * 6, ""),  # forty times as long, and still quick
        ([0.1] * 5, [0.4] * 6, ""),  # too little to compare with
        ([], [], ""),
        ([0.1] * 20, [0.1] * 5 + [9.0], ""),  # one slow look is no trend
    ],
)
def test_slower(past, present, said):
    assert slower(past + present) == said


def seconds(rates: list[float]) -> list[tuple[float, int]]:
    """Return counts, five seconds apart, with these rates in between."""
    found, count = [(0.0, 1000)], 1000.0
    for number, rate in enumerate(rates, 1):
        count += rate * 5
        found.append((number * 5.0, int(count)))
    return found


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ([1] * 20 + [30] * 6, "this machine retransmits more: 30.0 TCP segments a second, 1.0 before"),
        ([0] * 20 + [4] * 6, ""),
        ([20] * 20 + [30] * 6, ""),
        ([30] * 5, ""),
        ([], ""),
    ],
)
def test_retransmissions(rates, said):
    assert more_resent(seconds(rates)) == said


def test_the_kernels_count(tmp_path: Path):
    assert resent_segments() >= 0
    file = tmp_path / "snmp"
    assert resent_segments(file) == 0
    file.write_text("Ip: A B\nIp: 1 2\nTcp: RtoMin RetransSegs\nTcp: 200 77\n")
    assert resent_segments(file) == 77
    file.write_text("Tcp: RtoMin RetransSegs\nTcp: 200\n")
    assert resent_segments(file) == 0
