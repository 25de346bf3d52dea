"""Owns when a server is put aside because of what real traffic shows, and for how long: passive outlier detection.

Only failures on a server's own account come here: not clients that went away, not kept connections that had closed, not overload.
Three kinds of evidence eject, each of which no single request can forge:

1. Connections: a few that could not be made, without a success between them. Nothing of a request had been sent, so no request is
   to blame, whoever asked.
2. A share: many of the last requests failed, and still would have without the client and without the path that failed most, and
   another server does better. One client, or one broken page, never ejects a server that answers others; nor does a failure that
   all servers share (their common database), for which ejecting would only make the rest of them smaller.
3. A run: not one success in many failures and a whole window of time. That is for a service with one client or one path. There is
   then nobody whom the server answers, so nobody loses by it, and another server gets its chance. Two requests a minute fail
   slowly, and are ejected slowly: proof matters more than speed where so little is at stake.
"""

from collections import Counter, deque
from typing import Final, NamedTuple

from .backoff import Growing
from .window import Window

_SAMPLE: Final = 64
"""Failures kept as evidence per server. Where they come faster, the share is judged over the shorter time that they span."""
_KEY: Final = 128
"""Characters of a client's name and bytes of a path that tell it from others: bounds what the evidence can weigh."""
_ALSO: Final = 2
"""Failures needed besides those of the worst client, and besides those of the worst path."""
_BETTER: Final = 2.0
"""Another server does better when its share of failures is this many times smaller."""
_HELD: Final = 1.0
"""Seconds until a server that may not be ejected is judged again, so that a storm of failures stays cheap."""


class Ejection(NamedTuple):
    """A server put aside."""

    until: float  # monotonic seconds
    seconds: float
    why: str  # a sentence part with the numbers


class Failure(NamedTuple):
    """One failure, as evidence."""

    at: float
    client: str | None  # None: nothing of a request had been sent
    path: bytes | None


class Record:
    """What is known of one server's traffic in this process."""

    __slots__ = (
        "answered", "barred", "ever", "failed", "failures", "held_until", "label",
        "refused", "released", "rest", "run", "run_since", "trial", "until",
    )  # fmt: skip

    def __init__(self, label: str, window: int, base: float, longest: float) -> None:
        self.label = label
        self.barred = False  # set by the owner: may not serve for another reason (down, drained)
        self.until = 0.0  # ejected until then; 0: not ejected
        self.refused = 0  # connections that failed since the last success
        self.run = 0  # failures of any kind since the last success
        self.run_since = 0.0  # when that run began
        self.trial = False  # no success since the last ejection
        self.held_until = 0.0  # the cap forbade an ejection: no verdict before
        self.released = 0.0  # when the last ejection was over
        self.ever = 0  # answers counted until then
        self.answered = Window(window - 1)
        self.failed = Window(window - 1)
        self.failures: deque[Failure] = deque(maxlen=_SAMPLE)
        self.rest = Growing(base, longest)

    def share(self, now: float) -> float:
        """Return the failures per request of the window, 0 without requests."""
        failed = self.failed.total(now)
        return failed / (failed + self.answered.total(now)) if failed else 0.0


class Outliers:
    """The servers of one upstream and the rules for ejecting them, in one process. Times are monotonic seconds."""

    __slots__ = ("_base", "_longest", "connections", "failures", "most_ejected", "records", "run", "share", "spared", "window")

    def __init__(
        self,
        window: int = 10,
        failures: int = 5,
        share: float = 0.5,
        connections: int = 3,
        run: int = 10,
        base: float = 10.0,
        longest: float = 300.0,
        most_ejected: float = 0.5,
    ) -> None:
        """Take the rules; raises ValueError.

        window: whole seconds that are looked at. failures, share: how many failures, and what share of the requests, eject.
        connections: connections failing in a row that eject. run: failures in a row, over at least the window, that eject.
        base, longest: seconds of the first and of the longest ejection. most_ejected: the share of the servers that may be
        ejected at once; it is one at least, but never the last one that may be used.
        """
        if not (window >= 1 and failures >= 1 and 0 < share <= 1 and connections >= 1 and run >= 1 and 0 <= most_ejected <= 1):
            raise ValueError("window, failures, connections and run are at least 1, share above 0 to 1, most_ejected 0 to 1")
        Growing(base, longest)  # says what is wrong with them
        self.window = window
        self.failures = failures
        self.share = share
        self.connections = connections
        self.run = run
        self.most_ejected = most_ejected
        self.spared = 0  # times that the cap forbade an ejection, ever
        self.records: list[Record] = []
        self._base = base
        self._longest = longest

    def join(self, label: str) -> Record:
        """Return the record of a new server."""
        record = Record(label, self.window, self._base, self._longest)
        self.records.append(record)
        return record

    def leave(self, record: Record) -> None:
        """Forget a server that is no longer part of the upstream."""
        self.records.remove(record)

    def good(self, record: Record, now: float, count: int = 1) -> None:
        """Count requests that were answered, all of them after the last failure."""
        record.answered.add_many(now, count)
        record.refused = record.run = 0
        record.trial = False

    def bad(self, record: Record, now: float, client: str, path: bytes, unsent: bool) -> Ejection | None:
        """Count a failure on the server's account; return the ejection if this one made it full.

        client: the address of who asked. path: of the request target, a query is left out. unsent: nothing of a request had been
        sent. Failures of a server that is ejected already (requests that were under way) prove nothing new.
        """
        if record.until:
            return None
        record.failed.add(now)
        if record.run == 0:
            record.run_since = now
        record.run += 1
        if unsent:
            record.refused += 1
            record.failures.append(Failure(now, None, None))
        else:
            record.failures.append(Failure(now, client[:_KEY], path.partition(b"?")[0][:_KEY]))
        if now < record.held_until:
            return None
        if why := self._refused(record, unsent):
            return self.eject(record, now, why, capped=False)
        why = self._shared(record, now) or self._ran(record, now)
        return self.eject(record, now, why) if why else None

    def eject(self, record: Record, now: float, why: str, *, capped: bool = True) -> Ejection | None:
        """Put a server aside, for longer than the last time; None when too many are, or when no other one may be used.

        Also for who knows better than the traffic: an administrator, or another process. capped: by the share of servers that
        may be ejected at once; not so for connections that cannot be made, as nobody is served by asking such a server.
        """
        if record.until:
            return None
        if not self._may(record, capped):
            self.spared += 1
            record.held_until = now + _HELD
            return None
        # Time passed counts as calm only where the server answered somebody in it.
        proved = record.answered.total(now) > 0 or record.answered.ever > record.ever
        seconds = record.rest.next(now - record.released if proved else 0.0)
        record.until = now + seconds
        return Ejection(record.until, seconds, why)

    def over(self, now: float) -> list[Record]:
        """Return the servers whose ejection has just ended. Called about once a second.

        They are on trial: until one request succeeds, one connection failure sends them back at once.
        """
        back = [record for record in self.records if 0 < record.until <= now]
        for record in back:
            self.release(record, now)
            record.trial = True
        return back

    def release(self, record: Record, now: float) -> None:
        """End an ejection and forget the evidence for it (not how often there was one)."""
        record.until = record.held_until = 0.0
        record.released = now
        record.refused = record.run = 0
        record.trial = False
        record.answered.clear()
        record.failed.clear()
        record.failures.clear()
        record.ever = record.answered.ever

    def _may(self, record: Record, capped: bool) -> bool:
        others = [other for other in self.records if other is not record and not other.barred]
        ejected = sum(1 for other in others if other.until)
        if ejected == len(others):
            return False
        # A hair is added: 0.7 of 10 servers are 7 to people.
        return not capped or ejected + 1 <= max(1, int(self.most_ejected * (len(others) + 1) + 1e-9))

    def _better(self, record: Record, now: float) -> bool:
        """Tell whether another server does better: else requests would only move from one failing server to the next."""
        most = record.share(now) / _BETTER
        return any(
            other.share(now) <= most for other in self.records if other is not record and not other.barred and not other.until
        )

    def _refused(self, record: Record, unsent: bool) -> str:
        if not unsent or record.refused < (1 if record.trial else self.connections):
            return ""
        if record.trial:
            return "on trial after an ejection, a connection failed again"
        if record.refused == 1:
            return "a connection failed"
        return f"{record.refused} connections failed without a success in between"

    def _shared(self, record: Record, now: float) -> str:
        failed = record.failed.total(now)
        total = failed + record.answered.total(now)
        if failed < self.failures or failed < self.share * total:
            return ""
        failures = record.failures
        while failures[0].at < int(now) - self.window + 1:
            failures.popleft()
        clients = Counter(failure.client for failure in failures if failure.client is not None)
        paths = Counter(failure.path for failure in failures if failure.path is not None)
        rest = len(failures) - max((*clients.values(), *paths.values()), default=0)
        spanned = len(failures) == _SAMPLE  # older failures of the window are forgotten: leave out what was answered then, too
        answered = record.answered.since(failures[0].at if spanned else 0.0, now)
        if rest < _ALSO or rest < self.share * (rest + answered) or not self._better(record, now):
            return ""
        who = f" of {len(clients)} clients" if clients else ""
        return f"{failed} of {total} requests{who} failed within {self.window} s"

    def _ran(self, record: Record, now: float) -> str:
        if record.run < self.run or now - record.run_since < self.window or not self._better(record, now):
            return ""
        return f"{record.run} requests in a row failed over {now - record.run_since:.0f} s"
