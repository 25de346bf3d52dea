"""`headgate explain`: a cause from the catalogue, by its code or by what people call it."""

import json
from dataclasses import asdict
from difflib import get_close_matches

import click

from ..diagnose.catalogue import catalogue
from ..model.cause import Cause
from ..render.terminal import READERS, console_for_output, print_cause, print_causes
from .main import stop

SHORTEST_PHRASE = 4
"""Shortest alias that is looked for inside a pasted log line."""
SIMILAR = 0.65
"""How much a code must resemble what was typed to be suggested, from 0 to 1 (difflib's ratio)."""


@click.command(name="explain", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[CAUSE-CODE]")
@click.option("--for", "reader", type=click.Choice(list(READERS)), default="all", show_default=True, help="Who reads it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(words: tuple[str, ...], reader: str, as_json: bool) -> None:
    """Explain a cause: what happened, how we know, what to check, how to fix and prevent it.

    CAUSE-CODE may also be what other programs call it (ECONNREFUSED, 499, "keep-alive race"), an RFC 9209 error type, a status,
    or a whole phrase from a log. Without it, all causes are listed.
    """
    text = " ".join(words)
    found = find(text) if text else list(catalogue().values())
    if not found:
        stop(f"no cause is called {text!r}{_closest(text)}. `headgate explain` lists all.")
    if as_json:
        shown = [_as_json(cause, reader) for cause in found]
        click.echo(json.dumps(shown[0] if text and len(shown) == 1 else shown, indent=2))
    elif len(found) == 1:
        print_cause(console_for_output(), found[0], reader)
    else:
        if text:
            click.echo(f"{len(found)} causes go by {text!r}; `headgate explain CODE` explains one:")
        print_causes(console_for_output(), found)


def find(text: str) -> list[Cause]:
    """Return the causes that `text` means: by code; else by alias; by error type or status; by a phrase in either direction."""
    wanted = " ".join(text.lower().split())
    causes = catalogue()
    if cause := causes.get(wanted.replace("_", "-").replace(" ", "-")):
        return [cause]
    return (
        [cause for cause in causes.values() if wanted in _names(cause)]
        or [cause for cause in causes.values() if wanted in (cause.error, str(cause.status))]
        or [cause for cause in causes.values() if any(_within(wanted, name) for name in _names(cause))]
    )


def _names(cause: Cause) -> list[str]:
    return [name.lower() for name in (*cause.aliases, cause.title)]


def _within(wanted: str, name: str) -> bool:
    """Whether the wanted words are part of a name, or the name is part of a pasted line."""
    return min(len(name), len(wanted)) >= SHORTEST_PHRASE and (f" {wanted} " in f" {name} " or f" {name} " in f" {wanted} ")


def _closest(text: str) -> str:
    close = get_close_matches("-".join(text.lower().split()), catalogue(), n=3, cutoff=SIMILAR)
    return f"; the closest codes are {', '.join(close)}" if close else ""


def _as_json(cause: Cause, reader: str) -> dict[str, object]:
    sections = {heading: cause.sections[heading] for heading in READERS[reader] if heading in cause.sections}
    return asdict(cause) | {"sections": sections}
