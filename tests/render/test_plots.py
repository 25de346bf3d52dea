"""Pictures in a terminal: words for what is drawn, ranges, and letters that the output has."""

import io

import pytest
from rich.console import Console

from headgate.render.plots import durations, heat, over_time
from headgate.render.terminal import show

DRAWN = {"begin": 0.0, "width": 60.0, "failed": [3, 0, 4], "causes": [("connection-refused", [1, 0, 2]), ("502", [2, 0, 2])]}
BARS = [
    {"low": 0.0, "high": 0.01, "count": 2, "timers": []},
    {"low": 30.001, "high": 30.04, "count": 5, "timers": ["a timer"]},
    {"low": 307.0, "high": -1.0, "count": 1, "timers": []},
]
CELLS = {"begin": 0.0, "width": 60.0, "rows": [("app1", [1, 0, 9]), ("app2", [0, 2, 0])]}


def drawn(encoding: str) -> str:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding, write_through=True), width=80)
    for part in (*over_time(console, DRAWN), *durations(console, BARS), *heat(console, CELLS)):
        show(console, part)
    return raw.getvalue().decode(encoding)


def test_what_has_no_cause_is_named_by_its_status() -> None:
    text = drawn("utf-8")
    assert "█ The server refused the connection\n▒ 502, the log does not say why\n" in text


def test_a_range_has_two_ends_or_one() -> None:
    text = drawn("utf-8")
    assert all(said in text for said in ("under 10 ms ", "about 30 s ", "over 307 s "))
    assert "30 s to 30 s" not in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_without_blocks_other_letters_are_drawn(encoding: str) -> None:
    text = drawn(encoding)
    assert "# The server refused the connection\n= 502, the log does not say why\n" in text
    assert text.count("#") > 20
