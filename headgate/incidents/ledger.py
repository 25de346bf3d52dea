"""Owns the incidents in memory: every failure is counted in exactly one of them, and the bounds of what is held are kept."""

import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final

from .grouping import Board
from .incident import Incident
from .intake import Failure, clean, dropped, failures, told_at
from .lifecycle import OPEN, OPENED, REOPENED, RESOLVED, WORSE

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for another when it is read aloud."""
_ID_LENGTH: Final = 8
_LIVE: Final = 5000
"""Incidents in memory: open ones, and those that are not yet written."""
_CLIENTS: Final = 300_000
"""Clients told apart in all of them."""
_SAMPLES: Final = 2000
"""Samples that wait to be written."""
_SECONDS: Final = 50_000
"""Seconds and minutes with counts that wait to be written."""
_SETTLE: Final = 1.0
"""Seconds after which reports are not taken before it was looked at what is over."""
_CHANGES: Final = 10_000
"""Changes that wait to be told."""


def normal_id(text: str) -> str:
    """Return an identifier as it was given out, from what somebody typed or heard."""
    upper = clean(text, 40).upper().replace("-", "").replace(" ", "")
    return upper.translate(str.maketrans("OIL", "011"))


class Ledger:
    """Incidents in memory. What is taken in is in exactly one of them, or counted as lost."""

    def __init__(self, fetch: Callable[[str], Incident | None]) -> None:
        """fetch: returns an incident that is no longer in memory, None where it cannot."""
        self._fetch = fetch
        self.board = Board()
        self.live: dict[str, Incident] = {}
        self.open: dict[str, Incident] = {}
        self.dirty: set[str] = set()
        self.lost = 0  # failures that are in no incident, for want of room
        self.dropped = 0  # failures that a worker could not group, and only counted
        self.changes: list[tuple[str, str]] = []
        self._untold: set[str] = set()  # incidents whose opening, or worsening, nobody was told of yet
        self._clients = 0
        self._samples = 0
        self._settled = 0.0

    def take(self, report: object, now: float) -> None:
        """Count the failures of a worker's report."""
        if abs(now - self._settled) >= _SETTLE:
            self.settle(now)  # what is over must not take in what begins
        at = told_at(report, now)
        for failure in failures(report):
            self._count(failure, at)
        self.dropped += dropped(report)

    def _count(self, failure: Failure, at: float) -> None:
        one, claimed = self._place(failure, at)
        if one is None:
            self.lost += failure.count
            return
        if one.state != OPEN:
            self._reopen(one, at)
        one.count(failure, at)
        if not claimed and failure.key[1:] in one.keys:
            self.board.claim(one, failure.key)
        self.dirty.add(one.id)
        if failure.routes:
            one.count_routes(failure)
        if failure.clients:
            self._clients += one.count_clients(failure, _CLIENTS - self._clients)
        if failure.figures:
            one.keep_figures(failure)
        if failure.samples and self._samples < _SAMPLES:
            self._samples += len(failure.samples)
            one.keep_samples(failure)

    def _place(self, failure: Failure, at: float) -> tuple[Incident | None, bool]:
        """Return the incident that failures belong to, and whether that was settled before."""
        id, claimed = self.board.find(failure, at)
        if id is not None:
            one = self.bring(id)
            if one is not None:
                return one, claimed
        if len(self.live) >= _LIVE and not self._make_room():
            return None, False
        one = Incident(self._new_id(), failure.upstream, at, at, opened=at, joined=at)
        self.live[one.id] = self.open[one.id] = one
        self._say(one, OPENED)
        return one, False

    def _new_id(self) -> str:
        while True:
            id = "".join(secrets.choice(ALPHABET) for _ in range(_ID_LENGTH))
            if id not in self.live:
                return id

    def _reopen(self, one: Incident, at: float) -> None:
        self._say(one, one.enter("failure", at))
        one.last = max(one.last, at)  # the pause in which it was thought over is no rhythm
        self.open[one.id] = one
        one.keys = {key for key in one.keys if not self.board.is_claimed((one.upstream, *key))}  # what others have is theirs
        for key in one.all_keys():
            self.board.claim(one, key)

    def bring(self, id: str) -> Incident | None:
        """Return an incident, brought into memory where it is not."""
        one = self.live.get(id)
        if one is None:
            one = self._fetch(id)
            if one is not None:
                self.live[id] = one
                self._clients += len(one.clients)
        return one

    def adopt(self, one: Incident, now: float) -> None:
        """Take in an open incident of a file that was opened. One whose failures are counted in another one is over."""
        self.live[one.id] = one
        self._clients += len(one.clients)
        one.last = min(one.last, now)  # the clock was set back meanwhile
        if any(self.board.is_claimed(key) for key in one.all_keys()):
            one.enter("resolve", now)
            self.dirty.add(one.id)
            return
        self.open[one.id] = one
        for key in one.all_keys():
            self.board.claim(one, key)

    def settle(self, now: float) -> None:
        """Resolve what is over, and see what got worse."""
        self._settled = now
        for one in list(self.open.values()):
            if one.is_quiet(now):
                self.resolve(one, "quiet", min(now, one.last + one.sure_after()))  # not when somebody looked
            elif one.id in self.dirty:
                self._compare(one, now)
        self.board.forget(now)

    def _compare(self, one: Incident, now: float) -> None:
        counts = (one.seen, one.asked_servers(), one.main()[0], now)
        if one.id in self._untold:  # it is told as it is then
            one.level.told(*counts)
        elif said := one.level.change(*counts):
            self._say(one, said)

    def resolve(self, one: Incident, event: str, now: float) -> None:
        """An incident is over (event: "quiet" or "resolve")."""
        said = one.enter(event, now)
        if said:
            self._say(one, said)
            self.open.pop(one.id, None)
            self.board.close(one, one.all_keys(), one.until())
            self.dirty.add(one.id)

    def _say(self, one: Incident, what: str) -> None:
        self.changes.append((one.id, what))
        if what in (OPENED, REOPENED, WORSE):
            self._untold.add(one.id)
        if len(self.changes) > _CHANGES:
            del self.changes[: _CHANGES // 10]

    def told(self, now: float) -> list[tuple[str, str]]:
        """Return what changed since the last call, oldest first, as (id, what)."""
        changes, self.changes = self.changes, []
        for id, what in changes:
            one = self.live.get(id)
            if one is not None and what != RESOLVED:
                one.level.told(one.seen, one.asked_servers(), one.main()[0], now)
        self._untold.clear()
        return changes

    def written(self) -> None:
        """Everything is in the file: let go of what is over."""
        for id in self.dirty:
            one = self.live.get(id)
            if one is not None:
                one.saved = one.failed
                one.pending = type(one.pending)()
        self.dirty.clear()
        self._samples = 0
        for one in [one for one in self.live.values() if one.state != OPEN]:
            self._let_go(one)

    def _let_go(self, one: Incident) -> None:
        del self.live[one.id]
        self.dirty.discard(one.id)
        self._clients -= len(one.clients)

    def not_written(self) -> None:
        """The file cannot be written: hold counts by minute where there are too many by second."""
        waiting = [self.live[id].pending for id in self.dirty if id in self.live]
        if sum(len(one.seconds) for one in waiting) > _SECONDS:
            for one in waiting:
                one.coarsen()
        if sum(len(one.minutes) for one in waiting) > _SECONDS:
            for one in waiting:
                one.minutes = {}

    def rewrite(self) -> None:
        """The file is another one: everything in memory is to be written."""
        self.dirty.update(self.live)
        for one in self.live.values():
            one.saved = 0
            one.pending.clients = sorted(one.clients)

    def _make_room(self) -> bool:
        """Let go of a tenth of the incidents that are over though they are not written; what they counted is lost."""
        over = sorted((one for one in self.live.values() if one.state != OPEN), key=lambda one: one.last)
        for one in over[: max(1, _LIVE // 10)]:
            self.lost += one.failed - one.saved
            for key in one.all_keys():
                self.board.disown(one.id, key)
            self._let_go(one)
        return bool(over)

    def remember(self, over: Iterable[Incident]) -> None:
        """These are resolved, and may be reopened."""
        for one in over:
            if one.id not in self.live:
                self.board.remember(one.id, one.all_keys(), one.until())

    def described(self) -> dict[str, Any]:
        """Return the totals that outlive the process."""
        return {"lost": self.lost, "dropped": self.dropped, "changes": self.changes}
