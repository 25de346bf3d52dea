"""The report of `headgate logs`: causes with evidence and remedies, failures over time, servers by time, durations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ..diagnose.catalogue import catalogue, title_of
from ..diagnose.moments import moment, several_days, span
from .charts import drawn, library, over_time, style
from .page import PALETTE, render

_SHADES: Final = ("#fde8d8", "#fbc9a0", "#f39b5b", "#dc6b20", "#9a3412")
_TONES: Final = {"clean": "good", "failures": "bad", "nothing": "mid"}
_TABLES: Final = (
    ("upstreams", "By server"),
    ("paths", "By path"),
    ("clients", "By client"),
    ("statuses", "By status"),
    ("methods", "By method"),
)


def page(told: Mapping[str, Any]) -> str:
    """Return the report as one HTML file. told: plain data, keys as the fields of logs.report.Report."""
    titles = {code: cause.title for code, cause in catalogue().items()} | {"": title_of("")}
    tables = [(title, told[key]) for key, title in _TABLES if len(told[key]) > 1]
    return render("logs.html", {
        **told, "tone": _TONES[told["outcome"]], "titles": titles, "tables": tables, "time_chart": over_time(told["over_time"]),
        "legend": list(zip((title_of(name) for name, _ in told["over_time"]["causes"]), PALETTE, strict=False)),
        "heat_map": _heat(told["heat"]), "duration_chart": _durations(told["latency"]),
        "anything_unread": any(file["unreadable"] or file["error"] for file in told["files"]),
    })  # fmt: skip


def _durations(bars: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Return how long failures took; bars in which somebody's timer ends stand out."""
    shown = [bar for bar in bars if bar["count"]]
    if not shown:
        return None
    chart = library().HorizontalBar(
        js=[], style=style((PALETTE[1],)), height=60 + 26 * len(shown), width=1000, margin=8, show_legend=False, spacing=4,
        print_values=True, print_values_position="top", formatter=lambda value: f"{value:,.0f}",
    )  # fmt: skip
    chart.x_labels = [_range(bar) for bar in reversed(shown)]
    chart.add("failures", [
        {"value": bar["count"], "color": PALETTE[4] if bar["timers"] else PALETTE[1]} for bar in reversed(shown)
    ])  # fmt: skip
    return drawn(chart)


def _range(bar: Mapping[str, Any]) -> str:
    low, high = bar["low"], bar["high"]
    text = f"over {span(low)}" if high < 0 else f"{_time(low)} to {_time(high)}" if low else f"under {_time(high)}"
    return f"{text} ({'; '.join(bar['timers'])[:60]})" if bar["timers"] else text


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"


def _heat(drawn: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return servers by time: a row of cells for each server, each with colour and words."""
    rows = [(name, numbers) for name, numbers in drawn["rows"] if any(numbers)]
    if not rows or len(rows[0][1]) < 2:
        return None
    most = max(max(numbers) for _, numbers in rows)
    count = len(rows[0][1])
    dated = several_days(drawn["begin"], drawn["begin"] + count * drawn["width"])
    moments = [moment(drawn["begin"] + at * drawn["width"], dated) for at in range(count)]
    return {
        "rows": [
            (name, sum(numbers), [(_shade(one, most), f"{at}: {one:,} failed") for at, one in zip(moments, numbers, strict=True)])
            for name, numbers in rows
        ],
        "begin": moments[0], "end": moments[-1], "width": span(drawn["width"]), "most": most,
    }  # fmt: skip


def _shade(number: int, most: int) -> str:
    return _SHADES[min(4, 5 * (number - 1) // most)] if number else ""
