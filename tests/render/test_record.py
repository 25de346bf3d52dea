"""An exchange as plain data: what is in it, what is not, and that anything fits into JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from headgate.diagnose.classify import classify
from headgate.model.exchange import Attempt, Exchange
from headgate.model.phases import HEAD
from headgate.model.signals import MALFORMED
from headgate.render.record import record


def exchange(**changes):
    made = Exchange("ref-1", "192.0.2.1", "https", 100.0)
    made.method, made.host, made.target, made.path = b"GET", b"example.org", b"/a?password=hunter2", b"/a"
    made.route, made.upstream, made.status, made.outcome, made.t_end = "shop", "app", 502, "answered", 100.25
    attempt = Attempt("app", "http://10.0.0.5:80", 100.01)
    attempt.address, attempt.phase, attempt.signal, attempt.t_end = "10.0.0.5:80", HEAD, MALFORMED, 100.2
    attempt.t_connected, attempt.t_sent, attempt.t_first = 100.02, 100.03, 100.19
    attempt.facts = {"rule": "status-line", "excerpt": b"SSH-2.0-OpenSSH\r\n", "offset": 0, "looks_like": "ssh"}
    attempt.cause = made.cause = classify(HEAD, MALFORMED, attempt.facts)
    attempt.verdict = "not-attempts"
    made.attempts.append(attempt)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_what_is_in_it():
    told = record(exchange(), 1_800_000_000.0)
    assert (told["at"], told["duration_ms"], told["cause"], told["tries"]) == (1_799_999_999.75, 250.0, "not-http-ssh", 1)
    assert told["headline"].startswith("502 not-http-ssh: ")
    assert told["next_steps"]
    (attempt,) = told["attempts"]
    assert (attempt["began_ms"], attempt["took_ms"]) == (10.0, 190.0)
    assert [step["name"] for step in attempt["steps"]] == ["connected", "request sent", "first byte", "head complete", "failed"]
    assert bytes.fromhex(attempt["excerpt"]) == b"SSH-2.0-OpenSSH\r\n"
    assert "SSH-2.0" in attempt["bytes"]
    assert any("SSH" in line or "ssh" in line for line in (*attempt["evidence"], attempt["sentence"]))


def test_secrets_stay_out():
    assert "hunter2" not in json.dumps(record(exchange(), 0.0))
    made = exchange()
    made.attempts[0].facts = {"rule": "header-name", "excerpt": b"Set-Cookie: session=abc", "offset": 3}
    told = record(made, 0.0)
    assert "abc" not in json.dumps(told)
    assert told["attempts"][0]["excerpt"] == "", "bytes with a secret in them are not told raw either"


def test_many_tries_are_not_all_told():
    made = exchange()
    made.attempts *= 40
    told = record(made, 0.0)
    assert (told["tries"], len(told["attempts"])) == (40, 12)


@given(st.binary(max_size=3000), st.binary(max_size=3000), st.text(max_size=2000), st.binary(max_size=200))
def test_anything_fits_into_json(target, host, name, excerpt):
    made = exchange(target=target, host=host, route=name, upstream=name, reference=name, client=name)
    made.attempts[0].facts = {"rule": "status-line", "excerpt": excerpt, "offset": 0, "error": name}
    text = json.dumps(record(made, 0.0))
    assert len(text) < 40_000
    assert json.loads(text)["attempts"]
