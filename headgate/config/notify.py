"""The tables about telling people: where messages go, and which changes are told there. What each product gets is in
docs/notifications.md."""

from typing import Literal

from pydantic import Field

from .notifyforms import CauseName, MailAddress, MailServer, Pattern, Share, WebUrl
from .values import FieldName, FieldValue, File, Rate, Seconds, StatusRange, Table

Kind = Literal["slack", "teams", "discord", "pagerduty", "opsgenie", "alertmanager", "webhook", "email", "command"]
What = Literal["opened", "worse", "changed", "resolved", "reopened", "acknowledged"]


class Email(Table):
    """How mail is sent (`kind = "email"`)."""

    server: MailServer
    """The mail server, "host" or "host:port"; port 587 when absent, 465 with `tls = "tls"`."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected: by STARTTLS, from its first byte, or not at all."""
    ca: File | None = None
    """File with the authorities to trust (PEM); those of the system when absent."""
    user: str | None = None
    """Name to log in with; no login when absent."""
    password_file: File | None = None
    """File with the password."""
    sender: MailAddress = Field(alias="from")
    """Address that mail comes from."""
    recipients: tuple[MailAddress, ...] = Field(alias="to", min_length=1)
    """Addresses that mail goes to."""


class Destination(Table):
    """Where messages go. Each has a queue of its own: one that hangs delays no other."""

    kind: Kind
    """What is there; the message has the shape that it takes."""
    url: WebUrl | None = None
    """Where it listens, when that is no secret; PagerDuty's and Opsgenie's own address when absent."""
    url_file: File | None = None
    """File with the URL, when who knows it may write there (Slack, Teams, Discord)."""
    key_file: File | None = None
    """File with the key: PagerDuty's integration key, Opsgenie's API key, otherwise a token for `Authorization: Bearer`."""
    ca: File | None = None
    """File with the authorities to trust (PEM) for https; those of the system when absent."""
    headers: dict[FieldName, FieldValue] = Field({})
    """Header fields to send along; none that are secret."""
    template: File | None = None
    """File with a template (Jinja2) of what a webhook is sent; JSON with everything when absent."""
    content_type: FieldValue = "application/json"
    """Type of what the template makes."""
    command: tuple[str, ...] = ()
    """Program with its arguments, run without a shell; it gets the message as JSON on standard input."""
    email: Email | None = None
    timeout: Seconds = Field(10.0, le=300)
    """Time for one try."""
    wait: Seconds = Field(3.0, le=3600)
    """How long a message waits for others, and for the first autopsy, so that one message tells all."""
    rate: Rate = "20/min"
    """Most messages; what is above waits, and is told together with what comes then."""
    queue: int = Field(100, ge=1, le=10_000)
    """Most messages that wait; of more the oldest are left out, and the next message says how many."""
    give_up: Seconds = Field(3600.0)
    """Time after which a message is no longer tried again."""


class Notify(Table):
    """Which changes are told where. Without any such table all destinations are told what the defaults here say."""

    name: str = Field("", max_length=100)
    """Name of the rule in messages; made of what it asks for when empty."""
    to: tuple[str, ...] = ()
    """Names of destinations; all when empty."""
    on: tuple[What, ...] = Field(("opened", "worse", "reopened", "resolved"), min_length=1)
    """Changes of an incident that are told."""
    upstreams: tuple[Pattern, ...] = ()
    """Upstreams that it is about, such as "shop" or "shop-*"; all when empty."""
    servers: tuple[Pattern, ...] = ()
    """Servers that it is about, by URL; all when empty."""
    routes: tuple[Pattern, ...] = ()
    """Routes that it is about, by name; all when empty."""
    causes: tuple[CauseName, ...] = ()
    """Causes that it is about, such as "connection-refused" or "tls-*"; all when empty."""
    severity: Literal["seen", "near-miss"] = "seen"
    """The least: "seen" for what users saw fail, "near-miss" also for what another try or the cache saved."""
    share: Share | None = None
    """Instead of incidents: told when more than this share of requests fails, such as "1%"."""
    lasting: Seconds = Field(120.0, alias="for", le=86_400)
    """How long the share has to be above, without a break, before it is told; and below, before it is over."""
    window: Seconds = Field(60.0, ge=1, le=86_400)
    """Time over which the share is counted."""
    requests: int = Field(20, ge=1)
    """Requests within the window that are the least to go by."""
    statuses: tuple[StatusRange, ...] = ()
    """Statuses that count as failed for the share; "500-599" when empty. A single status means answers in Headgate's own name:
    those of servers are counted by class. With `causes`, requests that failed of these count instead."""
