"""Which scenarios show best what Headgate does, and what one that was played means in words: a `Scene`."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from ..diagnose.catalogue import bullets, catalogue
from ..model.verdicts import VERDICTS
from .client import Sighting
from .layout import Layout
from .score import Result

SHOWN: Final = (
    "healthy", "dns-name-not-found", "connection-refused", "certificate-expired", "not-http-ssh", "closed-before-answer",
    "closed-on-reuse", "first-dies-get", "first-dies-post", "response-timeout", "length-conflict", "header-section-too-large",
    "body-truncated", "upstream-502", "request-framing",
)  # fmt: skip
"""Scenarios worth a look, roughly in the order of a request's life."""

_PAIR: Final = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True)
class Scene:
    """One played scenario, told for people."""

    name: str
    title: str
    """What is wrong."""
    imitates: str
    """Which fault of real life it is."""
    asked: str
    """The request, and the server that it is for."""
    status: int
    """What the client got, 0 for nothing."""
    cut: bool
    """The answer broke off visibly."""
    cause: str
    """The cause's code; "" where nothing failed."""
    client: str
    """What the client saw."""
    sentence: str
    """What happened, with the numbers; "" where nothing did."""
    did: tuple[str, ...]
    """What Headgate did, one step each."""
    advice: str
    """The first thing to check; "" where nothing is wrong."""
    reference: str
    """What joins answer, access log and error log."""
    right: bool
    """All of it was as the scenario expects."""


def scene(layout: Layout, result: Result, error_log: str) -> Scene:
    """Return what a played scenario means. error_log: the gateway's error log as text, in which its lines are looked up."""
    scenario, last = result.scenario, result.sightings[-1] if result.sightings else Sighting("")
    record = result.record
    reference = str(record.get("reference", ""))
    errors = [line for line in error_lines(error_log) if line.get("reference") == reference] if reference else []
    cause = result.cause
    method, server = str(record.get("method", "GET")), " or ".join(layout.urls(scenario.name))
    return Scene(
        name=scenario.name,
        title=scenario.title,
        imitates=scenario.why,
        asked=f"{method} /{scenario.name}, for {server}",
        status=last.status,
        cut=last.ended == "cut",
        cause=cause,
        client=_seen(result.sightings) if result.sightings else result.reason,
        sentence=errors[-1].get("message", "") if errors else _without_failure(last),
        did=tuple(_did(record, errors, last)),
        advice=_advice(cause, last, errors[-1].get("address", "") if errors else ""),
        reference=reference,
        right=result.verdict == "right" and result.cause_right is not False,
    )


def error_lines(text: str) -> Iterable[dict[str, str]]:
    """Yield the lines of an error log as keys and values; lines of another kind are left out."""
    for line in text.splitlines():
        if line.startswith("time="):
            yield {key: json.loads(value) if value.startswith('"') else value for key, value in _PAIR.findall(line)}


def _seen(sightings: list[Sighting]) -> str:
    last = sightings[-1]
    if not last.status:
        return "got no answer"
    text = f"got {last.status} {HTTPStatus(last.status).phrase} after {last.ms} ms"
    if last.ended == "cut":
        text += ", then a broken connection"
        if announced := last.header("content-length"):
            text += f": {last.body_bytes} of {announced} bytes"
    if len(sightings) > 1:
        text += f", on a connection that had brought {sightings[0].status} before"
    return text


def _without_failure(last: Sighting) -> str:
    if last.status >= 500:
        return f"The server itself said {last.status}; the answer's Proxy-Status tells: {last.header('proxy-status')}."
    return ""


def _did(record: dict[str, Any], errors: list[dict[str, str]], last: Sighting) -> Iterable[str]:
    verdicts = [VERDICTS.get(line.get("verdict", ""), "") for line in errors]
    for verdict in filter(None, verdicts):
        yield verdict[0].upper() + verdict[1:] + "."
    outcome = record.get("outcome")
    if not record:
        yield "Left no record of it."
    elif outcome == "cut":
        yield "Cut the connection, so that what arrived cannot be taken for the whole."
    elif outcome == "answered" and not record.get("attempts"):
        closed = " and closed the connection" if last.closed else ""
        yield f"Refused the request with {last.status}{closed}; no server saw a byte of it."
    elif outcome == "answered":
        yield f"Answered {last.status} itself."
    elif errors:
        yield "Another try was answered: the client noticed nothing, and the near miss is in the log."
    else:
        yield "Relayed the server's answer as it came."


def _advice(cause: str, last: Sighting, address: str) -> str:
    """Return the first step of the answer, which names this failure's own address; else that of the catalogue."""
    steps = last.error().get("next_steps")
    if not steps and cause:
        steps = bullets(catalogue()[cause].sections.get("What to check", ""))
    return str(steps[0]).replace("HOST:PORT", address or "HOST:PORT") if steps else ""
