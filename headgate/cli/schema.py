"""`headgate schema`: prints the JSON Schema by which editors complete and check configuration files."""

import json

import click

from ..config.json_schema import json_schema


@click.command
def command() -> None:
    """Print the JSON Schema (draft 2020-12) of the configuration file."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
