"""`headgate diagnose`: examine a URL from outside (or captures, or this machine), and print the verdict."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from ..diagnose.captured import Captured
from ..diagnose.intake import NotReadable, sort
from ..diagnose.judge import judge
from ..diagnose.looks import Asked, Look
from ..diagnose.pages import judge_answer
from ..diagnose.redact import clean
from ..model.diagnosis import Diagnosis
from ..wire.grammar import is_token
from .main import INTERRUPTED, check_authorities, header_fields, stop, write_report
from .paste import read_input, read_start

READERS = ("visitor", "operator", "admin", "all")
EXIT = {"up": 0, "failing": 1, "partly": 3, "unreachable": 4, "unknown": 5}
"""Exit codes by outcome; 2 is wrong usage, as everywhere."""
_EXAMPLES = """\b
Examples:
  headgate diagnose https://example.org/
  headgate diagnose https://example.org/cart --cookie "session=..." --for visitor
  headgate diagnose https://example.org/ --origin 192.0.2.10        around the gateway
  curl -si https://example.org/ | headgate diagnose --offline -
  headgate diagnose --offline recording.har --html report.html
  headgate diagnose http://localhost/ --here                        on the gateway's own machine

\b
Exit codes: 0 up, 1 failing, 3 partly failing, 4 unreachable, 5 nothing to judge, 2 wrong usage,
130 Ctrl-C (what was found until then is told).
At most 24 requests go to the site (--requests), for at most 20 seconds (--timeout)."""


@click.command(name="diagnose", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("url", required=False)
@click.option("--for", "reader", type=click.Choice(READERS), default="all", show_default=True, help="Who reads it.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field as the user had it.")
@click.option("-b", "--cookie", "cookies", multiple=True, metavar="'NAME=VALUE'", help="A cookie as the user had it.")
@click.option("-X", "--method", default="GET", show_default=True, help="The method as the user had it.")
@click.option(
    "--replay", is_flag=True, help="Send a method other than GET, HEAD or OPTIONS really, once: it may be carried out again."
)
@click.option("--origin", metavar="ADDRESS", help="Also ask the origin at this address, around the gateway.")
@click.option("--vantage", metavar="URL", help="Another Headgate's admin API, as a second place to look from.")
@click.option("--here", is_flag=True, help="Examine this machine too: its gateway's configuration, sockets, processes, kernel.")
@click.option("--offline", metavar="FILE", help="Judge a capture (curl -i, HAR, a page) instead; - for standard input.")
@click.option("--paste", metavar="FILE", help="What you saw before, judged together with what is found now.")
@click.option(
    "--resolver", "resolvers", multiple=True, metavar="ADDRESS", help="Ask these DNS servers instead of the public ones."
)
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), help="Trust these authorities (PEM) too.")
@click.option("--timeout", type=click.FloatRange(1, 600), default=20.0, show_default=True, help="Seconds for everything.")
@click.option("--requests", type=click.IntRange(1, 200), default=24, show_default=True, help="Most requests sent to the site.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report with a drawn timeline to this file."
)
def command(
    url: str | None, reader: str, headers: tuple[str, ...], cookies: tuple[str, ...], method: str, replay: bool,
    origin: str | None, vantage: str | None, here: bool, offline: str | None, paste: str | None, resolvers: tuple[str, ...],
    ca: str | None, timeout: float, requests: int, as_json: bool, html: Path | None,
) -> None:  # fmt: skip
    """Examine a URL from outside: who wrote the error, which hop fails, why, how sure that is, and what to do next.

    Looks at the proxy settings of this machine, DNS, every address by TCP and TLS, then asks as a browser would and varies one
    thing at a time. A POST is never repeated unless --replay says so. Private addresses are asked only when you name them.
    """
    if offline is not None:
        _offline(offline, url, reader, as_json, html)
    if not url and not here:
        stop("name a URL to examine, or --here for this machine, or --offline FILE for a capture")
    url = url or ""
    _check(method, origin, vantage, resolvers, timeout)
    if ca is not None:
        check_authorities(ca)
    seen = _capture(paste)[0] if paste else None
    asked = Asked(
        url=url, method=method.upper(), fields=_fields(headers, cookies), origin=origin or "", vantage=vantage or "", here=here,
        paste=seen, seconds=timeout, requests=requests, replay=replay,
    )  # fmt: skip
    asked, looks, stopped = asyncio.run(_examine(asked, resolvers, ca, quiet=as_json or not sys.stderr.isatty()))
    told = judge(asked, looks)
    _finish(told, looks, reader, as_json, html, stopped)


def _check(method: str, origin: str | None, vantage: str | None, resolvers: Sequence[str], timeout: float) -> None:
    """End the command where an option holds what cannot be used, before anything is sent."""
    from ..net.hosts import literal
    from ..net.resolvconf import parse_server
    from ..probe.url import BadUrl, parse_url

    if not is_token(method.encode("utf-8", "replace")):
        stop(f"--method {method[:60]!r}: expected one word such as GET")
    if timeout != timeout:  # not a number is no less than 1 and no more than 600
        stop("--timeout nan: expected seconds")
    for one in resolvers:
        try:
            parse_server(one)
        except ValueError as error:
            stop(f"--resolver {clean(str(error), 160)}")
    for name, value in (("--origin", origin), ("--vantage", vantage)):
        try:
            if value is not None and literal(value) is None:
                parse_url(value)
        except BadUrl as error:
            stop(f"{name}: {error}")


def _fields(headers: Sequence[str], cookies: Sequence[str]) -> tuple[tuple[str, str], ...]:
    fields = list(header_fields(headers))
    if cookies:
        if any(char in cookie for cookie in cookies for char in "\r\n\0"):
            stop("--cookie: a line break cannot be part of it")
        fields.append(("Cookie", "; ".join(cookies)))
    return tuple(fields)


async def _examine(asked: Asked, resolvers: Sequence[str], ca: str | None, quiet: bool) -> tuple[Asked, list[Look], bool]:
    """Run all looks, telling each as it finishes. Ctrl-C ends early with what there is; return whether it did."""
    from ..probe.examine import Settings, examine, in_order
    from ..probe.url import BadUrl, parse_url

    found: list[Look] = []
    begun = time.monotonic()

    def tell(look: Look) -> None:
        found.append(look)
        if not quiet:
            _progress(look, time.monotonic() - begun)

    try:
        if asked.url:
            asked = replace(asked, url=parse_url(asked.url).text)
    except BadUrl as error:
        stop(str(error))
    settings = Settings(resolvers=tuple(resolvers) or Settings().resolvers, ca=ca or "")
    stopped = False
    try:
        if asked.here:
            from ..probe.here import look_around

            await look_around(asked, tell)
        if asked.url:
            await examine(asked, tell, settings)
    except (asyncio.CancelledError, KeyboardInterrupt):
        stopped = True
    return asked, in_order(found), stopped


def _progress(look: Look, seconds: float) -> None:
    mark, colour = {True: ("+", "green"), False: ("x", "red"), None: ("-", "bright_black")}[look.ok]
    what = f"{look.label}: {look.text}" if look.text else look.label
    click.echo(f"{click.style(mark, fg=colour)} {seconds:5.1f} s  {clean(what, max(40, _width() - 12))}", err=True)


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _capture(name: str) -> tuple[Captured, ...]:
    """Return the answers in a file or on standard input; ends the command where there are none."""
    try:
        raw = read_input() if name == "-" else read_start(Path(name))
        found = sort(raw).captures
    except OSError as error:
        stop(f"{name}: {error.strerror or error}")
    except NotReadable as error:
        stop(f"{name}: {error}")
    if not found:
        stop(f"{name}: no answer of a server in it. Expected what curl -i prints, a page, or a HAR; for a code: headgate explain")
    return found


def _offline(name: str, url: str | None, reader: str, as_json: bool, html: Path | None) -> NoReturn:
    """Judge each answer of a capture; nothing is sent."""
    told = [judge_answer(one, one.url or url or "what was captured") for one in _capture(name)]
    documents = [one.as_json() | {"looks": []} for one in told]
    if as_json:
        click.echo(json.dumps(documents if len(documents) > 1 else documents[0], indent=2, default=str))
    for number, one in enumerate(told if not as_json else ()):
        if number:
            click.echo()
        _print(one, reader)
    last = max(range(len(told)), key=lambda at: (EXIT[told[at].outcome], at))  # of several the worst, of equal ones the last
    _written(html, documents[last], as_json)
    sys.exit(EXIT[told[last].outcome])


def _finish(told: Diagnosis, looks: Sequence[Look], reader: str, as_json: bool, html: Path | None, stopped: bool) -> NoReturn:
    document = told.as_json() | {"looks": [one.as_json() for one in looks]}
    if as_json:
        click.echo(json.dumps(document, indent=2, default=str))
    else:
        _print(told, reader)
    _written(html, document, as_json)
    if stopped:
        click.echo("headgate: stopped before the end: this is what was found until then.", err=True)
    sys.exit(INTERRUPTED if stopped else EXIT[told.outcome])


def _written(html: Path | None, document: dict[str, Any], as_json: bool) -> None:
    """Write the report where one was asked for."""
    if html is not None:
        from ..web.diagnosis_page import page

        write_report(html, page(document), told=not as_json)


def _print(told: Diagnosis, reader: str) -> None:
    from ..render.terminal import console_for_output
    from ..render.verdict import print_diagnosis

    print_diagnosis(console_for_output(), told, reader)
