"""How `headgate incidents` looks: lists with what users see first, one incident as a whole story, changes as lines."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ..diagnose.moments import span
from ..model.verdicts import VERDICTS
from ..render import incident as words
from ..render.terminal import grid, inline, labelled
from ..render.visible import visible

_NARROW: Final = 100
"""Columns below which an incident of a list takes two lines."""
_ROWS: Final = 12
_BARS: Final = "▁▂▃▄▅▆▇█"
_BEFORE: Final = 24
"""Bytes of an excerpt before the one that is wrong (wire/refusal.py)."""
_MALFORMED: Final = frozenset(("malformed", "client-malformed", "client-unsupported"))
_COLOURS: Final = {"open": "bold red", "acknowledged": "yellow", "near miss": "cyan", "resolved": "dim"}


def state(one: Mapping[str, Any]) -> str:
    """Return how an incident is, in a word or two."""
    if one["state"] != "open":
        return str(one["state"])
    if one.get("acknowledged"):
        return "acknowledged"
    return "open" if one["seen"] else "near miss"


def clock(at: float) -> str:
    """Return a local time of today as a clock shows it, another with its day."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)


def listed(found: Mapping[str, Any], width: int) -> RenderableType:
    """Return a list of incidents. width: columns of the terminal."""
    incidents = found["incidents"]
    parts: list[RenderableType] = [_two_lines(one) for one in incidents] if width < _NARROW else [_table(incidents)]
    if not incidents:
        parts = [Text("No incidents.")]
    if found.get("note"):
        parts.append(Text(visible(found["note"], 500), style="yellow"))
    if found.get("lost") or found.get("dropped"):
        parts.append(
            Text(f"{found['lost']:,} failures are in no incident, {found['dropped']:,} were only counted", style="yellow")
        )
    return Group(*parts)


def _table(incidents: Iterable[Mapping[str, Any]]) -> RenderableType:
    rows = grid()
    for _ in range(5):
        rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row(*(Text(name, style="dim") for name in ("id", "state", "since", "lasted", "cause", "where")))
    for one in incidents:
        where = Text(f"{visible(words.where(one), 200)}: ").append(_counts(one), "dim")
        since, lasted = clock(one["first"]), words.lasting(one, time.time())
        rows.add_row(visible(one["id"]), _state(one), since, lasted, Text(visible(one["cause"]), style="cyan"), where)
    return rows


def _two_lines(one: Mapping[str, Any]) -> RenderableType:
    first = Text.assemble((visible(one["id"]), "bold"), "  ", _state(one), f"  {clock(one['first'])}  ", (one["cause"], "cyan"))
    return Group(first, Padding(Text(f"{visible(words.where(one), 200)}: {_counts(one)}", style="dim"), (0, 0, 0, 2)))


def _state(one: Mapping[str, Any]) -> Text:
    return Text(state(one), style=_COLOURS.get(state(one), ""))


def _counts(one: Mapping[str, Any]) -> str:
    seen = f"users saw {one['seen']:,}" if one["seen"] else "users saw none"
    return f"{one['failed']:,} failed, {seen}"


def change(at: float, what: str, one: Mapping[str, Any]) -> Text:
    """Return one line about what became of an incident."""
    colour = {"opened": "bold red", "reopened": "bold red", "worse": "red", "resolved": "green"}.get(what, "yellow")
    where = f" at {visible(words.where(one), 200)}: {_counts(one)}"
    return Text.assemble(
        f"{clock(at)}  ", (visible(one["id"]), "bold"), "  ", (f"{what:<12}", colour), " ", (one["cause"], "cyan"), where
    )


# One incident.


def story(one: Mapping[str, Any], console: Console, record: Mapping[str, Any] | None = None) -> RenderableType:
    """Return all of an incident. record: the exchange that was asked for by its reference; the latest sample without one."""
    samples = [sample for sample in one.get("samples", ()) if sample.get("attempts")]
    sample = record or (samples[-1] if samples else None)
    sections = [
        ("", _head(one)), ("Over time", _over_time(one)), ("Verdict", _verdict(one)), ("What else happened", _events(one)),
        ("What is affected", _affected(one)), (f"Request {visible(sample['reference'])}" if sample else "", _request(sample)),
        ("What to do", _advice(one, console)), ("The same before", _similar(one)), ("Who did what", _people(one)),
    ]  # fmt: skip
    parts: list[RenderableType] = []
    for title, lines in sections:
        if lines:
            parts += [Text(""), Text(title, style="bold")] if title else []
            parts += [Padding(line, (0, 0, 0, 2)) if title else line for line in lines]
    return Group(*parts)


def _head(one: Mapping[str, Any]) -> list[RenderableType]:
    lasts = f"{clock(one['first'])}, {'lasts' if one['state'] == 'open' else 'lasted'} {words.lasting(one, time.time())}"
    rows: list[tuple[str, RenderableType]] = [
        ("state", Text.assemble(_state(one), f", since {lasts}")),
        ("cause", Text.assemble((visible(one["cause"]), "cyan"), f" in phase {visible(one['phase'])}")),
        ("users", Text(words.impact(one))),
        ("failed", Text(f"{one['failed']:,} attempts and requests, the last at {clock(one['last'])}")),
    ]
    if one.get("reopenings"):
        rows.append(("reopened", Text(words.counted(one["reopenings"], "time"))))
    if (known := one.get("acknowledged")) is not None:
        until = f", expected to be over at {clock(known['expected'])}" if known.get("expected") else ""
        note = f": {visible(known['note'], 500)}" if known.get("note") else ""
        rows.append(("on it", Text(f"{visible(known.get('by') or 'somebody')} since {clock(known['at'])}{until}{note}")))
    if one.get("silenced_until") and one["silenced_until"] > time.time():
        rows.append(("silenced", Text(f"until {clock(one['silenced_until'])}")))
    headline = Text.assemble((visible(one["id"]), "bold"), "  ", (visible(words.headline(one), 300), "bold"))
    return [headline, labelled(rows)]


def _over_time(one: Mapping[str, Any]) -> list[RenderableType]:
    """Draw failures by time: as many columns as there is something to tell apart."""
    series = one.get("seconds") or one.get("minutes") or []
    width = 1 if one.get("seconds") else 60
    if not series:
        return []
    begin, end = series[0][0], series[-1][0] + width
    cells = max(1, min(60, (end - begin) // width))
    counts = [0] * cells
    for at, failed, *_ in series:
        counts[min(cells - 1, (at - begin) * cells // (end - begin))] += failed
    most = max(counts)
    bars = "".join(_BARS[max(0, -(-count * len(_BARS) // most) - 1)] if count else " " for count in counts)
    each = span((end - begin) / cells)
    return [Text(bars, style="red"), Text(f"{clock(begin)} to {clock(end)}; at most {most:,} in {each}", style="dim")]


def _verdict(one: Mapping[str, Any]) -> list[RenderableType]:
    found = words.latest_verdict(one)
    if found is None:
        return [Text(visible(one["sentence"], 1000))] if one.get("sentence") else []
    agrees = {True: "traffic saw the same", False: "traffic saw something else"}.get(found.get("agrees"), "")  # type: ignore[arg-type]
    sure = ", ".join(filter(None, (visible(str(found.get("confidence", ""))), agrees)))
    lines: list[RenderableType] = [
        Text.assemble(visible(str(found.get("verdict", "")), 1000), (f" ({sure})" if sure else "", "dim"))
    ]
    lines += [_item(visible(str(line), 500)) for line in list(found.get("evidence", ()))[:_ROWS]]
    return lines


def _item(text: str | Text) -> RenderableType:
    rows = grid()
    rows.padding = (0, 1)
    rows.add_row(Text("-"), text if isinstance(text, Text) else Text(text))
    return rows


def _events(one: Mapping[str, Any]) -> list[RenderableType]:
    events = one.get("events", ())
    before = [event for event in events if event["at"] <= one["first"]][-_ROWS:]
    after = [event for event in events if event["at"] > one["first"]][:_ROWS]
    return [
        Text(f"{clock(event['at'])}  {'before' if event in before else 'during'}  {visible(str(event['text']), 500)}")
        for event in (*before, *after)
    ]


def _affected(one: Mapping[str, Any]) -> list[RenderableType]:
    servers, routes = [server for server in one.get("servers", ()) if server["server"]], one.get("routes", ())
    lines: list[RenderableType] = [
        Text(f"{visible(server['server'], 200)}: {_counts(server)}") for server in servers[:_ROWS] if len(servers) > 1
    ]
    if routes:
        named = ", ".join(f"{visible(route['route'], 100)} ({route['count']:,})" for route in routes[:_ROWS])
        lines.append(Text(f"routes: {named}"))
    return lines


def _request(sample: Mapping[str, Any] | None) -> list[RenderableType]:
    if sample is None:
        return []
    asked = f"{visible(sample['method'])} {visible(sample['target'], 300)} for {visible(sample['host'])}"
    lines: list[RenderableType] = [Text(f"{clock(sample['at'])}  {asked}: the client got {sample['status'] or 'no answer'}")]
    for number, attempt in enumerate(sample["attempts"], 1):
        said = visible(str(attempt.get("sentence", "")), 1000)
        lines.append(Text(f"{number}. {visible(attempt.get('server') or '(no server)', 200)}: {said}"))
        lines += [Padding(line, (0, 0, 0, 3)) for line in _attempt(attempt)]
    return lines


def _attempt(attempt: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = [*_phases(attempt)]
    lines += [_item(visible(str(line), 500)) for line in list(attempt.get("evidence", ()))[:_ROWS]]
    lines += _bytes(attempt)
    if verdict := attempt.get("verdict"):
        lines.append(Text(visible(VERDICTS.get(str(verdict), str(verdict)), 300), style="dim"))
    return lines


def _phases(attempt: Mapping[str, Any]) -> list[RenderableType]:
    """Draw each step of an attempt as a bar, where it stands on the line of time."""
    steps = [step for step in attempt.get("steps", ()) if step["took_ms"] >= 0]
    whole = max([float(step["at_ms"]) for step in steps] + [float(attempt.get("took_ms") or 0), 0.1])
    rows = grid()
    for step in steps:
        end, took = float(step["at_ms"]), float(step["took_ms"])
        first = min(29, round(30 * max(0.0, end - took) / whole))
        bar = " " * first + "━" * max(1, round(30 * took / whole))
        rows.add_row(Text(visible(str(step["name"]))), Text(bar[:30].ljust(30), style="cyan"), Text(f"{took:g} ms", style="dim"))
    return [rows] if steps else []


def _bytes(attempt: Mapping[str, Any]) -> list[RenderableType]:
    """Show the bytes that were kept, sixteen a line, the wrong one marked."""
    try:
        data = bytes.fromhex(str(attempt.get("excerpt") or ""))
    except ValueError:
        return []
    offset = int(attempt.get("offset", -1))
    wrong = min(offset, _BEFORE) if offset >= 0 and attempt.get("signal") in _MALFORMED else -1
    begin = offset - wrong if wrong >= 0 else 0
    lines: list[RenderableType] = []
    for at in range(0, len(data), 16):
        line = Text(f"{begin + at:6}  ", style="dim")
        for place, byte in enumerate(data[at : at + 16], at):
            line.append(f">{byte:02x}" if place == wrong else f" {byte:02x}", "bold red" if place == wrong else "not dim")
        line.append("   " * (16 - len(data[at : at + 16])) + "  ")
        for place, byte in enumerate(data[at : at + 16], at):
            line.append(chr(byte) if 0x20 <= byte < 0x7F else "·", "bold red" if place == wrong else "not dim")
        lines.append(line)
    return lines


def _advice(one: Mapping[str, Any], console: Console) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for told in words.advice(one):
        if told.steps:
            lines.append(Text(told.name, style="dim"))
        for step in told.steps[:_ROWS]:
            command = f"`{visible(step.command, 500)}`: " if step.command else ""
            lines.append(_item(inline(command + visible(step.text, 500), console)))
    return lines


def _similar(one: Mapping[str, Any]) -> list[RenderableType]:
    similar: Sequence[Mapping[str, Any]] = one.get("similar", ())
    return [Text(f"{visible(o['id'])}  {clock(o['first'])}, lasted {words.lasting(o)}: {_counts(o)}") for o in similar[:_ROWS]]


def _people(one: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for action in one.get("actions", ())[-_ROWS:]:
        note = f": {visible(str(action['note']), 500)}" if action.get("note") else ""
        who = visible(str(action.get("who") or "somebody"))
        lines.append(Text(f"{clock(action['at'])}  {who}: {visible(str(action.get('action', '')))}{note}"))
    return lines
