"""The shapes for everything else: a message as JSON for webhooks and commands, and as a template of one's own makes it."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .failing import NotSent
from .message import Message
from .pagers import alias
from .words import Told

_LARGEST: Final = 256 * 1024
"""Bytes of what a template makes."""


def data(message: Message, told: Told, origin: str, lost: int) -> dict[str, Any]:
    """Return a message as JSON has it: what a webhook, a command and a template get. docs/notifications.md has its members."""
    return {
        "version": 1, "what": message.what, "test": message.is_test(), "key": alias(message), "at": round(message.at, 3),
        "title": told.title, "headline": told.headline, "text": told.text, "severity": told.severity, "over": told.over,
        "facts": dict(told.facts), "steps": list(told.steps), "link": told.link, "gateway": origin,
        "before": dict(message.before), "lost": lost, message.kind: dict(message.subject),
    }  # fmt: skip


def as_bytes(value: Any) -> bytes:
    """Return JSON in ASCII: whatever reads it, no character in it means anything else."""
    return json.dumps(value, separators=(",", ":")).encode()


def variables(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a command finds in its environment, as HEADGATE_ and these names: the plain values."""
    subject = named.get("incident") or named.get("share") or {}
    found = {name: named[name] for name in ("what", "key", "title", "headline", "text", "severity", "link", "gateway")}
    found |= {"test": int(named["test"]), "over": int(named["over"])}
    return found | {name: subject.get(name) or "" for name in ("id", "upstream", "server", "cause", "failed", "seen")}


def rendered(file: str, named: Mapping[str, Any]) -> bytes:
    """Return what a template makes of a message. Raises NotSent."""
    try:
        text = _environment().from_string(Path(file).read_text(encoding="utf-8")).render(named)
    except OSError as error:
        raise NotSent(f"{file}: {error.strerror or error}", again=True) from None
    except TemplateError as error:
        line = f":{number}" if (number := getattr(error, "lineno", None)) else ""
        raise NotSent(f"{file}{line}: {error.message}", again=False) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise NotSent(f"{file}: {type(error).__name__}: {error}", again=False) from None
    body = text.encode("utf-8", "replace")
    if len(body) > _LARGEST:
        raise NotSent(f"{file}: makes {len(body)} bytes, at most {_LARGEST} are sent", again=False)
    return body


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    """Templates see plain data, change nothing, and get an error for a name that does not exist."""
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
