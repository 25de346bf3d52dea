"""The page about telling people tells the truth: its examples are configurations, of every kind there is, and its names exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headgate.config.load import read
from headgate.notify import generic
from headgate.notify.courier import KINDS, Courier
from headgate.notify.words import told

from .conftest import destination, message

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TEMPLATE = re.findall(r"^```jinja\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_used(example: str, tmp_path: Path) -> None:
    for name in re.findall(r'"/etc/headgate/([\w.-]+)"', example):
        (tmp_path / name).write_text(TEMPLATE if name.endswith(".j2") else "https://hooks.example.org/services/x")
    text = example.replace("/etc/headgate/", "")
    if "[upstream." not in text:
        text = f'[upstream.shop]\nservers = ["http://127.0.0.1:3000"]\n{text}'
    (tmp_path / "headgate.toml").write_text(text)
    config = read(tmp_path / "headgate.toml").config
    for name, settings in config.destination.items():
        assert Courier(name, settings, "web1", masked=True).make([message()])


def test_every_kind_has_its_example() -> None:
    assert set(re.findall(r'^kind = "(\w+)"$', PAGE, re.MULTILINE)) == set(KINDS)


def data() -> dict[str, Any]:
    return generic.data(message(), told(message()), "web1", 0)


def test_the_table_has_every_member() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named >= set(data())


def test_the_template_makes_json_of_hostile_texts(tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text(TEMPLATE)
    hostile = message(server='"}, "urgent": false, "x": {"</script>\\', upstream='a"b')
    settings = destination(url="http://127.0.0.1:9/", template=str(tmp_path / "own.j2"))
    (made,) = Courier("own", settings, "web1").make([hostile])
    found = json.loads(made.body)  # type: ignore[union-attr]
    assert found.keys() == {"subject", "urgent", "upstream"}
    assert (found["urgent"], found["upstream"]) == (True, 'a"b')


def test_every_variable_is_named() -> None:
    assert {f"HEADGATE_{name.upper()}" for name in generic.variables(data())} == set(re.findall(r"`(HEADGATE_\w+)`", PAGE))
