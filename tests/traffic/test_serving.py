"""Whether visitors are served: by one process and by several, in trouble that is whole, partial, or over."""

import json
from itertools import pairwise

import pytest

from headgate.traffic.serving import (
    CALM,
    QUIET,
    Evidence,
    Serving,
    between_trials,
    is_disturbed,
    is_down,
    packed,
    together,
    works,
)


def seen(*events, at=1000.0):
    """Return what a process saw: each event is seconds after `at`, and True for a visitor who was served."""
    serving = Serving()
    for after, served in events:
        if served:
            serving.answered(at + after, 1)
        else:
            serving.failed(at + after)
    return serving


def test_nothing_seen_works():
    assert works(Evidence(), 1000.0)
    assert works(seen((0, True)).evidence(), 1000.0)


def test_a_failure_means_trouble_until_somebody_is_served():
    serving = seen((0, False))
    for later in (0, 1, 60, 3600):
        assert not works(serving.evidence(), 1000.0 + later), "nobody has shown that it works"
    serving.answered(1004, 1)
    assert works(serving.evidence(), 1004)


def test_a_success_right_after_a_failure_does_not_yet_mean_that_it_works():
    serving = seen((0, False), (0.5, True))
    assert not works(serving.evidence(), 1000.5)
    assert works(serving.evidence(), 1000 + QUIET)


@pytest.mark.parametrize(("failing", "working", "disturbed"), [(2, False, True), (10, True, True), (50, True, False)])
def test_of_a_part_that_fails_the_share_decides(failing, working, disturbed):
    serving = seen(*((number / 20, number % failing != 0) for number in range(400)))
    now = 1000 + 399 / 20
    assert works(serving.evidence(), now) is working
    assert is_disturbed(serving.evidence(), now) is disturbed


def test_down_is_when_nobody_is_served():
    assert not is_down(seen((0, False), (1, False)).evidence())
    assert is_down(seen((0, False), (1, False), (2, False)).evidence())
    assert not is_down(seen((0, False), (1, False), (2, True), (3, False)).evidence())


def test_what_another_process_saw_counts():
    mine, other = seen((0, False), (1, False)), seen((0.5, False), (4, True))
    whole = together((mine.evidence(), other.evidence()), 1004.0)
    assert works(whole, 1004.0)
    assert (whole.failed, whole.answered, whole.begun, whole.run) == (1001.0, 1004.0, 1000.0, 0)
    assert not works(together((mine.evidence(), Evidence()), 1004.0), 1004.0)


def test_failures_of_several_add_up():
    whole = together([seen((0, False), (1, False)).evidence(), seen((1, False)).evidence()], 1001.0)
    assert is_down(whole)
    assert whole.run == 3


def test_trouble_that_is_over_is_forgotten_and_the_next_begins_anew():
    serving = seen((0, False), (1, True))
    assert serving.settle(serving.evidence(), 1002.0)
    assert not serving.settle(serving.evidence(), 1000.0 + CALM)
    assert serving.evidence().begun == 0
    serving.failed(1100.0)
    assert serving.evidence().begun == 1100.0


def test_trouble_that_ended_elsewhere_is_forgotten():
    serving, other = seen((0, False)), seen((2, True))
    assert serving.settle(serving.evidence(), 1000.0 + CALM), "nobody here was served"
    assert not serving.settle(together((serving.evidence(), other.evidence()), 1000.0 + CALM), 1000.0 + CALM)
    assert serving.evidence().run == 0


def test_trials_are_seldom_and_become_rarer():
    serving = seen((0, False))
    tried = [now for now in range(1000, 1600) if serving.may_be_tried(serving.evidence(), float(now))]
    gaps = [after - before for before, after in pairwise(tried)]
    assert tried[0] == 1002
    assert gaps == sorted(gaps)
    assert gaps[-1] == 15
    assert len(tried) < 80
    assert [between_trials(trouble) for trouble in (0, 100, 10_000)] == [2.0, 5.0, 15.0]


def test_nobody_is_sent_to_try_what_others_try_all_the_time():
    serving = Serving()
    for number in range(100):
        serving.failed(1000 + number / 2)
        assert not serving.may_be_tried(serving.evidence(), 1000.4 + number / 2)


def test_only_what_changes_is_news():
    serving = Serving()
    news = []
    for now, served in ((0, True), (1, False), (2, False), (3, True), (4, True)):
        (lambda at: serving.answered(at, 1) if served else serving.failed(at))(1000.0 + now)
        news.append(serving.news)
        serving.told()
    assert news == [False, True, False, True, False]


def test_it_survives_json():
    evidence = seen((0, False), (1, True), (1.5, False)).evidence()
    again = Evidence.of(json.loads(json.dumps(packed(evidence))))
    assert again == pytest.approx(evidence, abs=0.001)
    assert isinstance(again.run, int)


@pytest.mark.parametrize(
    "bad", [None, {}, [], [0] * 6, [0] * 8, [0, 0, 0, 0, 0, 0, -1], [float("nan")] * 7, ["1"] * 7, [True] * 7]
)
def test_nonsense_is_refused(bad):
    with pytest.raises((TypeError, ValueError)):
        Evidence.of(bad)
