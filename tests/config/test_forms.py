"""The forms of values about staying up: what each accepts, in which normal form, and what it refuses, in which words."""

from types import SimpleNamespace

import pytest

from headgate.config.findings import Bad
from headgate.config.forms import (
    admin_listen,
    failing_status,
    hash_key,
    host_field,
    limit_key,
    parsed_rate,
    rate,
    status_range,
    statuses,
    target_path,
)

HERE = SimpleNamespace(context={"folder": "/etc/headgate"})


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("client", "client"),
        ("path", "path"),
        ("header:X-Tenant", "header:x-tenant"),
        ("cookie:Session", "cookie:Session"),  # cookies' names are compared with case (RFC 6265)
        ("header:!#$%&'*+.^_`|~-", "header:!#$%&'*+.^_`|~-"),
    ],
)
def test_a_key_to_hash(value, normal):
    assert hash_key(value) == normal


@pytest.mark.parametrize(
    "value", ["", "ip", "Client", "header", "header:", "cookie:", "header:a b", "cookie:a;b", "query:x", ":x"]
)
def test_what_is_no_key_to_hash(value):
    with pytest.raises(Bad) as caught:
        hash_key(value)
    assert caught.value.message == f'"{value}" is nothing that can be told of a request'
    assert caught.value.expected == '"client", "path", "header:NAME" or "cookie:NAME"'


@pytest.mark.parametrize(("value", "normal"), [("client", "client"), ("header:X-Api-Key", "header:x-api-key")])
def test_what_a_rate_limit_counts(value, normal):
    assert limit_key(value) == normal


@pytest.mark.parametrize("value", ["", "path", "cookie:a", "header:", "header: x", "clients"])
def test_what_a_rate_limit_cannot_count(value):
    with pytest.raises(Bad) as caught:
        limit_key(value)
    assert caught.value.message == f'"{value}" is nothing that can be told of a request'
    assert caught.value.expected == '"client" or "header:NAME"'


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("1/s", (1, 1)),
        ("100/sec", (100, 1)),
        ("5/second", (5, 1)),
        ("600/min", (600, 60)),
        ("600/minute", (600, 60)),
        ("5000/h", (5000, 3600)),
        ("5000/hour", (5000, 3600)),
        ("9/d", (9, 86_400)),
        ("999999999/day", (999_999_999, 86_400)),
    ],
)
def test_a_rate(value, parsed):
    assert rate(value) == value
    assert parsed_rate(value) == parsed


@pytest.mark.parametrize(
    "value",
    [
        "", "100", "100/", "/s", "0/s", "01/s", "-1/s", "1.5/s", "1 /s", "1/ s", "100/ms", "100/S", "1/week", "1/s\n",
        "1000000000/s", "\u0661/s",
    ],
)  # fmt: skip
def test_what_is_no_rate(value):
    with pytest.raises(Bad) as caught:
        rate(value)
    assert caught.value.message == f'"{value}" is not a rate'
    assert caught.value.expected == '"100/s", "600/min", "5000/h" or "9/day"'


@pytest.mark.parametrize("value", ["100", "503", "599", "500-599", "200-200", "100-599"])
def test_a_range_of_statuses(value):
    assert status_range(value) == value


@pytest.mark.parametrize(
    "value",
    ["", "5", "50", "5xx", "5000", "600", "099", "599-500", "500-", "-500", "500-600", "500-599-600", "500 - 599", "+503"],
)
def test_what_is_no_range_of_statuses(value):
    with pytest.raises(Bad) as caught:
        status_range(value)
    assert caught.value.message == f'"{value}" is not a status or a range of statuses'
    assert caught.value.expected == 'a text such as "503" or "500-599"'


def test_the_statuses_in_ranges():
    assert statuses(()) == frozenset()
    assert statuses(("503", "502-504", "429")) == {429, 502, 503, 504}


@pytest.mark.parametrize("value", ["/", "/health", "/health?deep=1&x=%20", "/a;b/c,d", "//x"])
def test_a_target(value):
    assert target_path(value) == value


@pytest.mark.parametrize(
    "value", ["", "health", "http://a/health", "/a b", "/a\t", "/größe", "/a#top", "/a\r\nHost: b", "?x", "/\x7f"]
)
def test_what_cannot_be_asked_for(value):
    with pytest.raises(Bad) as caught:
        target_path(value)
    assert caught.value.message == f'"{value}" cannot be asked for'
    assert caught.value.expected == 'a path such as "/health", percent-encoded where needed'


@pytest.mark.parametrize("value", ["example.org", "example.org:8080", "127.0.0.1", "[::1]:80", "a_b.internal"])
def test_a_value_of_host(value):
    assert host_field(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a/b", "a\r\nX: y", "größe.org", "user@a", "a" * 256])
def test_what_cannot_stand_in_host(value):
    with pytest.raises(Bad) as caught:
        host_field(value)
    assert caught.value.message == f'"{value}" cannot stand in Host'
    assert caught.value.expected == 'a name or address, with or without ":port"'


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("auto", "auto"),
        ("off", "off"),
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("[::1]:0", "[::1]:0"),
        ("unix:/run/admin.sock", "unix:/run/admin.sock"),
        ("unix:admin.sock", "unix:/etc/headgate/admin.sock"),
    ],
)
def test_where_the_admin_api_listens(value, normal):
    assert admin_listen(value, HERE) == normal


@pytest.mark.parametrize("value", ["", "on", "9000", "127.0.0.1", "unix:", "Auto", "http://127.0.0.1:9000"])
def test_where_the_admin_api_cannot_listen(value):
    with pytest.raises(Bad):
        admin_listen(value, HERE)


@pytest.mark.parametrize("value", ["200", "399-503", "٥٠٣", "500-0599", "²²²", "600", "503-500", "50", "500-"])
def test_statuses_that_mean_no_failure(value: str) -> None:
    with pytest.raises(Bad):
        failing_status(value)
