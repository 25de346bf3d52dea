"""No secret and no control character of a log gets into what is shown, however it is written down."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import START, Request, combined, refused, report

from headgate.diagnose.redact import REDACTED
from headgate.logs.scrub import scrub, shown_path

SECRET = "hUshHush77"
HIDDEN = [
    f"GET /login?password={SECRET}&a=1",
    f"GET /x?a=1&access_token={SECRET}",
    f"?code={SECRET}",
    f"?next=%2Fx%3Ftoken%3D{SECRET}%26a",
    f"access%5Ftoken={SECRET}",
    f"user[password]={SECRET}",
    f"/x;jsessionid={SECRET}",
    f"args=token={SECRET}",
    f"request=/x?token={SECRET}",
    f"(token={SECRET})",
    f"|token={SECRET}|",
    f"token=a,{SECRET}",
    f'msg="x" token="{SECRET}"',
    f'password="a b {SECRET}"',
    f"password='{SECRET}'",
    f'{{"password":"{SECRET}"}}',
    f'{{"password": "a\\"{SECRET}"}}',
    f'{{"pin":1, "api_key" : {SECRET}}}',
    f'{{"m":"{{\\"password\\":\\"{SECRET}\\"}}"}}',
    f'"token":["{SECRET}"]',
    f"Cookie: a={SECRET}; b={SECRET}",
    f'"Cookie":["a={SECRET}","b={SECRET}"]',
    f'"-" "theme=dark; connect.sid=s%3A{SECRET}"',
    f"PHPSESSID={SECRET}",
    f"X-Api-Key: {SECRET}",
    f"X-Session-Token: {SECRET}",
    f'"Authorization":["Basic {SECRET}"]',
    f"Authorization: {SECRET}",
    f'Authorization: Digest username="{SECRET}", response="{SECRET}"',
    f"proxy-authorization=Basic {SECRET}",
    f"sent Bearer {SECRET} twice",
    f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    f"http://user:{SECRET}@shop.example/x",
    f"http://user:p@{SECRET}@shop.example/x",
    f"CONNECT socks5://{SECRET}@shop.example",
]
KEPT = [
    'at=error code=H12 desc="Request timeout" key=abc path="/x"',
    "upstream timed out (110: Connection timed out) while reading upstream, client: 203.0.113.7, server: shop.example",
    '203.0.113.7 - - [20/Nov/2026:10:00:00 +0000] "GET /monkey?keyword=tea HTTP/1.1" 502 157 "https://a.example/" "curl/8"',
    '{"level":"error","msg":"dial tcp 10.0.0.1:80: connect: connection refused","status":502}',
    "fe be_app/app1 0/0/-1/-1/3 503 217 - - SC-- 1/1/0/0/0 0/0",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_a_secret_is_left_out(text: str) -> None:
    shown = scrub(text)
    assert SECRET not in shown
    assert REDACTED in shown
    assert f"[{REDACTED}" not in shown


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_is_kept(text: str) -> None:
    assert scrub(text) == text


@given(st.text(max_size=400), st.integers(20, 300))
def test_what_is_shown_is_one_short_line_of_printable_ascii(text: str, longest: int) -> None:
    shown = scrub(text, longest)
    assert len(shown) <= longest
    assert shown.isascii()
    assert shown.isprintable() or not shown


@pytest.mark.parametrize("between", [" ", "; ", " | ", ", ", "\t", " - "])
def test_several_secrets_in_one_line(between: str) -> None:
    for one in HIDDEN:
        for other in HIDDEN:
            assert SECRET not in scrub(one + between + other)


def test_scrubbing_again_changes_nothing() -> None:
    for text in HIDDEN + KEPT:
        assert scrub(scrub(text)) == scrub(text)


def test_a_path_is_shown_without_secrets() -> None:
    assert shown_path(f"/a/b?token={SECRET}&c=d", 80) == f"/a/b?token={REDACTED}&c=d"
    assert shown_path(f"http://u:{SECRET}@shop.example/x", 80) == f"http://{REDACTED}@shop.example/x"
    assert shown_path(f"/x;jsessionid={SECRET}/y", 80) == f"/x;jsessionid={REDACTED}"
    assert shown_path("/" + "a" * 500, 80) == "/" + "a" * 79


def test_neither_secrets_nor_control_characters_reach_the_report(tmp_path: Path) -> None:
    """They are planted wherever a client or a server can write into a log."""
    paths = [
        f"/login?password={SECRET}", f"/x;jsessionid={SECRET}", f"/reset/eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
        f"http://user:{SECRET}@shop.example/a", "/\x1b[2J\x1b[31m\x07", "/caf\u00e9\u202e",
    ]  # fmt: skip
    requests = [Request(START + at, "", paths[at % len(paths)], "203.0.113.7", "GET", 502) for at in range(120)]
    odd = '203.0.113.7 - - [20/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 502 157 "https://u:{0}@a.example/" "Bearer {0}"\n'
    logs = {
        "access.log": "".join(map(combined, requests)) + odd.format(SECRET) + f"garbage token={SECRET} \x1b[31m\n",
        "error.log": "".join(refused(one) for one in requests[:60])
        + f"2026/11/20 10:00:00 [emerg] 1#1: bad password={SECRET} \x1b[31m in the configuration\n",
    }
    told = report(tmp_path, logs)
    assert told.failed
    text = json.dumps(told.as_json(), ensure_ascii=False)
    assert SECRET not in text
    assert "\\u001b" not in text
    assert text.isascii()
    assert text.count("\\\\x1b[2J")
    assert REDACTED in text


def test_a_hostile_server_name_gets_into_no_command(tmp_path: Path) -> None:
    requests = [Request(START + at, "", "/", "203.0.113.7", "GET", 502) for at in range(9)]
    text = "".join(refused(one, "$(reboot):80") for one in requests)
    told = report(tmp_path, {"error.log": text})
    assert told.roots
    assert told.roots[0].cause == "connection-refused"
    assert all("$(reboot)" not in action.command for action in told.roots[0].actions)
    assert any("HOST" in action.command for action in told.roots[0].actions)
    other = report(tmp_path, {"error.log": "".join(refused(one, "10.0.0.1:80") for one in requests)})
    assert any("10.0.0.1" in action.command for action in other.roots[0].actions)
