import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.render.negotiate import Offer, choose

OFFERS = (
    Offer("problem", b"application/problem+json", outright=True),
    Offer("html", b"text/html"),
    Offer("json", b"application/json"),
    Offer("text", b"text/plain"),
)
FIREFOX = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "json"),
        (b"", "json"),
        (b"*/*", "json"),  # curl, fetch, most HTTP libraries
        (FIREFOX, "html"),
        (b"application/json, text/plain, */*", "json"),  # axios
        (b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "html"),  # Java: two members break the grammar
        (b"application/problem+json, application/json", "problem"),
        (b"application/json, application/problem+json;q=0.9", "json"),
        (b"application/*", "json"),  # no range reaches problem+json
        (b"text/*", "html"),
        (b"text/*, text/html;q=0.5", "text"),  # the most specific range decides for html
        (b"text/plain", "text"),
        (b"TEXT/Plain", "text"),
        (b"text/plain;q=0.5, text/html;q=0.4", "text"),
        (b"text/html;q=0, */*", "json"),
        (b"application/json;q=0, */*;q=0.1", "html"),
        (b"text/plain;format=flowed;q=0.3, text/html;q=0.2", "text"),
        (b"text/html ; Q=0.1 , text/plain ; q=1.000", "text"),
        (b"text/html;q=1.001, text/plain;q=0.1", "text"),  # no such weight
        (b"text/html;q=, text/plain;q=0.1", "text"),
        (b"text/html;q=2", "json"),
        (b"text/ html", "json"),
        (b"image/png", "json"),
        (b"*/html", "json"),
        (b"text/html;q=0, application/json;q=0, text/plain;q=0, */*;q=0", "json"),  # an answer beats none
        (b"," * 500 + b"text/html", "json"),  # nobody sends that many members
    ],
)
def test_the_form_follows_accept(accept, expected):
    assert choose(accept, OFFERS, "json") == expected


@given(st.binary(max_size=200))
def test_any_bytes_get_a_form(accept):
    assert choose(accept, OFFERS, "json") in {"problem", "html", "json", "text"}


WEIGHTS = st.integers(0, 1000).map(lambda n: b"%d.%03d" % divmod(n, 1000))


@given(st.dictionaries(st.sampled_from([offer.media_type for offer in OFFERS]), WEIGHTS, min_size=1))
def test_the_greatest_weight_wins(weights):
    accept = b", ".join(b"%b;q=%b" % pair for pair in weights.items())
    chosen = {offer.name: offer.media_type for offer in OFFERS}[choose(accept, OFFERS, "json")]
    if any(float(weight) for weight in weights.values()):
        assert float(weights[chosen]) == max(map(float, weights.values()))
    else:
        assert chosen == b"application/json"
