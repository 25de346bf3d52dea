"""`headgate check`: says what is wrong with a configuration file, and what will fail although it is valid."""

import dataclasses
import json
import sys

import click
from rich.console import Console
from rich.text import Text

from ..config.checks import warnings
from ..config.findings import BadConfig, Finding, Remark
from ..config.load import Loaded, read
from ..render.errors import Errors
from ..render.page import BadTemplate

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@click.command
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
def command(file: str, as_json: bool, strict: bool) -> None:
    """Validate a configuration FILE, and warn of settings that will cause 502s.

    Exit code: 0 valid, 1 warnings with --strict, 2 errors.
    """
    try:
        loaded = read(file)
        findings = warnings(loaded.config, loaded.source)
        findings += _bad_templates(loaded)
        Errors(loaded.config.gateway)
    except BadConfig as error:
        findings = error.findings
    except BadTemplate as error:  # readable and compiled, but it cannot be rendered
        findings.append(loaded.source.finding("error", Remark(("gateway", "pages"), str(error))))
    counts = {level: sum(finding.level == level for finding in findings) for level in _COLOURS}
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"file": file, "valid": not counts["error"], "counts": counts, "findings": rows}, indent=2))
    else:
        _print(file, findings, counts)
    sys.exit(2 if counts["error"] else 1 if strict and counts["warning"] else 0)


def _bad_templates(loaded: Loaded) -> list[Finding]:
    """Return what is wrong with templates of messages: each is tried with an example."""
    if not any(one.template for one in loaded.config.destination.values()):
        return []
    from ..notify.courier import Courier  # the check of most files does without
    from ..notify.failing import NotSent
    from ..notify.message import OPENED, about, example

    found = []
    message = about(OPENED, 0.0, example(0.0, test=False))
    for name, destination in loaded.config.destination.items():
        if destination.template is not None:
            try:
                Courier(name, destination, "gateway", masked=True).make([message])
            except NotSent as problem:
                place = ("destination", name, "template")
                found.append(loaded.source.finding("error", Remark(place, str(problem))))
    return found


def _print(file: str, findings: list[Finding], counts: dict[str, int]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        level = Text(f"{finding.level}: ", style=_COLOURS[finding.level])
        name = Text(f" [{finding.id}]", style="dim") if finding.id else Text()
        console.print(level + Text(str(finding)) + name)
    told = [f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items() if count]
    verdict = "cannot be used" if counts["error"] else "can be used"
    console.print(f"{file} {verdict}: {', '.join(told) or 'no findings'}", markup=False)
