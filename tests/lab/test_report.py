"""How findings look: in the terminal, on the page, as a conversation."""

import io

from rich.console import Console

from headgate.lab.client import Sighting
from headgate.lab.conversation import conversation
from headgate.lab.report import markdown, terminal_lines
from headgate.lab.scenario import load_scenarios
from headgate.lab.score import Result
from headgate.lab.tables import compare_table, expected_text, list_table, score_table, seen_text, summary_text

SCENARIOS = load_scenarios()


def results() -> list[Result]:
    right = Result(SCENARIOS["body-truncated"], sightings=[Sighting("t", 200, "cut", ms=3)], cause="body-truncated")
    right.cause_right = True
    wrong = Result(SCENARIOS["not-http"], "broken", "answered 200", [Sighting("t", 200, "complete", ms=4)])
    return [right, wrong, Result(SCENARIOS["maintenance"], "skipped", "nothing to compare")]


def drawn(*what: object) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(*what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_score_table() -> None:
    text = drawn(*score_table(results()))
    assert "body-truncated" in text
    assert "200 cut" in text
    assert "broken: answered 200" in text
    assert "not visible" in text


def test_summary_counts_what_was_played() -> None:
    assert summary_text(results()) == "1 of 2 right, 0 differ, 1 broken; cause named in 1 of 2; 1 not played"


def test_words_for_what_was_seen() -> None:
    seen = [Sighting("t", 200, "complete"), Sighting("t", 0, "nothing"), Sighting("t", 0, "hang"), Sighting("t", 200, "hang")]
    assert seen_text(seen) == "200, no answer, hangs, 200 hangs"
    assert expected_text(SCENARIOS["body-truncated"].expect) == "200 cut"
    assert expected_text(SCENARIOS["client-gone"].expect) == "no answer"


def test_the_page_has_every_gateway_and_marks_what_is_broken() -> None:
    page = markdown({"headgate": results(), "nginx": results()}, {"nginx": "1.22.1"})
    assert "| nginx | 1.22.1 | 2 | 1 | 0 | 1 | none |" in page
    assert "| 200 cut<br>`body-truncated` | 200 cut |" in page
    assert "200 ✗" in page
    assert "**nginx**: `not-http` answered 200." in page


def test_gateways_side_by_side() -> None:
    assert "nginx" in drawn(compare_table({"headgate": results(), "nginx": results()}))
    assert terminal_lines({"envoy": results()})[0].startswith("Envoy: 1 of 2 right")


def test_list_and_conversation(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("place = 'closed'"))
    assert "http://127.0.0.1" in drawn(list_table(one.lab.layout))
    result = Result(scenario("place = 'closed'"), sightings=[Sighting("t", 502, "complete", [("server", "x")], b'{"a": 1}')])
    story = conversation(one.lab, result)
    assert "nothing: no connection reached it" in story
    assert "server: x" in story
    assert "Right is 502; right." in story
