"""What may be chance is not claimed: weights are no larger than the truth."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.logs.chance import FEWEST, LIKELY, POSSIBLE, binomial, confidence, corrected, correlation, two_rates


def exact(hits: int, trials: int, chance: float) -> float:
    """The probability of at least `hits`."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(hits, trials + 1))


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_a_bound_never_claims_more_than_the_truth(trials: int, hits: int, chance: float) -> None:
    hits = min(hits, trials)
    assert math.exp(-binomial(hits, trials, chance)) >= exact(hits, trials, chance) * (1 - 1e-9)


@pytest.mark.parametrize(("hits", "trials", "chance"), [(0, 0, 0.5), (0, 10, 0.5), (5, 10, 0.5), (4, 10, 0.5), (3, 0, 0.1)])
def test_what_is_expected_weighs_nothing(hits: int, trials: int, chance: float) -> None:
    assert binomial(hits, trials, chance) == 0.0


def test_certain_and_impossible_chances_are_survived() -> None:
    assert binomial(5, 5, 1.0) == pytest.approx(0.0, abs=1e-6)
    assert 0 < binomial(5, 5, 0.0) < math.inf
    assert binomial(10, 10, 0.5) == pytest.approx(10 * math.log(2))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500), st.integers(0, 500))
def test_only_the_higher_rate_weighs(hits: int, good: int, others: int, other_good: int) -> None:
    trials, other_trials = hits + good, others + other_good
    weight = two_rates(hits, trials, others, other_trials)
    assert weight >= 0
    if trials and other_trials and hits * other_trials <= others * trials:
        assert weight == pytest.approx(0, abs=1e-9)


def test_more_of_the_same_weighs_more() -> None:
    weights = [two_rates(5 * times, 10 * times, times, 100 * times) for times in (1, 2, 4, 8)]
    assert weights == sorted(weights)
    assert weights[3] == pytest.approx(8 * weights[0])


@pytest.mark.parametrize("seed", range(20))
def test_two_like_rates_are_rarely_told_apart(seed: int) -> None:
    rng = random.Random(seed)
    one, other = (sum(rng.random() < 0.05 for _ in range(1000)) for _ in range(2))
    assert two_rates(one, 1000, other, 1000) < POSSIBLE


def test_correlation() -> None:
    up = [float(one) for one in range(20)]
    rho, weight = correlation(up, [one * one for one in up])
    assert rho == pytest.approx(0.9999)
    assert weight > LIKELY
    down, nothing = correlation(up, up[::-1])
    assert down == pytest.approx(-0.9999)
    assert nothing == 0.0
    assert correlation(up, [3.0] * 20) == (0.0, 0.0)
    assert correlation(up[:7], up[:7]) == (0.0, 0.0)


def test_equal_values_share_their_rank() -> None:
    rho, _ = correlation([1.0, 1, 1, 1, 2, 2, 2, 2], [5.0, 5, 5, 5, 7, 7, 7, 7])
    assert rho == pytest.approx(0.9999)


def test_looking_in_many_places_costs() -> None:
    assert corrected(20.0, 1) == corrected(20.0, 0) == 20.0
    assert corrected(20.0, 1000) == pytest.approx(20.0 - math.log(1000))


def test_confidence_needs_weight_and_number() -> None:
    assert confidence(LIKELY, FEWEST) == "likely"
    assert confidence(LIKELY, FEWEST - 1) == "possible"
    assert confidence(LIKELY - 0.1, 1000) == "possible"
    assert confidence(POSSIBLE - 0.1, 1000) == ""
    assert confidence(1000.0, 4) == ""
