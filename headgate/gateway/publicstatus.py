"""What a worker tells visitors of its upstreams: whether they work again, since when, until when, and that people are on it.

It knows what its own visitors saw. The control process adds what those of the other workers saw, and what operators said; without
it, a worker goes by its own. Visitors name an upstream, or a route, by a token that tells nobody else which one it is.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from ..config.schema import Config
from ..config.statuspage import OFF
from ..model.exchange import Exchange
from ..render.view import Trouble
from ..traffic.health import CHECKS
from ..traffic.serving import Evidence, Serving, is_disturbed, is_down, packed, together, works

if TYPE_CHECKING:
    from .ending import Ending
    from .group import Group
    from .worker import Worker

_TOKEN: Final = 12
"""Bytes of a token."""
_STALE: Final = 60.0
"""Seconds after which what the control process said of people and their plans holds no more: it repeats it sooner."""
_EVERY: Final = 1.0
"""Seconds between two words to the control process of the same trouble."""
_RECOVERING: Final = 30.0
"""Seconds for which an upstream that was broken counts as disturbed."""
_SAYS_SO: Final = (502, 503, 504)
"""Statuses that mean trouble also when it was a server that sent them."""
_STOPPING: Final = "gateway-stopping"
WORKING, DISTURBED, DOWN, MAINTENANCE = "working", "disturbed", "down", "maintenance"


class Condition(NamedTuple):
    """How an upstream or a route is, for visitors. Times are wall-clock seconds, 0: not known."""

    state: str  # WORKING, DISTURBED (works, for most), DOWN or MAINTENANCE
    working: bool  # the next visitor is probably served
    since: int = 0
    expected: int = 0
    acknowledged: bool = False


class Word(NamedTuple):
    """What the control process says of an upstream. Times are wall-clock seconds."""

    others: Evidence = Evidence()
    begun: float = 0.0
    expected: float = 0.0
    acknowledged: bool = False

    @staticmethod
    def of(data: Any) -> "Word":
        """Read one from JSON. Raises KeyError, TypeError or ValueError for what is none."""
        begun, expected = float(data["begun"]), float(data["expected"])
        if not (isfinite(begun) and isfinite(expected)):
            raise ValueError("times are finite")
        return Word(Evidence.of(data["others"]), begun, expected, bool(data["acknowledged"]))


_NOTHING: Final = Word()


class Public:
    """What one worker knows for visitors."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self._key = blake2b(worker.counting.secret).digest()
        self._serving: dict[str, Serving] = {}
        self._words: dict[str, Word] = {}
        self.days: dict[str, dict[int, int]] = {}  # minutes with failures, by upstream and day since 1970
        self.first_day = 0  # before it nothing is known
        self._heard = 0.0
        self._broken: dict[str, float] = {}  # when it was last seen not to work
        self._ready: dict[bytes, tuple[Condition, bytes]] = {}  # the last answer by token
        self._announced: set[str] = set()  # upstreams in trouble, as the control process was told
        self._settled = 0.0
        self._subjects: dict[bytes, tuple[str, str]] = {}  # token → route and upstream
        self._of_upstream: dict[str, bytes] = {}  # name → token
        self._of_route: dict[str, bytes] = {}
        self._maintained: frozenset[str] = frozenset()  # routes
        self._path = ""

    def serving(self, name: str) -> Serving:
        """Return what is seen of an upstream, which outlives its groups."""
        return self._serving.setdefault(name, Serving())

    def apply(self, config: Config) -> None:
        """Take over what the configuration says."""
        path = config.gateway.status.path
        self._path = "" if path == OFF else quote(path, errors="surrogateescape")
        self._maintained = frozenset(route.label for route in config.route if route.maintenance)
        self._of_upstream = {name: self._token(b"upstream", name) for name in config.upstream}
        self._of_route = {route.label: self._token(b"route", route.label) for route in config.route}
        self._subjects = {token: ("", name) for name, token in self._of_upstream.items()}
        self._subjects |= {self._of_route[route.label]: (route.label, route.upstream or "") for route in config.route}
        self._ready.clear()
        for name in set(self._serving) - set(config.upstream):
            del self._serving[name]
        self._words = {name: word for name, word in self._words.items() if name in config.upstream}

    def _token(self, kind: bytes, name: str) -> bytes:
        text = name.encode("utf-8", "surrogateescape")
        return urlsafe_b64encode(blake2b(text, digest_size=_TOKEN, key=self._key, person=b"status " + kind).digest())

    # Seeing.

    def ended(self, flow: "Ending") -> None:
        """Take in an exchange of which something failed: whether its visitor noticed."""
        cause = flow.cause
        if not flow.upstream or (cause is None and flow.status not in _SAYS_SO) or flow.outcome == "gone":
            return
        if cause is not None and (cause.fault == "client" or cause.code == _STOPPING or cause.status < 500):
            return
        group = self._worker.groups.get(flow.upstream)
        if group is not None:
            group.attend(flow.t_end)
            group.serving.failed(flow.t_end)

    def take(self) -> dict[str, Any] | None:
        """Return what the control process is to be told now, as JSON has it; None for nothing. Called a few times a second.

        Trouble is told of once a second, that it is over at once, and its end until somebody has heard it.
        """
        now, groups = self._worker.clock(), self._worker.groups
        due = {name for name, serving in self._serving.items() if serving.news}
        if now - self._settled >= _EVERY:
            self._settled = now
            due |= self._announced
            due.update(name for name, word in self._words.items() if word.others.failed)  # they need to know of successes here
            due.update(name for name in self._serving if self._settle(name, now))
            due.update(name for name, group in groups.items() if group.panic)
        if not due:
            return None
        found = {name: self._serving[name].told() for name in due if name in self._serving}
        panics = {name for name in found if name in groups and groups[name].panic}
        self._announced = (self._announced - due) | {name for name, seen in found.items() if seen.failed} | panics
        return {name: packed(seen) for name, seen in found.items()}

    def _settle(self, name: str, now: float) -> bool:
        """Forget trouble of an upstream that is over; return whether there is any."""
        serving = self._serving[name]
        return serving.settle(together((serving.evidence(), self._words.get(name, _NOTHING).others), now), now)

    def told(self, message: Mapping[str, Any]) -> None:
        """Take over what the control process says. Raises AttributeError, KeyError, TypeError or ValueError for nonsense."""
        words = {str(name): Word.of(data) for name, data in message["upstreams"].items()}
        days = {str(name): {int(day): int(minutes) for day, minutes in of} for name, of in message["days"].items()}
        self._words = {name: word for name, word in words.items() if name in self._worker.config.upstream}
        self.first_day, self.days = int(message["first_day"]), days
        self._heard = self._worker.clock()

    # Telling.

    def trouble(self, flow: Exchange) -> Trouble:
        """Return what the error page of an exchange may ask, and tell at once."""
        maintained = flow.route in self._maintained
        token = self._of_route.get(flow.route) if maintained else self._of_upstream.get(flow.upstream)
        if not token or not self._path:
            return Trouble()
        now = self.condition(flow.route if maintained else "", flow.upstream)
        since, expected = rfc3339(now.since), rfc3339(now.expected)
        return Trouble(f"{self._path}?of={token.decode()}", since or "", expected or "", now.acknowledged)

    def condition(self, route: str, upstream: str) -> Condition:
        """Return how a route (of this upstream) or, without one, an upstream is."""
        group = self._worker.groups.get(upstream)
        if route in self._maintained:
            return Condition(MAINTENANCE, False)
        return self._of_group(group) if group is not None else Condition(WORKING, True)

    def _of_group(self, group: "Group") -> Condition:
        now = self._worker.clock()
        word = self._words.get(group.name, _NOTHING)
        said = word if now - self._heard < _STALE else _NOTHING
        seen = together((group.serving.evidence(), word.others), now)
        latest = max(server.health.since for server in group.servers)
        if not group.usable:  # an administrator took all of them out
            return Condition(MAINTENANCE, False, int(latest), self._expected(said, 0.0), said.acknowledged)
        begun = [int(at) for at in (self._wall(seen.begun), said.begun) if at]
        shut = group.gate.shut_for(now) if group.gate is not None else 0.0
        proved = seen.answered > seen.failed and now - seen.answered < _RECOVERING
        if shut or (group.panic and not proved) or not (works(seen, now) or _checked(group, self._wall(seen.failed))):
            self._broken[group.name] = now
            if group.panic:
                begun.append(int(latest))
            down = bool(shut) or group.panic or is_down(seen)
            expected = self._expected(said, self._wall(now + shut if shut else _end_of_ejections(group)))
            return Condition(DOWN if down else DISTURBED, False, min(begun, default=0), expected, said.acknowledged)
        if is_disturbed(seen, now) or now - self._broken.get(group.name, -_RECOVERING) < _RECOVERING:
            return Condition(DISTURBED, True, min(begun, default=0), 0, said.acknowledged)
        return Condition(WORKING, True)

    def _wall(self, at: float) -> float:
        """Return the wall-clock seconds of a monotonic time; 0 for 0."""
        return self._worker.wall() + at - self._worker.clock() if at else 0.0

    def _expected(self, said: Word, known: float) -> int:
        """Return what an operator expects, or else what is known; nothing that is over."""
        now = self._worker.wall()
        return next((int(at) for at in (said.expected, known) if at > now), 0)

    def answer(self, token: bytes) -> tuple[bytes, bool] | None:
        """Return the JSON for a token, and whether its visitor may try for itself; None for a token that names nothing."""
        subject = self._subjects.get(token)
        if subject is None:
            return None
        condition = self.condition(*subject)
        known, text = self._ready.get(token, (None, b""))
        if known != condition:
            text = _json(condition)
            self._ready[token] = (condition, text)
        return text, not condition.working and condition.state != MAINTENANCE and self._may_be_tried(subject[1])

    def _may_be_tried(self, name: str) -> bool:
        group, now = self._worker.groups[name], self._worker.clock()
        if group.gate is not None and group.gate.shut_for(now):
            return False
        word = self._words.get(name, _NOTHING)
        return group.serving.may_be_tried(together((group.serving.evidence(), word.others), now), now)


def _checked(group: "Group", failed: float) -> bool:
    """Tell whether a server came up by its active checks since the last failure (wall-clock seconds)."""
    return group.settings.health is not None and any(
        server.health.usable and server.health.says(CHECKS) == "passing" and server.health.since > failed
        for server in group.servers
    )


def _end_of_ejections(group: "Group") -> float:
    """Return when the first server comes back by itself; 0 where one could be asked, or none will."""
    if any(server.health.usable for server in group.servers):
        return 0.0
    return min((server.record.until for server in group.servers if server.record.until), default=0.0)


def _json(condition: Condition) -> bytes:
    told = {
        "working": condition.working,
        "since": rfc3339(condition.since),
        "expected": rfc3339(condition.expected),
        "acknowledged": condition.acknowledged,
    }
    return json.dumps(told).encode()


def rfc3339(at: int) -> str | None:
    """Return wall-clock seconds as a time that JSON holds; None for 0."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at > 0 else None
