"""Incidents of a real gateway: they open, are looked into, outlive what dies, and end; and what people do about them."""

import http.client
import json
import os
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from headgate.lab.processes import free_port

from .conftest import Origin, Running

KEPT = '[incidents]\nfile = "kept.incidents"\n'
Gate = Callable[..., Running]


@pytest.fixture
def dead() -> str:
    """A server that does not run."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def gate(tmp_path: Path, run_folder: Path, dead: str) -> Iterator[Gate]:
    """Return a function that starts a gateway in front of a server that does not run, or of others."""
    started: list[Running] = []

    def begin(tables: str = "", servers: tuple[str, ...] = (), folder: Path = tmp_path, upstream: str = "") -> Running:
        urls = ", ".join(f'"{url}"' for url in servers or (dead,))
        text = (
            '[gateway]\nlisten = ["127.0.0.1:0"]\nworkers = 2\nlog = { access = "off" }\ndrain = "5s"\n'
            f'{tables}\n[upstream.app]\nservers = [{urls}]\n{upstream}\n[[route]]\nupstream = "app"\n'
        )
        started.append(Running(folder, run_folder, text))
        return started[-1]

    yield begin
    for one in started:
        one.end()


def incidents(one: Running, query: str = "") -> Any:
    """Return them, as soon as a control process tells them."""
    found: list[Any] = []

    def told() -> bool:
        with suppress(OSError, http.client.HTTPException):
            found.append(one.ask("GET", f"/api/incidents{query}").json["incidents"])
        return bool(found)

    one.until(told)
    return found[0]


def another_control(one: Running, before: int) -> bool:
    with suppress(OSError, http.client.HTTPException, StopIteration):
        return one.control() != before
    return False


def only(one: Running) -> Any:
    """Return all of the only incident, as soon as there is one."""
    one.until(lambda: incidents(one))
    (found,) = incidents(one)
    return one.ask("GET", f"/api/incidents/{found['id']}").json


def looked_into(one: Running) -> Any:
    one.until(lambda: only(one)["verdicts"])
    return only(one)


def test_a_failure_is_an_incident_that_was_looked_into(gate: Gate, dead: str) -> None:
    one = gate()
    assert one.get() == 502
    found = looked_into(one)
    assert (found["cause"], found["phase"], found["upstream"], found["server"]) == ("connection-refused", "connect", "app", dead)
    assert (found["failed"], found["seen"], found["rescued"], found["state"]) == (1, 1, 0, "open")
    assert found["headline"] == f"The server refused the connection: {dead} of app"
    verdict = found["verdicts"][0]["verdict"]
    assert (verdict["cause"], verdict["agrees"], verdict["confidence"]) == ("connection-refused", True, "proved")
    assert any("nothing listens" in line for line in verdict["evidence"])
    assert f"note incident {found['id']} opened: connection-refused at {dead}, 1 failures, 1 seen by users" in one.errors()
    assert one.get() == 502
    one.until(lambda: only(one)["failed"] == 2)  # the look itself is no failure


def test_a_reference_leads_to_its_exchange(gate: Gate) -> None:
    one = gate()
    assert one.get() == 502
    found = only(one)
    (sample,) = found["samples"]
    told = one.ask("GET", f"/api/references/{sample['reference']}").json
    assert told["incident"] == found["id"]
    assert told["record"]["attempts"][0]["cause"] == "connection-refused"
    assert "is not among the exchanges" in one.ask("GET", "/api/references/nobody-1").detail
    assert one.ask("GET", "/api/incidents/NOBODY").status == 404


def test_a_failure_that_another_server_saves_is_a_near_miss(gate: Gate, dead: str, origins: list[Origin]) -> None:
    one = gate(servers=(dead, origins[0].url), upstream='policy = "round-robin"')
    one.until(lambda: one.get() == 200 and incidents(one))
    found = only(one)
    assert found["seen"] == 0
    assert found["rescued"] == found["failed"] >= 1
    assert found["server"] == dead


def test_what_people_do_is_kept(gate: Gate) -> None:
    one = gate()
    assert one.get() == 502
    at = f"/api/incidents/{only(one)['id']}"
    hostile = "ann\x1b[31m\u202e<script>"
    told = one.ask("POST", f"{at}/acknowledge", {"who": hostile, "note": "on it\r\nForged: yes"}).json
    assert "\x1b" not in json.dumps(told, ensure_ascii=False)
    assert told["acknowledged"]["note"].startswith("on it")
    assert "\nForged" not in one.errors()
    assert one.ask("POST", f"{at}/silence", {"seconds": 60}).json["silenced_until"] > 0
    assert one.ask("POST", f"{at}/silence", {"seconds": 0}).json["silenced_until"] is None
    assert one.ask("POST", f"{at}/resolve", {"who": "bob"}).json["state"] == "resolved"
    assert [each["action"] for each in only(one)["actions"]] == ["acknowledge", "silence", "silence", "resolve"]
    assert one.get() == 502
    one.until(lambda: only(one)["state"] == "open")
    assert only(one)["reopenings"] == 1
    for action, body in (("acknowledge", {"by": 1}), ("silence", {}), ("silence", {"seconds": -1})):
        assert one.ask("POST", f"{at}/{action}", body).status == 422
    assert one.ask("POST", "/api/incidents/NOBODY/resolve", {}).status == 404


def test_a_person_can_have_it_looked_into_again(gate: Gate) -> None:
    one = gate("[incidents]\nexamine = false\n")
    assert one.get() == 502
    found = only(one)
    assert one.ask("POST", f"/api/incidents/{found['id']}/examine").status == 202
    assert looked_into(one)["verdicts"][0]["verdict"]["cause"] == "connection-refused"
    assert one.ask("POST", "/api/incidents/NOBODY/examine").status == 404


def test_what_happened_before_is_shown(gate: Gate, dead: str) -> None:
    one = gate()
    label = dead.replace("/", "%2F").replace(":", "%3A")
    assert one.ask("PUT", f"/api/upstreams/app/servers/{label}/weight", {"weight": 3}).status == 200
    one.file.write_text(one.file.read_text().replace('drain = "5s"', 'drain = "6s"'))
    assert one.ask("POST", "/api/reload").status == 200
    assert one.get() == 502
    said = [(event["kind"], event["text"]) for event in only(one)["events"]]
    assert ("server", f"{dead} was given weight 3") in said
    assert any(kind == "reload" and "is served by 2 workers" in text for kind, text in said)


@pytest.mark.parametrize("tables", ["", KEPT, '[incidents]\nfile = "memory"\n'])
def test_incidents_outlive_the_control_process(gate: Gate, tables: str) -> None:
    one = gate(tables)
    assert one.get() == 502
    before = only(one)
    control = one.control()
    os.kill(control, signal.SIGKILL)
    one.says(f"control process (process {control}) was killed")
    one.until(lambda: another_control(one, control))
    assert one.get() == 502
    one.until(lambda: only(one)["failed"] == 2)
    assert only(one)["id"] == before["id"]


def test_failures_meanwhile_are_told_to_the_next_control_process(gate: Gate) -> None:
    one = gate(KEPT)
    one.until(lambda: all(worker["linked"] for worker in one.status()["workers"]))
    control = one.control()
    os.kill(control, signal.SIGKILL)
    one.says(f"control process (process {control}) was killed")  # what was on its way to it is lost with it
    for _ in range(20):
        assert one.get() == 502
    one.until(lambda: incidents(one) and incidents(one)[0]["failed"] == 20)


def test_they_are_found_by_the_next_start_unless_they_were_to_end(gate: Gate, tmp_path: Path) -> None:
    one = gate(KEPT)
    assert one.get() == 502
    before = only(one)
    assert one.stop() == 0
    file = tmp_path / "kept.incidents"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = gate(KEPT)
    again.port()
    assert only(again)["id"] == before["id"]
    assert again.stop() == 0
    (other := tmp_path / "other").mkdir()
    passing = gate('[incidents]\nfile = "memory"\n', folder=other)
    assert passing.get() == 502
    only(passing)
    assert list(passing.run.glob("*.incidents"))
    assert passing.stop() == 0
    assert not list(passing.run.glob("*.incidents*"))


def test_a_file_of_something_else_is_put_aside_and_said(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "kept.incidents"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE cat (name TEXT)")
    db.close()
    one = gate(KEPT)
    assert one.get() == 502
    only(one)
    assert one.ask("GET", "/api/incidents").json["note"]
    assert list(tmp_path.glob("kept.incidents.*.aside"))


@pytest.mark.parametrize("where", ["/proc/nothing/here", "missing/folder/file"])
def test_a_file_that_cannot_be_written_costs_no_request(gate: Gate, where: str) -> None:
    one = gate(f'[incidents]\nfile = "{where}"\n')
    assert one.get() == 502
    assert only(one)["cause"] == "connection-refused"
    assert one.ask("GET", "/api/incidents").json["note"] or "in memory only" in one.errors()


def test_a_reload_may_move_them(gate: Gate, tmp_path: Path) -> None:
    one = gate(KEPT)
    assert one.get() == 502
    only(one)
    one.file.write_text(one.file.read_text().replace("kept.incidents", "moved.incidents"))
    assert one.ask("POST", "/api/reload").status == 200
    one.until((tmp_path / "moved.incidents").exists)
    assert one.get() == 502
    one.until(lambda: incidents(one))


def test_pages_of_incidents(gate: Gate) -> None:
    one = gate()
    assert one.get() == 502
    found = only(one)
    assert [each["id"] for each in incidents(one, "?state=open")] == [found["id"]]
    assert incidents(one, "?state=resolved") == incidents(one, "?upstream=other") == []
    assert incidents(one, f"?since={found['last'] + 60}") == incidents(one, f"?until={found['first'] - 60}") == []
    for query in ("?limit=0", "?limit=many", "?state=odd", "?since=-1", "?since=nan"):
        assert one.ask("GET", f"/api/incidents{query}").status in (200, 422), query
    assert one.ask("GET", "/api/incidents?state=odd").status == 422


def test_the_dashboards_port_is_told_and_may_be_off(gate: Gate, tmp_path: Path) -> None:
    one = gate()
    one.says("note dashboard on http://127.0.0.1:")
    address = one.status()["gateway"]["dashboard"]
    assert f"note dashboard on {address}\n" in one.errors()
    port = int(address.rstrip("/").rpartition(":")[2])
    assert one.ask("GET", "/api/status", port=port).status == 200
    assert one.ask("GET", "/api/status", port=port, fields={"Host": "evil.example"}).status == 421
    (other := tmp_path / "other").mkdir()
    off = gate('admin = { dashboard = "off" }', folder=other)
    assert off.status()["gateway"]["dashboard"] == ""


def test_a_control_process_that_stands_still_delays_nothing_and_counts_all_afterwards(gate: Gate) -> None:
    one = gate(KEPT)
    one.until(lambda: all(worker["linked"] for worker in one.status()["workers"]))
    control = one.control()
    os.kill(control, signal.SIGSTOP)
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", one.port(), timeout=20)) as connection:
            for number in range(3000):
                connection.request("GET", f"/{number}")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 502
    finally:
        os.kill(control, signal.SIGCONT)
    one.until(lambda: incidents(one) and incidents(one)[0]["failed"] == 3000)
    told = one.ask("GET", "/api/incidents").json
    assert (told["lost"], told["dropped"], len(told["incidents"])) == (0, 0, 1)
