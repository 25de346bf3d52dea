"""Counts with labels are summed up over workers, outlive them, and take no nonsense."""

import json

import pytest

from headgate.control.tables import Tables, check, restored
from headgate.model.counted import BUCKETS, MOST, OTHER, SPANS

CELLS = len(BUCKETS) + 1


def tally(**changed):
    return {
        "requests": [["shop", "app", 200, "served", 3], ["shop", "app", 502, "answered", 1]],
        "failed": [["app", "connect", "connection-refused", "again-unsent", 2]],
        "durations": [["shop", "app", [1, 3] + [0] * (CELLS - 2), 0.25]],
        "ends": [["shop", "app", "connection-refused", "", 1], ["shop", "app", "connection-refused", "again-unsent", 1]],
        "spans": [["shop", "app", 2, *[0.25] * len(SPANS)]],
        "paces": [["app", "http://a:1", 2, 0.5]],
        "uncounted": 1,
        "dropped": 2,
        "unsent": 0,
        **changed,
    }


def test_sums_of_the_dead_and_the_living():
    past = Tables()
    past.add(tally())
    now = past.plus([tally(), tally(requests=[["new", "app", 200, "served", 7]])])
    assert now.requests == {
        ("shop", "app", 200, "served"): 6, ("shop", "app", 502, "answered"): 2, ("new", "app", 200, "served"): 7,
    }  # fmt: skip
    assert now.failed == {("app", "connect", "connection-refused", "again-unsent"): 6}
    assert now.ends["shop", "app", "connection-refused", "again-unsent"] == 3
    assert now.spans == {("shop", "app"): [6, *[0.75] * len(SPANS)]}
    assert now.paces == {("app", "http://a:1"): [6, 1.5]}
    assert now.durations == {("shop", "app"): [3, 9] + [0] * (CELLS - 2) + [0.75]}
    assert now.sums == {"uncounted": 3, "dropped": 6, "unsent": 0}
    assert past.requests["shop", "app", 200, "served"] == 3, "the living are added only to what is told"
    assert past.durations["shop", "app"][1] == 3


def test_a_worker_that_told_nothing_yet_counts_nothing():
    assert not Tables().plus([{}]).requests


def test_they_outlive_their_process():
    past = Tables()
    past.add(tally())
    again = restored(json.loads(json.dumps(past.snapshot())))
    assert again.snapshot() == past.snapshot()
    again.add(tally())
    assert again.requests["shop", "app", 200, "served"] == 6
    assert again.durations["shop", "app"][-1] == 0.5
    check(again.snapshot())


def test_tables_are_bounded_and_lose_nothing():
    past = Tables()
    names = [f"r{number}" for number in range(3 * MOST)]
    past.add(
        tally(
            requests=[[name, "app", 200, "served", 1] for name in names],
            failed=[[name, "connect", "connection-refused", "", 1] for name in names],
            durations=[[name, "app", [1] * CELLS, 1.0] for name in names],
        )
    )
    assert past.requests[OTHER, OTHER, 200, "served"] == MOST
    assert past.failed[OTHER, "connect", "connection-refused", ""] == MOST
    assert past.durations[OTHER, OTHER] == [MOST] * CELLS + [float(MOST)]
    assert len(past.requests) == len(past.failed) == len(past.durations) == 2 * MOST + 1
    assert sum(past.requests.values()) == 3 * MOST


@pytest.mark.parametrize(
    "changed",
    [
        {"requests": [["shop", "app", 200, "served"]]}, {"requests": [["shop", "app", "200", "served", 1]]},
        {"requests": [["shop", "app", 200, "served", 1.5]]}, {"requests": [["shop", "app", 200, "served", True]]},
        {"requests": 3}, {"requests": [[]]}, {"failed": [["app", 2, "x", "", 1]]}, {"failed": [[["app"], "a", "x", "", 1]]},
        {"durations": [["shop", "app", [1], 0.5]]}, {"durations": [["shop", "app", [0.5] * CELLS, 0.5]]},
        {"durations": [["shop", "app", [1] * CELLS, "long"]]}, {"durations": [["shop", "app"]]}, {"durations": [[1, 2, 3, 4]]},
        {"uncounted": "1"}, {"dropped": None},
    ],
)  # fmt: skip
def test_nonsense_is_refused(changed):
    with pytest.raises((TypeError, ValueError)):
        check(tally(**changed))
    with pytest.raises((TypeError, ValueError)):
        restored(tally(**changed))
