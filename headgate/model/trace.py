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


class Trace:
    """The place of one exchange in a trace. Ids are hexadecimal digits: 32 of the trace, 16 of a span."""

    __slots__ = ("_next", "_spans", "flags", "parent_id", "span_id", "state", "trace_id")

    def __init__(
        self,
        flags: int,
        trace_id: str = "",
        parent_id: str = "",
        state: str = "",
        span_id: str = "",
        spans: "dict[Attempt, str] | None" = None,
    ) -> None:
        """trace_id: a new one where the trace begins here. span_id, spans: of exchange and attempts, where they are known."""
        ids = _ids.randbytes(32).hex()  # all at once: it is on the way of each request; none will ever be all zero
        self.trace_id = trace_id or ids[:32]
        self.span_id = span_id or ids[32:48]  # of the exchange
        self.parent_id = parent_id  # the span that it came from; "" where the trace begins here
        self.flags = flags  # as they go on: SAMPLED, RANDOM
        self.state = state  # tracestate, "" for none
        self._next = ids[48:]  # of the first attempt
        self._spans = spans if spans is not None else {}

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded whatever becomes of the exchange."""
        return self.flags & SAMPLED != 0

    def span_of(self, attempt: "Attempt") -> str:
        """Return the id of an attempt's span."""
        spans = self._spans
        if attempt not in spans:
            spans[attempt] = self._next or _ids.randbytes(8).hex()
            self._next = ""
        return spans[attempt]
