"""Editors get a schema that is valid itself, and agrees with what `load` takes."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from headgate.cli import main
from headgate.config.json_schema import json_schema
from headgate.config.wording import tables

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


def test_it_is_valid_by_the_meta_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_command_prints_it():
    result = CliRunner().invoke(main, ["schema"])
    assert (result.exit_code, json.loads(result.output)) == (0, json_schema())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_valid(file):
    VALIDATOR.validate(tomllib.loads(file.read_text()))


def upstream(**keys):
    return {"upstream": {"app": {"servers": ["http://a"], **keys}}}


@pytest.mark.parametrize(
    ("data", "valid"),
    [
        (upstream(timeouts={"head": "250ms"}), True),
        (upstream(timeouts={"head": 5}), True),
        (upstream(timeouts={"head": 0.5}), True),
        (upstream(timeouts={"head": "5 parsecs"}), False),
        (upstream(timeouts={"head": 0}), False),
        (upstream(timeouts={"head": True}), False),
        (upstream(retry={"body_bytes": "8KiB"}), True),
        (upstream(retry={"body_bytes": 8192}), True),
        (upstream(retry={"body_bytes": "8 bananas"}), False),
        (upstream(servers=[{"url": "http://a", "weight": 2}]), True),
        (upstream(servers=[{"weight": 2}]), False),
        (upstream(servers=[]), False),
        (upstream(servers="http://a"), False),
        (upstream(policy="round-robin"), True),
        (upstream(policy="random"), False),
        (upstream(conect=1), False),
        ({"gateway": {"trusted_proxies": ["10.0.0.0/8"], "timeout_status": 502}}, True),
        ({"gateway": {"timeout_status": 503}}, False),
    ],
)
def test_it_takes_what_the_loader_takes(data, valid):
    assert VALIDATOR.is_valid(data) is valid


def test_every_key_is_described():
    schema = json_schema()
    for _, table in tables():
        about = schema["$defs"][table.__name__]
        about = next((part for part in about["anyOf"] if "properties" in part), None) if "anyOf" in about else about
        assert about["description"]
        for name, key in about["properties"].items():
            assert "description" in key or "$ref" in key or "anyOf" in key, (table.__name__, name)
