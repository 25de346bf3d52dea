"""`headgate status`: how a running gateway is: workers, upstreams, servers, and what failed."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from ..render.terminal import console_for_output, show
from .admin_client import Client, Refusal, Unreachable, client_for, options, path_of, told
from .status_view import is_well, one_upstream, whole

_EVERY: Final = 1.0
"""Seconds between two looks of --watch: workers tell no more often."""
_UNREACHABLE: Final = 2


@click.command("status")
@click.argument("name", required=False, metavar="[UPSTREAM]")
@options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
def command(name: str | None, admin: str | None, token_file: Path | None, as_json: bool, watch: bool) -> None:
    """Show how a running gateway is; with the name of an UPSTREAM, only that one.

    Exit code: 0 every server may be used, 1 some may not (or a circuit is open), 2 the gateway cannot be asked.
    """
    client = client_for(admin, token_file)
    path = path_of(name) if name else "/api/status"
    if watch:
        code = _watch(lambda: client_for(admin, token_file), path, name, as_json)
    else:
        found = told(client, "GET", path)
        _print(found, name, as_json)
        code = 0 if is_well(_upstreams(found, name)) else 1
    raise click.exceptions.Exit(code)


def _upstreams(found: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    return [found] if name else list(found["upstreams"].values())


def _view(found: dict[str, Any], name: str | None, console: Console) -> RenderableType:
    return one_upstream(name, found, console.width) if name else whole(found, console.width)


def _print(found: dict[str, Any], name: str | None, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    console = console_for_output()
    show(console, _view(found, name, console))


def _watch(find: Callable[[], Client], path: str, name: str | None, as_json: bool) -> int:
    """Show it again and again until Ctrl-C; return the exit code of the last look."""
    code = _UNREACHABLE
    client = find()
    with contextlib.suppress(KeyboardInterrupt), _screen(as_json, name) as draw:
        while True:
            try:
                found = client.ask("GET", path)
            except Unreachable as problem:
                code = _UNREACHABLE
                draw(str(problem))
                with contextlib.suppress(SystemExit):  # after an upgrade it is another process that answers
                    client = find()
            except Refusal as refusal:
                code = _UNREACHABLE
                draw(str(refusal))
            else:
                code = 0 if is_well(_upstreams(found, name)) else 1
                draw(found)
            time.sleep(_EVERY)
    return code


@contextlib.contextmanager
def _screen(as_json: bool, name: str | None) -> Iterator[Callable[[dict[str, Any] | str], None]]:
    """Yield what draws an answer, or the sentence that stands for one: over the last one in a terminal, else below it."""
    console = console_for_output()
    if as_json or not console.is_terminal:

        def add(found: dict[str, Any] | str) -> None:
            if as_json:
                click.echo(json.dumps({"problem": found} if isinstance(found, str) else found))
            else:
                show(console, Text(f"{found}\n") if isinstance(found, str) else _view(found, name, console))
                click.echo()

        yield add
        return
    last: list[RenderableType] = []
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def draw(found: dict[str, Any] | str) -> None:
            last[:] = [Text(found) if isinstance(found, str) else _view(found, name, console)]
            live.update(last[0], refresh=True)

        try:
            yield draw
        except KeyboardInterrupt:
            pass
    if last:
        show(console, last[0])
