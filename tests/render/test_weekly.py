"""The weekly report in a terminal and as a page: what it says of much and of nothing, and that texts are only texts."""

import io
from copy import deepcopy
from typing import Any

import pytest

from headgate.render.terminal import SafeConsole
from headgate.render.weekly import chart, exact, print_report, seconds, verdict, where_time_goes
from headgate.web.report_page import page

EVIL = "\x1b[31m<script>alert(1)</script>\u202e{0}\udc80"
NOTHING: dict[str, Any] = {
    "since": 1_790_000_000.0, "until": 1_790_604_800.0, "now": 1_790_604_800.0, "known_since": None,
    "traffic": {"requests": 0, "bad": 0, "good": None, "seen": 0, "rescued": 0, "causes": [], "p50": None, "p95": None},
    "chart": {"step": 7200, "at": [], "requests": [], "failures": {}, "rescued": []}, "incidents": [], "incidents_count": 0,
    "near_misses": [], "budgets": [], "routes": [], "servers": [], "advice": [], "notes": [],
}  # fmt: skip


def much(text: str = "shop") -> dict[str, Any]:
    """Return a report with something in each part, and a text wherever one comes from outside."""
    told = deepcopy(NOTHING)
    told["traffic"] |= {"requests": 12_345, "bad": 12, "good": 1 - 12 / 12_345, "seen": 12, "rescued": 1, "p95": 0.1}
    told["chart"] |= {
        "at": [0, 7200, 14_400],
        "requests": [1, 2, 3],
        "failures": {"connection-refused": [0, 12, 0], text: [1, 0, 0]},
    }
    told["incidents"] = [{
        "id": "7QH2ABCD", "upstream": text, "server": text, "cause": "connection-refused", "phase": "connect", "state": "open",
        "severity": "seen", "first": 1_790_000_100.0, "last": 1_790_000_160.0, "resolved": None, "reopenings": 0, "failed": 13,
        "seen": 12, "rescued": 1, "clients": 3, "clients_more": False, "routes": [], "headline": text, "impact": text,
    }]  # fmt: skip
    told["incidents_count"] = 30
    told["near_misses"] = [
        {"upstream": text, "cause": "reset-on-reuse", "title": text, "how": "again-reused", "count": 1, "means": "tried again"}
    ]
    budget = {
        "route": text, "target": 0.999, "latency": 0.3, "window": 2_592_000.0, "requests": 12_345, "failed": 12, "slow": 2,
        "good": 0.9989, "allowed": 12.3, "spent": 1.1, "burn": {"1h": 2.0, "6h": None, "3d": 0.0}, "exhausted_in": 0.0,
        "state": "exhausted",
    }  # fmt: skip
    told["budgets"] = [budget, budget | {"spent": 0.25, "exhausted_in": 86_400.0, "state": "burning"}]
    told["routes"] = [{
        "route": text, "upstream": text, "requests": 12_345, "bad": 12, "mean": 0.05, "timed": 700.0, "slowest": "wait",
        "spans": {"connect": 0.1, "wait": 0.9}, "p50": 0.02, "p95": 1.5, "p99": None,
    }]  # fmt: skip
    told["servers"] = [{"upstream": text, "server": text, "reasons": [text, "it is down now"]}]
    told["advice"] = [{
        "rule": "idle-too-long", "upstream": text, "server": "", "title": text, "setting": text, "evidence": text, "text": text,
        "now": "55s", "to": "4s", "weight": 37.0,
    }]  # fmt: skip
    told["notes"] = [text]
    return told


def printed(told: dict[str, Any], *, width: int = 100, terminal: bool = False) -> str:
    console = SafeConsole(
        file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, color_system="256" if terminal else None
    )
    print_report(console, told)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_said_kindly() -> None:
    assert "there is nothing to report" in printed(NOTHING)
    assert "there is nothing to report" in page(NOTHING)
    quiet = NOTHING | {"traffic": NOTHING["traffic"] | {"requests": 5, "good": 1.0}}
    assert verdict(quiet) == "A quiet time: every one of 5 requests went well, and there was nothing to save."
    assert "Nothing that the numbers would prove." in printed(quiet)
    lost = NOTHING | {"incidents_count": 1}
    assert verdict(lost) == "1 incident; of the traffic around them nothing is known."


def test_much_is_all_there() -> None:
    said = printed(much(), width=130)
    for part in (
        "99.9028 % of 12,345 requests went well; users saw 12 failures; 1 was saved before anybody noticed; 30 incidents.",
        "1. shop  shop", "used up 1.1 times over", "2x in 1h, at this rate used up in 24 h", "75 %", "and 29 more: `headgate",
        "90 % waiting for the answer", "- it is down now", "lasted 60 s",
    ):  # fmt: skip
        assert part in said, part


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("width", [30, 80, 200])
def test_no_text_from_outside_reaches_the_terminal_as_it_is(terminal: bool, width: int) -> None:
    told = much(EVIL)
    for one in told["incidents"] + told["routes"] + told["servers"]:
        one["upstream"] = EVIL
    said = printed(told, width=width, terminal=terminal)
    assert "\x1b[31m<" not in said
    assert "\u202e" not in said
    said.encode()


def test_no_text_from_outside_becomes_part_of_the_page() -> None:
    made = page(much(EVIL.replace("\udc80", "")))
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert "99.9028 %" in made


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100 %"), (0.99999, "99.999 %"), (0.9999999, "99.9999 %"), (0.9993, "99.93 %"), (0.5, "50 %"), (0.0, "0 %")],
)
def test_a_share_is_only_whole_when_it_is_all(share: float, said: str) -> None:
    assert exact(share) == said


def test_small_words() -> None:
    assert [seconds(value) for value in (None, 0.0123, 2.0, 90.0)] == ["-", "12.3 ms", "2 s", "90 s"]
    assert where_time_goes({}) == ""
    assert chart(NOTHING["chart"]) == {"begin": 0, "width": 7200, "failed": [], "causes": []}
    assert chart(much()["chart"])["failed"] == [1, 12, 0]
