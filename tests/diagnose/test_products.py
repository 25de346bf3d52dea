"""The files of products: whole, reachable, and of known causes."""

import re

import pytest

from headgate.diagnose.captured import Captured
from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.codes import EVIDENCE, BadKnowledge
from headgate.diagnose.fingerprint import answers_of
from headgate.diagnose.groups import groups
from headgate.diagnose.products import Answer, MarkRule, Product, parse, products, samples_folder
from headgate.model.diagnosis import WHO, Recognised

EVERY = list(products().values())
ROWS = [(product, number, answer) for product in EVERY for number, answer in enumerate(product.answers, 1)]
RULES = [(product, number, rule) for product in EVERY for number, rule in enumerate(product.marks, 1)]
MATRIX = {
    "nginx": {
        502: "connection-refused dns-timeout no-healthy-server certificate-expired",
        504: "connection-timeout response-timeout tls-timeout",
    },
    "apache": {
        503: "connection-refused connection-timeout no-healthy-server",
        502: "closed-before-answer response-timeout",
        500: "dns-name-not-found certificate-expired",
    },
    "haproxy": {
        503: "connection-refused connection-timeout tls-alert no-healthy-server",
        502: "closed-before-answer header-invalid",
        504: "response-timeout",
    },
    "envoy": {
        503: "connection-refused connection-timeout closed-before-answer tls-alert dns-name-not-found no-healthy-server",
        502: "header-invalid",
        504: "response-timeout",
    },
    "traefik": {
        502: "connection-refused closed-before-answer dns-name-not-found",
        500: "certificate-expired header-invalid",
        503: "no-healthy-server",
        504: "connection-timeout response-timeout",
    },
    "caddy": {
        502: "connection-refused closed-before-answer certificate-expired dns-name-not-found",
        503: "no-healthy-server",
        504: "connection-timeout response-timeout",
    },
    "varnish": {
        503: "connection-refused connection-timeout closed-before-answer header-invalid no-healthy-server response-timeout"
    },
    "squid": {
        503: "connection-refused certificate-expired dns-name-not-found",
        502: "closed-before-answer header-invalid",
        504: "response-timeout",
    },
    "pingora": {
        502: "connection-refused connection-timeout closed-before-answer header-invalid certificate-expired response-timeout"
    },
    "aws-alb": {
        502: "connection-refused closed-on-reuse header-invalid tls-alert tls-timeout",
        503: "no-healthy-server",
        504: "connection-timeout response-timeout",
    },
    "cloudflare": {
        520: "closed-before-answer header-invalid",
        521: "connection-refused",
        522: "connection-timeout",
        524: "response-timeout",
        525: "tls-alert",
        526: "certificate-expired",
        530: "dns-name-not-found",
    },
    "google-cloud": {
        502: "connection-refused response-timeout no-healthy-server",
        503: "connection-refused response-timeout no-healthy-server",
    },
    "heroku": {503: "connection-refused connection-timeout closed-before-answer response-timeout no-healthy-server"},
    "fastly": {503: "connection-refused closed-before-answer response-timeout no-healthy-server certificate-expired"},
    "iis": {
        502: "connection-refused connection-timeout closed-before-answer header-invalid "
        "certificate-expired dns-name-not-found no-healthy-server response-timeout"
    },
}
"""What a status can stand for when the product made it itself, whatever its page adds."""


def label(value: object) -> str:
    return value.id if isinstance(value, Product) else str(value) if isinstance(value, int) else "-"


@pytest.mark.parametrize("product", EVERY, ids=label)
def test_a_product_is_whole(product: Product) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", product.id)
    assert product.about
    assert product.source
    assert product.who in WHO
    assert product.family == "" or product.family in products()
    assert product.family != product.id


@pytest.mark.parametrize("product", EVERY, ids=label)
def test_a_product_has_a_sample_or_says_why_not(product: Product) -> None:
    assert product.samples or any("sample" in note for note in product.notes)
    for sample in product.samples:
        assert (samples_folder() / product.id / sample.file).is_file()
        assert sample.origin in ("capture", "source", "report")
        assert sample.of
        assert set(sample.causes) <= set(catalogue())


@pytest.mark.parametrize(("product", "number", "rule"), RULES, ids=label)
def test_a_mark_can_be_looked_for(product: Product, number: int, rule: MarkRule) -> None:
    assert re.compile(rule.match).groups >= 0
    assert rule.has == rule.has.lower()
    assert -5 <= rule.weight <= 5
    assert rule.evidence in EVIDENCE
    assert bool(rule.field) == (rule.where in ("header", "missing", "proxy-status"))
    assert bool(rule.lengths) == (rule.where == "length")
    assert rule.where not in ("body", "reason", "cookie") or rule.match or rule.has


@pytest.mark.parametrize(("product", "number", "answer"), ROWS, ids=label)
def test_a_row_names_known_causes_and_is_reached(product: Product, number: int, answer: Answer) -> None:
    assert set(answer.causes) <= set(catalogue())
    assert answer.causes
    assert answer.evidence in EVIDENCE
    assert not answer.proves or len(answer.causes) == 1
    fields = ((answer.field, answer.example),) if answer.where == "header" else ()
    reason = answer.example if answer.where == "reason" else ""
    body = answer.example.encode() if answer.where == "body" else b""
    author = Recognised(product.id, product.name, "certain", (), True)
    reached = [
        status
        for status in answer.status
        if answers_of(Captured(status=status, fields=fields, reason=reason, body=body, length=len(body)), author) is answer
    ]
    assert reached == list(answer.status)


@pytest.mark.parametrize(("product", "status", "causes"), [(p, s, c) for p, rows in MATRIX.items() for s, c in rows.items()])
def test_what_a_status_can_mean_is_complete(product: str, status: int, causes: str) -> None:
    rows = [answer for answer in products()[product].answers if status in answer.status]
    assert set(causes.split()) <= {cause for answer in rows for cause in answer.causes}


def test_a_status_that_a_product_never_makes_for_an_upstream_accuses_no_upstream() -> None:
    [row] = [answer for answer in products()["nginx"].answers if 503 in answer.status]
    assert not {"connection-refused", "response-timeout", "closed-before-answer", "no-healthy-server"} & set(row.causes)
    assert not [answer for answer in products()["varnish"].answers if {502, 504} & set(answer.status)]


def test_groups_hold_known_causes_and_are_used() -> None:
    assert {cause for causes in groups().values() for cause in causes} <= set(catalogue())


HEAD = 'name = "A"\nkind = "server"\nabout = "a"\nsource = "s"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name =", "products/a.toml"),
        (HEAD.replace("server", "teapot"), "kind = 'teapot'"),
        (HEAD + '[[mark]]\nwhere = "moon"\n', "where = 'moon'"),
        (HEAD + '[[mark]]\nwhere = "body"\ncolour = "red"\n', "mark 1: unknown key 'colour'"),
        (HEAD + '[[answer]]\nstatus = 502\nmeans = "m"\ncauses = ["@nowhere"]\n', "answer 1: '@nowhere'"),
        ('name = "A"\n', "products/a.toml"),
    ],
)
def test_a_broken_file_is_named(text: str, complaint: str) -> None:
    with pytest.raises(BadKnowledge, match=re.escape(complaint)):
        parse("a", text)


def test_a_group_stands_for_its_causes_each_once() -> None:
    text = HEAD + '[[answer]]\nstatus = 502\nmeans = "m"\ncauses = ["response-timeout", "@slow"]\n'
    assert parse("a", text).answers[0].causes == ("response-timeout", "head-stalled", "send-timeout")
