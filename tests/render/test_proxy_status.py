import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.catalogue import catalogue
from headgate.model.phases import PHASES
from headgate.render.proxy_status import phrase, proxy_status, received_status, sf_string

TYPES = {
    "dns_timeout", "dns_error", "destination_not_found", "destination_unavailable", "destination_ip_prohibited",
    "destination_ip_unroutable", "connection_refused", "connection_terminated", "connection_timeout",
    "connection_read_timeout", "connection_write_timeout", "connection_limit_reached", "tls_protocol_error",
    "tls_certificate_error", "tls_alert_received", "http_request_error", "http_request_denied", "http_response_incomplete",
    "http_response_header_section_size", "http_response_header_size", "http_response_body_size",
    "http_response_trailer_section_size", "http_response_trailer_size", "http_response_transfer_coding",
    "http_response_content_coding", "http_response_timeout", "http_upgrade_failed", "http_protocol_error",
    "proxy_internal_response", "proxy_internal_error", "proxy_configuration_error", "proxy_loop_detected",
}  # fmt: skip
"""RFC 9209 section 2.3."""

KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
INTEGER = re.compile(r"-?[0-9]{1,15}")


class Token(str):
    __slots__ = ()


def bare_item(text, at):
    """RFC 9651 4.2.3.1, for the kinds that Proxy-Status uses."""
    if found := STRING.match(text, at):
        return re.sub(r"\\(.)", r"\1", found[1]), found.end()
    if found := INTEGER.match(text, at):
        return int(found[0]), found.end()
    found = TOKEN.match(text, at)
    assert found, f"no bare item at {at} in {text!r}"
    return Token(found[0]), found.end()


def parse(raw):
    """One list member with its parameters, as strictly as RFC 9651 4.2 reads them."""
    text = raw.decode("ascii")
    name, at = bare_item(text, 0)
    parameters = {}
    while at < len(text):
        assert text[at] == ";", f"expected ; at {at} in {text!r}"
        at = re.compile(" *").match(text, at + 1).end()
        key = KEY.match(text, at)
        assert key, f"no key at {at} in {text!r}"
        assert text[key.end()] == "="
        assert key[0] not in parameters
        parameters[key[0]], at = bare_item(text, key.end() + 1)
    return name, parameters


@pytest.mark.parametrize("code", catalogue())
def test_every_cause_is_a_valid_member(failed, canaries, code):
    cause = catalogue()[code]
    assert cause.error in TYPES
    for details in (False, True):
        name, parameters = parse(proxy_status("headgate", cause, failed(code, facts=canaries), details=details))
        assert isinstance(name, Token)
        assert name == "headgate"
        assert parameters["error"] == cause.error
        assert isinstance(parameters["error"], Token)
        assert ("details" in parameters) == details
        assert details or "next-hop" not in parameters


def test_the_public_member_is_short(failed):
    exchange = failed("connection-refused", facts={"errno": 111})
    assert proxy_status("headgate", exchange.cause, exchange, details=False) == b"headgate; error=connection_refused"


def test_the_trusted_member(failed):
    exchange = failed("connection-refused", facts={"errno": 111, "elapsed_ms": 1})
    assert proxy_status("headgate", exchange.cause, exchange, details=True) == (
        b'headgate; error=connection_refused; next-hop="10.0.0.5:3000"; '
        b'details="Nothing listens on 10.0.0.5:3000: the connection was refused after 1 ms."'
    )


@pytest.mark.parametrize(
    ("code", "facts", "public", "trusted"),
    [
        ("dns-server-failure", {"rcode": "SERVFAIL", "ede": 22}, {"rcode": "SERVFAIL", "info-code": 22}, {}),
        ("dns-answer-invalid", {"rcode": "made up"}, {}, {}),
        ("tls-alert", {"alert": 40, "alert_name": "handshake_failure"}, {"alert-id": 40}, {"alert-message": "handshake_failure"}),
        ("header-section-too-large", {"seen": 70000, "limit_value": 65536}, {"header-section-size": 70000}, {}),
        ("header-line-too-large", {"seen": 9, "header_name": "x-a"}, {"header-size": 9}, {"header-name": "x-a"}),
        ("header-line-too-large", {"seen": 9, "header_name": "the status line"}, {"header-size": 9}, {}),
        ("trailer-line-too-large", {"seen": 9, "header_name": "x-a"}, {"trailer-size": 9}, {"trailer-name": "x-a"}),
        ("trailer-section-too-large", {"seen": 9}, {"trailer-section-size": 9}, {}),
        ("response-body-too-large", {"seen": 9}, {"body-size": 9}, {}),
        ("content-coding-invalid", {"coding": "GZIP"}, {"coding": "gzip"}, {}),
        ("content-coding-invalid", {"coding": "x-ours"}, {}, {"coding": "x-ours"}),
        ("content-coding-invalid", {"coding": 'no "token"'}, {}, {}),
        ("request-body-too-large", None, {"status-code": 413, "status-phrase": "Content Too Large"}, {}),
    ],
)
def test_parameters_of_the_types(failed, code, facts, public, trusted):
    exchange = failed(code, facts=facts)
    _, parameters = parse(proxy_status("headgate", exchange.cause, exchange, details=False))
    assert parameters == {"error": exchange.cause.error, **public}
    _, parameters = parse(proxy_status("headgate", exchange.cause, exchange, details=True))
    del parameters["details"]
    parameters.pop("next-hop", None)
    assert parameters == {"error": exchange.cause.error, **public, **trusted}


def test_a_response_that_is_relayed():
    assert parse(received_status("headgate", 502)) == ("headgate", {"received-status": 502})


def test_a_name_that_is_no_token_becomes_a_string():
    assert received_status("9gate", 500) == b'"9gate"; received-status=500'


@given(st.text(max_size=60))
def test_strings_survive(text):
    value, end = bare_item(sf_string(text), 0)
    assert end == len(sf_string(text))
    if all(" " <= c <= "~" for c in text):
        assert value == text


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "rcode": st.text(max_size=20), "ede": st.integers(0, 65535), "alert": st.integers(0, 255),
        "alert_name": st.text(max_size=20), "seen": st.integers(0, 10**9), "header_name": st.text(max_size=20),
        "coding": st.text(max_size=20), "error": st.text(max_size=20), "excerpt": st.binary(max_size=64),
    },
)  # fmt: skip


@given(st.sampled_from(list(catalogue())), FACTS, st.text(max_size=40))
def test_any_facts_give_a_valid_member(failed, code, facts, address):
    exchange = failed(code, facts=facts, phase=PHASES.index("head"))
    exchange.attempts[0].address = address
    for details in (False, True):
        assert parse(proxy_status("headgate", exchange.cause, exchange, details=details))[1]["error"] == exchange.cause.error


def test_phrases_are_those_of_rfc_9110():
    assert [phrase(status) for status in (413, 414, 422, 499, 502)] == [
        "Content Too Large", "URI Too Long", "Unprocessable Content", "Client Closed Request", "Bad Gateway",
    ]  # fmt: skip
