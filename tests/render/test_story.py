import pytest

from headgate.diagnose.catalogue import catalogue
from headgate.model.phases import CONNECT, SEND
from headgate.render.story import nothing_sent, tell


@pytest.mark.parametrize("code", catalogue())
def test_every_cause_has_words(code):
    cause = catalogue()[code]
    for reading in (False, True):
        for unsent in (False, True):
            story = tell(cause, reading=reading, unsent=unsent)
            assert story.headline
            assert story.drawing
            assert bool(story.sent) == (not reading and story.broken != "visitor")


@pytest.mark.parametrize(
    ("code", "headline", "broken"),
    [
        ("connection-refused", "The service is not available right now", "service"),
        ("response-timeout", "The service is taking too long", "service"),
        ("dns-name-not-found", "The service is not available", "link"),
        ("header-invalid", "The service's answer cannot be used", "service"),
        ("gateway-overloaded", "The service is very busy right now", "gateway"),
        ("server-limit-reached", "The service is very busy right now", "service"),
        ("queue-timed-out", "The service is very busy right now", "service"),
        ("circuit-open", "The service is not available right now", "service"),
        ("rate-limited", "Too many requests in a short time", "visitor"),
        ("maintenance", "Closed for maintenance", "rest"),
        ("no-route", "There is nothing at this address", "visitor"),
        ("request-framing", "This request could not be understood", "visitor"),
        ("gateway-error", "The service is not available right now", "gateway"),
    ],
)
def test_headlines_and_places(code, headline, broken):
    story = tell(catalogue()[code], reading=True, unsent=True)
    assert (story.headline, story.broken) == (headline, broken)


def test_what_was_sent_is_told_honestly():
    cause = catalogue()["gateway-stopping"]
    assert "certainly not processed" in tell(cause, reading=False, unsent=True).sent
    assert "may have been processed" in tell(cause, reading=False, unsent=False).sent


def test_nothing_sent_asks_every_attempt(failed):
    exchange = failed("connection-refused", phase=CONNECT)
    assert nothing_sent(exchange)
    exchange.attempts.append(failed("send-reset", phase=SEND).attempts[0])
    assert not nothing_sent(exchange)
    assert nothing_sent(failed("no-route"))


def test_nobody_is_advised_to_send_a_form_twice():
    refused, dead = catalogue()["connection-refused"], catalogue()["closed-on-reuse"]
    assert "reload" in tell(refused, reading=True, unsent=True).visitor
    assert "reload" not in tell(refused, reading=False, unsent=True).visitor
    assert "try again" in tell(dead, reading=True, unsent=False).visitor
    assert "try again" not in tell(dead, reading=False, unsent=False).visitor


@pytest.mark.parametrize("code", catalogue())
def test_advice_left_out_leaves_a_text(code):
    cause = catalogue()[code]
    assert tell(cause, reading=True, unsent=True).visitor
    assert len(tell(cause, reading=False, unsent=False).visitor.split()) > 5


def test_sending_later_is_advised_only_where_it_can_help():
    assert tell(catalogue()["connection-refused"], reading=False, unsent=True).sent.endswith("send it again later.")
    assert tell(catalogue()["dns-name-not-found"], reading=False, unsent=True).sent.endswith("not processed.")
