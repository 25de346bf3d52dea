"""The shapes that alert managers take: PagerDuty, Opsgenie, Alertmanager. One alert for each thread, opened and closed.

Sources. PagerDuty: developer.pagerduty.com/docs/events-api-v2/trigger-events (summary 1024 characters, dedup_key 255; trigger,
acknowledge, resolve). Opsgenie: docs.opsgenie.com/docs/alert-api (message 130, alias 512, description 15000, 20 tags of 50,
details 8000 in all, entity 512, source 100, note 25000). Alertmanager: api/v2/openapi.yaml of github.com/prometheus/alertmanager,
and prometheus.io/docs/alerting/latest/clients (sent again while it lasts, with an end that is ahead).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from .chats import cut, stamp
from .message import ACKNOWLEDGED, SHARE, Message
from .words import CRITICAL, INFO, Told

PAGERDUTY: Final = "https://events.pagerduty.com/v2/enqueue"
OPSGENIE: Final = "https://api.opsgenie.com"
LASTS: Final = 300.0
"""Seconds for which Alertmanager believes that an alert lasts, when it hears nothing more."""
_PRIORITIES: Final = {CRITICAL: "P1", "warning": "P3", INFO: "P5"}
_DETAILS: Final = 7500


def alias(message: Message) -> str:
    """Return the key by which all messages of a thread are one alert: "headgate/incident/7K3M0Q2Z"."""
    return cut(f"headgate/{message.key.replace(':', '/', 1)}", 250)


def details(message: Message, told: Told) -> dict[str, str]:
    """Return what is known, as texts by name."""
    subject = message.subject
    named = {
        name: subject.get(name) for name in ("upstream", "server", "cause", "phase", "severity", "failed", "seen", "rescued")
    }
    found = {name: str(value) for name, value in named.items() if value not in (None, "")}
    found |= {name.lower().replace(" ", "_"): value for name, value in told.facts}
    return found | ({"what_to_do": "\n".join(told.steps)} if told.steps else {})


# PagerDuty.


def pagerduty(message: Message, told: Told, key: str, origin: str) -> dict[str, Any]:
    """Return an event. key: the integration's. Opened, worse and back again trigger the same alert."""
    action = "resolve" if message.is_over() else "acknowledge" if message.what == ACKNOWLEDGED else "trigger"
    event: dict[str, Any] = {"routing_key": key, "event_action": action, "dedup_key": alias(message)}
    if action != "trigger":
        return event
    where = _where(message)
    payload = {
        "summary": cut(told.headline, 1024), "source": cut(str(message.subject.get("server") or where or origin), 1024),
        "severity": told.severity, "timestamp": stamp(message.at), "component": cut(where, 1024), "group": "headgate",
        "class": cut(str(message.subject.get("cause") or message.kind), 1024),
        "custom_details": {"text": told.text, "gateway": origin, **details(message, told)},
    }  # fmt: skip
    event |= {"client": "Headgate", "payload": payload}
    if told.link:
        event |= {"client_url": told.link, "links": [{"href": told.link, "text": "The incident"}]}
    return event


def _where(message: Message) -> str:
    return str(message.subject.get("upstream") or message.subject.get("name") or "")


# Opsgenie.


def opsgenie(message: Message, told: Told, base: str, origin: str) -> tuple[str, dict[str, Any]]:
    """Return where to post, and what."""
    source = cut(f"Headgate on {origin}", 100)
    where = f"{base.rstrip('/')}/v2/alerts"
    if message.is_over() or message.what == ACKNOWLEDGED:
        do = "close" if message.is_over() else "acknowledge"
        path = f"{quote(alias(message), safe='')}/{do}?identifierType=alias"
        return f"{where}/{path}", {"source": source, "note": cut(told.text, 25_000)}
    found: dict[str, Any] = {
        "message": cut(told.headline, 130), "alias": alias(message), "description": cut(told.plain(), 15_000),
        "priority": _PRIORITIES[told.severity], "source": source, "entity": cut(_where(message), 512),
        "tags": [cut(tag.replace(",", " "), 50) for tag in ("headgate", *_tags(message))],
        "details": _fitting(details(message, told)),
    }  # fmt: skip
    return where, found


def _tags(message: Message) -> list[str]:
    subject = message.subject
    return [str(value) for value in (subject.get("cause"), subject.get("upstream"), message.is_test() and "test") if value]


def _fitting(named: Mapping[str, str]) -> dict[str, str]:
    """Return as many details as there is room for."""
    room, found = _DETAILS, {}
    for name, value in named.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        found[name] = value
    return found


# Alertmanager.


def alerts(messages: Sequence[Message], words: Sequence[Told], origin: str, now: float) -> list[dict[str, Any]]:
    """Return alerts as POST /api/v2/alerts takes them. now: wall-clock seconds."""
    return [_alert(message, told, origin, now) for message, told in zip(messages, words, strict=True)]


def labels(message: Message, severity: str, origin: str) -> dict[str, str]:
    """Return the labels, by which Alertmanager knows an alert: those that stay the same as long as it lasts."""
    subject = message.subject
    name = "HeadgateTest" if message.is_test() else "HeadgateShare" if message.kind == SHARE else "HeadgateIncident"
    found = {
        "alertname": name, "severity": severity, "gateway": origin, "upstream": str(subject.get("upstream") or ""),
        "cause": str(subject.get("cause") or ""), "incident" if message.kind != SHARE else "rule": message.key.partition(":")[2],
    }  # fmt: skip
    return {key: cut(value, 500) for key, value in found.items() if value}


def _alert(message: Message, told: Told, origin: str, now: float) -> dict[str, Any]:
    begun = float(message.subject.get("opened") or message.subject.get("first") or message.at)
    ends = now if message.is_over() else now + LASTS
    found = {
        "labels": labels(message, told.severity, origin), "startsAt": stamp(min(begun, now)), "endsAt": stamp(ends),
        "annotations": {
            "summary": told.headline, "description": told.text,
            **{name: value for name, value in details(message, told).items() if name not in ("upstream", "cause", "severity")},
        },
    }  # fmt: skip
    return found | ({"generatorURL": told.link} if told.link else {})
