"""Whatever people paste is sorted, and what cannot be read is told in one sentence."""

import base64
import gzip
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.captured import BODY_MAX
from headgate.diagnose.har import BadHar, captures_of
from headgate.diagnose.heads import heads
from headgate.diagnose.intake import NotReadable, sort

ANSWER = (
    b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nContent-Length: 35\r\n\r\n"
    b"<html>\r\n<h1>502 Bad Gateway</h1>\r\n"
)  # fmt: skip
VERBOSE = b"""*   Trying 192.0.2.7:80...
* Connected to example.org (192.0.2.7) port 80
> GET / HTTP/1.1
> Host: example.org
> Accept: */*
>
< HTTP/1.1 503 Service Unavailable
< content-length: 19
< server: envoy
<
* Connection #0 to host example.org left intact
no healthy upstream"""


@pytest.mark.parametrize(("paste", "kind"), [
    ("502", "status"),
    ("HTTP 502", "status"),
    ("error 504", "status"),
    ("502.3 12002", "code"),
    ("UF,URX", "code"),
    ("0x80244021", "code"),
    ("SC--", "code"),
    ("curl 52", "code"),
    ("upstream prematurely closed connection while reading response header from upstream", "sentence"),
    ('{"level":"error","ts":1.5,"msg":"EOF"}', "sentence"),
    ("one line\nand another", "lines"),
    ("<html><head><title>502</title></head></html>", "page"),
    ("  <!DOCTYPE html><p>x", "page"),
    ('{"message":"An invalid response was received from the upstream server"}', "page"),
    ("https://example.org/x", "url"),
    (ANSWER, "answer"),
    (VERBOSE, "answer"),
    ("\ufeff502", "status"),
    ("502\r\n".encode("utf-16"), "status"),
])  # fmt: skip
def test_sorts(paste: str | bytes, kind: str) -> None:
    assert sort(paste).kind == kind


def test_status_is_read() -> None:
    assert sort("HTTP/1.1 502").status == 502


@pytest.mark.parametrize(("paste", "words"), [
    (b"", "it is empty|input is empty"),
    (b" \r\n\t ", "input is empty"),
    (gzip.compress(b"log", mtime=0), "gzip"),
    (b"\x89PNG\r\n\x1a\n\0\0\0", "a picture"),
    (b"\x00\x01\x02\x03", "begins with the bytes 00 01 02 03"),
    (b'{"log": {"entries": 5}}', "looks like a HAR"),
])  # fmt: skip
def test_what_cannot_be_read_is_told(paste: bytes, words: str) -> None:
    with pytest.raises(NotReadable, match=words):
        sort(paste)


@given(st.binary(max_size=400))
def test_never_anything_but_an_intake_or_a_sentence(paste: bytes) -> None:
    with suppress(NotReadable):
        assert sort(paste).kind


def test_curl_i_keeps_the_body_to_the_byte() -> None:
    (one,) = heads(ANSWER)
    assert (one.status, one.reason, one.version, one.header("server")) == (502, "Bad Gateway", "1.1", "nginx/1.22.1")
    assert one.body == b"<html>\r\n<h1>502 Bad Gateway</h1>\r\n"
    assert one.length == 35


def test_curl_v_is_read_without_its_talk() -> None:
    (one,) = heads(VERBOSE)
    assert (one.status, one.header("server"), one.text) == (503, "envoy", "no healthy upstream")


def test_redirects_and_the_proxys_own_answer() -> None:
    data = b"HTTP/1.1 200 Connection established\r\n\r\n"
    data += b"HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\nHTTP/2 502 \r\nvia: 1.1 x\r\n\r\nbody"
    assert [one.status for one in heads(data)] == [301, 502]
    assert heads(data)[-1].version == "2"
    assert heads(data)[-1].body == b"body"


def test_interim_answers_are_left_out() -> None:
    assert [one.status for one in heads(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 504 X\r\n\r\n")] == [504]


def test_a_shell_prompt_before_it_is_no_obstacle() -> None:
    (one,) = heads(b"$ curl -i https://example.org\nHTTP/1.1 502 Bad Gateway\nServer: x\n\nbody\n")
    assert one.status == 502


def test_text_that_mentions_http_is_no_answer() -> None:
    assert heads(b'1.2.3.4 - - [x] "GET / HTTP/1.1" 502 150\n') == []
    assert heads(b"Dear all,\nI saw\nHTTP/1.1 502 Bad Gateway\nyesterday\n") == []


def test_gzip_bodies_are_unpacked() -> None:
    (one,) = heads(b"HTTP/1.1 502 X\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"<center>nginx</center>"))
    assert one.text == "<center>nginx</center>"


def har(*entries: dict[str, object]) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}})


def entry(status: int, text: str = "", **more: object) -> dict[str, object]:
    return {
        "request": {"method": "GET", "url": "https://user:pw@example.org/a?token=abc"},
        "response": {"status": status, "statusText": "x", "httpVersion": "HTTP/1.1",
                     "headers": [{"name": "Server", "value": "nginx"}],
                     "content": {"text": text}, "bodySize": len(text)},
        "timings": {"blocked": -1, "dns": 5, "connect": 10, "send": 0, "wait": 59985, "receive": 1},
    } | more  # fmt: skip


def test_har_gives_the_failed_answers_with_their_times() -> None:
    (one,) = captures_of(har(entry(200), entry(504, "late")))
    assert (one.status, one.text, one.seconds, one.version) == (504, "late", 60.0, "1.1")
    assert "abc" not in one.url
    assert "pw" not in one.url


def test_har_in_which_nothing_failed_gives_all() -> None:
    assert [one.status for one in captures_of(har(entry(200), entry(304)))] == [200, 304]


def test_har_with_base64_bodies_and_broken_entries() -> None:
    coded = entry(502)
    coded["response"]["content"] = {"text": base64.b64encode(b"page").decode(), "encoding": "base64"}  # type: ignore[index]
    found = captures_of(har(coded, {"nothing": 1}, entry(0, _error="net::ERR_CONNECTION_REFUSED")))
    assert [one.status for one in found] == [502, 0]
    assert found[0].body == b"page"
    assert found[1].extra["error"] == "net::ERR_CONNECTION_REFUSED"


@pytest.mark.parametrize("text", ["{", "[]", '{"log": []}', '{"log": {"entries": 3}}'])
def test_no_har(text: str) -> None:
    with pytest.raises(BadHar, match="HAR"):
        captures_of(text)


@pytest.mark.parametrize("paste", [
    b"HTTP/1.1 502 x\r\nContent-Length: \xc2\xb2\r\n\r\n", b"HTTP/1.1 502 x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b'{"log":{"entries":[{"request":{},"response":{"status":1e999}}]}}',
    b'{"log":{"entries":[{"request":{},"response":{"status":502,"bodySize":1e999}}]}}',
])  # fmt: skip
def test_numbers_that_are_none(paste: bytes) -> None:
    assert all(one.length < 1 << 60 for one in sort(paste).captures)


def test_text_of_a_recording_that_is_no_unicode() -> None:
    text = '{"log":{"entries":[{"request":{},"response":{"status":502,"content":{"text":"<h1>\\ud800"}}}]}}'
    assert sort(text).captures[0].body == b"<h1>?"


def test_a_stray_control_character_makes_no_binary() -> None:
    assert sort(b"502 Bad\x01 Gateway, and then some words").kind == "sentence"
    assert sort(b"\0" * 500 + b"upstream prematurely closed connection\n").kind == "sentence"
    with pytest.raises(NotReadable, match="no text"):
        sort(bytes(range(256)) * 4)


def test_large_captures_are_bounded() -> None:
    many = sort(b"HTTP/1.1 502 x\r\n\r\n" * 60_000)
    assert len(many.captures) == 50
    assert many.note == "only the first answers were read"
    (one,) = sort(b"HTTP/1.1 502 x\r\n" + b"a: b\r\n" * 100_000 + b"\r\nbody").captures
    assert (len(one.fields), one.body) == (1000, b"body")
    bomb = gzip.compress(b"\0" * (64 << 20))
    (one,) = sort(b"HTTP/1.1 502 x\r\nContent-Encoding: gzip\r\n\r\n" + bomb).captures
    assert len(one.body) == BODY_MAX
    assert len(sort("x" * 3_000_000).text) == 1 << 16
