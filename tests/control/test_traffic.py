"""Traffic over time with real processes: every request is in the history once, whichever process dies."""

import os
import re
import signal
import sqlite3
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from headgate.incidents.traffic_rows import ALL, bodies, merged

GONE = """
[upstream.gone]
servers = ["http://127.0.0.1:1"]
[[route]]
path = "/gone"
upstream = "gone"
"""


def kept(file: Path, kind="all", step=60):
    """Return what the file has, as another process sees it."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        found = bodies(lambda query, values: db.execute(query, values).fetchall(), step, 0, 2**40, kind)
        return merged((line, body) for _, line, body in found)


def marked(file: Path) -> bool:
    """Tell whether the control process has put down from where a successor would go on."""
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return bool(db.execute("SELECT 1 FROM meta WHERE name = 'traffic'").fetchall())


def total(gateway) -> int:
    """Return how many exchanges the gateway has counted; -1 while nobody answers."""
    try:
        return gateway.status()["totals"]["exchanges"]
    except OSError:
        return -1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "incidents"


@pytest.fixture
def more(file: Path) -> str:
    return f'{GONE}[incidents]\nfile = "{file}"\n'


def test_every_request_is_in_it_once_whichever_process_dies(start, file, more):
    gateway = start(upstream=more)
    gateway.port()
    gateway.until(lambda: marked(file))
    for _ in range(20):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 20)
    os.kill(gateway.status()["workers"][0]["pid"], signal.SIGKILL)
    gateway.says("was killed by signal 9")
    for _ in range(10):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 30)

    os.kill(gateway.control(), signal.SIGKILL)  # nothing of all that is written yet
    gateway.says("control process (process")
    gateway.until(lambda: len(psutil.Process(gateway.pid).children()) == 3)
    for _ in range(5):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 35)
    assert gateway.stop() == 0

    found = kept(file)[ALL]
    assert found["requests"] == sum(found["spread"]) == 35
    assert found["codes"] == {"200 served": 35}


def test_the_next_gateway_adds_to_what_there_is(start, file, more):
    for _ in range(2):
        gateway = start(upstream=more)
        for _ in range(6):
            assert gateway.get() == 200
        gateway.until(lambda: total(gateway) == 6)  # noqa: B023 (called at once)
        assert gateway.stop() == 0
    for step in (60, 600, 3600):
        assert kept(file, step=step)[ALL]["requests"] == 12
    servers = kept(file, "server", 3600)
    assert sum(body["requests"] for body in servers.values()) == 12


def test_what_users_saw_is_there_by_cause_and_what_was_saved_by_how(start, file, origins):
    both = f'["http://127.0.0.1:1", "{origins[0].url}"]'
    more = f'{GONE}[incidents]\nfile = "{file}"\n[upstream.half]\nservers = {both}\npolicy = "round-robin"\n'
    gateway = start(upstream=f'{more}[[route]]\npath = "/half"\nupstream = "half"\n')
    port = gateway.port()
    for path, status in (("/gone", 502), ("/gone", 502), *[("/half", 200)] * 8):
        with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", path)
            assert connection.getresponse().status == status
    gateway.until(lambda: total(gateway) == 10)
    assert gateway.stop() == 0
    pairs = kept(file, "pair")
    gone, half = pairs["pair", "gone", "*/gone"], pairs["pair", "half", "*/half"]
    assert (gone["requests"], gone["bad"], gone["seen"]) == (2, 2, {"connection-refused": 2})
    assert (half["requests"], half.get("bad", 0), "seen" in half) == (8, 0, False)
    assert list(half["rescued"]) == ["connection-refused again-unsent"]
    failed = kept(file, "upstream")["upstream", "half", ""]["failed"]
    assert failed == half["rescued"]


def ask_gone(port: int, times: int) -> None:
    for _ in range(times):
        with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", "/gone")
            assert connection.getresponse().status == 502


def test_a_reload_that_moves_the_file_moves_the_history(start, file, more):
    gateway = start(upstream=more)
    for _ in range(4):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 4)
    other = file.with_name("others")
    gateway.file.write_text(gateway.file.read_text().replace(f'"{file}"', f'"{other}"'))
    assert gateway.ask("POST", "/api/reload").status == 200
    gateway.until(other.exists)
    for _ in range(3):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 7)
    assert gateway.stop() == 0
    assert (kept(file)[ALL]["requests"], kept(other)[ALL]["requests"]) == (4, 3)


def test_error_budgets_are_metrics(start, file, more):
    gateway = start(upstream=more)
    port = gateway.port()
    ask_gone(port, 30)
    for _ in range(10):
        assert gateway.get() == 200
    gateway.until(lambda: total(gateway) == 40)
    told = gateway.ask("GET", "/metrics").body.decode()  # the first scrape looks
    values = dict(re.findall(r"^(headgate_slo_\w+\{[^}]*\}) (\S+)$", told, re.MULTILINE))
    assert float(values['headgate_slo_target{route="*/gone"}']) == 0.999
    assert float(values['headgate_slo_budget_remaining{route="*/gone"}']) == pytest.approx(-999)
    assert float(values['headgate_slo_burn_rate{route="*/gone",window="1h"}']) == pytest.approx(1000)
    assert float(values['headgate_slo_budget_remaining{route="*/"}']) == 1
    assert 'headgate_slo_burn_rate{route="*/",window="1h"}' not in values, "ten requests say nothing"


def test_the_report_is_asked_for_by_time(shared):
    assert shared.get() == 200
    answer = shared.ask("GET", "/api/report")
    assert answer.status == 200
    assert answer.json["until"] - answer.json["since"] == pytest.approx(7 * 86_400)
    shared.until(lambda: shared.ask("GET", "/api/report").json["traffic"]["requests"] >= 1)
    assert "begin before it ends" in shared.ask("GET", "/api/report?since=2&until=1").detail
    assert shared.ask("GET", "/api/report?since=99999999999").status == 409
    assert shared.ask("GET", "/api/report?since=yesterday").status == 422
    past = shared.ask("GET", "/api/report?since=1&until=2").json
    assert (past["traffic"]["requests"], past["incidents"]) == (0, [])


def test_a_file_that_is_gone_is_said(start, file, more):
    gateway = start(upstream=more)
    gateway.port()
    gateway.until(lambda: marked(file))
    assert gateway.get() == 200
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()
    answer = gateway.ask("GET", "/api/report")  # the file is made anew before anybody reads it
    assert answer.status == 200
    gateway.says("it was removed or replaced")
    assert gateway.stop() == 0
    assert kept(file)[ALL]["requests"] == 1
