"""Every symptom that can occur has a cause, every cause has a symptom, and the first row that fits wins."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from headgate.config.schema import Limits
from headgate.diagnose import classify as module
from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.classify import BadRow, classify, table
from headgate.model import phases as p
from headgate.model import signals as s
from headgate.model.facts import Facts
from headgate.wire.refusal import RULES
from headgate.wire.sniff import PROTOCOLS

EVERY = range(len(p.PHASES))
ESTABLISHED = (p.SEND, p.HEAD, p.BODY)
CAN_OCCUR: dict[str, Any] = {
    s.NO_ROUTE: (p.ADMIT,),
    s.METHOD_NOT_ALLOWED: (p.ADMIT,),
    s.DENIED: (p.ADMIT,),
    s.LOOP: (p.ADMIT,),
    s.MAINTENANCE: (p.ADMIT,),
    s.NO_SERVER: EVERY,  # also where another try finds none
    s.LIMIT: EVERY,
    s.CIRCUIT: EVERY,  # also where another try finds it open
    s.RATE: (p.ADMIT,),
    s.OVERLOAD: EVERY,
    s.STOPPING: EVERY,
    s.CLIENT_MALFORMED: EVERY,
    s.CLIENT_TOO_LARGE: EVERY,
    s.CLIENT_UNSUPPORTED: EVERY,
    s.CLIENT_DEADLINE: EVERY,
    s.CLIENT_GONE: EVERY,
    s.NXDOMAIN: (p.RESOLVE,),
    s.NODATA: (p.RESOLVE,),
    s.SERVFAIL: (p.RESOLVE,),
    s.DNS_REFUSED: (p.RESOLVE,),
    s.DNS_INVALID: (p.RESOLVE,),
    s.REFUSED: (p.CONNECT,),
    s.UNREACHABLE: (p.CONNECT,),
    s.PROHIBITED: (p.CONNECT,),
    s.ADDRESS_DENIED: (p.CONNECT,),
    s.MISSING: (p.CONNECT,),
    s.FORBIDDEN: (p.CONNECT,),
    s.BACKLOG: (p.CONNECT,),
    s.NO_FILES: EVERY,
    s.NO_PORTS: EVERY,
    s.NO_MEMORY: EVERY,
    s.MISCONFIGURED: (p.CONNECT,),
    s.CERTIFICATE: (p.TLS,),
    s.ALERT: (p.TLS, *ESTABLISHED),
    s.TLS_PROTOCOL: (p.TLS, *ESTABLISHED),
    s.EOF: (p.TLS, *ESTABLISHED),
    s.RESET: (p.CONNECT, p.TLS, *ESTABLISHED),
    s.DEADLINE: (p.RESOLVE, p.CONNECT, p.TLS, *ESTABLISHED),
    s.TOTAL_DEADLINE: EVERY,
    s.MALFORMED: ESTABLISHED,
    s.TOO_LARGE: ESTABLISHED,
    s.ANSWERED: (p.HEAD,),
    s.UPGRADE: (p.SEND, p.HEAD),
    s.CODING: (p.HEAD, p.BODY),
    s.UNEXPECTED: EVERY,
}
"""In which phases each signal can be seen (model/signals.py in words, and gateway/)."""
RULE_SIGNALS = (s.MALFORMED, s.CLIENT_MALFORMED, s.CLIENT_UNSUPPORTED)
NOT_OF_THE_GRAMMAR = {"not-http"}


def conditions() -> Iterator[tuple[str, str, Any]]:
    """Yield (signal, key, value) of every condition in the table."""
    for (_, signal), rows in table().items():
        for wanted, _ in rows:
            for key, values in wanted:
                yield from ((signal, key, value) for value in values)


def covers(earlier: tuple[Any, ...], facts: dict[str, Any]) -> bool:
    return all(key in facts and facts[key] in values for key, values in earlier)


def shadowed(rows: list[module.Row]) -> list[tuple[str, dict[str, Any]]]:
    """Return the combinations of facts that a row names, but that an earlier row always takes."""
    found = []
    for number, (wanted, cause) in enumerate(rows):
        for values in product(*(values for _, values in wanted)):
            facts = dict(zip((key for key, _ in wanted), values, strict=True))
            if any(covers(earlier, facts) for earlier, _ in rows[:number]):
                found.append((cause.code, facts))
    return found


def test_it_is_known_of_every_signal_where_it_can_occur() -> None:
    assert CAN_OCCUR.keys() == set(s.SIGNALS)


@pytest.mark.parametrize("signal", s.SIGNALS)
def test_a_signal_has_a_default_cause_in_each_phase_where_it_can_occur(signal: str) -> None:
    for phase in CAN_OCCUR[signal]:
        assert (phase, signal) in table(), p.PHASES[phase]
        wanted, cause = table()[phase, signal][-1]
        assert wanted == (), f"{p.PHASES[phase]}: the last row has conditions"
        assert classify(phase, signal, None) is cause


@pytest.mark.parametrize("signal", s.SIGNALS)
def test_what_cannot_occur_is_our_own_error(signal: str) -> None:
    for phase in set(EVERY) - set(CAN_OCCUR[signal]):
        assert classify(phase, signal, {}).code == "gateway-error", p.PHASES[phase]


def test_every_cause_is_reached() -> None:
    assert {cause.code for rows in table().values() for _, cause in rows} == {
        c.code for c in catalogue().values() if not c.elsewhere
    }


def test_no_row_is_shadowed_by_an_earlier_one() -> None:
    assert {key: rows for key, row in table().items() if (rows := shadowed(row))} == {}


def test_shadowing_would_be_noticed() -> None:
    fine, general = catalogue()["length-conflict"], catalogue()["header-invalid"]
    assert shadowed([((), general), ((("rule", ("a",)),), fine)]) == [("length-conflict", {"rule": "a"})]
    assert shadowed([((("rule", ("a", "b")),), general), ((("rule", ("b", "c")),), fine)]) == [("length-conflict", {"rule": "b"})]
    assert shadowed([((), general), ((), fine)]) == [("length-conflict", {})]
    assert shadowed([((("rule", ("a",)),), fine), ((("limit", ("a",)),), fine), ((), general)]) == []


def test_rows_ask_only_for_facts_that_exist() -> None:
    assert {key for _, key, _ in conditions()} <= Facts.__annotations__.keys()


def test_rows_name_only_rules_protocols_and_limits_that_exist() -> None:
    for signal, key, value in conditions():
        if key == "rule" and signal in RULE_SIGNALS:
            assert value in RULES.keys() | NOT_OF_THE_GRAMMAR
        if key == "looks_like":
            assert value in {name for name, _ in PROTOCOLS}
        if key == "limit":
            assert value in Limits.model_fields or value.removeprefix("response_") in Limits.model_fields


@pytest.mark.parametrize(
    ("phase", "signal", "facts", "code"),
    [
        (p.CONNECT, s.REFUSED, {"errno": 111}, "connection-refused"),
        (p.CONNECT, s.UNREACHABLE, {"errno": 101}, "network-unreachable"),
        (p.CONNECT, s.UNREACHABLE, {"errno": 113}, "host-unreachable"),
        (p.CONNECT, s.DEADLINE, {}, "connection-timeout"),
        (p.RESOLVE, s.DEADLINE, {}, "dns-timeout"),
        (p.RESOLVE, s.SERVFAIL, {"ede": 6}, "dns-validation-failed"),
        (p.RESOLVE, s.SERVFAIL, {"ede": 22}, "dns-server-failure"),
        (p.RESOLVE, s.SERVFAIL, {}, "dns-server-failure"),
        (p.TLS, s.CERTIFICATE, {"verify_code": 10}, "certificate-expired"),
        (p.TLS, s.CERTIFICATE, {"verify_code": 62}, "certificate-name-mismatch"),
        (p.TLS, s.CERTIFICATE, {"verify_code": 1}, "certificate-invalid"),
        (p.HEAD, s.EOF, {"reused": True, "untouched": True}, "closed-on-reuse"),
        (p.HEAD, s.EOF, {"reused": False, "untouched": True}, "closed-before-answer"),
        (p.HEAD, s.EOF, {"reused": True, "untouched": False}, "head-truncated"),
        (p.HEAD, s.RESET, {"reused": True, "untouched": True}, "reset-on-reuse"),
        (p.HEAD, s.DEADLINE, {"untouched": True}, "response-timeout"),
        (p.HEAD, s.DEADLINE, {"untouched": False}, "head-stalled"),
        (p.HEAD, s.MALFORMED, {"rule": "not-http", "looks_like": "ssh"}, "not-http-ssh"),
        (p.HEAD, s.MALFORMED, {"rule": "not-http", "looks_like": "html"}, "not-http"),
        (p.HEAD, s.MALFORMED, {"rule": "field-name"}, "header-invalid"),
        (p.BODY, s.EOF, {"rule": "chunked"}, "chunked-truncated"),
        (p.BODY, s.EOF, {"body_received": 1500, "body_expected": 4000}, "body-truncated"),
        (p.BODY, s.EOF, {"rule": "tunnel"}, "tunnel-reset"),
        (p.BODY, s.CLIENT_GONE, {}, "client-gone"),
        (p.ADMIT, s.CLIENT_MALFORMED, {"rule": "length-and-coding"}, "request-framing"),
        (p.ADMIT, s.CLIENT_MALFORMED, {"rule": "host-missing"}, "request-host-invalid"),
        (p.ADMIT, s.CLIENT_TOO_LARGE, {"limit": "request_line_bytes"}, "request-target-too-long"),
        (p.ADMIT, s.LIMIT, {"limit": "max_requests", "limit_value": 3}, "server-limit-reached"),
        (p.ADMIT, s.LIMIT, {"rule": "queue", "limit": "queue.wait", "limit_value": 2.0}, "queue-timed-out"),
        (p.ADMIT, s.LIMIT, {"limit": "queue.size", "limit_value": 128}, "server-limit-reached"),
        (p.ADMIT, s.CIRCUIT, {"error": "a probe failed", "retry_after": 10.0}, "circuit-open"),
        (p.ADMIT, s.RATE, {"limit": "rate_limit.rate", "error": "1/s", "retry_after": 0.5}, "rate-limited"),
        (p.HEAD, s.ANSWERED, {"status": 503}, "upstream-answered-error"),
        (p.BODY, "no such signal", {}, "gateway-error"),
    ],
)
def test_symptoms_and_their_causes(phase: int, signal: str, facts: dict[str, Any], code: str) -> None:
    assert classify(phase, signal, facts).code == code


def read_table(monkeypatch: pytest.MonkeyPatch, folder: Path, rows: str) -> Any:
    """Return the table made of `rows` instead of the package's own."""
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "classification.toml").write_text(f"row = [\n{rows}\n]\n")
    monkeypatch.setattr(module, "files", lambda package: folder)
    return table.__wrapped__()


def test_the_first_row_that_fits_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = """
      { phase = "tls|head", signal = ["eof", "reset"], facts = { errno = [1, 2] }, cause = "tls-reset" },
      { phase = "head", signal = "eof", cause = "head-truncated" },
      { phase = "any", signal = "eof", cause = "tls-closed" },
    """
    made = read_table(monkeypatch, tmp_path, rows)
    monkeypatch.setattr(module, "table", lambda: made)
    assert classify(p.HEAD, s.EOF, {"errno": 2}).code == "tls-reset"
    assert classify(p.HEAD, s.EOF, {"errno": 3}).code == "head-truncated"
    assert classify(p.HEAD, s.EOF, None).code == "head-truncated"
    assert classify(p.BODY, s.EOF, {"errno": 2}).code == "tls-closed"
    assert classify(p.HEAD, s.RESET, {"errno": 3}).code == "gateway-error"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{ phase = "tls", signal = "eof", cause = "tls-close" }', "row 1: no cause is called 'tls-close'"),
        ('{ phase = "tls|dial", signal = "eof", cause = "tls-closed" }', r"row 1: phase 'tls\|dial', expected some of admit"),
        ('{ phase = "tls", signal = ["eof", "end"], cause = "tls-closed" }', "row 1: no signal is called 'end'"),
    ],
)
def test_a_bad_row_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(BadRow, match=rf"classification\.toml, {message}"):
        read_table(monkeypatch, tmp_path, row)
