"""The table about what users may expect: the share of requests that have to go well, and how fast."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic import WithJsonSchema as InJsonSchema

from .notifyforms import Share
from .units import DURATION_PATTERN, parse_duration
from .values import Seconds, Table

_LEAST, _MOST = 3600.0, 90 * 86_400.0
Window = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=_LEAST, le=_MOST),
    InJsonSchema(
        {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": _LEAST, "maximum": _MOST}]}
    ),
]
"""A duration of up to 90 days: as long as the history of traffic is kept."""


class Slo(Table):
    """A service level objective. What may fail without missing it is the error budget: `headgate report` tells what is left."""

    target: Share = Field(0.999, ge=0.5, le=0.99999)
    """Share of the requests that have to go well: no 5xx answer, whoever made it, and no response that broke off."""
    latency: Seconds | None = None
    """A request that takes longer has not gone well either; time does not matter when absent."""
    window: Window = 30 * 86_400.0
    """Time over which the share is looked at, up to now: from "1h" to "90d"."""
