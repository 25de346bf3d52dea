"""`headgate check`, as its users see it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from headgate.cli import main

FINE = '[upstream.app]\nservers = ["http://a:1", "http://b:1"]\n'
WARNS = '[upstream.app]\nservers = ["http://a:1"]\n'
WRONG = '[upstream.app]\nservers = ["http://a:1"]\ntimeouts.conect = 1\ntimeouts.head = 0\n'


def check(tmp_path, text, *options):
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["check", str(file), *options])
    return result.exit_code, result.output.replace(str(file), "headgate.toml")


@pytest.mark.parametrize(
    ("text", "strict", "code"), [(FINE, 0, 0), (FINE, 1, 0), (WARNS, 0, 0), (WARNS, 1, 1), (WRONG, 0, 2), (WRONG, 1, 2)]
)
def test_exit_codes(tmp_path, text, strict, code):
    assert check(tmp_path, text, *["--strict"] * strict)[0] == code


def test_notes_do_not_count_for_strict(tmp_path):
    code, output = check(tmp_path, FINE + 'keep_alive.idle = "60s"\n', "--strict")
    assert code == 0
    assert output.endswith("headgate.toml can be used: 1 note\n")


def test_what_is_printed(tmp_path):
    assert check(tmp_path, FINE)[1] == "headgate.toml can be used: no findings\n"
    assert check(tmp_path, WRONG)[1] == (
        'error: headgate.toml:3: upstream.app.timeouts.conect: unknown key; did you mean "connect"?\n'
        "error: headgate.toml:4: upstream.app.timeouts.head: found 0; expected more than 0\n"
        "headgate.toml cannot be used: 2 errors\n"
    )
    warning, summary = check(tmp_path, WARNS)[1].splitlines()
    assert warning.startswith("warning: headgate.toml:2: upstream.app.servers: http://a:1 is the only server")
    assert warning.endswith("[single-server]")
    assert summary == "headgate.toml can be used: 1 warning"


def test_text_from_the_file_is_no_markup(tmp_path):
    assert "[bold]x[/bold]" in check(tmp_path, '[[route]]\nupstream = "[bold]x[/bold]"\n')[1]


def test_json(tmp_path):
    code, output = check(tmp_path, WRONG, "--json")
    told = json.loads(output)
    assert (code, told["valid"], told["counts"]) == (2, False, {"error": 2, "warning": 0, "note": 0})
    assert told["findings"][0] == {
        "level": "error", "file": "headgate.toml", "line": 3, "key": "upstream.app.timeouts.conect",
        "message": "unknown key", "expected": "", "hint": 'did you mean "connect"?', "id": "",
    }  # fmt: skip
    assert json.loads(check(tmp_path, WARNS, "--json")[1])["findings"][0]["id"] == "single-server"


@pytest.mark.parametrize("path", ["none.toml", "."])
def test_a_file_that_cannot_be_read(tmp_path, path):
    run = subprocess.run(
        [sys.executable, "-m", "headgate", "check", str(tmp_path / path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == 2
    assert "cannot be read: " in run.stdout
    assert "Traceback" not in run.stdout + run.stderr
