"""Whole files: counted, joined, merged; cut, mixed, wrapped, garbage; many, large, and random."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.logs import keep
from headgate.logs.formats import formats
from headgate.logs.keep import Keeper
from headgate.logs.layout import BadLayout
from headgate.logs.read import read
from headgate.logs.reading import Reading

OK = (
    '203.0.113.{client} - - [20/Nov/2026:10:{minute:02d}:{second:02d} +0000] "GET /{path} HTTP/1.1" {status} {size} '
    '"-" "curl/8.9"\n'
)
ERROR = (
    "2026/11/20 {hour:02d}:{minute:02d}:{second:02d} [error] 31#31: *{serial} connect() failed (111: Connection refused) "
    'while connecting to upstream, client: 203.0.113.{client}, server: app.example, request: "GET /{path} HTTP/1.1", '
    'upstream: "http://10.1.2.3:8080/{path}", host: "app.example"\n'
)


def access(number: int, status: int = 200, size: int = 512, path: str = "") -> str:
    return OK.format(
        client=number % 250, minute=number // 60 % 60, second=number % 60, path=path or f"p{number}", status=status, size=size
    )


def error(number: int, hour: int = 10) -> str:
    return ERROR.format(
        client=number % 250, hour=hour, minute=number // 60 % 60, second=number % 60, serial=number, path=f"p{number}"
    )


def reading(tmp_path: Path, *texts: str | bytes, format: str = "", workers: int | None = 1) -> Reading:
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.log"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        paths.append(str(path))
    return read(paths, format, workers)


def test_counts_and_failures(tmp_path: Path) -> None:
    found = reading(tmp_path, "".join(access(number, 502 if number % 10 == 0 else 200, 150) for number in range(300)))
    assert (found.tally.requests, found.tally.failed, found.failed) == (300, 30, 30)
    assert found.tally.bytes == 300 * 150
    assert found.tally.statuses == {200: 270, 502: 30}
    assert sum(found.groups.values()) == 30
    assert {cell.requests for cell in found.tally.minutes.values()} == {60}
    assert {cell.failed for cell in found.tally.minutes.values()} == {6}
    assert [entry.line for entry in found.failures] == list(range(1, 301, 10))
    assert found.failures[0].made_by == "gateway"
    assert found.first == 1795168800.0
    file = found.files[0]
    assert (file.format, file.product, file.kind, file.lines, file.unreadable) == ("nginx-combined", "nginx", "access", 300, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_access_and_error_log_are_joined(tmp_path: Path, workers: int) -> None:
    logs = "".join(access(number, 502 if number % 5 == 0 else 200, 150) for number in range(300))
    errors = (
        "".join(error(number) for number in range(0, 300, 5))
        + "2026/11/20 10:04:00 [alert] 1#1: worker process 7 exited on signal 11\n"
    )
    found = reading(tmp_path, logs, errors, workers=workers)
    assert found.joined == found.failed == 60
    assert {(entry.causes, entry.confidence, entry.upstream) for entry in found.failures} == {
        (("connection-refused",), "proved", "10.1.2.3:8080")
    }
    assert [entry.causes[0] for entry in found.others] == ["gateway-crashed"]
    assert not found.offsets
    assert found.files[1].kind == "error"


@pytest.mark.parametrize(("hour", "offset"), [(12, -7200.0), (7, 10800.0)])
def test_clocks_in_other_zones_are_put_right(tmp_path: Path, hour: int, offset: float) -> None:
    logs = "".join(access(number, 502, 150) for number in range(0, 300, 5))
    found = reading(tmp_path, logs, "".join(error(number, hour) for number in range(0, 300, 5)))
    assert found.joined == 60
    assert list(found.offsets.values()) == [offset]
    assert any("time zones differ" in note for note in found.notes)


def test_error_log_alone_tells_of_failures(tmp_path: Path) -> None:
    found = reading(tmp_path, "".join(error(number) for number in range(20)))
    assert found.failed == 20
    assert found.tally.requests == 0
    assert {(entry.status, entry.error_log, entry.causes[0]) for entry in found.failures} == {(502, True, "connection-refused")}


def test_retried_request_counts_once(tmp_path: Path) -> None:
    twice = error(5) + error(5).replace("10.1.2.3", "10.1.2.4")
    found = reading(tmp_path, access(5, 502, 150), twice)
    assert (found.failed, found.joined, found.others) == (1, 1, [])
    assert found.failures[0].tries == 2
    assert found.failures[0].upstream == "10.1.2.4:8080"


def test_cured_by_another_try_is_no_failure(tmp_path: Path) -> None:
    found = reading(tmp_path, access(5, 200), error(5))
    assert found.failed == 0
    assert [entry.causes[0] for entry in found.others] == ["connection-refused"]


def test_mixed_file(tmp_path: Path) -> None:
    text = "".join(access(number, 502, 150) + error(number) for number in range(100)) + "what is this\n\n" + access(101)
    found = reading(tmp_path, text)
    file = found.files[0]
    assert file.kind == "mixed"
    assert file.formats == {"nginx-combined": 101, "nginx-error": 100}
    assert (found.tally.requests, found.failed, found.joined) == (101, 100, 100)
    assert file.unreadable == 1
    assert (file.examples[0].line, file.examples[0].text) == (201, "what is this")


def test_format_that_comes_late_is_found(tmp_path: Path) -> None:
    found = reading(tmp_path, "".join(access(number) for number in range(1000)) + error(7))
    assert found.files[0].formats == {"nginx-combined": 1000, "nginx-error": 1}


def test_cut_last_line(tmp_path: Path) -> None:
    found = reading(tmp_path, access(1) + access(2, 502)[:40])
    file = found.files[0]
    assert (file.cut, file.unreadable, file.examples, found.tally.requests) == (True, 0, [], 1)


def test_crlf_nul_and_broken_characters(tmp_path: Path) -> None:
    text = (access(1) + access(2, 502)).replace("\n", "\r\n").encode() + b"\0" * 50 + b"\n" + access(3, 502).encode()
    found = reading(tmp_path, text.replace(b"/p2", b"/\xff\xfe\x1b[31m"))
    assert found.tally.requests == 3
    assert found.failures[0].path == "/\\xff\\xfe\x1b[31m"
    assert found.files[0].unreadable == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (bytes(range(256)) * 40, "binary"),
        (b"nothing\nof\nthis\nis\nknown\n", "no known format"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, data: bytes, words: str) -> None:
    found = reading(tmp_path, data, access(1))
    assert words in found.files[0].error
    assert found.tally.requests == 1


def test_missing_file_is_told(tmp_path: Path) -> None:
    found = read([str(tmp_path / "missing.log")])
    assert "No such file" in found.files[0].error


def test_gzip(tmp_path: Path) -> None:
    found = reading(tmp_path, gzip.compress("".join(access(number, 502) for number in range(50)).encode()))
    assert (found.files[0].compressed, found.failed) == ("gzip", 50)


def test_docker_and_format_given(tmp_path: Path) -> None:
    lines = ["203.0.113.9 502 12", "203.0.113.9 200 13"]
    text = "".join(json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-11-20T10:15:30Z"}) + "\n" for line in lines)
    found = reading(tmp_path, "\n".join(lines) + "\n", format="$remote_addr $status $body_bytes_sent")
    assert (found.tally.requests, found.failed) == (2, 1)
    found = reading(tmp_path, text.replace("203.0.113.9 502 12", access(1, 502).strip().replace('"', '\\"')))
    assert found.failed == 1
    assert any("Docker" in note for note in found.files[0].notes)
    with pytest.raises(BadLayout):
        reading(tmp_path, text, format="$nothing")
    assert "fits the format given" in reading(tmp_path, access(1), format="squid").files[0].error


def test_fields_line_changes_the_columns(tmp_path: Path) -> None:
    text = (
        "#Fields: date time cs-uri-stem sc-status time-taken\n2026-11-20 10:15:30 /a 502 5\n"
        "#Fields: date time sc-status cs-uri-stem time-taken\n2026-11-20 10:15:31 503 /b 7\n"
    )
    found = reading(tmp_path, text)
    assert [(entry.path, entry.status) for entry in found.failures] == [("/a", 502), ("/b", 503)]


def test_cut_answers_are_failures(tmp_path: Path) -> None:
    line = '203.0.113.9:5 [20/Nov/2026:10:15:30.001] fe be/app2 0/0/1/3/12 200 208 - - {} 2/2/0/0/0 0/0 "GET /a HTTP/1.1"\n'
    found = reading(tmp_path, line.format("SD--") + line.format("----") + line.format("CD--"))
    assert (found.tally.requests, found.failed) == (3, 1)
    assert (found.failures[0].status, found.failures[0].line) == (200, 1)
    assert found.tally.upstreams["app2"].requests == 3
    assert found.tally.upstreams["app2"].failed == 1


def test_varnishlog_tells_a_request_from_many_lines(tmp_path: Path) -> None:
    text = (
        "*   << Request  >> 32770     \n-   Begin          req 32769 rxreq\n-   ReqStart       203.0.113.9 51234 a0\n"
        "-   ReqMethod      GET\n-   ReqURL         /a\n-   ReqHeader      Host: app.example\n"
        "-   Link           bereq 32771 fetch\n"
        "-   RespStatus     503\n-   Timestamp      Resp: 1795169730.123456 0.002000 0.001000\n-   End            \n"
        "**  << BeReq    >> 32771     \n--  FetchError     backend default: fail errno 111 (Connection refused)\n"
        "--  End            \n\n"
    )
    found = reading(tmp_path, text * 3)
    assert found.tally.requests == found.failed == 3
    entry = found.failures[0]
    assert entry.reason == "backend default: fail errno 111 (Connection refused)"
    assert (entry.path, entry.host, entry.client, entry.status) == ("/a", "app.example", "203.0.113.9", 503)


def test_sample_is_even_and_counts_stay_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "MOST_ENTRIES", 100)
    monkeypatch.setattr(Keeper.__init__, "__defaults__", (100,))
    logs = "".join(access(number, 502, 150) for number in range(3000))
    found = reading(tmp_path, logs, "".join(error(number) for number in range(3000)))
    assert found.sampled
    assert found.failed == found.tally.failed == sum(found.groups.values()) == 3000
    assert 10 <= len(found.failures) <= 100
    assert found.joined >= len(found.failures) * 0.8
    assert "even sample" in found.notes[0]


def test_memory_stays_constant(tmp_path: Path) -> None:
    path = tmp_path / "large.log"
    with path.open("w") as file:
        for start in range(0, 300_000, 1000):
            file.write(
                "".join(access(number, 502 if number % 30 == 0 else 200, 150, "same") for number in range(start, start + 1000))
            )
    read([str(path)])
    tracemalloc.start()
    try:
        found = read([str(path)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.tally.requests, found.failed) == (300_000, 10_000)
    assert peak < 60 << 20


def test_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(access(number) for number in range(5000)))
    told: list[tuple[int, int]] = []
    read([str(path)], progress=lambda done, total: told.append((done, total)))
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert all(done <= size for done, _ in told)


SAMPLES = [sample["line"].encode() for form in formats().values() for sample in form.sample]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(SAMPLES),
            st.builds(lambda line, cut: line[:cut], st.sampled_from(SAMPLES), st.integers(0, 300)),
            st.builds(
                lambda line, at, junk: line[:at] + junk + line[at:],
                st.sampled_from(SAMPLES),
                st.integers(0, 300),
                st.binary(max_size=5),
            ),
        ),
        max_size=30,
    )
)
def test_reading_never_raises(tmp_path: Path, lines: list[bytes]) -> None:
    found = reading(tmp_path, b"\n".join(lines))
    file = found.files[0]
    assert file.error or file.lines == b"\n".join(lines).count(b"\n") + (not b"\n".join(lines).endswith(b"\n"))
    assert found.failed == sum(found.groups.values())
    assert all(example.text.isprintable() for example in file.examples)


APACHE = """\
127.0.0.1 - - [21/Nov/2026:04:07:17 +0000] "GET /refused HTTP/1.1" 503 339 "-" "curl/7.88.1"
127.0.0.1 - - [21/Nov/2026:04:07:17 +0000] "GET /eof?q HTTP/1.1" 502 381 "-" "curl/7.88.1"
127.0.0.1 - - [21/Nov/2026:04:07:17 +0000] "GET /slow HTTP/1.1" 502 381 "-" "curl/7.88.1"
127.0.0.1 - - [21/Nov/2026:04:07:19 +0000] "GET /fine HTTP/1.1" 200 - "-" "curl/7.88.1"
"""
APACHE_ERRORS = """\
[Sat Nov 21 04:07:17.217291 2026] [proxy:error] [pid 4395:tid 4405] (111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:1 (127.0.0.1:1) failed
[Sat Nov 21 04:07:17.217339 2026] [proxy_http:error] [pid 4395:tid 4405] [client 127.0.0.1:48400] AH01114: HTTP: failed to make connection to backend: 127.0.0.1
[Sat Nov 21 04:07:17.225052 2026] [proxy_http:error] [pid 4395:tid 4408] (20014)Internal error (specific information not available): [client 127.0.0.1:48408] AH01102: error reading status line from remote server 127.0.0.1:18081
[Sat Nov 21 04:07:17.225067 2026] [proxy:error] [pid 4395:tid 4408] [client 127.0.0.1:48408] AH00898: Error reading from remote server returned by /eof
[Sat Nov 21 04:07:19.234144 2026] [proxy_http:error] [pid 4395:tid 4412] (70007)The timeout specified has expired: [client 127.0.0.1:48410] AH01102: error reading status line from remote server 127.0.0.1:18082
[Sat Nov 21 04:07:19.234184 2026] [proxy:error] [pid 4395:tid 4412] [client 127.0.0.1:48410] AH00898: Error reading from remote server returned by /slow
[Sat Nov 21 04:07:21.292153 2026] [mpm_event:notice] [pid 4392:tid 4392] AH00491: caught SIGTERM, shutting down
"""  # noqa: E501 - lines of a real Apache 2.4.71


def test_apache_lines_of_one_thread_are_one_request(tmp_path: Path) -> None:
    found = reading(tmp_path, APACHE, APACHE_ERRORS)
    assert (found.failed, found.joined, found.others) == (3, 3, [])
    by_path = {entry.path: entry for entry in found.failures}
    assert by_path["/refused"].causes == ("connection-refused",)
    assert by_path["/refused"].upstream == "127.0.0.1:1"
    assert by_path["/eof?q"].causes[0] == "closed-before-answer"
    assert by_path["/eof?q"].upstream == "127.0.0.1:18081"
    assert by_path["/slow"].causes[0] == "response-timeout"
    assert by_path["/slow"].upstream == "127.0.0.1:18082"


def test_error_log_tells_whose_access_log_stands_beside_it(tmp_path: Path) -> None:
    plain = APACHE.splitlines(keepends=True)[0]
    assert reading(tmp_path, plain, APACHE_ERRORS).files[0].format == "apache-combined"
    assert reading(tmp_path, plain, error(1)).files[0].format == "nginx-combined"
