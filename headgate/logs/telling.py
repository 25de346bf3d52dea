"""Owns how a root cause is told: what, how many, where and since when, how sure, what shows it, and what to do about it."""

from collections import Counter
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Any, Final

from ..diagnose.advice import who_can_act
from ..diagnose.catalogue import catalogue
from ..diagnose.meanings import Meaning, of_code, of_sentence
from ..diagnose.moments import moment, several_days, span
from ..diagnose.products import products
from ..diagnose.redact import clean
from ..diagnose.sentence import sentence
from ..model.diagnosis import Recognised, Suspect
from .entry import Entry
from .finding import Finding, lines_of
from .join import family
from .remedies import remedies
from .report import Root, Row
from .roots import Cluster, most
from .scene import Scene, shape_of
from .scrub import scrub, shown_path
from .where import percent

_MOST_SERVERS: Final = 5
_FINDINGS: Final = 4
_SINGLE: Final = 0.95


def root_of(cluster: Cluster, scene: Scene, findings: Sequence[Finding], failed: int) -> Root:
    """Return a root as it is told. scene: of its failures; failed: all failures that were read."""
    kind, entries = cluster.kind, cluster.entries
    servers = _servers(cluster, scene)
    meaning = _meaning(cluster)
    codes = _codes(cluster)
    times = [one.time for one in entries if scene.span.first <= one.time < scene.span.last + 60]
    times = times or [one.time for one in entries if one.time >= 0]
    begin, end = min(times, default=-1.0), max(times, default=-1.0)
    suspects = [Suspect(code, cluster.confidence if at == 0 else "possible") for at, code in enumerate(codes)]
    generator = _generator(cluster.product)
    address = servers[0].name if servers and servers[0].share >= _SINGLE else ""
    actions = remedies(cluster.product, codes[0] if codes else "", meaning, address)
    cause = catalogue().get(kind.cause)
    status = int(most(str(entry.status) for entry in entries) or 0)
    summary = (
        _what(cluster, servers, meaning, status), _where(cluster, scene, servers, begin, end, failed), _how_sure(cluster, codes)
    )  # fmt: skip
    return Root(
        kind.cause, scrub(kind.word, 60), _title(cluster, meaning, status), status, cluster.confidence, cluster.made_by,
        cluster.product, cluster.count, cluster.count / failed if failed else 0.0, cluster.follows,
        servers[:_MOST_SERVERS], begin, end, summary, tuple(code for code in codes if code != kind.cause),
        meaning.tell if meaning and len(codes) > 1 else "",
        tuple(findings[:_FINDINGS]), lines_of(_telling(entries)), actions,
        who_can_act(generator, suspects), cause.sections.get("Operator", "") if cause else "",
        cause.sections.get("Administrator", "") if cause else "",
    )  # fmt: skip


def _generator(product: str) -> Recognised | None:
    """Return the product as one that was recognised: its log says so."""
    one = products().get(product)
    if one is None:
        return None
    return Recognised(one.id, one.name, "certain", (), True)


def _codes(cluster: Cluster) -> list[str]:
    """Return the causes that the failures allow, the likeliest first, those of most failures."""
    counts: Counter[str] = Counter()
    for causes, number in Counter(entry.causes for entry in cluster.entries).items():
        for rank, code in enumerate(causes):
            counts[code] += number * max(1, 40 - rank)
    codes = [code for code, _ in counts.most_common() if code in catalogue()]
    if cluster.kind.cause in codes:
        codes.remove(cluster.kind.cause)
    return ([cluster.kind.cause] if cluster.kind.cause in catalogue() else []) + codes


def _servers(cluster: Cluster, scene: Scene) -> tuple[Row, ...]:
    counts: Counter[str] = Counter()
    for group, number in cluster.groups.items():
        counts[group.upstream] += number
    total = sum(counts.values())
    rows = []
    for name, number in counts.most_common():
        server = scene.reading.tally.upstreams.get(name)
        requests = server.requests if server else 0
        if name:
            rate = min(1.0, number / requests) if requests else -1.0
            rows.append(Row(clean(name, 120), "", number, number / total, requests, rate))
    return tuple(rows)


def _meaning(cluster: Cluster) -> Meaning | None:
    """Return what the product's dictionary says of the word or sentence that most failures have."""
    reason = most(entry.reason for entry in cluster.entries)
    if not reason:
        return None
    for meaning in (*of_sentence(reason, cluster.product), *of_code(reason)):
        mine = family(meaning.product) == family(cluster.product) or not meaning.product
        named = not cluster.kind.named or any(one.cause == cluster.kind.cause for one in meaning.suspects)
        if mine and named and meaning.product:
            return meaning
    return None


def _title(cluster: Cluster, meaning: Meaning | None, status: int) -> str:
    cause = catalogue().get(cluster.kind.cause)
    if cause is not None:
        return cause.title
    name = _name(cluster.product)
    if cluster.kind.word:
        word = scrub(cluster.kind.word, 80)
        said = f'{name} says "{word}"' if " " in word else f"{name} says {word}"
        first = meaning.means.partition(". ")[0].partition(";")[0].rstrip(".") if meaning else ""
        return f"{said}: {first[:1].lower()}{first[1:]}" if first and " " not in word else said
    return f"{status or 'No status'}, and {name}'s log does not say why"


def _name(product: str) -> str:
    known = products().get(product)
    return known.name if known else product or "the gateway"


def _what(cluster: Cluster, servers: Sequence[Row], meaning: Meaning | None, status: int) -> str:
    """Return what happened, with the server's address where there is but one."""
    cause = catalogue().get(cluster.kind.cause)
    if cause is None:
        if meaning is not None:
            return meaning.means
        return f"{_name(cluster.product)} answered {status or 'nothing'}; its access log alone does not tell the cause."
    known: dict[str, Any] = {}
    if servers and servers[0].share >= _SINGLE:
        known["address"] = servers[0].name
    elif len(servers) > 1:
        known["address"] = "One or another of the servers"
    groups = [entry.cluster for entry in cluster.entries if entry.cluster]
    if groups:
        known["upstream"] = clean(most(groups), 80)
    if took := _usual(cluster):
        known |= {"elapsed_ms": 1000 * took, "silent_ms": 1000 * took}
    return sentence(cause, known)


def _usual(cluster: Cluster) -> float:
    """Return how long these failures took, where that is about the same for most; else 0."""
    times = [entry.seconds for entry in cluster.entries if entry.seconds >= 0]
    if len(times) < 2:
        return times[0] if times else 0.0
    low, *_, high = quantiles(times, n=10)
    middle = median(times)
    return middle if high - low <= 0.1 * middle + 0.002 and middle > 0 else 0.0


def _where(cluster: Cluster, scene: Scene, servers: Sequence[Row], begin: float, end: float, failed: int) -> str:
    """Return how many, where, and when."""
    dated = several_days(*scene.span[:2])
    text = f"{cluster.count:,} request{'s' if cluster.count != 1 else ''} ({percent(cluster.count, failed)} of the failures)"
    if begin >= 0:
        text += f", at {moment(begin, dated)} UTC" if end - begin < 1 else (
            f", from {moment(begin, dated)} to {moment(end, dated)} UTC ({span(end - begin)})"
        )  # fmt: skip
    if len(servers) > 1:
        text += f"; {_spread(servers)}"
    elif servers:
        text += f"; at {servers[0].name}"
    paths = {shape_of(entry.path) for entry in cluster.entries}
    if len(paths) == 1 and (path := paths.pop()):
        text += f"; all for {shown_path(path, 80)}"
    if cluster.follows:
        were = "was" if cluster.follows == 1 else "were"
        text += f". {cluster.follows:,} more {were} answered without asking any server, because of this: none was left"
    return f"{text}."


def _spread(servers: Sequence[Row]) -> str:
    """Return on how many servers, and whether alike."""
    rates = [one.rate for one in servers if one.rate >= 0]
    if len(rates) == len(servers) >= 2 and min(one.count for one in servers) >= 5 and max(rates) < 2 * min(rates):
        return f"at all of {len(servers)} servers alike: look at what they share"
    named = ", ".join(f"{one.name} ({one.count:,})" for one in servers[:3])
    return f"at {named}" + (f" and {len(servers) - 3} more" if len(servers) > 3 else "")


def _how_sure(cluster: Cluster, codes: Sequence[str]) -> str:
    """Return what the claim rests on."""
    reason = most(entry.reason for entry in cluster.entries)
    said = f'"{scrub(reason, 110)}"' if reason else ""
    source = f"{_name(cluster.product)}'s log"
    if cluster.confidence == "proved":
        return f"Proved: {source} says {said}." if said else f"Proved by {source}."
    if cluster.confidence == "likely":
        return f"Likely: {source} has {said}." if said else f"Likely, by status and numbers in {source}."
    if len(codes) > 1:
        few = codes if len(codes) <= 5 else codes[:4]
        names = ", ".join(few) if len(few) < len(codes) else f"{', '.join(few[:-1])} or {few[-1]}"
        more = f" or one of {len(codes) - 4} others" if len(few) < len(codes) else ""
        return f"Not proved: {said or 'the status'} in {source} may stand for {names}{more}."
    return f"Possible: {source} has no more than {said or 'the status'}."


def _telling(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries whose lines show most: those that tell the cause, if any."""
    sure = [entry for entry in entries if entry.confidence in ("proved", "likely")]
    return sure or list(entries)
