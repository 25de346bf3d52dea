"""What was different just before an incident: slower answers, more retransmissions, a certificate over; and last successes."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .desk import Change, Desk
    from .peers import Peer
    from .process import Control

_EVERY: Final = 5.0
"""Seconds between two looks at the numbers."""
_KEPT: Final = 120
"""Looks kept: ten minutes."""
_LATEST: Final = 6
"""Looks that are the present: half a minute. The others are what it is compared with."""
_TIMES: Final = 2.0
"""So much more than usual is a sign."""
_SLOWER: Final = 0.05
"""Seconds by which answers have to be slower at least."""
_SEGMENTS: Final = 5.0
"""Retransmitted segments per second that are a sign at least."""
_SNMP: Final = Path("/proc/net/snmp")


class Signs:
    """Numbers of the last ten minutes."""

    def __init__(self, control: "Control", desk: "Desk") -> None:
        self._control, self._desk = control, desk
        self._looked = 0.0
        self._latencies: dict[str, deque[float]] = {}
        self._resent: deque[tuple[float, int]] = deque(maxlen=_KEPT)
        self._good: dict[tuple[str, str], float] = {}  # when a server last answered well, wall-clock seconds

    def last_success(self, upstream: str, label: str) -> float:
        """Return when a server last answered well, to the second (wall-clock); 0 where this process has not seen it."""
        return self._good.get((upstream, label), 0.0)

    def counted(self, before: Mapping[str, Any], counts: Mapping[str, Any], now: float) -> None:
        """Compare two tallies of one worker: servers that answered in between. now: wall-clock seconds."""
        old = before.get("upstreams", {})
        for name, upstream in counts["upstreams"].items():
            servers = old.get(name, {}).get("servers", {})
            for label, server in upstream["servers"].items():
                known = servers.get(label)
                if known is not None and _answered(server) > _answered(known):
                    self._good[name, label] = now

    def tick(self, now: float, monotonic: float) -> None:
        """Look at the numbers, every five seconds. now: wall-clock seconds."""
        if monotonic - self._looked < _EVERY:
            return
        self._looked = monotonic
        self._resent.append((monotonic, resent_segments()))
        for name, latency in _latencies(list(self._control.peers.values())).items():
            self._latencies.setdefault(name, deque(maxlen=_KEPT)).append(latency)
        present = self._control.desired.config.upstream
        for name in [name for name in self._latencies if name not in present]:
            del self._latencies[name]
        self._good = {key: at for key, at in self._good.items() if key[0] in present}

    def before(self, changes: "Sequence[Change]") -> None:
        """Where incidents begin: put down what was different just before."""
        for what, summary in changes:
            if what in ("opened", "reopened"):
                self._tell_of(summary["upstream"])

    def _tell_of(self, upstream: str) -> None:
        event = self._desk.event
        if said := slower(self._latencies.get(upstream, ())):
            event("latency", said, upstream)
        if said := more_resent(list(self._resent)):
            event("network", said)
        now = datetime.now().astimezone()
        for label, seen in self._control.checked(upstream).items():
            ends = seen.get("certificate_ends") or ""
            try:
                over = bool(ends) and datetime.fromisoformat(ends) < now
            except ValueError:
                continue
            if over:
                event("certificate", f"the certificate ended at {ends}", upstream, label)


def _answered(server: Mapping[str, Any]) -> int:
    return int(server["requests"] - server["failed"] - server["busy"])


def _latencies(peers: "Sequence[Peer]") -> dict[str, float]:
    """Return the usual seconds to answer of each upstream, over its servers and the workers."""
    found: dict[str, list[float]] = {}
    for peer in peers:
        for name, upstream in peer.counts.get("upstreams", {}).items():
            costs = [server.get("latency", 0.0) for server in upstream["servers"].values()]
            found.setdefault(name, []).extend(cost for cost in costs if cost > 0)
    return {name: sum(costs) / len(costs) for name, costs in found.items() if costs}


def slower(latencies: Sequence[float]) -> str:
    """Return a sentence when the latest latencies (seconds, one every five seconds) are well above those before, else ""."""
    values = list(latencies)
    past, present = values[:-_LATEST], values[-_LATEST:]
    if len(past) < _LATEST:
        return ""
    usual, now = median(past), median(present)
    if now < usual * _TIMES or now - usual < _SLOWER:
        return ""
    return f"answers became slower: {now * 1000:.0f} ms, {usual * 1000:.0f} ms before"


def more_resent(counts: Sequence[tuple[float, int]]) -> str:
    """Return a sentence when the latest rate of retransmissions is well above the one before, else "". counts: (seconds, sum)."""
    if len(counts) < 2 * _LATEST:
        return ""
    middle = -_LATEST - 1
    (begin, first), (split, half), (end, last) = counts[0], counts[middle], counts[-1]
    if not begin < split < end:
        return ""
    usual, now = (half - first) / (split - begin), (last - half) / (end - split)
    if now < _SEGMENTS or now < usual * _TIMES:
        return ""
    return f"this machine retransmits more: {now:.1f} TCP segments a second, {usual:.1f} before"


def resent_segments(path: Path = _SNMP) -> int:
    """Return how many TCP segments this machine has sent again since its start; 0 where the kernel does not say."""
    try:
        names, values = [line.split() for line in path.read_text().splitlines() if line.startswith("Tcp:")]
        return int(values[names.index("RetransSegs")])
    except (OSError, ValueError, IndexError):
        return 0
