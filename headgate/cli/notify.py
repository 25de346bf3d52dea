"""`headgate notify`: sends a test message to the destinations of a configuration, or shows what they would be sent."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from ..config.findings import BadConfig
from ..config.load import read
from ..config.schema import Config
from ..diagnose.redact import clean
from ..notify.courier import Courier, origin, shown
from ..notify.failing import NotSent
from ..notify.message import ACKNOWLEDGED, CHANGED, OPENED, REOPENED, RESOLVED, TEST, WORSE, about, example
from .main import stop


@click.group("notify")
def command() -> None:
    """Try the destinations that a configuration tells of incidents."""


@command.command("test")
@click.argument("file")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def test(file: str, name: str | None, as_json: bool) -> None:
    """Send a test message to every destination in FILE, or to the one called NAME, and tell what each answered.

    The message says that it is a test. Where it opens an alert (PagerDuty, Opsgenie, Alertmanager), that is closed at once. What
    a destination asks of rates and waiting does not hold for it.

    Exit code: 0 all took it, 1 one did not, 2 the file cannot be used.
    """
    config = _configuration(file)
    rows = asyncio.run(_send_all([_courier(config, one) for one in _names(config, name)]))
    if as_json:
        click.echo(json.dumps({"file": file, "destinations": rows}, indent=2))
    else:
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            said = row["answer"] if row["ok"] else click.style(f"not sent: {row['error']}", fg="red")
            click.echo(f"{row['name']:<{width}}  {clean(row['where'])}: {said}")
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


@command.command("show")
@click.argument("file")
@click.argument("name", required=False)
@click.option(
    "--what", type=click.Choice([OPENED, WORSE, CHANGED, RESOLVED, REOPENED, ACKNOWLEDGED]), default=OPENED, show_default=True,
    help="The change to tell of.",
)  # fmt: skip
@click.option(
    "--incident", metavar="JSON", type=click.File("rb"), help="An incident as the admin API has it (- for standard input)."
)
def show(file: str, name: str | None, what: str, incident: Any) -> None:
    """Print what the destinations in FILE, or the one called NAME, would be sent, without sending it. Secrets are left out.

    Exit code: 0 done, 1 a template cannot be used for it, 2 the file cannot be used.
    """
    config = _configuration(file)
    message = about(what, time.time(), _incident(incident), "https://headgate.example.org/incidents/EXAMP1E0")
    failed = False
    for one in _names(config, name):
        courier = Courier(one, config.destination[one], origin(config.gateway.name), masked=True)
        click.echo(click.style(f"# {one}: {courier.settings.kind}", bold=True))
        try:
            click.echo("\n\n".join(shown(outgoing) for outgoing in courier.make([message])) + "\n")
        except NotSent as problem:
            failed = True
            click.echo(click.style(f"cannot be made: {problem}\n", fg="red"))
    sys.exit(1 if failed else 0)


def _configuration(file: str) -> Config:
    try:
        config = read(file).config
    except BadConfig as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    if not config.destination:
        stop(f"{clean(file)}: there is no [destination.NAME] in it, so nobody is told (docs/notifications.md)")
    return config


def _names(config: Config, name: str | None) -> list[str]:
    """Return the destinations that are meant."""
    if name is not None and name not in config.destination:
        stop(f"no destination is called {clean(name)}; there are {', '.join(config.destination)}")
    return list(config.destination) if name is None else [name]


def _courier(config: Config, name: str) -> Courier:
    return Courier(name, config.destination[name], origin(config.gateway.name))


def _incident(file: Any) -> Mapping[str, Any]:
    """Return the summary of an incident: from a file, or the example."""
    if file is None:
        return example(time.time(), test=False)
    try:
        found = json.load(file)
    except ValueError as error:
        stop(f"--incident: not JSON: {clean(str(error))}")
    if not isinstance(found, dict) or not isinstance(found.get("id"), str) or not isinstance(found.get("cause"), str):
        stop("--incident: not an incident, as GET /api/incidents/ID has it")
    return found


async def _send_all(couriers: list[Courier]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*map(_send, couriers)))


async def _send(courier: Courier) -> dict[str, Any]:
    """Send a test; return what came of it, as JSON has it."""
    row: dict[str, Any] = {"name": courier.name, "kind": courier.settings.kind, "where": courier.where()}
    now = time.time()
    summary = example(now, test=True)
    whats = (TEST, RESOLVED) if courier.way.closes else (TEST,)
    try:
        answers = [await courier.send([about(what, now, {**summary, "state": _state(what)})]) for what in whats]
    except NotSent as problem:
        return {**row, "ok": False, "error": str(problem)}
    finally:
        await courier.close()
    return {**row, "ok": True, "answer": ", closed again: ".join(clean(answer) for answer in answers)}


def _state(what: str) -> str:
    return "resolved" if what == RESOLVED else "open"
