"""What a played scenario means in words, and that the error log is read back as it was written."""

from headgate.diagnose.classify import classify
from headgate.lab.scenario import load_scenarios
from headgate.lab.showcase import SHOWN, error_lines
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import CONNECT
from headgate.model.signals import REFUSED
from headgate.render.error_log import error_line


def test_every_shown_scenario_exists_and_needs_no_gateway_of_its_own() -> None:
    scenarios = load_scenarios()
    assert len(set(SHOWN)) == len(SHOWN) >= 12
    assert not [name for name in SHOWN if scenarios[name].alone or scenarios[name].needs]


def test_an_error_line_is_read_back() -> None:
    exchange = Exchange("ref-1", "10.0.0.1", "http", 1.0)
    exchange.method, exchange.target = b"GET", b'/a"b c\\d=e'
    attempt = Attempt("app", "http://10.0.0.5:80", 1.0)
    attempt.address, attempt.phase, attempt.signal, attempt.facts = "10.0.0.5:80", CONNECT, REFUSED, {"elapsed_ms": 3}
    attempt.cause = classify(CONNECT, REFUSED, attempt.facts)
    attempt.verdict = "not-elsewhere"
    line = error_line(exchange, attempt, "2026-11-20T10:15:30.123Z")
    log = f"2026-11-20T10:15:30.000Z note listening on 127.0.0.1:8080\n{line}\n"
    (read,) = error_lines(log)
    assert (read["cause"], read["verdict"], read["reference"]) == ("connection-refused", "not-elsewhere", "ref-1")
    assert read["request"] == 'GET /a"b c\\d=e HTTP/1.1'
    assert read["message"].startswith("Nothing listens on 10.0.0.5:80")
