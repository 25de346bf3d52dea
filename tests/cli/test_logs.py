"""`headgate logs` as a user runs it: real files, both logs, pictures, JSON, following, and clear words for what is no log."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headgate.cli.logs import command

ACCESS = '{client} - - [20/Nov/2026:10:{minute:02d}:{second:02d} +0000] "GET {path} HTTP/1.1" {status} 157 "-" "curl/7.88.1"\n'
ERROR = (
    "2026/11/20 10:{minute:02d}:{second:02d} [error] 31#31: *{number} connect() failed (111: Connection refused) "
    'while connecting to upstream, client: {client}, server: a.example, request: "GET {path} HTTP/1.1", '
    'upstream: "http://10.1.2.3:8080{path}", host: "a.example"\n'
)


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], input=stdin)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """An hour of nginx: from minute 20 to 29 the server is away."""
    access, error = [], []
    for number in range(720):
        facts: dict[str, Any] = {
            "minute": number // 12,
            "second": 5 * (number % 12),
            "number": number,
            "client": f"203.0.113.{number % 200}",
            "path": f"/item/{number}?token=sesame",
        }
        failed = 20 <= number // 12 < 30
        access.append(ACCESS.format(status=502 if failed else 200, **facts))
        if failed:
            error.append(ERROR.format(**facts))
    paths = tmp_path / "access.log", tmp_path / "error.log"
    for path, lines in zip(paths, (access, error), strict=True):
        path.write_text("".join(lines))
    return paths


def test_both_logs_prove_the_cause(both: tuple[Path, Path]) -> None:
    result = run(*both, "--json")
    assert result.exit_code == 1
    told = json.loads(result.output)
    assert (told["requests"], told["failed"], told["joined"]) == (720, 120, 120)
    root = told["roots"][0]
    assert (root["cause"], root["confidence"], root["made_by"]) == ("connection-refused", "proved", "gateway")
    assert root["servers"][0]["name"] == "10.1.2.3:8080"
    assert {"burst"} <= {one["kind"] for one in [*root["findings"], *told["findings"]]}


def test_the_access_log_alone_names_no_single_cause(both: tuple[Path, Path]) -> None:
    told = json.loads(run(both[0], "--json").output)
    assert told["failed"] == 120
    assert [root["confidence"] for root in told["roots"]] == ["possible"]


def test_people_read_verdict_evidence_remedies_and_pictures(both: tuple[Path, Path]) -> None:
    output = run(*both).output
    assert output.startswith("failures  ")
    assert "120 of 720 requests failed (17 %)" in output
    assert "Proved: nginx's log says" in output
    assert "next 1" in output
    assert "Failures over time" in output
    assert "█" in output
    assert "120 failures are explained by a line of an error log." in output
    assert "\x1b" not in output
    assert "sesame" not in output


@pytest.mark.parametrize(("reader", "there", "not_there"), [
    ("visitor", "120 of 720", "next 1"),
    ("operator", "next 1", "For visitors"),
    ("admin", "next 1", "For visitors"),
])  # fmt: skip
def test_each_reader_is_told_what_is_theirs(both: tuple[Path, Path], reader: str, there: str, not_there: str) -> None:
    output = run(*both, "--for", reader).output
    assert there in output
    assert not_there not in output


def test_compressed_and_from_standard_input(both: tuple[Path, Path], tmp_path: Path) -> None:
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(both[0].read_bytes()))
    for result in (run(packed, "--json"), run("-", "--json", stdin=both[0].read_bytes())):
        assert json.loads(result.output)["failed"] == 120


def test_several_files_in_several_processes(both: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "access2.log"
    other.write_bytes(both[0].read_bytes())
    alone, several = (json.loads(run(both[0], other, "--json", "--jobs", jobs).output) for jobs in ("1", "3"))
    assert alone["failed"] == several["failed"] == 240
    assert alone["causes"] == several["causes"]


def test_the_page_is_one_file_without_scripts(both: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = run(*both, "--html", page)
    assert f"Report: {page}" in result.output
    text = page.read_text()
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(text)
    assert tags.count("svg") >= 1
    assert "script" not in tags
    assert "link" not in tags
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "120 of 720 requests failed" in text
    assert "sesame" not in text


def test_nothing_failed_is_success(both: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "good.log"
    path.write_text("".join(line for line in both[0].read_text().splitlines(True) if " 200 " in line))
    result = run(path)
    assert result.exit_code == 0
    assert "None of 600 requests failed" in result.output


@pytest.mark.parametrize(("name", "content", "said"), [
    ("empty.log", b"", "there is no line in it"),
    ("binary.log", bytes(range(256)) * 20, "binary file"),
    ("unknown.log", b"hello\nworld\n", "Give --format"),
    ("utf16.log", "GET / 200\n".encode("utf-16"), "iconv"),
    ("packed.log", b"\x28\xb5\x2f\xfd" + b"\0" * 40, "zstd -dc"),
])  # fmt: skip
def test_what_is_no_log_is_said_and_ends_with_two(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = run(path)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert json.loads(run(path, "--json").output)["outcome"] == "nothing"


def test_a_missing_file_does_not_hide_the_others(both: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*both, tmp_path / "missing.log")
    assert result.exit_code == 1
    assert "missing.log: It cannot be read: No such file or directory." in " ".join(result.output.split())
    assert "120 of 720" in result.output


def test_a_log_cut_in_mid_line_is_read_to_there(both: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.log"
    path.write_bytes(both[0].read_bytes()[:-30])
    told = json.loads(run(path, "--json").output)
    assert (told["requests"], told["files"][0]["cut"], told["unreadable"]) == (719, True, 0)


@pytest.mark.parametrize("form", ["nginx:$nothing", "no-such-format", "@/nowhere/nginx.conf"])
def test_a_wrong_format_is_a_wrong_usage(both: tuple[Path, Path], form: str) -> None:
    result = run(both[0], "--format", form)
    assert result.exit_code == 2
    assert result.output.startswith("headgate: --format: ")
    assert "Traceback" not in result.output


def test_a_format_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    path.write_text("203.0.113.9|502|GET /a HTTP/1.1|10.1.2.3:80|20/Nov/2026:10:15:30 +0000\n")
    form = "$remote_addr|$status|$request|$upstream_addr|$time_local"
    told = json.loads(run(path, "--format", form, "--json").output)
    assert (told["failed"], told["upstreams"][0]["name"]) == (1, "10.1.2.3:80")


def test_a_page_that_cannot_be_written(both: tuple[Path, Path]) -> None:
    result = run(both[0], "--html", "/nowhere/report.html")
    assert result.exit_code == 2
    assert "/nowhere/report.html: No such file or directory" in result.output


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_keep_to_the_width_of_the_terminal(both: tuple[Path, Path], width: int) -> None:
    import io

    from rich.console import Console

    from headgate.render.log_report import print_report

    told = json.loads(run(*both, "--json").output)
    file = io.StringIO()
    print_report(Console(file=file, width=width, force_terminal=True, color_system="256", highlight=False), told)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    assert max(map(len, plain.splitlines())) <= width
    assert "\x1b[" in file.getvalue()


# --- followed ---


def follow(*arguments: str | Path, stdin: Any = None) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "headgate", "logs", "--follow", *map(str, arguments)]
    return subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )


@pytest.mark.timeout(60)
def test_followed_logs_tell_each_failure_and_at_the_end_the_report(both: tuple[Path, Path], tmp_path: Path) -> None:
    access, error = tmp_path / "live.log", tmp_path / "live-error.log"
    lines, errors = (path.read_text().splitlines(keepends=True) for path in both)
    access.write_text("".join(lines[:20]))
    error.write_text(errors[0])
    process = follow(access, error)
    assert process.stdout is not None
    try:
        time.sleep(1.0)  # it begins at the end of the files: what is appended before it looks is not told
        for _ in range(20):
            with error.open("a") as file:
                file.write(errors[4])
            with access.open("a") as file:
                file.write(lines[244])
            if first := _line(process, 2.0):
                break
        assert re.search(r"10:20:20  502  connection-refused  at 10\.1\.2\.3:8080  GET /item/244\?token=", first)
        assert "sesame" not in first
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert "requests failed" in rest
        assert process.returncode == 1
    finally:
        process.kill()
        process.wait()


def _line(process: "subprocess.Popen[str]", seconds: float) -> str:
    import select

    return process.stdout.readline() if select.select([process.stdout], [], [], seconds)[0] else ""  # type: ignore[union-attr]


@pytest.mark.timeout(60)
def test_a_followed_pipe_ends_with_it(both: tuple[Path, Path]) -> None:
    process = follow("-", "--json", stdin=subprocess.PIPE)
    out, errors = process.communicate(both[0].read_text(), timeout=30)
    assert errors == ""
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 120
    assert {row["status"] for row in rows} == {502}
    assert process.returncode == 1


def test_a_report_that_cannot_be_written_does_not_lose_what_was_found(both: tuple[Path, Path]) -> None:
    result = run(both[0], "--html", "/nowhere/r.html")
    assert result.exit_code == 2
    assert result.output.startswith("failures ")
    assert "/nowhere/r.html: No such file or directory" in result.output


@pytest.mark.parametrize(("form", "said"), [
    ("@/nowhere/nginx.conf", "/nowhere/nginx.conf cannot be read: No such file"), ("@", "the name of a file is expected"),
    ("@/dev/zero", "/dev/zero has no log_format"),
])  # fmt: skip
def test_a_format_file_that_is_none(both: tuple[Path, Path], form: str, said: str) -> None:
    result = run(both[0], "--format", form)
    assert result.exit_code == 2
    assert said in result.output


def test_rates_and_titles_are_said_once(tmp_path: Path) -> None:
    text = "".join(ACCESS.format(minute=1, second=at, client=f"203.0.113.{at % 2}", path="/", status=502) for at in range(50))
    (tmp_path / "access.log").write_text(text)
    output = run(tmp_path / "access.log").output
    assert "of 25 requests: 100 % failed" in output
    assert "\n1. 502, and nginx's log does not say why" in output


def test_nothing_new_is_no_failure_to_read(both: tuple[Path, Path]) -> None:
    with follow(str(both[0])) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert "No line came." in output


def test_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    with follow(str(tmp_path)) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "is a folder: name the files in it" in errors


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_readers_end_with_who_started_them(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Two pipes that nobody writes to: the readers would wait for ever."""
    pipes = [tmp_path / "one", tmp_path / "two"]
    for pipe in pipes:
        os.mkfifo(pipe)
    words = [sys.executable, "-m", "headgate", "logs", "--jobs", "2", *map(str, pipes)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: list[int] = []
    for _ in range(500):
        children = [int(one) for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        if len(children) >= 2:
            break
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=20) == code
    for _ in range(500):
        left = [one for one in children if Path(f"/proc/{one}").exists()]
        if not left:
            break
        time.sleep(0.02)
    assert not left
