"""Owns what logs come to: read files in, one report out. What is counted, what belongs together, what is wrong, what to do."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from ..diagnose.catalogue import catalogue
from ..diagnose.moments import moment, several_days, span
from ..diagnose.redact import clean
from .entry import Entry
from .finding import Finding, Line, line_of
from .keep import group_of
from .patterns import find, merged
from .reading import FileReading, Group, Reading
from .report import File, Report, Root, Row
from .roots import Cluster, Kind, clusters, most
from .sample import Sample, sample_of
from .scene import Scene, shape_of, whole_scene
from .scrub import scrub, shown_path
from .strays import Span
from .tally import OTHERS
from .telling import root_of
from .timeline import heat, latency, over_time
from .where import percent

TOP: Final = 10
_ROOTS: Final = 5
_EXAMINED: Final = 4
"""Roots whose failures are searched for patterns of their own."""
_FEWEST: Final = 8
_EVENTS: Final = 10


def analyse(reading: Reading, format: str = "", top: int = TOP, sample: Sample | None = None) -> Report:
    """Return what was read as a report. format: as it was given for reading. top: rows of each table.

    sample: healthy requests to compare with; None takes them from the files.
    """
    if sample is None:
        sample = sample_of(reading, format) if reading.failed else Sample()
    products = tuple(dict.fromkeys([file.product for file in reading.files if file.product]))
    whole = Scene(reading, sample, reading.failures, reading.groups, products=products)
    roots, findings = _explained(reading, sample, products)
    return Report(
        _outcome(reading), _verdict(reading, roots, whole.span), whole.span.first, whole.span.last,
        reading.tally.requests, reading.failed,
        _rate(reading.failed - reading.uncounted, reading.tally.requests),
        reading.lines, reading.unreadable, reading.joined, reading.sampled,
        tuple(map(_file, reading.files)), tuple(roots), tuple(findings), _causes(reading)[:top], _upstreams(reading, top),
        _paths(reading, sample, top), _clients(reading, sample, top), _statuses(reading), _methods(reading),
        _makers(reading), over_time(whole), heat(whole), latency(whole), _near_misses(reading), _events(reading),
        tuple(clean(note, 400) for note in (*reading.notes, *_astray(whole.span))),
    )  # fmt: skip


def _explained(reading: Reading, sample: Sample, products: tuple[str, ...]) -> tuple[list[Root], list[Finding]]:
    """Return the likely root causes and all patterns."""
    if not reading.failures:
        return [], []
    scene = whole_scene(reading, sample)
    scene.products = products
    found = clusters(reading)
    scenes = [
        Scene(reading, sample, one.entries, one.groups, one.kind.cause or one.kind.word, products) for one in found[:_ROOTS]
    ]
    own = [find(one) if one.failed >= _FEWEST else [] for one in scenes[:_EXAMINED]]
    common = find(scene) if len(found) > 1 else []
    roots = [
        root_of(cluster, part, own[at] if at < len(own) else (), reading.failed)
        for at, (cluster, part) in enumerate(zip(found, scenes, strict=False))
    ]
    return sorted(roots, key=_importance), merged(common, own)


def _importance(root: Root) -> tuple[bool, float]:
    """Return the order of roots: what only clients did comes last, the rest by the failures explained."""
    return (_by_client(root), -(root.count + root.follows))


def _by_client(root: Root) -> bool:
    cause = catalogue().get(root.cause)
    return cause is not None and cause.fault == "client"


def _outcome(reading: Reading) -> str:
    if reading.failed:
        return "failures"
    read = any(file.formats or (file.format and not file.error) for file in reading.files)  # followed: nothing came yet
    return "clean" if read else "nothing"


def _astray(times: Span) -> tuple[str, ...]:
    if not times.strays:
        return ()
    lines = f"{times.strays:,} lines are" if times.strays > 1 else "One line is"
    begin, end = (moment(one, True) for one in times.strayed)
    return (f"{lines} dated far from all others (in all {begin} to {end} UTC): a clock was wrong, or it is an old log's.",)


def _verdict(reading: Reading, roots: Sequence[Root], times: Span) -> str:
    if _outcome(reading) == "nothing":
        return "Nothing could be read."
    requests, failed = reading.tally.requests, reading.failed
    during = _during(times)
    if not failed:
        if not reading.lines:
            return "No line came."
        if not requests:
            return f"No failed request is told of in {reading.lines:,} lines{during}."
        return f"None of {requests:,} requests failed{during}."
    counted = failed - reading.uncounted
    if not requests:
        lines = f"{reading.lines:,} line{'s' if reading.lines != 1 else ''}"
        text = f"{failed:,} failed request{'s are' if failed != 1 else ' is'} told of in {lines}{during}"
    else:
        text = f"{counted:,} of {requests:,} requests failed ({percent(counted, requests)}){during}"
    if requests and counted < failed:
        text += f"; error logs alone tell of {reading.uncounted:,} more that failed"
    if not roots:
        return f"{text}."
    first = roots[0]
    part = percent(min(failed, first.count + first.follows), failed)
    rest = "" if len(roots) == 1 else f" ({part})"
    label = "Largest group" if first.confidence == "possible" and len(roots) > 1 else "Main cause" if rest else "Cause"
    clients = 0 if _by_client(first) else sum(one.count for one in roots if _by_client(one))
    if clients > first.count:
        text += f"; {percent(clients, failed)} of these were ended by clients"
        label = "The rest" if len(roots) == 2 else f"{label} of the rest"
    return f"{text}. {label}{rest}: {first.title}."


def _during(times: Span) -> str:
    if times.first < 0:
        return ""
    dated = several_days(times.first, times.last)
    begin, end = moment(times.first, True), moment(times.last, dated)
    if times.last - times.first < 1:
        return f", at {begin} UTC"
    return f", {begin} to {end} UTC ({span(times.last - times.first)})"


def _rate(failed: int, requests: int) -> float:
    return min(1.0, failed / requests) if requests else -1.0


def _file(file: FileReading) -> File:
    path = clean(file.path, 200)
    return File(
        path, file.title, file.format, file.product, file.kind, file.lines, file.failures, file.unreadable,
        tuple(Line(path, one.line, scrub(one.text, 160)) for one in file.examples), file.tally.first, file.tally.last, file.cut,
        clean(file.error, 300), tuple(clean(note, 300) for note in file.notes),
    )  # fmt: skip


def _summed(reading: Reading, key: Callable[[Group], str]) -> "Counter[str]":
    counts: Counter[str] = Counter()
    for group, number in reading.groups.items():
        counts[key(group)] += number
    return counts


def _causes(reading: Reading) -> tuple[Row, ...]:
    by_cause: dict[str, list[Entry]] = {}
    for entry in reading.failures:
        by_cause.setdefault(group_of(entry).cause, []).append(entry)
    rows = []
    for code, number in _summed(reading, lambda one: one.cause).most_common():
        cause = catalogue().get(code)
        title = cause.title if cause else "the log does not say why"
        cluster = Cluster(Kind(code, "", 0), by_cause.get(code, []))
        rows.append(Row(code, title, number, number / reading.failed, confidence=cluster.confidence if code else "",
                        made_by=cluster.made_by))  # fmt: skip
    return tuple(rows)


def _upstreams(reading: Reading, top: int) -> tuple[Row, ...]:
    counts = _summed(reading, lambda one: one.upstream)
    causes: dict[str, Counter[str]] = {}
    for group, number in reading.groups.items():
        causes.setdefault(group.upstream, Counter())[group.cause] += number
    asked = {name: server.requests for name, server in reading.tally.upstreams.items()}
    names = [name for name, _ in counts.most_common(top) if name]
    names += [name for name in sorted(asked, key=lambda one: -asked[one]) if name not in names and name != OTHERS]
    rows = []
    for name in names[:top]:
        number, requests = counts[name], max(asked.get(name, 0), counts[name] if asked.get(name) else 0)
        cause = causes[name].most_common(1)[0][0] if name in causes else ""
        share = number / reading.failed if reading.failed else 0.0
        rows.append(Row(clean(name, 120), "", number, share, requests, _rate(number, requests), cause=cause))
    return tuple(rows)


def _paths(reading: Reading, sample: Sample, top: int) -> tuple[Row, ...]:
    counts = _summed(reading, lambda one: shape_of(one.path))
    asked = Counter(shape_of(one.path) for one in sample.all) if sample.exact else Counter()
    return _rows(reading, counts, asked, top, lambda name: shown_path(name, 120))


def _clients(reading: Reading, sample: Sample, top: int) -> tuple[Row, ...]:
    counts = Counter(entry.client for entry in reading.failures)
    if reading.sampled:
        counts = Counter(dict(reading.tally.clients))
    asked = Counter(one.client for one in sample.all) if sample.exact else Counter()
    return _rows(reading, counts, asked, top, lambda name: clean(name, 80))


def _rows(
    reading: Reading, counts: "Counter[str]", asked: "Counter[str]", top: int, shown: Callable[[str], str]
) -> tuple[Row, ...]:
    rows = []
    for name, number in counts.most_common(top + 1):
        if name and reading.failed:
            requests = max(asked[name], number) if asked else 0
            rows.append(Row(shown(name), "", number, number / reading.failed, requests, _rate(number, requests)))
    return tuple(rows[:top])


def _statuses(reading: Reading) -> tuple[Row, ...]:
    counts = _summed(reading, lambda one: str(one.status))
    return tuple(
        Row(name, "no status" if name == "0" else "", number, number / reading.failed, reading.tally.statuses[int(name)])
        for name, number in counts.most_common()
    )


def _methods(reading: Reading) -> tuple[Row, ...]:
    counts = Counter(entry.method for entry in reading.failures if entry.method)
    total = len(reading.failures)
    return tuple(Row(clean(name, 20), "", number, number / total) for name, number in counts.most_common(TOP))


def _makers(reading: Reading) -> dict[str, int]:
    """Return who made the answers of status 5xx."""
    counts: Counter[str] = Counter()
    for group, number in reading.groups.items():
        if 500 <= group.status < 600:
            counts[group.made_by if group.made_by in ("gateway", "upstream") else ""] += number
    return {name: counts[name] for name in ("gateway", "upstream", "")}


def _near_misses(reading: Reading) -> tuple[Row, ...]:
    """Return failed tries of requests that did not fail: what an error log tells beyond the failures."""
    mine = [one for one in reading.others if one.causes and one.path and one.status != 499]
    counts = Counter(group_of(one).cause or one.causes[0] for one in mine)
    titles = {code: cause.title for code, cause in catalogue().items()}
    return tuple(Row(code, titles.get(code, ""), number, number / len(mine)) for code, number in counts.most_common())


def _events(reading: Reading) -> tuple[Line, ...]:
    """Return lines of error logs that speak of the gateway itself."""
    told = [one for one in reading.others if not one.path and one.reason]
    chosen: dict[str, Entry] = {}
    for one in told:
        chosen.setdefault(most(one.causes[:1]) or one.reason[:40], one)
    return tuple(line_of(one) for one in list(chosen.values())[:_EVENTS])
