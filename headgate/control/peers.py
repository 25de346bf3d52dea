"""The workers as the control process sees them: their links, and what they count, the counts of dead ones included."""

import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ..net.link import Link
from .desired import Desired
from .tables import Tables, check, restored

_RATE_OVER: Final = 10.0
"""Seconds over which rates are averaged."""
_UPSTREAM: Final = ("requests", "retries", "retries_refused")
_SERVER: Final = ("requests", "failed")
"""What is summed up of each."""


class Peer:
    """One worker, from its start to its end."""

    def __init__(self, slot: int, pid: int, before: "Peer | None" = None) -> None:
        """before: what ran in this slot; its last words may still be on their way."""
        self.slot = slot
        self._before: list[Peer] = [one for one in (*before._before, before) if one.counts] if before is not None else []
        self.pid = pid
        self.since = time.time()
        self.link: Link | None = None
        self.version = 0  # of the state it serves by; 0: not told yet
        self.sent = 0  # version of the last state that was sent to it
        self.behind = False  # it did not take the last word: its link was full
        self.unsent = 0  # words that it did not take
        self.counts: Mapping[str, Any] = {}
        self.heard = time.monotonic()
        self._history: deque[tuple[float, int]] = deque(maxlen=16)

    def counted(self, counts: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Take in a tally; return the ejections it tells of. Raises KeyError, TypeError or ValueError for what is none."""
        _check(counts)
        self.counts = counts
        self.heard = time.monotonic()
        self._history.append((self.heard, counts["exchanges"]))
        ejections: Sequence[Mapping[str, Any]] = counts["ejections"]
        return ejections

    def tell(self, desired: Desired) -> None:
        """Tell it the state, or only how the servers stand where it has the state already; later, when it reads nothing now."""
        if self.link is None:
            return
        message: dict[str, Any]
        if self.sent == desired.version:
            message = {"do": "servers", "servers": desired.standings.snapshot()}
        else:
            message = {"do": "state", "state": desired.state()}
        self.behind = not self.link.send(message)
        self.unsent += self.behind
        if not self.behind:
            self.sent = desired.version

    def told(self) -> Iterator[Mapping[str, Any]]:
        """Yield what it counts, and what was counted before it in its place and is not part of the totals yet."""
        for one in (*self._before, self):
            if one.counts:
                yield {**one.counts, "unsent": one.unsent}

    def leave(self) -> Mapping[str, Any]:
        """Return what it counted, once: for the totals."""
        counts = {**self.counts, "unsent": self.unsent}
        self.counts, self.unsent = {}, 0
        return counts

    def rate(self) -> float:
        """Return exchanges per second of late."""
        while len(self._history) > 2 and self._history[0][0] < self.heard - _RATE_OVER:
            self._history.popleft()
        if len(self._history) < 2:
            return 0.0
        (begin, first), (end, last) = self._history[0], self._history[-1]
        return (last - first) / (end - begin) if end > begin else 0.0


def told_by(peers: Iterable[Peer]) -> list[Mapping[str, Any]]:
    """Return what workers count that is not part of the totals."""
    return [counts for peer in peers for counts in peer.told()]


def all_draining(peers: Collection[Peer]) -> bool:
    """Tell whether every worker said that it accepts nothing any more."""
    return bool(peers) and all(peer.counts.get("draining", False) for peer in peers)


def _check(counts: Any) -> None:
    """Raise KeyError, TypeError or ValueError unless this is a tally."""
    _numbers([counts["exchanges"], counts["lost_lines"]])
    if not isinstance(counts["ejections"], list):
        raise TypeError("ejections are a list")
    for kind in ("failures", "refusals"):
        _numbers(counts[kind].values() if isinstance(counts[kind], dict) else [None])
    for upstream in counts["upstreams"].values():
        _numbers([upstream[key] for key in _UPSTREAM])
        for server in upstream["servers"].values():
            _numbers([server[key] for key in (*_SERVER, "busy", "idle")])
    check(counts)


def _numbers(values: Iterable[Any]) -> None:
    for value in values:
        if type(value) is not int:
            raise TypeError(f"a count is a whole number, not {value!r:.40}")


class Totals:
    """What was counted over all workers, those that ended included."""

    def __init__(self) -> None:
        self._past: dict[str, Any] = {"exchanges": 0, "lost_lines": 0, "failures": Counter(), "refusals": Counter()}
        self._servers: dict[tuple[str, str], Counter[str]] = {}
        self._upstreams: dict[str, Counter[str]] = {}
        self.tables = Tables()
        self.events: dict[str, float] = {}  # what the control process itself saw: reloads, and when

    def snapshot(self) -> dict[str, Any]:
        """Return what workers counted that have ended, as JSON has it."""
        servers: dict[str, dict[str, Any]] = {}
        for (name, label), counts in self._servers.items():
            servers.setdefault(name, {})[label] = dict(counts)
        told = {"past": self._past, "upstreams": self._upstreams, "servers": servers}
        return {**told, "tables": self.tables.snapshot(), "events": self.events}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Be as a snapshot says. Raises KeyError, TypeError or ValueError for what is none."""
        past, servers = told["past"], told["servers"]
        self._past = {
            "exchanges": int(past["exchanges"]), "lost_lines": int(past["lost_lines"]),
            "failures": Counter(past["failures"]), "refusals": Counter(past["refusals"]),
        }  # fmt: skip
        self._upstreams = {name: Counter(counts) for name, counts in told["upstreams"].items()}
        self._servers = {(name, label): Counter(counts) for name, of in servers.items() for label, counts in of.items()}
        self.tables = restored(told["tables"])
        self.events = {str(what): float(value) for what, value in told["events"].items()}

    def reloaded(self, ok: bool, at: float) -> None:
        """Count a reload. at: wall-clock seconds."""
        result = "success" if ok else "failure"
        self.events[result] = self.events.get(result, 0) + 1
        self.events[f"{result}_at"] = at

    def ejected(self, name: str, label: str) -> None:
        """Count the ejection of a server."""
        self._servers.setdefault((name, label), Counter())["ejections"] += 1

    def bury(self, counts: Mapping[str, Any]) -> None:
        """Keep the counts of a worker that has ended."""
        self.tables.add(counts)
        self._past["exchanges"] += counts.get("exchanges", 0)
        self._past["lost_lines"] += counts.get("lost_lines", 0)
        self._past["failures"].update(counts.get("failures", {}))
        self._past["refusals"].update(counts.get("refusals", {}))
        for name, upstream in counts.get("upstreams", {}).items():
            kept = self._upstreams.setdefault(name, Counter())
            kept.update({key: upstream[key] for key in _UPSTREAM})
            for label, server in upstream["servers"].items():
                self._servers.setdefault((name, label), Counter()).update({key: server[key] for key in _SERVER})

    def of_all(self, living: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return exchanges, failures and refusals by cause, and lost lines, over all workers that ever were."""
        failures, refusals = Counter(self._past["failures"]), Counter(self._past["refusals"])
        exchanges, lost = self._past["exchanges"], self._past["lost_lines"]
        for counts in living:
            exchanges += counts.get("exchanges", 0)
            lost += counts.get("lost_lines", 0)
            failures.update(counts.get("failures", {}))
            refusals.update(counts.get("refusals", {}))
        return {"exchanges": exchanges, "failures": dict(failures), "refusals": dict(refusals), "lost_lines": lost}

    def attempts(self, living: Iterable[Mapping[str, Any]]) -> Counter[str]:
        """Return the tries at servers by upstream, those of servers that are no more included."""
        found: Counter[str] = Counter()
        for (name, _), kept in self._servers.items():
            found[name] += kept["requests"]
        for counts in living:
            for name, upstream in counts.get("upstreams", {}).items():
                found[name] += sum(server["requests"] for server in upstream["servers"].values())
        return found

    def summary(self, living: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Yield what was counted, as lines for people: failures of servers apart from what clients did wrong."""
        told = self.of_all(living)
        for what, counts in (("failed attempts", told["failures"]), ("requests refused or left by clients", told["refusals"])):
            if counts:
                ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
                yield f"{what}: " + ", ".join(f"{count} {code}" for code, count in ordered)
        lost = f", {told['lost_lines']} log lines lost" if told["lost_lines"] else ""
        yield f"stopped after {told['exchanges']} exchanges{lost}"

    def of_upstream(self, name: str, living: Iterable[Mapping[str, Any]]) -> Counter[str]:
        """Return the sums of an upstream: requests, retries, retries_refused."""
        found = Counter(self._upstreams.get(name, {}))
        for counts in living:
            upstream = counts.get("upstreams", {}).get(name)
            if upstream is not None:
                found.update({key: upstream[key] for key in _UPSTREAM})
        return found

    def past_of_server(self, name: str, label: str) -> Mapping[str, int]:
        """Return what workers counted of a server that have ended, and its ejections."""
        return self._servers.get((name, label), {})

    def of_server(self, name: str, label: str, living: Iterable[Mapping[str, Any]]) -> Counter[str]:
        """Return the sums of a server: requests, failed and ejections over all time, busy and idle at this moment."""
        found = Counter(self._servers.get((name, label), {}))
        for counts in living:
            server = counts.get("upstreams", {}).get(name, {}).get("servers", {}).get(label)
            if server is not None:
                found.update({key: server[key] for key in ("requests", "failed", "busy", "idle")})
        return found
