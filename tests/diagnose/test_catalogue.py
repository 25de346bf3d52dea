"""The catalogue loads, covers RFC 9209, reads well for each of its readers, and refuses files that break its rules."""

import re
import string
import tomllib
from importlib.resources import files

import pytest

from headgate.diagnose.catalogue import SECTIONS, BadCause, catalogue, parse_cause
from headgate.model.cause import FAULTS, RETRIES, Cause
from headgate.model.facts import Facts
from headgate.model.phases import PHASES, SEND

CAUSES = list(catalogue().values())
each_cause = pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)

RECOMMENDED: dict[str, range | set[int]] = {  # RFC 9209 2.3: error type → status
    "dns_timeout": {504},
    "dns_error": {502},
    "destination_not_found": {500},
    "destination_unavailable": {503},
    "destination_ip_prohibited": {502},
    "destination_ip_unroutable": {502},
    "connection_refused": {502},
    "connection_terminated": {502},
    "connection_timeout": {504},
    "connection_read_timeout": {504},
    "connection_write_timeout": {504},
    "connection_limit_reached": {503},
    "tls_protocol_error": {502},
    "tls_certificate_error": {502},
    "tls_alert_received": {502},
    "http_request_error": range(400, 499),  # "the applicable 4xx"; 499 is no registered status
    "http_request_denied": {403},
    "http_response_incomplete": {502},
    "http_response_header_section_size": {502},
    "http_response_header_size": {502},
    "http_response_body_size": {502},
    "http_response_trailer_section_size": {502},
    "http_response_trailer_size": {502},
    "http_response_transfer_coding": {502},
    "http_response_content_coding": {502},
    "http_response_timeout": {504},
    "http_upgrade_failed": {502},
    "http_protocol_error": {502},
    "proxy_internal_response": range(400, 600),  # "the most appropriate status code for the response"
    "proxy_internal_error": {500},
    "proxy_configuration_error": {500},
    "proxy_loop_detected": {502},
}
IN_EVERY_SENTENCE = {
    "address", "server", "upstream", "route", "client", "host", "path", "method", "phase", "server_count",
}  # fmt: skip
LONGEST_SENTENCE = 400
JARGON = re.compile(
    r"\b(upstreams?|downstream|backends?|proxy|proxies|gateways?|servers? pool|sockets?|errno|tcp|udp|ip|rst|fin|syn|tls|ssl|"
    r"http|https(?!://)|dns|nxdomain|servfail|headers?|chunk(ed|s)?|framing|payload|handshake|kernel|packets?|firewall|ports?|"
    r"timeout|timed out|eof|null|exception|stack|config|configuration|headgate|nginx|api)\b|[45]\d\d\b",
    re.IGNORECASE,
)
BEFORE_SEND = {*PHASES[:SEND], "any"}


def good_file(**changes: object) -> str:
    """Return a valid cause's file called "sample", with changed keys (None: left out)."""
    row: dict[str, object] = {
        "code": '"sample"', "title": '"A sample"', "phase": '"connect"', "fault": '"network"', "error": '"connection_refused"',
        "status": 502, "retry": '"unsent"', "strike": "true", "temporary": "true", "sentence": '"{address} refused."',
    }  # fmt: skip
    front = "".join(f"{key} = {value}\n" for key, value in (row | changes).items() if value is not None)
    return f"+++\n{front}+++\n\n" + "".join(f"## {heading}\nText of {heading}.\n\n" for heading in SECTIONS)


def test_there_are_at_least_fifty_causes_in_the_order_of_the_phases() -> None:
    order = [(*PHASES, "any").index(cause.phase) for cause in CAUSES]
    assert len(CAUSES) >= 50
    assert order == sorted(order)


def test_every_error_type_of_rfc_9209_is_used_and_no_other() -> None:
    assert {cause.error for cause in CAUSES} == RECOMMENDED.keys()


def test_titles_differ() -> None:
    titles = [cause.title for cause in CAUSES]
    assert sorted(set(titles)) == sorted(titles)


@each_cause
def test_status_is_the_recommended_one_or_the_file_says_why_not(cause: Cause) -> None:
    assert (cause.status in RECOMMENDED[cause.error]) is not bool(cause.deviation)


@each_cause
def test_a_fault_of_the_server_is_never_a_500_and_a_client_never_a_strike(cause: Cause) -> None:
    if cause.fault in ("upstream", "network", "dns", "tls"):
        assert cause.status in (502, 503, 504)
    if cause.fault in ("client", "gateway"):
        assert not cause.strike


@each_cause
def test_unsent_is_said_only_of_phases_before_sending(cause: Cause) -> None:
    if cause.retry == "unsent":
        assert cause.phase in BEFORE_SEND


@each_cause
def test_title_is_one_short_line_without_full_stop(cause: Cause) -> None:
    assert re.fullmatch(r"[A-Z][^\n|]{3,70}[^.\n|]", cause.title)
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cause.code)


@each_cause
def test_sentence_uses_only_what_a_record_can_hold(cause: Cause) -> None:
    fields = {name for _, name, _, _ in string.Formatter().parse(cause.sentence) if name is not None}
    assert fields <= Facts.__annotations__.keys() | IN_EVERY_SENTENCE
    assert len(cause.sentence) <= LONGEST_SENTENCE
    assert "\n" not in cause.sentence


@each_cause
def test_prose_has_every_section_in_order(cause: Cause) -> None:
    assert tuple(cause.sections) == SECTIONS
    assert all(cause.sections.values())


@each_cause
def test_lists_are_lists_and_checks_name_a_command(cause: Cause) -> None:
    for heading in ("Usual reasons", "What to check", "How to fix", "How to prevent"):
        lines = cause.sections.get(heading, "").splitlines()
        assert lines, heading
        assert all(line.startswith(("- ", "  ")) for line in lines if line), heading
    assert re.search(r"`[^`]+`", cause.sections["What to check"])


@each_cause
def test_backticks_and_brackets_are_closed(cause: Cause) -> None:
    for heading, text in cause.sections.items():
        assert all(line.count("`") % 2 == 0 for line in text.splitlines()), heading


@each_cause
def test_visitor_reads_plain_words(cause: Cause) -> None:
    text = cause.sections.get("Visitor", "")
    assert text
    assert len(text) <= LONGEST_SENTENCE
    assert "\n\n" not in text
    assert not re.search(r"[`*_<>\[\]]|!", text), "plain text, and calm"
    assert JARGON.findall(text) == []


def test_jargon_would_be_noticed() -> None:
    assert JARGON.search("The upstream server refused the TCP connection.")
    assert JARGON.search("It answered 502.")
    assert not JARGON.search("The website's server is being restarted. Check that the address begins with https:// and reload.")


def test_a_good_file_is_read_whole() -> None:
    cause = parse_cause("sample", good_file(aliases='["ECONNREFUSED", "111"]'))
    assert (cause.code, cause.status, cause.retry, cause.strike) == ("sample", 502, "unsent", True)
    assert cause.aliases == ("ECONNREFUSED", "111")
    assert cause.sections["Visitor"] == "Text of Visitor."
    assert tuple(cause.sections) == SECTIONS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (good_file(colour='"red"'), r"unknown key 'colour', expected some of aliases, code"),
        (good_file(sections='"x"'), r"unknown key 'sections'"),
        (good_file(code='"other"'), r"code = 'other', expected the file's name, 'sample'"),
        (good_file(code=None), r"code = None, expected the file's name, 'sample'"),
        (good_file(phase='"dial"'), r"phase = 'dial', expected one of admit, resolve"),
        (good_file(phase=None), r"phase = None, expected one of admit"),
        (good_file(fault='"nobody"'), r"fault = 'nobody', expected one of upstream"),
        (good_file(retry='"always"'), r"retry = 'always', expected one of never"),
        (good_file(status='"502"'), r"status = '502', expected int"),
        (good_file(status="true"), r"status = True, expected int"),
        (good_file(strike="1"), r"strike = 1, expected bool"),
        (good_file(aliases='"ECONNREFUSED"'), r"aliases = 'ECONNREFUSED', expected list"),
        (good_file(sentence=None), r"missing.*'sentence'"),
        (good_file(title='"open'), r"expected TOML between two lines of \+\+\+ \(.+line 2"),
        ("## Visitor\nNo front matter.\n", r"expected TOML between two lines of \+\+\+"),
        ('+++\ncode = "sample"\n', r"expected TOML between two lines of \+\+\+"),
        ("", r"expected TOML between two lines of \+\+\+"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_key(text: str, message: str) -> None:
    with pytest.raises(BadCause, match=r"causes/sample\.md: .*" + message):
        parse_cause("sample", text)


@pytest.mark.parametrize(("key", "allowed"), [("fault", FAULTS), ("retry", RETRIES), ("phase", (*PHASES, "any"))])
def test_every_value_of_a_closed_list_is_accepted(key: str, allowed: tuple[str, ...]) -> None:
    for value in allowed:
        assert getattr(parse_cause("sample", good_file(**{key: f'"{value}"'})), key) == value


def test_the_front_matter_of_every_file_is_a_cause_of_its_own_name() -> None:
    folder = files("headgate") / "knowledge" / "causes"
    names = {entry.name.removesuffix(".md") for entry in folder.iterdir()}
    assert names == catalogue().keys()
    for name in names:
        assert tomllib.loads((folder / f"{name}.md").read_text(encoding="utf-8").split("+++\n")[1])["code"] == name
