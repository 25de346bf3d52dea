"""Owns how the weekly report looks in a terminal: what it cost, what to change, and the numbers that prove it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from ..diagnose.catalogue import title_of
from ..diagnose.moments import span
from ..diagnose.redact import clean
from .plots import over_time
from .terminal import grid, inline, labelled, show

_DAY: Final = 86_400.0
_INCIDENTS: Final = 10
_ROUTES: Final = 10
SPAN_WORDS: Final = {
    "before": "waiting for its turn, or in failed tries", "resolve": "name resolution", "connect": "connecting", "tls": "TLS",
    "send": "sending the request", "wait": "waiting for the answer", "head": "the answer's head", "body": "the answer's body",
}  # fmt: skip
"""What the time of a request goes into (model.counted.SPANS), in words."""
_BAR: Final = 20


def print_report(console: Console, told: Mapping[str, Any]) -> None:
    """Print a report. told: plain data as incidents/weekly.py makes it."""
    show(console, Group(Text(_period(told), style="dim"), Text(verdict(told), style="bold")))
    if not told["traffic"]["requests"] and not told["incidents"]:
        _section(console, "To be known", [Text(f"- {clean(note, 500)}") for note in told["notes"]])
        return
    _section(console, "What to change", _advice(console, told["advice"]) or [Text("Nothing that the numbers would prove.")])
    _section(console, "Error budgets", _budgets(told["budgets"]))
    _section(console, "Failures that users saw", over_time(console, chart(told["chart"])))
    _section(console, "Incidents", _incidents(told))
    _section(console, "Near misses: what users did not see", _near_misses(told["near_misses"]))
    _section(console, "Slowest routes, and where their time goes", _routes(told["routes"]))
    _section(console, "Servers to worry about", _servers(told["servers"]))
    _section(console, "To be known", [Text(f"- {clean(note, 500)}") for note in told["notes"]])


def verdict(told: Mapping[str, Any]) -> str:
    """Return the report in a sentence or two."""
    traffic, count = told["traffic"], told["incidents_count"]
    requests = traffic["requests"]
    if not requests and not count:
        return "No requests came by in this time, and nothing failed: there is nothing to report."
    if not requests:
        return f"{_many(count, 'incident')}; of the traffic around them nothing is known."
    if not traffic["bad"] and not count and not traffic["rescued"]:
        return f"A quiet time: every one of {_many(requests, 'request')} went well, and there was nothing to save."
    good = f"{exact(traffic['good'])} of {requests:,} requests went well"
    parts = [f"users saw {_many(traffic['seen'], 'failure')}" if traffic["seen"] else "users saw no failure"]
    parts.append(
        f"{traffic['rescued']:,} {'was' if traffic['rescued'] == 1 else 'were'} saved before anybody noticed"
        if traffic["rescued"]
        else ""
    )
    return f"{good}; {'; '.join(filter(None, parts))}; {_many(count, 'incident')}."


def chart(series: Mapping[str, Any]) -> dict[str, Any]:
    """Return failures over time as charts take them: begin, width, failed and causes."""
    failures, count = series["failures"], len(series["at"])
    ranked = sorted(failures.items(), key=lambda item: -sum(item[1]))
    return {
        "begin": series["at"][0] if count else 0, "width": series["step"],
        "failed": [sum(numbers[at] for numbers in failures.values()) for at in range(count)],
        "causes": [(clean(cause, 60), numbers) for cause, numbers in ranked[:9]],
    }  # fmt: skip


def where_time_goes(spans: Mapping[str, float]) -> str:
    """Return the largest part of a route's time in words: "91 % waiting for the answer"."""
    if not spans:
        return ""
    name = max(spans, key=lambda one: spans[one])
    return f"{100 * spans[name]:.0f} % {SPAN_WORDS.get(name, name)}"


def _section(console: Console, title: str, parts: Sequence[RenderableType]) -> None:
    if parts:
        show(console, Group(Text(""), Text(title, style="bold"), *parts))


def _period(told: Mapping[str, Any]) -> str:
    begin, end = (datetime.fromtimestamp(told[name]).strftime("%Y-%m-%d %H:%M") for name in ("since", "until"))
    return f"{begin} to {end} ({span(told['until'] - told['since'])})"


def _many(number: int, one: str) -> str:
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def exact(share: float) -> str:
    """Return a share near one with the digits that matter: "99.93 %", "100 %" only where it is all."""
    if share >= 1:
        return "100 %"
    text = f"{100 * share:.4f}".rstrip("0").rstrip(".")
    return f"{min(float(text), 99.9999):g} %" if share > 0.99 else f"{100 * share:.3g} %"


def seconds(value: float | None) -> str:
    """Return a duration as people read it; "-" where there is none."""
    if value is None:
        return "-"
    return f"{1000 * value:.3g} ms" if value < 1 else span(value)


def _advice(console: Console, advice: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for number, one in enumerate(advice, 1):
        head = Text.assemble((f"{number}. ", "bold"), (clean(one["title"], 500), "bold"))
        if one["setting"]:
            head.append(f"  {clean(one['setting'])}", style="cyan")
        rows: list[tuple[str, RenderableType]] = [
            ("evidence", inline(clean(one["evidence"], 1000), console)),
            ("do", inline(clean(one["text"], 1000), console)),
        ]
        parts += [*([Text("")] if number > 1 else []), head, labelled(rows)]
    return parts


def _budgets(budgets: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    for _ in range(2):
        table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(*(Text(name, style="dim") for name in ("route", "budget left", "", "went well", "promised", "")))
    for one in budgets:
        style = {"exhausted": "red", "burning": "yellow", "fine": "green"}[one["state"]]
        left = max(0.0, 1 - one["spent"])
        bar = "#" * round(_BAR * left)
        promised = f"{exact(one['target'])} in {span(one['window'])}"
        table.add_row(
            Text(clean(one["route"], 60)), Text.assemble((bar, style), ("." * (_BAR - len(bar)), "dim")),
            Text(f"{100 * left:.0f} %", style=style), Text(exact(one["good"])), Text(promised), _burning(one),
        )  # fmt: skip
    return [table] if budgets else []


def _burning(one: Mapping[str, Any]) -> Text:
    """Return how fast a budget goes, in words."""
    if one["state"] == "exhausted":
        over = one["spent"]
        return Text(f"used up {over:.1f} times over" if over < 100 else "used up many times over", style="red")
    rates = [f"{rate:.2g}x in {name}" for name, rate in one["burn"].items() if rate]
    text = Text(", ".join(rates), style="dim")
    if one["exhausted_in"] is not None:
        text.append(f"{', ' if rates else ''}at this rate used up in {span(one['exhausted_in'])}", style="yellow")
    return text


def _incidents(told: Mapping[str, Any]) -> list[RenderableType]:
    table = grid()
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in told["incidents"][:_INCIDENTS]:
        style = "bold red" if one["state"] == "open" and one["seen"] else "yellow" if one["state"] == "open" else ""
        text = Text(clean(one["headline"], 300))
        text.append(f"\n{clean(one['impact'], 300)}; lasted {span(max(0.0, one['last'] - one['first']))}", style="dim")
        table.add_row(Text(clean(one["id"]), style="cyan"), Text(one["state"], style=style), text)
    more = told["incidents_count"] - min(len(told["incidents"]), _INCIDENTS)
    parts: list[RenderableType] = [table] if told["incidents"] else []
    return [*parts, Text(f"and {more:,} more: `headgate incidents` lists them", style="dim")] if more else parts


def _near_misses(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for one in rows:
        text = Text(f"{title_of(one['cause'])} ({clean(one['upstream'], 60) or 'no upstream'})")
        text.append(f"\n{one['means']}", style="dim")
        table.add_row(Text(f"{one['count']:,}"), text)
    return [table] if rows else []


def _routes(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    table.add_column(overflow="fold")
    for _ in range(4):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(*(Text(name, style="dim") for name in ("route", "requests", "half within", "95 %", "99 %", "most of the time")))
    for one in rows[:_ROUTES]:
        times = (seconds(one[name]) for name in ("p50", "p95", "p99"))
        table.add_row(clean(one["route"], 60), f"{one['requests']:,}", *times, Text(where_time_goes(one["spans"]), style="dim"))
    return [table] if rows else []


def _servers(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    table = grid()
    table.add_column(overflow="fold")
    for one in rows:
        text = Text.assemble((clean(one["server"], 100), "bold"), f" of {clean(one['upstream'], 60)}")
        for reason in one["reasons"]:
            text.append(f"\n- {clean(reason, 500)}")
        table.add_row(text)
    return [table] if rows else []
