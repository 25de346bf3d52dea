"""Owns what the page of one incident says, from the verdict to the bytes: what, since when, why, for whom, and what to do now."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from markupsafe import escape

from ..diagnose.catalogue import bullets, catalogue
from ..diagnose.moments import span
from ..render import incident as words
from .dashboard_timeline import PHASES, sample
from .dashboard_words import counted_rows, row

_POINTS: Final = 240
"""Points of a chart."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400, 604_800)
"""Seconds that one point of a chart may stand for."""
_LISTED: Final = 50
_SURE: Final = {
    "proved": ("good", "proved", "the autopsy met it itself"),
    "likely": ("mid", "likely", "traffic and autopsy point to it"),
    "possible": ("soft", "possible", "the evidence leaves others open"),
    "unknown": ("soft", "unknown", "nothing could be found out"),
}
_AGREES: Final = {
    True: "Autopsy and traffic saw the same.",
    False: "The autopsy saw something else than the traffic: it may have changed meanwhile.",
    None: "",
}
_DONE: Final = {
    "acknowledge": "acknowledged it", "resolve": "resolved it", "silence": "silenced it", "examine": "had it examined",
    "drain": "drained a server", "reopen": "reopened it",
}  # fmt: skip


def view(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the template. data: "now", "incident" (as `GET /api/incidents/{id}` answers)."""
    told = data["incident"]
    samples = [sample(one) for one in told["samples"] if isinstance(one.get("attempts"), list)]
    shown = _telling(samples, told["cause"])
    verdicts = [_verdict(one) for one in told["verdicts"] if isinstance(one.get("verdict"), dict)]
    latest = words.latest_verdict(told)
    now = next((one for one in reversed(verdicts) if one["verdict"] is latest), None)
    cause = catalogue().get(told["cause"])
    others = [one for one in verdicts if one is not now]
    acknowledged = told["acknowledged"] or {}
    counted = {one["cause"]: one["failed"] for one in told["causes"]}
    return {
        "row": row(told), "api": f"/api/incidents/{quote(told['id'], safe='')}", "samples": samples, "shown": shown,
        "others": [one for one in samples if one is not shown], "verdict": now, "verdicts": others,
        "sentence": told.get("sentence") or (shown["sentence"] if shown else ""), "how": _first(cause, "How we know"),
        "reasons": bullets(cause.sections["Usual reasons"]) if cause else (), "advice": _advice(told),
        "chart": escape(json.dumps(_chart(told))), "chart_said": _chart_said(told), "events": _events(told), "phases": PHASES,
        "did": _did(told, samples), "silenced": bool(told["silenced_until"] and told["silenced_until"] > data["now"]),
        "expected": acknowledged.get("expected", 0.0) if told["state"] == "open" else 0.0,
        "causes": counted_rows(counted), "cause_title": cause.title if cause else "",
        "servers": told["servers"][:_LISTED], "routes": told["routes"][:_LISTED],
        "similar": [row(one) for one in told.get("similar", ())],
        "actions": [{**one, "said": _DONE.get(one["action"], one["action"])} for one in reversed(told["actions"][-_LISTED:])],
    }  # fmt: skip


def _first(cause: Any, section: str) -> str:
    return " ".join(cause.sections[section].split()) if cause is not None else ""


def _telling(samples: Sequence[dict[str, Any]], cause: str) -> dict[str, Any] | None:
    """Return the request that shows best what happened: with bytes, else of the main cause, else the latest."""

    def worth(one: dict[str, Any]) -> tuple[bool, bool, float]:
        own = any(attempt.get("cause") == cause for attempt in one["attempts"])
        return (own, any(attempt["excerpt"] for attempt in one["attempts"]), one["at"])

    return max(samples, key=worth, default=None)


def _verdict(one: Mapping[str, Any]) -> dict[str, Any]:
    verdict = one["verdict"]
    tone, sure, why = _SURE.get(verdict.get("confidence", ""), _SURE["unknown"])
    healthy = bool(verdict.get("healthy"))
    return {
        "at": one["at"], "verdict": verdict, "said": verdict.get("verdict", ""), "title": verdict.get("title", ""),
        "cause": verdict.get("cause", ""), "server": verdict.get("server", ""), "healthy": healthy, "tone": tone, "sure": sure,
        "why": why, "agrees": _AGREES.get(verdict.get("agrees"), ""), "agreed": verdict.get("agrees"),
        "evidence": list(verdict.get("evidence", ())), "unseen": list(verdict.get("unseen", ())),
        "looks": [look for look in verdict.get("looks", ()) if isinstance(look, Mapping)], "took": verdict.get("took_ms", 0),
    }  # fmt: skip


def _advice(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what each reader is told, whoever can do something about this incident first."""
    advice = words.advice(told)
    found = [sum(step.source == "autopsy" for step in one.steps) for one in advice]
    order = sorted(range(len(advice)), key=lambda at: (advice[at].reader == "visitor", -found[at], -len(advice[at].steps)))
    return [{**advice[at]._asdict(), "found": found[at]} for at in order]


# Over time.


def _chart(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts over time, in steps that fit into a drawing, and what else happened then."""
    first, last = int(told["first"]), int(told["last"])
    lasted = last - first + 1
    step = next((one for one in _STEPS if lasted / one <= _POINTS), _STEPS[-1])
    rows: Sequence[Sequence[int]] = told["seconds"]
    if step >= 60 or sum(one[1] for one in rows) < sum(one[1] for one in told["minutes"]):  # seconds are kept for a while only
        rows, step = told["minutes"], max(60, step)
    room = step * max(2, lasted // step // 12)
    begin, end = (first - room) // step * step, (last + room) // step * step
    times = range(begin, end + step, step)
    seen, rescued = dict.fromkeys(times, 0), dict.fromkeys(times, 0)
    for at, _, users, saved in rows:
        key = at // step * step
        if key in seen:
            seen[key] += users
            rescued[key] += saved
    marks = [[one["at"], one["text"][:120]] for one in told["events"] if begin <= one["at"] <= end + step]
    return {
        "at": list(times), "step": step, "marks": marks[-30:],
        "series": [["Users saw it fail", "seen", list(seen.values())], ["Made good", "rescued", list(rescued.values())]],
    }  # fmt: skip


def _chart_said(told: Mapping[str, Any]) -> str:
    """Return the chart in words."""
    worst = max(told["seconds"] or told["minutes"], key=lambda one: one[1], default=None)
    if worst is None:
        return "No counts by time are kept of it."
    per = "second" if told["seconds"] else "minute"
    return f"{words.counted(told['failed'], 'failed attempt')} in {words.lasting(told)}, at most {worst[1]:,} in one {per}."


def _events(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what changed before the first failure and during it, oldest first."""
    found = []
    for one in told["events"]:
        before = told["first"] - one["at"]
        rest = one["at"] - told["last"]
        if before >= 0:
            when = f"{span(before)} before"
        else:
            when = f"{span(-before)} after it began" if rest <= 0 else f"{span(rest)} after the last failure"
        found.append({**one, "before": before >= 0, "when": when})
    return found[-_LISTED * 2 :]


def _did(told: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what Headgate did about it, as sentences."""
    said = []
    if told["rescued"]:
        said.append(
            f"It made {words.counted(told['rescued'], 'request')} good by another try, another server or a stored copy: "
            "these users noticed nothing."
        )
    if told["seen"]:
        said.append(f"It answered {words.counted(told['seen'], 'request')} with an error that names the cause.")
    verdicts = {one["verdict_said"] for shown in samples for one in shown["attempts"] if one["failed"] and one["verdict_said"]}
    said += [f"Attempts were {text}." for text in sorted(verdicts)]
    examined = len(told["verdicts"])
    if examined:
        said.append(f"It examined the server from its own place, {words.counted(examined, 'time')} that are kept.")
    if told["reopenings"]:
        said.append(
            f"It reopened this incident {words.counted(told['reopenings'], 'time')} and opened no other: "
            "the same failures came back."
        )
    if told["state"] == "open":
        said.append(f"It will call it resolved when nothing of it has been seen for {span(told['sure_after'])}.")
    return said
