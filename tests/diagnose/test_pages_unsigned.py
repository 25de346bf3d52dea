"""An error page that no known product wrote: who passed it on is said, and what would tell its author; nothing is guessed."""

from headgate.diagnose.captured import Captured
from headgate.diagnose.pages import judge_answer

BODY = b'{"error": "the pricing service is away"}'


def test_a_program_behind_a_gateway_that_shows_itself() -> None:
    told = judge_answer(Captured(status=502, fields=(("server", "nginx"), ("content-type", "application/json")), body=BODY))
    assert told.generator is None
    assert told.chain == ("you", "nginx", "?")
    assert [(one.cause, one.confidence) for one in told.suspects] == [("upstream-answered-error", "possible")]
    assert told.summary.startswith("nginx passed this 502 on, and the page is not nginx's own")
    assert len(told.actions) == 3
    assert "--origin" in told.split


def test_nobody_shows_itself() -> None:
    told = judge_answer(Captured(status=503, body=BODY))
    assert told.chain == ("you", "?")
    assert told.suspects == ()
    assert told.summary == "Nobody signed this 503: its author cannot be told."
    assert len(told.actions) == 3
