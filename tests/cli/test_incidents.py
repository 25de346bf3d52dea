"""`headgate incidents` as an operator uses it: on a real gateway, on the file of one that was killed, and on nothing at all."""

# ruff: noqa: E501 - one mistake a line reads better

import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from headgate.cli import incidents_view as view
from headgate.cli.main import main
from headgate.lab.processes import free_port
from headgate.render.terminal import SafeConsole

PROMPT = 20.0
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Evil: \x1b[31m<script>\x07\x00\r\n\r\nhello"
PROGRAM = [sys.executable, "-m", "headgate", "incidents"]


class Gateway:
    """A gateway in front of a server that is not there, and of one that answers what nobody should."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, Path(tempfile.mkdtemp(prefix="hg"))
        self.port, self.store = free_port(), folder / "kept"
        self.reference = ""  # of a request that failed
        self.evil = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.answer, daemon=True).start()
        (folder / "headgate.toml").write_text(
            f'[gateway]\nlisten = ["127.0.0.1:{self.port}"]\nworkers = 1\nadmin.dashboard = "off"\nlog = {{ access = "off" }}\n'
            f'[incidents]\nfile = "{self.store}"\n[upstream.gone]\nservers = ["http://127.0.0.1:{free_port()}"]\n'
            f'[upstream.evil]\nservers = ["http://127.0.0.1:{self.evil.getsockname()[1]}"]\n'
            '[[route]]\npath = "/gone"\nupstream = "gone"\n[[route]]\npath = "/evil"\nupstream = "evil"\n'
        )
        self.environment = os.environ | {"HEADGATE_RUN": str(self.run), "TERM": "xterm-256color", "COLUMNS": "140"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headgate", "serve", "headgate.toml"], cwd=folder, env=self.environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.until(self.answers)

    def answer(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.evil.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(EVIL)

    def answers(self) -> bool:
        with suppress(OSError):
            self.get("/nowhere")
            return bool(list(self.run.glob("*.sock")))
        return False

    def get(self, path: str) -> str:
        """Send a request; return the reference of its answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROMPT)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return str(answer.headers["X-Request-Id"])

    def until(self, condition: object) -> None:
        end = time.monotonic() + PROMPT
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    def says(self, *words: str) -> tuple[int, str, str]:
        """Run the command; return exit code, output and errors."""
        done = subprocess.run([*PROGRAM, *words], env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def listed(self, *words: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.says("--json", *words)[1])["incidents"]
        return found

    def end(self) -> None:
        self.evil.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PROMPT)
        shutil.rmtree(self.run)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    found = Gateway(tmp_path_factory.mktemp("gateway"))
    found.reference = found.get("/evil")
    found.get("/evil")
    found.get("/evil")
    for _ in range(3):
        found.get("/gone")
    found.until(lambda: len(found.listed()) == 2)
    yield found
    found.end()


def id_of(gateway: Gateway, upstream: str) -> str:
    (one,) = gateway.listed("--upstream", upstream)
    return str(one["id"])


def test_a_list_for_people_and_for_programs(gateway: Gateway) -> None:
    code, text, _ = gateway.says()
    assert code == 1, "something is open that users see"
    lines = text.splitlines()
    assert lines[0].split() == ["id", "state", "since", "lasted", "cause", "where"]
    assert len(lines) == 3
    assert "header-invalid" in text
    assert "connection-refused" in text
    assert "of gone: 3 failed, users saw 3" in text
    assert "\x1b" not in text, "no colours in a pipe"
    assert [one["upstream"] for one in gateway.listed("--upstream", "gone")] == ["gone"]
    assert gateway.listed("--state", "resolved") == []
    assert gateway.says("--state", "resolved")[:2] == (0, "No incidents.\n")
    assert len(gateway.listed("--limit", "1")) == 1
    assert len(gateway.listed("--since", "1h")) == 2
    assert gateway.listed("--since", "2999-01-01") == []


def test_the_whole_story(gateway: Gateway) -> None:
    code, text, _ = gateway.says("show", id_of(gateway, "evil"))
    assert code == 0
    for part in (
        "header-invalid in phase head",
        "Users saw 3 requests fail",
        "Over time",
        "█",
        "What to do",
        "GET /evil for 127.0.0.1",
    ):
        assert part in text
    assert re.search(r"[ 0-9a-f]{2}>1b 5b 33 31 6d", text), "the byte that breaks the rule is marked"
    assert "\x1b" not in text
    assert "\x07" not in text
    found = json.loads(gateway.says("show", id_of(gateway, "evil"), "--json")[1])
    assert found["samples"][0]["target"] == "/evil"


def test_by_the_begin_of_its_id_and_by_a_reference(gateway: Gateway) -> None:
    id = id_of(gateway, "evil")
    assert gateway.says("show", id[:4].lower())[1].startswith(id)
    code, text, _ = gateway.says("show", gateway.reference)
    assert code == 0
    assert text.startswith(id)
    assert f"Request {gateway.reference}" in text
    code, _, errors = gateway.says("show", "no\x1bsuch")
    assert code == 2
    assert errors.startswith('headgate: "no\\x1bsuch" is no incident (`headgate incidents` lists them)')


def test_export(gateway: Gateway, tmp_path: Path) -> None:
    id = id_of(gateway, "evil")
    code, text, _ = gateway.says("export", id)
    assert code == 0
    assert text.startswith("# ")
    assert "| Incident |" in text
    file = tmp_path / "ticket.json"
    assert gateway.says("export", id, "--json", "-o", str(file)) == (0, "", "")
    assert json.loads(file.read_text())["id"] == id
    code, _, errors = gateway.says("export", id, "-o", "/nowhere/x.md")
    assert (code, errors) == (2, "headgate: /nowhere/x.md: no such file or directory\n")


def test_what_people_do(gateway: Gateway) -> None:
    id = id_of(gateway, "gone")
    code, text, _ = gateway.says("ack", id[:5], "--note", "disk \x1b[31m replaced", "--for", "20m", "--who", "Ann")
    assert code == 0
    assert "acknowledged" in text
    (one,) = gateway.listed("--upstream", "gone")
    known = one["acknowledged"]
    assert isinstance(known, dict)
    assert (known["by"], known["note"]) == ("Ann", "disk \\x1b[31m replaced")
    assert 1100 < known["expected"] - time.time() < 1300
    assert gateway.says("silence", id, "--for", "2h")[0] == 0
    assert gateway.says("silence", id)[0] == 2
    assert json.loads(gateway.says("silence", id, "--for", "0s", "--json")[1])["silenced_until"] is None
    assert "looked into" in gateway.says("examine", id)[1]
    story = gateway.says("show", id)[1]
    assert "Ann since" in story
    assert "expected to be over at" in story
    assert re.search(r"Ann: acknowledge: disk \S*x1b\[31m replaced", story)
    assert gateway.says("resolve", id)[0] == 0
    assert [one["id"] for one in gateway.listed("--state", "resolved")] == [id]
    gateway.get("/gone")
    gateway.until(lambda: not gateway.listed("--state", "resolved"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), 'headgate: --since "yesterday": expected 30m, 24h or 7d, or a time such as 2026-11-21T14:00\n'),
        (("ack", "X", "--for", "soon"), 'headgate: --for "soon": expected a time such as 30m or 2h\n'),
        (("--follow", "--state", "resolved"), "headgate: --follow waits for changes of a running gateway: leave out --store and "
         "--state resolved\n"),
        (("--store", "/nowhere", "--admin", "x"), "headgate: --store reads a file, and asks no gateway: leave out --admin and "
         "--token-file\n"),
        (("--store", "/nowhere"), "headgate: --store /nowhere: there is no such file\n"),
        (("--store", "/etc/passwd"), "headgate: --store /etc/passwd: no file of incidents, or damaged (file is not a database)\n"),
    ],
)  # fmt: skip
def test_mistakes(gateway: Gateway, words: tuple[str, ...], said: str) -> None:
    code, _, errors = gateway.says(*words)
    assert (code, errors) == (2, said)


def test_following(gateway: Gateway) -> None:
    id = id_of(gateway, "evil")
    with subprocess.Popen(
        [*PROGRAM, "--follow", "--json"], env=gateway.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        known = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert {one["what"] for one in known} <= {"open", "opened", "reopened"}
        gateway.says("ack", id, "--who", "Bea")
        assert json.loads(process.stdout.readline())["what"] == "acknowledged"
        gateway.says("resolve", id)
        last = json.loads(process.stdout.readline())
        assert (last["what"], last["incident"]["id"], last["incident"]["state"]) == ("resolved", id, "resolved")
        gateway.get("/evil")
        assert json.loads(process.stdout.readline())["what"] == "reopened"
        process.send_signal(signal.SIGINT)
        assert process.wait(PROMPT) == 0


def test_colours_in_a_terminal(gateway: Gateway) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(PROGRAM, env=gateway.environment, stdout=child, stderr=child)
    os.close(child)
    said = b""
    with suppress(OSError):
        while piece := os.read(parent, 65536):
            said += piece
    os.close(parent)
    process.wait(PROMPT)
    assert b"\x1b[" in said


def test_the_file_of_a_gateway_that_was_killed(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    try:
        reference = gateway.get("/gone")
        gateway.until(gateway.listed)
        gateway.says("ack", id_of(gateway, "gone"), "--who", "Ann")
        time.sleep(1.5)  # what is counted is in the file a second later
        running = gateway.listed("--store", str(gateway.store))
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait(PROMPT)
        gateway.until(lambda: gateway.says()[0] == 2)
        assert "no running gateway is found" in gateway.says()[2]
        before = {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in tmp_path.glob("kept*")}
        (one,) = gateway.listed("--store", str(gateway.store))
        assert [found["id"] for found in running] == [one["id"]]
        assert one["cause"] == "connection-refused"
        code, text, _ = gateway.says("show", reference, "--store", str(gateway.store))
        assert code == 0
        assert "Ann since" in text
        assert gateway.says("--store", str(gateway.store), "export", str(one["id"]))[1].startswith("# ")
        code, _, errors = gateway.says("--store", str(gateway.store), "ack", str(one["id"]))
        assert code == 2
        assert "a file cannot be changed" in errors
        after = {file.name: (file.stat().st_size, file.stat().st_mtime_ns) for file in tmp_path.glob("kept*")}
        assert after == before, "nothing was written"
    finally:
        gateway.end()


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_RUN", str(tmp_path))
    for words in ([], ["show", "x"], ["ack", "x"], ["export", "x"]):
        done = CliRunner().invoke(main, ["incidents", *words])
        assert done.exit_code == 2
        assert "no running gateway is found" in done.output


HOSTILE = "\x1b]0;x\x07\u202eevil<b>\r\n\x00" + "A" * 3000


def test_hostile_texts_do_nothing_to_a_terminal() -> None:
    attempt = {
        "server": HOSTILE, "sentence": HOSTILE, "evidence": [HOSTILE], "excerpt": "zz", "steps": [], "verdict": HOSTILE,
        "signal": "malformed", "offset": 3, "took_ms": None,
    }  # fmt: skip
    sample = {
        "reference": HOSTILE,
        "at": 1.0,
        "method": HOSTILE,
        "target": HOSTILE,
        "host": HOSTILE,
        "status": 502,
        "attempts": [attempt],
    }
    one = {
        "id": HOSTILE, "upstream": HOSTILE, "server": HOSTILE, "cause": HOSTILE, "phase": HOSTILE, "state": "open", "seen": 1,
        "failed": 1, "rescued": 0, "clients": 1, "clients_more": False, "first": 1.0, "last": 2.0, "acknowledged":
        {"by": HOSTILE, "note": HOSTILE, "at": 1.0}, "samples": [sample], "events": [{"at": 1.0, "text": HOSTILE}], "servers":
        [{"server": HOSTILE, "failed": 1, "seen": 1}] * 2, "routes": [{"route": HOSTILE, "count": 1}], "verdicts":
        [{"verdict": {"verdict": HOSTILE, "evidence": [HOSTILE], "cause": "x"}}], "actions": [{"at": 1.0, "note": HOSTILE}],
        "seconds": [[1, 5], [3, 1]], "similar": [],
    }  # fmt: skip
    console = SafeConsole(width=100, force_terminal=False)
    for shown in (
        view.story(one, console),
        view.listed({"incidents": [one], "note": HOSTILE}, 80),
        view.change(1.0, "open", one),
    ):
        with console.capture() as captured:
            console.print(shown)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", captured.get())
