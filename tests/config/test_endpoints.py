"""URLs of servers and addresses to listen on."""

import pytest

from headgate.config.endpoints import Address, Endpoint, parse_listen, parse_server
from headgate.config.findings import Bad


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://a", Endpoint("http", "a", 80)),
        ("HTTP://App_1.Internal:3000", Endpoint("http", "app_1.internal", 3000)),
        ("https://a.example.org.", Endpoint("https", "a.example.org.", 443)),
        ("https://[2001:DB8::1]:8443", Endpoint("https", "2001:db8::1", 8443)),
        ("http://[fe80::1%25eth0]", Endpoint("http", "fe80::1%eth0", 80)),
        ("http://10.0.0.1:65535", Endpoint("http", "10.0.0.1", 65535)),
        ("unix:/run/app.sock", Endpoint("unix", "", 0, "/run/app.sock")),
        ("unix:///run/app.sock", Endpoint("unix", "", 0, "/run/app.sock")),
    ],
)
def test_a_server(url, endpoint):
    assert parse_server(url) == endpoint


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("http://", "the host is missing", ""),
        ("http://:80", "the host is missing", ""),
        ("http://a:0", "port 0", ""),
        ("http://a:65536", '"65536" is not a port', ""),
        ("http://a:", '"" is not a port', ""),
        ("http://a:8o", '"8o" is not a port', ""),
        ("http://a/", "the URL has a path", 'write "http://a"'),
        ("http://a?x", "the URL has a query", 'write "http://a"'),
        ("http://a#", "the URL has a fragment", 'write "http://a"'),
        ("http://u:p@a", "a user or password", ""),
        ("http://a b", "a space", ""),
        ("http://a\n", "a space or a control character", ""),
        ("http://::1", "not host and port", "brackets"),
        ("http://[::1", "brackets", ""),
        ("http://[a]", "brackets", ""),
        ("http://256.0.0.1", "not an IPv4 address", ""),
        ("http://-a", "not a host name", ""),
        ("http://a..b", "not a host name", ""),
        ("http://" + "a" * 64, "not a host name", ""),
        ("http://bücher", "not written in ASCII", "xn--bcher-kva"),
        ("ftp://a", 'the scheme "ftp" cannot be used', ""),
        ("ws://a", 'the scheme "ws" cannot be used', "http://"),
        ("localhost:3000", "no scheme", '"http://localhost:3000"'),
        ("a.example.org", "no scheme", '"http://a.example.org"'),
        ("http:a", "no scheme", '"http://a"'),
        ("/run/app.sock", "a path is not a URL", '"unix:/run/app.sock"'),
        ("", "no scheme", ""),
        ("unix:", "path is missing", ""),
        ("unix:/" + "a" * 107, "108 bytes", ""),
    ],
)
def test_not_a_server(url, message, hint):
    with pytest.raises(Bad) as caught:
        parse_server(url)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.expected


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("localhost:8080", Address("localhost", 8080)),
        ("[::]:80", Address("::", 80)),
        ("unix:/run/x", Address("", 0, "/run/x")),
    ],
)
def test_an_address(text, address):
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("8080", '"0.0.0.0:8080"'),
        (":8080", '"[::]:8080"'),
        ("*:8080", '"0.0.0.0:8080"'),
        ("localhost", '"localhost:8080"'),
        ("http://a:80/", '"a:80"'),
        ("::1:80", "brackets"),
        ("a:70000", ""),
        ("", ""),
        (":", ""),
    ],
)
def test_not_an_address(text, hint):
    with pytest.raises(Bad) as caught:
        parse_listen(text)
    assert hint in caught.value.hint
