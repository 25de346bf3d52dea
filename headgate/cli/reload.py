"""`headgate reload`: have a running gateway read its configuration file again."""

import json
from pathlib import Path

import click

from .admin_client import client_for, options, told


@click.command("reload")
@options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(admin: str | None, token_file: Path | None, as_json: bool) -> None:
    """Have a running gateway read its configuration file again.

    A file that cannot be used changes nothing. A good one holds for new requests when this command ends, and no connection and
    no request is lost.

    Exit code: 0 done, 1 refused, 2 the gateway cannot be asked.
    """
    answer = told(client_for(admin, token_file), "POST", "/api/reload")
    click.echo(json.dumps(answer) if as_json else answer["said"])
