"""The table about incidents: where they are kept, for how long, and whether Headgate looks into them by itself."""

from pydantic import Field

from .values import IncidentFile, Seconds, Size, Table


class Incidents(Table):
    """Failures, grouped into incidents, with evidence. Nothing of it can be switched off; it costs little."""

    file: IncidentFile = "auto"
    """A file, "memory" for none (they end with the gateway), or "auto": one for this configuration in /var/lib/headgate, or in
    ~/.local/state/headgate for users other than root, unless `$HEADGATE_STATE_DIRECTORY` or systemd's StateDirectory= name
    another folder. Without a configuration file (`--to`) "auto" means "memory"."""
    days: int = Field(30, ge=1, le=3650)
    """How long resolved incidents are kept."""
    size: Size = 256 << 20
    """Largest size of the file; the oldest are forgotten above."""
    examine: bool = True
    """Look into each new incident from the gateway's own place: name, connection, TLS, one GET, and this machine's own view."""
    examine_for: Seconds = Field(5.0, le=60)
    """Longest time for one look."""
