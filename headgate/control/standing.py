"""How every server stands, by all witnesses together: what administrators, checks and the workers' traffic say of it."""

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from ..config.schema import Config, Server, Upstream
from ..traffic.health import ADMINISTRATOR, TRAFFIC, Health


class Standing:
    """One server, as all workers are to see it."""

    __slots__ = ("health", "pardoned", "until", "weight")

    def __init__(self, settings: Server, upstream: Upstream, at: float) -> None:
        """at: wall-clock seconds."""
        checks = upstream.health
        self.health = Health(at, checks is not None, checks.initial if checks is not None else "up")
        if settings.down:
            self.health.hear("maintenance", "down = true in the configuration", at)
        self.weight = settings.weight
        self.until = 0.0  # end of an ejection, monotonic seconds
        self.pardoned = 0.0  # when an ejection was last ended before its time, monotonic seconds

    def obey(self, before: "Standing") -> None:
        """Take over what an administrator said of the same server."""
        said = before.health.says(ADMINISTRATOR)
        if said != self.health.says(ADMINISTRATOR):
            self.health.hear(said, before.health.why, before.health.since)

    def snapshot(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"health": self.health.snapshot(), "weight": self.weight, "until": self.until, "pardoned": self.pardoned}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Be as a snapshot says. Raises KeyError, TypeError or ValueError for what is none."""
        health, weight = Health.of(told["health"]), int(told["weight"])
        self.until, self.pardoned = float(told["until"]), float(told["pardoned"])
        self.health, self.weight = health, weight


class Standings:
    """Every server of a configuration."""

    def __init__(self, config: Config, at: float) -> None:
        """at: wall-clock seconds."""
        self.of = {
            name: {server.url: Standing(server, upstream, at) for server in upstream.servers}
            for name, upstream in config.upstream.items()
        }

    def inherit(self, before: "Standings", old: Config, new: Config) -> None:
        """Take over from the configuration before what is still about the same server, checked in the same way.

        Of one that is to be used in another way, what an administrator said of it still holds.
        """
        for name, servers in self.of.items():
            if name not in old.upstream:
                continue
            was, now = old.upstream[name], new.upstream[name]
            settings = {server.url: server for server in was.servers}
            for server in now.servers:
                if settings.get(server.url) == server and was.health == now.health:
                    servers[server.url] = before.of[name][server.url]
                elif server.url in settings and settings[server.url].down == server.down:
                    servers[server.url].obey(before.of[name][server.url])

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return all of it as JSON has it."""
        return {name: {label: one.snapshot() for label, one in servers.items()} for name, servers in self.of.items()}

    def restore(self, told: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        """Be as a snapshot says, as far as it is about these servers. Raises KeyError, TypeError or ValueError."""
        for name, servers in told.items():
            for label, one in servers.items():
                if (standing := self.of.get(name, {}).get(label)) is not None:
                    standing.restore(one)

    def ejected(self, told: Mapping[str, Any], now: float, at: float) -> bool:
        """Take in that a worker ejected a server; True when that is news. now: monotonic, at: wall-clock seconds.

        It is told more than once, and may be over, or pardoned, by now. Raises KeyError, TypeError or ValueError.
        """
        upstream, label, why = str(told["ejected"]), str(told["server"]), str(told["why"])
        until, decided = float(told["until"]), float(told.get("at", inf))
        if until == inf:
            raise ValueError("an ejection without an end")
        one = self.of.get(upstream, {}).get(label)  # none: of a configuration that is no more
        if one is None or not (until > max(now, one.until) and decided > one.pardoned):
            return False
        one.until = until
        one.health.hear("ejected", why, at)
        return True

    def over(self, now: float, at: float) -> Iterator[tuple[str, str]]:
        """End the ejections whose time is over; yield upstream and label of each. now: monotonic, at: wall-clock seconds."""
        for name, servers in self.of.items():
            for label, one in servers.items():
                if one.health.says(TRAFFIC) == "ejected" and 0 < one.until <= now:
                    one.until = 0.0
                    one.health.hear("ejection-over", "the ejection is over", at)
                    yield name, label
