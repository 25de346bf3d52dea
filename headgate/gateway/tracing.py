"""What makes exchanges part of traces: whose trace goes on, which are recorded, and what is handed over to be told.

Only where telemetry is configured: then new exchanges are `Traced` flows, else plain ones, which know nothing of it. Nobody waits
for a collector here: the control process takes what it can (a second's worth is bounded), and the rest is counted.
"""

import re
import time
from random import Random
from typing import TYPE_CHECKING, Any, Final

from ..config.telemetry import Telemetry
from ..model.exchange import Attempt
from ..model.trace import RANDOM, SAMPLED, Trace
from ..render.transcript import MOST_ATTEMPTS, failures_of, transcript
from ..wire.fields import find, without
from ..wire.request import RequestHead
from ..wire.tracecontext import parent_line, read_parent, read_state, state_line
from .flow import Flow
from .upstream import Upstream

if TYPE_CHECKING:
    from .downstream import Downstream
    from .worker import Worker

EVERY: Final = 0.25
"""Seconds between two words to the control process."""
MOST: Final = 256
"""Exchanges told of in that time."""
MOST_HEALTHY: Final = 128
"""Those of them of which nothing failed: failures find room always."""
_has_context: Final = re.compile(rb"(?i)\ntrace(?:parent|state)[ \t]*:").search
_FIELDS: Final = frozenset((b"traceparent", b"tracestate"))


class Traced(Flow):
    """An exchange under way that is part of a trace."""

    __slots__ = ("_forward", "_tracer", "trace")

    def __init__(self, down: "Downstream", reference: str, now: float) -> None:
        Flow.__init__(self, down, reference, now)
        self._tracer = down.worker.tracer
        self._forward = b""  # the client's lines without its trace context
        self.trace: Trace | None = None

    def open(self, head: RequestHead, raw: bytes) -> None:
        """Begin: find out which trace this belongs to, before anything can fail."""
        if self._tracer is not None:
            self.trace = self._tracer.begin(head, raw, believed=self.down.trusts)
            self._forward = head.forward
        Flow.open(self, head, raw)

    def send(self, conn: Upstream) -> None:
        """Send the request, as a child of this try."""
        self.mark(self.attempt)
        Flow.send(self, conn)

    def mark(self, attempt: Attempt) -> None:
        """Let the head that is written next tell of this try: each is a span of its own."""
        trace = self.trace
        if trace is not None:
            lines = self._forward + parent_line(trace.trace_id, trace.span_of(attempt), trace.flags)
            self.head.forward = lines + state_line(trace.state) if trace.state else lines

    def _record(self) -> None:
        Flow._record(self)
        if self._tracer is not None:
            self._tracer.ended(self)


class Tracer:
    """Decides about the traces of one worker, and hands over what is to be told of them."""

    def __init__(self, settings: Telemetry, worker: "Worker") -> None:
        self._traces, self._logs = settings.traces, settings.logs
        self._ratio = settings.sample
        self._failures = settings.sample_failures
        self._trust = settings.trust
        self._worker = worker
        self._chance = Random().random
        self._waiting: list[dict[str, Any]] = []
        self._timer = False  # it runs
        self._lost = [0, 0]  # spans and log records that were not handed over, and have not been told of

    def begin(self, head: RequestHead, raw: bytes, *, believed: bool) -> Trace | None:
        """Return the trace of a new exchange, and take the client's trace context out of the lines that go on.

        raw: the head as it came. believed: the client is a trusted proxy. None where traces are not told: then these lines go
        on as they came.
        """
        if not self._traces:
            return None
        parent, state = None, ""
        if _has_context(raw):
            value = find(head.forward, b"traceparent")
            parent = read_parent(value) if value is not None and self._trust != "never" else None
            if parent is not None:
                state = read_state(find(head.forward, b"tracestate") or b"")
            head.forward = without(head.forward, _FIELDS)
        if parent is None:
            return Trace(RANDOM | self._luck())
        sampled = parent.flags & SAMPLED if self._trust == "always" or believed else self._luck()
        return Trace(parent.flags & RANDOM | sampled, parent.trace_id, parent.span_id, state)

    def _luck(self) -> int:
        return SAMPLED if self._chance() < self._ratio else 0

    def ended(self, flow: Traced) -> None:
        """Take in an exchange that is over."""
        trace, attempts = flow.trace, flow.attempts
        healthy = flow.cause is None and len(attempts) == 1 and attempts[0].signal is None
        if healthy and (trace is None or not trace.flags & SAMPLED):
            return
        failures = [] if healthy else failures_of(flow)
        spans = trace is not None and (trace.sampled or (bool(failures) and self._failures))
        logs = len(failures) if self._logs else 0
        if not spans and not logs:
            return
        if not self._timer:
            self._timer = True
            self._worker.loop.call_later(EVERY, self._turn)
        told_spans = 1 + min(len(attempts), MOST_ATTEMPTS) if spans else 0
        if len(self._waiting) >= (MOST if failures else MOST_HEALTHY):
            self._lose(told_spans, logs)
        else:
            self._waiting.append({**transcript(flow, trace), "spans": told_spans, "logs": logs})

    def _lose(self, spans: int, logs: int) -> None:
        self._lost[0] += spans
        self._lost[1] += logs

    def _turn(self) -> None:
        self._timer = False
        self.flush()
        if any(self._lost):
            self._timer = True
            self._worker.loop.call_later(EVERY, self._turn)

    def flush(self) -> None:
        """Hand over what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting and not any(self._lost):
            return
        message = {"telemetry": {"since": clock_offset(), "exchanges": waiting, "lost": self._lost}}
        if self._worker.hand_over(message):
            self._lost = [0, 0]
        else:
            for one in waiting:
                self._lose(one["spans"], one["logs"])


def clock_offset() -> int:
    """Return the wall-clock time at which the monotonic clock was 0, in nanoseconds: what turns one into the other.

    The two clocks cannot be read at once: of three tries the one counts in which the least time passed between them.
    """
    best, offset = 1 << 62, 0
    for _ in range(3):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < best:
            best, offset = after - before, wall - (before + after) // 2
    return offset
