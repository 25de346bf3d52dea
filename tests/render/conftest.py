"""Failed exchanges to render: `failed("connection-refused")`, and `canaries`, evidence in which every string is a tell-tale."""

import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import ADMIT, PHASES

NOW = "2026-11-20T10:15:30.123Z"


def make_failed(code="connection-refused", *, method=b"GET", facts=None, phase=None, reference="7f3a-22"):
    """Return an exchange that failed for the cause `code`, in `phase` or the cause's own."""
    cause = catalogue()[code]
    if phase is None:
        phase = ADMIT if cause.phase == "any" else PHASES.index(cause.phase)
    exchange = Exchange(reference, "192.0.2.1", "http", 100.0)
    exchange.method, exchange.target, exchange.path, exchange.host = method, b"/cart?step=2", b"/cart", b"example.org"
    exchange.route, exchange.upstream = "shop", "app"
    exchange.cause, exchange.status, exchange.outcome, exchange.t_end = cause, cause.status, "answered", 100.005
    if phase == ADMIT:
        exchange.signal, exchange.facts = "symptom", facts
        return exchange
    attempt = Attempt("app", "http://app:3000", 100.001)
    attempt.address, attempt.phase, attempt.signal, attempt.cause = "10.0.0.5:3000", phase, "symptom", cause
    attempt.facts, attempt.t_end = facts, 100.004
    exchange.attempts.append(attempt)
    return exchange


def make_canaries():
    """Return facts with each key of Facts filled, recognisably."""
    return {
        "errno": 111, "error": "CANARY-error", "rule": "CANARY-rule", "offset": 71717171, "excerpt": b"CANARY-excerpt\x1b<b>",
        "looks_like": "CANARY-looks", "limit": "CANARY-limit", "limit_value": 72727272.0, "header_name": "CANARY-header",
        "path": "/CANARY-path", "name": "CANARY-name", "resolver": "CANARY-resolver", "rcode": "CANARY-rcode",
        "ede_text": "CANARY-ede", "addresses": ["CANARY-addresses"], "attempts_by_address": [{"address": "CANARY-by"}],
        "verify_code": 10, "verify_message": "CANARY-verify", "certificate": {"subject": "CANARY-subject"},
        "tls_reason": "CANARY-tls", "alert": 48, "alert_name": "CANARY-alert", "offered": "CANARY-offered",
        "accepted": "CANARY-accepted", "coding": "CANARY-coding", "servers": [{"server": "CANARY-server", "why": "CANARY-why"}],
        "allow": "GET, HEAD", "tcp_info": {"rtt_us": 73737373}, "idle_ms": 74747474, "elapsed_ms": 75757575,
        "silent_ms": 76767676, "sent": 77777777, "received": 78787878, "body_received": 79797979, "body_expected": 70707070,
    }  # fmt: skip


@pytest.fixture(scope="session")
def failed():
    return make_failed


@pytest.fixture
def canaries():
    return make_canaries()


@pytest.fixture(scope="session")
def now():
    return NOW
