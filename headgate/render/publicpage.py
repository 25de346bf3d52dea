"""Decides how the public status page is written: its HTML by a template, built in or an operator's own, and its JSON.

A template (Jinja2) may use: title, home ("" for none), state ("working", "disturbed", "down" or "maintenance"), headline,
acknowledged, at (RFC 3339), messages (text, kind, since, until) and services (name, about, state, working, since, expected,
acknowledged, days: date, minutes with failures or None where that is not known). Times that are not known are None or "".
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader, PackageLoader, Template, TemplateError, TemplateSyntaxError

from .page import BadTemplate, environment, policy, where

STATES: Final = ("working", "maintenance", "disturbed", "down")
"""What a service can be, the worst last."""
_SETTING: Final = "status_page.template"
_HTML: Final = b"Content-Type: text/html; charset=utf-8\r\nContent-Language: en\r\n"
_JSON: Final = b"Content-Type: application/json\r\n"
_COMMON: Final = b"Vary: Accept\r\nCache-Control: max-age=5\r\n"


class PublicPage:
    """The status page, compiled."""

    def __init__(self, path: str | None) -> None:
        """path: of an operator's own template; None: the built-in one. Raises BadTemplate."""
        self._built_in = environment("html", PackageLoader("headgate", "knowledge/pages")).get_template("status.html")
        self._policy = policy(self._built_in.render(_sample("working"))).encode()
        self._own = _own(path) if path is not None else None

    def html(self, told: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return header lines and body. An own template that fails on this after all gives way to the built-in one."""
        if self._own is not None:
            try:
                return _HTML + _COMMON, self._own.render(told).encode()
            except Exception:  # noqa: S110 (its author may have written anything, and visitors must get their page)
                pass
        return _HTML + _COMMON + self._policy, self._built_in.render(told).encode()

    def json(self, told: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return header lines and body."""
        return _JSON + _COMMON, json.dumps({key: value for key, value in told.items() if key != "home"}).encode()


def headline(services: Iterable[Mapping[str, Any]]) -> str:
    """Return in a few words how all services are."""
    known = list(services)
    bad = {state: [one["name"] for one in known if one["state"] == state] for state in STATES}
    for state, words in (("down", "not working"), ("disturbed", "disturbed"), ("maintenance", "in maintenance")):
        names = bad[state]
        if len(names) == len(known) > 1:
            return {"down": "Nothing works", "disturbed": "Everything is disturbed"}.get(state, "Everything is in maintenance")
        if names:
            return f"{names[0]} is {words}" if len(names) == 1 else f"{len(names)} of {len(known)} services are {words}"
    return "Everything works"


def _own(path: str) -> Template:
    file = Path(path)
    try:
        template = environment("html", FileSystemLoader(file.parent)).get_template(file.name)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{_SETTING}: {error.filename or path}:{error.lineno}: {error.message}") from None
    except (TemplateError, OSError, UnicodeDecodeError) as error:
        raise BadTemplate(f"{_SETTING}: cannot read {path} ({error or type(error).__name__})") from None
    for state in STATES:
        try:
            template.render(_sample(state))
        except Exception as error:
            raise BadTemplate(f"{_SETTING}: {where(error, path)}: {error} (with a service that is {state})") from None
    return template


def _sample(state: str) -> dict[str, Any]:
    """Return a page to try a template with."""
    at = None if state == "working" else "2026-11-21T14:00:00Z"
    service = {
        "name": "Shop", "about": "", "state": state, "working": state == "working", "since": at, "expected": at,
        "acknowledged": at is not None, "days": [{"date": "2026-11-20", "minutes": None}, {"date": "2026-11-21", "minutes": 3}],
    }  # fmt: skip
    message = {"text": "Words.", "kind": "info", "since": "", "until": "2026-11-21T14:00:00Z"}
    return {
        "title": "Status", "home": "/", "state": state, "headline": headline([service]), "acknowledged": at is not None,
        "at": "2026-11-21T14:00:00Z", "messages": [message], "services": [service],
    }  # fmt: skip
