"""`--format`: names and strings of nginx, Apache, HAProxy and Envoy, and clear words for broken ones."""

from pathlib import Path

import pytest

from headgate.logs.custom import of_option
from headgate.logs.layout import BadLayout

CASES = [
    (
        '$remote_addr [$time_iso8601] "$request" $status $upstream_addr $upstream_status $upstream_response_time $unheard_of',
        '203.0.113.9 [2026-11-20T10:15:30+00:00] "GET /a HTTP/1.1" 502 10.0.0.1:80, 10.0.0.2:80 502, 502 0.001, 0.002 what',
        {"status": 502, "upstream": "10.0.0.2:80", "tries": 2, "upstream_seconds": 0.002, "path": "/a", "time": 1795169730.0},
    ),
    (
        "log_format timed '$remote_addr|$time_local|'\n  "
        "'${request_method} $request_uri|$status|$body_bytes_sent|$request_time';",
        "203.0.113.9|20/Nov/2026:10:15:30 +0000|GET /a?b|504|160|60.001",
        {"status": 504, "seconds": 60.001, "method": "GET", "path": "/a?b", "bytes": 160, "made_by": "gateway"},
    ),
    (
        'log_format j escape=json \'{"s":"$status","a":"$upstream_addr","r":"$request"}\'',
        '{"s":"502","a":"unix:/run/x.sock","r":"GET /\\"q\\" HTTP/1.1"}',
        {"status": 502, "upstream": "unix:/run/x.sock"},
    ),
    (
        r'LogFormat "%h %l %u %t \"%r\" %>s %b %D %{BALANCER_WORKER_NAME}e %L" timed',
        '203.0.113.9 - - [20/Nov/2026:10:15:30 +0000] "GET /a HTTP/1.1" 502 341 1500000 http://10.0.0.1:8080 Wx1',
        {"status": 502, "seconds": 1.5, "upstream": "10.0.0.1:8080", "key": "Wx1"},
    ),
    (
        "%{%Y-%m-%dT%T%z}t %a %m %U%q %>s %{ms}T %{Host}i",
        "2026-11-20T10:15:30+0000 203.0.113.9 GET /a?b=c 503 12 app.example",
        {"status": 503, "time": 1795169730.0, "seconds": 0.012, "method": "GET", "host": "app.example"},
    ),
    (
        'log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %rc %{+Q}[capture.req.hdr(0)] %{+Q}r"',
        '203.0.113.9:5 [20/Nov/2026:10:15:30.001] fe be/app1 0/0/1/-1/30001 504 92 sH-- 0 "x y" "GET /a HTTP/1.1"',
        {"status": 504, "upstream": "app1", "cluster": "be", "seconds": 30.001, "path": "/a", "tries": 1},
    ),
    (
        "%{+Q}o %ci %tr %ST %r",
        None,
        {},
    ),
    (
        "[%START_TIME%] %REQ(:METHOD)% %REQ(:PATH):100% %RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_HOST% %DYNAMIC_METADATA(a:b)%",
        "[2026-11-20T10:15:30.456Z] GET /a 503 UH - -",
        {"status": 503, "path": "/a", "upstream": "", "method": "GET"},
    ),
    ("w3c:date time c-ip sc-status time-taken", "2026-11-20 10:15:30 203.0.113.9 502 12", {"status": 502, "seconds": 0.012}),
]


@pytest.mark.parametrize(("text", "line", "wanted"), CASES)
def test_format_string_reads_its_lines(text: str, line: str | None, wanted: dict[str, object]) -> None:
    form = of_option(text)
    assert form is not None
    if line is None:
        return
    entry = form.entry(line.encode(), 1, "")
    assert entry is not None
    for name, value in wanted.items():
        assert getattr(entry, name) == (pytest.approx(value) if isinstance(value, float) else value), name
    assert form.patterns[1].findall(line.encode()), "it is not counted"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nginx-combind", "Did you mean nginx-combined"),
        ("$remote_addr $request", "lacks the status"),
        ("$status $$ $request", "broken at character"),
        ("%h %>s %", "broken at character"),
        ("no variables here", "This is no log format"),
        ("@/does/not/exist.conf", "cannot be read"),
    ],
)
def test_mistake_is_told(text: str, words: str) -> None:
    with pytest.raises(BadLayout, match=words):
        of_option(text)


def test_nothing_and_names() -> None:
    assert of_option("") is None
    form = of_option(" squid ")
    assert form is not None
    assert form.id == "squid"


def test_nginx_conf(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        "http {\n  log_format main '$remote_addr $status';\n  # log_format off '$status $request';\n"
        "  log_format timed '$status $request_time';\n  access_log /var/log/a.log timed;\n}\n"
    )
    used, named = of_option(f"@{conf}"), of_option(f"@{conf}:main")
    assert used is not None
    assert used.layout == "$status $request_time"
    assert named is not None
    assert named.layout == "$remote_addr $status"
    with pytest.raises(BadLayout, match="declares: main, timed"):
        of_option(f"@{conf}:other")
