"""Owns what an autopsy says: headline, cause, how sure it is, whether traffic saw the same, evidence, and what was not seen."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..diagnose.catalogue import catalogue
from ..diagnose.explain import explain_attempt
from ..diagnose.groups import groups
from ..diagnose.redact import clean
from ..diagnose.sentence import duration
from ..model import signals as s
from ..model.cause import Cause
from ..model.phases import HEAD
from .autopsyadvice import advice
from .autopsyseen import Seen

_LINES: Final = 20
"""Most sentences of evidence."""
_LOOKS: Final = 24
_ITEMS: Final = 24
"""Most members of a list or table in a look's facts."""
_DAY: Final = 86_400.0
_REUSED: Final = frozenset({"closed-on-reuse", "reset-on-reuse", "send-reset-reused"})
_OTHERWISE: Final = {
    **dict.fromkeys(_REUSED, "it happens only where a kept connection is used again, and an autopsy opens its own"),
    **dict.fromkeys(("send-timeout", "send-reset"), "it happens while a body is sent, and an autopsy sends none"),
    **dict.fromkeys(("tunnel-reset", "tunnel-idle-timeout"), "it happens in a tunnel, and an autopsy opens none"),
}  # fmt: skip
"""Causes that one GET cannot meet, and why."""
_DECIDED: Final = frozenset(
    {"maintenance", "method-not-allowed", "no-route", "rate-limited", "request-denied", "queue-timed-out", "server-limit-reached"}
)
"""What the gateway decides by its configuration: no server was asked."""
_ALIKE: Final = (
    frozenset({*groups()["died"], "connection-reset"}),
    frozenset({*groups()["slow"], "response-total-timeout", "body-stalled", "body-total-timeout"}),
    frozenset({"body-truncated", "body-reset", "chunked-truncated"}),
    frozenset({"connection-timeout", "host-unreachable", "packet-loss"}),
    frozenset({"tls-closed", "tls-reset"}),
    frozenset({"client-certificate-required", "tls-alert"}),
    frozenset({"dns-timeout", "dns-server-failure", "dns-answer-invalid"}),
)
"""Causes that are one thing, seen at another moment."""


def told(seen: Seen, trouble: str = "") -> dict[str, Any]:
    """Return the verdict as plain data, but for the times. trouble: an error of the autopsy's own."""
    cause = seen.cause
    code = cause.code if cause is not None else ""
    agrees = _agrees(code, str(seen.failure.get("cause") or ""))
    confidence = _confidence(seen, code, agrees)
    unseen = [*seen.unseen, *(seen.place.unseen if seen.place is not None else ())]
    if _late(seen):
        unseen.append(f"how quick the server is: this process was itself late, by {duration(seen.lag * 1000)}")
    if trouble:
        unseen.insert(0, f"the autopsy met an error of its own: {trouble}")
    return {
        "server": clean(seen.server.url, 200),
        "verdict": clean(_headline(seen, cause, confidence), 500),
        "cause": code,
        "title": cause.title if cause is not None else "",
        "confidence": confidence,
        "agrees": agrees,
        "evidence": [clean(line, 400) for line in _evidence(seen, cause, agrees)][:_LINES],
        "actions": [{"who": one.who, "text": clean(one.text, 400), "command": clean(one.command)} for one in advice(seen)],
        "unseen": [clean(line) for line in unseen][:_ITEMS],
        "looks": [_plain(look.as_json()) for look in seen.looks[:_LOOKS]],
        "healthy": seen.healthy,
    }


def _confidence(seen: Seen, code: str, agrees: bool | None) -> str:
    """Return how sure the cause is: what a probe met is proved, unless it only had less patience than the gateway."""
    if not code:
        return "unknown"
    late = _late(seen)
    if late or (seen.way is not None and seen.way.impatient):
        return "likely" if agrees else "possible"
    return "proved"


def _late(seen: Seen) -> bool:
    """Whether a limit was passed that this process may have passed by being late itself."""
    attempt = seen.attempt
    limit = (attempt.facts or {}).get("limit_value", 0.0) if attempt is not None else 0.0
    return attempt is not None and attempt.signal in (s.DEADLINE, s.TOTAL_DEADLINE) and seen.lag > max(0.1, limit / 4)


def _agrees(code: str, before: str) -> bool | None:
    """Return whether traffic and autopsy saw the same; None where one of them saw nothing to compare."""
    if not code or not before:
        return None
    if code == before or any(code in one and before in one for one in _ALIKE):
        return True
    return None if before in _OTHERWISE else False


def _headline(seen: Seen, cause: Cause | None, confidence: str) -> str:
    """Return the verdict in one sentence."""
    if cause is None:
        return _works(seen) if seen.healthy else f"Nothing could be found out about {seen.name}."
    first = _sentence(seen, cause).rstrip(".")
    if confidence != "proved" and seen.way is not None and seen.way.impatient:
        first += ", which is as long as the autopsy waited"
    if more := _local(seen):
        first += f"; {more}"
    if seen.last_success > 0:
        first += f"; last success {_clock(seen.last_success, seen.at)}"
    return f"{first}."


def _works(seen: Seen) -> str:
    """Return that it works again, and what that says of the failure."""
    before = str(seen.failure.get("cause") or "")
    why = _OTHERWISE.get(before, "")
    if why:
        return f"{seen.name} answers a plain request; {before} cannot be provoked from here: {why}."
    known = catalogue().get(before)
    if known is not None and (known.fault in ("client", "gateway") or before in _DECIDED):
        return f"{seen.name} answers; {before} is not the server's doing."
    get = next((look.text for look in seen.looks if look.kind == "get"), "")
    return f"{seen.name} works again: {get}."


def _sentence(seen: Seen, cause: Cause) -> str:
    attempt = seen.attempt
    if attempt is None:
        return cause.title
    if attempt.cause is None:  # an answer that is not the expected one
        status = attempt.status
        checks = seen.upstream.health
        wanted = f", where the health check expects {', '.join(checks.status)}" if checks is not None and status < 500 else ""
        return f"{seen.name} answered {status} itself{wanted}."
    if error := (attempt.facts or {}).get("error") if cause.code == "gateway-misconfigured" else "":
        return f"The gateway's configuration cannot be used for {seen.name}: {error}."
    return explain_attempt(seen.exchange, attempt).sentence


_TELLING: Final = ("neighbour", "listening", "socket", "kernel", "process")
"""Topics of this machine's own view, the most telling for a headline first."""


def _local(seen: Seen) -> str:
    """Return what this machine shows beside a failure, for the headline: the most telling one."""
    for topic in _TELLING:
        for look in seen.here:
            telling = look.ok if topic == "neighbour" else look.ok is False or "instead" in look.facts
            if look.facts.get("topic") == topic and telling and not _SAME.match(look.text):
                return look.text
    return ""


_SAME: Final = re.compile(r"nothing listens on |.*: No such file")
"""What the catalogue's own sentences say already."""


def _evidence(seen: Seen, cause: Cause | None, agrees: bool | None) -> Iterable[str]:
    """Yield what was seen, the most telling first."""
    yield from (look.text for look in sorted(seen.here, key=lambda look: look.ok is None))
    attempt = seen.attempt
    if attempt is not None and attempt.cause is not None:
        told = explain_attempt(seen.exchange, attempt).evidence
        yield from (line for line in told if attempt.phase >= HEAD or not line.startswith("no byte of the response"))
    yield from _late_answer(seen)
    if cause is not None and seen.way is not None and seen.way.answer is not None and seen.way.answer.status >= 500:
        yield f"who wrote the answer: {seen.diagnosis.summary}"
    yield from (f"{look.label}: {look.text}" for look in seen.looks if look.kind != "here")
    if seen.way is not None and seen.way.before:
        yield f"the DNS answer changed: it was {', '.join(seen.way.before[:4])}, now it is {', '.join(seen.way.addresses[:4])}"
    yield from _traffic(seen, cause, agrees)
    yield f"last success {_clock(seen.last_success, seen.at)}" if seen.last_success > 0 else "when it last worked is not known"


def _late_answer(seen: Seen) -> Iterable[str]:
    """Yield what came after the gateway's own limit."""
    attempt, way = seen.attempt, seen.way
    if attempt is None or way is None or way.answer is None or attempt.signal not in (s.DEADLINE, s.TOTAL_DEADLINE):
        return
    limit = (attempt.facts or {}).get("limit", "")
    if limit and attempt.t_head > 0:
        took = duration((attempt.t_head - attempt.t_start) * 1000)
        yield f"it answered {way.answer.status} after {took} when it was waited for longer than {limit} allows"


def _traffic(seen: Seen, cause: Cause | None, agrees: bool | None) -> Iterable[str]:
    """Yield what traffic had seen, and whether it is the same."""
    before = str(seen.failure.get("cause") or "")
    sentence = str(seen.failure.get("sentence") or "")
    if not before and not sentence:
        return
    how = {True: "traffic saw the same", False: "traffic saw something else", None: "traffic saw"}[agrees]
    yield f"{how}: {clean(before, 60)}{': ' if before and sentence else ''}{clean(sentence, 240)}"
    if cause is None and (why := _OTHERWISE.get(before)):
        yield f"{before} cannot be provoked by an autopsy: {why}"


def _clock(when: float, now: float) -> str:
    """Return a moment as people say it: "14:02:11 (3 min before)"."""
    ago = max(0.0, now - when)
    form = "%H:%M:%S" if ago < _DAY else "%Y-%m-%d %H:%M:%S"
    try:
        text = time.strftime(form, time.localtime(when))
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"
    for size, name in ((86_400, "days"), (3600, "h"), (60, "min"), (1, "s")):
        if ago >= 2 * size or size == 1:
            return f"{text} ({ago / size:.0f} {name} before)"
    return text


def _plain(value: Any) -> Any:
    """Return JSON that a page can hold: every text one line of bounded printable ASCII, every list and table short."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key), 60): _plain(one) for key, one in list(value.items())[:_ITEMS]}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(one) for one in list(value)[:_ITEMS]]
    return value if value is None or isinstance(value, bool | int | float) else clean(str(value))
