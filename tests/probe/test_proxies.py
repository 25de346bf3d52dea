"""Which proxy the environment puts before a URL, as curl reads it, and nobody sees its password."""

import json

import pytest

from headgate.probe.proxies import proxy_look, settings
from headgate.probe.url import parse_url

SITE = parse_url("https://www.example.org/")
PLAIN = parse_url("http://www.example.org:8080/")


def proxy(url: str, **environment: str) -> str:
    found = settings(environment).for_url(parse_url(url))
    return f"{found.host}:{found.port}" if found else ""


@pytest.mark.parametrize(("environment", "https", "http"), [
    ({}, "", ""),
    ({"https_proxy": "http://p:3128"}, "p:3128", ""),
    ({"HTTPS_PROXY": "http://p:3128"}, "p:3128", ""),
    ({"http_proxy": "p:3128"}, "", "p:3128"),
    ({"all_proxy": "http://p:1"}, "p:1", "p:1"),
    ({"https_proxy": "http://small:1", "HTTPS_PROXY": "http://big:2"}, "small:1", ""),
    ({"https_proxy": "socks5://p:1"}, "", ""),
    ({"https_proxy": "http://[::1]:3128"}, "::1:3128", ""),
    ({"https_proxy": "::::"}, "", ""),
])  # fmt: skip
def test_schemes(environment: dict[str, str], https: str, http: str) -> None:
    assert proxy(SITE.text, **environment) == https
    assert proxy(PLAIN.text, **environment) == http


@pytest.mark.parametrize(("rule", "host", "out"), [
    ("example.org", "https://www.example.org/", True),
    (".example.org", "https://www.example.org/", True),
    ("*.example.org", "https://www.example.org/", True),
    ("ample.org", "https://www.example.org/", False),
    ("www.example.org:443", "https://www.example.org/", True),
    ("www.example.org:8443", "https://www.example.org/", False),
    ("10.0.0.0/8", "http://10.1.2.3/", True),
    ("10.0.0.0/8", "http://11.1.2.3/", False),
    ("::1", "http://[::1]/", True),
    ("a, b ,*", "http://x.test/", True),
    ("", "http://x.test/", False),
])  # fmt: skip
def test_no_proxy(rule: str, host: str, out: bool) -> None:
    assert (proxy(host, all_proxy="http://p:1", no_proxy=rule) == "") is out


def test_traps_are_told() -> None:
    assert "https goes around" in settings({"http_proxy": "http://p:1"}).notes[0]
    assert "differ" in settings({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}).notes[0]
    assert "curl ignores" in settings({"HTTP_PROXY": "http://p:1", "https_proxy": "http://p:1"}).notes[0]


def test_the_password_is_nowhere_in_the_look() -> None:
    look = proxy_look(settings({"https_proxy": "http://user:s3cret@p:3128", "http_proxy": "user:s3cret@p:3128"}), SITE, 0.0)
    assert look is not None
    assert "s3cret" not in json.dumps(look.as_json())
    assert look.facts["url"] == "http://p:3128"
    assert look.facts["applies"] is True


def test_without_settings_there_is_no_look() -> None:
    assert proxy_look(settings({"PATH": "/bin"}), SITE, 0.0) is None
