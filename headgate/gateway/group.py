"""The servers of one upstream: which of them may be used now, and which is next.

What may be used is worked out when a server's state or share changes, never per request. A server's state has three witnesses
(traffic/health.py): what this worker sees of its traffic is added here, the rest comes from the control process.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..config import schema
from ..config.forms import statuses
from ..render.server_timing import server_timing
from ..traffic.balance import KEYED, POLICIES, Only, Policy
from ..traffic.ejection import Ejection, Outliers
from ..traffic.gaugenames import idle
from ..traffic.health import TRAFFIC, Health
from ..traffic.latency import fade, observe
from ..traffic.priority import usable
from ..traffic.sticky import Sticky
from ..wire.fields import find
from .gate import Gate
from .pool import Server
from .retrying import Retrying
from .servers import tls_files

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

DOUBT: Final = 3
"""Failures of a server in a row after which it gets a tenth of its share, until it answers somebody. That is no ejection, for
which one client with one bad path must not be enough, but keeps a server that fails everything from using up the retries."""
HEAVIEST: Final = 1000
"""Largest weight of a server."""
STEPS: Final = 10
"""Shares of a server for each unit of its weight; slow start gives it one more with each tenth of its time."""


class Group:
    """One upstream of the configuration."""

    __slots__ = (
        "_attends", "_key", "_plain", "_policy", "_shares", "_told", "attentive", "bad_statuses", "checks_bodies", "clock",
        "gate", "name", "notes", "outliers", "panic", "replaced", "requests", "retries", "retries_refused",
        "retrying", "servers", "serving", "settings", "sticky", "timed", "tls_files", "usable", "worker",
    )  # fmt: skip

    servers: list[Server]
    retrying: Retrying
    requests: int  # ever, as the next two; those of the groups before included
    retries: int
    retries_refused: int  # for want of budget

    def __init__(
        self, name: str, settings: schema.Upstream, worker: "Worker", servers: list[Server], before: "Group | None" = None
    ) -> None:
        """servers: those of the settings, in their order; some may have served an earlier configuration, in the group before."""
        self.name = name
        self.settings = settings
        self.worker = worker
        self.clock = worker.clock
        self.tls_files = tls_files(settings.tls)
        self.heed(worker.limits)
        self.bad_statuses = statuses(settings.ejection.statuses)
        self.timed = settings.policy == "peak-ewma"
        self.retrying = Retrying.like(settings.retry, before.retrying if before is not None else None)
        self.sticky = _sticky(settings, worker)
        self.servers = servers
        self.serving = worker.public.serving(name)  # what visitors saw of it
        self.usable: list[Server] = []
        self.notes = False  # there is something to be told beside responses
        self.panic = False  # no server looks usable, so all are asked
        self.requests = before.requests if before is not None else 0
        self.retries = before.retries if before is not None else 0
        self.retries_refused = before.retries_refused if before is not None else 0
        self.replaced = False  # by a group of a later configuration
        rules = settings.ejection
        self.outliers = Outliers(
            max(1, round(rules.window)), rules.failures, rules.share, rules.connects, 2 * rules.failures,
            rules.base, rules.longest, rules.most,
        )  # fmt: skip
        self._key = _key_of(settings.hash_on) if settings.policy in KEYED and settings.hash_on is not None else None
        self._plain = self.sticky is None and self._key is None
        self._policy: Policy[Server] | None = None
        self._shares: list[tuple[Server, int]] = []  # what the policy was made of
        self._told = False  # the control process said how the servers are
        for server, about in zip(servers, settings.servers, strict=True):
            self._join(server, about)
        self.gate = Gate.of(self)
        self._attends = self.timed or self.gate is not None or bool(self.bad_statuses)  # each response has to be told of
        self.attentive = self._attends or self.serving.run > 0  # so does the first after failures
        self._arrange()

    def _join(self, server: Server, settings: schema.Server) -> None:
        """Make a server one of this group: its share, its place, and what is known of its health so far."""
        server.weight, server.priority = settings.weight, settings.priority
        server.share = settings.weight * STEPS
        server.record = self.outliers.join(server.label)
        checks = self.settings.health
        server.health = Health(self.worker.wall(), checks is not None, checks.initial if checks is not None else "up")
        if settings.down:
            server.health.hear("maintenance", "down = true in the configuration", self.worker.wall())
        if self.sticky is not None:
            server.sticky_id = self.sticky.server_id(server.label)
        counting, most, keeps = self.worker.counting, self.settings.max_connections, server.settings.connections
        if most:
            server.limit_idle(min(keeps, most // counting.workers), counting.of(idle(self.name, server.label)))
        else:
            server.limit_idle(keeps, None)

    def heed(self, limits: schema.Limits) -> None:
        """Take over what the limits of the gateway mean here."""
        # Bodies are looked at on their way through, rather than only moved.
        self.checks_bodies = self.settings.check_content_coding or limits.response_body_bytes > 0

    def leave(self) -> None:
        """Another group takes the place of this one: what runs ends here, and further tries are made there."""
        self.replaced = True

    # Choosing.

    def pick(self, flow: "Ending") -> Server | None:
        """Return the server for the next try, one that was not tried where there is one; None when no server may be used."""
        policy = self._policy
        if policy is None:
            return self._bound(flow)  # a server that is drained still serves those that are bound to it
        if flow.tried:
            return self._another(flow, policy)
        return policy.pick() if self._plain else self._placed(flow, policy)

    def _placed(self, flow: "Ending", policy: Policy[Server]) -> Server:
        """Return the server that this client, or this request, belongs to."""
        return self._bound(flow) or policy.pick(self._key(flow) if self._key is not None else b"")

    def _bound(self, flow: "Ending") -> Server | None:
        """Return the server that the client's cookie binds it to, None without one or when that may not be asked."""
        bound = self.sticky.server_of(_cookies(flow)) if self.sticky is not None else None
        if bound is None:
            return None
        return next((server for server in self.servers if server.sticky_id == bound and server.health.bound), None)

    def _another(self, flow: "Ending", policy: Policy[Server]) -> Server:
        tried = flow.tried
        server = policy.pick_other(self._key(flow) if self._key is not None else b"", tried)
        if server not in tried:
            return server
        spare = [other for other in self.servers if other.health.last_resort and other not in tried]
        if not spare:
            return server
        return min(spare, key=lambda other: (not other.health.usable, other.priority, other.busy / other.share))

    def beside(self, flow: "Ending") -> Server | None:
        """Return a usable server for a second try beside the one under way, None when there is no other."""
        taken = [*flow.tried, flow.server]
        others = [server for server in self.usable if server not in taken]
        return min(others, key=lambda server: server.busy / server.share) if others else None

    def notes_for(self, flow: "Ending") -> bytes:
        """Return header lines to be told beside a response: the server the client is bound to; for those who may know, more."""
        lines, server = b"", flow.server
        assert server is not None
        if self.sticky is not None and self.sticky.server_of(_cookies(flow)) != server.sticky_id:
            lines = b"Set-Cookie: %b\r\n" % self.sticky.set_cookie(server.sticky_id)
        if flow.trusted:
            lines += server_timing(flow, flow.attempt.t_head)
        if self.panic and flow.trusted:
            lines += b"Headgate-Notice: fail-open; every server of this upstream looks down\r\n"
        return lines

    def elsewhere(self, tried: Sequence[Server]) -> bool:
        """Tell whether there is a server that was not tried yet."""
        return any(server.health.last_resort and server not in tried for server in self.servers)

    def host_for(self, told: bytes, server: Server) -> bytes:
        """Return the Host that a server gets. told: what the client said."""
        policy = self.settings.host
        if policy == "pass" and told:
            return told
        return server.target.authority if policy in ("server", "pass") else policy.encode()

    # What traffic shows.

    def good(self, server: Server, now: float, seconds: float) -> None:
        """A server answered, after so many seconds. Told at once where it matters, else once a second (`turn`)."""
        if self.replaced:
            return  # it is in `server.answered`, for those who decide now
        self._settle(server, now)
        if server.suspect:
            server.suspect = False
            if self._warm(server, now):
                self._arrange()
        if self.timed:
            server.cost = observe(server.cost, seconds, now - server.cost_at)
            server.cost_at = now

    def bad(self, server: Server, flow: "Ending", now: float, unsent: bool) -> None:
        """A request failed on the server's account. unsent: before anything of it was sent."""
        server.failed += 1
        if self.replaced or server.retired:
            return  # those who decide now have seen nothing of it
        self._settle(server, now)
        server.suspect = True
        if not self.settings.ejection.enabled:
            return
        ejection = self.outliers.bad(server.record, now, flow.client, flow.path, unsent)
        if ejection is not None:
            self._eject(server, ejection)
            self.worker.tell({"ejected": self.name, "server": server.label, "until": ejection.until, "why": ejection.why})
        elif server.record.run == DOUBT and self._warm(server, now):
            self._arrange()

    def waited(self, server: Server, now: float, seconds: float) -> None:
        """A try ended without an answer: its server is at least as slow as that."""
        if self.timed and seconds > server.cost:
            server.cost, server.cost_at = seconds, now

    def _eject(self, server: Server, ejection: Ejection) -> None:
        server.ejected_at = self.clock()
        server.health.hear("ejected", ejection.why, self.worker.wall())
        self.worker.recorder.note(f"{self.name}: {server.label} is ejected for {ejection.seconds:.0f} s: {ejection.why}")
        self._arrange()

    def _settle(self, server: Server, now: float) -> None:
        """Count what a server answered."""
        if server.answered:
            self.outliers.good(server.record, now, server.answered)
            self.attentive = self._attends
            self.serving.answered(now, server.answered)
            server.answered = 0

    def attend(self, now: float) -> None:
        """A visitor got an error: what was answered before is settled, and who is served next is to be told of at once."""
        if not self.attentive:
            for server in self.servers:
                self._settle(server, now)
        self.attentive = True

    def turn(self) -> None:
        """Do what has to be done about once a second: ejections end, servers warm up, what is known grows old."""
        now = self.clock()
        self.retrying.settle(now)
        for record in self.outliers.over(now):
            server = next(server for server in self.servers if server.record is record)
            self._back(server, now, "the ejection is over")
        warming = False
        for server in self.servers:
            server.refresh()
            self._settle(server, now)
            warming = self._warm(server, now) or warming
            if self.timed and not server.busy and now - server.cost_at > 1.0:
                server.cost = fade(server.cost, now - server.cost_at)
                server.cost_at = now
        if warming:
            self._arrange()

    def _back(self, server: Server, now: float, why: str) -> None:
        server.suspect = True
        server.health.hear("ejection-over", why, self.worker.wall())
        if server.health.usable:
            server.warm_since = now
        self._warm(server, now)
        self._arrange()

    def _warm(self, server: Server, now: float) -> bool:
        """Give a server its share; True while slow start changes it."""
        slow = self.settings.slow_start
        passed = now - server.warm_since
        warm = slow is None or server.warm_since < 0 or passed >= slow
        if warm:
            server.warm_since = -1.0
        steps = STEPS if warm or slow is None else 1 + int(passed / slow * STEPS)
        share = server.weight * (1 if server.record.run >= DOUBT else steps)
        changed, server.share = server.share != share, share
        return changed

    # What the control process says.

    def understand(self, states: Any) -> "list[tuple[Server, Told]]":
        """Read what is told of the servers: label → what `Told.of` reads. Raises KeyError, TypeError or ValueError."""
        if not isinstance(states, Mapping):
            raise TypeError(f"{self.name}: what is told of its servers is no object")
        return [(server, Told.of(states[server.label])) for server in self.servers if server.label in states]

    def told(self, states: "Sequence[tuple[Server, Told]]") -> None:
        """Take over what is known of the servers (`understand`)."""
        now = self.clock()
        for server, state in states:
            was = server.health.usable
            self._take(server, state, now)
            if server.health.usable and not was and self._told:
                server.warm_since = now
            self._warm(server, now)
        self._told = True
        self._arrange()

    def _take(self, server: Server, state: "Told", now: float) -> None:
        """Take over what is known of one server; an ejection of this worker's own, which they may not know of yet, stays."""
        record, health = server.record, state.health
        if health.says(TRAFFIC) == "ejected":
            record.until = max(record.until, state.until)
        elif record.until > now and server.ejected_at > state.pardoned:
            health.hear("ejected", server.health.why, self.worker.wall())
        elif record.until:
            served_out = record.until <= now
            self.outliers.release(record, now)
            record.trial = server.suspect = served_out  # who was pardoned is not on trial
        server.health, server.weight = health, state.weight

    def _arrange(self) -> None:
        """Make the list of usable servers anew, and the policy over it where that has changed."""
        for server in self.servers:
            server.record.barred = not server.health.usable and not server.record.until
        chosen = usable(self.servers, lambda server: server.health.usable, lambda server: server.health.last_resort)
        if chosen.panic != self.panic:
            self.panic = chosen.panic
            self.worker.recorder.note(
                f"{self.name}: every server looks down, so all are asked all the same (fail open)"
                if self.panic
                else f"{self.name}: {'a server is up again' if chosen.servers else 'no server may be asked any more'}"
            )
        self.notes = self.panic or self.sticky is not None
        self.usable = chosen.servers
        shares = [(server, server.share) for server in self.usable]
        if shares != self._shares:
            self._shares = shares
            self._policy = self._make_policy()

    def _make_policy(self) -> Policy[Server] | None:
        if not self.usable:
            return None
        return Only(self.usable) if len(self.usable) == 1 else POLICIES[self.settings.policy](self.usable)

    def describe(self) -> list[dict[str, str]]:
        """Return each server and why it cannot be used, as evidence."""
        return [{"server": s.label, "state": s.health.state, "why": s.health.why} for s in self.servers]


class Told(NamedTuple):
    """What the control process knows of one server."""

    health: Health
    weight: int
    until: float  # end of an ejection, monotonic seconds; 0: none
    pardoned: float  # when an ejection was last ended before its time; 0: never

    @staticmethod
    def of(data: Any) -> "Told":
        """Read one from what JSON has. Raises KeyError, TypeError or ValueError for what makes no sense."""
        weight, until, pardoned = data["weight"], float(data["until"]), float(data["pardoned"])
        if type(weight) is not int or not 1 <= weight <= HEAVIEST:
            raise ValueError(f"a server's weight is a whole number from 1 to {HEAVIEST}, not {weight!r:.40}")
        if not (0 <= until < inf and 0 <= pardoned < inf):
            raise ValueError(f"times of an ejection are seconds from 0 on, not {until} and {pardoned}")
        return Told(Health.of(data["health"]), weight, until, pardoned)


def _sticky(settings: schema.Upstream, worker: "Worker") -> Sticky | None:
    chosen = settings.sticky
    if chosen is None:
        return None
    age = max(1, round(chosen.max_age)) if chosen.max_age is not None else None
    return Sticky(chosen.cookie, worker.counting.secret, max_age=age, secure=worker.secured)


def _key_of(hash_on: str) -> Callable[["Ending"], bytes]:
    """Return how the key of consistent hashing is read from a request; b"" where a request has none."""
    kind, _, name = hash_on.partition(":")
    field = name.encode()
    if kind == "client":
        return lambda flow: flow.client.encode()
    if kind == "path":
        return lambda flow: flow.path
    if kind == "header":
        return lambda flow: find(flow.raw, field) or b""
    return lambda flow: _cookie_value(_cookies(flow)[0], field)


def _cookies(flow: "Ending") -> tuple[bytes]:
    return (find(flow.raw, b"cookie") or b"",)


def _cookie_value(field: bytes, name: bytes) -> bytes:
    """Return the value of a cookie as it stands, b"" where there is none (RFC 6265 section 4.2.1)."""
    for pair in field.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value
    return b""
