"""Owns the verdict on a site from all the looks at it: where the way ends, who wrote the answer, and what the variations prove.

The order is that of the way itself: no network, no name, no connection, no TLS, no answer, an error, an answer. The first that
fails is the verdict; what lies behind it was not reached.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..model.cause import Cause
from ..model.diagnosis import CONFIDENCE, Diagnosis, Evidence, Suspect
from .advice import actions_for, split_for, who_can_act
from .captured import Captured
from .catalogue import catalogue
from .clues import Clue, Looks, clues, failed, grouped, worked
from .looks import Asked, Look
from .pages import judge_answer, retry_after
from .redact import redact_target

_SHOWN: Final = 24
"""Most lines of evidence in a verdict."""
_FROM_OUTSIDE: Final = (
    "which upstream address the gateway tried, and with which error",
    "whether the program crashed or was killed for memory",
    "limits of pools and queues, SELinux and firewall rules behind the gateway",
)
_PROBING: Final = "asking may change what is asked: it wakes sleeping platforms and fills caches"


def judge(asked: Asked, looks: Sequence[Look]) -> Diagnosis:
    """Return the verdict. Works with any part of the looks; without any the outcome is "unknown"."""
    seen = grouped(looks)
    base = _unreachable(asked, seen) or _answered(asked, seen)
    found = list(clues(seen))
    suspects = _weigh(base.suspects, found, base.outcome)
    outcome = _outcome(base.outcome, seen)
    evidence = _evidence(base, found, seen)
    settled = bool(suspects) and suspects[0].confidence == "proved"
    return replace(
        base,
        subject=redact_target(asked.url),
        outcome=outcome,
        summary=_summary(base, outcome, suspects, found),
        suspects=suspects,
        evidence=evidence[:_SHOWN],
        who=who_can_act(base.generator, suspects) if suspects else base.who,
        actions=actions_for(base.generator, suspects, facts=_facts(asked, seen)) if suspects else base.actions,
        split="" if settled else split_for(base.generator, suspects),
        unknowable=_unknowable(outcome, settled, seen),
    )


def _unreachable(asked: Asked, seen: Looks) -> Diagnosis | None:
    """Return the verdict where no HTTP answer could be had; None where there was one."""
    if any(one.captured is not None for one in (*seen.of("get"), *seen.of("via-proxy"), *seen.of("repeat"))) or asked.paste:
        return None
    if any(one.facts.get("no_network") for one in seen.all):
        return _told(asked, seen, catalogue()["no-network"], "this machine has no way to the Internet", ("you", "network"))
    for kind, hop in (
        ("dns", ("you", "DNS")),
        ("tcp", ("you", _host(asked))),
        ("tls", ("you", _host(asked))),
        ("get", ("you", _host(asked))),
    ):
        tried = [one for one in seen.of(kind) if one.ok is not None]
        if kind == "dns":
            tried = [one for one in tried if one.facts.get("resolver") == "system"] or tried
        bad = [one for one in tried if failed(one)]
        if tried and len(bad) == len(tried) and (cause := _cause(bad)) is not None:
            place = _redirected(bad[0])
            return _told(asked, seen, cause, bad[0].text, ("you", place) if place else hop)
    return None


def _cause(bad: Sequence[Look]) -> Cause | None:
    for one in bad:
        if one.facts.get("checking_disabled_ok"):
            return catalogue()["dns-validation-failed"]
        if one.attempt is not None and one.attempt.cause is not None:
            return one.attempt.cause
    return None


def _told(asked: Asked, seen: Looks, cause: Cause, text: str, hop: tuple[str, str]) -> Diagnosis:
    suspect = Suspect(cause.code, "proved", (text,))
    where = _host(asked) if hop[1] in (_host(asked), "DNS", "network") else f"{hop[1]}, to which {_host(asked)} redirects"
    return Diagnosis(
        subject=asked.url, outcome="unreachable", summary=f"{cause.title}: {where}.", chain=hop, failing=hop,
        suspects=(suspect,), who=who_can_act(None, (suspect,)), actions=actions_for(None, (suspect,), facts=_facts(asked, seen)),
    )  # fmt: skip


def _answered(asked: Asked, seen: Looks) -> Diagnosis:
    """Return the verdict on the answer that failed, or on the one that came."""
    answer = _answer(asked, seen)
    if answer is None:
        if not asked.url:
            return Diagnosis("this machine", "unknown", "No address was named to be judged: this is what this machine shows.")
        return Diagnosis(asked.url, "unknown", "Nothing could be judged: no look was finished.")
    base = judge_answer(answer, asked.url)
    if (loop := _loop(seen)) is not None:
        circle = bool(loop.facts.get("circle"))
        suspect = Suspect("redirect-loop", "proved" if circle else "likely", (loop.text,))
        title = catalogue()["redirect-loop"].title if circle else "The site redirects without end"
        return replace(base, outcome="failing", suspects=(suspect,), summary=f"{title}: {loop.text}.")
    cut = next((one for one in seen.of("get") if failed(one) and one.attempt is not None and one.attempt.cause is not None), None)
    if cut is not None and cut.attempt is not None and cut.attempt.cause is not None and answer.status < 500:
        suspect = Suspect(cut.attempt.cause.code, "proved", (cut.text,))
        return replace(base, outcome="failing", suspects=(suspect,), summary=f"{cut.attempt.cause.title}: {cut.text}.")
    return base


def _loop(seen: Looks) -> Look | None:
    return next((one for one in seen.of("get") if one.facts.get("redirect_loop")), None)


def _answer(asked: Asked, seen: Looks) -> Captured | None:
    """Return the answer to judge: a failed one first, as the user sees it (through his proxy, or his paste), else any."""
    order = (*seen.of("get"), *seen.of("repeat"), *seen.of("via-proxy"), *seen.of("no-cache"), *seen.of("kept"))
    bad = next((one.captured for one in order if failed(one) and one.captured is not None), None)
    good = next((one.captured for one in order if one.captured is not None), None)
    if bad is None and asked.paste is not None and (good is None or good.status < 500):
        return asked.paste
    return bad or good


def _weigh(base: tuple[Suspect, ...], found: Sequence[Clue], outcome: str) -> tuple[Suspect, ...]:
    """Put first what clues speak for: a clue's cause counts where the author of the page can mean it, or the clue forces it."""
    ranked = list(base)
    if base and base[0].confidence == "proved" and outcome == "unreachable":
        return base
    for clue in reversed(found):
        codes = {one.cause for one in ranked}
        chosen = [code for code in clue.causes if clue.forces or code in codes or not codes]
        if not chosen or (ranked and ranked[0].confidence == "proved" and clue.confidence != "proved"):
            continue
        grade = clue.confidence if len(chosen) == 1 or clue.confidence == "possible" else "possible"
        grade = clue.confidence if clue.confidence == "likely" and chosen else grade
        moved = [Suspect(code, grade if number == 0 else "possible", (clue.text,)) for number, code in enumerate(chosen)]
        kept = [one for one in ranked if one.cause not in chosen]
        if clue.confidence == "proved":
            kept = [one for one in kept if one.confidence == "proved" and clue.source == "upstream"]
        ranked = moved + [_lowered(one) for one in kept]
    return tuple(ranked)


def _lowered(suspect: Suspect) -> Suspect:
    """Return a suspect behind a better one: no longer likely."""
    if suspect.confidence != "likely":
        return suspect
    return replace(suspect, confidence=CONFIDENCE[-1])


def _outcome(base: str, seen: Looks) -> str:
    """Return the outcome with the other tries in mind. That a server closes a kept connection is its right: clients ask again."""
    if _loop(seen) is not None:
        return base  # each step of it worked
    kept = [one for one in seen.of("kept") if not _closed_on_reuse(one)]
    same = [one for one in (*seen.of("get"), *seen.of("repeat"), *kept, *seen.of("via-proxy")) if one.ok is not None]
    if same and any(map(worked, same)) and any(map(failed, same)):
        return "partly"
    if same and all(map(worked, same)):
        fresh = seen.first("no-cache")
        return "partly" if failed(fresh) or any(failed(one) for one in seen.of("upstream")) else "up"
    return base


def _closed_on_reuse(look: Look) -> bool:
    attempt = look.attempt
    return attempt is not None and attempt.cause is not None and attempt.cause.code == "closed-on-reuse"


def _summary(base: Diagnosis, outcome: str, suspects: Sequence[Suspect], found: Sequence[Clue]) -> str:
    if outcome == "up":
        now = f"It answers now ({base.status})" if base.status and base.status < 500 else "It answers now"
        return (
            f"{now}. What failed before was temporary, or concerns only some visitors."
            if base.outcome == "failing"
            else f"{now}."
        )
    first = base.summary
    if suspects and (
        not base.suspects or suspects[0].cause != base.suspects[0].cause or suspects[0].confidence != base.suspects[0].confidence
    ):
        sure = {"proved": "Proved", "likely": "Most likely", "possible": "Possibly"}[suspects[0].confidence]
        title = catalogue()[suspects[0].cause].title
        first = f"{base.summary.split('. It can stand')[0].rstrip('.')}. {sure}: {title[:1].lower() + title[1:]}."
    if outcome == "partly":
        first += " It fails only now and then, or in part."
    return first


def _evidence(base: Diagnosis, found: Sequence[Clue], seen: Looks) -> tuple[Evidence, ...]:
    """Return what was seen: clues first, then the answer's own marks, then each step of the way."""
    steps = [
        Evidence(f"{one.label}: {one.text}" if one.text else one.label, one.kind, one.ok)
        for one in seen.all
        if one.ok is not None
    ]
    notes = [
        Evidence(f"{one.label}: {one.text}", one.kind, None)
        for one in seen.all
        if one.ok is None and one.kind in ("here", "proxy", "vantage")
    ]
    return (*(Evidence(one.text, one.source) for one in found), *base.evidence, *steps, *notes)


def _unknowable(outcome: str, settled: bool, seen: Looks) -> tuple[str, ...]:
    if outcome in ("up", "unreachable") or settled or seen.of("upstream"):
        return () if outcome != "up" or not seen.of("get") else (_PROBING,)
    return (*_FROM_OUTSIDE, _PROBING)


def _host(asked: Asked) -> str:
    return _authority(asked.url)


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition("?")[0]


def _redirected(look: Look) -> str:
    """Return the host to which redirects had led when a look was made, "" where there were none."""
    steps = look.facts.get("redirected") or ()
    return _authority(str(steps[-1])) if steps else ""


def _facts(asked: Asked, seen: Looks) -> dict[str, str]:
    """Return address and name of this case, for the commands."""
    host = _host(asked)
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if any(one.captured is not None for one in seen.of("get")) and not seen.of("upstream"):
        return {}  # what failed lies behind the gateway, at an address that is not known
    away = next((one for one in seen.of("get") if failed(one) and _redirected(one)), None)
    if away is not None and away.attempt is not None and away.attempt.address:
        return {"address": away.attempt.address}
    bad = next((one for one in seen.of("upstream") if failed(one) and one.attempt is not None), None)
    if bad is not None and bad.attempt is not None and bad.attempt.address:
        return {"address": bad.attempt.address}
    tried = next((one for one in seen.of("tcp") if one.facts.get("address")), None)
    address = str(tried.facts["address"]) if tried else ""
    return {"host": name.strip("[]")} | ({"address": address} if ":" in address else {})


__all__ = ["judge", "retry_after"]
