"""Every mistake in a file is told at once, with its line, in words that help."""

# ruff: noqa: E501 - one mistake a line reads better

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headgate.config.endpoints import Endpoint
from headgate.config.findings import BadConfig
from headgate.config.load import from_servers, load, read

UPSTREAM = '[upstream.app]\nservers = ["http://127.0.0.1:3000"]\n'


def findings(tmp_path, text):
    """Return the errors of a file, as text after its name."""
    file = tmp_path / "headgate.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadConfig) as caught:
        load(file)
    return [str(finding).removeprefix(str(file)).removeprefix(":") for finding in caught.value.findings]


def loaded(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    return load(file)


def test_all_errors_are_told_at_once_with_their_lines(tmp_path):
    text = """\
[gateway]
listen = ["127.0.0.1:8080", "8081"]
timeout_status = 503

[gateway.limits]
connections = "5"

[upstream.api]
servers = [
  "http://a:80",
  "http://b:80/x",
  { url = "c:8080" },
]
policy = "round-robbin"

[upstream.api.timeouts]
conect = "5s"
head = "5 parsecs"

[upstream.empty]

[[route]]
path = "api"
upstream = "apu"

[[route]]
headers = { a = 1 }
methods = ["get", "PUT"]
upstream = "api"
"""
    server = '"http://host:port", "https://host:port" or "unix:/path/to.sock"'
    assert findings(tmp_path, text) == [
        '2: gateway.listen[1]: the address has no host; expected "host:port", "[v6]:port" or "unix:/path"; '
        'write "0.0.0.0:8081" for every IPv4 address, "[::]:8081" for IPv6',
        "3: gateway.timeout_status: found 503; expected 504 or 502",
        '6: gateway.limits.connections: found "5"; expected a whole number, without quotes',
        f"11: upstream.api.servers[1].url: the URL has a path, but requests keep their own path and query; expected {server}; "
        'write "http://b:80"',
        f'12: upstream.api.servers[2].url: the URL has no scheme; expected {server}; did you mean "http://c:8080"?',
        '14: upstream.api.policy: found "round-robbin"; expected "least-requests" or "round-robin" or "peak-ewma" or "ring-hash" or "maglev"; did you mean "round-robin"?',
        '17: upstream.api.timeouts.conect: unknown key; did you mean "connect"?',
        '18: upstream.api.timeouts.head: found "5 parsecs"; expected a duration such as "250ms", "5s", "2m" or "1h", '
        "or a number of seconds",
        "20: upstream.empty.servers: missing; expected the servers: URLs, or tables with url, weight and down",
        '23: route[0].path: "api" does not begin with "/"; expected a path that begins with "/"; did you mean "/api"?',
        '24: route[0].upstream: no upstream is called "apu"; did you mean "api"?',
        '27: route[1].headers.a: found 1; expected text in quotes, such as "text"',
        '28: route[1].methods[0]: "get" is not in upper case, and methods are case-sensitive; expected a method such as "GET"; write "GET"',
    ]


ROUTE = '[[route]]\nupstream = "app"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # types and ranges
        ("[upstream.app]\nservers = 'http://a'", '2: upstream.app.servers: found "http://a"; expected a list in square brackets; write ["http://a"]'),
        ("[upstream.app]\nservers = []", "2: upstream.app.servers: empty list; expected one or more"),
        (UPSTREAM + "max_requests = -1", "3: upstream.app.max_requests: found -1; expected at least 0"),
        (UPSTREAM + "max_requests = true", "3: upstream.app.max_requests: found true; expected a whole number, without quotes"),
        (UPSTREAM + "check_content_coding = 1", "3: upstream.app.check_content_coding: found 1; expected true or false, without quotes"),
        (UPSTREAM + "timeouts.head = 0", "3: upstream.app.timeouts.head: found 0; expected more than 0"),
        (UPSTREAM + "timeouts.head = '8d'", '3: upstream.app.timeouts.head: found "8d"; expected at most "7d"'),
        (UPSTREAM + "timeouts.head = inf", '3: upstream.app.timeouts.head: found inf; expected at most "7d"'),
        (UPSTREAM + "timeouts.head = nan", "3: upstream.app.timeouts.head: found nan; expected more than 0"),
        (UPSTREAM + "timeouts.head = true", 'found true; expected a duration such as "250ms"'),
        (UPSTREAM + "timeouts = '5s'", '3: upstream.app.timeouts: found "5s"; expected a table; write [upstream.app.timeouts] and its keys below'),
        (UPSTREAM + "retry.body_bytes = 1.5", "3: upstream.app.retry.body_bytes: found 1.5; expected a size such as"),
        (UPSTREAM + "retry.body_bytes = '1 bananas'", 'found "1 bananas"; expected a size such as "500", "8KiB"'),
        (UPSTREAM + "retry.attempts = 11", "3: upstream.app.retry.attempts: found 11; expected at most 10"),
        ("[gateway]\nlisten = []\n" + UPSTREAM, "2: gateway.listen: empty list; expected one or more"),
        ("[gateway]\nname = 'a b'\n" + UPSTREAM, '2: gateway.name: found "a b"; expected 1 to 64 letters, digits and hyphens'),
        # unknown keys
        ("[upstreams.app]\nservers = []", '1: upstreams: unknown key; did you mean "upstream"?'),
        ("[gateway]\nattempts = 1\n" + UPSTREAM, "2: gateway.attempts: unknown key here; attempts belongs in [upstream.NAME.retry]"),
        ("[gateway]\ncolour = 1\n" + UPSTREAM, "2: gateway.colour: unknown key; expected one of listen, tls, name,"),
        (UPSTREAM + "[[upstream.app.servers]]\n", "3: not valid TOML, column 23: upstream.app.servers is complete where it is set first"),
        (UPSTREAM + "[upstream.app]\n", "3: not valid TOML, column 14: [upstream.app] stands here for the second time"),
        ("[upstream]\nservers = ['http://a']", "2: upstream.servers: found a list; expected a table; every upstream has a name: write [upstream.NAME]"),
        (UPSTREAM + "[route]\nupstream = 'app'", "3: route: found a table; expected a list in square brackets; write [[route]], with double brackets"),
        ("[upstream.'a b']\nservers = ['http://a']", "1: upstream.a b: not a name for an upstream; expected letters, digits"),
        # routes
        (UPSTREAM + "[[route]]\npath = '/'", '3: route[0]: the route leads nowhere; write upstream = "app"'),
        (UPSTREAM + "[[route]]\nupstream = 'x'", '4: route[0].upstream: no upstream is called "x"; expected one of app'),
        ("[[route]]\nupstream = 'x'", '2: route[0].upstream: no upstream is called "x"; expected a table [upstream.x]'),
        (UPSTREAM + ROUTE + "path = '/a'\npath_exact = '/a'", "3: route[0]: path and path_exact in one route; expected at most one"),
        (UPSTREAM + ROUTE + "path = '/a'\npath_regex = '/a'", "3: route[0]: path and path_regex in one route"),
        (UPSTREAM + ROUTE + "path_exact = ''", "5: route[0].path_exact: the path is empty"),
        (UPSTREAM + ROUTE + ROUTE, '5: route[1]: fits exactly what the route "*/" fits; remove one'),
        (UPSTREAM + ROUTE + ROUTE + "path = '/'", '5: route[1]: fits exactly what the route "*/" fits'),
        (UPSTREAM + ROUTE + "host = '*.x.org'\n" + ROUTE + "host = '*.X.org'", '6: route[1]: fits exactly what the route "*.x.org/" fits'),
        (UPSTREAM + ROUTE + "path = '/%61'\n" + ROUTE + "path = '/a'", "fits exactly"),
        (UPSTREAM + ROUTE + "methods = ['A','B']\n" + ROUTE + "methods = ['B','A']", "fits exactly"),
        (UPSTREAM + ROUTE + "path_regex = '('", "5: route[0].path_regex: the regular expression does not compile: missing )"),
        (UPSTREAM + ROUTE + "path_regex = ''", "5: route[0].path_regex: the regular expression is empty"),
        (UPSTREAM + ROUTE + "path = '/a?b=1'", '5: route[0].path: a query is not part of a path; expected a path that begins with "/"; write "/a"'),
        (UPSTREAM + ROUTE + "path = '/a/*'", 'write path = "/a", or use path_regex'),
        (UPSTREAM + ROUTE + "path = '/a/../b'", '"/a/../b" fits no request; expected a path that begins with "/"; requests are compared without dots'),
        (UPSTREAM + ROUTE + "path = '/a%0Ab'", "a control character in the path"),
        (UPSTREAM + ROUTE + "host = '*'", 'leave host out: the route then fits every host'),
        (UPSTREAM + ROUTE + "host = 'a.*.org'", '"a.*.org" has its star in the wrong place'),
        (UPSTREAM + ROUTE + "host = '*a.org'", "star in the wrong place"),
        (UPSTREAM + ROUTE + "host = '*.127.0.0.1'", "addresses have no subdomains"),
        (UPSTREAM + ROUTE + "host = 'http://a.org'", "a path goes into path"),
        (UPSTREAM + ROUTE + "host = 'a.org:99999'", '"99999" is not a port'),
        (UPSTREAM + ROUTE + "host = 'bücher.org'", 'write "xn--bcher-kva.org"'),
        (UPSTREAM + ROUTE + "methods = ['GET POST']", '"GET POST" is not a method'),
        (UPSTREAM + ROUTE + "headers = { 'x y' = '1' }", '5: route[0].headers.x y: "x y" is not the name of a header field'),
        (UPSTREAM + ROUTE + "headers.x = ''", "not the value of a header field"),
        (UPSTREAM + "[upstream.b]\nservers = ['http://b']", '[[route]]\npath = "/"\nupstream = "app"'),
        # other cross checks
        ("[gateway]\ndns.max_ttl = 0.5\n" + UPSTREAM, '2: gateway.dns.max_ttl: min_ttl ("1s") is above max_ttl ("500ms")'),
        ("[gateway]\ndns.servers = ['ns.example.org']\n" + UPSTREAM, "2: gateway.dns.servers[0]: "),
        ("[gateway]\ntrusted_proxies = ['10.0.0.1/8']\n" + UPSTREAM, 'did you mean "10.0.0.0/8"?'),
        ("[gateway]\ntrusted_proxies = [10]\n" + UPSTREAM, "2: gateway.trusted_proxies[0]: not a network"),
        ("[upstream.app]\nservers = ['http://127.0.0.1:8080']", "2: upstream.app.servers[0]: http://127.0.0.1:8080 is the gateway itself"),
        ("[upstream.app]\nservers = ['http://x', 'http://localhost:8080']", "servers[1]: http://localhost:8080 is the gateway itself"),
        ("[gateway]\nlisten = ['unix:g.sock']\n[upstream.app]\nservers = ['unix:g.sock']", "is the gateway itself, which listens on unix:/"),
        (UPSTREAM + "tls.certificate = 'x.pem'", '3: upstream.app.tls.certificate: certificate without key; write key = "FILE.pem" beside it'),
        (UPSTREAM + "tls.key = 'x.pem'", "3: upstream.app.tls.key: key without certificate"),
        (UPSTREAM + "tls.ca = 'none.pem'", "none.pem cannot be read: no such file or directory"),
        ("[gateway]\ntls.key = 'x'\n" + UPSTREAM, "2: gateway.tls.certificate: missing; expected file with the certificate"),
        ("[gateway]\nlog.access = 'none/x.log'\n" + UPSTREAM, "none/x.log cannot be written: there is no folder"),
        ("[gateway]\nlog.errors = '.'\n" + UPSTREAM, "cannot be written: it is a folder"),
        ("[gateway]\nlisten = ['unix:none/x']\n" + UPSTREAM, "none/x cannot be made: there is no folder"),
        ("[gateway]\npages.html = 'none.html'\n" + UPSTREAM, "none.html cannot be read: no such file"),
        # not TOML
        ("[gateway]\nname = headgate\n", '2: not valid TOML, column 8: invalid value; text stands in quotes: name = "headgate"'),
        ("[gateway]\nname: 'x'\n", "2: not valid TOML, column 5: expected '=' after a key in a key/value pair; keys and values are joined"),
        ("[gateway]\n\n\nname =", "4: not valid TOML: "),
        (UPSTREAM + "timeouts.head = 5s", 'text stands in quotes: timeouts.head = "5s"'),
        ("[upstream.a]\nserver = ['http://a']", '2: upstream.a.server: unknown key; did you mean "servers"?'),
        ("[gateway]\nname = 'a'\nname = 'b'\n", "3: not valid TOML, column 11: this key stands here for the second time"),
        ("x = " + "[" * 100_000, "nested too deeply"),
        (b"# \xff\n", "1: not UTF-8: byte 0xFF; save the file as UTF-8"),
        (b"a = 1\n# \xe9\n", "2: not UTF-8: byte 0xE9"),
        (b"#" * (5 << 20), "larger than 4MiB"),
    ],
)  # fmt: skip
def test_one_error(tmp_path, text, expected):
    found = findings(tmp_path, text)
    assert expected in "\n".join(found)
    assert all("Traceback" not in line and "pydantic" not in line and "Input should" not in line for line in found)


def test_a_wrong_value_hides_no_other_error_and_invents_none(tmp_path):
    text = (
        UPSTREAM + 'timeouts = 5\n[upstream.b]\nservers = [5]\n[[route]]\nupstream = "b"\nfoo = 1\n[[route]]\nupstream = "nope"\n'
    )
    assert [line.split(":")[0] for line in findings(tmp_path, text)] == ["3", "5", "8", "10"]
    text = "[gateway]\ntrusted_proxies = ['x', 'y']\ntls = {}\n[gateway.dns]\nmin_ttl = 900\n" + UPSTREAM
    assert [line.split(":")[0] for line in findings(tmp_path, text)] == ["2", "2", "3", "3", "5"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("[route]\nupstream = 'a'\n", ["route"]),
        ("[upstreams.a]\nservers = ['http://a']\n", ["upstreams"]),
        ("[gateway]\ncolour = 1\n", ["", "gateway.colour"]),
        ("[upstream.a]\nserver = ['http://a']\n", ["upstream.a.server"]),
    ],
)
def test_nothing_is_missed_that_only_has_another_name(tmp_path, text, keys):
    (tmp_path / "headgate.toml").write_text(text)
    with pytest.raises(BadConfig) as caught:
        load(tmp_path / "headgate.toml")
    assert [finding.key for finding in caught.value.findings] == keys


def test_an_empty_file_is_answered_with_a_whole_one(tmp_path):
    for text in ("", "# nothing\n", "[gateway]\n"):
        (line,) = findings(tmp_path, text)
        assert line.startswith(" no upstream and no route")
        example = line.split("\n\n", 1)[1]
        assert loaded(tmp_path, example).route[0].upstream == "app"


def test_files_that_cannot_be_read(tmp_path):
    for path, reason in ((tmp_path / "none.toml", "no such file or directory"), (tmp_path, "is a directory"), ("a\0b", "null")):
        with pytest.raises(BadConfig) as caught:
            load(path)
        assert f"cannot be read: {reason}" in str(caught.value) or "embedded null" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    file = tmp_path / "x.toml"
    file.touch(mode=0)
    with pytest.raises(BadConfig, match="permission denied"):
        load(file)


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    file = tmp_path / "headgate.toml"
    file.write_bytes(b"\xef\xbb\xbf" + UPSTREAM.replace("\n", "\r\n").encode() + b"x = 1\r\n")
    with pytest.raises(BadConfig, match=r":3: upstream\.app\.x: unknown key"):
        load(file)


def test_a_single_upstream_needs_no_route(tmp_path):
    (route,) = loaded(tmp_path, UPSTREAM).route
    assert (route.upstream, route.path, route.host) == ("app", "", "")


def test_maintenance_needs_no_upstream(tmp_path):
    assert loaded(tmp_path, "[[route]]\nmaintenance = true\n").route[0].maintenance


def test_what_is_written_is_what_is_read(tmp_path):
    config = loaded(tmp_path, UPSTREAM + """\
timeouts = { connect = "250ms", head = 5, total = "1h" }
retry.body_bytes = "8KiB"
[[route]]
host = "EXAMPLE.org."
headers = { X-Version = " 2 " }
allow = ["10.0.0.0/8", "::1"]
upstream = "app"
[upstream.other]
servers = ["https://[::1]", { url = "unix:run/app.sock", weight = 3, down = true }]
[gateway]
listen = ["localhost:0", "unix:run.sock"]
log.access = "access.log"
""")  # fmt: skip
    times = config.upstream["app"].timeouts
    assert (times.connect, times.head, times.total) == (0.25, 5, 3600)
    assert config.upstream["app"].retry.body_bytes == 8192
    route = config.route[0]
    assert (route.host, route.headers, [str(network) for network in route.allow]) == (
        "example.org",
        {"x-version": "2"},
        ["10.0.0.0/8", "::1/128"],
    )
    first, second = config.upstream["other"].servers
    assert first.endpoint == Endpoint("https", "::1", 443)
    assert second.endpoint == Endpoint("unix", "", 0, f"{tmp_path}/run/app.sock")
    assert (second.weight, second.down, second.url) == (3, True, f"unix:{tmp_path}/run/app.sock")
    assert [str(address) for address in config.gateway.addresses] == ["localhost:0", f"unix:{tmp_path}/run.sock"]
    assert config.gateway.log.access == f"{tmp_path}/access.log"
    assert config.gateway.log.errors == "stderr"


def test_relative_names_begin_at_the_files_folder(tmp_path, monkeypatch):
    (tmp_path / "headgate.toml").write_text(UPSTREAM + "[gateway]\nlog.access = 'logs/a.log'\n")
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path.parent)
    config = load(f"{tmp_path.name}/headgate.toml")
    assert Path(config.gateway.log.access) == tmp_path / "logs" / "a.log"


def test_lines_are_at_hand_for_the_checks(tmp_path):
    file = tmp_path / "headgate.toml"
    file.write_text(UPSTREAM)
    source = read(file).source
    assert (source.line(("upstream", "app", "timeouts", "head")), source.line(("gateway",))) == (1, 0)


def test_from_servers():
    config = from_servers("127.0.0.1:0", ["http://127.0.0.1:3000", "unix:/run/x.sock"]).config
    assert [server.endpoint.scheme for server in config.upstream["default"].servers] == ["http", "unix"]
    assert config.route[0].upstream == "default"
    assert from_servers(["127.0.0.1:0", "[::1]:0"], ["http://a"]).config.gateway.listen == ("127.0.0.1:0", "[::1]:0")
    with pytest.raises(BadConfig) as caught:
        from_servers("8080", ["localhost:1", "http://127.0.0.1:99999"])
    assert [str(finding).split(":")[0] for finding in caught.value.findings] == ["--listen", "--to", "--to"]
    with pytest.raises(BadConfig, match="--to: empty list"):
        from_servers("127.0.0.1:1", [])


# Certificates.


def make_certificate(folder, name, password=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(pem)


def tls(certificate, key):
    return f'{UPSTREAM}[gateway]\ntls.certificate = "{certificate}"\ntls.key = "{key}"\n'


def test_certificates_are_loaded_as_the_gateway_will(tmp_path):
    make_certificate(tmp_path, "one")
    make_certificate(tmp_path, "two")
    make_certificate(tmp_path, "secret", b"x")
    (tmp_path / "junk").write_text("junk")
    assert loaded(tmp_path, tls("one.pem", "one.key")).gateway.tls
    assert (
        loaded(tmp_path, UPSTREAM + 'tls = { ca = "one.pem", certificate = "two.pem", key = "two.key" }').upstream["app"].tls.ca
    )
    for text, expected in (
        (
            tls("one.pem", "two.key"),
            f"5: gateway.tls.key: {tmp_path}/two.key is not the key of the certificate in {tmp_path}/one.pem",
        ),
        (
            tls("none.pem", "one.key"),
            f"4: gateway.tls.certificate: {tmp_path}/none.pem cannot be read: no such file or directory",
        ),
        (tls("junk", "one.key"), "4: gateway.tls.certificate: "),
        (tls("one.pem", "junk"), "cannot be used"),
        (tls("secret.pem", "secret.key"), "5: gateway.tls.key: "),
        (tls("secret.pem", "secret.key"), "is protected by a pass phrase"),
        (UPSTREAM + 'tls.ca = "junk"', f"3: upstream.app.tls.ca: {tmp_path}/junk holds no certificate"),
        (UPSTREAM + 'tls = { certificate = "one.pem", key = "two.key" }', "3: upstream.app.tls.key: "),
    ):
        (line,) = findings(tmp_path, text)
        assert expected in line


def test_page_templates_are_compiled(tmp_path):
    (tmp_path / "good.html").write_text("<p>{{ title }}</p>")
    (tmp_path / "bad.html").write_text("<p>\n{{ title }</p>")
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    assert loaded(tmp_path, UPSTREAM + "[gateway]\npages.html = 'good.html'\n").gateway.pages.html
    first, second = findings(tmp_path, UPSTREAM + "[gateway]\npages.html = 'bad.html'\npages.text = 'latin.txt'\n")
    assert first.startswith(f"4: gateway.pages.html: {tmp_path}/bad.html:2: ")
    assert second == f"5: gateway.pages.text: {tmp_path}/latin.txt is not UTF-8"
