"""Decides which template makes the HTML page and the plain text, and refuses broken ones before they are needed.

A template (Jinja2) may use the names of `view.View` and `story.Story`: status, reason, cause (written as its
code; also title, fault, temporary), story (headline, visitor, sent, broken, drawing), details, reference, retryable, retry_after
(None: unknown), reading, status_url (what the page may ask; "": nothing), since and expected (RFC 3339 or ""), acknowledged,
timeline and explanation (None for the public; else sentence, evidence, verdict, next_steps), and the
filter `code` for backticks.
Undefined names are errors. HTML is escaped by default, text is not.
"""

import re
import traceback
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
)
from markupsafe import Markup

from ..diagnose.catalogue import catalogue
from ..diagnose.explain import Explanation, Step
from ..model.cause import Cause
from .proxy_status import phrase
from .story import tell
from .view import Trouble, View

_BUILT_IN = {"html": "error.html", "text": "error.txt"}


class BadTemplate(ValueError):
    """An own template cannot be used. The message names the setting, the file, the line where known, and what is wrong."""


class Page:
    """One compiled template."""

    __slots__ = ("_fallback", "_template", "built_in", "policy")

    def __init__(self, template: Template, fallback: "Page | None" = None) -> None:
        self._template = template
        self._fallback = fallback
        self.built_in = fallback is None
        self.policy = ""  # header line with the Content-Security-Policy; own pages bring their own, if any

    def render(self, view: View) -> str:
        """Return the page. An own template that fails on this view after all gives way to the built-in one."""
        if self._fallback is None:
            return self.attempt(view)
        try:
            return self.attempt(view)
        except Exception:  # the template's author may have written anything, and the client must get its answer
            return self._fallback.render(view)

    def attempt(self, view: View) -> str:
        """Return the page, or raise what the template raises."""
        return self._template.render(view._asdict(), **view.trouble._asdict(), details=view.details, timeline=view.timeline)


def make_page(kind: str, path: str | None) -> Page:
    """Return the page for `kind` ("html" or "text"): the template at `path`, or the built-in one. Raises BadTemplate."""
    if path is None:
        return _built_in(kind)
    setting = f"gateway.pages.{kind}"
    file = Path(path)
    try:
        page = Page(environment(kind, FileSystemLoader(file.parent)).get_template(file.name), _built_in(kind))
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{setting}: {error.filename or path}:{error.lineno}: {error.message}") from None
    except (TemplateError, OSError, UnicodeDecodeError) as error:
        raise BadTemplate(f"{setting}: cannot read {path} ({error or type(error).__name__})") from None
    for view in _samples():
        try:
            page.attempt(view)
        except Exception as error:
            raise BadTemplate(f"{setting}: {where(error, path)}: {error} (with cause {view.cause.code})") from None
    return page


@cache
def _built_in(kind: str) -> Page:
    page = Page(environment(kind, PackageLoader("headgate", "knowledge/pages")).get_template(_BUILT_IN[kind]))
    if kind == "html":
        page.policy = policy(page.attempt(next(iter(_samples()))))
    return page


def environment(kind: str, loader: BaseLoader) -> Environment:
    """Return what templates are compiled in: names that are not defined are errors, and HTML is escaped."""
    made = Environment(
        loader=loader,
        autoescape=kind == "html",  # noqa: S701 (plain text has nothing to escape)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.filters["code"] = _code
    return made


def _shown(value: object) -> object:
    """Return what is written for `{{ value }}`: a cause goes by its code, not by its whole entry in the catalogue."""
    return value.code if isinstance(value, Cause) else value


def _code(text: str) -> Markup:
    """A template filter: what stands between backticks becomes <code>. All of it is escaped."""
    parts = [Markup.escape(part) for part in text.split("`")]
    parts[1::2] = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup().join(parts)


def policy(html: str) -> str:
    """Return the header line with the policy that admits a page's own style and script by their hashes, tests of its own site,
    and nothing else.
    """
    style, script = (_hashes(tag, html) for tag in ("style", "script"))
    return (
        f"Content-Security-Policy: default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'\r\n"
    )


def _hashes(tag: str, html: str) -> str:
    texts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)


def _samples() -> list[View]:
    """Return views of all kinds, to try a template with."""
    views = []
    for cause in catalogue().values():
        told = Explanation(cause, cause.title, "Sentence.", ("Evidence.",), (Step("end", 1.0, 1.0),), "never", ("Check.",), "")
        for reading, wait, explanation in ((True, 5, None), (True, None, told), (False, None, None), (False, 5, told)):
            story = tell(cause, reading=reading, unsent=not reading)
            trouble = Trouble("/status?of=x", "2026-11-21 14:00:00Z", "", reading) if wait else Trouble()
            views.append(
                View(cause.status, phrase(cause.status), cause, story, "r", reading, wait, reading, explanation, trouble)
            )
    return views


def where(error: Exception, path: str) -> str:
    """Return the template's file and line in which `error` was raised."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path
