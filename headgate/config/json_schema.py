"""The JSON Schema of the configuration file: the models' own, with the title and the identifiers that editors look for."""

from typing import Any

from .schema import Config


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) that a configuration file, read as JSON, is valid against."""
    schema = Config.model_json_schema(mode="validation")
    schema.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Headgate configuration",
        **schema,
    }
