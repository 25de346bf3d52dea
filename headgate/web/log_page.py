"""The report of `headgate logs`: causes with evidence and remedies, failures over time, servers by time, durations."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ..diagnose.catalogue import catalogue, title_of
from ..diagnose.moments import moment, several_days, span
from .page import PALETTE, render

_INK: Final = "#8a837b"  # seen on light and on dark ground
_SHADES: Final = ("#fde8d8", "#fbc9a0", "#f39b5b", "#dc6b20", "#9a3412")
_LABELS: Final = 8
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
        **told, "tone": _TONES[told["outcome"]], "titles": titles, "tables": tables, "time_chart": _over_time(told),
        "legend": list(zip((title_of(name) for name, _ in told["over_time"]["causes"]), PALETTE, strict=False)),
        "heat_map": _heat(told["heat"]), "duration_chart": _durations(told["latency"]),
        "anything_unread": any(file["unreadable"] or file["error"] for file in told["files"]),
    })  # fmt: skip


def _pygal() -> Any:
    """Return the module, which takes 0.2 s to import, without the import hook of an older Python that it leaves behind."""
    import pygal.style

    sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return pygal


def _style(colours: Sequence[str]) -> Any:
    return _pygal().style.Style(
        background="transparent", plot_background="transparent", foreground=_INK, foreground_strong=_INK, foreground_subtle=_INK,
        opacity=".9", opacity_hover="1", transition="none", colors=tuple(colours), font_family="system-ui, sans-serif",
        label_font_size=11, major_label_font_size=11, legend_font_size=12, value_font_size=11, tooltip_font_size=11,
    )  # fmt: skip


def _drawn(chart: Any) -> Markup:
    """Return a chart as SVG to stand in a page. pygal escapes what it is given; its scripts are left out."""
    chart.add_xml_filter(_without_scripts)
    return Markup(chart.render(is_unicode=True, disable_xml_declaration=True))  # noqa: S704


def _without_scripts(root: Any) -> Any:
    """Return the drawing without its script elements."""
    for parent in list(root.iter()):
        for child in [one for one in parent if str(one.tag).endswith("script")]:
            parent.remove(child)
    return root


def _over_time(told: Mapping[str, Any]) -> Markup | None:
    """Return failures over time, a colour for each cause."""
    drawn = told["over_time"]
    count = len(drawn["failed"])
    if count < 2 or not any(drawn["failed"]):
        return None
    pygal = _pygal()
    dated = several_days(drawn["begin"], drawn["begin"] + count * drawn["width"])
    labels = [moment(drawn["begin"] + at * drawn["width"], dated) for at in range(count)]
    chart = pygal.StackedBar(
        js=[], style=_style(PALETTE), height=280, width=1000, spacing=0, show_legend=False, truncate_label=-1,
        show_minor_x_labels=False,         x_labels_major_every=max(1, -(-count // _LABELS)), include_x_axis=True,
        y_labels_major_count=4, show_minor_y_labels=False, formatter=lambda value: f"{value:,.0f}",
    )  # fmt: skip
    chart.x_labels = labels
    for name, numbers in drawn["causes"]:
        chart.add(title_of(name), list(numbers))
    return _drawn(chart)


def _durations(bars: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Return how long failures took; bars in which somebody's timer ends stand out."""
    shown = [bar for bar in bars if bar["count"]]
    if not shown:
        return None
    pygal = _pygal()
    chart = pygal.HorizontalBar(
        js=[], style=_style((PALETTE[1],)), height=60 + 26 * len(shown), width=1000, margin=8, show_legend=False, spacing=4,
        print_values=True, print_values_position="top", formatter=lambda value: f"{value:,.0f}",
    )  # fmt: skip
    chart.x_labels = [_range(bar) for bar in reversed(shown)]
    chart.add("failures", [
        {"value": bar["count"], "color": PALETTE[4] if bar["timers"] else PALETTE[1]} for bar in reversed(shown)
    ])  # fmt: skip
    return _drawn(chart)


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
