"""Owns who is told of what: each change of an incident, and each share of failures, by the rules of [[notify]], once.

A silenced incident is told to nobody, an acknowledged one only when it gets worse or is over. Where an alert was opened it is
closed, whatever the rules say of its end: an alert that stays open for ever is worse than one message too many.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..config.notify import Destination, Notify
from ..render.incident import latest_verdict
from .courier import Courier
from .lane import Lane
from .message import (
    ACKNOWLEDGED,
    CHANGED,
    INCIDENT,
    LASTING,
    OPENED,
    RESOLVED,
    SHARE,
    WORSE,
    Message,
    about,
    slim,
)  # fmt: skip
from .share import Share, Traffic, fits, name_of

_FAREWELL: Final = 3.0
"""Seconds at the end for what is under way."""
_REPEAT: Final = 60.0
"""Seconds after which what lasts is told again where that is needed."""
_OF_VERDICT: Final = ("at", "verdict", "cause", "title", "confidence", "agrees", "healthy", "evidence", "actions")
"""What a message holds of the latest autopsy."""

Change = tuple[str, Mapping[str, Any]]
"""What became of an incident, and its summary."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom to tell of what."""

    destinations: Mapping[str, Destination]
    rules: Sequence[Notify]
    origin: str  # which gateway says it

    def all(self) -> Sequence[Notify]:
        """Return the rules; the usual one where there are none."""
        return self.rules or (Notify(),)


def _nothing(_: str) -> None:
    """Know nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """How the notifier asks what is known of incidents at the moment when it sends."""

    incident: Callable[[str], Mapping[str, Any] | None] = _nothing
    """All that is known of an incident by its id, None where there is none."""
    open: Callable[[], Iterable[Mapping[str, Any]]] = tuple
    """Summaries of the incidents that are open."""


class Notifier:
    """Tells destinations what becomes of incidents. Belongs to one event loop; nothing here raises or waits."""

    def __init__(
        self, rules: Rules, *, say: Callable[[str], None], link: Callable[[str], str] = str, known: Known | None = None,
        moved: Callable[[], object] = int,
    ) -> None:  # fmt: skip
        """say: hears of trouble. link: makes the address of an incident's page of its id, "" for none.

        moved: called whenever `snapshot` is another.
        """
        self._rules = rules
        self._say, self._link, self._moved = say, link, moved
        self._known = known or Known()
        self._started = time.time()
        self._lanes: dict[str, Lane] = {}
        self._shares: dict[str, Share] = {}
        self._repeated = time.monotonic() - _REPEAT
        self._ending: set[asyncio.Task[Any]] = set()
        self.follow(rules)

    def follow(self, rules: Rules) -> None:
        """Go by other rules; what waits for destinations that stay is sent by their new settings."""
        self._rules = rules
        for name in self._lanes.keys() - rules.destinations.keys():
            self._spawn(self._end(name, self._lanes.pop(name)))
        for name, settings in rules.destinations.items():
            lane = self._lanes.get(name)
            if lane is None:
                self._lanes[name] = Lane(Courier(name, settings, rules.origin), self._say, self._refreshed, self._moved)
            elif (lane.courier.settings, lane.courier.origin) != (settings, rules.origin):
                self._spawn(lane.follow(Courier(name, settings, rules.origin)))
        before, self._shares = self._shares, {}
        for rule in rules.all():
            if rule.share is not None:
                share = self._shares[name_of(rule)] = Share(rule, name_of(rule))
                if share.name in before:
                    share.follow(before[share.name])
        for name in before.keys() - self._shares.keys():
            if before[name].open:
                before[name].open = False
                self._tell_share(before[name], RESOLVED)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, name: str, lane: Lane) -> None:
        left = await lane.close(_FAREWELL)
        if left:
            self._say(f"notify {name}: {left} messages not sent: the destination is no longer configured")

    @property
    def wants_traffic(self) -> bool:
        """Whether `traffic` is of use."""
        return bool(self._shares)

    # In.

    def changed(self, now: float, changes: Sequence[Change]) -> None:
        """Take changes of incidents. now: wall-clock seconds. what: as in message.WHATS."""
        for what, summary in changes:
            made: dict[str, Message] = {}
            for lane in self._lanes.values():
                said = self._said(lane, what, summary, now)
                if said and said not in made:
                    made[said] = about(said, now, summary, self._link(str(summary["id"])))
                if said:
                    lane.put(made[said])

    def _said(self, lane: Lane, what: str, summary: Mapping[str, Any], now: float) -> str:
        """Return what a destination is told of a change, "" for nothing."""
        key = f"incident:{summary['id']}"
        if what == RESOLVED and lane.courier.way.closes and lane.was_told(key):
            return what
        if is_silenced(summary, now) or (summary.get("acknowledged") and what not in (WORSE, RESOLVED, ACKNOWLEDGED)):
            return ""
        known = lane.knows(key)
        if what == ACKNOWLEDGED and lane.courier.way.closes:
            return what if known else ""
        fitting = [rule for rule in self._of(lane.courier.name) if rule.share is None and is_about(rule, summary)]
        if what in (RESOLVED, ACKNOWLEDGED):
            if not known and not (fitting and float(summary.get("opened") or now) < self._started):
                return ""  # it was never told that there is something
            fitting = [rule for rule in self._of(lane.courier.name) if rule.share is None]
        new = not known and what in (WORSE, CHANGED) and float(summary.get("opened") or 0.0) >= self._started
        if new and any(OPENED in rule.on for rule in fitting):
            return OPENED
        return what if any(what in rule.on for rule in fitting) else ""

    def _of(self, name: str) -> list[Notify]:
        """Return the rules that name a destination."""
        return [rule for rule in self._rules.all() if not rule.to or name in rule.to]

    def traffic(self, now: float, sample: Traffic) -> None:
        """Take what was counted so far, about once a second. now: wall-clock seconds."""
        monotonic = time.monotonic()
        for share in self._shares.values():
            what = share.sample(monotonic, now, sample)
            if what:
                self._tell_share(share, what)

    def _tell_share(self, share: Share, what: str) -> None:
        now = time.time()
        message = Message(f"share:{share.name}", what, now, SHARE, share.told(now))
        for name, lane in self._lanes.items():
            if not share.rule.to or name in share.rule.to:
                lane.put(message)

    def tick(self, now: float) -> None:
        """Tell again what lasts, where that is needed. now: wall-clock seconds."""
        lanes = [lane for lane in self._lanes.values() if lane.courier.way.repeats]
        monotonic = time.monotonic()
        if not lanes or monotonic - self._repeated < _REPEAT:
            return
        self._repeated = monotonic
        lasting = [about(LASTING, now, summary, self._link(str(summary["id"]))) for summary in self._known.open()]
        for lane in lanes:
            self._repeat(lane, lasting, now)

    def _repeat(self, lane: Lane, lasting: Sequence[Message], now: float) -> None:
        rules = [rule for rule in self._of(lane.courier.name) if rule.share is None]
        open_shares = [one for one in self._shares.values() if one.open and (not one.rule.to or lane.courier.name in one.rule.to)]
        going = [Message(f"share:{one.name}", LASTING, now, SHARE, one.told(now)) for one in open_shares]
        for message in lasting:
            wanted = lane.was_told(message.key) or any(OPENED in rule.on and is_about(rule, message.subject) for rule in rules)
            if wanted and not is_silenced(message.subject, now):
                going.append(message)
        keys = {message.key for message in going}
        for key in [key for key, thread in lane.threads.items() if thread.open and key not in keys]:
            lane.put(self._ended(key, now))
        for message in going:
            lane.put(message)

    def _ended(self, key: str, now: float) -> Message:
        """Return the end of a thread that lasts no longer, or that nobody shall hear of."""
        kind, _, id = key.partition(":")
        subject = self._known.incident(id) if kind == INCIDENT else None
        return Message(
            key, RESOLVED, now, kind, slim(subject or {"id": id, "name": id}), self._link(id) if kind == INCIDENT else ""
        )

    # Out.

    def _refreshed(self, message: Message) -> Message | None:
        """Return a message with what is known now; None for one of an incident that was silenced meanwhile."""
        if message.kind != INCIDENT:
            return message
        found = self._known.incident(str(message.subject.get("id", "")))
        if found is None:
            return message
        if is_silenced(found, time.time()) and not message.is_over():
            return None
        verdict = latest_verdict(found)
        told = {key: verdict[key] for key in _OF_VERDICT if key in verdict} if verdict is not None else None
        return replace(message, subject={**slim(found), "verdicts": [{"verdict": told}] if told else []})

    async def close(self, seconds: float = _FAREWELL) -> int:
        """Give what is under way a short time, and end; return how many messages were not sent."""
        left = sum(await asyncio.gather(*(lane.close(seconds) for lane in self._lanes.values())))
        for task in list(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        return left

    # For whoever looks, and for the next process.

    def state(self) -> dict[str, dict[str, Any]]:
        """Return how each destination stands, by name: see Lane.state."""
        return {name: lane.state() for name, lane in self._lanes.items()}

    def snapshot(self) -> dict[str, Any]:
        """Return what the next process has to know, as JSON has it."""
        shares = {name: share.first for name, share in self._shares.items() if share.open}
        return {
            "started": self._started,
            "lanes": {name: lane.snapshot() for name, lane in self._lanes.items()},
            "shares": shares,
        }

    def restore(self, told: Mapping[str, Any]) -> None:
        """Go on where another process was. Raises KeyError, TypeError or ValueError for what is no snapshot."""
        self._started = min(self._started, float(told["started"]))
        for name, first in told["shares"].items():
            if name in self._shares:
                self._shares[name].open, self._shares[name].first = True, float(first)
        for name, lane in told["lanes"].items():
            if name in self._lanes:
                self._lanes[name].restore(lane)


def is_silenced(summary: Mapping[str, Any], now: float) -> bool:
    """Return whether nobody is to be told of an incident at this time."""
    return float(summary.get("silenced_until") or 0.0) > now


def is_about(rule: Notify, summary: Mapping[str, Any]) -> bool:
    """Return whether a rule is about an incident."""
    if rule.severity == "seen" and summary.get("severity") != "seen":
        return False
    servers = [str(row.get("server", "")) for row in summary.get("servers") or ()] or [str(summary.get("server", ""))]
    routes = [str(row.get("route", "")) for row in summary.get("routes") or ()] or [""]
    return (
        fits(str(summary.get("upstream", "")), rule.upstreams)
        and fits(str(summary.get("cause", "")), rule.causes)
        and any(fits(server, rule.servers) for server in servers)
        and any(fits(route, rule.routes) for route in routes)
    )
