"""`headgate incidents`: what fails and failed, why, what to do about it; and saying that somebody is on it."""

import getpass
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ..config.units import parse_duration
from ..render.terminal import console_for_output, show
from ..render.ticket import markdown
from . import incidents_view as view
from .admin_client import Refusal, Unreachable, client_for, options, told
from .incidents_source import Gateway, Source, kept, meant
from .main import stop

_EVERY: Final = 1.0
"""Seconds between two looks of --follow."""
_MOST: Final = 1000
_WORSE: Final = 10
"""How many times more failures than when it was last told of make an incident worse."""
_EXAMPLES: Final = """\b
Examples:
  headgate incidents --state open
  headgate incidents --since 24h --upstream shop --json
  headgate incidents --follow
  headgate incidents show 7QH2
  headgate incidents show t0fsx2n8-1        the reference of an error page
  headgate incidents ack 7QH2 --note 'disk replaced' --for 20m
  headgate incidents export 7QH2 --md -o ticket.md

\b
Exit codes: 0 nothing is open that users see, 1 something is, 2 wrong usage, or the gateway cannot be asked. The commands: 0 done,
2 nothing is known by that name, or the gateway cannot be asked."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _store(command: _Command) -> _Command:
    text = "Read this file of incidents, of a gateway that does not run; nothing is written."
    return click.option("--store", type=click.Path(path_type=Path), metavar="FILE", help=text)(command)


@contextmanager
def _source(admin: str | None, token_file: Path | None, store: Path | None) -> Iterator[Source]:
    """Yield what the options mean."""
    if store is None:
        yield Gateway(client_for(admin, token_file))
        return
    if admin is not None or token_file is not None:
        stop("--store reads a file, and asks no gateway: leave out --admin and --token-file")
    with kept(store) as found:
        yield found


@click.group("incidents", invoke_without_command=True, epilog=_EXAMPLES)
@options
@_store
@click.option("--state", type=click.Choice(["open", "resolved"]), help="Only those that last, or those that are over.")
@click.option("--since", metavar="TIME", help="Only what failed since then: 30m, 24h, 7d, or a time such as 2026-11-21T14:00.")
@click.option("--upstream", metavar="NAME", default="", help="Only those of this upstream.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="How many at most.")
@click.option("--follow", is_flag=True, help="Print what changes as it comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow one object a line.")
@click.pass_context
def command(
    context: click.Context, admin: str | None, token_file: Path | None, store: Path | None, state: str | None, since: str | None,
    upstream: str, limit: int, follow: bool, as_json: bool,
) -> None:  # fmt: skip
    """List incidents, open ones first; or do something about one."""
    context.obj = (admin, token_file, store)
    if context.invoked_subcommand is not None:
        return
    if follow and (store is not None or state == "resolved"):
        stop("--follow waits for changes of a running gateway: leave out --store and --state resolved")
    if follow:
        _follow(lambda: Gateway(client_for(admin, token_file)), upstream, as_json)
        return
    after = _moment(since) if since else 0.0
    with _source(admin, token_file, store) as source:
        found = _listed(source, state or "", upstream, after, limit)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        console = console_for_output()
        show(console, view.listed(found, console.width))
    if any(one["state"] == "open" and one["seen"] for one in found["incidents"]):
        context.exit(1)


def _listed(source: Source, state: str, upstream: str, since: float, limit: int) -> dict[str, Any]:
    """Return incidents: those that are open first, of them what users see."""
    found = source.listed(state, upstream, since, limit)
    if not state:  # one that is open for long must not be missed because of the many after it
        still = source.listed("open", upstream, since, limit)["incidents"]
        known = {one["id"] for one in still}
        found["incidents"] = still + [one for one in found["incidents"] if one["id"] not in known]
    found["incidents"].sort(key=lambda one: (one["state"] != "open", one["state"] == "open" and not one["seen"], -one["first"]))
    del found["incidents"][limit:]
    return found


def _moment(text: str) -> float:
    """Return the wall-clock seconds that --since means."""
    with suppress(ValueError):
        return time.time() - float(parse_duration(text))
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        stop(f'--since "{text[:40]}": expected 30m, 24h or 7d, or a time such as 2026-11-21T14:00')


def _span(option: str, text: str | None) -> float:
    """Return the seconds that a duration means, 0 without one."""
    if text is None:
        return 0.0
    try:
        return float(parse_duration(text))
    except ValueError:
        stop(f'{option} "{text[:40]}": expected a time such as 30m or 2h')


# Following.


def _follow(find: Callable[[], Gateway], upstream: str, as_json: bool) -> None:
    """Print what is open, and then what changes, until Ctrl-C."""
    source, known, problem = find(), dict[str, dict[str, Any]](), ""
    with suppress(KeyboardInterrupt):
        while True:
            try:
                _tell_changes(source, known, upstream, as_json)
                problem = ""
            except (Unreachable, Refusal) as trouble:
                if str(trouble) != problem:
                    problem = str(trouble)
                    click.echo(f"headgate: {problem}; it is asked again", err=True)
                with suppress(SystemExit):  # after a restart it is another socket
                    source = find()
            time.sleep(_EVERY)


def _tell_changes(source: Gateway, known: dict[str, dict[str, Any]], upstream: str, as_json: bool) -> None:
    """Compare what is open with what is known to be. Raises Unreachable and Refusal."""
    asked = f"/api/incidents?state=open&limit={_MOST}"
    found = {one["id"]: one for one in source.client.ask("GET", asked)["incidents"] if upstream in ("", one["upstream"])}
    for id, one in sorted(found.items(), key=lambda item: item[1]["first"]):
        if what := _what(known.get(id), one):
            _say(what, one, as_json)
            known[id] = one
    for id in [id for id, one in known.items() if one["state"] == "open" and id not in found]:
        known[id] = source.incident(id) or {**known[id], "state": "resolved"}
        _say("resolved", known[id], as_json)


def _what(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Return what became of an open incident since it was last told of; "" for nothing."""
    if before is None:
        return "open" if time.time() - now["first"] > 2 * _EVERY else "opened"
    if before["state"] != "open" or before.get("reopenings", 0) < now.get("reopenings", 0):
        return "reopened"
    if now["acknowledged"] is not None and before["acknowledged"] != now["acknowledged"]:
        return "acknowledged"
    if now["cause"] != before["cause"]:
        return "changed"
    return "worse" if now["failed"] >= _WORSE * max(_WORSE, before["failed"]) else ""


def _say(what: str, one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        summary = {key: value for key, value in one.items() if key not in ("samples", "verdicts", "seconds", "minutes", "events")}
        click.echo(json.dumps({"at": round(time.time(), 3), "what": what, "incident": summary}))
    else:
        show(console_for_output(), view.change(time.time(), what, one))


# One incident.


@contextmanager
def _chosen(context: click.Context, admin: str | None, token_file: Path | None, store: Path | None) -> Iterator[Source]:
    """Yield what the options mean, which may stand before the command or after it."""
    before = context.obj or (None, None, None)
    with _source(admin or before[0], token_file or before[1], store or before[2]) as source:
        yield source


@command.command("show")
@click.argument("name", metavar="ID-OR-REFERENCE")
@options
@_store
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def show_one(
    context: click.Context, name: str, admin: str | None, token_file: Path | None, store: Path | None, as_json: bool
) -> None:
    """Show an incident: its verdict, evidence, who is affected, what to do. The first letters of its ID are enough."""
    with _chosen(context, admin, token_file, store) as source:
        found, record = meant(source, name)
    if as_json:
        click.echo(json.dumps({**found, "record": record} if record else found, indent=2))
        return
    console = console_for_output()
    show(console, view.story(found, console, record))


@command.command("export")
@click.argument("name", metavar="ID-OR-REFERENCE")
@options
@_store
@click.option("--md", "form", flag_value="md", default="md", help="As Markdown, for a ticket [default].")
@click.option("--json", "form", flag_value="json", help="As JSON.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write [default: standard output].")
@click.pass_context
def export(
    context: click.Context, name: str, admin: str | None, token_file: Path | None, store: Path | None, form: str, out: Path | None
) -> None:
    """Write all of an incident, for a ticket or another program."""
    with _chosen(context, admin, token_file, store) as source:
        found, _ = meant(source, name)
    text = markdown(found) if form == "md" else json.dumps(found, indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        stop(f"{out}: {(problem.strerror or str(problem)).lower()}")


_DONE: Final = {"acknowledge": "acknowledged", "resolve": "resolved", "silence": "silenced"}


def _acting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the incident that it is about, and the options that all of these have."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
    return click.argument("id", metavar="ID")(options(as_json(click.pass_context(command))))


def _person(command: _Command) -> _Command:
    """Give a command the options that say who does it, and why."""
    who = click.option("--who", metavar="NAME", default=None, help="Who does it [default: the user's name].")
    return who(click.option("--note", metavar="TEXT", default="", help="Kept with the incident.")(command))


def _body(who: str | None, note: str, **more: Any) -> dict[str, Any]:
    if who is None:
        with suppress(OSError, KeyError):
            who = getpass.getuser()
    return {"who": (who or "")[:100], "note": note[:2000], **more}


def _act(context: click.Context, where: tuple[str | None, Path | None], id: str, action: str, body: Any, as_json: bool) -> None:
    """Do something about an incident. where: --admin and --token-file; action: of the admin API, with its body."""
    with _chosen(context, *where, None) as source:
        if not isinstance(source, Gateway):
            stop("a file cannot be changed, only incidents of a running gateway: leave out --store")
        found, _ = meant(source, id)
        now = told(source.client, "POST", f"/api/incidents/{found['id']}/{action}", body)
    if as_json:
        click.echo(json.dumps(now))
    elif action == "examine":
        click.echo(f"{found['id']}: {now['said']}")
    else:
        show(console_for_output(), view.change(time.time(), _DONE[action], now))


@command.command("ack")
@_person
@click.option("--for", "lasts", metavar="TIME", help="How long it should still take, such as 20m: visitors are told.")
@_acting
def ack(
    context: click.Context, id: str, admin: str | None, token_file: Path | None, as_json: bool, who: str | None, note: str,
    lasts: str | None,
) -> None:  # fmt: skip
    """Say that somebody is on it: error pages and the status page tell visitors so, without names."""
    seconds = _span("--for", lasts)
    expected = {"expected": time.time() + seconds} if seconds else {}
    _act(context, (admin, token_file), id, "acknowledge", _body(who, note, **expected), as_json)


@command.command("resolve")
@_person
@_acting
def resolve(
    context: click.Context, id: str, admin: str | None, token_file: Path | None, as_json: bool, who: str | None, note: str
) -> None:
    """Say that it is over. The next failure of the same kind reopens it."""
    _act(context, (admin, token_file), id, "resolve", _body(who, note), as_json)


@command.command("silence")
@_person
@click.option("--for", "lasts", metavar="TIME", required=True, help="For how long, such as 2h; 0s ends it.")
@_acting
def silence(
    context: click.Context, id: str, admin: str | None, token_file: Path | None, as_json: bool, who: str | None, note: str,
    lasts: str,
) -> None:  # fmt: skip
    """Have nobody told of it for a while."""
    _act(context, (admin, token_file), id, "silence", _body(who, note, seconds=_span("--for", lasts)), as_json)


@command.command("examine")
@_acting
def examine(context: click.Context, id: str, admin: str | None, token_file: Path | None, as_json: bool) -> None:
    """Look into it again, from the gateway's own place."""
    _act(context, (admin, token_file), id, "examine", {}, as_json)
