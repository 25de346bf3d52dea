"""`headgate logs`: read gateways' logs, and tell what failed, why, what belongs together and what to do."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..diagnose.redact import clean
from .main import INTERRUPTED, stop, write_report

if TYPE_CHECKING:
    from ..logs.live import Live

READERS = ("visitor", "operator", "admin", "all")
EXIT = {"clean": 0, "failures": 1, "nothing": 2}
"""Exit codes by outcome."""
_MINUTE = 60.0
_EXAMPLES = """\b
Examples:
  headgate logs /var/log/nginx/access.log /var/log/nginx/error.log      both: the error log tells the causes
  headgate logs /var/log/nginx/access.log* --html report.html           rotated and compressed ones too
  journalctl -u haproxy -o cat | headgate logs -
  headgate logs --follow /var/log/nginx/access.log /var/log/nginx/error.log
  headgate logs --format nginx:'$remote_addr [$time_local] "$request" $status $upstream_addr' access.log
  headgate logs --format @/etc/nginx/nginx.conf:main access.log       a log_format of that file
  headgate logs access.log --json | jq '.roots[0]'

\b
Exit codes: 0 no request failed, 1 some did, 2 nothing could be read, 130 Ctrl-C (with --follow it ends with the report)."""


@click.command(name="logs", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--for", "reader", type=click.Choice(READERS), default="all", show_default=True, help="Who reads it.")
@click.option(
    "--format",
    "form",
    default="",
    metavar="FORMAT",
    help="How the lines are made, where it is not seen by itself: see the examples.",
)
@click.option(
    "--follow", "-f", is_flag=True, help="Wait for further lines, and tell each failure as it comes. Ctrl-C: the report."
)
@click.option("--top", type=click.IntRange(1, 1000), default=6, show_default=True, help="Rows of each table.")
@click.option("--jobs", "-j", type=click.IntRange(1, 256), help="Processes that read; one for each core otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --follow a line of JSON for each failure.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report with pictures to this file.")
def command(
    files: tuple[str, ...], reader: str, form: str, follow: bool, top: int, jobs: int | None, as_json: bool, html: Path | None
) -> None:  # fmt: skip
    """Read access and error logs of any gateway: how much failed, by which cause, where, since when, and what to do.

    The format is recognised (nginx, Apache, HAProxy, Envoy, Traefik, Caddy, ALB, CloudFront, IIS, Google, Heroku, Varnish, Squid,
    ingress-nginx, Headgate; gzip, bzip2 and xz too). Give the error log beside the access log: it knows the causes.
    "-" is standard input. Nothing is sent anywhere; secrets are left out of what is shown.
    """
    files = tuple(dict.fromkeys(files))
    from ..logs.layout import BadLayout

    try:
        if follow:
            _follow(files, form, reader, top, as_json, html)
        told = _read(files, form, top, jobs, quiet=as_json or not sys.stderr.isatty())
    except BadLayout as error:
        stop(f"--format: {error}")
    except KeyboardInterrupt:
        click.echo("headgate: stopped before the end: nothing is told of a part.", err=True)
        sys.exit(INTERRUPTED)
    _finish(told, reader, as_json, html)


def _read(files: Sequence[str], form: str, top: int, jobs: int | None, quiet: bool) -> dict[str, Any]:
    from ..logs.analyse import analyse
    from ..logs.read import read

    with _bar(quiet) as progress:
        reading = read(files, form, jobs, progress)
    return analyse(reading, form, top).as_json()


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show how much was read and how long it will take. It has no thread of its own: readers are forked beside it."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
    task, drawn = bar.add_task("reading", total=None), 0.0

    def tell(done: int, total: int) -> None:
        nonlocal drawn
        if time.monotonic() - drawn >= 0.1:
            drawn = time.monotonic()
            bar.update(task, completed=done, total=total or None, refresh=True)

    with bar:
        yield tell


def _finish(told: dict[str, Any], reader: str, as_json: bool, html: Path | None) -> NoReturn:
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        from ..render.log_report import print_report
        from ..render.terminal import console_for_output

        print_report(console_for_output(), told, reader)
    _written(html, told, as_json)
    sys.exit(EXIT[told["outcome"]])


def _written(html: Path | None, told: dict[str, Any], as_json: bool) -> None:
    """Write the report with pictures where one was asked for."""
    if html is not None:
        from ..web.log_page import page

        write_report(html, page(told), told=not as_json)


def _follow(files: Sequence[str], form: str, reader: str, top: int, as_json: bool, html: Path | None) -> NoReturn:
    """Tell failures as they come, until Ctrl-C or the end of standard input; then the report on what came."""
    from ..logs.live import Live

    live = Live(files, form)
    for path in files:
        if path != "-" and Path(path).is_dir():
            stop(f"{clean(path)} is a folder: name the files in it")
        if path != "-" and not Path(path).exists():
            click.echo(f"headgate: {clean(path)} is not there yet: waiting for it.", err=True)
    teller = _Teller(live, as_json)
    try:
        while not live.ended:
            teller.tell(live.tick())
            teller.minute()
    except KeyboardInterrupt:
        if not as_json:
            click.echo()
    teller.tell(live.tick(all_of_it=True))
    told = live.report(top).as_json()
    if as_json:  # its lines were printed as they came
        _written(html, told, as_json)
        sys.exit(EXIT[told["outcome"]])
    _finish(told, reader, False, html)


@dataclass
class _Teller:
    """Prints failures as they come, and every minute in which any came how many."""

    live: "Live"
    as_json: bool
    failed: int = 0
    requests: int = 0
    since: float = -1.0
    warned: bool = False

    def tell(self, rows: Sequence[dict[str, Any]]) -> None:
        """Print a line for each failure; of very many only the first ones, and how many more."""
        self.failed += len(rows)
        if self.as_json:
            for row in rows:
                click.echo(json.dumps(row))
            return
        if rows:
            from ..render.log_report import print_failures
            from ..render.terminal import console_for_output

            print_failures(console_for_output(), rows)

    def minute(self) -> None:
        """Say how the last minute was; and once, that lines are not understood."""
        now = time.monotonic()
        if self.live.unknown and not self.warned:
            self.warned = True
            names = ", ".join(self.live.unknown)
            click.echo(f"headgate: the lines of {names} fit no known format: give it with --format.", err=True)
        if self.since < 0 or now - self.since < _MINUTE:
            self.since = now if self.since < 0 else self.since
            return
        if self.failed and not self.as_json:
            count = self.live.requests - self.requests
            click.echo(f"-- {self.failed:,} failed in the last minute" + (f", of {count:,} requests" if count else ""))
        self.failed, self.requests, self.since = 0, self.live.requests, now
