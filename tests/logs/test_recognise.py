"""What a log is, is told from its first lines; what is no log known, with the closest guess."""

import pytest

from headgate.logs.recognise import Unrecognised, recognise

NGINX = b'203.0.113.9 - - [20/Nov/2026:10:15:30 +0000] "GET /a HTTP/1.1" 200 512 "-" "curl/8.9"'
NGINX_499 = b'203.0.113.9 - - [20/Nov/2026:10:15:30 +0000] "GET /a HTTP/1.1" 499 0 "-" "curl/8.9"'
APACHE_304 = b'203.0.113.9 - - [20/Nov/2026:10:15:30 +0000] "GET /a HTTP/1.1" 304 - "-" "curl/8.9"'
ERROR = b"2026/11/20 10:15:30 [error] 1#1: *1 no live upstreams while connecting to upstream, client: 203.0.113.9"


@pytest.mark.parametrize(
    ("lines", "name", "wanted"),
    [
        ([NGINX, NGINX_499], "", "nginx-combined"),
        ([NGINX, APACHE_304], "", "apache-combined"),
        ([NGINX], "/var/log/apache2/access.log", "apache-combined"),
        ([NGINX], "/var/log/httpd/access_log", "apache-combined"),
        ([NGINX], "varnishncsa.log", "varnish-ncsa"),
        ([NGINX], "access.log", "nginx-combined"),
    ],
)
def test_what_looks_alike_is_told_apart(lines: list[bytes], name: str, wanted: str) -> None:
    assert recognise(lines, name).formats[0].id == wanted


def test_mixed_lines_give_every_format() -> None:
    found = recognise([NGINX, ERROR, NGINX, b"", b"garbage"])
    assert [form.id for form in found.formats] == ["nginx-combined", "nginx-error"]
    assert found.share == pytest.approx(3 / 4)


def test_cut_first_line_does_not_matter() -> None:
    assert recognise([NGINX[40:], NGINX, NGINX]).formats[0].id == "nginx-combined"


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        (b"[20/Nov/2026:10:15:30 +0000] 203.0.113.9 GET 502", "nginx-combined"),
        (b"fe be/app 0/0/1/2/3 502 my own", "haproxy-http"),
        (b"nothing at all", ""),
    ],
)
def test_unknown_format_is_told_with_the_closest_guess(line: bytes, guess: str) -> None:
    with pytest.raises(Unrecognised, match="--format") as told:
        recognise([line] * 5)
    assert told.value.guess == guess


def test_empty_is_told() -> None:
    with pytest.raises(Unrecognised, match="empty"):
        recognise([b"", b"  "])


def test_declared_fields_decide() -> None:
    lines = [
        b"#Software: Microsoft Internet Information Services 10.0",
        b"#Fields: date time cs-method cs-uri-stem c-ip sc-status sc-substatus sc-win32-status time-taken cs-host",
        b"2026-11-20 10:15:30 GET /a 203.0.113.9 502 3 12002 29889 app.example",
    ]
    found = recognise(lines)
    entry = found.formats[0].entry(lines[2], 3, "x")
    assert entry is not None
    assert (entry.status, entry.path, entry.host, entry.seconds) == (502, "/a", "app.example", pytest.approx(29.889))


@pytest.mark.parametrize(
    ("line", "causes", "made_by"),
    [
        (NGINX.replace(b" 200 512 ", b" 502 150 "), ("connection-refused",), "gateway"),
        (NGINX.replace(b" 200 512 ", b" 502 1477 "), ("upstream-answered-error", "connection-refused"), ""),
        (NGINX_499, ("client-gone",), "client"),
    ],
)
def test_length_of_the_body_tells_who_made_the_answer(line: bytes, causes: tuple[str, ...], made_by: str) -> None:
    entry = recognise([line], "nginx").formats[0].entry(line, 1, "")
    assert entry is not None
    assert set(causes) <= set(entry.causes)
    assert entry.made_by == made_by
    assert (entry.confidence == "proved") == (made_by == "client")


@pytest.mark.parametrize(
    ("end", "timers", "wrong"),
    [
        ("503 208 - - SC--", "0/0/-1/-1/3", {"no-healthy-server", "head-reset"}),
        ("502 9 - - SH--", "0/0/1/-1/3", {"connection-refused"}),
    ],
)
def test_timers_of_haproxy_leave_phases_out(end: str, timers: str, wrong: set[str]) -> None:
    start = "203.0.113.9:5 [20/Nov/2026:10:15:30.001] fe be/app2"
    line = f'{start} {timers} {end} 2/2/0/0/0 0/0 "GET /a HTTP/1.1"'.encode()
    entry = recognise([line]).formats[0].entry(line, 1, "")
    assert entry is not None
    assert entry.causes
    assert not wrong & set(entry.causes)
    assert entry.made_by == "gateway"
