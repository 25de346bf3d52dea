"""`headgate watch`: wait until a site is back and say so, or keep watch for good and tell only of changes of cause."""

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from ..diagnose.catalogue import catalogue
from ..diagnose.pages import judge_answer, retry_after
from ..diagnose.redact import clean, redact_target
from ..watch.history import BadHistory, History, availability
from ..watch.notify import Ways, is_webhook
from ..watch.run import Events, Plan, watch
from ..watch.state import FLAPPING, UP, Change, Sighting
from .main import INTERRUPTED, check_authorities, header_fields, stop

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PERIODS = 90
_EXAMPLES = """\b
Examples:
  headgate watch https://example.org/                                  until Ctrl-C, changes only
  headgate watch https://example.org/ --until up --timeout 10m && ./deploy-next
  headgate watch https://a.example/ https://b.example/ --exec 'echo "$HEADGATE_URL is $HEADGATE_STATE"'
  headgate watch https://example.org/ --webhook https://hooks.example.org/in --history watch.db
  headgate watch --history watch.db --html status.html                 only draw the status page

\b
Exit codes: 0 the state of --until was reached (without --until: Ctrl-C), 1 --timeout came first, 2 wrong usage,
130 Ctrl-C while waiting for --until."""


class Duration(click.ParamType[float]):
    """Seconds, written 30, 500ms, 10m, 2h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds; fails with what was expected."""
        if isinstance(value, int | float):
            return float(value)
        hit = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", str(value).strip())
        if not hit or float(hit[1]) <= 0:
            self.fail(f"{value!r}: expected a time above zero such as 30s, 10m or 2h", param, ctx)
        return float(hit[1]) * _UNITS[hit[2]]


@click.command(name="watch", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--until", type=click.Choice(["up", "down"]), help="End as soon as all sites are so.")
@click.option("--timeout", type=Duration(), help="Give up after this time, with exit code 1.")
@click.option("--interval", type=Duration(), default="30s", show_default=True, help="Time between looks.")
@click.option(
    "--agree", default="2/3", show_default=True, metavar="K/N", help="Believe a change when K of the last N looks agree."
)
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field to send.")
@click.option("--exec", "command_", metavar="CMD", help="Run this at each change; HEADGATE_URL, HEADGATE_STATE, ... are set.")
@click.option("--webhook", metavar="URL", help="Send each change there, as JSON by POST.")
@click.option("--bell/--no-bell", default=True, help="Ring the terminal's bell at each change.")
@click.option("--desktop/--no-desktop", default=True, help="Show a desktop notification, where there is a desktop.")
@click.option("--history", "path", type=click.Path(dir_okay=False, path_type=Path), help="Keep the history in this SQLite file.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Keep a status page in this file.")
@click.option(
    "--period", type=Duration(), default="1h", show_default=True, help="Time that each of the page's 90 bars stands for."
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Trust these authorities (PEM) too.")
@click.option("--json", "as_json", is_flag=True, help="Print each change as a line of JSON.")
def command(
    urls: tuple[str, ...], until: str | None, timeout: float | None, interval: float, agree: str, headers: tuple[str, ...],
    command_: str | None, webhook: str | None, bell: bool, desktop: bool, path: Path | None, html: Path | None, period: float,
    ca: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Watch sites, and tell only when the cause changes: "was refused, now 503, now up, down for 12 min 40 s".

    The interval grows while a site stays down, shrinks after a change, and honours Retry-After.
    """
    if webhook is not None and not is_webhook(webhook):
        stop(f"--webhook {clean(redact_target(webhook), 80)}: expected an http or https URL")
    need, window = _agree(agree)
    if until and click.get_current_context().get_parameter_source("agree") is not ParameterSource.COMMANDLINE:
        need = window = 1  # somebody waits for it: each look counts
    if ca is not None:
        check_authorities(ca)
    if path is not None and not urls and not path.exists():
        stop(f"{path}: no such file")
    try:
        with History(path or ":memory:") as history:
            if not urls:
                _only_page(history, path, html, period)
            plan = Plan(
                tuple(dict.fromkeys(_checked(url) for url in urls)), interval, until or "", timeout or 0.0, need, window,
                Ways(bell, desktop, command_ or "", webhook or ""),
            )  # fmt: skip
            sys.exit(_watch(plan, history, headers, ca, _Teller(as_json, history, html, period)))
    except BadHistory as error:
        stop(str(error))


def _agree(text: str) -> tuple[int, int]:
    hit = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text)
    if not hit or not 1 <= int(hit[1]) <= int(hit[2]):
        stop(f"--agree {text}: expected K/N with K at most N, such as 2/3")
    return int(hit[1]), int(hit[2])


def _checked(url: str) -> str:
    from ..probe.url import BadUrl, parse_url

    try:
        return str(parse_url(url).text)
    except BadUrl as error:
        stop(str(error))


def _watch(plan: Plan, history: History, headers: tuple[str, ...], ca: str | None, teller: "_Teller") -> int:
    """Watch until the end; return the exit code."""
    fields = header_fields(headers)

    async def look(url: str) -> Sighting:
        return await _look(url, fields, ca)

    for url in plan.urls:
        teller.resumed(url)
    teller.draw()  # a page that cannot be written is told at once
    events = Events(teller.looked, teller.changed, lambda text: click.echo(f"headgate: {clean(text)}", err=True))
    try:
        reached = asyncio.run(watch(plan, look, history, events))
    except KeyboardInterrupt:
        teller.summary(plan.urls)
        return INTERRUPTED if plan.until else 0  # what waits for it must not go on
    if plan.until and not reached:
        click.echo(f"headgate: not {plan.until} after {words(plan.timeout)}", err=True)
    return 0 if reached or not plan.until else 1


async def _look(url: str, fields: tuple[tuple[str, str], ...], ca: str | None) -> Sighting:
    """Look at a site once."""
    from ..probe.single import glance

    at = time.time()
    attempt, captured = await glance(url, fields, ca=ca or "")
    seconds = max(0.0, (attempt.t_head if attempt.t_head >= 0 else attempt.t_end) - attempt.t_start)
    if captured is None or (attempt.cause is not None and captured.status < 500):
        cause = attempt.cause
        code, title = (cause.code, cause.title) if cause else ("unknown", "no answer")
        return Sighting(at, code, captured.status if captured else 0, seconds, title)
    if captured.status < 500:
        return Sighting(at, UP, captured.status, seconds, f"{captured.status} {captured.reason}".strip())
    told = judge_answer(captured, url)
    wait = retry_after(captured)
    if told.suspects and told.suspects[0].confidence == "proved":
        return Sighting(at, told.suspects[0].cause, captured.status, seconds, told.summary, wait)
    return Sighting(at, str(captured.status), captured.status, seconds, told.summary, wait)


class _Teller:
    """Prints changes, and keeps the status page."""

    def __init__(self, as_json: bool, history: History, html: Path | None, period: float) -> None:
        self._as_json, self._history, self._html, self._period = as_json, history, html, period
        self._live = sys.stderr.isatty() and not as_json

    def looked(self, url: str, sighting: Sighting) -> None:
        """Show the last look in one line that is overwritten, and draw the page anew."""
        if self._live:
            moment = time.strftime("%H:%M:%S", time.localtime(sighting.at))
            click.echo(f"\r\x1b[K{moment} {clean(redact_target(url), 50)} {_said(sighting.state)}", nl=False, err=True)
        self.draw()

    def draw(self) -> None:
        """Draw the status page, where one is wanted."""
        if self._html is not None:
            write_page(self._history, self._html, self._period)

    def resumed(self, url: str) -> None:
        """Say what the history knows of a site."""
        if (before := self._history.changes(url, 1)) and not self._as_json:
            moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(before[0].at))
            click.echo(f"{moment}  {clean(redact_target(url), 80)}  was {_said(before[0].new)} when it was last watched")

    def changed(self, url: str, change: Change) -> None:
        """Print a change."""
        if self._as_json:
            data = {name: getattr(change, name) for name in ("at", "old", "new", "lasted", "down", "text", "status")}
            click.echo(json.dumps({"url": redact_target(url)} | data))
            return
        if self._live:
            click.echo("\r\x1b[K", nl=False, err=True)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.at))
        colour = "green" if change.new == UP else "yellow" if change.new == FLAPPING else "red"
        click.echo(f"{moment}  {clean(redact_target(url), 80)}  {click.style(sentence(change), fg=colour)}")

    def summary(self, urls: tuple[str, ...]) -> None:
        """Print how it stands at the end."""
        for url in urls:
            periods = self._history.periods(url, 1, 86_400.0 * 365)
            share = availability(periods)
            if share >= 0:
                looks = f"{periods[0].looks:,} look{'s' if periods[0].looks != 1 else ''}"
                click.echo(f"\n{clean(redact_target(url), 80)}: {looks}, up in {share:.1%} of them", err=True)


def sentence(change: Change) -> str:
    """Return a change in words: "was refused ..., now up, down for 12 min 40 s"."""
    now = _said(change.new)
    if not change.old:
        return f"is {now}" + (f": {change.text}" if change.text and change.new != UP else "")
    down = f", down for {words(change.down)}" if change.new == UP and change.down >= 0 else ""
    said = f" ({change.text})" if change.new != UP and change.text else ""
    return f"was {_said(change.old)} for {words(change.lasted)}, now {now}{said}{down}"


def _said(state: str) -> str:
    cause = catalogue().get(state)
    if cause is not None:
        return f"{state}"
    return "answering " + state if state.isdigit() else state


def words(seconds: float) -> str:
    """Return a time as people say it: "12 min 40 s", "3 h 5 min", "2 d 4 h"."""
    left = round(seconds)
    if left < 1:
        return f"{max(seconds, 0):.1f} s"
    parts = [(left // 86_400, "d"), (left % 86_400 // 3600, "h"), (left % 3600 // 60, "min"), (left % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2])


def _only_page(history: History, path: Path | None, html: Path | None, period: float) -> NoReturn:
    if path is None or html is None:
        stop("name a URL to watch, or --history FILE with --html FILE to draw a page of what was watched")
    if not history.urls():
        stop(f"{path}: nothing was watched yet")
    write_page(history, html, period)
    click.echo(f"Status page: {html}")
    sys.exit(0)


def write_page(history: History, html: Path, period: float) -> None:
    """Draw the status page. Ends the command when the file cannot be written."""
    from ..web.status_page import page

    now = time.time()
    sites = []
    for url in history.urls():
        periods = history.periods(url, PERIODS, period, now)
        last = history.last(url)
        sites.append({
            "url": redact_target(url), "state": last.state if last else "", "status": last.status if last else 0,
            "at": last.at if last else 0.0, "availability": availability(periods),
            "periods": [asdict(one) for one in periods],
            "changes": [{"at": one.at, "text": sentence(one), "new": one.new} for one in history.changes(url, 20)],
        })  # fmt: skip
    try:
        html.write_text(page({"made": now, "period": period, "sites": sites}), encoding="utf-8")
    except OSError as error:
        stop(f"{html}: {error.strerror or error}")
