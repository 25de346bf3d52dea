"""What was decided after an attempt failed, and why: a closed list, written by the gateway, read by all who explain."""

from typing import Final

VERDICTS: Final = {
    "again-unsent": "tried again: nothing of the request had been sent",
    "again-reused": "tried again on a new connection: the kept one had closed before a byte of the answer came",
    "again-idempotent": "tried again: the method is idempotent and the body is still at hand",
    "again-held": "held, and tried again: no server could be reached, and none is expected to be gone for long",
    "again-status": "tried again: the server's own answer says that it cannot serve now, and the method is idempotent",
    "again-hedged": "not the end: another server was asked at the same time, and goes on",
    "hedged": "left: another server, asked at the same time, was quicker",
    "not-budget": "not tried again: retries are used up (no more than their share of all requests)",
    "not-started": "not tried again: the response had begun to reach the client",
    "not-attempts": "not tried again: the allowed number of tries is used up",
    "not-time": "not tried again: the time for the whole exchange is used up",
    "not-useful": "not tried again: another try would end the same way",
    "not-elsewhere": "not tried again: there is no other server to turn to",
    "not-body": "not tried again: the request body was too large to be kept",
    "not-idempotent": "not tried again: the server may have processed the request, and the method is not idempotent",
    "not-wanted": "not tried again: the client is no longer served",
}
"""Every verdict and what it means to an operator."""
