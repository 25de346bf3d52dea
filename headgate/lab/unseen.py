"""Which scenarios have a cause that nobody sees from outside, by a single GET on a connection of its own; and why."""

from collections.abc import Mapping
from typing import Final

from .scenario import Scenario

_REUSE: Final = "an autopsy opens a connection of its own: nothing is used again"
_BODY: Final = "an autopsy sends no body"
_TUNNEL: Final = "an autopsy opens no tunnel"
_OURS: Final = "the gateway's own state or choice: the server is well"
_REASONS: Final = {
    "closed-on-reuse": _REUSE, "closed-on-reuse-post": _REUSE, "reset-on-reuse": _REUSE, "send-reset-reused": _REUSE,
    "send-reset": _BODY, "send-timeout": _BODY, "tunnel-idle-timeout": _TUNNEL, "tunnel-reset": _TUNNEL,
    "circuit-open": "the gateway's own state: the autopsy names the failures that opened the circuit",
    "descriptors-exhausted": "the want of descriptors is in a worker, not in the process that examines",
    "loop-detected": "it needs the gateway itself as its own server",
    "response-body-too-large": "16 MiB would have to be read: an autopsy stops after one",
}  # fmt: skip


def unseen(scenarios: Mapping[str, Scenario]) -> dict[str, str]:
    """Return, of these scenarios that name a cause, those that cannot be seen from outside, with the reason."""
    ours = {name: _OURS for name, one in scenarios.items() if one.expect.causes and one.group in ("client", "gateway")}
    return {name: reason for name, reason in _REASONS.items() if name in scenarios} | ours
