"""The tables about what visitors may know: the endpoint that error pages ask, and the public status page."""

import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .findings import Bad
from .forms import host_field, path_exact
from .resilience import RateLimit
from .values import File, Table

OFF = "off"
_A_TIME = 'a time with its zone such as "2026-11-21T14:00:00Z"'


def _own_path(value: str) -> str:
    """Return a path that the gateway answers itself, or "off"."""
    return value if value == OFF else path_exact(value)


def _own_host(value: str) -> str:
    """Return a host in lower case, as requests are compared with it."""
    return host_field(value).lower()


def _in_quotes(value: Any) -> Any:
    """Refuse TOML's own dates: a configuration is handed on as JSON."""
    if isinstance(value, datetime) or hasattr(value, "isoformat"):
        raise Bad("a time without quotes", _A_TIME, f'write "{value.isoformat()}"')
    return value


def _text(value: str, longest: int) -> str:
    """Return a text for visitors."""
    if not value.strip():
        raise Bad("no text", "words for visitors")
    if len(value) > longest:
        raise Bad(f"{len(value)} characters", f"at most {longest}")
    return value


def _link(value: str) -> str:
    """Return an address that a page may link to."""
    if value and not re.fullmatch(r"(https?://[^\s/]+|/)\S*", value):
        raise Bad(f'"{value[:60]}" is no address to lead to', '"https://example.org/" or a path')
    return value


def _moment(value: str) -> str:
    """Return a time (RFC 3339) as it was written."""
    if value:
        moment(value)
    return value


def moment(text: str) -> float:
    """Return the wall-clock seconds of an RFC 3339 time. Raises Bad."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Bad(f'"{text[:60]}" is no time', _A_TIME) from None
    if found.tzinfo is None:
        raise Bad(f'"{text}" has no zone', _A_TIME, f'did you mean "{text}Z", which is UTC?')
    return found.astimezone(UTC).timestamp()


OwnPath = Annotated[str, AfterValidator(_own_path)]
OwnHost = Annotated[str, AfterValidator(_own_host)]
Name = Annotated[str, AfterValidator(lambda value: _text(value, 80))]
Line = Annotated[str, AfterValidator(lambda value: _text(value, 300))]
Words = Annotated[str, AfterValidator(lambda value: _text(value, 2000))]
Link = Annotated[str, AfterValidator(_link)]
Moment = Annotated[str, BeforeValidator(_in_quotes), AfterValidator(_moment)]
"""A time (RFC 3339), or an empty text."""


class PublicStatus(Table):
    """What error pages ask: whether the service works again, since when, until when. Nothing internal, and never forwarded."""

    path: OwnPath = "/.well-known/headgate/status"
    """Path of the endpoint, on every host; "off": there is none, and error pages test the address that failed instead."""
    rate_limit: RateLimit = RateLimit(rate="20/s", burst=100)
    """How often each client may ask it, and the status page; 429 above."""


class PublicService(Table):
    """A service as visitors know it."""

    name: Name
    """Its public name."""
    about: Line | None = None
    """One line about it."""
    upstreams: tuple[str, ...] = ()
    """The upstreams that it consists of."""
    routes: tuple[str, ...] = ()
    """The routes, by name; their maintenance is the service's."""


class PublicMessage(Table):
    """Something to tell visitors."""

    text: Words
    """The words."""
    kind: Literal["info", "maintenance", "incident"] = "info"
    """What it is about."""
    since: Moment = ""
    """When it begins to be shown, in quotes: "2026-11-21T14:00:00Z"; at once when empty."""
    until: Moment = ""
    """When it is no longer shown; never when empty."""

    def holds(self, at: float) -> bool:
        """Tell whether it is to be shown at a time (wall-clock seconds)."""
        return (not self.since or moment(self.since) <= at) and (not self.until or at < moment(self.until))


class StatusPage(Table):
    """A public status page, served by the gateway itself: HTML, or JSON where `Accept` or ".json" after the path asks for it."""

    path: OwnPath = "/status"
    """Its path; no server is asked for it any more."""
    host: OwnHost | None = None
    """The only Host on which it is served; every host when absent."""
    title: Name = "Status"
    """Its heading."""
    days: int = Field(30, ge=0, le=90)
    """Days of the past that are drawn, in UTC; 0: none. As far back as incidents are kept."""
    service: tuple[PublicService, ...] = ()
    """The services; all upstreams as one, called by the title, when empty. Nothing else of the configuration is shown."""
    message: tuple[PublicMessage, ...] = ()
    """What else visitors are told."""
    home: Link = ""
    """Address that the heading leads to; none when empty."""
    template: File | None = None
    """File with a template of your own (Jinja2), instead of the built-in page."""

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths at which it is served: as HTML or JSON, and as JSON."""
        return () if self.path == OFF else (self.path, f"{self.path.rstrip('/') or '/status'}.json")
