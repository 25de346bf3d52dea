"""Mistakes in the tables about telling people are told with their line, and no secret is repeated."""

from pathlib import Path
from typing import Any

import pytest

from headgate.config.findings import BadConfig
from headgate.config.load import from_data, read

BASE = '[upstream.shop]\nservers = ["http://127.0.0.1:3000"]\n'
CHAT = '[destination.chat]\nkind = "slack"\nurl_file = "url"\n'
HOOK = '[destination.hook]\nkind = "webhook"\nurl = "https://hooks.example.org/in"\n'
MAIL = (
    '[destination.mail]\nkind = "email"\n[destination.mail.email]\nserver = "mail.example.org"\n'
    'from = "a@b.example"\nto = ["c@d.example"]\n'
)


def loaded(tmp_path: Path, text: str) -> Any:
    (tmp_path / "url").write_text("https://hooks.slack.example/services/T0/B0/SECRET\n")
    (tmp_path / "key").write_text("K" * 32)
    file = tmp_path / "headgate.toml"
    file.write_text(BASE + text)
    return read(file)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        loaded(tmp_path, text)
    found = [f"{finding.line - 2}: {str(finding).partition(': ')[2]}" for finding in caught.value.findings]
    assert "SECRET" not in "".join(found)
    return found


def test_the_shortest_is_enough(tmp_path: Path) -> None:
    config = loaded(tmp_path, CHAT).config
    assert config.destination["chat"].wait == 3.0
    assert config.destination["chat"].url_file == str(tmp_path / "url")


def test_what_goes_to_other_processes_is_the_same(tmp_path: Path) -> None:
    rule = '[[notify]]\nto = ["chat"]\nshare = "0.5%"\nfor = "2m"\n[[notify]]\non = ["opened"]\n'
    found = loaded(tmp_path, CHAT + MAIL + rule)
    assert from_data(found.data, found.folder) == found.config
    assert (found.config.notify[0].share, found.config.notify[0].lasting) == (0.005, 120.0)
    assert found.config.destination["mail"].email.sender == "a@b.example"


@pytest.mark.parametrize(("text", "line", "said"), [
    ('[destination.a]\nkind = "slakc"\n', 2, 'did you mean "slack"?'),
    ('[destination.a]\nkind = "slack"\nurl = "https://x.example/SECRET"\n', 3, "who knows it may write there"),
    ('[destination.a]\nkind = "slack"\n', 1, "missing, which slack needs"),
    ('[destination.a]\nkind = "slack"\nurl_file = "nowhere"\n', 3, "no such file or directory"),
    ('[destination.a]\nkind = "pagerduty"\n', 1, "missing, which pagerduty needs"),
    ('[destination.a]\nkind = "pagerduty"\nkey_file = "key"\ntemplate = "x"\n', 4, "not a key of pagerduty"),
    ('[destination.a]\nkind = "webhook"\nurl = "ftp://x/"\n', 3, "not an http or https URL"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://u:SECRET@x/"\n', 3, "a URL with a password in it"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\nurl_file = "url"\n', 4, "remove one"),
    ('[destination.a]\nkind = "webhook"\nurl_file = "key"\n', 3, "holds not an http or https URL"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\nheaders = { Authorization = "Bearer SECRET" }\n', 4, "key_file"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\ncontent_type = "text/plain"\n', 4, "the message is JSON"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\nkey_file = "two"\n', 4, "more than one line"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\nkey_file = "empty"\n', 4, "is empty"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\ntemplate = "bad.j2"\n', 4, "bad.j2:1"),
    ('[destination.a]\nkind = "webhook"\nurl = "http://x/"\nca = "key"\n', 4, "holds no certificate"),
    ('[destination.a]\nkind = "command"\ncommand = ["/nonexistent"]\n', 3, "there is no program"),
    ('[destination.a]\nkind = "command"\ncommand = ["/etc/passwd"]\n', 3, "not a program that may be run"),
    ('[destination.a]\nkind = "email"\n', 1, "[destination.NAME.email]"),
    ('[destination."a b"]\nkind = "slack"\nurl_file = "url"\n', 1, "not a name for a destination"),
    (MAIL + 'user = "x"\n', 7, "user without password_file"),
    (MAIL + 'user = "x"\npassword_file = "key"\ntls = "none"\n', 9, "would cross the network in the open"),
    (MAIL.replace("a@b.example", "a@b\\r\\nBcc: x@y"), 5, "is no mail address"),
    (MAIL.replace('"c@d.example"', ""), 6, "one or more"),
    (MAIL.replace("mail.example.org", "mail:0"), 4, "is no mail server"),
    ("[[notify]]\n", 1, "there is nobody to tell"),
    (CHAT + '[[notify]]\nto = ["chatt"]\n', 5, 'did you mean "chat"?'),
    (CHAT + '[[notify]]\non = ["closed"]\n', 5, 'expected "opened"'),
    (CHAT + "[[notify]]\non = []\n", 5, "one or more"),
    (CHAT + '[[notify]]\ncauses = ["tsl-*"]\n', 5, "no cause is called"),
    (CHAT + '[[notify]]\nupstreams = ["shoop"]\n', 5, 'did you mean "shop"?'),
    (CHAT + '[[notify]]\nservers = ["http://127.0.0.1:3001"]\n', 5, 'did you mean "http://127.0.0.1:3000"?'),
    (CHAT + '[[notify]]\nshare = "1"\n', 5, 'a share such as "1%"'),
    (CHAT + '[[notify]]\nshare = "101%"\n', 5, 'at most "100%"'),
    (CHAT + '[[notify]]\nshare = "1%"\nseverity = "seen"\n', 6, "write two rules"),
    (CHAT + '[[notify]]\nshare = "1%"\ncauses = ["tls-*"]\nstatuses = ["502"]\n', 7, "write one rule for each"),
    (CHAT + '[[notify]]\nfor = "2m"\n', 4, "for is about one"),
    (CHAT + '[[notify]]\nfro = "2m"\n', 5, 'did you mean "for"?'),
    (CHAT + '[[notify]]\nname = "a"\n[[notify]]\nname = "a"\n', 7, "name of its own"),
])  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, line: int, said: str) -> None:
    (tmp_path / "two").write_text("SECRET1\nSECRET2\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bad.j2").write_text("{% if %}")
    (problem,) = problems(tmp_path, text)
    assert said in problem
    assert problem.startswith(f"{line}: "), problem


def test_no_route_is_any(tmp_path: Path) -> None:
    assert loaded(tmp_path, CHAT + '[[notify]]\nroutes = ["*"]\n').config.notify[0].routes == ("*",)
