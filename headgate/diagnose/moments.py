"""Owns how times and durations in a log are said to people: in UTC, with the date where the log spans more than a day."""

from datetime import UTC, datetime
from typing import Final

_DAY: Final = 86_400.0


def moment(time: float, dated: bool = False) -> str:
    """Return "10:15:30", or with the date "2026-11-20 10:15:30"; in UTC; "?" where not known."""
    if time < 0:
        return "?"
    try:
        made = datetime.fromtimestamp(time, UTC)
    except (OverflowError, OSError, ValueError):
        return "?"
    return made.strftime("%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S")


def span(seconds: float) -> str:
    """Return a duration as people say it: "0.2 s", "45 s", "12 min", "3 h 20 min", "2 days"."""
    if seconds < 10:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    if seconds < 2 * _DAY:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{seconds / _DAY:.1f}".rstrip("0").rstrip(".") + " days"


def several_days(first: float, last: float) -> bool:
    """Whether times need their date to be told apart."""
    return first >= 0 and last - first >= _DAY / 2 and int(first // _DAY) != int(last // _DAY)
