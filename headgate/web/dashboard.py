"""Owns how the pages of the dashboard are made: each from plain data and one template, in regions that can be renewed one by one.

Whatever clients and servers sent comes in as text: every value is escaped, and what cannot be seen is spelled out (`visible`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import jinja2
from markupsafe import Markup

from .. import __version__
from ..diagnose.moments import span
from ..render.visible import visible
from . import dashboard_incident, dashboard_lists, dashboard_overview, dashboard_upstreams
from .assets import Asset, address, asset
from .page import code

_LONGEST: Final = 2000
"""Characters of one value."""
_VIEWS: Final[Mapping[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], tuple[str, ...]]]] = {
    "overview": (dashboard_overview.view, ("now", "open", "upstreams", "recent", "gateway")),
    "incidents": (dashboard_lists.incidents, ("list",)),
    "incident": (dashboard_incident.view, ("head", "verdict", "todo", "story", "request", "did", "affected", "more")),
    "find": (dashboard_lists.found, ()),
    "upstreams": (dashboard_upstreams.several, ("list",)),
    "upstream": (dashboard_upstreams.one, ("head", "servers")),
    "login": (dict, ()),
    "nothing": (dict, ()),
}
"""Each page: what makes its template's values of the data, and its regions, each a template of its own."""


@cache
def _templates() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("headgate.web", "templates/dashboard"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    env.filters |= {"iso": _iso, "moment": _moment, "code": _code, "span": span, "n": _number, "short": _short}
    env.globals |= {"static": address, "version": __version__}
    return env


def _shown(value: object) -> object:
    """Return a value as it is put into a page: text bounded, and without anything invisible."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, _LONGEST)
    return value


def _code(text: str) -> Markup:
    """Return a line of prose as HTML: what stands in backticks as code."""
    return code(visible(text, _LONGEST))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _number(value: float) -> str:
    return f"{value:,}"


def _short(text: str, longest: int = 80) -> str:
    """Return a text cut in its middle, where it is long: both ends of an address tell something."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 2 // 3]}…{text[-longest // 3 :]}"


def regions(name: str, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the parts of a page that change while it is looked at, as HTML by name."""
    view, parts = _VIEWS[name]
    return _regions(name, parts, {**data, **view(data)})


def _regions(name: str, parts: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, str]:
    return {part: _templates().get_template(f"{name}_{part}.html").render(values) for part in parts}


def page(name: str, data: Mapping[str, Any]) -> str:
    """Return a whole page. name, data: as control/dashboard.py says. Raises KeyError for a page that there is not."""
    view, parts = _VIEWS[name]
    values = {"page": name, "live": "", "with_token": False, **data, **view(data)}
    made = {part: Markup(html) for part, html in _regions(name, parts, values).items()}  # noqa: S704 (our templates' own)
    return _templates().get_template(f"{name}.html").render({**values, "region": made})


__all__ = ["Asset", "asset", "page", "regions"]
