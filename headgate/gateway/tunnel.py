"""An upgraded connection (WebSocket, ...): bytes both ways until one side ends (RFC 9110 section 7.8)."""

from typing import TYPE_CHECKING

from ..wire.response import ResponseHead

if TYPE_CHECKING:
    from .flow import Flow


def refusal(offered: bytes, head: ResponseHead) -> tuple[str, str] | None:
    """Return (what was offered, what was taken) when a 101 may not be relayed: it switches to what the client did not offer."""
    wanted = {token.strip().lower() for token in offered.split(b",") if token.strip()}
    taken = {token.strip().lower() for token in head.upgrade.split(b",") if token.strip()}
    if taken and taken <= wanted:
        return None
    return offered.decode("latin-1") or "nothing", head.upgrade.decode("latin-1") or "nothing"


class Tunnel:
    """The two ends of an upgraded connection."""

    __slots__ = ("_flow",)

    def __init__(self, flow: "Flow") -> None:
        self._flow = flow
        self._touch()

    def from_server(self, data: bytes) -> None:
        """Relay bytes to the client."""
        flow = self._flow
        flow.attempt.body_received += len(data)
        self._touch()
        flow.write(data)

    def from_client(self, data: bytes) -> None:
        """Relay bytes to the server."""
        flow = self._flow
        flow.received += len(data)
        if flow.conn is not None:
            flow.attempt.sent += len(data)
            self._touch()
            flow.conn.write(data)

    def _touch(self) -> None:
        """Something moved: silence is counted anew."""
        flow = self._flow
        if flow.conn is not None:
            flow.conn.arm("tunnel", flow.worker.clock() + flow.group.settings.timeouts.tunnel)
