"""Owns how a message is said in words: one headline, one sentence, facts, and what to do; the same for every product.

Foreign strings are shown as what they are (render/visible.py); escaping for JSON, HTML or Markdown is each shape's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..diagnose.moments import moment, span
from ..render import incident as words
from ..render.visible import visible
from .message import ACKNOWLEDGED, CHANGED, LASTING, OPENED, REOPENED, RESOLVED, SHARE, TEST, WORSE, Message

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"
_LABELS: Final = {
    OPENED: "Opened", WORSE: "Worse", CHANGED: "Another cause", RESOLVED: "Resolved", REOPENED: "Back again",
    ACKNOWLEDGED: "Acknowledged", LASTING: "Lasting", TEST: "TEST",
}  # fmt: skip
_MEANWHILE: Final = {
    OPENED: "opened", WORSE: "worse", CHANGED: "another cause", RESOLVED: "resolved", REOPENED: "back again",
    ACKNOWLEDGED: "acknowledged", TEST: "test",
}  # fmt: skip
_STEPS: Final = 3
_LINES: Final = 20
"""Incidents that a message about several lists."""
_HEADLINE: Final = 250
_TEXT: Final = 600
_TEST_TEXT: Final = "This is a test of Headgate's notifications. Nothing is wrong, and there is nothing to do."


@dataclass(frozen=True, slots=True)
class Told:
    """A message in words. Plain text of one line each, control characters spelled out."""

    label: str  # "Opened", "Resolved", ...
    headline: str  # "The server refused the connection: http://10.0.0.5:8000 of shop"
    text: str  # a few sentences
    facts: tuple[tuple[str, str], ...]
    steps: tuple[str, ...]  # what to do
    lines: tuple[str, ...]  # of several: one for each
    severity: str  # CRITICAL, WARNING or INFO
    over: bool
    link: str
    at: float

    @property
    def title(self) -> str:
        """Label and headline: "Opened: The server refused the connection: ..."."""
        return f"{self.label}: {self.headline}"

    def plain(self) -> str:
        """Return everything as plain text of several lines."""
        facts = "\n".join(f"{name}: {value}" for name, value in self.facts)
        steps = "\n".join(["What to do:", *(f"* {step}" for step in self.steps)]) if self.steps else ""
        return "\n\n".join(filter(None, (self.text, "\n".join(f"* {line}" for line in self.lines), facts, steps, self.link)))


def told(message: Message, lost: int = 0, origin: str = "") -> Told:
    """Return one message in words. lost: messages to this destination that were left out. origin: which gateway says it."""
    subject, test = message.subject, message.is_test()
    share = message.kind == SHARE
    sentences = [_TEST_TEXT] if test else []
    sentences += _of_share(subject) if share else _of_incident(message)
    sentences += [_meanwhile(message), _lost(lost)]
    facts = _share_facts(subject) if share else _facts(message)
    if origin:
        facts.append(("Gateway", origin))
    headline = _share_headline(subject) if share else words.headline(subject)
    return Told(
        label=_LABELS[message.what],
        headline=_line(f"{'[TEST] ' if test else ''}{headline}", _HEADLINE),
        text=_line(" ".join(filter(None, sentences)), _TEXT),
        facts=tuple((name, _line(value, _TEXT)) for name, value in facts),
        steps=() if share or message.is_over() else _steps(subject),
        lines=(),
        severity=INFO if test else _severity(message),
        over=message.is_over(),
        link=message.link,
        at=message.at,
    )


def together(messages: Sequence[Message], lost: int = 0, origin: str = "") -> Told:
    """Return several messages as one; a single one as `told` does."""
    if len(messages) == 1:
        return told(messages[0], lost, origin)
    each = [told(message) for message in messages]
    counts: dict[str, int] = {}
    for message in messages:
        counts[message.what] = counts.get(message.what, 0) + 1
    said = ", ".join(f"{count} {_MEANWHILE.get(what, what)}" for what, count in counts.items())
    shown = [_line(f"{one.title} ({one.link})" if one.link else one.title, _TEXT) for one in each[:_LINES]]
    if len(each) > _LINES:
        shown.append(f"and {len(each) - _LINES} more")
    worst = min(each, key=lambda one: (one.over, (CRITICAL, WARNING, INFO).index(one.severity)))
    facts = (("Gateway", origin),) if origin else ()
    text = " ".join(filter(None, (f"{len(messages)} changes since {_time(min(one.at for one in messages))}.", _lost(lost))))
    return Told(
        label=f"{len(messages)} changes",
        headline=said,
        text=text,
        facts=facts,
        steps=(),
        lines=tuple(shown),
        severity=worst.severity,
        over=all(one.over for one in each),
        link="",
        at=messages[-1].at,
    )


def _line(text: str, longest: int) -> str:
    return visible(text, longest)


def _time(at: object) -> str:
    return f"{moment(float(at), dated=True)} UTC" if isinstance(at, int | float) and at > 0 else ""


def _lost(lost: int) -> str:
    return f"{words.counted(lost, 'message')} before this one could not be told." if lost else ""


def _meanwhile(message: Message) -> str:
    if not message.before:
        return ""
    times = [f"{_MEANWHILE.get(what, what)} {words.counted(count, 'time')}" for what, count in message.before.items()]
    return f"Not told before this: {', '.join(times)}."


# Incidents.


def _severity(message: Message) -> str:
    return CRITICAL if message.kind == SHARE or message.subject.get("severity") == "seen" else WARNING


def _of_incident(message: Message) -> list[str]:
    told, said = message.subject, []
    if message.what == ACKNOWLEDGED:
        done = told.get("acknowledged") or {}
        note = f" ({done['note']})" if done.get("note") else ""
        said.append(f"{done.get('by') or 'Somebody'} is on it{note}.")
    if message.is_over():
        said.append(f"It is over, after {words.lasting(told)}.")
    if told.get("reopenings") and message.what == REOPENED:
        said.append(f"It came back, {words.counted(int(told['reopenings']), 'time')} so far.")
    said.append(f"{words.impact(told)}.")
    verdict = words.latest_verdict(told)
    if verdict is not None and verdict.get("verdict") and not message.is_over():
        sentence, sure = str(verdict["verdict"]).rstrip("."), verdict.get("confidence", "unknown")
        said.append(f"Looked into ({sure}): {sentence}.")
    return said


def _facts(message: Message) -> list[tuple[str, str]]:
    told = message.subject
    routes = [str(row.get("route", "")) for row in told.get("routes") or ()]
    more = int(told.get("routes_count") or len(routes)) - len(routes)
    rows = [
        ("Cause", str(told.get("cause", ""))),
        ("Since", _time(told.get("first"))),
        ("Over since", _time(told.get("resolved")) if message.is_over() else ""),
        ("Failed attempts", f"{int(told.get('failed') or 0):,}"),
        ("Routes", ", ".join(routes) + (f" and {more} more" if more > 0 else "")),
        ("Incident", str(told.get("id", ""))),
    ]
    return [(name, value) for name, value in rows if value]


def _steps(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what whoever runs this should do: first what was found for this very incident."""
    steps = [step for one in words.advice(told) if one.reader != "visitor" for step in one.steps]
    steps.sort(key=lambda step: step.source != "autopsy")
    return tuple(_line(f"`{step.command}`: {step.text}" if step.command else step.text, _TEXT) for step in steps[:_STEPS])


# Shares of failures.


def _share_headline(told: Mapping[str, Any]) -> str:
    return f"{told.get('of', 'Failures')} {'no longer ' * (told.get('state') != 'open')}above {_percent(told.get('limit'))}"


def _percent(value: object) -> str:
    return f"{float(value) * 100:.3g} %" if isinstance(value, int | float) else "?"


def _of_share(told: Mapping[str, Any]) -> list[str]:
    counts = f"{int(told.get('failures') or 0):,} of {int(told.get('requests') or 0):,} requests"
    said = [f"{_percent(told.get('share'))} in the last {span(float(told.get('window') or 0))}: {counts}."]
    if told.get("state") == "open":
        return [*said, f"It has been above {_percent(told.get('limit'))} for {span(float(told.get('for') or 0))}."]
    lasted = float(told.get("resolved") or 0) - float(told.get("first") or 0)
    return [*said, f"It is over, after {span(max(0.0, lasted))}."]


def _share_facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("Rule", str(told.get("name", ""))), ("Since", _time(told.get("first"))), ("Over since", _time(told.get("resolved")))]
    return [(name, value) for name, value in rows if value]
