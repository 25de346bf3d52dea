"""What an OpenTelemetry collector is told by a real gateway, over real sockets, in the official messages."""

import re
import time
from pathlib import Path

from .conftest import CLIENT, SERVER, Collector, Gateway, told, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def reference_of(gateway: Gateway, path: str) -> str:
    """Return the reference of the only request with this path."""
    found = until(lambda: [line["reference"] for line in gateway.access() if line["target"] == path])
    return str(found[0])


def test_a_request_is_a_span_with_a_child_for_its_try(start, collector, application):
    gateway = start()
    before = time.time_ns()
    assert gateway.get("/a?token=secret&b=1", traceparent=PARENT + "00", tracestate="x=1,y=2").status == 200
    after = time.time_ns()
    reference = reference_of(gateway, "/a?token=secret&b=1")
    span = collector.span_of(reference)
    child = collector.span_of(reference, CLIENT)
    assert span.trace_id.hex() == child.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    assert child.parent_span_id == span.span_id != child.span_id
    assert (span.name, span.trace_state, span.status.code) == ("GET */", "x=1,y=2", 0)
    says = told(span.attributes)
    assert says["url.path"] == "/a"
    assert says["url.query"] == "token=[redacted]&b=1"
    assert (says["http.request.method"], says["http.response.status_code"], says["headgate.outcome"]) == ("GET", 200, "served")
    assert not any("address" in name for name in says if name.startswith("client"))
    assert told(child.attributes)["url.full"].startswith(f"{application.url}/a?token=[redacted]")
    assert told(child.attributes)["server.port"] == int(application.url.rsplit(":", 1)[1])
    events = [(event.name, event.time_unix_nano) for event in child.events]
    assert [name for name, _ in events] == ["resolve", "connect", "send", "first byte", "head", "body"]
    times = [before, span.start_time_unix_nano, child.start_time_unix_nano, *(at for _, at in events), child.end_time_unix_nano]
    times += [span.end_time_unix_nano, after + 1_000_000]  # the client may have its answer before the span ends
    assert times == sorted(times)
    heads = {name.lower(): text for name, text in application.heads[-1]}
    assert heads["traceparent"] == f"00-{TRACE}-{child.span_id.hex()}-01"
    assert heads["tracestate"] == "x=1,y=2"
    resource = told(collector.traces[0].resource_spans[0].resource.attributes)
    assert resource.keys() == {"service.name", "service.version", "service.instance.id", "host.name"}
    assert resource["service.name"] == "headgate"


def test_each_try_is_a_child_of_its_own(start, collector, application, dead):
    gateway = start()
    seen = len(application.heads)
    while True:  # in turn: one of the first two goes to the dead server first
        assert gateway.get("/half").status == 200
        lines = [line for line in gateway.access() if line["attempts"] == 2]
        if lines:
            break
        assert len(application.heads) < seen + 10
    span = collector.span_of(lines[0]["reference"])
    tries = until(
        lambda: found if len(found := [one for one in collector.spans(CLIENT) if one.parent_span_id == span.span_id]) == 2 else []
    )
    failed, saved = sorted(tries, key=lambda one: one.start_time_unix_nano)
    assert span.status.code == 0
    assert told(span.attributes)["headgate.attempts"] == 2
    says = told(failed.attributes)
    assert (says["headgate.cause"], says["headgate.phase"], says["headgate.verdict"]) == (
        "connection-refused",
        "connect",
        "again-unsent",
    )
    assert says["error.type"] == "connection-refused"
    assert says["server.address"] == "127.0.0.1"
    assert failed.status.code == 2
    assert "connection was refused" in failed.status.message
    assert [event.name for event in failed.events] == ["resolve", "connect failed"]
    assert told(saved.attributes)["http.request.resend_count"] == 1
    assert saved.status.code == 0
    record = until(lambda: collector.records("headgate.attempt.failed"))[0]
    assert (record.severity_text, record.span_id, record.trace_id) == ("WARN", failed.span_id, failed.trace_id)
    assert record.body.string_value == failed.status.message
    assert f" span_id={failed.span_id.hex()}" in gateway.errors()


def test_one_reference_joins_page_logs_and_traces(start, collector):
    gateway = start("sample = 0")
    reply = gateway.get("/dead")
    assert reply.status == 502
    span = collector.span_of(reply.reference)
    line = gateway.line_of(reply.reference)
    assert reply.fields["X-Request-Id"] == reply.reference
    assert (line["trace_id"], line["span_id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert (span.status.code, told(span.attributes)["error.type"]) == (2, "connection-refused")
    record = until(lambda: collector.records("headgate.attempt"))[0]
    assert told(record.attributes)["headgate.reference"] == reply.reference
    assert record.severity_text == "ERROR"
    error = next(text for text in gateway.errors().splitlines() if f"reference={reply.reference} " in text)
    assert f"trace_id={line['trace_id']} span_id={record.span_id.hex()}" in error
    assert record.body.string_value in error


def test_incidents_are_told(start, collector):
    gateway = start("sample = 0")
    gateway.get("/dead")
    record = until(lambda: collector.records("headgate.incident.opened"))[0]
    assert told(record.attributes)["headgate.incident.cause"] == "connection-refused"
    assert record.body.string_value.startswith("incident ")
    assert record.severity_text == "ERROR"


def test_the_lot_decides_of_those_that_go_well(start, collector):
    gateway = start("sample = 0\ntrust = 'never'")
    for _ in range(20):
        assert gateway.get("/", traceparent=PARENT + "01").status == 200
    reply = gateway.get("/dead")
    collector.span_of(reply.reference)
    assert len(collector.spans(SERVER)) == 1


def test_nobody_can_be_made_to_pay(start, collector, application):
    gateway = start("sample = 0")
    assert gateway.get("/stranger", traceparent=PARENT + "01").status == 200
    parent = dict(application.heads[-1])["traceparent"]
    assert (parent[3:35], parent[-3:]) == (TRACE, "-00")
    collector.span_of(gateway.get("/dead").reference)
    assert len(collector.spans(SERVER)) == 1


def test_who_is_trusted_decides(start, collector):
    gateway = start("sample = 0", gateway='trusted_proxies = ["127.0.0.1"]')
    assert gateway.get("/wanted", traceparent=PARENT + "01").status == 200
    assert collector.span_of(reference_of(gateway, "/wanted")).trace_id.hex() == TRACE
    other = start("sample = 1", gateway='trusted_proxies = ["127.0.0.1"]')
    assert other.get("/unwanted", traceparent=PARENT + "00").status == 200
    collector.span_of(other.get("/dead").reference)
    assert len(collector.spans(SERVER)) == 2


def test_everybody_is_believed_where_that_is_wanted(start, collector):
    gateway = start("sample = 0\ntrust = 'always'")
    assert gateway.get("/wanted", traceparent=PARENT + "01").status == 200
    assert collector.span_of(reference_of(gateway, "/wanted")).trace_id.hex() == TRACE


def test_a_new_trace_where_nobody_is_believed(start, collector, application):
    gateway = start("sample = 1\ntrust = 'never'")
    assert gateway.get("/never", traceparent=PARENT + "01", tracestate="a=1").status == 200
    span = collector.span_of(reference_of(gateway, "/never"))
    assert span.trace_id.hex() != TRACE
    assert span.parent_span_id == b""
    heads = {name.lower(): text for name, text in application.heads[-1]}
    assert heads["traceparent"][3:35] == span.trace_id.hex()
    assert "tracestate" not in heads


def test_without_failures_and_without_logs(start, collector):
    gateway = start("sample = 0\nsample_failures = false\nlogs = false")
    assert gateway.get("/dead").status == 502
    gateway.reload(gateway.file.read_text().replace("sample = 0", "sample = 1"))
    span = collector.span_of(gateway.get("/dead").reference)
    assert len(collector.spans(SERVER)) == 1
    assert span.status.code == 2
    assert collector.records() == []


def test_logs_alone_leave_trace_headers_alone(start, collector, application):
    gateway = start("traces = false")
    assert gateway.get("/", traceparent="anything goes", tracestate="?").status == 200
    heads = {name.lower(): text for name, text in application.heads[-1]}
    assert (heads["traceparent"], heads["tracestate"]) == ("anything goes", "?")
    reply = gateway.get("/dead")
    record = until(lambda: collector.records("headgate.attempt"))[0]
    assert told(record.attributes)["headgate.reference"] == reply.reference
    assert record.trace_id == b""
    assert "trace_id" not in gateway.line_of(reply.reference)
    assert collector.spans() == []


def loaded(gateway: Gateway) -> bool:
    """Tell whether the control process has loaded the messages of OTLP."""
    return "google/_upb" in Path(f"/proc/{gateway.control().pid}/maps").read_text()


def test_without_the_table_nothing_is_touched(start, collector, application):
    gateway = start("")
    assert gateway.get("/", traceparent="00-x", tracestate="?").status == 200
    heads = {name.lower(): text for name, text in application.heads[-1]}
    assert (heads["traceparent"], heads["tracestate"]) == ("00-x", "?")
    assert gateway.get("/dead").status == 502
    assert gateway.ask("/api/status")["telemetry"] is None
    assert not loaded(gateway)
    assert collector.posts == []
    assert until(lambda: loaded(start("sample = 1")))


def test_forged_repeated_and_enormous_headers_break_nothing(start, collector, application):
    gateway = start()
    forged = [
        b"traceparent: " + PARENT.encode() + b"01\r\ntraceparent: " + PARENT.encode() + b"01\r\n",
        b"Traceparent: 00-" + b"0" * 32 + b"-b7ad6b7169203331-01\r\n",
        b"traceparent: " + b"a" * 8000 + b"\r\n",
        b"traceparent: 00-\xff\xfe-\x80-01\r\n",
        b"TRACEPARENT: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
        b"tracestate: a=1\r\n",
        b"traceparent:\r\nTraceState: " + b"a=1," * 2000 + b"\r\n",
        b"traceparent : x\r\n",
        b"Connection: traceparent\r\ntraceparent: " + PARENT.encode() + b"01\r\n",
    ]
    for number, lines in enumerate(forged):
        data = b"GET /forged/%d HTTP/1.1\r\nHost: x\r\n%bConnection: close\r\n\r\n" % (number, lines)
        answer = gateway.raw(data)
        if b" : x" in lines:
            assert answer.startswith(b"HTTP/1.1 400 "), answer  # as any space before a colon: RFC 9112 section 5.1
            continue
        assert answer.startswith(b"HTTP/1.1 200 "), (lines[:80], answer)
        got = [text for name, text in application.heads[-1] if name.lower() == "traceparent"]
        assert len(got) == 1
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-03", got[0])
        assert TRACE not in got[0]
        assert not [text for name, text in application.heads[-1] if name.lower() == "tracestate"]
        assert collector.span_of(reference_of(gateway, f"/forged/{number}")).trace_id.hex() == got[0][3:35]


def test_hostile_strings_arrive_as_text(start, collector):
    gateway = start("sample = 1")
    answer = gateway.raw(b"GET /dead/<script>%0a\xff\x80?password=x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 ")
    span = until(
        lambda: (
            [one for one in collector.spans(SERVER) if "script" in told(one.attributes).get("url.path", "")]
            or answer[9:12] == b"400"
        )
    )
    if span is not True:
        assert told(span[0].attributes)["url.query"] == "password=[redacted]"


def test_names_in_the_environment(start, collector, application):
    gateway = start(
        "sample = 1\nresource = { team = 'checkout' }",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}/",
        OTEL_SERVICE_NAME="edge",
        OTEL_RESOURCE_ATTRIBUTES="team=other,cloud.region=eu%2D1",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=abc",
    )
    assert gateway.get("/env").status == 200
    collector.span_of(reference_of(gateway, "/env"))
    resource = told(collector.traces[0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["team"], resource["cloud.region"]) == ("edge", "checkout", "eu-1")
    assert collector.heads[0]["x-key"] == "abc"


def test_header_lines_from_a_file(start, collector, tmp_path):
    (tmp_path / "lines").write_text("# for the collector\nAuthorization: Bearer abc\n\nX-Scope: a b\n")
    gateway = start(f'sample = 1\nheaders = "{tmp_path}/lines"\nclient_address = true')
    assert gateway.get("/file").status == 200
    span = collector.span_of(reference_of(gateway, "/file"))
    assert told(span.attributes)["client.address"] == "127.0.0.1"
    assert collector.heads[0]["authorization"] == "Bearer abc"
    assert collector.heads[0]["x-scope"] == "a b"


def test_a_reload_switches_it_off_and_on(start, collector, application, config):
    gateway = start("sample = 1")
    assert gateway.get("/one").status == 200
    collector.span_of(reference_of(gateway, "/one"))
    on = gateway.file.read_text()
    gateway.reload(config(""))
    assert gateway.get("/two", traceparent="x").status == 200
    assert dict(application.heads[-1])["traceparent"] == "x"
    assert "trace_id" not in gateway.line_of(reference_of(gateway, "/two"))
    gateway.reload(on)
    assert gateway.get("/three").status == 200
    collector.span_of(reference_of(gateway, "/three"))
    paths = {told(span.attributes)["url.path"] for span in collector.spans(SERVER)}
    assert paths == {"/one", "/three"}


def test_several_workers_make_different_ids(start, collector: Collector):
    gateway = start("sample = 1", workers=3)
    for number in range(60):
        assert gateway.get(f"/{number}").status == 200
    spans = until(lambda: found if len(found := collector.spans()) == 120 else [])
    assert len({span.span_id for span in spans}) == 120
    assert len({span.trace_id for span in spans}) == 60


def test_server_timing_is_for_those_who_may_know(start):
    gateway = start("", gateway='details_for = ["127.0.0.0/8"]')
    lines = gateway.get("/timed").fields.get_all("Server-Timing")
    assert lines[0] == "db;dur=53"
    names = [part.split(";")[0].strip() for part in lines[1].split(",")]
    assert names == ["resolve", "connect", "wait", "total"]
    kept = gateway.get("/dead").fields.get_all("Server-Timing")
    assert [part.split(";")[0].strip() for part in kept[0].split(",")] == ["resolve", "total"]
    other = start("")
    assert other.get("/timed").fields.get_all("Server-Timing") == ["db;dur=53"]
    assert other.get("/dead").fields.get_all("Server-Timing") is None


def test_what_clients_do_wrong_is_no_failure_of_a_service(start, collector):
    gateway = start("sample = 0")
    data = b"GET /gone HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n"
    assert gateway.raw(data).startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    collector.span_of(gateway.get("/dead").reference)
    assert len(collector.spans(SERVER)) == 1
    assert len(collector.records("headgate.attempt")) == 1
    assert collector.records("headgate.exchange") == []
