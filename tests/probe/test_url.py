"""URLs as people write them: taken apart, made safe, or refused with a clear sentence."""

import pytest

from headgate.probe.url import BadUrl, Url, parse_url


@pytest.mark.parametrize(
    ("text", "url", "shown", "authority"),
    [
        ("http://example.org", Url("http", "example.org", 80, "/"), "http://example.org/", "example.org"),
        ("HTTPS://Example.ORG:443/a?b#c", Url("https", "example.org", 443, "/a?b"), "https://example.org/a?b", "example.org"),
        ("example.org/x", Url("https", "example.org", 443, "/x", guessed=True), "https://example.org/x", "example.org"),
        ("localhost:8080", Url("https", "localhost", 8080, "/", guessed=True), "https://localhost:8080/", "localhost:8080"),
        ("http://u:p@h.test:81?q", Url("http", "h.test", 81, "/?q", user_info=True), "http://h.test:81/?q", "h.test:81"),
        ("http://[::1]:80/", Url("http", "::1", 80, "/"), "http://[::1]/", "[::1]"),
        ("https://[2001:DB8::1]:843", Url("https", "2001:db8::1", 843, "/"), "https://[2001:db8::1]:843/", "[2001:db8::1]:843"),
        ("http://bücher.example/ä", Url("http", "xn--bcher-kva.example", 80, "/%C3%A4"), "http://xn--bcher-kva.example/%C3%A4",
         "xn--bcher-kva.example"),
        ("  http://a.test/%20<\">  ", Url("http", "a.test", 80, "/%20%3C%22%3E"), "http://a.test/%20%3C%22%3E", "a.test"),
        ("http://_dmarc.a_b.test./", Url("http", "_dmarc.a_b.test.", 80, "/"), "http://_dmarc.a_b.test./", "_dmarc.a_b.test."),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(text: str, url: Url, shown: str, authority: str) -> None:
    assert parse_url(text) == url
    assert (url.text, url.authority) == (shown, authority)
    again = parse_url(url.text)
    assert (again.scheme, again.host, again.port, again.target) == (url.scheme, url.host, url.port, url.target)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a URL is expected"),
        ("   ", "a URL is expected"),
        ("ftp://example.org/", "ftp is no scheme"),
        ("javascript:alert(1)", "javascript is no scheme"),
        ("http://", "a host is expected"),
        ("http:///path", "a host is expected"),
        ("http://a.test:port/", "ort"),
        ("http://a.test:0/", "port 0"),
        ("http://a.test:65536/", "ort"),
        ("http://a b.test/", "no spaces"),
        ("http://a.test/\x00", "no control characters"),
        ("http://a.test/\r\nHost: b", "no control characters"),
        ("http://a..b/", "no possible name"),
        ("http://-a.test/", "no possible name"),
        ("http://" + "a" * 64 + ".test/", "no possible name"),
        ("http://[::1/", "IPv6"),
        ("http://[::zz]/", "IPv6|address"),
        ("http://a.test/" + "x" * 9000, "longer than"),
    ],
)
def test_what_is_no_url_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadUrl, match=said):
        parse_url(text)


@pytest.mark.parametrize("text", ["ftp://me:secret@a.test/", "http://me:secret@a.test:99999/", "http://me:secret@a b.test/"])
def test_no_credentials_are_shown(text: str) -> None:
    with pytest.raises(BadUrl) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)
