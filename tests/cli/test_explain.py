"""`headgate explain` as a user runs it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from headgate.cli.explain import command, find
from headgate.cli.main import main
from headgate.diagnose.catalogue import catalogue


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_every_code_is_explained(code: str) -> None:
    result = run(code)
    assert result.exit_code == 0
    assert result.output.startswith(f"{catalogue()[code].status} {code}  {catalogue()[code].title}\n")


def test_alone_it_lists_all() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(f" {code} " in result.output for code in catalogue())


NAMES = [
    ("ECONNREFUSED", ["connection-refused"]),
    ("econnrefused", ["connection-refused"]),
    ("connection_timeout", ["connection-timeout"]),
    ("Body Truncated", ["body-truncated"]),
    ("499", ["client-gone"]),
    ("keep-alive race", ["closed-on-reuse", "reset-on-reuse", "send-reset-reused"]),
    ("dns_timeout", ["dns-timeout"]),
    ("tls_certificate_error", [code for code in sorted(catalogue()) if code.startswith("certificate-")]),
    ("upstream prematurely closed connection while reading response header", ["closed-before-answer", "closed-on-reuse"]),
    ("The server refused the connection", ["connection-refused"]),
    ("xyzzy", []),
    ("e", []),
]


@pytest.mark.parametrize(("text", "codes"), NAMES)
def test_names_and_phrases(text: str, codes: list[str]) -> None:
    assert sorted(cause.code for cause in find(text)) == codes


def test_a_status_means_all_causes_that_have_it() -> None:
    assert {cause.status for cause in find("504")} == {504}
    assert len(find("504")) > 5


def test_several_hits_are_listed() -> None:
    result = run("keep-alive", "race")
    assert result.exit_code == 0
    assert result.output.startswith("3 causes go by 'keep-alive race'; `headgate explain CODE` explains one:\n")
    assert "reset-on-reuse" in result.output


def test_unknown_cause_is_one_sentence_with_the_closest_codes() -> None:
    result = run("conection-refusd")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("headgate: no cause is called 'conection-refusd'; the closest codes are connection-refused,")
    assert result.stderr.count("\n") == 1


def test_nothing_close_suggests_nothing() -> None:
    for word in ("zzzzqqqq", "foo"):
        result = run(word)
        assert (result.exit_code, "closest" in result.stderr) == (2, False)


def test_unknown_reader_is_refused() -> None:
    assert run("client-gone", "--for", "nobody").exit_code == 2


def test_json() -> None:
    cause = json.loads(run("connection-refused", "--json").output)
    assert (cause["code"], cause["status"], cause["error"], cause["phase"]) == (
        "connection-refused",
        502,
        "connection_refused",
        "connect",
    )
    assert [cause["code"] for cause in json.loads(run("--json").output)] == list(catalogue())


def test_json_for_one_reader_holds_that_readers_sections() -> None:
    sections = json.loads(run("closed-on-reuse", "--json", "--for", "visitor").output)["sections"]
    assert set(sections) <= {"Visitor"}


def test_it_is_a_command_of_headgate() -> None:
    assert CliRunner().invoke(main, ["explain", "client-gone", "--for", "visitor"]).output.startswith("499 client-gone  ")


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "headgate", "explain", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=30)


def test_as_a_process_in_a_pipe() -> None:
    done = process("tls-closed")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("502 tls-closed  ")
    assert "\x1b" not in done.stdout


def test_as_a_process_with_a_wrong_code() -> None:
    done = process("nonsense!")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("headgate: no cause is called 'nonsense!'")
