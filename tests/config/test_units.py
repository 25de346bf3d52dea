"""Durations and sizes are read as people write them, and shown the same way."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.config.units import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("5s", 5), (" 1.5 m ", 90), ("2H", 7200), ("1d", 86_400), (3, 3), (None, None)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("500", 500), ("8KiB", 8192), ("8 kB", 8000), ("1.5MiB", 1_572_864), ("2g", 2 * 10**9), (7, 7)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s s", "5parsecs", "1,5s", "\u0665s", "1e3s"])
def test_not_durations(text):
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)
    assert not re.search(DURATION_PATTERN, text, re.ASCII)


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1TiB", "1 bananas"])
def test_not_sizes(text):
    with pytest.raises(ValueError, match="expected a size such as"):
        parse_size(text)
    assert not re.search(SIZE_PATTERN, text, re.ASCII)


@given(st.integers(1, 10**9))
def test_what_is_shown_is_read_again(milliseconds):
    text = show_duration(milliseconds / 1000)
    assert parse_duration(text) == pytest.approx(milliseconds / 1000)
    assert re.search(DURATION_PATTERN, text)
    assert parse_size(show_size(milliseconds)) == milliseconds
    assert re.search(SIZE_PATTERN, show_size(milliseconds))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (90, "90s"), (300, "5m"), (3600, "1h"), (86_400, "1d"), (1.5, "1.5s")]
)
def test_the_shortest_form(seconds, text):
    assert show_duration(seconds) == text
