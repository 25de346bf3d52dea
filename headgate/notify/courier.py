"""Owns what each kind of destination is sent, and by which way: messages in, requests, mails and commands out.

To add a product: a function that makes its shape, and a row of KINDS; a row for its keys in config/notifyrules.py.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..config.notify import Destination
from . import chats, generic, mail, pagers, program
from .failing import NotSent
from .http import Http, Post
from .message import Message
from .words import Told, together, told

_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Command:
    """A program to be run."""

    arguments: Sequence[str]
    said: bytes
    extra: Mapping[str, str] = field(default_factory=dict)


Outgoing = Post | EmailMessage | Command
Make = Callable[["Courier", Sequence[Message], int], list[Outgoing]]


@dataclass(frozen=True, slots=True)
class Way:
    """How a kind of destination is told."""

    make: Make
    most: int  # messages that go together
    closes: bool = False  # what was opened there is closed there
    repeats: bool = False  # what lasts is told again


class Courier:
    """Makes what one destination takes, and sends it."""

    def __init__(self, name: str, settings: Destination, origin: str, *, masked: bool = False) -> None:
        """name: of the destination. origin: which gateway says it. masked: files of secrets are named instead of read."""
        self.name = name
        self.settings = settings
        self.origin = origin
        self.way = KINDS[settings.kind]
        self.labels: dict[str, dict[str, str]] = {}  # by key: those by which Alertmanager knows an alert
        self._http = Http(settings.ca)
        self._masked = masked

    def make(self, messages: Sequence[Message], lost: int = 0) -> list[Outgoing]:
        """Return what is sent for messages, at most `way.most` of them. lost: messages that were left out. Raises NotSent."""
        return self.way.make(self, messages, lost)

    async def send(self, messages: Sequence[Message], lost: int = 0) -> str:
        """Send messages; return what was answered. Raises NotSent."""
        answer = ""
        for one in self.make(messages, lost):
            answer = await self._deliver(one)
        if self.way.repeats:
            self._remember_labels(messages)
        return answer

    def _remember_labels(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.labels.pop(message.key, None)
            if not message.is_over():
                self.labels[message.key] = self.labels_of(message)

    def labels_of(self, message: Message) -> dict[str, str]:
        """Return the labels by which Alertmanager knows a thread's alert now."""
        return pagers.labels(message, told(message).severity, self.origin)

    async def _deliver(self, one: Outgoing) -> str:
        seconds = self.settings.timeout
        if isinstance(one, Post):
            return await self._http.send(one, seconds)
        if isinstance(one, Command):
            await program.run(one.arguments, one.said, one.extra, seconds)
            return "exit code 0"
        assert self.settings.email is not None
        return await mail.send(self.settings.email, one, seconds)

    async def close(self) -> None:
        """Close connections."""
        await self._http.close()

    def where(self) -> str:
        """Return kind and place for people, without what is secret: "slack (hooks.slack.com)"."""
        if self.settings.email is not None:
            return f"email ({self.settings.email.server})"
        if self.settings.command:
            return f"command ({self.settings.command[0]})"
        try:
            url = self.url("")
        except NotSent:
            url = ""
        host = urlsplit(url).hostname if "://" in url else ""
        return f"{self.settings.kind} ({host})" if host else self.settings.kind

    def secret(self, file: str | None) -> str:
        """Return what a file of secrets holds, read anew each time; "" without a file. Raises NotSent."""
        if file is None:
            return ""
        if self._masked:
            return f"[{file}]"
        try:
            held = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NotSent(f"{file}: {getattr(error, 'strerror', None) or 'not UTF-8'}", again=True) from None
        if not held or any(not "!" <= letter <= "~" for letter in held):
            raise NotSent(f"{file}: not one line of printable characters", again=True)
        return held

    def url(self, usual: str) -> str:
        """Return where to send. usual: where the configuration does not say. Raises NotSent."""
        return self.settings.url or self.secret(self.settings.url_file) or usual

    def post(self, url: str, body: bytes, headers: Mapping[str, str] = _JSON, *secrets: str) -> Post:
        """Return a request to this destination."""
        hidden = [*secrets, *([url] if self.settings.url_file else [])]
        return Post(url, body, {**self.settings.headers, **headers}, [one for one in hidden if one])

    def bearer(self) -> dict[str, str]:
        """Return the field that shows the token, nothing without one. Raises NotSent."""
        token = self.secret(self.settings.key_file)
        return {"Authorization": f"Bearer {token}"} if token else {}


def origin(name: str) -> str:
    """Return which gateway says something: its host's name, with the gateway's own where it has one."""
    host = socket.gethostname()
    return host if name == "headgate" else f"{name}@{host}"


# One function for each kind.


def _chat(shape: Callable[[Told], dict[str, Any]]) -> Make:
    def make(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
        body = shape(together(messages, lost, courier.origin))
        return [courier.post(courier.url(""), generic.as_bytes(body))]

    return make


def _pagerduty(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    key = courier.secret(courier.settings.key_file)
    event = pagers.pagerduty(messages[0], told(messages[0], lost, courier.origin), key, courier.origin)
    return [courier.post(courier.url(pagers.PAGERDUTY), generic.as_bytes(event), _JSON, key)]


def _opsgenie(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    key = courier.secret(courier.settings.key_file)
    words = told(messages[0], lost, courier.origin)
    url, body = pagers.opsgenie(messages[0], words, courier.url(pagers.OPSGENIE), courier.origin)
    return [courier.post(url, generic.as_bytes(body), {**_JSON, "Authorization": f"GenieKey {key}"}, key)]


def _alertmanager(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    words = [told(message, lost, courier.origin) for message in messages]
    now = time.time()
    found = pagers.alerts(messages, words, courier.origin, now)
    for message, alert in zip(messages, list(found), strict=True):
        before = courier.labels.get(message.key)
        if before is not None and before != alert["labels"]:  # another alert takes its place
            found.append({**alert, "labels": before, "endsAt": chats.stamp(now)})
    url = f"{courier.url('').rstrip('/')}/api/v2/alerts"
    return [courier.post(url, generic.as_bytes(found), {**_JSON, **courier.bearer()}, courier.secret(courier.settings.key_file))]


def _webhook(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    named = generic.data(messages[0], told(messages[0], lost, courier.origin), courier.origin, lost)
    template = courier.settings.template
    body = generic.rendered(template, named) if template else generic.as_bytes(named)
    fields = {"Content-Type": courier.settings.content_type, "Idempotency-Key": f'"{_number(messages[0])}"', **courier.bearer()}
    return [courier.post(courier.url(""), body, fields, courier.secret(courier.settings.key_file))]


def _email(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    assert courier.settings.email is not None
    thread = messages[0].key if len(messages) == 1 else ""
    number = " ".join(_number(message) for message in messages)
    words = together(messages, lost, courier.origin)
    return [mail.mail(courier.settings.email, words, thread and f"{courier.origin}/{thread}", number, courier.origin)]


def _command(courier: Courier, messages: Sequence[Message], lost: int) -> list[Outgoing]:
    named = generic.data(messages[0], told(messages[0], lost, courier.origin), courier.origin, lost)
    extra = program.environment(generic.variables(named))
    return [Command(courier.settings.command, generic.as_bytes(named) + b"\n", extra)]


def _number(message: Message) -> str:
    """Return what is the same each time a message is tried, so that who got it twice may see that."""
    return f"{pagers.alias(message)}/{message.what}/{message.at:.3f}"


KINDS: Final = {
    "slack": Way(_chat(chats.slack), 50),
    "teams": Way(_chat(chats.teams), 50),
    "discord": Way(_chat(chats.discord), 50),
    "email": Way(_email, 50),
    "pagerduty": Way(_pagerduty, 1, closes=True),
    "opsgenie": Way(_opsgenie, 1, closes=True),
    "alertmanager": Way(_alertmanager, 200, closes=True, repeats=True),
    "webhook": Way(_webhook, 1),
    "command": Way(_command, 1),
}


def shown(one: Outgoing) -> str:
    """Return what is sent, as people read it."""
    if isinstance(one, Post):
        fields = "".join(f"{name}: {value}\n" for name, value in one.headers.items())
        return f"POST {one.url}\n{fields}\n{_readable(one.body)}"
    if isinstance(one, Command):
        variables = "".join(f"{name}={value}\n" for name, value in one.extra.items())
        return f"{json.dumps(list(one.arguments))}\n{variables}\n{_readable(one.said)}"
    return one.as_string()


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "replace")
