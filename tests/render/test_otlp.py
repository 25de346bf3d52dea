"""Spans, log records and requests that every reader of protobuf understands, whatever clients and servers sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headgate.diagnose.catalogue import catalogue
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import BODY, HEAD
from headgate.model.trace import Trace
from headgate.render.otlp import Sender, attributes, logs_request, text, trace_request
from headgate.render.otlp_logs import incident, records
from headgate.render.otlp_spans import at, spans
from headgate.render.transcript import Told

SENDER = Sender("edge", "1.2.3", "host", "abc", {"team": "x", "service.version": "9"})
SINCE = 1_795_000_000_000_000_000


def told(values):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in values}


def served(status=200, target=b"/a/b?token=x&c=1", host=b"example.org:8443", server="https://app.internal:9000"):
    one = Exchange("ref", "192.0.2.9", "https", 1000.000001)
    one.method, one.target, one.host, one.route, one.upstream = b"GET", target, host, "shop", "app"
    attempt = Attempt("app", server, 1000.0001)
    attempt.address, attempt.status, attempt.phase = "[2001:db8::1]:9000", status, BODY
    attempt.t_resolved, attempt.t_connected, attempt.t_secured = 1000.0002, 1000.0003, 1000.0004
    attempt.t_sent, attempt.t_first, attempt.t_head, attempt.t_end = 1000.0005, 1000.0006, 1000.0007, 1000.000801
    one.attempts.append(attempt)
    one.status, one.outcome, one.t_end = status, "served", 1000.0009
    return one


def as_told(one, **trace):
    return Told(one, Trace(3, "1" * 32, **trace), tuple(range(len(one.attempts))))


def test_times_are_right_to_the_microsecond():
    server, client = spans(as_told(served()), SINCE, addresses=False)
    assert server.start_time_unix_nano - SINCE == 1_000_000_001_000
    assert client.end_time_unix_nano - SINCE == 1_000_000_801_000
    assert abs(at(8_640_000.123456, SINCE) - SINCE - 8_640_000_123_456_000) <= 2  # nanoseconds, after a hundred days
    assert [event.name for event in client.events] == ["resolve", "connect", "tls", "send", "first byte", "head", "body"]
    assert [event.time_unix_nano - SINCE - 10**12 for event in client.events[:3]] == [200_000, 300_000, 400_000]


def test_the_server_span_says_what_the_conventions_ask_for():
    server, _ = spans(as_told(served(), parent_id="00f067aa0ba902b7", state="a=1"), SINCE, addresses=True)
    says = told(server.attributes)
    assert says == {
        "http.request.method": "GET", "headgate.reference": "ref", "url.path": "/a/b", "url.query": "token=[redacted]&c=1",
        "url.scheme": "https", "server.address": "example.org", "server.port": 8443, "network.protocol.version": "1.1",
        "http.route": "shop", "http.response.status_code": 200, "client.address": "192.0.2.9", "headgate.outcome": "served",
        "headgate.upstream": "app", "headgate.attempts": 1,
    }  # fmt: skip
    assert (server.name, server.flags, server.trace_state) == ("GET shop", 3 | 0x100 | 0x200, "a=1")
    assert server.parent_span_id.hex() == "00f067aa0ba902b7"


def test_the_client_span_says_where_it_went():
    says = told(spans(as_told(served()), SINCE, addresses=False)[1].attributes)
    assert says["url.full"] == "https://app.internal:9000/a/b?token=[redacted]&c=1"
    assert (says["server.address"], says["server.port"]) == ("app.internal", 9000)
    assert (says["network.peer.address"], says["network.peer.port"]) == ("2001:db8::1", 9000)
    one = served(server="unix:/run/app.sock")
    one.attempts[0].address = "unix:/run/app.sock"
    says = told(spans(as_told(one), SINCE, addresses=False)[1].attributes)
    assert (says["server.address"], says["network.transport"]) == ("/run/app.sock", "unix")
    assert says["url.full"].startswith("http://localhost/a/b")


@pytest.mark.parametrize(
    ("status", "outcome", "server_error", "client_error"),
    [(200, "served", 0, 0), (404, "served", 0, 2), (503, "served", 2, 2)],
)
def test_a_status_is_an_error_as_the_conventions_say(status, outcome, server_error, client_error):
    server, client = spans(as_told(served(status)), SINCE, addresses=False)
    assert (server.status.code, client.status.code) == (server_error, client_error)
    assert told(server.attributes).get("error.type") == (str(status) if server_error else None)
    assert told(client.attributes).get("error.type") == (str(status) if client_error else None)


def test_a_client_that_left_is_no_error_and_has_no_status():
    one = served()
    one.outcome, one.status, one.cause, one.signal = "gone", 499, catalogue()["client-gone"], "client-gone"
    server = spans(as_told(one), SINCE, addresses=False)[0]
    assert server.status.code == 0
    assert "http.response.status_code" not in told(server.attributes)
    assert told(server.attributes)["headgate.cause"] == "client-gone"
    assert records(as_told(one), SINCE, addresses=False) == []


def test_a_response_that_broke_off_is_an_error_whatever_its_status():
    one = served()
    one.outcome, one.cause = "cut", catalogue()["body-truncated"]
    one.attempts[0].cause, one.attempts[0].signal = one.cause, "eof"
    server, client = spans(as_told(one), SINCE, addresses=False)
    assert (server.status.code, client.status.code) == (2, 2)
    assert client.events[-1].name == "body failed"
    record = records(as_told(one), SINCE, addresses=False)[0]
    assert (record.severity_text, record.body.string_value) == ("ERROR", server.status.message)


def test_an_exchange_without_attempts():
    one = served()
    one.attempts.clear()
    one.outcome, one.status, one.signal, one.cause, one.facts = "answered", 503, "no-server", catalogue()["no-healthy-server"], {}
    assert len(spans(as_told(one), SINCE, addresses=False)) == 1
    record = records(as_told(one), SINCE, addresses=False)[0]
    assert (record.event_name, record.severity_text) == ("headgate.exchange.failed", "ERROR")
    assert told(record.attributes)["headgate.cause"] == "no-healthy-server"


def test_an_unknown_method_has_no_name_of_its_own():
    one = served()
    one.method = b"BREW"
    server, client = spans(as_told(one), SINCE, addresses=False)
    assert (server.name, client.name) == ("HTTP shop", "HTTP")
    says = told(server.attributes)
    assert (says["http.request.method"], says["http.request.method_original"]) == ("_OTHER", "BREW")


@given(
    target=st.binary(max_size=80), host=st.binary(max_size=40), server=st.text(max_size=40), address=st.text(max_size=40),
    route=st.text(max_size=40), reference=st.text(max_size=40), phase=st.sampled_from([HEAD, BODY]),
)  # fmt: skip
def test_whatever_was_sent_becomes_a_request_that_can_be_read(target, host, server, address, route, reference, phase):
    one = served(target=target, host=host, server=server)
    one.route, one.reference = route, reference
    attempt = one.attempts[0]
    attempt.address, attempt.phase, attempt.signal, attempt.cause = address, phase, "malformed", catalogue()["header-invalid"]
    attempt.facts = {"excerpt": target, "error": server, "rule": address}
    one.cause = attempt.cause
    made = ExportTraceServiceRequest.FromString(trace_request(SENDER, spans(as_told(one), SINCE, addresses=True)))
    assert len(made.resource_spans[0].scope_spans[0].spans) == 2
    logs = ExportLogsServiceRequest.FromString(logs_request(SENDER, records(as_told(one), SINCE, addresses=True)))
    assert len(logs.resource_logs[0].scope_logs[0].log_records) == 1


@given(st.text(max_size=5000))
def test_texts_are_bounded_and_legal(value):
    assert len(text(value)) <= 2048 * 10
    text(value).encode()
    attributes({value: value})


def test_half_a_character_is_written_out():
    assert text("a\udcffb") == "a\\udcffb"


def test_the_resource_is_what_was_said_last():
    assert told(SENDER.resource().attributes) == {
        "service.name": "edge", "service.version": "9", "service.instance.id": "abc", "host.name": "host", "team": "x",
    }  # fmt: skip


def test_what_became_of_an_incident():
    summary = {"id": "A1", "cause": "connection-refused", "seen": 3, "servers": [{}], "resolved": None, "first": 1.5}
    opened, over = incident("opened", summary, "words", 12.5), incident("resolved", summary, "words", 12.5)
    assert (opened.event_name, opened.severity_text, over.severity_text) == ("headgate.incident.opened", "ERROR", "INFO")
    assert opened.time_unix_nano == 12_500_000_000
    assert told(opened.attributes)["headgate.incident.id"] == "A1"
    assert incident("opened", {**summary, "seen": 0}, "words", 1.0).severity_text == "WARN"
