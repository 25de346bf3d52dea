"""The command line as a whole: what closes its streams, fills them, cannot show its letters, or interrupts it."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-m", "headgate")
LINE = '203.0.113.7 - - [20/Nov/2026:10:00:{second:02d} +0000] "GET /a HTTP/1.1" 502 157 "-" "curl/7.88.1"\n'


def shell(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell line in which `headgate` is this one."""
    script = f'headgate() {{ "{sys.executable}" -m headgate "$@"; }}\n{command}'
    return subprocess.run(
        ["bash", "-c", script], env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(second=number) for number in range(40)))
    return path


def test_a_reader_that_goes_away_ends_it_silently() -> None:
    done = shell("headgate explain 502 | true; echo ${PIPESTATUS[0]}")
    assert done.stdout.split() == ["141"], done
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["explain 502", "explain 502 --json", "explain --list codes", "logs --help", "--help"])
def test_streams_that_are_closed_or_full_make_no_traceback(command: str) -> None:
    closed = shell(f"headgate {command} >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert shell(f"headgate {command} <&- >&- 2>&-").returncode == 0
    if Path("/dev/full").exists():
        full = shell(f"headgate {command} > /dev/full")
        assert (full.returncode, full.stderr) == (2, "headgate: standard output: No space left on device\n")


def test_ctrl_c_is_130_and_not_what_an_answer_would_be() -> None:
    for arguments in (("explain", "-"), ("diagnose", "--offline", "-"), ("logs", "-")):
        process = subprocess.Popen(
            (*PROGRAM, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            time.sleep(1.0)  # it waits for its input by then
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=20)
        assert process.returncode == 130, told
        assert told.startswith("headgate: stopped")
        assert len(told.splitlines()) == 1


def test_an_encoding_without_the_letters_gets_others(log: Path) -> None:
    done = shell(f"headgate logs {log}", PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "Failures over time" in done.stdout
    assert done.stdout.isascii()
    assert "\\u2588" not in done.stdout  # a picture made of escapes is none


@pytest.mark.parametrize("columns", ["0", "1", "40", "-5", "many"])
def test_terminals_of_any_width(log: Path, columns: str) -> None:
    main, other = pty.openpty()
    environment = os.environ | {"COLUMNS": columns, "NO_COLOR": "1", "TERM": "dumb"}
    process = subprocess.Popen((*PROGRAM, "logs", str(log)), stdin=other, stdout=other, stderr=other, env=environment)
    os.close(other)
    shown = b""
    try:
        while data := os.read(main, 65536):
            shown += data
    except OSError:  # Linux: the other end was closed
        pass
    os.close(main)
    assert process.wait(timeout=30) == 1, shown
    assert b"Traceback" not in shown
    assert b"requests" in shown
