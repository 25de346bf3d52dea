"""How results are shown: two tables, as text for the terminal and as Markdown for docs/performance.md."""

import os
import platform
import re
from pathlib import Path

from results import Results, median

BEGIN, END = "<!-- bench:begin (written by benchmarks/run.py --write, do not edit) -->", "<!-- bench:end -->"
Table = list[list[str]]
CPU_LOADS = ("small", "different", "1m", "100m", "refused", "rate")


def duration(microseconds: float) -> str:
    """A time with three significant digits: 17.5 µs, 1.02 ms, 105 ms."""
    value, unit = (microseconds, "µs") if microseconds < 1000 else (microseconds / 1000, "ms")
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


def cell_ratio(results: Results, load: str, gateway: str, key: str) -> str:
    """ "1.62 (1.60 to 1.65)": median and spread of the ratio to nginx, or what stands in its place."""
    values = results.values(load, gateway, key)
    if not values:
        return results.problem(load, gateway) or "-"
    ratios = results.ratios(load, gateway, key)
    if gateway == "nginx" or not ratios:
        return duration(median(values))
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}{spread}"


def headings(gateways: dict[str, str]) -> list[str]:
    """ "nginx", "Envoy : nginx": says which columns are ratios."""
    ratios = "nginx" in gateways
    return [f"{title} : nginx" if ratios and name != "nginx" else title for name, title in gateways.items()]


def cpu_table(results: Results, loads: dict[str, str], gateways: dict[str, str]) -> Table:
    """CPU time per request, and p99: nginx in time, the others as multiples of it."""
    head = ["CPU time per request", *headings(gateways)]
    rows = [
        [title, *(cell_ratio(results, load, name, "cpu_us") for name in gateways)]
        for load, title in loads.items()
        if load in results.samples and load in CPU_LOADS
    ]
    if "small" in results.samples:
        rows.append(["p99, 64 connections, saturated", *(cell_ratio(results, "small", name, "p99_us") for name in gateways)])
    return [head, *rows] if rows else []


def plain(results: Results, load: str, gateway: str, keys: tuple[str, ...]) -> str:
    """Medians without ratios: "1.21 ms / 2.03 ms", "54,100/s", "1.3 KiB"."""
    parts = []
    for key in keys:
        values = results.values(load, gateway, key)
        if not values:
            return results.problem(load, gateway) or "-"
        value = median(values)
        parts.append(f"{value:,.0f}/s" if key == "per_second" else f"{value:.1f} KiB" if key == "kib" else duration(value))
    return " / ".join(parts)


def other_table(results: Results, loads: dict[str, str], gateways: dict[str, str]) -> Table:
    """Latency, throughput and memory, in absolute numbers."""
    latency = ("p50_us", "p99_us")
    wanted = [
        ("small", "p50 / p99, 64 connections, saturated", latency),
        ("rate", "p50 / p99, " + loads.get("rate", "").removeprefix("small, "), latency),
        ("refused", "p50 / p99, refused upstream", latency),
        ("small", "small requests, one core", ("per_second",)),
        ("idle", "memory per idle connection", ("kib",)),
    ]
    rows = [
        [title, *(plain(results, load, name, keys) for name in gateways)]
        for load, title, keys in wanted
        if load in results.samples
    ]
    return [["Latency, throughput, memory", *gateways.values()], *rows] if rows else []


def as_text(table: Table) -> str:
    """Aligned columns for a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))] if table else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)


def as_markdown(table: Table) -> str:
    """A Markdown table."""
    if not table:
        return ""
    lines = [table[0], ["---", *["---:"] * (len(table[0]) - 1)], *table[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines)


def machine_facts() -> dict[str, str]:
    """What the numbers depend on, without names of hosts or folders."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kernel = re.match(r"[0-9.]+", platform.release())
    return {
        "processor": f"{model[1].strip() if model else platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"Linux {kernel[0].rstrip('.') if kernel else ''}".strip(),
        "Python": platform.python_version(),
    }


def document(results: Results, tables: list[Table]) -> str:
    """What stands between the markers: facts, then tables."""
    facts = "\n".join(f"- {name}: {value}" for name, value in results.facts.items())
    return "\n\n".join([facts, *(as_markdown(table) for table in tables if table)])


def write_between_markers(path: Path, text: str, marker: str = BEGIN) -> None:
    """Replace what stands between the markers. ValueError when the file has none."""
    old = path.read_text()
    before, begin, rest = old.partition(marker)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path.name} has no place for the table: {marker} ... {END}")
    path.write_text(f"{before}{marker}\n\n{text}\n\n{END}{after}")
