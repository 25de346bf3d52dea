"""How numbers are drawn in a terminal: columns over time, a heat map of servers by time, bars of durations."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.text import Text

from ..diagnose.catalogue import title_of
from ..diagnose.moments import moment, several_days, span
from .terminal import grid

COLOURS: Final = (166, 33, 28, 133, 178, 37, 161, 106, 98, 245)
"""Of the terminal's 256, for causes in their order; seen on dark and on light ground, as web.page.PALETTE."""
_MARKERS: Final = "█▒░▓+x*o@·"
"""For causes where there is no colour."""
_SHADES: Final = " ░▒▓█"
_PLAIN: Final = str.maketrans({"█": "#", "▒": "=", "░": "-", "▓": "%", "·": ".", "■": "#", "…": "~"})
"""What is drawn instead where the output's encoding has no blocks; each differs from the other markers."""
_HEAT: Final = (236, 222, 215, 208, 160)
_HEIGHT: Final = 10
_MOST_COLUMNS: Final = 110
_AXIS: Final = 8
_LABEL: Final = 24


def over_time(console: Console, drawn: Mapping[str, Any]) -> list[RenderableType]:
    """Return failures over time as stacked columns, a colour or a marker for each cause.

    drawn: begin and width (seconds), failed (a number for each bin), causes (name as `title_of` takes it, and numbers).
    """
    if not any(drawn["failed"]) or len(drawn["failed"]) < 2:
        return []
    coloured = console.color_system is not None
    names = [name for name, _ in drawn["causes"]]
    legend = Text()
    for number, name in enumerate(names):
        at = number % len(COLOURS)
        legend.append(_drawn("■ " if coloured else f"{_MARKERS[at]} ", console), style=f"color({COLOURS[at]})")
        legend.append(title_of(name) + ("\n" if number < len(names) - 1 else ""))
    return [legend, Text.from_ansi(_columns(console, drawn, coloured))]


def _drawn(text: str, console: Console) -> str:
    """Return what is to be drawn, in letters that the output's encoding has."""
    try:
        text.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)
    return text


def _columns(console: Console, drawn: Mapping[str, Any], coloured: bool) -> str:
    import plotext  # 40 ms, and few commands draw

    numbers = [list(several) for _, several in drawn["causes"]]
    count = len(drawn["failed"])
    width = min(console.width, _MOST_COLUMNS)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)  # the width is ours, whatever the terminal says of itself
    plotext.plot_size(width, _HEIGHT + 1)
    plotext.frame(False)
    marks = list(_drawn(_MARKERS if not coloured else "█" * len(_MARKERS), console))
    places = [marks[number % len(marks)] for number in range(len(numbers))]
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(numbers))] if coloured else "default"
    plotext.stacked_bar(list(range(count)), numbers, width=1, marker=places, color=colours)
    highest = max(drawn["failed"])
    steps = sorted({0, highest // 2, highest} if highest > 1 else {0, highest})
    plotext.yticks(steps, [f"{step:,}" for step in steps])
    labelled = list(range(0, count, max(1, -(-count * 12 // max(12, width - _AXIS)))))
    plotext.xticks(labelled, _moments(drawn, labelled))
    text: str = plotext.build()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _moments(drawn: Mapping[str, Any], places: Sequence[int]) -> list[str]:
    begin, width, count = drawn["begin"], drawn["width"], len(drawn.get("failed") or places)
    dated = several_days(begin, begin + width * count)
    texts = [moment(begin + place * width, dated) for place in places]
    return [text[5:16] if dated else text if width < 60 else text[:5] for text in texts]


def heat(console: Console, drawn: Mapping[str, Any]) -> list[RenderableType]:
    """Return failures by server and time: the darker, the more.

    drawn: begin and width (seconds), rows (server and a number for each column).
    """
    rows = [(name, list(numbers)) for name, numbers in drawn["rows"] if any(numbers)]
    if len(rows) < 2 or len(rows[0][1]) < 2:
        return []
    label = min(_LABEL, max(len(name) for name, _ in rows), max(6, console.width // 3))
    columns = max(4, min(console.width - label - 12, len(rows[0][1])))
    rows = [(name, _folded(numbers, columns)) for name, numbers in rows]
    most = max(max(numbers) for _, numbers in rows)
    table = grid()
    table.padding = (0, 1)
    for name, numbers in rows:
        table.add_row(
            Text(_drawn(_short(name, label), console)), _cells(console, numbers, most), Text(f"{sum(numbers):,}", style="dim")
        )
    step = -(-len(drawn["rows"][0][1]) // columns)
    length = drawn["width"] * len(drawn["rows"][0][1])
    dated = several_days(drawn["begin"], drawn["begin"] + length)
    ends = f"{moment(drawn['begin'], dated)} UTC, {span(drawn['width'] * step)} a column, at most {most:,} failures in one"
    return [table, Text(ends, style="dim")]


def _folded(numbers: Sequence[int], columns: int) -> list[int]:
    """Return the numbers in at most so many columns, neighbours added."""
    step = -(-len(numbers) // columns)
    return [sum(numbers[at : at + step]) for at in range(0, len(numbers), step)]


def _cells(console: Console, numbers: Sequence[int], most: int) -> Text:
    text = Text(no_wrap=True)
    for number in numbers:
        level = 0 if not number else min(4, 1 + 4 * (number - 1) // most)
        if console.color_system is None:
            text.append(_drawn(_SHADES[level] if level else "·", console))
        else:
            text.append(_drawn("█" if level else "·", console), style=f"color({_HEAT[level]})")
    return text


def _short(name: str, most: int) -> str:
    """Return a name in at most so many characters; what tells servers apart stands mostly at the end."""
    return name if len(name) <= most else f"…{name[len(name) - most + 1 :]}"


def durations(console: Console, bars: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Return how long failures took, with the timers that end where many did.

    bars: low and high (seconds, -1 no end), count, timers (names).
    """
    shown = [bar for bar in bars if bar["count"]]
    if not shown:
        return []
    most = max(bar["count"] for bar in shown)
    room = max(6, min(40, console.width - 34))
    table = grid()
    table.padding = (0, 1)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for bar in shown:
        length = max(1, round(room * bar["count"] / most))
        style = "yellow" if bar["timers"] else "blue"
        table.add_row(
            Text(_range(bar)), Text(f"{bar['count']:,}"), Text(_drawn("█", console) * length, style=style),
            Text("; ".join(bar["timers"])),
        )  # fmt: skip
    return [table]


def _range(bar: Mapping[str, Any]) -> str:
    low, high = bar["low"], bar["high"]
    if high < 0:
        return f"over {_time(low)}"
    if low == 0:
        return f"under {_time(high)}"
    return f"{_time(low)} to {_time(high)}" if _time(low) != _time(high) else f"about {_time(low)}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.3g} s"
