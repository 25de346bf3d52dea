"""Each check tells of the setting it is for, names a cause that exists, and is silent about what is well."""

import re
import tomllib
from pathlib import Path

import pytest

from headgate.config.checks import CHECKS, warnings
from headgate.config.load import load, read
from headgate.diagnose.catalogue import catalogue

TWO = '[upstream.app]\nservers = ["http://a:3000", "http://b:3000"]\n'
ROUTE = '[[route]]\nupstream = "app"\n'

CASES = {
    "total-too-short": (TWO + 'timeouts = { total = "30s", idle = "10s", send = "10s" }', "upstream.app.timeouts.total", "63s"),
    "retry-outlasts-total": (
        TWO + 'timeouts = { connect = "30s", head = "20s", total = "1m" }', "upstream.app.timeouts.connect", '"20s"',
    ),
    "silence-outlasts-total": (TWO + 'timeouts = { total = "90s", idle = "2m" }', "upstream.app.timeouts.idle", '"4m"'),
    "keep-alive-outlasts-server": (TWO + 'keep_alive.idle = "6s"', "upstream.app.keep_alive.idle", '"4s"'),
    "idle-below-front-proxy": (
        TWO + '[gateway]\ntrusted_proxies = ["10.0.0.0/8"]\ntimeouts.idle = "60s"', "gateway.timeouts.idle", '"75s"',
    ),
    "no-server-up": ('[upstream.app]\nservers = [{ url = "http://a", down = true }]', "upstream.app.servers", "remove down"),
    "single-server": ('[upstream.app]\nservers = ["http://a", { url = "http://b", down = true }]', "upstream.app.servers", "http://a"),
    "same-server-twice": ('[upstream.app]\nservers = ["http://a", "http://A:80"]', "upstream.app.servers[1]", "weight = 2"),
    "scheme-against-port": ('[upstream.app]\nservers = ["http://a:443", "http://b"]', "upstream.app.servers[0]", '"https://a:443"'),
    "unused-upstream": (TWO + ROUTE + '[upstream.b]\nservers = ["http://b"]', "upstream.b", 'upstream = "b"'),
    "few-requests-at-once": (TWO + "max_requests = 2", "upstream.app.max_requests", "max_requests = 6"),
    "verify-off": ('[upstream.app]\nservers = ["https://a", "https://b"]\ntls.verify = false', "upstream.app.tls.verify", "ca ="),
    "tls-without-https": (TWO + 'tls.name = "x"', "upstream.app.tls", "https://"),
    "tls-address-without-name": (
        '[upstream.app]\nservers = ["https://10.0.0.1", "https://b"]', "upstream.app.servers[0]", "name =",
    ),
    "everybody-trusted": (
        TWO + '[gateway]\nlisten = ["0.0.0.0:80"]\ntrusted_proxies = ["::/0"]', "gateway.trusted_proxies[0]", "load balancers",
    ),
    "details-for-public": (TWO + '[gateway]\ndetails_for = ["10.0.0.0/8", "0.0.0.0/0"]', "gateway.details_for[1]", "10.0.0.0/8"),
    "small-request-header": (
        TWO + '[gateway.limits]\nrequest_header_bytes = "4KiB"\nrequest_line_bytes = "2KiB"',
        "gateway.limits.request_header_bytes", "32KiB",
    ),
    "small-response-header": (
        TWO + '[gateway.limits]\nresponse_header_bytes = "4KiB"\nresponse_header_line_bytes = "4KiB"',
        "gateway.limits.response_header_bytes", "64KiB",
    ),
    "line-above-whole": (
        TWO + '[gateway.limits]\nrequest_line_bytes = "64KiB"', "gateway.limits.request_line_bytes", "request_header_bytes",
    ),
    "unreachable-route": (TWO + ROUTE + 'path = "/a"\n' + ROUTE + 'path_regex = "/.*"', "route[0]", "remove it"),
    "route-for-nobody": (TWO + ROUTE + 'allow = ["10.1.0.0/16"]\ndeny = ["10.0.0.0/8"]', "route[0].deny", "allow"),
    "host-with-default-port": (TWO + ROUTE + 'host = "a.org:443"', "route[0].host", 'host = "a.org"'),
    "same-name-twice": (TWO + ROUTE + 'name = "x"\n' + ROUTE + 'name = "x"\npath = "/a"', "route[1].name", "own name"),
}  # fmt: skip
"""By id: a file that it is for, the key it names, and what the hint says."""


def told(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    loaded = read(file)
    return warnings(loaded.config, loaded.source)


def test_every_check_has_a_case_and_a_docstring():
    assert sorted(CASES) == sorted(check.id for check in CHECKS)
    assert all(check.run.__doc__ for check in CHECKS)


@pytest.mark.parametrize("id", CASES)
def test_a_check_tells_key_line_and_remedy(tmp_path, id):
    text, key, hint = CASES[id]
    (finding,) = told(tmp_path, text)
    assert (finding.id, finding.key) == (id, key)
    assert finding.level == ("note" if id == "keep-alive-outlasts-server" else "warning")
    assert hint in finding.hint
    assert finding.line > 0


@pytest.mark.parametrize("id", CASES)
def test_causes_that_are_named_exist_with_that_status(tmp_path, id):
    (finding,) = told(tmp_path, CASES[id][0])
    for status, code in re.findall(r"\b([45]\d\d) ([a-z]+(?:-[a-z0-9]+)+)", finding.message):
        assert catalogue()[code].status == int(status)


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        TWO + 'keep_alive = { idle = "60s", connections = 0 }',
        TWO + 'keep_alive.idle = "4s"',
        TWO + "max_requests = 3",
        TWO + ROUTE + 'path = "/"\n' + ROUTE + 'path = "/b"\n' + ROUTE + 'path_regex = "/a.*"',
        TWO + ROUTE + 'deny = ["0.0.0.0/0"]',  # clients with IPv6 are left
        TWO + ROUTE + 'allow = ["10.0.0.0/8"]\ndeny = ["10.1.0.0/16"]',
        TWO + ROUTE + 'host = "[::1]"',
        TWO + '[gateway]\ntimeouts.idle = "10s"',
        '[upstream.app]\nservers = ["https://10.0.0.1", "https://10.0.0.2"]\ntls.name = "a"',
        '[upstream.app]\nservers = [{ url = "http://a", weight = 3 }, "http://b"]\nhost = "server"',
    ],
)
def test_what_is_well_is_not_mentioned(tmp_path, text):
    assert told(tmp_path, text) == []


@pytest.mark.parametrize(
    ("routes", "hidden"),
    [
        ([{"methods": ["GET", "PUT"]}, {"methods": ["GET"]}], {1: [0]}),
        ([{"methods": ["GET"]}, {"methods": ["GET", "PUT"]}], {}),
        ([{"methods": ["GET"]}, {"methods": ["PUT"]}, {"methods": ["PUT", "GET"]}], {2: [0, 1]}),
        ([{"methods": ["GET"]}, {}], {}),
        ([{"path": "/a"}, {"path_regex": "/.*"}], {0: [1]}),
        ([{"path_exact": "/a"}, {"path_regex": "/.*"}], {}),
        ([{"path_regex": "/.*"}, {"path_regex": "/a"}], {1: [0]}),
        ([{"path_regex": "/.*"}, {"path": "/a", "host": "x"}], {}),
        ([{"path": "/a"}, {"path_regex": "/.*", "headers": {"x": "1"}}], {}),
        ([{"path": "/a", "headers": {"x": "1"}}, {"path_regex": "/.*", "headers": {"x": "1"}}], {0: [1]}),
        ([{"path": "/a", "headers": {"x": "1"}}, {"path": "/a"}], {}),
        ([{"path": "/", "methods": ["GET", "PUT"]}, {"methods": ["PUT"]}], {1: [0]}),
        ([{"path": "/a"}, {"path": "/a/b"}], {}),
    ],
)
def test_routes_that_nothing_reaches(routes, hidden):
    from headgate.config.reachable import hidden as found
    from headgate.config.schema import Route

    assert dict(found([Route(**route) for route in routes])) == hidden


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_well(file):
    loaded = read(file)
    assert [finding.id for finding in warnings(loaded.config, loaded.source)] == (
        ["single-server"] if file.stem == "minimal" else []
    )
    assert load(file) == loaded.config
    assert all(line.isascii() for line in file.read_text().splitlines())


def test_there_are_the_examples_that_the_documentation_promises():
    assert [file.stem for file in EXAMPLES] == [
        "api-gateway", "canary", "https-upstream", "load-balancing", "minimal", "resilient",
    ]  # fmt: skip
    assert len(tomllib.loads(EXAMPLES[0].read_text())["route"]) > 4
