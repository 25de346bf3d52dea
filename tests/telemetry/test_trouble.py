"""Collectors that are gone, slow, or talk nonsense, a control process that is killed: traffic goes on, and losses are counted."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse

from headgate.lab.processes import free_port

from .conftest import CLIENT, SERVER, Collector, Gateway, told, until

OTLP = "application/x-protobuf"


def settled(gateway: Gateway, kind: str = "traces") -> bool:
    """Tell whether nothing waits any more."""
    return not gateway.counts()[kind]["waiting"]


def total(one: dict) -> int:
    """Return what was sent, lost or waits."""
    return int(one["sent"] + sum(one["lost"].values()) + one["waiting"])


def test_a_collector_that_comes_late_gets_what_waited(start):
    port = free_port()
    gateway = start(f'sample = 1\nendpoint = "http://127.0.0.1:{port}"')
    assert gateway.get("/early").status == 200
    gateway.says(f"note telemetry: traces are not delivered: http://127.0.0.1:{port}/v1/traces")
    assert gateway.counts()["traces"]["trouble"]
    late = Collector(port)
    try:
        assert until(lambda: late.spans(SERVER))
        gateway.says("note telemetry: traces are delivered again")
        until(lambda: settled(gateway))
        assert gateway.counts()["traces"] == {"sent": 2, "lost": {}, "waiting": 0, "trouble": ""}
    finally:
        late.stop()


def test_a_collector_that_dies_and_comes_back(start, collector):
    gateway = start("sample = 1")
    assert gateway.get("/one").status == 200
    until(lambda: collector.spans(SERVER))
    collector.stop()
    assert gateway.get("/two").status == 200
    gateway.says("note telemetry: traces are not delivered")
    collector.start()
    until(lambda: len(collector.spans(SERVER)) == 2)
    assert gateway.counts()["traces"]["lost"] == {}


def test_a_collector_that_hangs_delays_nobody(start, collector):
    held = threading.Event()

    def hang(handler, body):
        held.wait(30)
        return False

    collector.behave = hang
    gateway = start("sample = 1\ntimeout = '500ms'")
    for number in range(50):
        assert gateway.get(f"/{number}").status == 200
    gateway.says("did not answer within 0.5 s")
    assert gateway.get("/dead").status == 502
    assert gateway.ask("/api/status")["telemetry"]["traces"]["waiting"] >= 102
    collector.behave = lambda handler, body: False
    held.set()
    until(lambda: {f"/{number}" for number in range(50)} <= {told(one.attributes)["url.path"] for one in collector.spans(SERVER)})


def test_a_stop_does_not_wait_for_a_collector_that_hangs(start, collector):
    held = threading.Event()
    collector.behave = lambda handler, body: held.wait(60)
    gateway = start("sample = 1\ntimeout = '60s'")
    assert gateway.get("/").status == 200
    until(lambda: collector.posts)
    assert gateway.stop() == 0
    held.set()


def test_a_stop_delivers_what_waits(start, collector):
    gateway = start("sample = 1")
    for number in range(30):
        assert gateway.get(f"/{number}").status == 200
    assert gateway.stop() == 0
    assert len(collector.spans(SERVER)) == 30
    assert len(collector.spans(CLIENT)) == 30


def test_retry_after_is_heeded(start, collector):
    def busy(handler, body):
        if len(collector.posts) < 3:
            handler.answer(503, b"busy", Retry_After="1")
            return True
        return False

    collector.behave = busy
    gateway = start("sample = 1\nlogs = false")
    assert gateway.get("/").status == 200
    until(lambda: collector.spans(SERVER))
    times = [when for when, _ in collector.posts[:3]]
    assert times[1] - times[0] >= 0.95  # never earlier than it was asked for
    assert times[2] - times[1] >= 0.95
    until(lambda: settled(gateway))
    assert gateway.counts()["traces"] == {"sent": 2, "lost": {}, "waiting": 0, "trouble": ""}


def test_a_collector_that_refuses(start, collector):
    collector.behave = lambda handler, body: handler.answer(401, b"who are you?") or True
    gateway = start("sample = 1\nlogs = false")
    assert gateway.get("/").status == 200
    gateway.says("v1/traces answered 401")
    until(lambda: settled(gateway))
    assert gateway.counts()["traces"]["lost"] == {"refused": 2}
    assert "who are you" not in gateway.errors()


def test_a_part_that_is_not_taken(start, collector):
    def partly(handler, body):
        answer = ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too\x1b[31m long\n")
        )
        handler.answer(200, answer.SerializeToString(), Content_Type=OTLP)
        return True

    collector.behave = partly
    gateway = start("sample = 1\nlogs = false")
    assert gateway.get("/").status == 200
    gateway.says("did not take 1: too")
    until(lambda: settled(gateway))
    assert gateway.counts()["traces"]["lost"] == {"refused": 1}
    assert gateway.counts()["traces"]["sent"] == 1
    assert "\x1b" not in gateway.errors()


def test_answers_that_make_no_sense(start, collector):
    odd = iter([
        lambda handler: handler.answer(200, b"\xff" * 100, Content_Type=OTLP),
        lambda handler: handler.answer(200, b"<html>hello", Content_Type="text/html"),
        lambda handler: handler.answer(302, b"", Location="http://127.0.0.1:9/"),
        lambda handler: handler.answer(200, b"x" * 1_000_000, Content_Type=OTLP),
        lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ])  # fmt: skip

    def nonsense(handler, body):
        handler.close_connection = True
        step = next(odd, None)
        if step is not None:
            step(handler)
        return step is not None

    collector.behave = nonsense
    gateway = start("sample = 1\nlogs = false")
    for number in range(6):
        posts = len(collector.posts)
        assert gateway.get(f"/{number}").status == 200
        until(lambda posts=posts: len(collector.posts) > posts)
    until(lambda: collector.spans(SERVER))
    until(lambda: settled(gateway))
    counts = gateway.counts()["traces"]
    assert total(counts) == 12
    assert counts["lost"] == {"refused": 2}  # the redirect: it leads nowhere


def test_a_control_process_that_is_killed(start, collector):
    gateway = start("sample = 1", workers=2)
    assert gateway.get("/before").status == 200
    until(lambda: collector.spans(SERVER))
    os.kill(gateway.control().pid, signal.SIGKILL)
    for number in range(100):
        assert gateway.get(f"/{number}").status == 200

    def again() -> bool:
        assert gateway.get("/after").status == 200
        return any(told(one.attributes)["url.path"] == "/after" for one in collector.spans(SERVER))

    until(again)


def flood(gateway: Gateway, many: int, path: str) -> None:
    """Send requests over a few kept connections, as fast as answers come."""

    def send(count: int) -> None:
        with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=20)) as sock:
            answers = sock.makefile("rb")
            for _ in range(count):
                sock.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n" % path.encode())
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = answers.readline()
                    assert line
                    head += line
                answers.read(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [many // 8] * 8))


def test_ten_thousand_failures_are_all_accounted_for(start, collector):
    gateway = start("sample = 0")
    assert gateway.get("/dead").status == 502
    control = gateway.control()
    before = control.memory_info().rss
    flood(gateway, 10_000, "/dead")
    failed = 10_001
    until(lambda: settled(gateway) and settled(gateway, "logs"))
    counts = until(lambda: told if total((told := gateway.counts())["traces"]) == 2 * failed else None)
    assert counts["traces"]["sent"] == len(collector.spans())
    incidents = len(collector.records("headgate.incident"))
    assert counts["logs"]["sent"] == len(collector.records())
    assert total(counts["logs"]) == failed + incidents
    assert control.memory_info().rss - before < 100 << 20
    text = gateway.ask("/metrics")
    assert f'headgate_telemetry_sent_total{{signal="traces"}} {counts["traces"]["sent"]}.0' in text
    for why, lost in counts["traces"]["lost"].items():
        assert f'headgate_telemetry_lost_total{{reason="{why}",signal="traces"}} {lost}.0' in text or (
            f'headgate_telemetry_lost_total{{signal="traces",reason="{why}"}} {lost}.0' in text
        )


def test_ten_thousand_failures_while_nobody_listens(start):
    gateway = start(f'sample = 0\nendpoint = "http://127.0.0.1:{free_port()}"')
    assert gateway.get("/dead").status == 502
    control = gateway.control()
    before = control.memory_info().rss
    flood(gateway, 10_000, "/dead")
    until(lambda: total(gateway.counts()["traces"]) == 2 * 10_001)
    counts = gateway.counts()["traces"]
    assert counts["waiting"] <= 4096
    assert counts["sent"] == 0
    assert control.memory_info().rss - before < 100 << 20
    workers = [one for one in psutil.Process(gateway.process.pid).children() if one.pid != control.pid]
    assert all(worker.memory_info().rss < 250 << 20 for worker in workers)
    assert gateway.get("/").status == 200


def test_headers_that_disappear_are_told_at_a_reload(start, collector, tmp_path):
    (tmp_path / "lines").write_text("X-Key: 1\n")
    gateway = start(f'sample = 1\nheaders = "{tmp_path}/lines"')
    assert gateway.get("/").status == 200
    until(lambda: collector.spans(SERVER))
    os.unlink(tmp_path / "lines")
    os.kill(gateway.control().pid, signal.SIGKILL)
    gateway.says("note telemetry: nothing can be told: ")
    assert gateway.get("/").status == 200
    until(lambda: gateway.counts()["traces"]["lost"].get("off"))
    assert gateway.counts()["traces"]["trouble"]


def test_the_terminal_shows_it(start, collector):
    gateway = start("sample = 1")
    assert gateway.get("/").status == 200
    until(lambda: gateway.counts()["traces"]["sent"] == 2)
    done = subprocess.run(
        [sys.executable, "-m", "headgate", "status"],
        env={**os.environ, "HEADGATE_RUN": str(gateway.run)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "telemetry: 2 spans told, 0 wait" in done.stdout, done.stdout + done.stderr
