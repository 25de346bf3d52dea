"""Owns what numbers prove about answers: timers that end them, sizes at which they are cut, limits, and late ones."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ..config.units import show_duration, show_size
from ..diagnose.timers import timers_at
from .advice import FEW, MOST, Case, Figures, Finding, above, gathered, of, time
from .amounts import quantile, slower

_ENDED: Final = ("closed-before-answer", "reset-before-answer", "head-reset", "head-truncated", "upstream-answered-error")
_CUT: Final = ("body-truncated", "body-reset", "chunked-truncated")
_HEAD_LIMITS: Final = (
    ("header-section-too-large", "response_header_bytes"),
    ("header-line-too-large", "response_header_line_bytes"),
    ("too-many-headers", "response_header_count"),
)
"""Causes, and the limit that each is about."""
_SHORTEST_TIMER: Final = 1.0
"""Seconds below which nobody's timer is looked for."""
_REQUESTS: Final = 200
"""Requests that have to be there to speak of one in a hundred."""


def server_timer(case: Case) -> Iterator[Finding]:
    """Find answers that break off, all of them after the same time."""
    for upstream in case.names():
        found = case.figures(upstream, _ENDED, "elapsed")
        after, hits = _together(found)
        if hits:
            yield Finding("server-timer", _timer(upstream, found, after, hits), found.of)


def body_cut_at_time(case: Case) -> Iterator[Finding]:
    """Find bodies that break off, all of them after the same time."""
    for upstream in case.names():
        found = case.figures(upstream, _CUT, "elapsed")
        after, hits = _together(found)
        if hits and not _same_size(case.figures(upstream, _CUT, "body")):
            numbers = _timer(upstream, found, after, hits)
            yield Finding("body-cut-at-time", {**numbers, "whose": f": {numbers['whose']}"}, found.of)


def _together(found: Figures) -> tuple[float, int]:
    """Return after how many seconds nearly all of them happened, and how many: (0, 0) where they did not."""
    after, hits = gathered(found.values)
    together = len(found.values) >= FEW and hits >= MOST * len(found.values) and after >= _SHORTEST_TIMER
    return (after, hits) if together and (timers_at(after) or len(found.values) >= 2 * FEW) else (0.0, 0)


def _timer(upstream: str, found: Figures, after: float, hits: int) -> dict[str, object]:
    known = timers_at(after)
    whose = known[0].name if known and not known[0].product else f"as is the default of {known[0].name}" if known else "a timer"
    return {"upstream": upstream, "hits": f"{hits:,}", "of": of(found), "after": time(after), "whose": whose}


def _same_size(found: Figures) -> tuple[float, int] | None:
    """Return the size that nearly all of them have, and how many."""
    if len(found.values) < FEW:
        return None
    size, hits = Counter(found.values).most_common(1)[0]
    return (size, hits) if size > 0 and hits >= MOST * len(found.values) else None


def body_cut_at_size(case: Case) -> Iterator[Finding]:
    """Find bodies that break off, all of them after the same number of bytes."""
    for upstream in case.names():
        found = case.figures(upstream, _CUT, "body")
        if (same := _same_size(found)) is None:
            continue
        size, hits = int(same[0]), same[1]
        short = show_size(size)
        yield Finding("body-cut-at-size", {
            "upstream": upstream, "hits": f"{hits:,}", "of": of(found), "size": f"{size:,}",
            "nice": f" ({short})" if short != str(size) else "",
        }, found.of)  # fmt: skip


def head_timeout(case: Case) -> Iterator[Finding]:
    """Find timeouts for answers that are much longer, or a little shorter, than answers take."""
    for upstream in case.names():
        found = case.figures(upstream, ("response-timeout", "head-stalled"), "limit timeouts.head")
        spread, settings = case.of_upstream(upstream, "spread"), case.settings(upstream)
        if len(found.values) < FEW or sum(spread) < _REQUESTS or settings is None:
            continue
        now = settings.timeouts.head
        answered = sum(spread) - found.of
        near = slower(spread, now / 2) - found.of
        usual = quantile(spread, 0.99 * max(0.0, answered) / sum(spread))
        if near >= max(FEW, 0.2 * found.of):
            yield Finding("head-timeout-short", {
                "upstream": upstream, "of": f"{found.of:,}", "now": show_duration(now), "near": f"{near:,.0f}",
                "requests": f"{sum(spread):,}", "half": show_duration(now / 2), "to": show_duration(above(2 * now)),
            }, found.of)  # fmt: skip
        elif usual is not None and (to := above(max(1.0, 4 * usual))) < now:
            yield Finding("head-timeout-long", {
                "upstream": upstream, "of": f"{found.of:,}", "now": show_duration(now), "usual": time(usual),
                "to": show_duration(to),
            }, found.of)  # fmt: skip


def response_head_limit(case: Case) -> Iterator[Finding]:
    """Find limits on heads of answers that real answers reach."""
    for upstream in case.names():
        for cause, limit in _HEAD_LIMITS:
            found = case.figures(upstream, (cause,), "size")
            if len(found.values) < FEW or case.config is None:
                continue
            now, seen = int(getattr(case.config.gateway.limits, limit)), int(max(found.values))
            if seen < now:  # it was raised since
                continue
            show = str if limit.endswith("count") else show_size
            to = 2 * seen if limit.endswith("count") else 1 << (2 * seen - 1).bit_length()
            yield Finding("response-head-limit", {
                "upstream": upstream, "of": f"{found.of:,}", "limit": limit, "now": show(now), "seen": f"{seen:,}",
                "to": str(to) if limit.endswith("count") else f'"{show(to)}"',
            }, found.of)  # fmt: skip


def hedging(case: Case) -> Iterator[Finding]:
    """Find upstreams with a long tail that no single server makes."""
    for upstream in case.names():
        spread, settings = case.of_upstream(upstream, "spread"), case.settings(upstream)
        timed, *spans = case.of_upstream(upstream, "spans") or [0.0]
        if settings is None or len(settings.servers) < 2 or settings.retry.hedge_after is not None or sum(spread) < _REQUESTS:
            continue
        middle, late, most = (quantile(spread, share) or 0.0 for share in (0.5, 0.99, 0.95))
        waiting = spans[5] >= 0.5 * sum(spans) if timed else False  # the time goes into waiting, not into bodies
        if waiting and late >= 0.5 and late >= 10 * middle and not _uneven(case, upstream):
            yield Finding("hedging", {
                "upstream": upstream, "requests": f"{sum(spread):,}", "middle": time(middle), "late": time(late),
                "to": show_duration(above(most)) if most > 0.25 else f"{1000 * most:.0f}ms",
            }, 0.01 * sum(spread))  # fmt: skip


def _uneven(case: Case, upstream: str) -> bool:
    """Tell whether some server is much slower than another."""
    bodies = [body for (name, _), body in case.servers.items() if name == upstream and body.get("timed", 0) >= 10]
    paces = [body["seconds"] / body["timed"] for body in bodies]
    return len(paces) < 2 or max(paces) > 1.5 * min(paces)


RULES: Final = (server_timer, body_cut_at_time, body_cut_at_size, head_timeout, response_head_limit, hedging)
