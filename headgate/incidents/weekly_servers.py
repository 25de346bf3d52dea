"""Owns which servers are to worry about, and by which evidence: what failed, what was slow, what came and went."""

from typing import Any, Final

from . import advice_servers
from .advice import Case, percent, told
from .grouping import NO_SERVER

_FEW: Final = 10
_SHARE: Final = 0.01
"""Failed tries that are worth a word, and their share of all."""


def worries(case: Case) -> list[dict[str, Any]]:
    """Return servers with reasons to worry, those with the most users affected first."""
    reasons: dict[tuple[str, str], list[str]] = {}
    weight: dict[tuple[str, str], float] = {}

    def add(upstream: str, server: str, said: str, much: float) -> None:
        reasons.setdefault((upstream, server), []).append(said)
        weight[upstream, server] = weight.get((upstream, server), 0.0) + much

    for upstream, server, seen, failed, count in _in_incidents(case):
        add(
            upstream,
            server,
            f"in {count} incident{'s' * (count != 1)}: {failed:,} failures, {seen:,} seen by users",
            seen + failed / 100,
        )
    for (upstream, server), body in case.servers.items():
        requests, failed = body.get("requests", 0), body.get("failed", 0)
        if failed >= _FEW and failed >= _SHARE * requests:
            add(
                upstream,
                server,
                f"{percent(failed / requests) if requests else '100 %'} of {requests:,} tries failed",
                failed / 100,
            )
        if ejections := body.get("ejections", 0):
            add(upstream, server, f"its traffic had it ejected {ejections} time{'s' * (ejections != 1)}", ejections)
    for rule in (advice_servers.slow_server, advice_servers.one_bad_server, advice_servers.flapping):
        for finding in rule(case):
            add(str(finding.numbers["upstream"]), finding.worry, told(finding)["evidence"], 1.0)
    for one in case.present.get("servers", ()):
        if one["state"] not in ("up", "unchecked"):
            add(one["upstream"], one["server"], f"it is {one['state']} now: {one['why']}", 5.0)
    return [
        {"upstream": upstream, "server": server, "reasons": said}
        for (upstream, server), said in sorted(reasons.items(), key=lambda item: (-weight[item[0]], item[0]))
    ]


def _in_incidents(case: Case) -> list[tuple[str, str, int, int, int]]:
    """Return (upstream, server, seen, failed, incidents) of servers that failed in incidents."""
    counts: dict[tuple[str, str], list[int]] = {}
    for one in case.incidents:
        causes = {cause for cause, _ in one.causes}
        for server, (failed, seen, _) in one.servers.items():
            if server and not causes <= NO_SERVER:
                row = counts.setdefault((one.upstream, server), [0, 0, 0])
                for place, value in enumerate((seen, failed, 1)):
                    row[place] += value
    return [(upstream, server, *row) for (upstream, server), row in counts.items()]  # type: ignore[misc]
