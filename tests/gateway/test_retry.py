"""`may_retry`, as a table: what is permitted, and the reason that is given for everything else."""

import itertools

import pytest

from headgate.gateway.retry import IDEMPOTENT, may_retry
from headgate.model.cause import Cause
from headgate.model.phases import BODY, CONNECT, HEAD, RESOLVE, SEND, TLS
from headgate.model.signals import DEADLINE, EOF, MALFORMED, REFUSED, RESET
from headgate.model.verdicts import VERDICTS


def cause(retry="idempotent", fault="upstream"):
    return Cause("x", "X", "any", fault, "x", 502, retry, True, True, "x")


USUAL = {
    "idempotent": True,
    "started": False,
    "kept": False,
    "replayable": True,
    "tries_left": 2,
    "time_left": 10.0,
    "elsewhere": True,
}


def asked(phase, signal, retry="idempotent", fault="upstream", **changes):
    return may_retry(cause(retry, fault), phase, signal, **{**USUAL, **changes})


@pytest.mark.parametrize(
    ("verdict", "phase", "signal", "changes"),
    [
        ("again-unsent", CONNECT, REFUSED, {"retry": "unsent"}),
        ("again-unsent", RESOLVE, DEADLINE, {"retry": "unsent", "method": b"POST", "replayable": False}),
        ("again-unsent", TLS, RESET, {"retry": "unsent", "method": b"POST"}),
        ("not-elsewhere", CONNECT, REFUSED, {"retry": "unsent", "elsewhere": False}),
        ("again-idempotent", HEAD, EOF, {}),
        ("again-idempotent", HEAD, EOF, {"elsewhere": False}),
        ("again-idempotent", HEAD, RESET, {"method": b"PUT"}),
        ("again-idempotent", HEAD, DEADLINE, {}),
        ("not-elsewhere", HEAD, DEADLINE, {"elsewhere": False}),
        ("not-elsewhere", HEAD, MALFORMED, {"elsewhere": False}),
        ("not-idempotent", HEAD, EOF, {"method": b"POST"}),
        ("not-idempotent", SEND, RESET, {"method": b"PATCH"}),
        ("not-idempotent", HEAD, EOF, {"method": b"get"}),
        ("not-idempotent", HEAD, EOF, {"method": b"POST", "kept": True}),
        ("not-body", HEAD, EOF, {"method": b"PUT", "replayable": False}),
        ("again-reused", HEAD, EOF, {"kept": True}),
        ("again-reused", SEND, RESET, {"kept": True, "tries_left": 0, "elsewhere": False}),
        ("not-attempts", HEAD, DEADLINE, {"tries_left": 0}),
        ("not-attempts", CONNECT, REFUSED, {"retry": "unsent", "tries_left": 0}),
        ("not-time", CONNECT, REFUSED, {"retry": "unsent", "time_left": 0.0}),
        ("not-time", HEAD, EOF, {"kept": True, "time_left": -1.0}),
        ("not-useful", HEAD, EOF, {"retry": "never"}),
        ("not-useful", HEAD, EOF, {"retry": "unsent"}),
        ("not-started", BODY, EOF, {"started": True}),
        ("not-wanted", HEAD, EOF, {"fault": "client"}),
    ],
)
def test_the_verdict_and_its_reason(verdict, phase, signal, changes):
    assert asked(phase, signal, **changes) == verdict


def everything():
    """Every combination of what a verdict may depend on."""
    for phase, signal, retry, method in itertools.product(
        (CONNECT, SEND, HEAD, BODY), (EOF, RESET, DEADLINE, MALFORMED), ("never", "unsent", "idempotent", "reused-only"),
        (b"GET", b"POST", b"PUT", b"BREW"),
    ):  # fmt: skip
        for started, kept, replayable, elsewhere, tries, time in itertools.product(*[(False, True)] * 4, (0, 1), (0.0, 1.0)):
            changes = {"method": method, "started": started, "kept": kept, "replayable": replayable, "elsewhere": elsewhere}
            yield phase, signal, {"retry": retry, "tries_left": tries, "time_left": time, **changes}


def test_the_rules_that_hold_for_every_combination():
    for phase, signal, changes in everything():
        verdict = asked(phase, signal, **changes)
        assert verdict in VERDICTS
        if not verdict.startswith("again"):
            continue
        assert not changes["started"], "what began to reach the client is never repeated"
        assert changes["retry"] != "never"
        assert changes["time_left"] > 0
        if phase >= SEND:
            assert changes["method"] in IDEMPOTENT, "what may have been processed is only repeated where that is harmless"
            assert changes["replayable"], "half a body is never sent"
        if changes["tries_left"] == 0:
            assert changes["kept"], "beyond the configured tries only what a stale connection cost is repeated"
