"""What logs tell, for people at a terminal: verdict, causes with evidence and remedies, what belongs together, pictures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ..diagnose.catalogue import catalogue
from .meanings import GRADE_STYLES, VISITOR_RULES
from .plots import durations, heat, over_time
from .terminal import grid, inline, labelled, show

_OUTCOMES: Final = {"clean": "bold green", "failures": "bold red", "nothing": "bold yellow"}
_ROOTS: Final = 5
_AT_ONCE: Final = 10
_OTHERS: Final = 6
_TABLES: Final = (
    ("upstreams", "By server"),
    ("paths", "By path"),
    ("clients", "By client"),
    ("statuses", "By status"),
    ("methods", "By method"),
)
_PARAGRAPH: Final = {"operator": "operator", "admin": "admin"}
_ACTIONS: Final = {"operator": ("operator", "admin"), "admin": ("admin", "operator", "network"), "all": ()}


def print_report(console: Console, told: Mapping[str, Any], reader: str = "all") -> None:
    """Print what logs came to for a reader: "visitor", "operator", "admin" or "all".

    told: plain data, keys as the fields of logs.report.Report.
    """
    names = ", ".join(file["path"] for file in told["files"][:4]) + (" ..." if len(told["files"]) > 4 else "")
    head = Text.assemble((told["outcome"], _OUTCOMES[told["outcome"]]), "  ", names)
    show(console, Group(head, Text(told["verdict"], style="bold")))
    if reader == "visitor":
        show(console, Group(Text(""), *_for_visitors(console, told)))
        return
    for number, root in enumerate(told["roots"][:_ROOTS], 1):
        show(console, Group(Text(""), *_root(console, root, number, reader)))
    _section(console, "What belongs together", _findings(console, _unsaid(told)))
    _section(console, "Failures over time", over_time(console, told["over_time"]))
    _section(console, "By server and time", heat(console, told["heat"]))
    _section(console, "How long failures took", durations(console, told["latency"]))
    _section(console, "By cause", _causes(told["causes"]) if len(told["causes"]) > 1 else [])
    for key, title in _TABLES:
        _section(console, title, _table(told[key]) if told["failed"] and len(told[key]) > 1 else [])
    _section(console, "Who made the answers 5xx", _makers(told["makers"]))
    _section(console, "Tries that failed and were cured by another", _causes(told["near_misses"]))
    _section(console, "The gateway about itself", [_line(one) for one in told["events"]])
    _section(console, "Files", _files(told))
    _section(console, "To be known", [Text(f"- {note}") for note in told["notes"]])


def _section(console: Console, title: str, parts: Sequence[RenderableType]) -> None:
    if parts:
        show(console, Group(Text(""), Text(title, style="bold"), *parts))


def _root(console: Console, root: Mapping[str, Any], number: int, reader: str) -> list[RenderableType]:
    """Return one likely root cause: what, where, how sure, what shows it, what to do."""
    status = f"{root['status']} " if root["status"] and not root["title"].startswith(f"{root['status']}") else ""
    head = Text.assemble((f"{number}. ", "bold"), (status, "bold red"), (root["title"], "bold"))
    if root["cause"]:
        head.append(f"  {root['cause']}", style="cyan")
    head.append(f"  {root['confidence']}", style=GRADE_STYLES.get(root["confidence"], ""))
    rows: list[tuple[str, RenderableType]] = [("", inline(line, console)) for line in root["summary"]]
    paragraph = root.get(_PARAGRAPH.get(reader, ""), "")
    if paragraph:
        rows.append(("meaning", inline(" ".join(paragraph.split()), console)))
    if root["others"] and root["confidence"] != "proved":
        rows.append(("or", _others(root["others"])))
    if root["tell"]:
        rows.append(("to be sure", inline(root["tell"], console)))
    rows += [("together" if not at else "", _finding(console, one)) for at, one in enumerate(root["findings"])]
    rows += [("seen" if not at else "", _line(one)) for at, one in enumerate(root["evidence"])]
    rows += [(f"next {at}", _action(console, one)) for at, one in enumerate(_actions(root["actions"], reader), 1)]
    return [head, labelled(rows)]


def _others(codes: Sequence[str]) -> Text:
    text = Text(", ".join(codes[:_OTHERS]), style="cyan")
    return text if len(codes) <= _OTHERS else text.append(f" and {len(codes) - _OTHERS} more", style="dim")


def _actions(actions: Sequence[Mapping[str, Any]], reader: str) -> list[Mapping[str, Any]]:
    """Return the actions, those of the reader first."""
    order = _ACTIONS[reader]
    return sorted(actions, key=lambda one: order.index(one["who"]) if one["who"] in order else len(order))


def _action(console: Console, action: Mapping[str, Any]) -> Text:
    text = inline(action["text"], console)
    if action["command"]:
        text.append("\n  " if action["text"] else "")
        text.append(action["command"], style="bold cyan")
    return text


def _finding(console: Console, one: Mapping[str, Any]) -> Text:
    text = Text.assemble((one["title"], "bold"), (f" ({one['confidence']})", GRADE_STYLES.get(one["confidence"], "")), ": ")
    text.append_text(inline(one["detail"], console))
    return text


def _findings(console: Console, findings: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    for one in findings:
        table.add_row(Text("-"), _finding(console, one))
    return [table] if findings else []


def _unsaid(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what was not said with a cause already: the same bound to all failures says no more."""
    said = [(one["kind"], _place(one)) for root in told["roots"][:_ROOTS] for one in root["findings"]]
    return [one for one in told["findings"] if (one["kind"], _place(one)) not in said]


def _place(one: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in one["keys"].items() if key not in ("begin", "end")}


def _line(one: Mapping[str, Any]) -> Text:
    return Text.assemble((f"{one['file']}:{one['number']}: ", "dim"), one["text"])


def _share(row: Mapping[str, Any]) -> str:
    return f"{100 * row['share']:.0f} %" if row["share"] >= 0.01 else "< 1 %"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _causes(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        text = Text(row["title"] or row["name"])
        if row["name"]:
            text.append(f"  {row['name']}", style="cyan")
        if row["confidence"]:
            text.append(f"  {row['confidence']}", style=GRADE_STYLES.get(row["confidence"], ""))
        table.add_row(Text(f"{row['count']:,}"), Text(_share(row)), text)
    return [table] if rows else []


def _table(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Return rows with numbers: failures, their share, and of how many requests where that is known."""
    table = grid()
    table.add_column(overflow="fold", max_width=60)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        rate = f"of {row['requests']:,} requests" if row["requests"] else ""
        if row["rate"] >= 0:
            rate += f": {_percent(row['rate'])} failed"
        name = row["name"] if row["name"] != "0" else row["title"]
        table.add_row(Text(name), Text(f"{row['count']:,}"), Text(_share(row) if row["count"] else ""), Text(rate, style="dim"))
    return [table] if rows else []


def _makers(makers: Mapping[str, int]) -> list[RenderableType]:
    words = {"gateway": "the gateway", "upstream": "the server behind it", "": "the log does not tell"}
    known = [(words[name], number) for name, number in makers.items() if number]
    return [Text("; ".join(f"{word} {number:,}" for word, number in known))] if known else []


def _files(told: Mapping[str, Any]) -> list[RenderableType]:
    """Return what each file was, and what could not be read of it."""
    parts: list[RenderableType] = []
    for file in told["files"]:
        if file["error"]:
            parts.append(Text.assemble(("x ", "red"), f"{file['path']}: {file['error']}"))
            continue
        lines = f"{file['lines']:,} line{'s' if file['lines'] != 1 else ''}"
        text = Text.assemble(("+ ", "green"), f"{file['path']}: {file['title'] or 'format not known'}, {lines}")
        if file["unreadable"]:
            text.append(f", {file['unreadable']:,} of them not understood", style="yellow")
        parts.append(text)
        parts += [Text(f"    line {one['number']}: {one['text']}", style="dim") for one in file["examples"][:2]]
        if file["cut"]:
            parts.append(Text("    The last line is cut."))
        parts += [Text(f"    {note}") for note in file["notes"]]
    if told["joined"]:
        parts.append(Text(f"{told['joined']:,} failures are explained by a line of an error log."))
    return parts


def print_failures(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print failures as they come, a line each; of very many the first ones and how many more.

    rows: plain data as logs.live.shown returns it.
    """
    most = _AT_ONCE if len(rows) > 2 * _AT_ONCE else len(rows)
    for row in rows[:most]:
        show(console, _failure(row))
    if most < len(rows):
        causes = Counter(row["cause"] or str(row["status"]) for row in rows[most:])
        names = ", ".join(f"{name} {number:,}" for name, number in causes.most_common(4))
        show(console, Text(f"          and {len(rows) - most:,} more: {names}", style="dim"))


def _failure(row: Mapping[str, Any]) -> Text:
    text = Text.assemble((row["moment"], "dim"), "  ", (str(row["status"] or "---"), "bold red"), "  ")
    text.append_text(_cause(row))
    if row["upstream"]:
        text.append(f"  at {row['upstream']}")
    text.append(f"  {row['method']} {row['path']}" if row["path"] else "")
    if row["seconds"] >= 0:
        text.append(f"  after {row['seconds']:.3g} s", style="dim")
    if row["reason"]:
        text.append(f"  {row['reason']}", style="dim")
    return text


def _cause(row: Mapping[str, Any]) -> Text:
    """Return the cause, or of how many the log allows which is first."""
    if row["cause"]:
        return Text(row["cause"], style="cyan")
    if not row["causes"]:
        return Text("cause not told", style="dim")
    return Text(f"{row['causes'][0]} or {len(row['causes']) - 1} others", style="dim")


def _for_visitors(console: Console, told: Mapping[str, Any]) -> list[RenderableType]:
    """Return what visitors can be told, and may do."""
    for root in told["roots"]:
        cause = catalogue().get(root["cause"])
        if cause is not None and root["confidence"] in ("proved", "likely"):
            return [inline(cause.sections.get("Visitor", ""), console)]
    if not told["failed"]:
        return [Text("Nothing failed that these logs tell of." if told["outcome"] == "clean" else "There is nothing to tell.")]
    return [Text(f"- {rule}") for rule in VISITOR_RULES]
