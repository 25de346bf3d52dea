"""Owns the incident as Markdown, for a ticket: whatever clients and servers sent is shown, and never interpreted."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..diagnose.moments import moment
from ..model.verdicts import VERDICTS
from . import incident as words
from .visible import visible

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#|~!&$:@])")
"""What Markdown (CommonMark, and what ticket systems add: tables, strike-through, mentions, emoji) may take for its own."""
_LONGEST: Final = 500
_ROWS: Final = 20
"""Servers, routes, events and the like that are listed."""
_TICKS: Final = re.compile(r"`+")
_SEVERITIES: Final = {"seen": "users saw it", "near-miss": "near miss: users saw nothing"}


def markdown(incident: Mapping[str, Any]) -> str:
    """Return an incident as Markdown. incident: what `GET /api/incidents/{id}` answers; what is missing is left out."""
    parts = [
        [f"# {escaped(str(incident.get('headline') or words.headline(incident)))}"],
        _facts(incident), _verdict(incident), _before(incident), _affected(incident), _sample(incident), _todo(incident),
        _similar(incident), _people(incident),
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", visible(text, _LONGEST))


def code(text: str) -> str:
    """Return a text as code within a line."""
    shown = visible(text, _LONGEST)
    longest = max((len(run) for run in _TICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    room = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{room}{shown}{room}{fence}"


def prose(text: str) -> str:
    """Return a line in which what stands in backticks is code, and everything else is shown as it is."""
    parts = text.split("`")
    return "".join(code(part) if number % 2 and part else escaped(part) for number, part in enumerate(parts))


def _cell(text: str) -> str:
    return code(text).replace("|", "\\|")


def _facts(incident: Mapping[str, Any]) -> list[str]:
    state = str(incident.get("state", ""))
    rows = [
        ("Incident", code(str(incident.get("id", "")))),
        ("State", f"{escaped(state)}, {_SEVERITIES.get(str(incident.get('severity', '')), '')}".rstrip(", ")),
        ("Cause", code(str(incident.get("cause", ""))) + f" in phase {escaped(str(incident.get('phase', '')))}"),
        ("First failure", _time(incident.get("first"))),
        ("Last failure", f"{_time(incident.get('last'))} (after {words.lasting(incident)})"),
        ("Resolved", _time(incident.get("resolved"))),
        ("Reopened", f"{words.counted(incident.get('reopenings') or 0, 'time')}" if incident.get("reopenings") else ""),
        ("Users", f"{words.impact(incident)}."),
        ("Failed attempts", f"{incident.get('failed', 0):,}"),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows if value)]


def _time(value: object) -> str:
    return f"{moment(value, dated=True)} UTC" if isinstance(value, int | float) and value > 0 else ""


def _verdict(incident: Mapping[str, Any]) -> list[str]:
    verdict = words.latest_verdict(incident)
    if verdict is None:
        sentence = incident.get("sentence")
        return ["## What happened", "", escaped(str(sentence))] if sentence else []
    agrees = {True: "Traffic saw the same.", False: "Traffic saw something else."}.get(verdict.get("agrees"), "")  # type: ignore[arg-type]
    sure = escaped(str(verdict.get("confidence", "unknown")))
    lines = ["## Verdict", "", f"{escaped(str(verdict.get('verdict', '')))} ({sure}) {agrees}".rstrip(), ""]
    return [*lines, *_list(verdict.get("evidence", ()))]


def _list(lines: Iterable[object]) -> list[str]:
    return [f"* {escaped(str(line))}" for line in list(lines)[:_ROWS]]


def _before(incident: Mapping[str, Any]) -> list[str]:
    events = incident.get("events", ())
    if not events:
        return []
    first = incident.get("first", 0.0)
    ordered = [one for one in events if one["at"] <= first][-_ROWS:] + [one for one in events if one["at"] > first][:_ROWS]
    lines = []
    for one in ordered:
        server = f" {code(str(one['server']))}" if one.get("server") else ""
        mark = "before" if one["at"] <= first else "during"
        lines.append(f"* {_time(one['at'])} ({mark}):{server} {escaped(str(one.get('text', '')))}")
    return ["## What else happened", "", *lines]


def _affected(incident: Mapping[str, Any]) -> list[str]:
    lines = ["## What is affected", ""]
    servers = [one for one in incident.get("servers", ()) if one.get("server")][:_ROWS]
    if servers:
        lines += ["| server | failed | users saw | made good |", "|---|--:|--:|--:|"]
        lines += [
            f"| {_cell(str(one['server']))} | {one['failed']:,} | {one['seen']:,} | {one['rescued']:,} |" for one in servers
        ]
        lines.append("")
    causes = incident.get("causes", ())
    if len(causes) > 1:
        lines += ["| cause | phase | failed |", "|---|---|--:|"]
        lines += [f"| {_cell(str(one['cause']))} | {escaped(str(one['phase']))} | {one['failed']:,} |" for one in causes[:_ROWS]]
        lines.append("")
    routes = incident.get("routes", ())[:_ROWS]
    if routes:
        lines += ["| route | times |", "|---|--:|"]
        lines += [f"| {_cell(str(one['route']))} | {one['count']:,} |" for one in routes]
    return lines if len(lines) > 2 else []


def _sample(incident: Mapping[str, Any]) -> list[str]:
    samples = [one for one in incident.get("samples", ()) if isinstance(one, Mapping) and one.get("attempts")]
    if not samples:
        return []
    sample = samples[-1]
    lines = ["## One request", ""]
    asked, host = f"{sample.get('method', '')} {sample.get('target', '')}", str(sample.get("host", ""))
    reference, got = code(str(sample.get("reference", ""))), sample.get("status") or "no answer"
    lines.append(f"{code(asked)} for host {code(host)}, reference {reference}, {_time(sample.get('at'))}: the client got {got}.")
    for number, attempt in enumerate(sample["attempts"], 1):
        lines += [
            "",
            f"{number}. {code(str(attempt.get('server') or '(no server)'))}: {escaped(str(attempt.get('sentence', '')))}",
        ]
        lines += [f"   * {escaped(str(line))}" for line in list(attempt.get("evidence", ()))[:_ROWS]]
        if attempt.get("bytes"):
            lines.append(f"   * bytes: {code(str(attempt['bytes']))}")
        if attempt.get("verdict"):
            lines.append(f"   * {escaped(VERDICTS.get(str(attempt['verdict']), str(attempt['verdict'])))}")
    return lines


def _todo(incident: Mapping[str, Any]) -> list[str]:
    told = [one for one in words.advice(incident) if one.steps]
    if not told:
        return []
    lines = ["## What to do"]
    for one in told:
        lines += ["", f"### {one.name}", ""]
        lines += [f"* {_step(step)}" for step in one.steps]
    return lines


def _step(step: words.Step) -> str:
    return f"{code(step.command)}: {prose(step.text)}" if step.command else prose(step.text)


def _similar(incident: Mapping[str, Any]) -> list[str]:
    similar: Sequence[Mapping[str, Any]] = incident.get("similar", ())
    if not similar:
        return []
    lines = [
        f"* {code(str(one['id']))}, {_time(one['first'])}, {words.lasting(one)}: {escaped(words.impact(one))}" for one in similar
    ]
    return ["## The same before", "", *lines[:_ROWS]]


def _people(incident: Mapping[str, Any]) -> list[str]:
    actions = incident.get("actions", ())
    if not actions:
        return []
    lines = []
    for one in actions[-_ROWS:]:
        note = f": {escaped(str(one['note']))}" if one.get("note") else ""
        lines.append(
            f"* {_time(one.get('at'))} {escaped(str(one.get('who') or 'somebody'))}: {escaped(str(one.get('action', '')))}{note}"
        )
    return ["## Who did what", "", *lines]
