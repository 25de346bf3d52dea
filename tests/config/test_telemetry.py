"""The table [telemetry], the file with header lines, and the variables that OpenTelemetry has."""

import pytest

from headgate.config.findings import Bad, BadConfig
from headgate.config.load import load
from headgate.config.telemetry import BadHeaders, Telemetry, destination, read_headers

BASE = '[upstream.app]\nservers = ["http://127.0.0.1:3000"]\n'


def said(tmp_path, table):
    (tmp_path / "c.toml").write_text(f"{BASE}[telemetry]\n{table}\n")
    with pytest.raises(BadConfig) as problem:
        load(tmp_path / "c.toml")
    return str(problem.value)


def test_it_is_off_unless_it_is_there(tmp_path):
    (tmp_path / "c.toml").write_text(BASE)
    assert load(tmp_path / "c.toml").telemetry is None
    (tmp_path / "c.toml").write_text(f"{BASE}[telemetry]\n")
    assert load(tmp_path / "c.toml").telemetry == Telemetry()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('endpoint = "localhost:4318"', 'did you mean "http://localhost:4318"?'),
        ('endpoint = "grpc://x:4317"', "not an http or https URL"),
        ('endpoint = "http://user:secret@x"', "a user in the URL"),
        ('endpoint = "http://x:4318/v1/traces"', "leave /v1/... out"),
        ('endpoint = "http://x?y=1"', "a query or fragment"),
        ('endpoint = "http://x:99999"', "is not a URL"),
        ('endpoint = ""', "is not an http or https URL"),
        ("sample = 1.5", "at most 1"),
        ("sample = -0.1", "at least 0"),
        ('trust = "friends"', '"always" or "trusted" or "never"'),
        ("traces = false\nlogs = false", "neither traces nor logs"),
        ('headers = "missing"', "cannot be read: no such file"),
        ('ca = "missing"', "cannot be read: no such file"),
        ('service = ""', "1 to 255 printable characters"),
        ("resource = { a = 1 }", "text in quotes"),
        ("endpoints = 1", 'did you mean "endpoint"?'),
    ],
)
def test_mistakes_are_explained_with_their_line(tmp_path, table, words):
    problem = said(tmp_path, table)
    assert words in problem
    assert "c.toml:" in problem
    assert "telemetry" in problem


def test_header_lines(tmp_path):
    file = tmp_path / "lines"
    file.write_text("# secret\n\nAuthorization: Bearer a:b \nX-Scope:1\n")
    assert read_headers(str(file)) == {"authorization": "Bearer a:b", "x-scope": "1"}


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization",
        b": x",
        b"A B: c",
        b"A: b\xff",
        b"A: b\x00c",
        b"Host: x",
        b"Content-Length: 5",
        b"A:",
        b"A: " + b"x" * 70_000,
    ],
)
def test_bad_header_lines_are_told_without_their_secret(tmp_path, line):
    file = tmp_path / "lines"
    file.write_bytes(line)
    with pytest.raises(BadHeaders) as problem:
        read_headers(str(file))
    assert "xxxx" not in str(problem.value)


def test_the_file_comes_before_the_environment(tmp_path):
    (tmp_path / "lines").write_text("X-Key: file\n")
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
        "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=environment,x-more=a%20b",
        "OTEL_SERVICE_NAME": "edge",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a,service.name=attribute,host.name=h",
    }
    table = Telemetry(headers=str(tmp_path / "lines"), resource={"team": "b"})
    where = destination(table, "headgate", environment)
    assert where.endpoint == "http://collector:4318"
    assert where.headers == {"x-key": "file", "x-more": "a b"}
    assert where.service == "edge"
    assert where.resource == {"team": "b", "host.name": "h"}
    assert destination(Telemetry(endpoint="http://x", service="s"), "headgate", environment)[0::2] == ("http://x", "s")
    assert destination(Telemetry(), "headgate", {}) == ("http://127.0.0.1:4318", {}, "headgate", {})
    assert destination(Telemetry(), "headgate", {"OTEL_RESOURCE_ATTRIBUTES": "service.name=x"}).service == "x"


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        {"OTEL_RESOURCE_ATTRIBUTES": "nonsense"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "=x"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0ac"},
    ],
)
def test_an_environment_that_makes_no_sense(environment):
    with pytest.raises((Bad, BadHeaders)):
        destination(Telemetry(), "headgate", environment)
