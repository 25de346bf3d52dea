"""Who wrote a page: every product's own answers, chains, disguises, and input that is none."""

from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.diagnose.captured import BODY_MAX, Captured
from headgate.diagnose.fingerprint import answers_of, generator_and_chain, recognise, status_of
from headgate.diagnose.heads import heads
from headgate.diagnose.products import Product, Sample, products, sample_bytes
from headgate.diagnose.proxystatus import members
from headgate.model.diagnosis import CERTAINTY, Recognised

SAMPLES = [(product, sample) for product in products().values() for sample in product.samples]
WRITTEN = [(product, sample) for product, sample in SAMPLES if sample.wrote]
NGINX = b"<html>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.24.0</center>\r\n</html>\r\n"


def name(value: object) -> str:
    return getattr(value, "file", None) or getattr(value, "id", "")


def captured(product: Product, sample: Sample) -> Captured:
    [one] = heads(sample_bytes(product.id, sample))
    return one


def answer(status: int, body: bytes = b"", **fields: str) -> Captured:
    named = tuple((key.replace("_", "-"), value) for key, value in fields.items())
    return Captured(status=status, fields=named, body=body, length=len(body))


def author(one: Captured) -> Recognised | None:
    return next((found for found in recognise(one) if found.wrote), None)


def bare(one: Captured) -> Captured:
    """The answer without anything of its head that a product could have left there."""
    return replace(one, fields=(), reason="", headless=True, length=-1)


def blank(one: Captured) -> Captured:
    """The answer without its body, whose length is not known either."""
    return replace(one, body=b"", length=-1)


@pytest.mark.parametrize(("product", "sample"), WRITTEN, ids=name)
def test_each_answer_is_given_to_its_author_and_to_nobody_as_surely(product: Product, sample: Sample) -> None:
    first, *rest = recognise(captured(product, sample))
    assert (first.product, first.name, first.wrote) == (product.id, product.name, True)
    assert first.marks
    rivals = [one for one in rest if one.wrote]
    assert all(CERTAINTY.index(one.certainty) > CERTAINTY.index(first.certainty) for one in rivals)
    assert rest == [*rivals, *(one for one in rest if not one.wrote)]


@pytest.mark.parametrize(("product", "sample"), [pair for pair in SAMPLES if not pair[1].wrote], ids=name)
def test_what_was_only_passed_on_has_no_author_and_the_product_in_its_chain(product: Product, sample: Sample) -> None:
    generator, names = generator_and_chain(captured(product, sample))
    assert generator is None
    assert product.name in names


@pytest.mark.parametrize(("product", "sample"), WRITTEN, ids=name)
def test_certain_needs_two_parts_of_the_answer_or_the_products_own_statement(product: Product, sample: Sample) -> None:
    one = captured(product, sample)
    whole = author(one)
    assert whole is not None
    for less in (bare(one), blank(replace(one, reason=""))):
        left = next((found for found in recognise(less) if found.product == product.id and found.wrote), None)
        explicit = left is not None and any(mark.weight == 5 for mark in left.marks)
        assert left is None or explicit or left.certainty != "certain"
    if whole.certainty == "certain":
        sides = {
            "body" if mark.where in ("body", "length") else "reason" if mark.where == "reason" else "head" for mark in whole.marks
        }
        assert len(sides) > 1 or any(mark.weight == 5 for mark in whole.marks)


@pytest.mark.parametrize(("product", "sample"), WRITTEN, ids=name)
def test_what_really_happened_is_within_what_the_answer_allows(product: Product, sample: Sample) -> None:
    one = captured(product, sample)
    found = author(one)
    assert found is not None
    row = answers_of(one, found)
    assert row is not None
    assert set(sample.causes) <= set(row.causes)
    if row.proves and sample.causes:
        assert sample.causes == row.causes


@pytest.mark.parametrize(("product", "sample"), WRITTEN, ids=name)
def test_a_page_that_lost_its_head_or_its_line_ends_is_never_given_to_a_stranger_for_certain(
    product: Product, sample: Sample
) -> None:
    one = captured(product, sample)
    pasted = Captured(body=one.body.replace(b"\r\n", b"\n").strip(), length=len(one.body), headless=True)
    for found in recognise(pasted):
        assert all(mark.where == "body" for mark in found.marks)
        known = products()[found.product]
        kin = {known.id, known.family} & {product.id, product.family} - {""}
        assert kin or found.certainty != "certain"


@pytest.mark.parametrize(("product", "sample"), SAMPLES, ids=name)
def test_nobody_writes_an_answer_that_is_no_error(product: Product, sample: Sample) -> None:
    for status in (200, 204, 304):
        one = replace(captured(product, sample), status=status)
        assert not any(found.wrote for found in recognise(one))
        assert generator_and_chain(one)[0] is None


def test_a_healthy_answer_names_its_chain() -> None:
    one = answer(200, b"<html>hello</html>", server="cloudflare", cf_ray="8a1b2c3d4e5f6071-FRA", x_powered_by="PHP/8.2.7")
    assert generator_and_chain(one) == (None, ("Cloudflare", "PHP-FPM"))


def test_a_chain_names_the_heir_and_not_its_ancestor_beside_it() -> None:
    assert generator_and_chain(answer(200, server="istio-envoy", x_envoy_upstream_service_time="3"))[1] == ("Istio",)
    fastly = answer(200, x_served_by="cache-fra-etou8220042-FRA", via="1.1 varnish", x_timer="S1700000000.1,VS0,VE1")
    assert generator_and_chain(fastly)[1] == ("Fastly",)


def test_a_name_of_any_proxy_in_via_is_no_mark() -> None:
    assert generator_and_chain(answer(200, via="1.1 Caddy"))[1] == ("Caddy",)
    assert generator_and_chain(answer(200, via="1.1 gateway-7"))[1] == ()


def test_words_that_every_program_may_write_are_possible_at_most() -> None:
    for body in (b'{"message": "Internal server error"}', b"Internal Server Error", b"<h1>502 Bad Gateway</h1>"):
        assert all(found.certainty == "possible" for found in recognise(answer(500, body)))


def test_a_mark_of_the_edge_and_a_page_of_another_are_a_chain() -> None:
    generator, names = generator_and_chain(answer(502, NGINX, server="cloudflare", cf_ray="8a1b2c3d4e5f6071-FRA"))
    assert generator is not None
    assert (generator.product, generator.certainty, generator.version) == ("nginx", "likely", "1.24.0")
    assert names == ("Cloudflare", "nginx")


def test_a_product_that_passes_a_relatives_page_on_stays_in_the_chain() -> None:
    generator, names = generator_and_chain(answer(502, NGINX, server="openresty"))
    assert generator is not None
    assert generator.product == "nginx"
    assert names == ("OpenResty", "nginx")


def test_a_server_field_alone_is_no_authorship() -> None:
    generator, names = generator_and_chain(answer(502, b"<h1>Our shop is taking a break</h1>", server="nginx"))
    assert generator is None
    assert names == ("nginx",)


def test_the_page_of_iis_under_the_name_of_nginx_is_called_a_possible_disguise() -> None:
    [sample] = [one for one in products()["iis"].samples if one.file == "page-behind-nginx-502.http"]
    generator, names = generator_and_chain(captured(products()["iis"], sample))
    assert generator is not None
    assert (generator.product, generator.certainty) == ("iis", "likely")
    assert "nginx" in generator.note
    assert names == ("nginx", "IIS")


def test_the_words_of_go_programs_are_likely_at_most() -> None:
    found = author(Captured(status=502, fields=(("content-type", "text/plain; charset=utf-8"),), body=b"Bad Gateway", length=11))
    assert found is not None
    assert found.certainty != "certain"
    assert "Go" in found.note


def test_an_empty_page_lists_who_answers_so_and_accuses_nobody() -> None:
    one = Captured(status=502, length=0)
    assert {found.product for found in recognise(one)} >= {"caddy", "pingora", "fly", "litespeed", "aws-elb"}
    assert all(found.certainty == "possible" for found in recognise(one))
    assert generator_and_chain(one) == (None, ())


def test_an_upstream_time_says_that_the_server_behind_envoy_answered() -> None:
    generator, names = generator_and_chain(
        answer(503, b"no healthy upstream", server="envoy", x_envoy_upstream_service_time="12")
    )
    assert generator is None
    assert names == ("Envoy",)


def test_a_length_speaks_only_where_the_page_is_not_there() -> None:
    assert author(replace(answer(503, server="awselb/2.0"), length=162)) is not None
    found = author(replace(answer(502, b"x" * 107), length=107))
    assert found is None


@pytest.mark.parametrize(
    ("status", "length", "server", "product"),
    [(502, 150, "nginx", "nginx"), (503, 592, "nginx", "nginx"), (504, 132, "awselb/2.0", "aws-alb")],
)
def test_a_length_without_its_page_agrees_with_the_server_field(status: int, length: int, server: str, product: str) -> None:
    generator, _ = generator_and_chain(replace(answer(status, server=server), length=length))
    assert generator is not None
    assert generator.product == product
    assert generator_and_chain(replace(answer(status, server="nginx"), length=1477, complete=False))[0] is None


def test_proxy_status_is_believed_before_the_page() -> None:
    one = answer(502, NGINX, server="nginx", proxy_status="Headgate; error=connection_refused")
    generator, names = generator_and_chain(one)
    assert generator is not None
    assert (generator.product, generator.certainty, generator.marks[0].where) == ("headgate", "certain", "proxy-status")
    assert names == ("nginx", "Headgate")


def test_the_member_nearest_to_the_origin_that_names_an_error_is_the_author() -> None:
    one = answer(502, proxy_status="headgate; error=connection_refused, Cloudflare; received-status=502")
    assert generator_and_chain(one)[1] == ("Cloudflare", "Headgate")


def test_an_unknown_name_in_proxy_status_is_an_author_too() -> None:
    generator, names = generator_and_chain(answer(502, proxy_status="edge-7.example; error=dns_timeout"))
    assert generator is not None
    assert (generator.product, generator.name, generator.certainty) == ("", "edge-7.example", "certain")
    assert names == ("edge-7.example",)
    assert answers_of(answer(502), generator) is None


def test_proxy_status_without_an_error_accuses_nobody() -> None:
    assert generator_and_chain(answer(502, proxy_status="Cloudflare; received-status=502")) == (None, ("Cloudflare",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a; error=dns_error", [("a", {"error": "dns_error"})]),
        ('"my, proxy"; details="say \\"no\\"; now", b', [("my, proxy", {"details": 'say "no"; now'}), ("b", {})]),
        ("a; flag; error=x", [("a", {"flag": "?1", "error": "x"})]),
        ('a; details="never closed, b', [("a", {"details": "never closed, b"})]),
        (", ,;", []),
    ],
)
def test_members_of_proxy_status(value: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert members(value) == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<title>502 Bad Gateway</title>", 502),
        (b"<html><h1>Error 503 Backend fetch failed</h1>", 503),
        (b"error code: 521", 521),
        (b"<title>Room 404</title>", 404),
        (b"<p>502</p>", 0),
        (b"", 0),
    ],
)
def test_the_status_of_a_pasted_page(body: bytes, status: int) -> None:
    assert status_of(Captured(body=body, headless=True)) == status


def test_a_pasted_page_finds_its_row() -> None:
    page = Captured(body=NGINX.replace(b"\r\n", b"\n"), headless=True)
    found = author(page)
    assert found is not None
    row = answers_of(page, found)
    assert row is not None
    assert row.status == (502,)


def test_what_an_heir_means_is_what_its_ancestor_means() -> None:
    found = author(answer(504, NGINX.replace(b"nginx/1.24.0", b"openresty").replace(b"502", b"504"), server="openresty"))
    assert found is not None
    row = answers_of(answer(504), found)
    assert row in products()["nginx"].answers


def test_marks_at_both_ends_of_a_huge_page_are_seen() -> None:
    filler = b"<p>word</p>" * (BODY_MAX // 11)
    assert author(answer(502, NGINX + filler, server="nginx")) is not None
    assert author(answer(502, (filler + NGINX)[-BODY_MAX:], server="nginx")) is not None


def test_bytes_that_are_no_text_betray_nobody() -> None:
    noise = bytes(range(256)) * 400
    assert recognise(answer(502, noise)) == []
    assert recognise(Captured(body=noise, headless=True)) == []


WORDS = sorted({rule.has for product in products().values() for rule in product.marks if rule.has})
NAMES = sorted({rule.field for product in products().values() for rule in product.marks if rule.field} | {"set-cookie", "age"})


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 999),
    st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.text(max_size=40), st.sampled_from(WORDS))), max_size=6),
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(WORDS).map(str.encode)), max_size=8),
    st.integers(-1, 600),
    st.booleans(),
)
def test_whatever_comes_it_never_raises(
    status: int, fields: list[tuple[str, str]], parts: list[bytes], length: int, headless: bool
) -> None:
    one = Captured(status=status, fields=tuple(fields), body=b"".join(parts), length=length, headless=headless)
    found = recognise(one)
    generator, names = generator_and_chain(one)
    assert all(author.certainty in CERTAINTY for author in found)
    assert [author.wrote for author in found] == sorted((author.wrote for author in found), reverse=True)
    assert generator is None or names[-1] == generator.name
    for author in found:
        answers_of(one, author)


def test_each_sample_is_registered_once() -> None:
    every = [(product.id, sample.file) for product, sample in SAMPLES]
    assert len(every) == len(set(every))
    assert len(set(chain.from_iterable(((product.id,) for product, _ in WRITTEN)))) >= 45
