"""Owns how one line of a log is told: the product's columns are read, and what they say becomes a meaning."""

from dataclasses import replace

from ..diagnose.meanings import Meaning, of_code, of_sentence
from ..diagnose.products import products
from ..diagnose.redact import clean
from ..model.diagnosis import Suspect
from .entry import Entry
from .recognise import entry_of_line
from .scrub import scrub, shown_path

_MAKERS = {"gateway": "the gateway itself made it", "upstream": "the server behind it made it", "client": "the client left"}


def meanings_of_line(line: str) -> list[Meaning]:
    """Return what a line of a log means, the line as a whole first, then its codes and sentences; empty when no format fits."""
    entry = entry_of_line(line)
    if entry is None:
        return []
    words = (
        [one for one in (*of_code(entry.reason), *of_sentence(line, entry.product)) if _of(one, entry)] if entry.reason else []
    )
    words = words or of_sentence(line, entry.product)
    first = words[0] if words else None
    same = first is not None and {one.cause for one in first.suspects} == set(entry.causes)
    return [_whole(entry, first), *_unlike(words[1:] if same else words)]


def _of(meaning: Meaning, entry: Entry) -> bool:
    return meaning.product in ("", entry.product) or entry.product in ("istio", "ingress-nginx", "openresty")


def _unlike(words: list[Meaning]) -> list[Meaning]:
    """Return each meaning once."""
    return list({(one.product, one.owner, one.word.lower()): one for one in words}.values())[:3]


def _whole(entry: Entry, first: Meaning | None) -> Meaning:
    """Return the line as one meaning: what happened to which request, and the causes its columns allow."""
    product = products().get(entry.product)
    name = product.name if product else entry.product
    kind = "error log" if entry.error_log else "access log"
    evidence = (scrub(entry.reason),) if entry.reason else ()
    suspects = tuple(Suspect(code, entry.confidence or "possible", evidence) for code in entry.causes)
    facts = {
        "address": clean(entry.upstream, 120), "cluster": clean(entry.cluster, 120), "client": clean(entry.client, 80),
        "path": shown_path(entry.path, 200), "host": clean(entry.host, 120),
    }  # fmt: skip
    made = Meaning(
        word=scrub(entry.reason or f"status {entry.status}", 120), product=entry.product, owner=f"a line of {name}'s {kind}",
        name="", means=f"{_means(entry)} {first.means if first else ''}".strip(), suspects=suspects,
        status=(entry.status,) if entry.status else (),
        facts={key: value for key, value in facts.items() if value},
    )  # fmt: skip
    if first is None:
        return made
    return replace(
        made, tell=first.tell, check=first.check, fix=first.fix, where=first.where, source=first.source, evidence=first.evidence
    )


def _means(entry: Entry) -> str:
    """Return the line's facts as a sentence."""
    parts = []
    if entry.method or entry.path:
        parts.append(f"{clean(entry.method, 20) or 'A request'} {shown_path(entry.path, 200)}".strip())
    if entry.status:
        parts.append(f"was answered {entry.status}" if parts else f"Answered {entry.status}")
    if entry.seconds >= 0:
        parts.append(f"after {entry.seconds:.3f} s")
    if entry.upstream:
        parts.append(f"by way of {clean(entry.upstream, 120)}")
    if entry.tries > 1:
        parts.append(f"in {entry.tries} tries")
    said = " ".join(parts) or "It tells of no request"
    maker = _MAKERS.get(entry.made_by)
    ok = not entry.failed and not entry.error_log and not entry.causes
    return f"{said}{f'; {maker}' if maker and not ok else ''}{'; nothing failed' if ok else ''}."
