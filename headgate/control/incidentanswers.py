"""What the admin API says of incidents, and takes. Times are wall-clock seconds since 1970; spans are seconds.

What is told of one incident has many parts, which probes and workers made: docs/incidents.md describes them.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict

_STRICT: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)
_OPEN: Final = ConfigDict(extra="allow", use_attribute_docstrings=True)


@with_config(_OPEN)
class Summary(TypedDict):
    """What lists show of an incident."""

    id: str
    upstream: str
    """Empty where no upstream is concerned."""
    server: str
    """The only server concerned; empty where there are several, or none."""
    cause: str
    """As in `headgate explain`."""
    phase: str
    title: str
    """The cause's title."""
    headline: str
    """What is wrong, in one sentence, with real names."""
    state: str
    """open or resolved."""
    severity: str
    """seen: users saw failures; rescued: none did, thanks to another try."""
    first: float
    """First failure."""
    last: float
    resolved: float | None
    failed: int
    """Failed attempts, and requests refused."""
    seen: int
    """Requests that users saw fail."""
    rescued: int
    """Failures that no user saw."""
    clients: int
    """Client addresses that saw it; a lower bound where clients_more is true."""
    clients_more: bool
    acknowledged: dict[str, Any] | None
    """Who is on it, since when (by, note, at), and when it should be over (expected), where somebody said so."""
    silenced_until: float | None


@with_config(_STRICT)
class Incidents(TypedDict):
    """A page of incidents."""

    incidents: list[Summary]
    """The newest first; of those that are open, the ones that users see first."""
    lost: int
    """Failures that are in no incident, for want of room."""
    dropped: int
    """Failures that workers could not group, and only counted."""
    note: str
    """What is wrong with the file that incidents are kept in; empty where nothing is."""
    in_memory: bool
    """They end with the gateway."""


@with_config(_OPEN)
class Incident(Summary):
    """All that is known of an incident."""

    samples: list[dict[str, Any]]
    """Exchanges, with every attempt, its phases and evidence: the first three and the latest five."""
    verdicts: list[dict[str, Any]]
    """What looks from the gateway's own place found (at, verdict)."""
    events: list[dict[str, Any]]
    """What happened in the ten minutes before, and since (at, kind, text, upstream, server)."""
    actions: list[dict[str, Any]]
    """What people did (at, action, who, note)."""
    seconds: list[list[int]]
    """Of the last hour: second, failures, those seen, those rescued."""
    minutes: list[list[int]]
    similar: list[Summary]
    """Other incidents of the same upstream with the same cause, the newest first."""
    sentence: str
    """What happens, with the numbers of the latest sample."""
    remedies: dict[str, str]
    """What to do, by reader (visitor, operator, admin)."""


@with_config(_STRICT)
class Reference(TypedDict):
    """An exchange, by the reference that its error page showed."""

    incident: str
    record: dict[str, Any]


# What requests bring.

Who = Annotated[str, StringConstraints(max_length=100)]
Note = Annotated[str, StringConstraints(max_length=2000)]


class Act(BaseModel):
    """What somebody does about an incident."""

    model_config = _STRICT

    who: Who = ""
    """Who does it; whoever asks is not known otherwise."""
    note: Note = ""


class Acknowledgement(Act):
    """Somebody is on it."""

    expected: float = Field(0.0, ge=0, le=1e11, allow_inf_nan=False)
    """When it should be over, as visitors are told (seconds since 1970); 0: nobody knows."""


class Silence(Act):
    """For how long nobody is to be told of an incident."""

    seconds: float = Field(ge=0, le=2_592_000, allow_inf_nan=False)
    """Thirty days at most; 0: people are told again."""
