"""Tests the dictionaries: every row is reached by its code or its sample, and well-known inputs mean what they should."""

import re
from collections import Counter

import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.codes import EVIDENCE, BadKnowledge, Found, Row, folder, lookup, parse, phrases, rows, shapes

NAMES = sorted(entry.name[:-5] for entry in folder().iterdir() if entry.name.endswith(".toml"))
each_file = pytest.mark.parametrize("name", NAMES)


def rows_of(name: str) -> list[Row]:
    return [row for row in rows() if row.dictionary.id == name]


def finest(text: str, name: str) -> Found | None:
    """The sentence of one dictionary that explains most of a text; of equals the first."""
    found = [one for one in phrases(text) if one.row.dictionary.id == name]
    return max(found, key=lambda one: len(one.text), default=None)


# --- every row ---


@each_file
def test_a_file_has_rows_and_says_where_they_are_from(name: str) -> None:
    dictionary = rows_of(name)[0].dictionary
    assert dictionary.title
    assert dictionary.where
    assert dictionary.source
    assert dictionary.evidence in EVIDENCE
    re.compile(dictionary.shape, re.IGNORECASE)


@each_file
def test_codes_are_unique_in_their_file(name: str) -> None:
    counts = Counter(" ".join(row.code.split()) for row in rows_of(name))  # HAProxy has SC and sC
    assert [code for code, count in counts.items() if count > 1] == []


@each_file
def test_every_code_and_alias_is_found(name: str) -> None:
    for row in rows_of(name):
        for word in (row.code, *row.aliases) if not row.has else ():
            assert row in lookup(word)
            assert row in lookup(f"  {word} ", row.product)
            assert row in lookup(word.swapcase(), row.product)


@each_file
def test_every_sentence_is_found_in_its_sample(name: str) -> None:
    for row in rows_of(name):
        if row.has:
            assert row.has in row.sample.lower(), row.code
            assert row in [found.row for found in phrases(row.sample)], row.code
            assert row in [found.row for found in phrases(row.sample, row.product)], row.code


@each_file
def test_a_sample_is_best_explained_by_its_own_row(name: str) -> None:
    for row in rows_of(name):
        if not row.has:
            continue
        own = next(found for found in phrases(row.sample) if found.row is row)
        best = finest(row.sample, name)
        assert best is not None
        apart = own.at + len(own.text) <= best.at or best.at + len(best.text) <= own.at
        assert best.row is row or apart, f"{row.code} is covered by {best.row.code}"


@each_file
def test_causes_exist(name: str) -> None:
    for row in rows_of(name):
        assert set(row.causes) <= catalogue().keys(), row.code
        assert len(set(row.causes)) == len(row.causes), row.code


@each_file
def test_several_causes_are_told_apart_and_prove_nothing(name: str) -> None:
    for row in rows_of(name):
        if len(row.causes) > 1:
            assert row.tell, row.code
            assert not row.proves, row.code
        if not row.causes:
            assert not row.proves, row.code


@each_file
def test_status_evidence_and_patterns(name: str) -> None:
    for row in rows_of(name):
        assert all(isinstance(status, int) and (100 <= status <= 599 or status in (0, 999)) for status in row.status), row.code
        assert row.evidence in EVIDENCE, row.code
        assert row.has or not row.match, f"{row.code} has a pattern and no fixed text"
        assert row.sample or not row.has, row.code
        assert row.has == row.has.lower(), row.code
        assert all(isinstance(text, str) and text.strip() for text in (*row.check, *row.fix, *row.aliases)), row.code


@pytest.mark.timeout(20)  # the judge: a pattern that backtracks without end does not come back
@each_file
def test_patterns_come_back_on_hostile_text(name: str) -> None:
    hostile = 'a: "b\\ (1: ' * 400
    for row in rows_of(name):
        if row.match:
            assert re.compile(row.match, re.IGNORECASE).search(hostile) is None, row.code
            re.compile(row.match, re.IGNORECASE).search(row.sample.replace(",", hostile))


def test_named_groups_are_those_that_readers_know() -> None:
    found = {group for row in rows() for group in re.compile(row.match).groupindex}
    assert all(re.fullmatch("[a-z][a-z0-9_]*", group) for group in found)


# --- bad files ---

HEAD = 'title = "T"\nwhere = "here"\nsource = "S"\nevidence = "S"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "codes/bad.toml"),
        ('title = "T"', "where is missing"),
        (HEAD + 'colour = "red"', "unknown key 'colour'"),
        (HEAD + '[[row]]\nmeans = "m"', "row 1 (no code): code is missing"),
        (HEAD + '[[row]]\ncode = "A"', "row 1 (A): means is missing"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\ncuases = ["x"]', "row 1 (A): unknown key 'cuases'"),
        (HEAD + '[[row]]\ncode = 12\nmeans = "m"', "code = 12, expected text"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\nhas = "Big"', "has = 'Big', expected lower case"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\ncauses = "x"', "causes = 'x', expected a list of text"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\nstatus = ["502"]', "status = ['502'], expected a list of whole numbers"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\nproves = "yes"', "proves = 'yes', expected true or false"),
        (HEAD + '[[row]]\ncode = "A"\nmeans = "m"\nevidence = "X"', "evidence = 'X', expected one of"),
        (HEAD.replace('evidence = "S"', 'evidence = "X"'), "evidence = 'X', expected one of"),
        ("row = 5\n" + HEAD, "row = 5, expected tables"),
        (HEAD + "row = [1]\n", "row 1: 1, expected a table"),
    ],
)
def test_a_bad_file_is_named_with_its_key(text: str, said: str) -> None:
    with pytest.raises(BadKnowledge) as error:
        parse("bad", text)
    assert said in str(error.value)
    assert "codes/bad.toml" in str(error.value)


def test_a_row_takes_over_its_files_evidence_and_product() -> None:
    (row,) = parse("ok", f'product = "nginx"\n{HEAD}[[row]]\ncode = "A"\nmeans = "m"\nstatus = [502]')
    assert (row.evidence, row.product, row.status, row.causes, row.dictionary.id) == ("S", "nginx", (502,), (), "ok")


# --- what people have in hand ---


@pytest.mark.parametrize(
    ("code", "product", "cause"),
    [
        ("AH01102", "apache", "closed-before-answer"),
        ("AH00957", "apache", "connection-refused"),
        ("ah01170", "apache", "no-healthy-server"),
        ("AH00484", "apache", "gateway-overloaded"),
        ("AH01144", "apache", "gateway-misconfigured"),
        ("AH02411", "apache", "certificate-name-mismatch"),
        ("502.1", "iis", "response-timeout"),
        ("502.2", "iis", "program-crashed"),
        ("502.3", "arr", "response-timeout"),
        ("502.4", "arr", "no-healthy-server"),
        ("502.5", "ancm", "program-start-failed"),
        ("502.3 12002", "arr", "response-timeout"),
        ("503.0", "iis", "program-not-running"),
        ("503.2", "iis", "gateway-overloaded"),
        ("400.604", "arr", "client-gone"),
        ("500.30", "ancm", "program-start-failed"),
        ("12002", "arr", "response-timeout"),
        ("0x80072EE2", "arr", "response-timeout"),
        ("0x80072efd", "arr", "connection-refused"),
        ("12175", "arr", "certificate-unknown-authority"),
        ("12206", "isa-tmg", "loop-detected"),
        ("12306", "isa-tmg", "loop-detected"),
        ("12202", "isa-tmg", "address-denied"),
        ("10061", "isa-tmg", "connection-refused"),
        ("0x80244021", "windows-update", "proxy-on-the-way"),
        ("80244021", "windows-update", "proxy-on-the-way"),
        ("0X80244022", "windows-update", "program-not-running"),
        ("0x8024401f", "windows-update", "upstream-answered-error"),
        ("ConnectRefused", "pingora", "connection-refused"),
        ("TLSHandshakeTimedout", "pingora", "tls-timeout"),
    ],
)
def test_a_well_known_code_means_what_it_should(code: str, product: str, cause: str) -> None:
    assert [row.causes[0] for row in lookup(code, product)] == [cause]


@pytest.mark.parametrize(
    ("text", "name", "cause", "proved"),
    [
        ("connect() failed (111: Connection refused) while connecting to upstream", "nginx-error", "connection-refused", True),
        ("upstream timed out (110: Operation timed out) while connecting to upstream", "nginx-error", "connection-timeout", True),
        ("upstream timed out (110: Connection timed out) while reading response header from upstream", "nginx-error",
         "response-timeout", False),
        ("upstream timed out (110: Connection timed out) while reading upstream", "nginx-error", "body-stalled", True),
        ("upstream prematurely closed connection while reading response header from upstream", "nginx-error",
         "closed-before-answer", False),
        ("recv() failed (104: Connection reset by peer) while reading response header from upstream", "nginx-error",
         "reset-before-answer", False),
        ("connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream",
         "nginx-error", "socket-missing", True),
        ("connect() to unix:/run/a.sock failed (13: Permission denied) while connecting to upstream", "nginx-error",
         "socket-forbidden", True),
        ("connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream", "nginx-error",
         "connection-prohibited", True),
        ("connect() to unix:/run/a.sock failed (11: Resource temporarily unavailable) while connecting to upstream",
         "nginx-error", "socket-backlog-full", True),
        ("connect() failed (113: Host is unreachable) while connecting to upstream", "nginx-error", "host-unreachable", True),
        ("no live upstreams while connecting to upstream", "nginx-error", "no-healthy-server", False),
        ("SSL_do_handshake() failed (SSL: error:1408F10B:SSL routines:ssl3_get_record:wrong version number) while SSL "
         "handshaking to upstream", "nginx-error", "tls-plaintext-server", True),
        ("upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking to upstream", "nginx-error",
         "certificate-expired", True),
        ("upstream SSL certificate verify error: (21:unable to verify the first certificate) while SSL handshaking to upstream",
         "nginx-error", "certificate-unknown-authority", True),
        ("upstream sent too big header while reading response header from upstream", "nginx-error", "header-section-too-large",
         False),
        ("app could not be resolved (3: Host not found)", "nginx-error", "dns-name-not-found", False),
        ("app could not be resolved (110: Operation timed out)", "nginx-error", "dns-timeout", True),
        ('host not found in upstream "app" in /etc/nginx/nginx.conf:12', "nginx-startup", "gateway-misconfigured", False),
        ("(111)Connection refused: AH00957: http: attempt to connect to 10.1.2.3:8080 (10.1.2.3:8080) failed", "apache-ah",
         "connection-refused", True),
        ("(13)Permission denied: AH00957: http: attempt to connect to 10.1.2.3:8080 (10.1.2.3:8080) failed", "apache-ah",
         "connection-prohibited", True),
        ("(70007)The timeout specified has expired: AH01102: error reading status line from remote server a:80", "apache-ah",
         "response-timeout", False),
        ("(111)Connection refused: proxy: HTTP: attempt to connect to 10.1.2.3:8080 (10.1.2.3) failed", "apache-ah",
         "connection-refused", True),
        ("(70014)End of file found: AH01102: error reading status line from remote server a:80", "apache-ah",
         "not-http-tls", False),
        ("(22)Invalid argument: AH10404: Error reading headers from backend", "apache-ah", "header-invalid", True),
        ("Reason: <strong>DNS lookup failure for: app.internal</strong>", "apache-reason", "dns-name-not-found", False),
        ("Reason: <strong>Max-Forwards has reached zero - proxy loop?</strong>", "apache-reason", "loop-detected", True),
        ("HTTP/1.1 502 Proxy Error ( The ISA Server denies the specified Uniform Resource Locator (URL).  )", "isa-tmg",
         "address-denied", False),
        ("dial tcp 172.18.0.3:8080: connect: connection refused", "go", "connection-refused", True),
        ("dial tcp: lookup app on 127.0.0.11:53: no such host", "go", "dns-name-not-found", False),
        ("'502 Bad Gateway' caused by: EOF", "traefik", "closed-before-answer", False),
        ("[2026-11-20 10:15:30 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:12)", "gunicorn", "response-timeout", False),
        ("WARNING: [pool www] server reached pm.max_children setting (5), consider raising it", "php-fpm", "upstream-overloaded",
         True),
        ("Out of memory: Killed process 4711 (python3) total-vm:1kB, anon-rss:1kB", "kernel", "program-out-of-memory", True),
        ('Service "default/web" does not have any active Endpoint.', "ingress-nginx", "no-healthy-server", False),
        ('{"message":"failure to get a peer from the ring-balancer"}', "kong", "no-healthy-server", True),
        ("Fail to proxy: Upstream ConnectTimedout context: Peer: addr: 10.1.2.3:80, status: 502", "pingora", "connection-timeout",
         True),
    ],
)  # fmt: skip
def test_a_well_known_sentence_means_what_it_should(text: str, name: str, cause: str, proved: bool) -> None:
    found = finest(text, name)
    assert found is not None
    assert found.row.causes[0] == cause
    assert (found.row.proves and len(found.row.causes) == 1) is proved


def test_facts_are_drawn_from_a_line() -> None:
    line = (
        "2026/11/20 10:15:30 [error] 31#31: *1187 connect() failed (111: Connection refused) while connecting to upstream, "
        'client: 203.0.113.9, server: app.example, request: "GET /a HTTP/1.1", '
        'upstream: "http://10.1.2.3:8080/a", host: "app.example"'
    )
    found = finest(line, "nginx-error")
    assert found is not None
    assert dict(found.groups) == {"errno": "111", "upstream": "http://10.1.2.3:8080/a"}
    assert line[found.at : found.at + len(found.text)] == found.text


def test_a_nice_line_of_nginx_means_nothing_bad() -> None:
    line = "2026/11/20 10:15:30 [notice] 31#31: signal process started"
    assert list(phrases(line, "nginx")) == []


def test_the_same_number_means_other_things_in_other_products() -> None:
    assert {row.product for row in lookup("502.5")} >= {"arr", "ancm"}
    assert {row.product for row in lookup("502.3")} >= {"iis", "arr"}


def test_only_one_products_words_when_asked() -> None:
    assert {row.product for row in lookup("502.3", "arr")} == {"arr"}
    text = '{"logger":"http.log.error","msg":"dial tcp 10.1.2.3:80: connect: connection refused"}'
    assert {found.row.product for found in phrases(text, "caddy")} <= {"caddy", ""}
    assert "caddy" in {found.row.product for found in phrases(text)}


@pytest.mark.parametrize(
    ("code", "name"),
    [("AH99999", "apache-ah"), ("0x8024F00D", "windows-update"), ("502.99", "iis-substatus"), ("12299", "isa-tmg")],
)
def test_an_unknown_code_is_recognised_by_its_shape(code: str, name: str) -> None:
    assert lookup(code) == ()
    assert name in [dictionary.id for dictionary in shapes(code)]


def test_a_word_of_no_shape_belongs_nowhere() -> None:
    assert [one.id for one in shapes("certainly not a code") if one.shape not in (".*", ".+")] == []
