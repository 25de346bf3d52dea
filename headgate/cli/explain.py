"""`headgate explain`: whatever a person has in hand of a 502, told as what it is, what it can stand for, and what to do."""

import errno
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..diagnose import meanings as m
from ..diagnose.catalogue import catalogue
from ..diagnose.intake import Intake, NotReadable, sort
from ..diagnose.redact import clean, redact_target
from ..model.cause import Cause
from ..model.diagnosis import Diagnosis
from .main import stop
from .paste import read_input, read_start

READERS = ("visitor", "operator", "admin", "all")
LISTS = ("causes", "codes", "products")
_LINES_SHOWN = 5
_EXAMPLES = """\b
Examples:
  headgate explain 502
  headgate explain UF,URX                        flags from an Envoy log
  headgate explain "502.3 12002"                 columns of an IIS log
  headgate explain 0x80244021 --for visitor      what Windows Update shows
  headgate explain SC--                          the end of a HAProxy log line
  headgate explain "upstream prematurely closed connection while reading response header from upstream"
  curl -si https://example.org/ | headgate explain -
  headgate explain error-page.html
  headgate explain recording.har --json
  headgate explain --list codes"""


@click.command(name="explain", context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.argument("words", nargs=-1, metavar="[WHAT]...")
@click.option("--for", "reader", type=click.Choice(READERS), default="all", show_default=True, help="Who reads it.")
@click.option("--list", "listed", type=click.Choice(LISTS), is_flag=False, flag_value="causes", help="List what is known.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(words: tuple[str, ...], reader: str, listed: str | None, as_json: bool) -> None:
    """Explain a status, a code of any product, a sentence from a log, an error page, a capture. Offline.

    WHAT is text, the name of a file, or - for standard input. Files and standard input may hold an error page, what `curl -i`
    or `curl -v` printed, a browser's recording (HAR), or lines of a log. Without WHAT, all causes are listed.

    Exit code: 0 explained, 1 nothing is known of it, 2 not readable.
    """
    if listed or not words:
        _list(listed or "causes", as_json)
        return
    try:
        taken = sort(_read(words))
    except NotReadable as error:
        stop(str(error))
    if taken.kind == "url":
        place = clean(redact_target(taken.text))
        stop(f"{place} is an address; to examine a site: headgate diagnose {place}")
    known = _explain(taken, reader, as_json)
    sys.exit(0 if known else 1)


def _read(words: tuple[str, ...]) -> bytes | str:
    """Return the paste: standard input, a file's contents, or the words themselves."""
    text = " ".join(words)
    if text == "-":
        return read_input()
    path = Path(text)
    try:
        if text and path.is_dir():
            stop(f"{clean(text)} is a folder; name a file in it")
        if text and path.exists():
            return read_start(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            stop(f"{clean(text)}: {error.strerror or error}")
    except ValueError:  # a NUL in the text: no file's name
        pass
    if "/" in text and len(words) == 1 and "\n" not in text and path.suffix in (".har", ".html", ".htm", ".log", ".txt", ".json"):
        stop(f"{clean(text)}: no such file")
    return text


def _explain(taken: Intake, reader: str, as_json: bool) -> bool:
    """Explain it; return whether anything is known."""
    if taken.captures:
        return _answers(taken, reader, as_json)
    cause = m.catalogue_cause(taken.text)
    if cause is not None:
        _print_cause(cause, reader, as_json)
        return True
    if taken.kind == "lines":
        return _lines(taken, reader, as_json)
    found = m.of_code(taken.text) if taken.kind in ("code", "status") else []
    found = found or _line(taken.text) or m.of_sentence(taken.text) or m.of_code(taken.text)
    found = found or [m.of_cause(one) for one in called(taken.text)]
    if not found:
        _unknown(taken.text, as_json)
        return False
    _print_meanings(taken, found, reader, as_json)
    return True


def called(text: str) -> list[Cause]:
    """Return the causes of our catalogue that go by these words: an alias, or a title."""
    wanted = " ".join(text.lower().split())
    return [
        cause
        for cause in catalogue().values()
        if any(wanted == name.lower() for name in (*cause.aliases, cause.title))
        or any(len(name) >= len("errno") and f" {name.lower()} " in f" {wanted} " for name in cause.aliases)
    ]


def _line(text: str) -> list[m.Meaning]:
    """Return what one line of a log stands for, by the reader of logs: it knows each product's columns."""
    from ..logs.one import meanings_of_line

    return meanings_of_line(text)


def _answers(taken: Intake, reader: str, as_json: bool) -> bool:
    from ..diagnose.pages import judge_answer

    told = [judge_answer(one, _subject(one.url, one.status)) for one in taken.captures]
    if as_json:
        click.echo(json.dumps([one.as_json() for one in told] if len(told) > 1 else told[0].as_json(), indent=2))
    else:
        _print_diagnoses(told, reader, taken.note)
    return any(one.generator is not None or one.suspects or one.outcome == "up" for one in told)


def _subject(url: str, status: int) -> str:
    return url or (f"an answer with status {status}" if status else "a page")


def _print_diagnoses(told: Sequence[Diagnosis], reader: str, note: str) -> None:
    from ..render.terminal import console_for_output
    from ..render.verdict import print_diagnosis

    console = console_for_output()
    for number, one in enumerate(told):
        if number:
            click.echo()
        print_diagnosis(console, one, reader)
    if note:
        click.echo(f"({note})")


def _lines(taken: Intake, reader: str, as_json: bool) -> bool:
    """Explain several lines: each kind of failure in them once, with how often it occurs."""
    groups: dict[tuple[str, str], tuple[list[m.Meaning], int]] = {}
    unknown = 0
    for line in taken.text.splitlines():
        if not line.strip():
            continue
        found = _line(line) or m.of_sentence(line)
        if not found:
            unknown += 1
            continue
        key = (found[0].product, found[0].owner + found[0].name + (found[0].suspects[0].cause if found[0].suspects else ""))
        groups[key] = (groups[key][0] if key in groups else found, groups.get(key, ([], 0))[1] + 1)
    if not groups:
        whole = m.of_sentence(taken.text)
        if whole:
            _print_meanings(taken, whole, reader, as_json)
            return True
        _unknown(taken.text.splitlines()[0], as_json)
        return False
    ranked = sorted(groups.values(), key=lambda one: (not one[0][0].suspects, -one[1]))  # what failed comes first
    if as_json:
        click.echo(json.dumps({
            "kind": "lines", "not_recognised": unknown, "note": taken.note,
            "groups": [{"lines": count, "meanings": [asdict(one) for one in found]} for found, count in ranked],
        }, indent=2))  # fmt: skip
        return True
    for found, count in ranked[:_LINES_SHOWN]:
        click.echo(f"{count} line{'s' if count > 1 else ''}:")
        _show_meanings(taken, found[:2], reader)
        click.echo()
    if unknown:
        say = "lines say" if unknown > 1 else "line says"
        click.echo(f"{unknown} {say} nothing that is known here. `headgate logs FILE` reads whole logs.")
    if taken.note:
        click.echo(f"({taken.note})")
    return True


def _print_meanings(taken: Intake, found: Sequence[m.Meaning], reader: str, as_json: bool) -> None:
    if as_json:
        from ..logs.scrub import scrub

        owners = m.products_of(found)
        click.echo(json.dumps({
            "kind": taken.kind, "text": scrub(taken.text), "ambiguous": len(owners) > 1, "products": owners,
            "meanings": [asdict(one) for one in found],
        }, indent=2))  # fmt: skip
        return
    _show_meanings(taken, found, reader)


def _show_meanings(taken: Intake, found: Sequence[m.Meaning], reader: str) -> None:
    from ..render.meanings import print_meanings, print_products_with
    from ..render.terminal import console_for_output

    console = console_for_output()
    print_meanings(console, taken.text, found, reader)
    if taken.kind == "status" and reader != "visitor":
        print_products_with(console, taken.status)


def _unknown(text: str, as_json: bool) -> None:
    """Say that nothing is known, and what would help: never a guess."""
    from ..logs.scrub import scrub

    near, owners = m.near(text), [one.title for one in m.shaped(text)]
    if as_json:
        click.echo(
            json.dumps({"kind": "unknown", "text": scrub(text), "near": near, "looks_like": owners, "meanings": []}, indent=2)
        )
        return
    lines = [f"Nothing is known of {scrub(text, 100)!r}."]
    if owners:
        lines.append(f"It has the form of: {'; '.join(owners)}. But no such code is documented.")
    if near:
        lines.append(f"Similar codes that are known: {', '.join(near)}.")
    lines.append(
        "What would help: the whole line it stands in, the whole page, or what `curl -i URL` prints "
        "(headgate explain - reads it); for a site that can be reached: headgate diagnose URL."
    )
    click.echo("\n".join(lines), err=True)


def _print_cause(cause: Cause, reader: str, as_json: bool) -> None:
    from ..render.terminal import READERS as SECTIONS_OF
    from ..render.terminal import console_for_output, print_cause

    if as_json:
        sections = {heading: cause.sections[heading] for heading in SECTIONS_OF[reader] if heading in cause.sections}
        click.echo(json.dumps(asdict(cause) | {"sections": sections}, indent=2))
    else:
        print_cause(console_for_output(), cause, reader)


def _list(what: str, as_json: bool) -> None:
    from ..diagnose.codes import rows
    from ..diagnose.products import products

    if as_json:
        data: list[dict[str, Any]]
        if what == "causes":
            data = [asdict(cause) for cause in catalogue().values()]
        elif what == "codes":
            data = [{"code": row.code, "product": row.product, "dictionary": row.dictionary.title, "name": row.name,
                     "means": row.means, "causes": row.causes} for row in rows()]  # fmt: skip
        else:
            data = [{"id": one.id, "name": one.name, "kind": one.kind, "about": one.about} for one in products().values()]
        click.echo(json.dumps(data, indent=2))
        return
    from ..render.meanings import print_codes, print_products
    from ..render.terminal import console_for_output, print_causes

    console = console_for_output()
    if what == "causes":
        print_causes(console, catalogue().values())
    elif what == "codes":
        print_codes(console, rows())
    else:
        print_products(console)
