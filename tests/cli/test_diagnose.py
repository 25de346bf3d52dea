"""`headgate diagnose` as a user runs it: the verdict of real servers, what is never sent, what is never shown, exit codes."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headgate.cli.diagnose import EXIT, command

CAPTURE = (
    "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.24.0\r\nContent-Type: text/html\r\nContent-Length: 157\r\n\r\n"
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def run(*arguments: str | Path, stdin: str | bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], input=stdin)


def told_of(*arguments: str | Path, stdin: str | bytes = b"") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(*arguments, "--json", stdin=stdin).output)
    return told


# --- verdicts of real servers ---


def test_a_site_that_works_is_up(site: Any) -> None:
    result = run(site.url, "--timeout", "5")
    assert result.exit_code == EXIT["up"] == 0
    assert result.output.startswith("up 200  ")


def test_a_gateways_page_is_failing_and_its_author_named(site: Any) -> None:
    site.breaks()
    result = run(site.url, "--timeout", "8", "--json")
    assert result.exit_code == EXIT["failing"] == 1
    told = json.loads(result.output)
    assert (told["status"], told["generator"]["product"], told["generator"]["certainty"]) == (502, "nginx", "certain")
    assert told["chain"][-1] != "nginx"
    assert told["failing"][0] == "nginx"
    assert "connection-refused" in [one["cause"] for one in told["suspects"]]
    assert all(one["confidence"] != "proved" for one in told["suspects"])
    assert len(told["actions"]) == 3
    assert {"tcp", "get", "head", "no-cache", "agent", "path", "repeat"} <= {look["kind"] for look in told["looks"]}


def test_nobody_listens(free_port: int) -> None:
    result = run(f"http://127.0.0.1:{free_port}/", "--timeout", "4")
    assert result.exit_code == EXIT["unreachable"] == 4
    assert "connection-refused" in result.output
    assert "proved" in result.output


def test_a_name_that_does_not_exist() -> None:
    told = told_of("http://no-such-host.invalid/", "--timeout", "6", "--resolver", "127.0.0.1")
    assert told["outcome"] == "unreachable"
    assert told["suspects"][0]["cause"].startswith("dns-")


def test_the_way_around_the_gateway_is_compared(site: Any, served: Any) -> None:
    site.breaks()
    origin = type(site)()
    with served(origin):
        told = told_of(site.url, "--timeout", "8", "--origin", f"127.0.0.1:{origin.port}")
    (look,) = [one for one in told["looks"] if one["kind"] == "origin"]
    assert look["ok"] is True
    assert origin.asked[0][2]["Host"] == f"127.0.0.1:{site.port}"


# --- what is sent, and what is not ---


def test_no_more_requests_than_allowed(site: Any) -> None:
    site.breaks()
    run(site.url, "--timeout", "8", "--requests", "5")
    assert len(site.asked) == 5


def test_the_default_number_is_kept(site: Any) -> None:
    site.breaks()
    run(site.url)
    assert 8 <= len(site.asked) <= 24


def test_a_post_is_not_sent(site: Any) -> None:
    site.breaks()
    told = told_of(site.url, "-X", "post", "--timeout", "4")
    assert {method for method, _, _ in site.asked} == {"GET", "HEAD"}
    assert any("POST is not sent" in look["text"] for look in told["looks"])


def test_a_post_is_sent_once_when_told_to(site: Any) -> None:
    site.breaks()
    run(site.url, "-X", "POST", "--replay", "--timeout", "4")
    assert [method for method, _, _ in site.asked] == ["POST"]


def test_cookies_and_fields_go_as_the_user_had_them_and_are_left_out_once(site: Any) -> None:
    site.breaks()
    run(site.url, "--cookie", "session=sesame", "--cookie", "b=2", "-H", "X-Shop: 7", "--timeout", "8")
    first = site.asked[0][2]
    assert (first["Cookie"], first["X-Shop"]) == ("session=sesame; b=2", "7")
    assert any("Cookie" not in fields for _, _, fields in site.asked)


def test_fields_do_not_go_to_another_host(site: Any, served: Any) -> None:
    other = type(site)(body=b"elsewhere")
    with served(other):
        site.status, site.fields = 302, {"Location": f"http://localhost:{other.port}/"}
        run(site.url, "--cookie", "session=sesame", "-H", "Authorization: Bearer sesame", "--timeout", "8")
    assert "sesame" in str(site.asked[0])
    assert "sesame" not in str(other.asked)


def test_a_redirect_to_a_private_address_is_not_followed_from_a_public_name(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.status, site.fields = 302, {"Location": "http://10.255.255.1/"}
    told = told_of(site.url, "--timeout", "6")
    assert any("10.255.255.1" in look["text"] for look in told["looks"])
    assert not any("10.255.255.1" in look["label"] for look in told["looks"] if look["kind"] == "get")


def test_redirects_in_a_circle(site: Any) -> None:
    site.status, site.fields = 302, {"Location": "/again"}
    result = run(site.url, "--timeout", "8")
    assert result.exit_code == EXIT["failing"]
    assert "The site redirects in a circle: the redirects lead back to" in result.output
    assert "equal requests failed" not in result.output
    assert len(site.asked) <= 24


def test_where_a_redirect_leads_is_what_refuses(site: Any, free_port: int) -> None:
    site.status, site.fields = 302, {"Location": f"http://ann:sesame@127.0.0.1:{free_port}/"}
    result = run(site.url, "--timeout", "5", "--requests", "4")
    assert f"connection: 127.0.0.1:{free_port}, to which 127.0.0.1:{site.port} redirects" in " ".join(result.output.split())
    assert f"sport = :{free_port}" in result.output
    assert "sesame" not in result.output


def test_an_origin_may_be_a_name(site: Any) -> None:
    told = told_of(site.url, "--origin", f"localhost:{site.port}", "--timeout", "4", "--requests", "3")
    assert [look["ok"] for look in told["looks"] if look["kind"] == "origin"] == [True]
    output = run(site.url, "--origin", "nowhere.invalid", "--timeout", "4", "--requests", "3").output
    assert "origin: nowhere.invalid has no address" in output


def test_another_view_that_cannot_be_had_is_told_and_its_password_is_not(site: Any) -> None:
    output = run(site.url, "--vantage", "http://ann:sesame@127.0.0.1/", "--timeout", "4", "--requests", "2").output
    assert "it could not be asked" in output
    assert "sesame" not in output


def test_a_server_that_closes_kept_connections_works(site: Any) -> None:
    """It may, at any time (RFC 9112 9.3): clients ask again, so nothing fails."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = run(f"http://127.0.0.1:{server.getsockname()[1]}/", "--timeout", "8")
    assert result.exit_code == EXIT["up"]
    assert "A kept connection closed" in result.output


# --- bad input ---


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "name a URL"),
    (("gopher://a.example/",), "gopher"),
    (("http://",), "http://"),
    (("http://a.example:99999/",), "99999"),
    (("http://a.example/", "-H", "no colon"), "expected 'Name: value'"),
    (("http://a.example/", "-H", "A: b\r\nC: d"), "expected 'Name: value'"),
    (("http://a.example/", "-b", "a=b\r\nEvil: 1"), "a line break cannot be part of it"),
    (("--offline", "/nowhere/capture"), "No such file"),
    (("http://a.example/", "--paste", "/nowhere/capture"), "No such file"),
    (("",), "name a URL"),
    (("http://a.example/", "-X", "GET / HTTP/1.1\r\nEvil: 1", "--replay"), "expected one word such as GET"),
    (("http://a.example/", "-H", "Näme: b"), "the name may hold"),
    (("http://a.example/", "--timeout", "nan"), "expected seconds"),
    (("http://a.example/", "--resolver", "dns.example"), "expected the address of a DNS server"),
    (("http://a.example/", "--origin", "not a host"), "--origin: not a host"),
    (("http://a.example/", "--vantage", "ftp://u:sesame@b.example"), "--vantage: ftp://[redacted]@b.example"),
    (("http://a.example/", "--ca", __file__), "it holds no certificate in PEM"),
])  # fmt: skip
def test_wrong_usage_ends_with_two_and_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert "\r\nEvil" not in result.output


def test_credentials_of_a_url_are_shown_nowhere(site: Any, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    url = f"http://ann:sesame@127.0.0.1:{site.port}/?token=sesame2&a=1"
    site.breaks()
    for arguments in ((url,), (url, "--json"), (url, "--html", page)):
        assert "sesame" not in run(*arguments, "--timeout", "4", "--requests", "3").output
    assert "sesame" not in page.read_text()


@pytest.mark.timeout(90)
def test_ctrl_c_tells_what_was_found_until_then(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections, and answers nothing
        port = server.getsockname()[1]
        words = [
            sys.executable,
            "-m",
            "headgate",
            "diagnose",
            f"http://127.0.0.1:{port}/",
            "--vantage",
            f"http://127.0.0.1:{port}/",
            "--timeout",
            "600",
        ]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with process, server.accept()[0], server.accept()[0], server.accept()[0]:  # TCP alone, GET, the other view
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "TCP 127.0.0.1" in output
    assert errors == "headgate: stopped before the end: this is what was found until then.\n"


@pytest.mark.timeout(30)
def test_a_server_that_never_ends_its_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            server.settimeout(0.1)
            held = []
            while not over.is_set():
                try:
                    one, _ = server.accept()
                except TimeoutError:
                    continue
                one.settimeout(1)
                held.append(one)
                one.sendall(b"HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Length: 1000000000\r\n\r\n<html>")
            for one in held:
                one.close()

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            result = run(f"http://127.0.0.1:{server.getsockname()[1]}/", "--timeout", "3", "--json")
        finally:
            over.set()
            thread.join()
    told = json.loads(result.output)
    assert result.exit_code in (EXIT["failing"], EXIT["unreachable"])
    assert told["looks"]


# --- captures ---


def test_a_capture_is_judged_without_sending_anything() -> None:
    result = run("--offline", "-", stdin=CAPTURE)
    assert result.exit_code == EXIT["failing"]
    assert "nginx 1.24.0" in result.output
    assert "connection-refused" in result.output


def test_what_is_no_capture() -> None:
    for stdin in (b"", b"\x00\x01\x02" * 500, "only words"):
        result = run("--offline", "-", stdin=stdin)
        assert result.exit_code == 2
        assert result.output.startswith("headgate: -: ")


def test_each_reader_gets_an_answer(site: Any) -> None:
    site.breaks()
    texts = {reader: run("--offline", "-", "--for", reader, stdin=CAPTURE).output for reader in ("visitor", "operator", "admin")}
    assert "ss -ltnp" not in texts["visitor"]
    assert "eload" in texts["visitor"]
    assert "next 1" in texts["admin"]


def test_the_page_is_one_file_with_the_timeline(site: Any, tmp_path: Path) -> None:
    site.breaks()
    page = tmp_path / "report.html"
    result = run(site.url, "--timeout", "4", "--requests", "4", "--html", page)
    assert f"Report: {page}" in result.output
    text = page.read_text()
    assert "What was looked at" in text
    assert text.count('class="span"') >= 4
    assert not re.search(r'<script|(?:src|href)="', text)


def test_a_page_that_cannot_be_written(site: Any) -> None:
    result = run(site.url, "--timeout", "3", "--requests", "2", "--html", "/nowhere/r.html")
    assert result.exit_code == 2
    assert "/nowhere/r.html: No such file or directory" in result.output
    assert result.output.startswith("up 200")  # what was found is not lost


def test_several_answers_end_as_the_worst_of_them(tmp_path: Path) -> None:
    several = "HTTP/1.1 502 Bad Gateway\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello"
    page = tmp_path / "r.html"
    for option in ("--for=all", "--json"):
        assert run("--offline", "-", option, "--html", page, stdin=several).exit_code == EXIT["failing"]
        assert "502" in page.read_text()
        page.unlink()
