"""The files for Prometheus and Grafana hold: rules load and fire, every expression is one, of metrics that there are."""

import http.client
import json
import re
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from headgate.lab.processes import free_port

from .conftest import TOKEN

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "examples" / "prometheus-alerts.yml"
DASHBOARD = json.loads((ROOT / "examples" / "grafana-headgate.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PAGE = (ROOT / "docs" / "operations.md").read_text()
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
with_prometheus = pytest.mark.skipif(None in (PROMTOOL, PROMETHEUS), reason="needs Debian's package prometheus")


def expressions():
    """Return every expression of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in PANELS for target in panel["targets"]]
    found += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    for name, value in {"$__rate_interval": "1m", "$instance": ".*", "$upstream": ".*"}.items():
        found = [text.replace(name, value) for text in found]
    assert not [text for text in found if "$" in text]
    return found


def series_of(metrics):
    """Return the names and labels of all series that there can be, by name."""
    found = {}
    for name, labels in re.findall(r"^\| `(headgate_\w+)` \| ([\w, ]*)\| ", metrics, re.MULTILINE):
        found[name] = set(labels.replace(",", " ").split()) | {"instance", "job"}
    for suffix in ("bucket", "sum", "count"):
        found[f"headgate_request_duration_seconds_{suffix}"] = found["headgate_request_duration_seconds"] | {"le"}
    return found


SERIES = series_of(PAGE)  # what the page has is what there is: test_metrics.py


def check_names(text):
    """See that each metric in an expression is one, and has the labels that it is asked for."""
    used = re.findall(r"(headgate_\w+)(?:\{([^}]*)\})?", text)
    assert used, text
    for name, matchers in used:
        assert name in SERIES, name
        assert set(re.findall(r"(\w+) *[=!]", re.sub(r'"[^"]*"', '""', matchers))) <= SERIES[name], text
    labels = set().union(*(SERIES[name] for name, _ in used))
    for grouped in re.findall(r"by \(([^)]*)\)", text):
        assert set(grouped.replace(" ", "").split(",")) <= labels, text


@pytest.mark.parametrize("text", sorted(set(expressions())))
def test_every_expression_of_the_dashboard_is_about_metrics_that_there_are(text):
    check_names(text)


def test_every_alert_is_about_metrics_that_there_are():
    rules = re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*))", ALERTS.read_text())
    told = [block or line for block, line in rules]
    assert len(told) == ALERTS.read_text().count("- alert:") > 8
    for text in told:
        if "up{job=" not in text:
            check_names(text)


def test_an_expression_about_nothing_would_be_noticed():
    for wrong in ("headgate_nothing_total", 'headgate_workers{upstream="a"}', "sum by (route) (headgate_workers)", "1"):
        with pytest.raises(AssertionError):
            check_names(wrong)


def test_the_dashboard_is_one_that_grafana_imports():
    assert DASHBOARD["id"] is None, "an id would be that of a dashboard of ours"
    assert (DASHBOARD["uid"], DASHBOARD["title"]) == ("headgate", "Headgate")
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "instance", "upstream"}
    assert variables["datasource"]["type"] == "datasource"
    for name in ("instance", "upstream"):
        assert re.fullmatch(r"label_values\(headgate_\w+(\{.*\})?, \w+\)", variables[name]["query"]["query"])
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert panel["title"]


def test_no_panel_lies_on_another():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


# Promtool.


def promtool(*words):
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)


@with_prometheus
def test_the_rules_load():
    done = promtool("check", "rules", ALERTS)
    assert done.returncode == 0, done.stderr
    assert f"{ALERTS.read_text().count('- alert:')} rules found" in done.stdout


FIRES = {
    "HeadgateGone": {'up{job="headgate",instance="g"}': "0x60"},
    "HeadgateBadGateway": {
        'headgate_answers_total{instance="g",upstream="app",status="502"}': "0+2x60",
        'headgate_upstream_requests_total{instance="g",upstream="app"}': "0+100x60",
    },
    "HeadgateNoAnswerInTime": {
        'headgate_answers_total{instance="g",upstream="app",status="504"}': "0+10x60",
        'headgate_upstream_requests_total{instance="g",upstream="app"}': "0+100x60",
    },
    "HeadgateNoServerUp": {
        'headgate_upstream_servers{instance="g",upstream="app",state="up"}': "0x60",
        'headgate_upstream_servers{instance="g",upstream="app",state="maintenance"}': "2x60",
    },
    "HeadgateServerDown": {'headgate_upstream_servers{instance="g",upstream="app",state="ejected"}': "1x60"},
    "HeadgateCircuitOpen": {'headgate_circuit_workers{instance="g",upstream="app",state="open"}': "1x60"},
    "HeadgateRetriesUsedUp": {'headgate_upstream_retries_refused_total{instance="g",upstream="app"}': "0+1x60"},
    "HeadgateErrorBudgetBurns": {'headgate_slo_burn_rate{instance="g",route="/",window="1h"}': "20x60"},
    "HeadgateReloadFailed": {'headgate_config_last_reload_successful{instance="g"}': "0x60"},
    "HeadgateProcessesDie": {'headgate_process_restarts_total{instance="g",process="worker"}': "0+1x60"},
    "HeadgateCertificateEnds": {
        'headgate_server_certificate_end_timestamp_seconds{instance="g",upstream="app",server="https://a"}': "90000x300"
    },
    "HeadgateLosesRecords": {'headgate_log_lines_lost_total{instance="g"}': "0+1x60"},
}
"""Series, one value a minute, that mean trouble; and below the same when all is well."""
CALM = {
    'up{job="headgate",instance="g"}': "1x300",
    'headgate_answers_total{instance="g",upstream="app",status="502"}': "0x300",
    'headgate_answers_total{instance="g",upstream="app",status="504"}': "0x300",
    'headgate_upstream_requests_total{instance="g",upstream="app"}': "0+100x300",
    'headgate_upstream_servers{instance="g",upstream="app",state="up"}': "2x300",
    'headgate_upstream_servers{instance="g",upstream="app",state="ejected"}': "0x300",
    'headgate_circuit_workers{instance="g",upstream="app",state="closed"}': "2x300",
    'headgate_circuit_workers{instance="g",upstream="app",state="open"}': "0x300",
    'headgate_upstream_retries_refused_total{instance="g",upstream="app"}': "5x300",
    'headgate_slo_burn_rate{instance="g",route="/",window="1h"}': "0.5x300",
    'headgate_config_last_reload_successful{instance="g"}': "1x300",
    'headgate_process_restarts_total{instance="g",process="worker"}': "3x300",
    'headgate_server_certificate_end_timestamp_seconds{instance="g",upstream="app",server="https://a"}': "1e10x300",
    'headgate_log_lines_lost_total{instance="g"}': "9x300",
}


def rule_test(series, alerts):
    """Return a file for `promtool test rules`: alerts, whether each fires after two hours."""
    expected = [{"alertname": name, "eval_time": "2h", "exp_alerts": []} for name, fires in alerts.items() if not fires]
    expressions = [
        {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": "40m" if "Cert" not in name else "2h",
         "exp_samples": [{"labels": "{}", "value": 1}]}
        for name, fires in alerts.items() if fires
    ]  # fmt: skip
    told = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": told, "alert_rule_test": expected, "promql_expr_test": expressions}
    return json.dumps({"rule_files": [str(ALERTS)], "tests": [test]})  # YAML is a superset of JSON


@with_prometheus
@pytest.mark.parametrize("alert", FIRES)
def test_the_alert_fires(tmp_path, alert):
    file = tmp_path / "test.yml"
    file.write_text(rule_test(FIRES[alert], {alert: True}))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@with_prometheus
def test_no_alert_fires_when_all_is_well(tmp_path):
    file = tmp_path / "test.yml"
    file.write_text(rule_test(CALM, dict.fromkeys(FIRES, False)))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@with_prometheus
def test_an_alert_that_does_not_do_what_it_should_would_be_noticed(tmp_path):
    file = tmp_path / "test.yml"
    file.write_text(rule_test(CALM, {"HeadgateCircuitOpen": True}))
    assert promtool("test", "rules", file).returncode != 0
    file.write_text(rule_test(FIRES["HeadgateCertificateEnds"], {"HeadgateCertificateEnds": False}))
    assert promtool("test", "rules", file).returncode != 0


def test_every_alert_is_tried():
    assert set(re.findall(r"- alert: (\w+)", ALERTS.read_text())) == FIRES.keys()


# Prometheus.


def ask(port, path):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def scrape_config(folder, target):
    """Return the page's own configuration, with a target and a token of ours, and shorter intervals."""
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (folder / "token").write_text(f"{TOKEN}\n")
    text = text.replace("/etc/prometheus/headgate-token", str(folder / "token")).replace("127.0.0.1:9901", target)
    file = folder / "prometheus.yml"
    file.write_text("global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n" + text)
    shutil.copy(ALERTS, folder)
    return file


@with_prometheus
def test_prometheus_takes_it_all(guarded, tmp_path):
    port_there = free_port()
    """The page's scrape configuration, the alerts and each expression of the dashboard, by a real Prometheus."""
    port = guarded.admin_port()
    for _ in range(3):
        assert guarded.get() == 200
    file = scrape_config(tmp_path, f"127.0.0.1:{port}")
    done = promtool("check", "config", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PROMETHEUS is not None
    words = [f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port_there}"]
    with open(tmp_path / "log", "wb") as log, subprocess.Popen([PROMETHEUS, *words], stdout=log, stderr=log) as process:
        try:
            _wait_for(lambda: _value(port_there, "up") == 1, tmp_path / "log")
            _wait_for(lambda: _value(port_there, "headgate_exchanges_total{outcome='served'}") == 3, tmp_path / "log")
            for text in expressions():
                told = ask(port_there, f"/api/v1/query?query={quote(text)}")
                assert told["status"] == "success", (text, told)
            groups = ask(port_there, "/api/v1/rules")["data"]["groups"]
            _wait_for(lambda: _states(port_there) == {"ok"}, tmp_path / "log")
        finally:
            process.terminate()
    assert {rule["name"] for group in groups for rule in group["rules"]} == FIRES.keys()


def _states(port):
    groups = ask(port, "/api/v1/rules")["data"]["groups"]
    return {rule["health"] for group in groups for rule in group["rules"]}


def _value(port, text):
    told = ask(port, f"/api/v1/query?query={quote(text)}")["data"]["result"]
    return float(told[0]["value"][1]) if told else None


def _wait_for(condition, log):
    end = time.monotonic() + 30
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.1)
