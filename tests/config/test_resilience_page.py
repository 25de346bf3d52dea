"""docs/resilience.md has every key about staying up, with the default that it really has, and configurations that can be used."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.config.checks import warnings
from headgate.config.load import read
from headgate.config.reference import reference

PAGE = (Path(__file__).parents[2] / "docs" / "resilience.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = dict(re.findall(r"^\| `([a-z_.]+)` \| (required|none|`[^|]*`) \|", PAGE, re.MULTILINE))
"""Defaults by key, as the page has them: keys of an upstream without its name."""
WHOLE = ("sticky", "retry", "retry.budget", "health", "ejection", "breaker", "queue", "adaptive", "route.rate_limit")
"""Tables that are explained here and nowhere else: each of their keys has its row."""


def place(heading: str) -> str:
    """Return what stands before a table's keys on the page."""
    name = heading.strip("[]")
    return name.removeprefix("upstream.NAME").removeprefix(".")


def defaults() -> Iterator[tuple[str, str, str]]:
    """Yield (table, key, default) of every key there is, as the reference has them."""
    for section in re.split(r"^### ", reference(), flags=re.MULTILINE)[1:]:
        table = place(re.match(r"`(.*?)`", section)[1])
        for key, default in re.findall(r"^\| `([a-z_]+)` \| .*? \| (required|none|`[^|]*`) \|", section, re.MULTILINE):
            yield table, f"{table}.{key}" if table else key, default


def test_every_key_about_staying_up_has_its_row_and_its_reason():
    assert [key for table, key, _ in defaults() if table in WHOLE and key not in ROWS] == []
    reasons = re.findall(r"^\| `([a-z_.]+)` \| (?:required|none|`[^|]*`) \|\s*\|$", PAGE, re.MULTILINE)
    assert reasons == []


def test_the_defaults_on_the_page_are_those_of_the_program():
    real = {key: default for _, key, default in defaults()}
    assert len(ROWS) > 60
    assert {key: default for key, default in ROWS.items() if real.get(key) != default} == {}


@pytest.mark.parametrize("text", BLOCKS)
def test_the_configurations_on_the_page_can_be_used(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    loaded = read(file)
    assert [finding.id for finding in warnings(loaded.config, loaded.source) if finding.id != "single-server"] == []
