"""Owns what an autopsy knows: server, failure, the way that was gone, this machine's own view; and what follows for the cause."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..config.forms import statuses
from ..config.schema import Server, Upstream
from ..diagnose.catalogue import catalogue
from ..diagnose.judge import judge
from ..diagnose.looks import Asked, Look
from ..diagnose.redact import clean
from ..model.cause import Cause
from ..model.diagnosis import Diagnosis
from ..model.exchange import Attempt, Exchange
from .autopsyplace import Place
from .autopsyway import Way


@dataclass
class Seen:
    """All that an autopsy found."""

    server: Server
    upstream: Upstream
    failure: Mapping[str, Any]
    last_success: float
    at: float  # wall-clock seconds
    way: Way | None = None
    place: Place | None = None
    unseen: list[str] = field(default_factory=list)
    lag: float = 0.0  # seconds by which this process itself was late

    @property
    def attempt(self) -> Attempt | None:
        """The attempt that decides."""
        return self.way.attempt if self.way is not None else None

    @property
    def healthy(self) -> bool:
        """Whether the server answers as it should."""
        return self.cause is None and self.way is not None and self.way.answer is not None

    @property
    def cause(self) -> Cause | None:
        """Why it does not work, None where it does, or where nothing was found."""
        way = self.way
        if way is None or way.attempt is None:
            return None
        if way.attempt.cause is None and way.answer is not None and not self._expected(way.answer.status):
            return catalogue()["upstream-answered-error"]
        return way.attempt.cause

    def _expected(self, status: int) -> bool:
        """Whether a status means that the server is well: as its health check says, else whatever is no server error."""
        checks = self.upstream.health
        return status in statuses(checks.status) if checks is not None and checks.kind == "http" else status < 500

    @property
    def looks(self) -> list[Look]:
        """Everything that was looked at, in order."""
        return [*(self.way.looks if self.way is not None else ()), *self.here]

    @property
    def here(self) -> list[Look]:
        """What this machine showed, where the server runs on it."""
        return self.place.looks if self.place is not None else []

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What the doctor's judge says of the same looks."""
        path = self.way.path if self.way is not None else "/"
        url = "http://localhost" if self.server.endpoint.path else self.server.url
        return judge(Asked(f"{url}{path}"), self.looks)

    @property
    def exchange(self) -> Exchange:
        """The one GET as the waist has it, for sentences."""
        exchange = Exchange("", "", self.server.endpoint.scheme, 0.0)
        exchange.upstream, exchange.method = str(self.failure.get("upstream", ""))[:64], b"GET"
        if self.way is not None:
            exchange.path, exchange.host = self.way.path.encode(), self.way.host.encode("utf-8", "replace")
        return exchange

    @property
    def name(self) -> str:
        """The server as people find it in their configuration and on the machine."""
        attempt = self.attempt
        return clean((attempt.address if attempt is not None else "") or self.server.url, 120)
