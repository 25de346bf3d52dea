"""The page of `headgate report`: one file that can be mailed: what to change first, then what proves it, with a chart."""

from collections.abc import Mapping
from typing import Any, Final

from ..diagnose.catalogue import title_of
from ..diagnose.moments import span
from ..model.counted import SPANS
from ..render.weekly import SPAN_WORDS, chart, exact, seconds, verdict, where_time_goes
from .charts import over_time
from .page import PALETTE, render

_SPAN_COLOURS: Final = dict(
    zip(SPANS, ("#be123c", "#6d28d9", "#b45309", "#0e7490", "#4d7c0f", "#1d4ed8", "#a21caf", "#475569"), strict=True)
)
_TONES: Final = {"exhausted": "bad", "burning": "mid", "fine": "good"}


def page(told: Mapping[str, Any]) -> str:
    """Return the report as one HTML file. told: plain data as incidents/weekly.py makes it."""
    drawn = chart(told["chart"])
    legend = list(zip((title_of(name) for name, _ in drawn["causes"]), PALETTE, strict=False))
    return render("report.html", {
        **told, "verdict": verdict(told), "length": span(told["until"] - told["since"]), "time_chart": over_time(drawn),
        "legend": legend, "budget_rows": [_budget(one) for one in told["budgets"]],
        "route_rows": [_route(one) for one in told["routes"]],
        "span_legend": [(SPAN_WORDS[name], colour) for name, colour in _SPAN_COLOURS.items()],
        "misses": [{**one, "title": title_of(one["cause"])} for one in told["near_misses"]],
        "lasted": {one["id"]: span(max(0.0, one["last"] - one["first"])) for one in told["incidents"]},
    })  # fmt: skip


def _budget(one: Mapping[str, Any]) -> dict[str, Any]:
    left = max(0.0, 1 - one["spent"])
    rates = [f"{rate:.2g} times in {name}" for name, rate in one["burn"].items() if rate]
    if one["state"] == "exhausted":
        said = f"used up {one['spent']:.1f} times over" if one["spent"] < 100 else "used up many times over"
    else:
        ends = one["exhausted_in"]
        said = f"at this rate used up in {span(ends)}" if ends is not None else "lasts"
    slow = f"; {one['slow']:,} of them too slow (over {seconds(one['latency'])})" if one["latency"] is not None else ""
    return {
        "route": one["route"], "left": f"{100 * left:.0f}", "tone": _TONES[one["state"]], "good": exact(one["good"]),
        "target": f"{exact(one['target'])} in {span(one['window'])}", "said": said, "burn": ", ".join(rates),
        "bad": f"{one['failed'] + one['slow']:,} of {one['requests']:,}{slow}",
    }  # fmt: skip


def _route(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one, "times": [seconds(one[name]) for name in ("p50", "p95", "p99")], "most": where_time_goes(one["spans"]),
        "bars": [
            (f"{100 * share:.2f}", _SPAN_COLOURS[name], f"{SPAN_WORDS[name]}: {100 * share:.0f} %")
            for name, share in one["spans"].items() if share >= 0.005
        ],
    }  # fmt: skip
