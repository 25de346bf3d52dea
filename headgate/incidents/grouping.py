"""Owns which failures belong to one incident.

Failures with the same upstream, server, cause and phase always do. Beyond that, in this order:

1. *One server, one trouble.* A server that is going down shows many faces: refused, then a timeout, then a reset, and refused
   again. So the causes by which a server shows that it does not live (`LIVENESS`) belong to one incident of that server for
   as long as it is open. Every other cause (a certificate, a malformed head, an error status) has its own reason, and its own
   incident.
2. *The same again.* A failure that was in an incident resolved lately reopens it.
3. *One upstream, one trouble.* Servers that begin to fail with the same cause within two minutes of each other have one
   reason more probably than two, so they are one incident of the upstream. Each server that joins begins the two minutes
   anew: a deployment that breaks one server after the other is one incident. A server that begins later has its own.
4. *What only accompanies.* That no server is left (`NO_SERVER`) follows from the servers' failures, and belongs to their
   incident, which it keeps open while nobody dares to ask the servers. That kept connections close (`REUSE`) belongs to the
   incident of a server that is down; by itself it is an incident of its own (idle timeouts that do not match). Whichever
   was reported first: an incident of such causes only takes in the failure that explains it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol

from .intake import Failure

LIVENESS: Final = frozenset(
    (
        "connection-refused",
        "connection-reset",
        "connection-timeout",
        "host-unreachable",
        "network-unreachable",
        "socket-missing",
        "socket-backlog-full",
        "tls-closed",
        "tls-reset",
        "tls-timeout",
        "send-reset",
        "send-timeout",
        "closed-before-answer",
        "reset-before-answer",
        "response-timeout",
        "response-total-timeout",
        "head-reset",
        "head-stalled",
        "head-truncated",
        "body-reset",
        "body-stalled",
        "body-truncated",
        "body-total-timeout",
        "chunked-truncated",
    )
)
"""Causes by which a server shows that it is stopped, restarting, hanging or cut off."""
REUSE: Final = frozenset(("closed-on-reuse", "reset-on-reuse", "send-reset-reused"))
"""Causes that say only that a kept connection was closed."""
NO_SERVER: Final = frozenset(("no-healthy-server", "circuit-open"))
"""Causes that follow from earlier failures: no server was asked, because of them."""
ACCOMPANYING: Final = REUSE | NO_SERVER
TOGETHER: Final = 120.0
"""Seconds within which servers begin to fail together."""
_REMEMBERED: Final = 50_000
"""Keys of resolved incidents that may be reopened."""

Key = tuple[str, str, str, str]
"""Upstream, server, cause, phase."""
Claim = tuple[str, str, str]
"""Upstream, server, family of causes: at most one open incident has it."""


class Grouped(Protocol):
    """What grouping knows of an open incident."""

    id: str
    upstream: str
    joined: float  # when it began, was reopened, or a server joined it
    last: float

    def leads(self) -> bool:
        """Return whether one of its causes is more than an accompanying one."""
        ...

    def has_cause(self, cause: str, phase: str) -> bool:
        """Return whether it has this cause."""
        ...

    def has_server(self, server: str) -> bool:
        """Return whether this server is in it."""
        ...

    def only_unasked(self) -> bool:
        """Return whether no server was asked in any of its failures."""
        ...


def family(cause: str, phase: str) -> str:
    """Return the name that causes share which belong together at one server."""
    if cause in LIVENESS:
        return "liveness"
    if cause in REUSE:
        return "reuse"
    return f"{cause}/{phase}"


def reopening_keys(keys: Iterable[Key]) -> list[Key]:
    """Return by which failures an incident is reopened: not by a kept connection that closes, unless that was all there was."""
    known = list(keys)
    leading = [key for key in known if key[2] not in REUSE]
    return leading or known


class Board:
    """Open incidents, and the keys of those that may be reopened."""

    def __init__(self) -> None:
        self._claims: dict[Claim, str] = {}
        self._open: dict[str, dict[str, Grouped]] = {}  # by upstream, by id
        self._ended: OrderedDict[Key, tuple[str, float]] = OrderedDict()

    def find(self, failure: Failure, at: float) -> tuple[str | None, bool]:
        """Return the incident that failures belong to, and whether it has claimed them.

        It may have to be reopened. None where it is a new one.
        """
        claimed = self._claims.get((failure.upstream, failure.server, family(failure.cause, failure.phase)))
        if claimed is not None:
            return claimed, True
        ended = self._ended.get(failure.key)
        if ended is not None and ended[1] > at:
            return ended[0], False
        around = self._open.get(failure.upstream)
        return (self._related(failure, at, around) if around else None), False

    def _related(self, failure: Failure, at: float, around: dict[str, Grouped]) -> str | None:
        if failure.cause in NO_SERVER and not failure.server:
            leading = [one for one in around.values() if one.leads()]
            if leading:
                return max(leading, key=lambda one: one.last).id
        if failure.cause in REUSE:
            down = self._claims.get((failure.upstream, failure.server, "liveness"))
            if down is not None:
                return down
        together = [one for one in around.values() if abs(at - one.joined) <= TOGETHER and _joins(failure, one)]
        return max(together, key=lambda one: one.joined).id if together else None

    def claim(self, incident: Grouped, key: Key) -> None:
        """An open incident has failures of this key."""
        upstream, server, cause, phase = key
        self._claims[upstream, server, family(cause, phase)] = incident.id
        self._open.setdefault(upstream, {})[incident.id] = incident

    def is_claimed(self, key: Key) -> bool:
        """Return whether an open incident has failures of this key, or of its family."""
        upstream, server, cause, phase = key
        return (upstream, server, family(cause, phase)) in self._claims

    def close(self, incident: Grouped, keys: Iterable[Key], until: float) -> None:
        """An incident was resolved: its keys are free, and reopen it until then."""
        known = list(keys)
        for upstream, server, cause, phase in known:
            claim = (upstream, server, family(cause, phase))
            if self._claims.get(claim) == incident.id:
                del self._claims[claim]
        around = self._open.get(incident.upstream, {})
        around.pop(incident.id, None)
        if not around:
            self._open.pop(incident.upstream, None)
        self.remember(incident.id, known, until)

    def remember(self, id: str, keys: Iterable[Key], until: float) -> None:
        """Failures of these keys reopen a resolved incident until then."""
        for key in reopening_keys(keys):
            self._ended[key] = (id, until)
            self._ended.move_to_end(key)
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def forget(self, now: float, most: int = 1000) -> None:
        """Forget some keys that reopen nothing any more: those remembered longest are looked at."""
        for _ in range(min(most, len(self._ended))):
            key, (_, until) = next(iter(self._ended.items()))
            if until > now:
                return
            del self._ended[key]

    def disown(self, id: str, key: Key) -> None:
        """A resolved incident is no longer there to be reopened."""
        if self._ended.get(key, ("",))[0] == id:
            del self._ended[key]


def _joins(failure: Failure, incident: Grouped) -> bool:
    if failure.server and incident.has_cause(failure.cause, failure.phase):
        return True
    explains = failure.cause not in ACCOMPANYING and not incident.leads()
    return explains and (incident.only_unasked() or incident.has_server(failure.server))
