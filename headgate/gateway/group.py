"""The servers of one upstream: which of them may be used now, and which is next.

What may be used is worked out when a server's state or share changes, never per request. A server's state has three witnesses
(traffic/health.py): what this worker sees of its traffic is added here, the rest comes from the control process.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..config import schema
from ..config.forms import statuses
from ..traffic.balance import KEYED, POLICIES, Only, Policy
from ..traffic.ejection import Ejection, Outliers
from ..traffic.health import TRAFFIC, Health
from ..traffic.latency import fade, observe
from ..traffic.priority import usable
from ..traffic.sticky import Sticky
from ..wire.fields import find
from .gate import Gate
from .pool import Server
from .retrying import Retrying

if TYPE_CHECKING:
    from .ending import Ending
    from .worker import Worker

DOUBT: Final = 3
"""Failures of a server in a row after which it gets a tenth of its share, until it answers somebody. That is no ejection, for
which one client with one bad path must not be enough, but keeps a server that fails everything from using up the retries."""
STEPS: Final = 10
"""Shares of a server for each unit of its weight; slow start gives it one more with each tenth of its time."""


class Group:
    """One upstream of the configuration."""

    __slots__ = (
        "_key", "_plain", "_policy", "_told", "attentive", "bad_statuses", "checks_bodies", "clock", "gate", "name", "notes",
        "outliers", "panic", "requests", "retrying", "servers", "settings", "sticky", "timed", "usable", "worker",
    )  # fmt: skip

    def __init__(self, name: str, settings: schema.Upstream, worker: "Worker", servers: Sequence[Server]) -> None:
        """servers: those of the settings, in their order; some may have served an earlier configuration."""
        self.name = name
        self.settings = settings
        self.worker = worker
        self.clock = worker.clock
        # Bodies are looked at on their way through, rather than only moved.
        self.checks_bodies = settings.check_content_coding or worker.limits.response_body_bytes > 0
        self.bad_statuses = statuses(settings.ejection.statuses)
        self.timed = settings.policy == "peak-ewma"
        self.retrying = Retrying(settings.retry)
        self.sticky = _sticky(settings, worker)
        self.servers = servers
        self.usable: list[Server] = []
        self.notes = False  # there is something to be told beside responses
        self.panic = False  # no server looks usable, so all are asked
        self.requests = 0
        rules = settings.ejection
        self.outliers = Outliers(
            max(1, round(rules.window)), rules.failures, rules.share, rules.connects, 2 * rules.failures,
            rules.base, rules.longest, rules.most,
        )  # fmt: skip
        self._key = _key_of(settings.hash_on) if settings.policy in KEYED and settings.hash_on is not None else None
        self._plain = self.sticky is None and self._key is None
        self._policy: Policy[Server] | None = None
        self._told = False  # the control process said how the servers are
        for server, about in zip(servers, settings.servers, strict=True):
            self._join(server, about)
        self.gate = Gate.of(self)
        self.attentive = self.timed or self.gate is not None or bool(self.bad_statuses)  # each response has to be told of
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

    # Choosing.

    def pick(self, flow: "Ending") -> Server | None:
        """Return the server for the next try, one that was not tried where there is one; None when no server may be used."""
        policy = self._policy
        if policy is None:
            return None
        if flow.tried:
            return self._another(flow, policy)
        return policy.pick() if self._plain else self._placed(flow, policy)

    def _placed(self, flow: "Ending", policy: Policy[Server]) -> Server:
        """Return the server that this client, or this request, belongs to."""
        if self.sticky is not None:
            bound = self.sticky.server_of(_cookies(flow))
            if bound is not None:
                for server in self.servers:
                    if server.sticky_id == bound and server.health.bound:
                        return server
        return policy.pick(self._key(flow) if self._key is not None else b"")

    def _another(self, flow: "Ending", policy: Policy[Server]) -> Server:
        tried = flow.tried
        server = policy.pick_other(self._key(flow) if self._key is not None else b"", tried)
        if server not in tried:
            return server
        spare = [other for other in self.servers if other.health.last_resort and other not in tried]
        return min(spare, key=lambda other: other.busy / other.share) if spare else server

    def beside(self, flow: "Ending") -> Server | None:
        """Return a usable server for a second try beside the one under way, None when there is no other."""
        taken = [*flow.tried, flow.server]
        others = [server for server in self.usable if server not in taken]
        return min(others, key=lambda server: server.busy / server.share) if others else None

    def notes_for(self, flow: "Ending") -> bytes:
        """Return header lines to be told beside a response: the server the client is bound to; that all look down."""
        lines, server = b"", flow.server
        assert server is not None
        if self.sticky is not None and self.sticky.server_of(_cookies(flow)) != server.sticky_id:
            lines = b"Set-Cookie: %b\r\n" % self.sticky.set_cookie(server.sticky_id)
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

    def _eject(self, server: Server, ejection: Ejection) -> None:
        server.ejected_at = self.clock()
        server.health.hear("ejected", ejection.why, self.worker.wall())
        self.worker.recorder.note(f"{self.name}: {server.label} is ejected for {ejection.seconds:.0f} s: {ejection.why}")
        self._arrange()

    def _settle(self, server: Server, now: float) -> None:
        """Count what a server answered."""
        if server.answered:
            self.outliers.good(server.record, now, server.answered)
            server.answered = 0

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

    def told(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what is known of the servers: label → {"health": snapshot, "weight": number,
        "until": end of an ejection, "pardoned": when one was last ended before its time}; both monotonic seconds, 0 for none.

        Raises KeyError, TypeError or ValueError for what makes no sense.
        """
        now = self.clock()
        for server in self.servers:
            if (state := states.get(server.label)) is not None:
                was, why = server.health.usable, server.health.why
                self._take(server, state, now, why)
                if server.health.usable and not was and self._told:
                    server.warm_since = now
                self._warm(server, now)
        self._told = True
        self._arrange()

    def _take(self, server: Server, state: Mapping[str, Any], now: float, why: str) -> None:
        """Take over what is known of one server; an ejection of this worker's own, which they may not know of yet, stays."""
        health = Health.of(state["health"])
        weight, until, pardoned = int(state["weight"]), float(state["until"]), float(state["pardoned"])
        record = server.record
        if health.says(TRAFFIC) == "ejected":
            record.until = max(record.until, until)
        elif record.until > now and server.ejected_at > pardoned:
            health.hear("ejected", why, self.worker.wall())
        elif record.until:
            self.outliers.release(record, now)
        server.health, server.weight = health, weight

    def _arrange(self) -> None:
        """Make the list of usable servers, and the policy over it, anew."""
        for server in self.servers:
            server.record.barred = server.health.says(TRAFFIC) != "ejected" and not server.health.usable
        chosen = usable(self.servers, lambda server: server.health.usable, lambda server: server.health.last_resort)
        if chosen.panic != self.panic:
            self.panic = chosen.panic
            self.worker.recorder.note(
                f"{self.name}: every server looks down, so all are asked all the same (fail open)"
                if self.panic
                else f"{self.name}: a server is up again"
            )
        self.notes = self.panic or self.sticky is not None
        self.usable = chosen.servers
        if not self.usable:
            self._policy = None
        elif len(self.usable) == 1:
            self._policy = Only(self.usable)
        else:
            self._policy = POLICIES[self.settings.policy](self.usable)

    def describe(self) -> list[dict[str, str]]:
        """Return each server and why it cannot be used, as evidence."""
        return [{"server": s.label, "state": s.health.state, "why": s.health.why} for s in self.servers]


def _sticky(settings: schema.Upstream, worker: "Worker") -> Sticky | None:
    chosen = settings.sticky
    if chosen is None:
        return None
    age = round(chosen.max_age) if chosen.max_age is not None else None
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
