"""What joins an exchange to those of other systems: its place in a distributed trace (W3C Trace Context)."""

import os
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .exchange import Attempt

SAMPLED: Final = 1
"""Flag of traceparent: who sent it may have recorded the trace."""
RANDOM: Final = 2
"""Flag of traceparent: the trace's id is random (level 2)."""
_ids: Final = Random()
os.register_at_fork(after_in_child=_ids.seed)  # else all workers would make the same ids


def new_trace_id() -> str:
    """Return an id for a new trace: 32 hexadecimal digits, never all zero."""
    return f"{_ids.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """Return an id for a new span: 16 hexadecimal digits, never all zero."""
    return f"{_ids.getrandbits(64) or 1:016x}"


class Trace:
    """The place of one exchange in a trace."""

    __slots__ = ("_spans", "flags", "parent_id", "span_id", "state", "trace_id")

    def __init__(
        self,
        trace_id: str,
        flags: int,
        parent_id: str = "",
        state: str = "",
        span_id: str = "",
        spans: "dict[Attempt, str] | None" = None,
    ) -> None:
        """span_id, spans: of the exchange and of its attempts, where they are known already."""
        self.trace_id = trace_id
        self.span_id = span_id or new_span_id()  # of the exchange
        self.parent_id = parent_id  # the span that it came from; "" where the trace begins here
        self.flags = flags  # as they go on: SAMPLED, RANDOM
        self.state = state  # tracestate, "" for none
        self._spans: dict[Attempt, str] = spans if spans is not None else {}

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded whatever becomes of the exchange."""
        return self.flags & SAMPLED != 0

    def span_of(self, attempt: "Attempt") -> str:
        """Return the id of an attempt's span."""
        span = self._spans.get(attempt)
        if span is None:
            span = self._spans[attempt] = new_span_id()
        return span
