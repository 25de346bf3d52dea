"""How `headgate status` looks: what matters first, states in colour, and nothing wider than the terminal."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ..diagnose.redact import clean
from ..render.terminal import grid
from .watch import words

_COLOURS: Final = {
    "up": "green", "unchecked": "green", "draining": "yellow", "maintenance": "yellow", "ejected": "red", "down": "bold red",
}  # fmt: skip
_SILENT: Final = 4.0
"""Seconds without a word after which a worker is remarkable: it speaks every second."""
_CAUSES: Final = 10
"""Most causes that are listed."""
_MESSAGES: Final = {"sent": "sent", "waiting": "waiting", "failed": "given up", "lost": "left out"}
"""What is told of messages about incidents."""
_NARROW: Final = 72
"""Columns below which a server's state stands above its details, not beside them."""


def is_well(upstreams: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether every server may be used, no upstream panics and no circuit is open."""
    return all(
        not one["panic"]
        and all(server["usable"] for server in one["servers"])
        and (one["gate"] is None or one["gate"]["circuit"] != "open")
        for one in upstreams
    )


def whole(status: Mapping[str, Any], width: int) -> RenderableType:
    """Return everything. width: columns of the terminal."""
    parts: list[RenderableType] = [*_gateway(status["gateway"]), _totals(status), Text(""), _workers(status)]
    for name, upstream in status["upstreams"].items():
        parts += [Text(""), one_upstream(name, upstream, width)]
    parts += _telemetry(status.get("telemetry"))
    parts += _destinations(status.get("destinations") or {})
    for title, counts in (("failed attempts", "failures"), ("requests refused or left by clients", "refusals")):
        if status["totals"][counts]:
            parts += [Text(""), Text(title, style="bold"), _causes(status["totals"][counts])]
    return Group(*parts)


def _gateway(gateway: Mapping[str, Any]) -> list[RenderableType]:
    up = f"process {gateway['pid']}, up {words(gateway['uptime'])}"
    lines = [Text.assemble(("headgate ", "bold"), (clean(gateway["version"]), "bold"), f"  {up}")]
    file = clean(gateway["file"], 1000) or "no configuration file"
    lines.append(Text(f"{file}, configuration {gateway['configuration']}"))
    if gateway["draining"]:
        lines.append(Text("draining: it ends as soon as running exchanges have finished", style="yellow"))
    if reload := gateway["reload"]:
        said = clean(reload["said"].removeprefix("reload: "), 1000)
        done = Text("done", style="green") if reload["ok"] else Text("refused, nothing changed", style="red")
        lines.append(Text.assemble(f"last reload {_clock(reload['at'])}: ", done, f": {said}"))
    if upgrade := gateway["upgrade"]:
        style = "red" if upgrade["failed"] else "yellow"
        lines.append(Text(f"{_clock(upgrade['at'])}: {clean(upgrade['said'], 1000)}", style=style))
    return [*lines]


def _totals(status: Mapping[str, Any]) -> Text:
    totals, workers = status["totals"], status["workers"]
    clients, under_way = (sum(worker[key] for worker in workers) for key in ("clients", "under_way"))
    lost = f", {totals['lost_lines']:,} log lines lost" if totals["lost_lines"] else ""
    exchanges = f"{_many(totals['exchanges'], 'exchange')}, {totals['rate']:g}/s"
    return Text(f"{exchanges}, {under_way:,} under way, {_many(clients, 'client')}{lost}")


def _destinations(told: Mapping[str, Mapping[str, Any]]) -> list[RenderableType]:
    """Return a line for each of those who are told of incidents."""
    lines: list[RenderableType] = [Text("")] if told else []
    for name, one in told.items():
        counts = [f"{one[key]:,} {said}" for key, said in _MESSAGES.items() if one[key] or key == "sent"]
        line = Text(f"tells {clean(name)}, {clean(one['where'])}: {', '.join(counts)}")
        if one["error"]:
            again = f"; tried again in {words(one['retry_in'])}" if one["waiting"] else ""
            line.append(f"; {clean(one['error'])}{again}", style="red")
        lines.append(line)
    return lines


def _telemetry(told: Mapping[str, Any] | None) -> list[RenderableType]:
    """Return a line for traces and one for logs, where there is a collector that they go to."""
    if told is None:
        return []
    lines: list[RenderableType] = [Text("")]
    for kind, what in (("traces", "spans"), ("logs", "log records")):
        one = told[kind]
        lost = "".join(f", {count:,} lost ({clean(why)})" for why, count in one["lost"].items())
        trouble = f", {clean(one['trouble'], 300)}" if one["trouble"] else ""
        lines.append(
            Text.assemble(f"telemetry: {one['sent']:,} {what} told, {one['waiting']:,} wait", (lost, "yellow"), (trouble, "red"))
        )
    return lines


def _workers(status: Mapping[str, Any]) -> RenderableType:
    rows = grid()
    for worker in status["workers"]:
        counts = f"{worker['under_way']:,} under way, {_many(worker['clients'], 'client')}, {worker['rate']:g}/s"
        about = Text(f"process {worker['pid']}, up {words(time.time() - worker['since'])}: {counts}")
        for remark, colour in _remarks(worker, status["gateway"]["configuration"]):
            about.append(f", {remark}", colour)
        rows.add_row(Text(f"worker {worker['slot']}", style="bold"), about)
    return rows


def _remarks(worker: Mapping[str, Any], configuration: int) -> Iterable[tuple[str, str]]:
    """Yield what is remarkable about a worker, and a colour."""
    if worker["draining"]:
        yield "draining", "yellow"
    if worker["version"] != configuration:
        yield f"serves configuration {worker['version']}", "yellow"
    if not worker["linked"]:
        yield "cannot be told anything", "red"
    elif worker["heard"] > _SILENT:
        yield f"silent for {words(worker['heard'])}", "red"


def one_upstream(name: str, upstream: Mapping[str, Any], width: int) -> RenderableType:
    """Return an upstream with its servers. width: columns of the terminal."""
    retries = ""
    if upstream["retries"] or upstream["retries_refused"]:
        refused = f" ({upstream['retries_refused']:,} more were beyond the budget)" if upstream["retries_refused"] else ""
        retries = f", {upstream['retries']:,} tried again{refused}"
    head = Text.assemble((clean(name), "bold cyan"), f"  {upstream['policy']}, {_many(upstream['requests'], 'request')}{retries}")
    parts: list[RenderableType] = [head]
    if upstream["panic"]:
        parts.append(Text("panic: no server may be used, so all are asked", style="bold red"))
    if upstream["gate"] is not None:
        parts.append(_gate(upstream["gate"]))
    servers = [(Text(one["state"], style=_COLOURS.get(one["state"], "")), _server(one)) for one in upstream["servers"]]
    if width < _NARROW:
        for state, about in servers:
            parts += [Padding(state, (0, 0, 0, 2)), Padding(about, (0, 0, 0, 4))]
    else:
        rows = grid()
        rows.add_column(no_wrap=True, min_width=11)
        rows.add_column(overflow="fold")
        for row in servers:
            rows.add_row(*row)
        parts.append(Padding(rows, (0, 0, 0, 2)))
    return Group(*parts)


def _gate(gate: Mapping[str, Any]) -> Text:
    line = Text(f"  {gate['under_way']:,} under way")
    if gate["waiting"] is not None:
        line.append(f", {gate['waiting']:,} waiting")
    if gate["adaptive_limit"] is not None:
        line.append(f", adaptive limit {gate['adaptive_limit']:,}")
    if gate["circuit"] is not None:
        colour = {"closed": "green", "half-open": "yellow"}.get(gate["circuit"], "bold red")
        line.append(", circuit ").append(gate["circuit"], colour)
        if gate["circuit"] != "closed" and gate["circuit_why"]:
            line.append(f": {clean(gate['circuit_why'])}")
    return line


def _server(server: Mapping[str, Any]) -> Text:
    line = Text(clean(server["url"]), style="bold", overflow="fold")
    counts = [f"{server['busy']:,} busy", f"{server['idle']:,} idle", _many(server["requests"], "request")]
    if server["weight"] != 1:
        counts.append(f"weight {server['weight']}")
    if server["priority"]:
        counts.append(f"priority {server['priority']}")
    line.append(f"  {', '.join(counts)}, ", "not bold")
    line.append(f"{server['failed']:,} failed", "not bold red" if server["failed"] else "not bold")
    until = f", until {_clock(server['until'])}" if server["until"] else ""
    why = f": {clean(server['why'])}" if server["why"] else ""
    line.append(f"\nsince {_clock(server['since'])} ({words(time.time() - server['since'])}){until}{why}", "not bold dim")
    check = server["check"]
    if check is not None and check["ok"] is not True and check["text"] and check["text"] not in server["why"]:
        line.append(f"\nlast check: {clean(check['text'])}", "not bold dim")
    return line


def _causes(counts: Mapping[str, int]) -> RenderableType:
    rows = grid()
    rows.add_column(justify="right")
    rows.add_column()
    for code, count in list(counts.items())[:_CAUSES]:
        rows.add_row(Text(f"  {count:,}"), Text(clean(code), style="cyan"))
    if len(counts) > _CAUSES:
        rows.add_row(Text(f"  {sum(list(counts.values())[_CAUSES:]):,}"), Text("others"))
    return rows


def _clock(at: float) -> str:
    """Return a time of today as a clock shows it, another with its day."""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
