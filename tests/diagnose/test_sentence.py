"""The sentence of a failure is the same whether everything on record is looked up for it, or only what it names."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.diagnose import sentence as wording
from headgate.diagnose.catalogue import catalogue
from headgate.diagnose.sentence import names, sentence, sentence_of, values
from headgate.model.exchange import Attempt, Exchange
from headgate.model.facts import Facts
from headgate.model.phases import PHASES

TEXTS = st.text(max_size=12) | st.sampled_from(["%s", "{address}", "unix:/run/app.sock", "head", "10.0.0.5:80", "a" * 400])
NUMBERS = st.integers(-1, 20_000) | st.floats(-1, 20_000)
KINDS = {"int": st.integers(-1, 20_000), "float": NUMBERS, "str": TEXTS, "bytes": st.binary(max_size=80), "bool": st.booleans()}
FACTS = st.fixed_dictionaries(
    {},
    optional={name: st.none() | KINDS[kind.__name__] for name, kind in Facts.__annotations__.items() if kind.__name__ in KINDS}
    | {"servers": st.lists(st.just({"server": "a"}), max_size=3), "allow": st.lists(TEXTS, max_size=2) | TEXTS},
)


@st.composite
def failures(draw: st.DrawFn) -> tuple[Exchange, Attempt | None, object]:
    """An exchange, its attempt if it came to one, and the facts of its failure."""
    exchange = Exchange("r1", draw(TEXTS), "http", 10.0)
    exchange.host, exchange.method, exchange.path = (draw(st.binary(max_size=20)) for _ in range(3))
    exchange.route, exchange.upstream, exchange.t_end = draw(TEXTS), draw(TEXTS), draw(st.sampled_from([-1.0, 10.5]))
    if draw(st.booleans()):
        return exchange, None, draw(FACTS)
    attempt = Attempt(draw(TEXTS), draw(TEXTS | st.just("http://app:3000")), 10.0)
    attempt.address, attempt.phase, attempt.t_end = draw(TEXTS), draw(st.sampled_from(range(len(PHASES)))), exchange.t_end
    attempt.idle, attempt.body_received, attempt.body_expected = draw(NUMBERS), draw(st.integers(0, 2)), draw(st.integers(-1, 2))
    return exchange, attempt, draw(FACTS)


@pytest.mark.parametrize("code", sorted(catalogue()))
@given(failures())
@settings(max_examples=30)
def test_looking_up_only_what_is_named_changes_nothing(
    code: str, failure: tuple[Exchange, Attempt | None, dict[str, object]]
) -> None:
    cause = catalogue()[code]
    everything = values(*failure, cause)
    told = sentence_of(*failure, cause)
    assert told == sentence(cause, everything)
    assert re.fullmatch(r"[ -~]+", told)
    assert values(*failure, cause, names(cause.sentence)).items() <= everything.items()


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_with_everything_known_the_sentence_is_the_template_with_its_values(code: str) -> None:
    cause = catalogue()[code]
    known = {name: f"<%{name}%>" for name in names(cause.sentence)}
    assert sentence(cause, known) == cause.sentence.format_map(known)


def test_values_are_no_templates() -> None:
    cause = catalogue()["connection-refused"]
    assert (
        sentence(cause, {"address": "%s{elapsed_ms}%(x)d"})
        == "Nothing listens on %s{elapsed_ms}%(x)d: the connection was refused."
    )


def test_a_wording_depends_on_nothing_but_the_names_in_the_template() -> None:
    for name, piece, words in wording._UNKNOWN:
        assert name in names(piece)
        assert set(names(words)) <= set(names(piece)) - {name}


def test_the_names_of_a_template() -> None:
    assert names("{seen} of {limit_value} ms, {seen} bytes") == ("seen", "limit_value")
