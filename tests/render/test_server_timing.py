"""Server-Timing: what happened, in milliseconds, and one legal line whatever that was."""

import re

from headgate.model.exchange import Attempt, Exchange
from headgate.render.server_timing import server_timing

LINE = re.compile(rb'Server-Timing: [a-z]+;(dur=\d+\.\d|desc="\d+")(, [a-z]+;(dur=\d+\.\d|desc="\d+"))*\r\n')


def exchange(*attempts):
    one = Exchange("r", "192.0.2.1", "http", 10.0)
    one.attempts += attempts
    return one


def fresh(start=10.0):
    one = Attempt("app", "http://app", start)
    one.t_resolved, one.t_connected, one.t_secured = start + 0.001, start + 0.003, start + 0.007
    one.t_sent, one.t_head = start + 0.0071, start + 0.0202
    return one


def test_a_new_connection():
    assert server_timing(exchange(fresh()), 10.0205) == (
        b"Server-Timing: resolve;dur=1.0, connect;dur=2.0, tls;dur=4.0, wait;dur=13.1, total;dur=20.5\r\n"
    )


def test_a_kept_connection_after_another_try():
    kept = Attempt("app", "http://app", 10.5)
    kept.t_sent, kept.t_head = 10.5001, 10.5101
    line = server_timing(exchange(fresh(), kept), 10.511)
    assert line == b'Server-Timing: wait;dur=10.0, retry;dur=500.0, tries;desc="2", total;dur=511.0\r\n'


def test_whatever_is_missing_the_line_is_legal():
    never = Attempt("app", "http://app", 10.0)
    odd = fresh()
    odd.t_resolved = -1.0
    early = fresh()
    early.t_head = early.t_sent - 1  # the answer came before the request was complete
    for one in (exchange(), exchange(never), exchange(odd), exchange(early), exchange(never, never, odd)):
        assert LINE.fullmatch(server_timing(one, 9.0))
