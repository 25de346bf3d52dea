"""Owns how the counts of all workers become traffic over time: once a second, by how much they grew goes into the history.

Counts only grow while the gateway runs, whichever worker dies. A control process that takes over goes on from the mark that the
one before left with what it wrote, so that nothing is counted twice and nothing is missed.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..incidents.amounts import Body, add
from ..incidents.history import History
from ..incidents.store import Store
from ..incidents.traffic_rows import ALL, Line
from .peers import told_by
from .status import born
from .tables import Tables, restored

if TYPE_CHECKING:
    from .process import Control

EVERY: Final = 1.0
"""Seconds between two looks at the counts of all requests."""
SERVERS_EVERY: Final = 10.0
"""The same for those of single servers, of which there may be many."""
_PATIENCE: Final = 30.0
"""Seconds in which every worker should have told its first counts."""
_LATE: Final = 15.0
"""Seconds without a look, after which nobody knows any more when in this time something happened."""
_UPSTREAM: Final = ("requests", "retries", "retries_refused")
_SERVER: Final = ("requests", "failed", "ejections")


class Traffic:
    """Traffic over time, of one gateway."""

    def __init__(self, control: "Control", store: Store) -> None:
        self._control = control
        self.history = History(store)
        self._before: Tables | None = None  # counts at the last look; None: before the first
        self._lines: dict[Line, Body] = {}  # those of upstreams and servers
        self._run = f"{os.getppid()} {born(os.getppid(), control.started):.0f}"
        self._began = self._looked = self._looked_at_servers = time.monotonic()

    def tick(self, now: float) -> None:
        """Look at the counts where it is time, and write. Called a few times a second. now: wall-clock seconds."""
        monotonic = time.monotonic()
        if monotonic - self._looked >= EVERY:
            if self._before is None:
                self._begin(now, monotonic)
            else:
                self._look(now, monotonic)
        if self._before is not None:
            self.history.flush(now, self._mark)

    def write(self, now: float) -> None:
        """Write everything, at once."""
        self._looked_at_servers -= SERVERS_EVERY
        if self._before is None:
            self._begin(now, self._began + _PATIENCE)
        else:
            self._look(now, time.monotonic())
        if self._before is not None:
            self.history.flush(now, self._mark, at_once=True)

    def _living(self) -> list[Mapping[str, Any]]:
        return told_by(self._control.peers.values())

    # The first look.

    def _begin(self, now: float, monotonic: float) -> None:
        """Find out from which counts on to go, as soon as every worker has told its own."""
        peers = list(self._control.peers.values())
        complete = len(peers) >= self._control.family.get("workers", 1) and all(peer.counts for peer in peers)
        if not peers or (not complete and monotonic - self._began < _PATIENCE):
            return
        present = self._control.totals.tables.plus(self._living())
        first = not self._control.family.get("restarts", {}).get("control", 0)
        before, at = self._marked()
        if before is not None:
            self.history.add(min(at, now), _changes(_grown(present, before)), late=True)
        self._before = Tables() if first and before is None else present
        self._looked_at_servers = self._looked
        if not first:
            self._lines = self._lines_now()
        self._look(now, monotonic)

    def _marked(self) -> tuple[Tables | None, float]:
        """Return the counts that the process before this one had put down, and when; None where it left nothing."""
        mark = self.history.mark()
        try:
            if mark and mark["run"] == self._run:
                return restored(mark["tables"]), float(mark["at"])
        except (KeyError, TypeError, ValueError):
            pass
        return None, 0.0

    def _mark(self) -> dict[str, Any]:
        return {"run": self._run, "at": time.time(), "tables": self._before.snapshot() if self._before is not None else {}}

    # Every further look.

    def _look(self, now: float, monotonic: float) -> None:
        assert self._before is not None
        present = self._control.totals.tables.plus(self._living())
        grown = _grown(present, self._before)
        seconds = monotonic - self._looked
        self._before, self._looked = present, monotonic
        changes = _changes(grown)
        if monotonic - self._looked_at_servers >= SERVERS_EVERY:
            self._looked_at_servers = monotonic
            add(changes, self._changed_lines())
        self.history.add(now - seconds if seconds > _LATE else now, changes, late=seconds > _LATE)

    def _changed_lines(self) -> dict[Any, Body]:
        before, self._lines = self._lines, self._lines_now()
        changes = {}
        for line, body in self._lines.items():
            known = before.get(line, {})
            grown = {name: round(value - known.get(name, 0), 6) for name, value in body.items() if value > known.get(name, 0)}
            if grown:
                changes[line] = grown
        return changes

    def _lines_now(self) -> dict[Line, Body]:
        """Return the sums of each upstream and server of the configuration."""
        control, living = self._control, self._living()
        found: dict[Line, Body] = {}
        for name, upstream in control.desired.config.upstream.items():
            sums = control.totals.of_upstream(name, living)
            found["upstream", name, ""] = {key: sums[key] for key in _UPSTREAM}
            told = [counts["upstreams"][name]["servers"] for counts in living if name in counts.get("upstreams", {})]
            for server in upstream.servers:
                kept = control.totals.past_of_server(name, server.url)
                here = [servers[server.url] for servers in told if server.url in servers]
                found["server", name, server.url] = {
                    key: kept.get(key, 0) + sum(one.get(key, 0) for one in here) for key in _SERVER
                }
        for (name, label), (count, seconds) in (self._before.paces if self._before is not None else {}).items():
            if (body := found.get(("server", name, label))) is not None:
                body["timed"], body["seconds"] = count, seconds
        return found


def _grown(now: Tables, before: Tables) -> Tables:
    """Return by how much counts grew. What fell (a worker's last words were lost) counts as nothing."""
    grown = Tables()
    for name in ("requests", "failed", "ends"):
        table, was = getattr(now, name), getattr(before, name)
        more = {key: count - was.get(key, 0) for key, count in table.items() if count > was.get(key, 0)}
        setattr(grown, name, Counter(more))
    for name in ("durations", "spans"):
        table, was = getattr(now, name), getattr(before, name)
        for key, row in table.items():
            known = was.get(key)
            if known != row:
                getattr(grown, name)[key] = (
                    [max(0, round(one - other, 6)) for one, other in zip(row, known, strict=True)] if known else list(row)
                )
    return grown


def _changes(grown: Tables) -> dict[Any, Body]:
    """Return what grew by lines of the history."""
    found: dict[Any, Body] = {}

    def of(route: Any, upstream: Any) -> Body:
        return found.setdefault(("pair", upstream, route), {})

    for (route, upstream, status, outcome), count in grown.requests.items():
        bad = count if outcome == "cut" or int(status) >= 500 else 0
        add(of(route, upstream), {"requests": count, "codes": {f"{status} {outcome}": count}, **({"bad": bad} if bad else {})})
    for (route, upstream, cause, how), count in grown.ends.items():
        add(of(route, upstream), {"rescued": {f"{cause} {how}": count}} if how else {"seen": {cause: count}})
    for (route, upstream), row in grown.durations.items():
        add(of(route, upstream), {"spread": row[:-1], "seconds": row[-1]})
    for (route, upstream), row in grown.spans.items():
        add(of(route, upstream), {"spans": row})
    for (upstream, _, cause, verdict), count in grown.failed.items():
        add(found.setdefault(("upstream", upstream, ""), {}), {"failed": {f"{cause} {verdict}": count}})
    whole: Body = {}
    for line, body in found.items():
        if line[0] == "pair":
            add(whole, body)
    if whole:
        found[ALL] = whole
    return found
