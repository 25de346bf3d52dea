"""`headgate watch` as a user runs it: it waits, tells of changes of cause, keeps a history and a page, ends as scripts need."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headgate.cli.watch import command, sentence, words
from headgate.watch.state import Change


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture
def later() -> Iterator[Any]:
    """Return later(seconds, function): done in a thread of its own, which is waited for at the end."""
    timers: list[threading.Timer] = []

    def add(seconds: float, function: Any) -> None:
        timers.append(threading.Timer(seconds, function))
        timers[-1].start()

    yield add
    for one in timers:
        one.cancel()
        one.join()


def test_until_up_ends_with_zero_and_tells_each_change_of_cause(site: Any, later: Any) -> None:
    site.breaks()
    later(1.2, site.works)
    result = run(site.url, "--interval", "300ms", "--until", "up", "--timeout", "20s")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 2
    assert "is answering 502: nginx wrote this 502." in lines[0]
    assert re.search(r"was answering 502 for \S+ s, now up, down for \S+ s$", lines[1])


def test_until_up_gives_up_with_one(free_port: int) -> None:
    result = run(f"http://127.0.0.1:{free_port}/", "--interval", "300ms", "--until", "up", "--timeout", "1s")
    assert result.exit_code == 1
    assert "is connection-refused" in result.output
    assert "headgate: not up after 1 s" in result.output


def test_until_down(site: Any, later: Any) -> None:
    later(0.8, site.breaks)
    result = run(site.url, "--interval", "300ms", "--until", "down", "--timeout", "20s", "--json")
    assert result.exit_code == 0
    changes = [json.loads(line) for line in result.output.splitlines()]
    assert [(one["old"], one["new"]) for one in changes] == [("", "up"), ("up", "502")]


def test_retry_after_is_honoured(site: Any) -> None:
    site.status, site.fields = 503, {"Retry-After": "30"}
    run(site.url, "--interval", "300ms", "--until", "up", "--timeout", "3s")
    assert len(site.asked) == 1


def test_a_command_and_the_bell_tell_of_a_change(site: Any, tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f'echo "$HEADGATE_URL $HEADGATE_STATE" >> {told}'
    assert run(site.url, "--until", "up", "--timeout", "20s", "--exec", script).exit_code == 0
    assert told.read_text() == f"{site.url} up\n"


def test_a_webhook_is_sent_each_change(site: Any, served: Any) -> None:
    hook = type(site)()
    with served(hook):
        assert run(site.url, "--until", "up", "--timeout", "20s", "--webhook", f"{hook.url}in").exit_code == 0
    assert [(method, target) for method, target, _ in hook.asked] == [("POST", "/in")]


def test_a_webhook_that_fails_does_not_end_the_watch(site: Any, free_port: int) -> None:
    result = run(site.url, "--until", "up", "--timeout", "20s", "--webhook", f"http://127.0.0.1:{free_port}/in")
    assert result.exit_code == 0
    assert "webhook" in result.output


def test_history_and_status_page(site: Any, tmp_path: Path) -> None:
    database, page, again = tmp_path / "w.db", tmp_path / "w.html", tmp_path / "again.html"
    site.breaks()
    run(site.url, "--interval", "300ms", "--until", "up", "--timeout", "1s", "--history", database, "--html", page)
    site.works()
    run(site.url, "--until", "up", "--timeout", "20s", "--history", database, "--html", page)
    text = page.read_text()
    assert "Everything is up" in text
    assert "was answering 502" in text
    assert text.count("<span class=") >= 90
    assert "<script" not in text
    result = run("--history", database, "--html", again)
    assert (result.exit_code, result.output) == (0, f"Status page: {again}\n")
    assert "was answering 502" in again.read_text()


def test_credentials_are_shown_nowhere(site: Any, tmp_path: Path) -> None:
    url = f"http://ann:sesame@127.0.0.1:{site.port}/?token=sesame"
    page = tmp_path / "w.html"
    result = run(url, "--until", "up", "--timeout", "20s", "--html", page)
    assert result.exit_code == 0
    assert "sesame" not in result.output
    assert "sesame" not in page.read_text()


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "name a URL to watch"),
    (("gopher://a.example/",), "gopher"),
    (("http://a.example/", "--agree", "4/3"), "expected K/N"),
    (("http://a.example/", "--interval", "soon"), "expected a time above zero"),
    (("http://a.example/", "--interval", "0"), "expected a time above zero"),
    (("http://a.example/", "--webhook", "ftp://a.example/"), "expected an http or https URL"),
    (("http://a.example/", "-H", "no colon"), "expected 'Name: value'"),
    (("http://a.example/", "--history", "/nowhere/w.db"), "/nowhere/w.db"),
])  # fmt: skip
def test_wrong_usage_ends_with_two_and_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_what_is_no_history_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 100)
    result = run("http://a.example/", "--history", path)
    assert result.exit_code == 2
    assert str(path) in result.output
    assert path.read_text() == "my notes\n" * 100


@pytest.mark.timeout(60)
def test_ctrl_c_ends_it_with_a_summary(site: Any) -> None:
    words_ = [sys.executable, "-m", "headgate", "watch", site.url, "--interval", "300ms"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words_, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        assert "is up" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "up in 100.0% of them" in errors
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(60)
def test_ctrl_c_while_waiting_is_no_success(free_port: int) -> None:
    """`headgate watch URL --until up && ./deploy` must not deploy."""
    words_ = [sys.executable, "-m", "headgate", "watch", f"http://127.0.0.1:{free_port}/", "--until", "up"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words_, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    with process:
        assert process.stdout is not None
        assert "connection-refused" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "1 look, up in 0.0% of them" in errors


def test_agree_counts_however_it_is_written(site: Any, tmp_path: Path) -> None:
    history = ("--history", tmp_path / "watch.db", "--interval", "200ms", "--timeout", "20s")
    site.breaks()
    assert run(site.url, "--until", "down", *history).exit_code == 0
    site.works()
    assert run(site.url, "--until", "up", "--agree=2/2", *history).exit_code == 0
    assert len(site.asked) == 3  # one look was enough before, two have to agree now


def test_files_that_cannot_be_used_end_it_at_once(site: Any, tmp_path: Path) -> None:
    for arguments, said in (
        (("--html", "/nowhere/page.html"), "/nowhere/page.html: No such file"), (("--ca", __file__), "no certificate in PEM"),
        (("--webhook", "http://a.example:port/"), "expected an http or https URL"),
    ):  # fmt: skip
        result = run(site.url, "--until", "up", *arguments)
        assert result.exit_code == 2
        assert said in result.output
    assert not site.asked
    missing = tmp_path / "missing.db"
    result = run("--history", missing, "--html", tmp_path / "page.html")
    assert (result.exit_code, missing.exists()) == (2, False)


@pytest.mark.parametrize(("seconds", "said"), [
    (0.25, "0.2 s"), (1, "1 s"), (760, "12 min 40 s"), (11_100, "3 h 5 min"), (187_200, "2 d 4 h"), (3600, "1 h"),
])  # fmt: skip
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert words(seconds) == said


def test_a_change_in_words() -> None:
    change = Change(at=0.0, old="connection-refused", new="up", lasted=60.0, down=760.0, text="", status=200)
    assert sentence(change) == "was connection-refused for 1 min, now up, down for 12 min 40 s"
