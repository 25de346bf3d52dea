"""The times and sizes that every gateway in the lab is given, so that the table compares behaviour and not patience."""

from dataclasses import dataclass
from pathlib import Path

from .layout import Layout
from .scenario import Scenario

CONNECT = 500
"""Milliseconds until a connection is established."""
HEAD = 700
"""Milliseconds for the TLS handshake, for a server that reads nothing, and until the response head is complete."""
IDLE = 700
"""Milliseconds of silence within a body."""
TOTAL = 4000
"""Milliseconds for an exchange as a whole."""
REQUEST_BODY = 32 << 20
"""Largest request body in bytes, where the gateway has such a limit."""
RESPONSE_BODY = 16 << 20
"""Largest response body in bytes, where the gateway has such a limit."""


@dataclass(frozen=True)
class Setting:
    """What a configuration is written for."""

    layout: Layout
    scenarios: tuple[Scenario, ...]
    port: int
    """Where the gateway listens, on 127.0.0.1."""
    folder: Path
    """Where it may write logs and state."""
    dashboard: str = "off"
    """Where Headgate's dashboard listens, as `admin.dashboard` says it."""
    examine: bool = False
    """Headgate looks into incidents by itself: servers then see requests that no client sent."""

    def urls(self, scenario: Scenario) -> list[str]:
        """Return the servers of a scenario as the gateway is told."""
        return self.layout.urls(scenario.name, self.port)

    @property
    def access_log(self) -> Path:
        """The gateway's access log."""
        return self.folder / "access.log"
