"""May this exchange be tried again? One pure decision, which gives its reason either way (RFC 9110 section 9.2.2)."""

from ..model.cause import Cause
from ..model.phases import SEND
from ..model.signals import EOF, RESET


def may_retry(
    cause: Cause,
    phase: int,
    signal: str,
    *,
    idempotent: bool,
    started: bool,
    kept: bool,
    replayable: bool,
    tries_left: int,
    time_left: float,
    elsewhere: bool,
) -> str:
    """Return a key of VERDICTS; the ones that begin with "again" permit another try.

    idempotent: by its method (RFC 9110 section 9.2.2), or because its client says so. started: a byte of the response went to the
    client. kept: the connection had served before, and ended without a byte of the response. replayable: all of the request body
    sent so far is still at hand. tries_left: further tries allowed by number. time_left: seconds left for the exchange.
    elsewhere: another server, not yet tried, may be used.
    """
    if started:
        return "not-started"
    if cause.fault == "client":
        return "not-wanted"
    if cause.retry == "never":
        return "not-useful"
    if tries_left <= 0 and not kept:
        return "not-attempts"
    if time_left <= 0:
        return "not-time"
    if phase < SEND:
        return "again-unsent" if elsewhere else "not-elsewhere"
    if cause.retry == "unsent":
        return "not-useful"
    if not idempotent:
        return "not-idempotent"
    if not replayable:
        return "not-body"
    if kept:
        return "again-reused"
    if not elsewhere and signal not in (EOF, RESET):
        return "not-elsewhere"
    return "again-idempotent"
