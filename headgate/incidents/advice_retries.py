"""Owns what numbers prove about second tries: which were not made, and would have helped."""

from collections.abc import Iterator, Mapping
from typing import Final

from ..config.units import show_duration, show_size
from ..diagnose.catalogue import catalogue
from .advice import FEW, Case, Finding, above, time
from .grouping import LIVENESS
from .lifecycle import OPEN

_HELPED: Final = 0.5
"""Share of the repeated tries that has to have been saved."""
_MOMENT: Final = 30.0
"""Seconds for which requests may be held."""
_MORE: Final = 5


def budget_used_up(case: Case) -> Iterator[Finding]:
    """Find upstreams whose retries ran out, though most of them helped."""
    for upstream in case.names():
        refused = sum(case.verdicts(upstream).get("not-budget", {}).values())
        tried = _tried(case, upstream)
        saved = _saved(case, upstream)
        settings = case.settings(upstream)
        if refused >= _MORE and settings is not None and saved >= _HELPED * tried > 0:
            now = settings.retry.budget.share
            yield Finding("retry-budget-used-up", {
                "upstream": upstream, "of": f"{refused:,}", "saved": f"{min(saved, tried):,}", "tried": f"{tried:,}",
                "now": f"{now:g}", "to": f"{min(1.0, 2 * now):g}",
            }, refused)  # fmt: skip


def _tried(case: Case, upstream: str) -> int:
    return sum(sum(of.values()) for verdict, of in case.verdicts(upstream).items() if verdict.startswith("again"))


def _saved(case: Case, upstream: str) -> int:
    return sum(sum(body.get("rescued", {}).values()) for (name, _), body in case.pairs.items() if name == upstream)


def retries_off(case: Case) -> Iterator[Finding]:
    """Find failures that could have been repeated, had more tries been allowed."""
    for upstream in case.names():
        settings = case.settings(upstream)
        safe = _repeatable(case.verdicts(upstream).get("not-attempts", {}))
        if settings is not None and settings.retry.attempts < 3 and safe >= FEW and len(settings.servers) > 1:
            yield Finding("retries-off", {
                "upstream": upstream, "of": f"{safe:,}", "now": settings.retry.attempts, "to": settings.retry.attempts + 1,
            }, safe)  # fmt: skip


def _repeatable(counts: Mapping[str, int]) -> int:
    """Return how many of these failures happened before anything was sent."""
    causes = catalogue()
    return sum(count for cause, count in counts.items() if cause in causes and causes[cause].retry == "unsent")


def body_too_large(case: Case) -> Iterator[Finding]:
    """Find failures that were not repeated because of the size of the request's body."""
    for upstream in case.names():
        settings = case.settings(upstream)
        count = sum(case.verdicts(upstream).get("not-body", {}).values())
        if count >= FEW and settings is not None:
            now = settings.retry.body_bytes
            yield Finding("retry-body-too-large", {
                "upstream": upstream, "of": f"{count:,}", "now": show_size(now), "to": show_size(max(65_536, 4 * now)),
            }, count)  # fmt: skip


def nowhere_to_turn(case: Case) -> Iterator[Finding]:
    """Find upstreams of one server that could not be reached: for moments, which requests can be held for, or longer."""
    for upstream in case.names():
        settings = case.settings(upstream)
        count = _repeatable(case.verdicts(upstream).get("not-elsewhere", {}))
        away = [one for one in case.incidents if one.upstream == upstream and LIVENESS & {cause for cause, _ in one.causes}]
        if settings is None or len(settings.servers) != 1 or count < FEW or not away:
            continue
        longest = max(one.last - one.first for one in away)
        if longest > _MOMENT:
            yield Finding("second-server", {"upstream": upstream, "of": f"{count:,}"}, count)
        elif settings.retry.hold is None and all(one.state != OPEN for one in away):
            yield Finding("hold-through-restarts", {
                "upstream": upstream, "of": f"{count:,}", "times": "once" if len(away) == 1 else f"{len(away)} times",
                "longest": time(max(0.1, longest)), "to": show_duration(above(max(2.0, 1.5 * longest))),
            }, count)  # fmt: skip


def not_idempotent(case: Case) -> Iterator[Finding]:
    """Find failures that were not repeated because of their method."""
    for upstream in case.names():
        count = sum(case.verdicts(upstream).get("not-idempotent", {}).values())
        settings = case.settings(upstream)
        if count >= _MORE and (settings is None or settings.retry.idempotency_key):
            yield Finding("not-idempotent", {"upstream": upstream, "of": f"{count:,}"}, count)


RULES: Final = (budget_used_up, retries_off, body_too_large, nowhere_to_turn, not_idempotent)
