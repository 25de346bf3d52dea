"""/metrics of real gateways: what was sent is what is counted, whichever process dies, in a form that the tools take."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from .conftest import TOKEN

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
GONE = (
    '[upstream.gone]\nservers = ["http://127.0.0.1:1"]\nretry = { attempts = 3 }\n[[route]]\npath = "/gone"\nupstream = "gone"\n'
)
ASK = {"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian: prometheus)")


class Scrape:
    """One scrape, read by the parser of Prometheus's Python library."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in openmetrics(text)}

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == f"headgate_{name}" and labels.items() <= sample.labels.items()
        )

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Return all that must never fall."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            if family.type in ("counter", "histogram")
            for sample in family.samples
        }


class Watch:
    """Scrapes a gateway, and sees to it that no counter ever falls; nor vanishes, while the configuration stays."""

    def __init__(self, gateway):
        self.gateway, self.stays, self._last = gateway, True, {}

    def scrape(self):
        answer = self.gateway.ask("GET", "/metrics", fields=ASK)
        assert answer.status == 200, answer.body
        found = Scrape(answer.body.decode())
        now = found.counters()
        gone = -1.0 if self.stays else float("inf")
        fallen = {key: (value, now.get(key)) for key, value in self._last.items() if now.get(key, gone) < value}
        assert not fallen
        self._last = now
        return found

    def until(self, condition):
        """Scrape until that holds; the gateway may not answer for moments in which its control process is started again."""

        def met() -> bool:
            try:
                return bool(condition(self.scrape()))
            except (OSError, http.client.HTTPException):
                return False

        self.gateway.until(met)


def get(port: int, path: str, method: str = "GET") -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        return response.status


def test_totals_are_what_was_sent_whichever_process_dies(start):
    gateway = start(upstream=GONE)
    port, watch = gateway.port(), Watch(gateway)
    assert [get(port, "/") for _ in range(30)] == [200] * 30
    assert [get(port, "/gone") for _ in range(7)] == [502] * 7

    def whole(served, broken):
        return lambda now: (
            now.sum("requests_total", route="*/", status_class="2xx", outcome="served") == served
            and now.sum("requests_total", route="*/gone", status_class="5xx", outcome="answered") == broken
            and now.sum("requests_total") == served + broken
            and now.sum("exchanges_total") == served + broken
            and now.sum("answers_total", upstream="gone", status="502") == broken
            and now.sum("upstream_requests_total", upstream="gone") == broken
            and now.sum("attempt_failures_total", upstream="gone", phase="connect", cause="connection-refused")
            == now.sum("server_attempts_failed_total", upstream="gone")
            == now.sum("upstream_attempts_total", upstream="gone")
            >= broken
            and now.sum("upstream_attempts_total", upstream="app") == served
            and now.sum("request_duration_seconds_count") == served + broken
            and now.sum("request_duration_seconds_bucket", le="+Inf", route="*/") == served
        )

    watch.until(whole(30, 7))
    first, second = (worker["pid"] for worker in gateway.status()["workers"])
    os.kill(first, signal.SIGKILL)
    watch.until(lambda now: now.sum("process_restarts_total", process="worker") == 1 and now.sum("workers") == 2)
    watch.until(whole(30, 7))
    assert [get(port, "/") for _ in range(10)] == [200] * 10
    assert get(port, "/gone") == 502
    watch.until(whole(40, 8))

    os.kill(gateway.control(), signal.SIGKILL)
    watch.until(lambda now: now.sum("process_restarts_total", process="control") == 1)
    watch.until(whole(40, 8))
    assert watch.scrape().sum("process_restarts_total", process="worker") == 1

    assert [get(port, "/") for _ in range(5)] == [200] * 5
    os.kill(second, signal.SIGTERM)  # its last words count, said at once
    watch.until(lambda now: now.sum("process_restarts_total", process="worker") == 2)
    watch.until(whole(45, 8))


def test_what_stands_is_told(start, origins):
    gateway = start(upstream="breaker = {}\nadaptive = {}\nqueue = { size = 5, wait = '1s' }\nmax_total_requests = 20\n" + GONE)
    gateway.port()
    watch = Watch(gateway)
    first, second = (origin.url for origin in origins)
    assert gateway.ask("POST", f"/api/upstreams/app/servers/{first}/drain").status == 200
    assert gateway.ask("PUT", f"/api/upstreams/app/servers/{second}/weight", {"weight": 7}).status == 200
    watch.until(lambda now: now.sum("circuit_workers", upstream="app", state="closed") == 2)
    now = watch.scrape()
    assert now.sum("server_state", server=first, state="draining") == 1
    assert now.sum("server_state", server=first) == now.sum("server_state", server=second, state="up") == 1
    assert (now.sum("server_usable", server=first), now.sum("server_usable", server=second)) == (0, 1)
    assert now.sum("upstream_servers", upstream="app", state="draining") == now.sum("upstream_servers", state="draining") == 1
    assert now.sum("upstream_servers") == 3
    assert (now.sum("server_weight", server=first), now.sum("server_weight", server=second)) == (1, 7)
    assert now.sum("adaptive_limit_requests", upstream="app") > 0
    assert now.sum("queue_waiting", upstream="app") == now.sum("upstream_panic") == now.sum("draining") == 0
    assert {sample.labels["upstream"] for sample in now.families["headgate_queue_waiting"].samples} == {"app"}
    assert now.families["headgate_build"].samples[0].labels.keys() == {"version", "python"}
    assert abs(now.sum("start_time_seconds") - psutil.Process(gateway.pid).create_time()) < 1


def test_ejections_retries_and_reloads_are_told(start, origins):
    gateway = start(upstream=GONE)
    port, watch = gateway.port(), Watch(gateway)
    text, watch.stays = gateway.file.read_text(), False
    begun = watch.scrape()
    assert (begun.sum("config_last_reload_successful"), begun.sum("config_version")) == (1, 1)
    assert abs(begun.sum("config_last_success_timestamp_seconds") - begun.sum("start_time_seconds")) < 1e-3

    gateway.file.write_text(text.replace(f'"{origins[0].url}"', '"http://127.0.0.1:1"', 1))
    assert gateway.ask("POST", "/api/reload").status == 200
    while watch.scrape().sum("server_ejections_total", upstream="app", server="http://127.0.0.1:1") < 1:
        assert get(port, "/") == 200, "it is rescued by the other server"
    watch.until(lambda now: now.sum("attempt_verdicts_total", upstream="app", verdict="again-unsent") >= 1)
    now = watch.scrape()
    assert now.sum("attempt_verdicts_total", upstream="app") == now.sum("attempt_failures_total", upstream="app")

    gateway.file.write_text("nonsense")
    assert gateway.ask("POST", "/api/reload").status == 409
    failed = watch.scrape()
    assert (failed.sum("config_last_reload_successful"), failed.sum("config_version")) == (0, 2)
    assert (failed.sum("config_reloads_total", result="success"), failed.sum("config_reloads_total", result="failure")) == (1, 1)
    os.kill(gateway.control(), signal.SIGKILL)
    watch.until(lambda now: now.sum("process_restarts_total", process="control") == 1)
    again = watch.scrape()
    assert again.sum("config_last_reload_successful") == 0
    assert again.sum("config_last_success_timestamp_seconds") == failed.sum("config_last_success_timestamp_seconds")
    assert again.sum("server_ejections_total") == failed.sum("server_ejections_total") >= 1


def test_refusals_and_clients_that_go_are_told(start):
    gateway = start(upstream='[[route]]\npath = "/closed"\nmaintenance = true\nupstream = "app"\n')
    port, watch = gateway.port(), Watch(gateway)
    assert get(port, "/closed") == 503
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n")
        assert b" 400 " in raw.recv(1000)
    watch.until(lambda now: now.sum("refusals_total") == 2)
    now = watch.scrape()
    assert now.sum("refusals_total", cause="maintenance") == 1
    assert now.sum("answers_total", status="503") == now.sum("answers_total", status="400") == 1
    assert now.sum("requests_total", route="*/closed", upstream="", status_class="5xx") == 1
    assert now.sum("requests_total", route="", upstream="", status_class="4xx", outcome="answered") == 1


def test_both_formats_say_the_same(shared):
    one, other = shared.ask("GET", "/metrics", fields=ASK), shared.ask("GET", "/metrics")
    assert one.fields["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert other.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert one.fields["Cache-Control"] == "no-store"
    names = {sample.name for family in openmetrics(one.body.decode()) for sample in family.samples}
    assert names == {sample.name for family in plain(other.body.decode()) for sample in family.samples}
    assert len(names) > 30


def test_who_may_not_ask_the_admin_api_gets_no_metrics(guarded):
    port = guarded.admin_port()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("GET", "/metrics", port=port).status == 401
    assert guarded.ask("GET", "/metrics", fields={"Authorization": "Bearer wrong"}, port=port).status == 401
    assert guarded.ask("GET", "/metrics", fields={**bearer, "Host": f"evil.example:{port}"}, port=port).status == 421
    assert guarded.ask("GET", "/metrics", fields={**bearer, "Origin": "http://evil.example"}, port=port).status == 403
    assert guarded.ask("GET", "/metrics", fields=bearer, port=port).status == 200


def test_two_accept_fields_are_one(shared):
    with closing(http.client.HTTPConnection("localhost", timeout=20)) as connection:
        shared.status()
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(shared.socket))
        connection.putrequest("GET", "/metrics")
        connection.putheader("Accept", "text/plain;q=0.1")
        connection.putheader("Accept", "application/openmetrics-text")
        connection.endheaders()
        assert connection.getresponse().getheader("Content-Type", "").startswith("application/openmetrics-text")


def test_every_metric_has_its_row_on_the_page(shared):
    found = {}
    for family in plain(shared.ask("GET", "/metrics").body.decode()):
        assert family.documentation.endswith("."), family.name
        whole = {"counter": "_total"}.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name + whole] = labels
    rows = re.findall(r"^\| `(headgate_\w+)` \| ([\w, ]*)\| ", PAGE, re.MULTILINE)
    shown = {name: set(labels.replace(",", " ").split()) for name, labels in rows}
    assert shown.keys() == found.keys()
    wrong = {name: (shown[name], labels) for name, labels in found.items() if labels and labels != shown[name]}
    assert not wrong


@with_promtool
def test_promtool_finds_nothing_to_complain_of(shared):
    assert PROMTOOL is not None
    for _ in range(3):
        shared.get()
    text = shared.ask("GET", "/metrics").body
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@with_promtool
def test_promtool_would_complain():
    assert PROMTOOL is not None
    text = b"# TYPE headgate_x counter\nheadgate_x 3\n"
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
