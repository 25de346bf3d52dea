"""What a worker tells of failures: exact counts, few samples, bounds, and nothing about what clients did."""

from headgate.diagnose.classify import classify
from headgate.gateway import reporting as module
from headgate.gateway.reporting import Reporting
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import ADMIT, CONNECT, HEAD
from headgate.model.signals import CLIENT_GONE, EOF, NO_SERVER, REFUSED

A, B = "http://10.0.0.5:80", "http://10.0.0.6:80"
NOW = 1_800_000_000.0


def failing(*tries, client="192.0.2.1", route="shop", final=None, outcome="served"):
    """Return an exchange with tries (server, phase, signal or None for one that was answered) and the cause it ended with."""
    exchange = Exchange("ref-1", client, "http", 10.0)
    exchange.method, exchange.target, exchange.path, exchange.host = b"GET", b"/x?token=secret&a=1", b"/x", b"example.org"
    exchange.route, exchange.upstream, exchange.outcome, exchange.t_end = route, "app", outcome, 10.5
    for server, phase, signal in tries:
        attempt = Attempt("app", server, 10.1)
        attempt.phase, attempt.signal, attempt.t_end = phase, signal, 10.2
        if signal is not None:
            attempt.facts = {"errno": 111}
            attempt.cause = classify(phase, signal, attempt.facts)
        exchange.attempts.append(attempt)
    if final == "last":
        exchange.cause = exchange.attempts[-1].cause
    elif final is not None:
        exchange.signal, exchange.facts = final, {}
        exchange.cause = classify(ADMIT, final, {})
    return exchange


def told(*exchanges):
    reporting = Reporting(b"k" * 32)
    for exchange in exchanges:
        reporting.ended(exchange, NOW)
    return reporting.take(NOW)


def test_nothing_to_tell():
    assert Reporting(b"k" * 32).take(NOW) is None


def test_one_that_users_saw():
    (group,) = told(failing((A, CONNECT, REFUSED), final="last", outcome="answered"))["groups"]
    sample = group.pop("samples")[0]
    assert len(group.pop("clients")) == 1
    assert group == {
        "upstream": "app", "server": A, "cause": "connection-refused", "phase": "connect", "count": 1, "seen": 1, "rescued": 0,
        "routes": {"shop": 1}, "figures": {},
    }  # fmt: skip
    assert sample["reference"] == "ref-1"
    assert "secret" not in str(sample)
    assert sample["at"] == NOW - 0.5
    (attempt,) = sample["attempts"]
    assert (attempt["server"], attempt["phase"], attempt["cause"], attempt["took_ms"]) == (
        A,
        "connect",
        "connection-refused",
        100.0,
    )


def test_one_that_was_rescued_counts_where_it_failed():
    (group,) = told(failing((A, CONNECT, REFUSED), (B, HEAD, None)))["groups"]
    assert (group["server"], group["count"], group["seen"], group["rescued"]) == (A, 1, 0, 1)


def test_two_tries_that_failed_are_two_failures_and_one_user():
    groups = told(failing((A, CONNECT, REFUSED), (B, HEAD, EOF), final="last", outcome="answered"))["groups"]
    assert [(group["server"], group["count"], group["seen"], group["rescued"]) for group in groups] == [
        (A, 1, 0, 0),
        (B, 1, 1, 0),
    ]


def test_no_server_at_all():
    (group,) = told(failing(final=NO_SERVER, outcome="answered"))["groups"]
    assert (group["server"], group["cause"], group["phase"], group["seen"]) == ("", "no-healthy-server", "admit", 1)


def test_what_clients_do_is_no_failure():
    assert told(failing((A, HEAD, CLIENT_GONE), final="last", outcome="gone")) is None


def test_counts_are_exact_and_all_else_is_bounded():
    exchanges = [
        failing((A, CONNECT, REFUSED), final="last", client=f"192.0.2.{number % 200}", route=f"route {number % 50}")
        for number in range(1000)
    ]
    (group,) = told(*exchanges)["groups"]
    assert (group["count"], group["seen"]) == (1000, 1000)
    assert len(group["clients"]) == module._CLIENTS
    assert len(group["routes"]) == module._ROUTES
    assert len(group["samples"]) == module._SAMPLES


def test_groups_beyond_the_bound_are_counted():
    message = told(
        *(failing((f"http://10.0.{number // 256}.{number % 256}", CONNECT, REFUSED), final="last") for number in range(300))
    )
    assert len(message["groups"]) + message["dropped"] == 300
    assert message["dropped"] == 300 - module._GROUPS


def test_clients_are_told_apart_but_not_named():
    first = told(failing((A, CONNECT, REFUSED), final="last", client="192.0.2.1"))["groups"][0]["clients"]
    again = told(failing((A, CONNECT, REFUSED), final="last", client="192.0.2.1"))["groups"][0]["clients"]
    other = told(failing((A, CONNECT, REFUSED), final="last", client="192.0.2.2"))["groups"][0]["clients"]
    assert first == again != other
    assert "192" not in first[0]


def test_numbers_that_advice_is_built_on_are_told_and_bounded():
    reporting = Reporting(b"k" * 32)
    for n in range(40):
        exchange = failing((A, HEAD, EOF), (B, HEAD, None))
        exchange.attempts[0].facts = {
            "idle_ms": 5000 + n, "reused": True, "limit": "timeouts.head", "limit_value": 60.0, "error": "x", "offset": 7,
        }  # fmt: skip
        reporting.ended(exchange, NOW)
    (group,) = reporting.take(NOW)["groups"]
    figures = group["figures"]
    assert set(figures) == {"idle", "limit timeouts.head", "offset"}
    assert figures["idle"] == [5 + n / 1000 for n in range(32)]
    assert figures["limit timeouts.head"] == [60.0] * 32


def test_ends_are_counted_from_the_start_by_cause_and_by_how_they_were_saved():
    reporting = Reporting(b"k" * 32)
    for _ in range(3):
        reporting.ended(failing((A, CONNECT, REFUSED), final="last", outcome="answered"), NOW)
        saved = failing((A, CONNECT, REFUSED), (B, HEAD, None))
        saved.attempts[0].verdict = "again-unsent"
        reporting.ended(saved, NOW)
        reporting.take(NOW)
    cause = "connection-refused"
    assert dict(reporting.ends) == {("shop", "app", cause, ""): 3, ("shop", "app", cause, "again-unsent"): 3}
