"""`headgate notify`: tests arrive and say so, answers are told, and what is shown holds no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headgate.cli.main import main

BASE = '[upstream.shop]\nservers = ["http://127.0.0.1:3000"]\n'


def run(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["notify", *words], input=given)


@pytest.fixture
def file(tmp_path: Path, site: Any) -> str:
    """A configuration with a chat and a pager at a site that takes everything, and a command that fails."""
    (tmp_path / "url").write_text(f"{site.url}services/SECRET\n")
    (tmp_path / "key").write_text("SECRETKEY" * 4)
    site.status, site.body = 202, b"accepted"
    config = tmp_path / "headgate.toml"
    config.write_text(
        f'{BASE}[destination.chat]\nkind = "slack"\nurl_file = "url"\n'
        f'[destination.pager]\nkind = "pagerduty"\nurl = "{site.url}v2/enqueue"\nkey_file = "key"\n'
    )
    return str(config)


def test_every_destination_is_tried(file: str, site: Any) -> None:
    result = run("test", file)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "chat   slack (127.0.0.1): 202 Accepted", "pager  pagerduty (127.0.0.1): 202 Accepted, closed again: 202 Accepted",
    ]  # fmt: skip
    assert sorted(target for _, target, _ in site.asked) == ["/services/SECRET", "/v2/enqueue", "/v2/enqueue"]


def test_one_is_tried_and_told_as_json(file: str, site: Any) -> None:
    site.status, site.body = 403, b"invalid_token"
    result = run("test", file, "chat", "--json")
    assert result.exit_code == 1
    (row,) = json.loads(result.output)["destinations"]
    assert row == {
        "name": "chat", "kind": "slack", "where": "slack (127.0.0.1)", "ok": False, "error": "answered 403: invalid_token",
    }  # fmt: skip


def test_names_and_files_that_do_not_exist(file: str, tmp_path: Path) -> None:
    result = run("test", file, "chatt")
    assert (result.exit_code, "there are chat, pager" in result.output) == (2, True)
    (tmp_path / "none.toml").write_text(BASE)
    result = run("test", str(tmp_path / "none.toml"))
    assert (result.exit_code, "nobody is told" in result.output) == (2, True)
    assert run("test", str(tmp_path / "nowhere.toml")).exit_code == 2


@pytest.mark.parametrize("what", ["opened", "worse", "changed", "resolved", "reopened", "acknowledged"])
def test_what_would_be_sent_is_shown_without_secrets(file: str, site: Any, what: str) -> None:
    result = run("show", file, "--what", what)
    assert result.exit_code == 0, result.output
    assert "SECRET" not in result.output
    assert "POST [" in result.output
    assert "# pager: pagerduty" in result.output
    assert site.asked == []


def test_an_incident_that_there_was_is_shown(file: str) -> None:
    incident = {"id": "7K3M0Q2Z", "cause": "tls-timeout", "upstream": "shop", "seen": 3, "severity": "seen"}
    result = run("show", file, "chat", "--incident", "-", given=json.dumps(incident))
    assert result.exit_code == 0, result.output
    assert "7K3M0Q2Z" in result.output
    assert run("show", file, "--incident", "-", given="nonsense").exit_code == 2
    assert run("show", file, "--incident", "-", given='{"id": 5}').exit_code == 2


def test_a_template_is_tried_by_check_and_show(file: str, tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text('{"subject": {{ title | tojson }}, "{{ incident.upstream }}": 1}')
    config = tmp_path / "own.toml"
    config.write_text(f'{BASE}[destination.own]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\ntemplate = "own.j2"\n')
    result = run("show", str(config))
    assert '"subject": "Opened: The server refused the connection' in result.output
    assert '"shop": 1' in result.output
    for bad in ("{{ nothing }}", "{{ 1 / 0 }}", "{{ ''.__class__.__mro__ }}", "{% for x in range(999999999) %}x{% endfor %}"):
        (tmp_path / "own.j2").write_text(bad)
        assert run("show", str(config)).exit_code == 1
        checked = CliRunner().invoke(main, ["check", str(config)])
        assert checked.exit_code == 2
        assert "destination.own.template" in checked.output
