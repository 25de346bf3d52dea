"""`headgate explain` as a user runs it: anything in hand, for each reader, and an honest word where nothing is known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from headgate.cli.explain import called, command
from headgate.cli.main import main
from headgate.diagnose.catalogue import catalogue

NGINX = (
    "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.24.0\r\nContent-Type: text/html\r\nContent-Length: 157\r\n\r\n"
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n"
)
REFUSED = (
    "2026/11/20 10:15:30 [error] 31#31: *1187 connect() failed (111: Connection refused) while connecting to upstream, "
    'client: 203.0.113.9, server: a.example, request: "GET /a HTTP/1.1", upstream: "http://10.1.2.3:8080/a", host: "a.example"'
)


def run(*arguments: str, stdin: str | bytes = b"") -> Result:
    return CliRunner().invoke(command, arguments, input=stdin)


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_every_cause_of_ours_is_explained(code: str) -> None:
    result = run(code)
    assert result.exit_code == 0
    assert result.output.startswith(f"{catalogue()[code].status} {code}  {catalogue()[code].title}\n")


def test_alone_it_lists_all_causes() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(f" {code} " in result.output for code in catalogue())


@pytest.mark.parametrize(("text", "product", "cause"), [
    ("502.3", "iis", ""),
    ("502.3 12002", "arr", "response-timeout"),
    ("0x80244021", "windows-update", "proxy-on-the-way"),
    ("UF,URX", "envoy", "connection-refused"),
    ("SC--", "haproxy", "connection-refused"),
    ("sH", "haproxy", "response-timeout"),
    ("AH01102", "apache", "closed-before-answer"),
    ("12206", "isa-tmg", ""),
    ("upstream connect error or disconnect/reset before headers. reset reason: connection termination", "envoy",
     "closed-on-reuse"),
    ("upstream prematurely closed connection while reading response header from upstream", "nginx", "closed-before-answer"),
    (REFUSED, "nginx", "connection-refused"),
])  # fmt: skip
def test_codes_and_sentences_of_products(text: str, product: str, cause: str) -> None:
    result = run(text, "--json")
    assert result.exit_code == 0
    told = json.loads(result.output)
    assert product in told["products"]
    causes = {suspect["cause"] for meaning in told["meanings"] for suspect in meaning["suspects"]}
    assert not cause or cause in causes


def test_the_same_number_of_two_products_is_called_ambiguous() -> None:
    told = json.loads(run("502.3", "--json").output)
    assert told["ambiguous"] is True
    assert len(told["products"]) > 1
    assert "does not mean the same" in run("502.3").output


def test_what_a_line_states_is_proved_and_its_address_stands_in_the_commands() -> None:
    output = run(REFUSED, "--for", "admin").output
    assert "proved" in output
    assert "10.1.2.3:8080" in output
    assert "For visitors" not in output


def test_aliases_of_our_causes_still_work() -> None:
    assert "closed-on-reuse" in [cause.code for cause in called("keep-alive race")]
    assert run("keep-alive race").exit_code == 0


def test_a_capture_by_standard_input_and_by_file(tmp_path: Path) -> None:
    for result in (run("-", stdin=NGINX), run(_file(tmp_path, "answer.txt", NGINX))):
        assert result.exit_code == 0
        assert "failing 502" in result.output
        assert "nginx 1.24.0 (certain)" in result.output
        assert "you -> nginx -x-> ?" in result.output


def test_a_page_alone_is_never_certain(tmp_path: Path) -> None:
    told = json.loads(run(_file(tmp_path, "page.html", NGINX.partition("\r\n\r\n")[2]), "--json").output)
    assert told["generator"]["product"] == "nginx"
    assert told["generator"]["certainty"] != "certain"
    assert told["status"] == 502


def test_a_har(tmp_path: Path) -> None:
    entry = {
        "request": {"method": "GET", "url": "https://example.org/?token=secret"},
        "response": {"status": 504, "statusText": "", "headers": [{"name": "Server", "value": "awselb/2.0"}],
                     "content": {"text": "<html><center><h1>504 Gateway Time-out</h1></center></html>"}},
        "timings": {"wait": 60000},
    }  # fmt: skip
    result = run(_file(tmp_path, "x.har", json.dumps({"log": {"entries": [entry]}})))
    assert result.exit_code == 0
    assert "504" in result.output
    assert "secret" not in result.output


def _file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


def test_many_lines_are_counted_by_kind(tmp_path: Path) -> None:
    refused = "connect() failed (111: Connection refused) while connecting to upstream"
    other = REFUSED.replace(refused, "no live upstreams while connecting to upstream")
    result = run(_file(tmp_path, "error.log", "\n".join([REFUSED] * 3 + [other, "nonsense"])))
    assert result.exit_code == 0
    assert "3 lines:" in result.output
    assert "1 line:" in result.output
    assert "1 line says nothing" in result.output


@pytest.mark.parametrize("text", ["xyzzy", "zzzzqqqq", "the server is sad today and nobody knows why"])
def test_nothing_known_is_said_with_what_would_help(text: str) -> None:
    result = run(text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Nothing is known of {text!r}.")
    assert "What would help" in result.stderr
    assert json.loads(run(text, "--json").output)["meanings"] == []


def test_a_near_miss_is_told_the_closest_codes() -> None:
    assert "connection-refused" in run("conection-refusd").stderr


@pytest.mark.parametrize(("stdin", "words"), [
    (b"", "input is empty"), (b"\x00\x01\x02", "this is no text"), (b"\x1f\x8b\x08", "gzip"),
])  # fmt: skip
def test_unreadable_input_is_one_sentence(stdin: bytes, words: str) -> None:
    result = run("-", stdin=stdin)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_url_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    assert "headgate diagnose https://example.org/" in run("https://example.org/").stderr
    assert run(str(tmp_path)).exit_code == 2
    assert "no such file" in run("no/such/page.html").stderr


@pytest.mark.parametrize("reader", ["visitor", "operator", "admin"])
def test_each_reader_gets_his_part(reader: str) -> None:
    output = run("AH01102", "--for", reader).output
    assert ("For visitors" in output) is (reader == "visitor")
    assert ("source" in output) is (reader != "visitor")


def test_what_waiting_cannot_cure_is_not_met_with_wait() -> None:
    assert "Reload once" not in run("12206", "--for", "visitor").output


@pytest.mark.parametrize(("what", "words"), [("causes", "connection-refused"), ("codes", "AH01102"), ("products", "haproxy")])
def test_lists(what: str, words: str) -> None:
    assert words in run("--list", what).output
    assert len(json.loads(run("--list", what, "--json").output)) > 50


def test_json_of_a_cause_for_one_reader() -> None:
    cause = json.loads(run("closed-on-reuse", "--json", "--for", "visitor").output)
    assert (cause["code"], set(cause["sections"])) == ("closed-on-reuse", {"Visitor"})


def test_it_is_a_command_of_headgate() -> None:
    assert CliRunner().invoke(main, ["explain", "client-gone", "--for", "visitor"]).output.startswith("499 client-gone  ")


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "headgate", "explain", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=30, env=environment or None)


def test_as_a_process_in_a_pipe_and_in_a_narrow_terminal() -> None:
    assert (process("tls-closed").returncode, process("tls-closed").stderr) == (0, "")
    narrow = process("UF", COLUMNS="40", PATH="/usr/bin")
    assert narrow.returncode == 0
    assert "Traceback" not in narrow.stderr


HEAVY = ("pydantic", "uvloop", "plotext", "pygal", "h2", "psutil", "asyncio")


def test_it_loads_none_of_the_heavy_parts() -> None:
    """It must answer in a blink: neither the configuration's validator nor the gateway nor a plotting library is imported."""
    code = "import sys; sys.argv = ['headgate', 'explain', 'SC--']; from headgate.cli import main\ntry: main()\n"
    code += f"except SystemExit: pass\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


HOSTILE = "\x1b]0;owned\x07\x1b[31m\x9b5m\u202e<script>"


@pytest.mark.parametrize("paste", [
    f'203.0.113.9 - - [20/Nov/2026:10:00:00 +0000] "GET /{HOSTILE} HTTP/1.1" 502 157 "-" "{HOSTILE}"\n',
    REFUSED.replace("a.example", HOSTILE).replace("GET /a", f"GET /{HOSTILE}").replace("10.1.2.3:8080", HOSTILE),
    NGINX.replace("1.24.0", f"1.24.0{HOSTILE}").replace("Content-Type:", f"Via: 1.1 {HOSTILE}\r\nX-{HOSTILE}:"),
    NGINX.partition("\r\n\r\n")[2].replace("502 Bad Gateway", f"502 Bad Gateway{HOSTILE}"),
    f"upstream prematurely closed connection {HOSTILE}",
    '{"level":"error","ts":1763632800.1,"logger":"http.log.access","msg":"handled request","status":502,"request":'
    '{"remote_ip":"\\u001b[31m","host":"\\u001b]0;x\\u0007","uri":"/\\u001b[2J\\ud800","method":"GET"}}',
])  # fmt: skip
@pytest.mark.parametrize("several", [1, 3])
def test_nothing_pasted_reaches_the_terminal_as_it_is(paste: str, several: int) -> None:
    for option in ("--for=all", "--json"):
        result = run("-", option, stdin=(paste * several).encode())
        assert result.exit_code in (0, 1), result.exception
        assert not {char for char in result.output if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize("text", [
    "http://me:sesame@a.example/?token=sesame", "ftp://me:sesame@a.example/", "why password=sesame",
    "Authorization: Bearer sesamesesame",
    '203.0.113.9 - - [20/Nov/2026:10:00:00 +0000] "GET /?token=sesame HTTP/1.1" 502 157 "http://me:sesame@a.example/" "x"',
    REFUSED.replace("/a HTTP", "/a?api_key=sesame HTTP").replace('/a"', '/a?api_key=sesame"'),
])  # fmt: skip
def test_secrets_are_shown_nowhere(text: str) -> None:
    for option in ("--for=all", "--json"):
        assert "sesame" not in run(text, option).output


def test_words_that_are_no_utf8_or_nothing() -> None:
    assert run("\udcff\udcfe502").exit_code == 1
    assert "is empty" in run("").stderr


def test_a_pipe_and_a_device_are_read(tmp_path: Path) -> None:
    """`headgate explain <(curl -si URL)`; a pipe that nobody writes to is not waited for."""
    program = f'"{sys.executable}" -m headgate explain <(printf "%s" "{NGINX.splitlines()[0]}") --json'
    done = subprocess.run(["bash", "-c", program], check=False, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["status"] == 502
    os.mkfifo(tmp_path / "pipe")
    assert "is empty" in run(str(tmp_path / "pipe")).stderr
    assert "is empty" in run("/dev/null").stderr


def test_of_many_lines_the_first_are_read_and_what_failed_comes_first() -> None:
    line = '203.0.113.9 - - [20/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" {} 157 "-" "x"\n'
    text = line.format(200) * 30 + line.format(502) * 2 + line.format(200) * 5000
    output = run("-", stdin=text).output
    assert output.startswith("2 lines:\n502 157")
    assert "only the first 2,000 lines were read: `headgate logs FILE` reads all" in output
