"""A real Alertmanager takes the alerts, holds one for each incident, and lets go of it when it is over."""

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.lab.processes import free_port
from headgate.notify import notifier as module
from headgate.notify.message import example
from headgate.notify.notifier import Known, Notifier, Rules

from .conftest import Receiver, destination, until

PROGRAM = shutil.which("prometheus-alertmanager")
AMTOOL = shutil.which("amtool")
pytestmark = pytest.mark.skipif(None in (PROGRAM, AMTOOL), reason="needs Debian's package prometheus-alertmanager")


@pytest.fixture
def hook(receivers: Callable[[], Receiver]) -> Receiver:
    """What Alertmanager tells of."""
    return receivers()


@pytest.fixture
def alertmanager(tmp_path: Path, hook: Receiver) -> Iterator[str]:
    """Return the address of an Alertmanager."""
    assert PROGRAM is not None
    assert AMTOOL is not None
    config = {
        "route": {"receiver": "hook", "group_by": ["incident", "rule"], "group_wait": "1ms", "group_interval": "1s"},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": f"{hook.url}/alerts"}]}],
    }
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(config))  # YAML is a superset of JSON
    done = subprocess.run([AMTOOL, "check-config", str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    address = f"127.0.0.1:{free_port()}"
    words = [
        f"--config.file={file}",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with open(tmp_path / "log", "wb") as log, subprocess.Popen([PROGRAM, *words], stdout=log, stderr=log) as process:
        try:
            for _ in range(1000):
                try:
                    urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.02)
            yield f"http://{address}"
        finally:
            process.terminate()


def alerts(url: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10) as answer:
        return list(json.load(answer))


def amtool(url: str) -> str:
    assert AMTOOL is not None
    words = [AMTOOL, f"--alertmanager.url={url}", "alert", "query", "--output=json"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout


def summary(**more: Any) -> dict[str, Any]:
    now = time.time()
    return {**example(now, test=False), "id": "AAAA", "opened": now, **more}


def test_an_incident_is_an_alert_as_long_as_it_lasts(alertmanager: str, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPEAT", 0.5)
    lasting = [summary()]
    said: list[str] = []

    async def run() -> None:
        known = Known(open=lambda: lasting, incident=lambda id: None)
        settings = {"am": destination("alertmanager", url=alertmanager + "/", rate="1000/s")}
        one = Notifier(
            Rules(settings, [], "web1"), say=said.append, link=lambda id: f"http://gate.example/incidents/{id}", known=known
        )
        one.changed(time.time(), [("opened", lasting[0])])
        loop = asyncio.get_running_loop()
        found = await until(lambda: alerts(alertmanager))
        assert found[0]["labels"] == {
            "alertname": "HeadgateIncident", "severity": "critical", "gateway": "web1", "upstream": "shop",
            "cause": "connection-refused", "incident": "AAAA",
        }  # fmt: skip
        assert found[0]["generatorURL"] == "http://gate.example/incidents/AAAA"
        assert "Users saw 37 requests fail" in found[0]["annotations"]["description"]
        first = found[0]["endsAt"]
        lasting[0]["seen"] = 5000
        while alerts(alertmanager)[0]["endsAt"] == first:  # said again
            one.tick(time.time())
            await asyncio.sleep(0.05)
        (again,) = alerts(alertmanager)
        assert "5,000" in again["annotations"]["description"]
        assert json.loads(await loop.run_in_executor(None, amtool, alertmanager))[0]["labels"]["incident"] == "AAAA"

        lasting[0]["cause"] = "tls-timeout"  # another label: the old alert ends, a new one begins
        one.changed(time.time(), [("worse", lasting[0])])
        await until(lambda: [alert["labels"]["cause"] for alert in alerts(alertmanager)] == ["tls-timeout"])

        over = {**lasting.pop(), "state": "resolved", "resolved": time.time()}
        one.changed(time.time(), [("resolved", over)])
        await until(lambda: alerts(alertmanager) == [])
        await one.close(5.0)

    asyncio.run(run())
    assert said == []
    told = [(got.data["status"], [alert["labels"]["cause"] for alert in got.data["alerts"]]) for got in hook.got]
    assert ("firing", ["connection-refused"]) in told
