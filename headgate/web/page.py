"""Owns how a page of ours is made: one file without scripts, nothing fetched, for light and dark, from a template and data."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import jinja2
from markupsafe import Markup, escape

from .. import __version__

PALETTE: Final = ("#c2410c", "#1d4ed8", "#15803d", "#a21caf", "#b45309", "#0e7490", "#be123c", "#4d7c0f", "#6d28d9", "#475569")
"""Colours of causes, told apart also without red and green; the tenth stands for all others."""


@cache
def _templates() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("headgate.web"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters["moment"] = moment
    env.filters["code"] = code
    return env


def render(template: str, data: Mapping[str, Any]) -> str:
    """Return the page of a template, e.g. "diagnosis.html". All text in `data` is escaped."""
    return _templates().get_template(template).render(version=__version__, palette=PALETTE, **data)


def moment(seconds: float) -> str:
    """Return a time as people read it, in UTC: "2026-11-21 10:15:30 UTC"; "" for what did not happen."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds > 0 else ""


def code(text: str) -> Markup:
    """Return a line of prose as HTML: escaped, and what stands in backticks as code."""
    parts = str(text).split("`")
    shown = [escape(part) if number % 2 == 0 else f"<code>{escape(part)}</code>" for number, part in enumerate(parts)]
    return Markup("".join(shown))  # noqa: S704 (every part is escaped above)
