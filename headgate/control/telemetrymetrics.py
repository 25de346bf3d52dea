"""What /metrics tells of telemetry: what a collector took, what waits for it, and what was lost and why."""

from typing import TYPE_CHECKING

from .sheet import Labels, Sheet
from .telemetry import KINDS, LOST

if TYPE_CHECKING:
    from .process import Control


def add_telemetry(sheet: Sheet, control: "Control") -> None:
    """Add the families; without samples where telemetry is not configured."""
    configured = control.desired.config.telemetry is not None
    told = {kind: control.telemetry.status(kind) for kind in KINDS if configured}
    lost: dict[Labels, float] = {(kind, why): one["lost"].get(why, 0) for kind, one in told.items() for why in LOST}
    sheet.counter(
        "telemetry_sent", "Spans (traces) and log records that the OpenTelemetry collector took.",
        {(kind,): one["sent"] for kind, one in told.items()}, ("signal",),
    )  # fmt: skip
    sheet.counter("telemetry_lost", "Spans and log records that were lost, by why.", lost, ("signal", "reason"))
    sheet.gauge("telemetry_waiting", "Those that wait.", {(kind,): one["waiting"] for kind, one in told.items()}, ("signal",))
    sheet.gauge(
        "telemetry_failing", "1 while they cannot be delivered.",
        {(kind,): float(bool(one["trouble"])) for kind, one in told.items()}, ("signal",),
    )  # fmt: skip
