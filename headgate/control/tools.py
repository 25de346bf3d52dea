"""What the control process is handed by whoever starts it: the doctor's probes and the pages, known by their shape only."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..config.schema import Server, Upstream
from ..net.resolve import Resolver
from ..wire.limits import WireLimits


class Examine(Protocol):
    """Examines one server, as probe/autopsy.py does."""

    def __call__(
        self,
        server: Server,
        upstream: Upstream,
        failure: Mapping[str, Any] | None,
        resolver: Resolver,
        *,
        seconds: float = ...,
        last_success: float = ...,
        limits: WireLimits | None = ...,
    ) -> Awaitable[dict[str, Any]]:
        """Return the verdict as plain data. It never raises, but for being cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the control process makes use of, and does not know."""

    examine: Examine | None = None
    """None: nothing is examined."""
    heir: bool = False
    """This is a new version that takes over from another."""
    pages: Any = None
    """Returns the pages of the dashboard when first needed (control/dashboard.py says what they are); None: there is none."""
