"""The logs, written to real files: nothing lost, nothing waited for."""

import json
import os

import pytest

from headgate.config.schema import Log
from headgate.gateway.recorder import Recorder
from headgate.model.cause import Cause
from headgate.model.exchange import Attempt, Exchange

CAUSE = Cause("connection-refused", "Refused", "connect", "upstream", "connection_refused", 502, "unsent", True, True, "Nobody.")


def exchange(number=1):
    made = Exchange(f"ref-{number}", "192.0.2.1", "http", 10.0)
    made.method, made.target, made.path, made.host = b"GET", b"/%d" % number, b"/", b"a"
    made.status, made.outcome, made.t_end = 200, "served", 10.5
    return made


@pytest.fixture
def files(tmp_path):
    return tmp_path / "access.log", tmp_path / "errors.log"


def never(call):
    """Leave the lines to the next flush."""


@pytest.fixture
def recorder(files):
    return Recorder(Log(access=str(files[0]), errors=str(files[1])), never)


def test_access_lines_wait_for_a_flush_or_a_batch(recorder, files):
    recorder.ended(exchange())
    assert files[0].read_text() == ""
    recorder.flush()
    assert json.loads(files[0].read_text())["reference"] == "ref-1"
    for number in range(64):
        recorder.ended(exchange(number))
    assert len(files[0].read_text().splitlines()) == 65
    assert recorder.exchanges == 65


def test_error_lines_go_out_with_the_turn_of_the_loop(files):
    turns = []
    recorder = Recorder(Log(access="off", errors=str(files[1])), turns.append)
    recorder.note("one")
    recorder.note("two")
    assert files[1].read_text() == ""
    assert len(turns) == 1
    turns[0]()
    recorder.note("three")
    recorder.flush()
    assert [line.rpartition(" ")[2] for line in files[1].read_text().splitlines()] == ["one", "two", "three"]
    assert len(turns) == 2


def test_error_lines_are_written_and_counted(recorder, files):
    made = exchange()
    attempt = Attempt("app", "http://a:1", 10.0)
    attempt.cause, attempt.facts = CAUSE, {}
    made.attempts.append(attempt)
    recorder.attempt_failed(made, attempt)
    made.cause = CAUSE
    recorder.refused(made)
    recorder.flush()
    lines = files[1].read_text().splitlines()
    assert len(lines) == 2
    assert all("cause=connection-refused" in line and "reference=ref-1" in line for line in lines)
    assert (recorder.failures[CAUSE.code], recorder.refusals[CAUSE.code]) == (1, 1)


def test_a_note(recorder, files):
    recorder.note("listening on somewhere")
    recorder.flush()
    assert files[1].read_text().endswith("Z note listening on somewhere\n")


def test_reopening_loses_no_line(recorder, files):
    recorder.ended(exchange(1))
    files[0].rename(files[0].with_suffix(".1"))
    recorder.ended(exchange(2))
    recorder.reopen()
    recorder.ended(exchange(3))
    recorder.flush()
    assert [json.loads(line)["target"] for line in files[0].with_suffix(".1").read_text().splitlines()] == ["/1", "/2"]
    assert [json.loads(line)["target"] for line in files[0].read_text().splitlines()] == ["/3"]


def test_reopening_leaves_no_descriptor_open(recorder):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        recorder.reopen()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_costs_lines_and_nothing_else(files):
    recorder = Recorder(Log(access="/dev/full", errors="/dev/full"), never)
    for number in range(100):
        recorder.ended(exchange(number))
    recorder.note("nobody reads this")
    recorder.flush()
    assert recorder.lost_lines == 101


def test_off(files):
    recorder = Recorder(Log(access="off", errors=str(files[1])), never)
    recorder.ended(exchange())
    recorder.flush()
    assert (recorder.exchanges, recorder.lost_lines) == (1, 0)


def test_combined(files):
    recorder = Recorder(Log(access=str(files[0]), errors=str(files[1]), format="combined"), never)
    recorder.ended(exchange())
    recorder.flush()
    assert '"GET /1 HTTP/1.1" 200' in files[0].read_text()


def test_appends_to_what_is_there(files):
    files[0].write_text("before\n")
    recorder = Recorder(Log(access=str(files[0]), errors=str(files[1])), never)
    recorder.ended(exchange())
    recorder.flush()
    assert files[0].read_text().startswith("before\n{")


def test_dates(recorder, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0625)
    assert recorder.now() == "2023-11-14T22:13:20.062Z"
    assert recorder.http_date() == b"Tue, 14 Nov 2023 22:13:20 GMT"


def test_requests_that_are_shed_share_few_lines(tmp_path, monkeypatch):
    from headgate.diagnose.classify import classify
    from headgate.gateway import recorder as module
    from headgate.model.exchange import Exchange
    from headgate.model.phases import ADMIT
    from headgate.model.signals import LIMIT, NO_ROUTE

    now = 1_800_000_000.0
    monkeypatch.setattr(module.time, "time", lambda: now)
    told = module.Recorder(Log(access="off", errors=str(tmp_path / "errors")), lambda call: None)

    def refuse(signal):
        exchange = Exchange("ref", "127.0.0.1", "http", 0.0)
        exchange.signal, exchange.facts = signal, {"limit": "max_requests", "limit_value": 1}
        exchange.cause = classify(ADMIT, signal, exchange.facts)
        told.refused(exchange)

    for _ in range(module.SHED_LINES + 25):
        refuse(LIMIT)
        refuse(NO_ROUTE)
    told.flush()
    lines = (tmp_path / "errors").read_text().splitlines()
    assert sum("cause=server-limit-reached" in line for line in lines) == module.SHED_LINES
    assert sum("cause=no-route" in line for line in lines) == module.SHED_LINES + 25, "only what is shed is cut short"
    assert told.refusals["server-limit-reached"] == module.SHED_LINES + 25
    now += 1
    told.flush()
    told.flush()
    notes = [line for line in (tmp_path / "errors").read_text().splitlines() if "more requests got" in line]
    assert [note.split(" note ")[1] for note in notes] == [
        "25 more requests got server-limit-reached within a second; the access log has each of them"
    ]
