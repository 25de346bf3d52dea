import json
from typing import Any

from headgate.control.series import RANGES, Series


class History:
    def __init__(self) -> None:
        self.asked: list[tuple[float, float, float]] = []
        self.failures: dict[str, list[int]] = {}

    def series(self, since: float, until: float, step: float) -> dict[str, Any]:
        self.asked.append((since, until, step))
        return {
            "at": [since, since + step], "step": step, "requests": [5, 6], "rescued": [0, 1], "failures": self.failures,
        }  # fmt: skip


def test_causes_are_ranked_and_the_rare_ones_are_one() -> None:
    history = History()
    history.failures = {f"cause-{n}": [n, 1] for n in range(12)} | {"connection-refused": [90, 9], "never": [0, 0]}
    told = json.loads(Series(lambda: history).told("15m", 1_790_000_003.0))
    assert [one["code"] for one in told["causes"]][:2] == ["connection-refused", "cause-11"]
    assert told["causes"][0] == {"code": "connection-refused", "title": "The server refused the connection", "values": [90, 9]}
    assert len(told["causes"]) == 10
    assert told["causes"][-1] == {"code": "", "title": "other causes", "values": [0 + 1 + 2 + 3, 4]}
    assert (told["requests"], told["rescued"], told["step"]) == ([5, 6], [0, 1], 10)
    assert history.asked == [(1_790_000_010 - 900, 1_790_000_010, 10)]


def test_steps_are_whole_and_the_answer_is_shared_for_a_second() -> None:
    history = History()
    series = Series(lambda: history)
    for name, (length, step) in RANGES.items():
        assert length % step == 0
        assert series.told(name, 1_790_000_003.0) is series.told(name, 1_790_000_003.9)
        series.told(name, 1_790_000_004.5)
        series.told(name, 1_000.0)  # the clock was set back
    assert len(history.asked) == 3 * len(RANGES)


def test_without_a_history_there_is_nothing() -> None:
    assert json.loads(Series(lambda: None).told("7d", 5.0))["at"] == []
