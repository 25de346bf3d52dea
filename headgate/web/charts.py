"""Owns how charts of reports are drawn: SVG that stands in a page of its own, without scripts, for light and dark."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from ..diagnose.catalogue import title_of
from ..diagnose.moments import moment, several_days
from .page import PALETTE

_INK: Final = "#8a837b"  # seen on light and on dark ground
_LABELS: Final = 8


def library() -> Any:
    """Return pygal, which takes 0.2 s to import, without the import hook of an older Python that it leaves behind."""
    import pygal.style

    sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
    return pygal


def style(colours: Sequence[str]) -> Any:
    """Return how a chart looks."""
    return library().style.Style(
        background="transparent", plot_background="transparent", foreground=_INK, foreground_strong=_INK, foreground_subtle=_INK,
        opacity=".9", opacity_hover="1", transition="none", colors=tuple(colours), font_family="system-ui, sans-serif",
        label_font_size=11, major_label_font_size=11, legend_font_size=12, value_font_size=11, tooltip_font_size=11,
    )  # fmt: skip


def drawn(chart: Any) -> Markup:
    """Return a chart as SVG to stand in a page. pygal escapes what it is given; its scripts are left out."""
    chart.add_xml_filter(_without_scripts)
    return Markup(chart.render(is_unicode=True, disable_xml_declaration=True))  # noqa: S704


def _without_scripts(root: Any) -> Any:
    """Return the drawing without its script elements."""
    for parent in list(root.iter()):
        for child in [one for one in parent if str(one.tag).endswith("script")]:
            parent.remove(child)
    return root


def over_time(told: Mapping[str, Any]) -> Markup | None:
    """Return failures over time, a colour for each cause; None where there is nothing to draw.

    told: begin and width (seconds), failed (a number for each column), causes (name and numbers).
    """
    count = len(told["failed"])
    if count < 2 or not any(told["failed"]):
        return None
    dated = several_days(told["begin"], told["begin"] + count * told["width"])
    labels = [moment(told["begin"] + at * told["width"], dated) for at in range(count)]
    chart = library().StackedBar(
        js=[], style=style(PALETTE), height=280, width=1000, spacing=0, show_legend=False, truncate_label=-1,
        show_minor_x_labels=False,         x_labels_major_every=max(1, -(-count // _LABELS)), include_x_axis=True,
        y_labels_major_count=4, show_minor_y_labels=False, formatter=lambda value: f"{value:,.0f}",
    )  # fmt: skip
    chart.x_labels = labels
    for name, numbers in told["causes"]:
        chart.add(title_of(name), list(numbers))
    return drawn(chart)
