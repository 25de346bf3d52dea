"""The tables about visitors: mistakes are told with their line, in words that help."""

# ruff: noqa: E501 - one mistake a line reads better

import pytest

from headgate.config.findings import BadConfig
from headgate.config.load import load

UPSTREAM = '[upstream.app]\nservers = ["http://127.0.0.1:3000"]\n[[route]]\nupstream = "app"\n'


def findings(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text + UPSTREAM)
    with pytest.raises(BadConfig) as caught:
        load(file)
    return [str(finding).removeprefix(f"{file}:") for finding in caught.value.findings]


def loaded(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text + UPSTREAM)
    return load(file)


PLACE = "[status_page]\n"
MOMENT = 'a time with its zone such as "2026-11-21T14:00:00Z"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[gateway.status]\npath = "status"\n', '2: gateway.status.path: "status" does not begin with "/"; expected a path that begins '
         'with "/"; did you mean "/status"?'),
        ('[gateway.status]\npath = "/status"\n[status_page]\n', "3: status_page.path: the same path as gateway.status.path; write "
         "another one"),
        (f'{PLACE}home = "ftp://x"\n', '2: status_page.home: "ftp://x" is no address to lead to; expected "https://example.org/" or a path'),
        (f'{PLACE}home = "javascript:x"\n', '2: status_page.home: "javascript:x" is no address to lead to; expected '
         '"https://example.org/" or a path'),
        (f'{PLACE}title = " "\n', "2: status_page.title: no text; expected words for visitors"),
        (f"{PLACE}days = 91\n", "2: status_page.days: found 91; expected at most 90"),
        (f'{PLACE}[[status_page.service]]\nname = "A"\n', "2: status_page.service[0]: a service that consists of nothing; write "
         'upstreams = ["NAME"]'),
        (f'{PLACE}[[status_page.service]]\nname = "A"\nupstreams = ["ap"]\n', '4: status_page.service[0].upstreams[0]: no upstream is '
         'called "ap"; did you mean "app"?'),
        (f'{PLACE}[[status_page.service]]\nname = "A"\nroutes = ["x"]\n', '4: status_page.service[0].routes[0]: no route is called "x"; '
         "expected one of */"),
        (f'{PLACE}[[status_page.message]]\ntext = "x"\nuntil = 2026-11-21T14:00:00Z\n', "4: status_page.message[0].until: a time without "
         f'quotes; expected {MOMENT}; write "2026-11-21T14:00:00+00:00"'),
        (f'{PLACE}[[status_page.message]]\ntext = "x"\nuntil = "tomorrow"\n', '4: status_page.message[0].until: "tomorrow" is no time; '
         f"expected {MOMENT}"),
        (f'{PLACE}[[status_page.message]]\ntext = "x"\nsince = "2026-11-21T14:00"\n', '4: status_page.message[0].since: '
         f'"2026-11-21T14:00" has no zone; expected {MOMENT}; did you mean "2026-11-21T14:00Z", which is UTC?'),
        (f'{PLACE}template = "gone.html"\n', "no such file or directory"),
        (f'{PLACE}[[route]]\npath_exact = "/status"\nupstream = "app"\n', 'the route "*/status" is for this very path, and no request '
         "would reach it"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path, text, said):
    (found,) = findings(tmp_path, text)
    assert found.endswith(said) if not said[0].isdigit() and "would reach" not in said else said in found


def test_a_message_that_ends_before_it_begins(tmp_path):
    text = f'{PLACE}[[status_page.message]]\ntext = "x"\nsince = "2026-11-21T14:00:00Z"\nuntil = "2026-11-21T14:00:00+02:00"\n'
    assert findings(tmp_path, text) == ["5: status_page.message[0].until: it ends before it begins; expected a time after since"]


def test_two_of_one_name(tmp_path):
    one = '[[status_page.service]]\nname = "A"\nupstreams = ["app"]\n'
    assert findings(tmp_path, PLACE + one + one) == [
        '6: status_page.service[1].name: two services are called "A"; give each its own name'
    ]


@pytest.mark.parametrize(
    ("path", "paths"),
    [("/status", ("/status", "/status.json")), ("/", ("/", "/status.json")), ("/a/", ("/a/", "/a.json")), ("off", ())],
)
def test_where_it_is_served(tmp_path, path, paths):
    assert loaded(tmp_path, f'{PLACE}path = "{path}"\n').status_page.paths == paths


def test_another_host_may_have_the_same_path(tmp_path):
    text = f'{PLACE}host = "STATUS.example.org"\n[[route]]\nhost = "example.org"\npath_exact = "/status"\nupstream = "app"\n'
    assert loaded(tmp_path, text).status_page.host == "status.example.org"
