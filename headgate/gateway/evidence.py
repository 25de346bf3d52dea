"""What is known when an attempt fails, gathered once and only then: sizes, times, the connection's history, the kernel's view."""

from ..model.exchange import NEVER, Attempt
from ..model.facts import Facts
from ..net.tcpinfo import tcp_info
from .upstream import Upstream


def gather(attempt: Attempt, connection: Upstream | None, facts: Facts | None, now: float) -> Facts:
    """Return `facts` completed with what attempt and connection know. Times in milliseconds."""
    known: Facts = {
        "sent": attempt.sent,
        "received": attempt.received,
        "untouched": attempt.received == 0,
        "reused": attempt.reused,
        "elapsed_ms": _ms(now - attempt.t_start),
    }
    if attempt.status:
        known["status"] = attempt.status
    if attempt.t_head != NEVER:
        known["body_received"] = attempt.body_received
        if attempt.body_expected >= 0:
            known["body_expected"] = attempt.body_expected
    if connection is not None:
        known["age_ms"] = _ms(now - connection.opened)
        known["requests"] = attempt.requests
        known["silent_ms"] = _ms(now - max(connection.last_byte, attempt.t_sent, attempt.t_start))
        if attempt.reused:
            known["idle_ms"] = _ms(attempt.idle)
        if (fd := connection.fileno()) >= 0 and (info := tcp_info(fd)) is not None:
            known["tcp_info"] = info
    if facts:
        known.update(facts)
    return known


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
