"""`headgate report`: the weekly look: what failed, what was saved, what is left of the error budgets, and what to change."""

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from ..config.findings import BadConfig
from ..config.load import read
from ..config.schema import Config
from ..config.units import parse_duration
from ..control.statefolder import incident_file
from ..diagnose.redact import clean
from ..render.terminal import console_for_output
from ..render.weekly import print_report
from .admin_client import client_for, options, told
from .main import stop, write_report

_EPILOG = """\b
Examples:
  headgate report
  headgate report --since 24h --html report.html
  headgate report headgate.toml                     of a gateway with this configuration, running or not
  headgate report --store copy-of.incidents --json

Exit code: 0 the report is made, whatever it says; 2 it cannot be made."""


@click.command("report", epilog=_EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@options
@click.option("--since", metavar="TIME", default="7d", show_default=True, help="Begin: 24h, 7d, or a date such as 2026-11-14.")
@click.option("--until", metavar="TIME", help="End, in the same forms [default: now].")
@click.option("--store", type=click.Path(path_type=Path), metavar="FILE", help="Read this file of incidents, and ask no gateway.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the report as a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    file: Path | None, admin: str | None, token_file: Path | None, since: str, until: str | None, store: Path | None,
    html: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Report on a week: incidents by what they cost users, near misses, error budgets, slow phases, servers to worry about, and
    settings to change with the numbers that prove it.

    It asks the running gateway. With a configuration FILE it reads the incidents of a gateway with this configuration, also of
    one that is down; --store names the file of incidents itself.
    """
    now = time.time()
    end = moment("--until", until, now) if until else now
    begin = moment("--since", since, now)
    if begin >= min(end, now):
        stop(f"--since {clean(since, 40)}: the time has to begin before it ends, and in the past")
    if (store is not None or file is not None) and (admin is not None or token_file is not None):
        stop("FILE and --store read files, and ask no gateway: leave out --admin and --token-file")
    if store is not None or file is not None:
        made = _kept(store, file, begin, min(end, now), now)
    else:
        made = _asked(admin, token_file, begin, end)
    if as_json:
        click.echo(json.dumps(made, indent=2))
    else:
        print_report(console_for_output(), made)
    if html is not None:
        from ..web.report_page import page  # 0.2 s, which those who read here need not wait for

        write_report(html, page(made), told=not as_json)


def _asked(admin: str | None, token_file: Path | None, begin: float, end: float) -> dict[str, Any]:
    query = urlencode({"since": f"{begin:.3f}", "until": f"{end:.3f}"})
    found: dict[str, Any] = told(client_for(admin, token_file), "GET", f"/api/report?{query}")
    return found


def _kept(store: Path | None, file: Path | None, begin: float, end: float, now: float) -> dict[str, Any]:
    """Return the report from a file. One of the two is given."""
    from ..incidents.archive import Archive, Unreadable
    from ..incidents.weekly import weekly

    config = _configuration(file) if file is not None else None
    path = store or _store_of(config, file)
    try:
        with Archive(path) as archive:
            return weekly(archive, begin, end, now, config)
    except Unreadable as problem:
        stop(clean(str(problem), 500))


def _configuration(file: Path) -> Config:
    try:
        return read(str(file)).config
    except BadConfig as problem:
        click.echo(str(problem), err=True)
        raise click.exceptions.Exit(2) from None


def _store_of(config: Config | None, file: Path | None) -> Path:
    """Return where a gateway with this configuration keeps its incidents. Ends the command where it keeps none."""
    assert config is not None
    assert file is not None
    try:
        path = incident_file(config.incidents.file, str(file.absolute()), os.environ, os.geteuid())
    except OSError as problem:
        stop(f"{clean(str(problem.filename or file))}: {problem.strerror}")
    if path is None:
        stop(f"{clean(str(file))}: its incidents are kept in memory only, and end with the gateway: ask it while it runs")
    return path


def moment(option: str, text: str, now: float) -> float:
    """Return the wall-clock seconds that "24h" (ago) or a date means, in this machine's time zone. Ends the command otherwise."""
    try:
        return now - float(parse_duration(text))
    except ValueError:
        pass
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        stop(f'{option} "{clean(text, 40)}": expected 24h or 7d, or a date such as 2026-11-14 or 2026-11-14T10:00')
