"""Owns the drawing of one request: a bar for each phase of each attempt, the same in words, and the bytes that were wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..diagnose.catalogue import catalogue
from ..diagnose.sentence import duration
from ..model.verdicts import VERDICTS

PHASES: Final = (
    ("resolve", "name resolution"), ("connect", "connect"), ("tls", "TLS"), ("send", "send the request"),
    ("wait", "wait for the answer"), ("head", "read the head"), ("body", "read the body"),
)  # fmt: skip
"""Phases of an attempt as they are drawn (classes .p-NAME of dashboard.css), and their names."""
_NAMES: Final = dict(PHASES)
_STEPS: Final = {
    "resolved": "resolve", "connected": "connect", "TLS established": "tls", "request sent": "send", "first byte": "wait",
    "head complete": "head", "end": "body",
}  # fmt: skip
"""The phase that each step ends."""
_WIDTH: Final = 1000.0
_THINNEST: Final = 3.0
"""Widths of a drawing, and of the thinnest bar that is still seen."""
_BEFORE: Final = 24
"""Bytes of an excerpt before the one that is wrong (wire/refusal.py)."""
_MALFORMED: Final = frozenset(("malformed", "client-malformed", "client-unsupported"))
_OUTCOMES: Final = {
    "served": "the client got the server's answer", "answered": "the client got an error from the gateway",
    "cut": "the client got an answer that breaks off", "gone": "the client had left", "tunnel": "a tunnel was open",
}  # fmt: skip


class Bar(NamedTuple):
    """One phase of an attempt."""

    phase: str
    x: float
    width: float
    name: str
    took: str
    failed: bool


class Byte(NamedTuple):
    """One byte of an excerpt."""

    hex: str
    text: str
    wrong: bool
    control: bool


def sample(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as a page shows it. record: as render/record.py makes it."""
    attempts: Sequence[Mapping[str, Any]] = record.get("attempts") or ()
    total = max([_end(one) for one in attempts] + [float(record.get("duration_ms") or 0.0)] + [0.1])
    cause = catalogue().get(str(record.get("cause") or ""))
    outcome = str(record.get("outcome") or "")
    return {
        "reference": "", "method": "", "host": "", "target": "", "client": "", "route": "", "upstream": "", "status": 0,
        "at": 0.0,
        "headline": "", "sentence": "", "cause": "", **record,
        "took": duration(float(record.get("duration_ms") or total)), "total": duration(total), "half": duration(total / 2),
        "cause_title": cause.title if cause else "", "outcome_said": _OUTCOMES.get(outcome, outcome),
        "visitor": " ".join(cause.sections["Visitor"].split()) if cause else "",
        "attempts": [_attempt(number, one, total) for number, one in enumerate(attempts, 1)],
        "left_out": max(0, int(record.get("tries") or 0) - len(attempts)),
    }  # fmt: skip


def _end(attempt: Mapping[str, Any]) -> float:
    return float(attempt.get("began_ms") or 0.0) + float(attempt.get("took_ms") or 0.0)


def _attempt(number: int, attempt: Mapping[str, Any], total: float) -> dict[str, Any]:
    bars = list(_bars(attempt, total))
    cause = catalogue().get(str(attempt.get("cause") or ""))
    verdict = str(attempt.get("verdict") or "")
    spoken = ", ".join(f"{bar.name} {bar.took}{' (here it failed)' * bar.failed}" for bar in bars)
    return {
        "server": "", "address": "", "status": 0, "sentence": "", "evidence": (), "reused": False, "bytes": "", **attempt,
        "number": number, "bars": bars, "spoken": f"Attempt {number}: {spoken or 'no times are known'}",
        "failed": bool(attempt.get("cause")), "title": cause.title if cause else "",
        "verdict_said": VERDICTS.get(verdict, verdict),
        "began": duration(float(attempt.get("began_ms") or 0.0)), "took": duration(float(attempt.get("took_ms") or 0.0)),
        "excerpt": excerpt(attempt), "offset": int(attempt.get("offset", -1)),
    }  # fmt: skip


def _bars(attempt: Mapping[str, Any], total: float) -> Sequence[Bar]:
    """Return the bars of an attempt, on a drawing that is 1000 wide."""
    began, bars = float(attempt.get("began_ms") or 0.0), []
    reached = ""
    for step in attempt.get("steps") or ():
        at, took = float(step.get("at_ms", -1)), float(step.get("took_ms", 0))
        if at < 0:
            continue
        failed = step.get("name") == "failed"
        phase = _failing(str(attempt.get("phase", "")), reached) if failed else _STEPS.get(str(step.get("name")), "body")
        reached = phase
        if took <= 0 and not failed:
            continue
        width = max(_THINNEST, _WIDTH * took / total)
        x = min(_WIDTH - width, max(0.0, _WIDTH * (began + at - took) / total))
        bars.append(Bar(phase, round(x, 1), round(width, 1), _NAMES[phase], duration(took), failed))
    return bars


def _failing(phase: str, reached: str) -> str:
    """Return in which of the drawn phases it failed: waiting for the first byte is the first part of phase "head"."""
    if phase == "head":
        return "head" if reached == "wait" else "wait"
    return phase if phase in _NAMES else "body"


def excerpt(attempt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the bytes that were kept of an attempt; None where there are none, or where they hold a secret."""
    try:
        data = bytes.fromhex(str(attempt.get("excerpt") or ""))
    except ValueError:
        return None
    if not data:
        return None
    offset = int(attempt.get("offset", -1))
    wrong = min(offset, _BEFORE) if offset >= 0 and attempt.get("signal") in _MALFORMED else -1
    first = max(0, offset - _BEFORE) if wrong >= 0 else 0
    shown = [Byte(f"{byte:02x}", _letter(byte), at == wrong, not 0x20 < byte < 0x7F) for at, byte in enumerate(data)]
    cut = wrong if wrong >= 0 else len(data)
    return {
        "bytes": shown, "first": first, "count": len(data), "wrong": f"{data[cut]:02x}" if cut < len(data) else "",
        "before": _text(data[:cut]), "at": _text(data[cut : cut + 1]), "after": _text(data[cut + 1 :]),
    }  # fmt: skip


_CONTROL: Final = {0x00: "\\0", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x1B: "esc", 0x20: "sp"}


def _letter(byte: int) -> str:
    return _CONTROL.get(byte) or (chr(byte) if 0x20 < byte < 0x7F else "·")


def _text(data: bytes) -> str:
    named = {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}
    return "".join(named.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in data)
