"""`headgate server`: take a server of a running gateway out, bring it back, or give it another weight."""

import json
import time
from pathlib import Path
from typing import Any

import click

from ..diagnose.redact import clean
from .admin_client import Client, client_for, options, path_of, told
from .main import stop

_ACTIONS = ("drain", "ready", "maintenance", "eject", "restore", "weight")
_EXAMPLES = """\b
Actions:
  drain        no new requests; clients bound by a sticky cookie may come back
  maintenance  no requests at all
  ready        ends drain and maintenance
  eject        no new requests for --seconds, as when it failed too often
  restore      take it for healthy: ends an ejection, and a down until the next check
  weight       its share of the requests is --weight

\b
Examples:
  headgate server app http://127.0.0.1:3000 drain --why 'new disk'
  headgate server app 127.0.0.1:3000 eject --seconds 60
  headgate server app 127.0.0.1:3000 weight --weight 5

\b
Exit codes: 0 done, 2 wrong name or value, or the gateway cannot be asked."""


@click.command("server", epilog=_EXAMPLES)
@click.argument("upstream")
@click.argument("server")
@click.argument("action", type=click.Choice(_ACTIONS))
@options
@click.option("--why", default="", metavar="TEXT", help="Shown by `headgate status`.")
@click.option("--seconds", type=float, help="How long an ejection lasts.")
@click.option("--weight", type=int, help="Share of the requests, 1 to 1000.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's state as JSON.")
def command(
    upstream: str, server: str, action: str, admin: str | None, token_file: Path | None, why: str, seconds: float | None,
    weight: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Do ACTION to a SERVER of an UPSTREAM, while the gateway runs.

    SERVER is the URL as the configuration has it; without http:// it is found too.
    """
    if (seconds is not None) != (action == "eject"):
        stop(
            "eject needs --seconds N, such as --seconds 60" if action == "eject" else f"--seconds is for eject, not for {action}"
        )
    if (weight is not None) != (action == "weight"):
        stop("weight needs --weight N, such as --weight 5" if action == "weight" else f"--weight is not for {action}")
    if why and action == "weight":
        stop("--why is not for weight")
    client = client_for(admin, token_file)
    path = path_of(upstream, _label(client, upstream, server), action)
    if action == "weight":
        now = told(client, "PUT", path, {"weight": weight})
    else:
        now = told(client, "POST", path, {"why": why} | ({"seconds": seconds} if seconds is not None else {}))
    click.echo(json.dumps(now) if as_json else _said(upstream, now))


def _label(client: Client, upstream: str, server: str) -> str:
    """Return the URL of the server that is meant; what fits none, or several, stays as it is, and the gateway complains."""
    urls = [one["url"] for one in told(client, "GET", path_of(upstream))["servers"]]
    fitting = [url for url in urls if url.partition("://")[2] == server]
    return fitting[0] if server not in urls and len(fitting) == 1 else server


def _said(upstream: str, now: dict[str, Any]) -> str:
    until = f" until {time.strftime('%H:%M:%S', time.localtime(now['until']))}" if now["until"] else ""
    why = f": {clean(now['why'])}" if now["why"] else ""
    return f"{upstream}: {now['url']} is {now['state']}{until}, weight {now['weight']}{why}"
