"""Decides what Server-Timing tells trusted clients: where the time of their request went (W3C Server Timing)."""

from ..model.exchange import NEVER, Attempt, Exchange


def server_timing(exchange: Exchange, now: float) -> bytes:
    """Return the line, up to this moment: the phases of the last attempt, and what came before it. In milliseconds.

    It goes beside the server's own lines of this name, after them.
    """
    attempts = exchange.attempts
    told = _phases(attempts[-1]) if attempts else []
    if len(attempts) > 1:
        told += [_took("retry", exchange.t_begin, attempts[-1].t_start), b'tries;desc="%d"' % len(attempts)]
    told.append(_took("total", exchange.t_begin, now))
    return b"Server-Timing: %b\r\n" % b", ".join(told)


def _phases(attempt: Attempt) -> list[bytes]:
    """Return how long each phase took that ended: of a kept connection there is only the wait for the answer."""
    resolved, connected = attempt.t_resolved, attempt.t_connected
    steps = (
        ("resolve", attempt.t_start, resolved),
        ("connect", resolved if resolved > NEVER else attempt.t_start, connected),
        ("tls", connected, attempt.t_secured),
        ("wait", attempt.t_sent, attempt.t_head),
    )
    return [_took(name, begin, end) for name, begin, end in steps if begin > NEVER and end > NEVER]


def _took(name: str, begin: float, end: float) -> bytes:
    return f"{name};dur={max(0.0, end - begin) * 1000:.1f}".encode("ascii")
