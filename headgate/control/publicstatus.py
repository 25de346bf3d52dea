"""What workers are told for visitors: what the other workers' visitors saw, since when, what operators said, and of past days.

Nothing of it names a cause or a server. A worker that is told nothing goes by what its own visitors see.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..traffic.serving import CALM, Evidence, packed, together, works
from .peers import Peer

if TYPE_CHECKING:
    from .process import Control

_LOOK: Final = 1.0
"""Seconds between two looks at the open incidents, while there is trouble."""
_AGAIN: Final = 20.0
"""Seconds after which the same is said again: for who may have missed it, and as the sign that it still holds."""
_COUNT_DAYS: Final = 60.0
_DAY: Final = 86_400
_SHOWN: Final = 500
"""Open incidents that are looked at."""
Words = Mapping[str, Mapping[str, Any]]


class PublicStatus:
    """Puts together what workers tell of their visitors."""

    def __init__(self, control: "Control") -> None:
        self._control = control
        self._seen: dict[int, dict[str, Evidence]] = {}  # by slot and upstream
        self._pids: dict[int, int] = {}
        self._gone: dict[str, Evidence] = {}  # what workers saw that are no more
        self._said: dict[int, tuple[Any, ...]] = {}  # by slot: what it was last told
        self._incidents: dict[str, dict[str, Any]] = {}  # by upstream
        self._days: dict[str, dict[int, int]] = {}
        self._first_day = 0  # before it nothing is known
        self._looked = self._counted = self._told_at = -1e9
        self._fresh = False  # somebody said something
        control.desk.listeners.append(self._changed)

    def _changed(self, _now: float, _changes: object) -> None:
        self._looked = -1e9

    # Workers.

    def heard(self, peer: Peer, told: Any) -> None:
        """Take in what a worker's visitors saw. Raises AttributeError, TypeError or ValueError for what makes no sense."""
        seen = {str(name): Evidence.of(data) for name, data in told.items()}
        self._settle_in(peer)
        self._seen[peer.slot] = {**self._seen.get(peer.slot, {}), **seen}
        self._fresh = True

    def joined(self, peer: Peer) -> None:
        """Tell a worker that has just come, or come again, what is known."""
        self._settle_in(peer)
        self._said.pop(peer.slot, None)
        self._fresh = True

    def _settle_in(self, peer: Peer) -> None:
        """Keep what the worker before it saw: it does not know of that."""
        if self._pids.get(peer.slot) != peer.pid:
            now = time.monotonic()
            for name, one in self._seen.pop(peer.slot, {}).items():
                self._gone[name] = together((one, self._gone.get(name, Evidence())), now)
            self._pids[peer.slot] = peer.pid

    # Over time.

    def tick(self, now: float, monotonic: float) -> None:
        """Look at what changed, and tell it. Called a few times a second. now: wall-clock seconds."""
        troubled = self._troubled(monotonic)
        if troubled and monotonic - self._looked >= _LOOK:
            self._looked = monotonic
            found = self._open_incidents()
            self._fresh = self._fresh or found != self._incidents
            self._incidents = found
        if self._control.desired.config.status_page is not None and monotonic - self._counted >= _COUNT_DAYS:
            self._counted = monotonic
            before, self._days = (self._days, self._first_day), self._past_days(now)
            self._fresh = self._fresh or before != (self._days, self._first_day)
        again = monotonic - self._told_at >= _AGAIN and bool(troubled or self._days)
        if self._fresh or again:
            self._told_at, self._fresh = (monotonic if again else self._told_at), False
            self._tell(troubled, again=again)

    def _troubled(self, now: float) -> set[str]:
        """Return the upstreams in trouble, and forget trouble that is over, or of upstreams that are no more."""
        troubled = set()
        there = self._control.desired.config.upstream
        for seen in (self._gone, *self._seen.values()):
            for name in [name for name in seen if name not in there]:
                del seen[name]
        for name in {name for seen in (self._gone, *self._seen.values()) for name in seen}:
            whole = together((seen[name] for seen in (self._gone, *self._seen.values()) if name in seen), now)
            if whole.failed and not (now - whole.failed >= CALM and works(whole, now)):
                troubled.add(name)
            elif name in self._gone:
                del self._gone[name]
        return troubled

    def _open_incidents(self) -> dict[str, dict[str, Any]]:
        """Return what operators and the store know, by upstream, of incidents that visitors saw."""
        found: dict[str, dict[str, Any]] = {}
        for one in self._control.desk.store.open_incidents(_SHOWN):
            if not one["seen"]:
                continue
            word = found.setdefault(one["upstream"], {"begun": 0.0, "expected": 0.0, "acknowledged": False})
            begun = one["reopened"][-1] if one["reopened"] else one["first"]
            word["begun"] = min(begun, word["begun"] or begun)
            if one["acknowledged"] is not None:
                word["acknowledged"] = True
                word["expected"] = max(word["expected"], one["acknowledged"].get("expected", 0.0))
        return found

    def _past_days(self, now: float) -> dict[str, dict[int, int]]:
        """Return how many minutes of each day visitors saw failures, by upstream and day since 1970."""
        page = self._control.desired.config.status_page
        since = (int(now) // _DAY - (page.days if page is not None else 0) + 1) * _DAY
        found: dict[str, dict[int, int]] = {}
        self._first_day = int(self._control.desk.store.known_since() or now) // _DAY
        for name, day, minutes in self._control.desk.store.troubled_minutes(since):
            found.setdefault(name, {})[day] = minutes
        return found

    def _tell(self, troubled: set[str], *, again: bool) -> None:
        now = time.monotonic()
        for slot, peer in self._control.peers.items():
            if peer.link is None or not peer.sent:
                continue
            words = {name: self._word(name, slot, now) for name in sorted(troubled)}
            said = (peer.pid, words, self._days, self._first_day)
            if not again and self._said.get(slot, (0, {}, {}, 0)) == said:
                continue
            days = {name: list(of.items()) for name, of in self._days.items()}
            if peer.link.send({"do": "public", "upstreams": words, "days": days, "first_day": self._first_day}):
                self._said[slot] = said
            else:
                self._fresh = True

    def _word(self, name: str, slot: int, now: float) -> dict[str, Any]:
        """Return what the worker of a slot is told of an upstream."""
        others = [seen[name] for of, seen in self._seen.items() if of != slot and name in seen]
        others += [self._gone[name]] if name in self._gone else []
        known = self._incidents.get(name, {"begun": 0.0, "expected": 0.0, "acknowledged": False})
        latest = max((one.at for one in others), default=0.0)
        return {"others": packed(together(others, min(latest, now))) if others else packed(Evidence()), **known}
