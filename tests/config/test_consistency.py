"""Settings about staying up that contradict each other are errors, each told once, with its line; those that agree are not mentioned."""

# ruff: noqa: E501 - one mistake a line reads better

import pytest

from headgate.config.findings import BadConfig
from headgate.config.load import load

TWO = '[upstream.app]\nservers = ["http://a:3000", "http://b:3000"]\n'
ROUTE = '[[route]]\nupstream = "app"\n'


def findings(tmp_path, text):
    """Return the errors of a file, as text after its name."""
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load(file)
    return [str(finding).removeprefix(f"{file}:") for finding in caught.value.findings]


CONTRADICTIONS = {
    "a hash without a key": (
        TWO + 'policy = "ring-hash"',
        '3: upstream.app.policy: ring-hash without a key to hash; write hash_on = "client", "path", "header:NAME" or "cookie:NAME"',
    ),
    "maglev without a key": (
        TWO + 'policy = "maglev"',
        '3: upstream.app.policy: maglev without a key to hash; write hash_on = "client", "path", "header:NAME" or "cookie:NAME"',
    ),
    "a key that nothing hashes": (
        TWO + 'hash_on = "client"',
        '3: upstream.app.hash_on: least-requests hashes nothing; write policy = "ring-hash" (or "maglev"), or remove hash_on',
    ),
    "more for each server than for all": (
        TWO + "max_total_requests = 10\nmax_requests = 20",
        "4: upstream.app.max_requests: 20 for each server, but 10 for all together (max_total_requests)",
    ),
    "more requests than connections": (
        TWO + "max_requests = 50\nmax_connections = 40",
        "3: upstream.app.max_requests: 50 requests at once for each server, over 40 connections (max_connections); one connection carries one request at a time: make it no larger",
    ),
    "adaptive bounds the wrong way round": (
        TWO + "adaptive = { least = 20, most = 10 }",
        "3: upstream.app.adaptive.least: least (20) is above most (10)",
    ),
    "an adaptive least above the default most": (
        TWO + "adaptive.least = 2000",
        "3: upstream.app.adaptive.least: least (2000) is above most (1000)",
    ),
    "a queue that nobody waits in": (
        TWO + "[upstream.app.queue]\nsize = 5",
        "3: upstream.app.queue: a queue, but no limit above which requests would wait in it; write max_requests, max_connections, max_total_requests or an adaptive table, or remove the queue",
    ),
    "checks that overlap": (
        TWO + 'health.interval = "1s"',
        '3: upstream.app.health.timeout: timeout ("2s") is longer than interval ("1s"); expected timeout no longer than interval',
    ),
    "a first ejection above the longest": (
        TWO + 'ejection = { base = "2m", longest = "1m" }',
        '3: upstream.app.ejection.base: base ("2m") is longer than longest ("1m"); expected base no longer than longest',
    ),
    "a first opening above the longest": (
        TWO + 'breaker.open = "90s"',
        '3: upstream.app.breaker.open: open ("90s") is longer than longest ("1m"); expected open no longer than longest',
    ),
    "a wait above the whole exchange": (
        TWO + 'max_requests = 20\ntimeouts = { total = "5m" }\nqueue.wait = "10m"',
        '5: upstream.app.queue.wait: wait ("10m") is longer than timeouts.total ("5m"); expected wait no longer than timeouts.total',
    ),
    "a first pause above the longest": (
        TWO + 'retry.backoff = "2s"',
        '3: upstream.app.retry.backoff: backoff ("2s") is longer than longest_backoff ("1s"); expected backoff no longer than longest_backoff',
    ),
    "a hold above the whole exchange": (
        TWO + 'retry.hold = "2h"',
        '3: upstream.app.retry.hold: hold ("2h") is longer than timeouts.total ("1h"); expected hold no longer than timeouts.total',
    ),
    "a try above the whole exchange": (
        TWO + 'retry.per_try = "2h"',
        '3: upstream.app.retry.per_try: per_try ("2h") is longer than timeouts.total ("1h"); expected per_try no longer than timeouts.total',
    ),
    "a try that ends before its connect time": (
        TWO + 'timeouts.connect = "4s"\nretry.per_try = "2s"',
        '4: upstream.app.retry.per_try: per_try ("2s") ends a try before timeouts.tls ("5s") does; expected timeouts.tls no longer than per_try',
    ),
    "a try that ends before its handshake": (
        TWO + 'timeouts = { connect = "6s", tls = "2s" }\nretry.per_try = "5s"',
        '4: upstream.app.retry.per_try: per_try ("5s") ends a try before timeouts.connect ("6s") does; expected timeouts.connect no longer than per_try',
    ),
    "a hedge after the head's time": (
        TWO + 'timeouts.head = "5s"\nretry.hedge_after = "6s"',
        '4: upstream.app.retry.hedge_after: hedge_after ("6s") is longer than timeouts.head ("5s"); expected hedge_after no longer than timeouts.head',
    ),
    "a hedge after the try's time": (
        TWO + 'retry = { per_try = "1s", hedge_after = "2s" }',
        '3: upstream.app.retry.hedge_after: hedge_after ("2s") is longer than per_try ("1s"); expected hedge_after no longer than per_try',
    ),
    "a hedge without a second try": (
        TWO + 'retry = { attempts = 1, hedge_after = "100ms" }',
        "3: upstream.app.retry.hedge_after: a second server is asked, but attempts = 1 allows no second try; write attempts = 2",
    ),
    "a route's own retries": (
        TWO + 'timeouts.total = "10s"\n' + ROUTE + 'retry = { per_try = "20s", backoff = "5s", longest_backoff = "9s" }',
        '6: route[0].retry.per_try: per_try ("20s") is longer than timeouts.total ("10s"); expected per_try no longer than timeouts.total',
    ),
    "a window that is too long": (
        TWO + 'ejection.window = "2h"',
        '3: upstream.app.ejection.window: window ("2h") is too long to count over; expected at most "1h"',
    ),
    "a breaker's window that is too long": (
        TWO + 'breaker.window = "61m"',
        '3: upstream.app.breaker.window: window ("61m") is too long to count over; expected at most "1h"',
    ),
    "a cookie that needs TLS": (
        TWO + 'sticky.cookie = "__Host-seat"',
        '3: upstream.app.sticky.cookie: browsers refuse a cookie called "__Host-seat" without TLS, and gateway.tls is absent; write another name',
    ),
    "a hedge for clients that stay": (
        TWO + 'sticky = {}\nretry.hedge_after = "1s"',
        "4: upstream.app.retry.hedge_after: a second server is asked, but sticky keeps each client with one; remove one of the two",
    ),
    "a route's hedge for clients that stay": (
        TWO + "sticky = {}\n" + ROUTE + 'retry.hedge_after = "1s"',
        "6: route[0].retry.hedge_after: a second server is asked, but sticky keeps each client with one; remove one of the two",
    ),
    "an admin API for everybody": (
        TWO + '[gateway]\nadmin.listen = "0.0.0.0:9000"',
        '4: gateway.admin.listen: 0.0.0.0:9000 can be reached from other machines, and no token is asked; write token = "FILE" beside it, or listen on 127.0.0.1 or a unix socket',
    ),
    "an admin API at a name": (
        TWO + '[gateway]\nadmin.listen = "gateway.internal:9000"',
        '4: gateway.admin.listen: gateway.internal:9000 can be reached from other machines, and no token is asked; write token = "FILE" beside it, or listen on 127.0.0.1 or a unix socket',
    ),
    "an admin API for all of IPv6": (
        TWO + '[gateway]\nadmin.listen = "[::]:9000"',
        '4: gateway.admin.listen: [::]:9000 can be reached from other machines, and no token is asked; write token = "FILE" beside it, or listen on 127.0.0.1 or a unix socket',
    ),
}  # fmt: skip
"""By what is wrong: a file, and the one error that is told."""


@pytest.mark.parametrize("wrong", CONTRADICTIONS)
def test_a_contradiction_is_told_once_where_it_stands(tmp_path, wrong):
    text, expected = CONTRADICTIONS[wrong]
    assert findings(tmp_path, text) == [expected]


def test_contradictions_of_every_upstream_are_told_together(tmp_path):
    text = TWO + 'hash_on = "path"\n[upstream.b]\nservers = ["http://c"]\nretry.backoff = "5s"\n' + ROUTE
    assert [line.split(": ")[:2] for line in findings(tmp_path, text)] == [
        ["3", "upstream.app.hash_on"],
        ["6", "upstream.b.retry.backoff"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        TWO + 'policy = "ring-hash"\nhash_on = "client"',
        TWO + 'policy = "maglev"\nhash_on = "cookie:session"',
        TWO + "max_requests = 10\nmax_total_requests = 10\nmax_connections = 10",
        TWO + "max_requests = 10\nmax_total_requests = 15",  # of two servers; the third request of one waits for the other
        TWO + "max_total_requests = 5\nmax_connections = 10",
        TWO + "adaptive = { least = 5, most = 5 }\nqueue = {}",
        TWO + "max_requests = 10\nqueue = {}",
        TWO + "max_connections = 10\nqueue = {}",
        TWO + "max_total_requests = 10\nqueue = {}",
        TWO + 'health = { interval = "2s", timeout = "2s" }',
        TWO + 'ejection = { base = "5m" }',
        TWO + 'breaker = { open = "1m" }',
        TWO + 'retry.per_try = "2s"',  # below the default of timeouts.tls, which nobody asked for
        TWO + 'retry = { per_try = "2s", hedge_after = "2s" }\ntimeouts = { connect = "2s", tls = "2s" }',
        TWO + 'retry = { hedge_after = "100ms", attempts = 2, hold = "1h" }',
        TWO + ROUTE + 'retry.per_try = "1h"',
        '[[route]]\nmaintenance = true\nretry.hold = "2h"',  # no upstream to compare with
        TWO + '[gateway]\nadmin.listen = "127.0.0.1:9000"',
        TWO + '[gateway]\nadmin.listen = "127.9.9.9:9000"',
        TWO + '[gateway]\nadmin.listen = "[::1]:9000"',
        TWO + '[gateway]\nadmin.listen = "localhost:9000"',
        TWO + '[gateway]\nadmin.listen = "unix:admin.sock"',
        TWO + '[gateway]\nadmin.listen = "auto"',
        TWO + '[gateway]\nadmin.listen = "off"',
    ],
)
def test_what_agrees_is_accepted(tmp_path, text):
    file = tmp_path / "headgate.toml"
    file.write_text(text)
    assert load(file).route


# Files with secrets.


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "good").write_text("0123456789abcdef\n")
    (tmp_path / "short").write_text("  0123456789abcde \n")
    (tmp_path / "empty").touch()
    return tmp_path


@pytest.mark.parametrize("key", ["secret", "admin.token"])
@pytest.mark.parametrize("file", ["short", "empty"])
def test_a_secret_that_can_be_guessed_is_refused(secrets, key, file):
    made = f"make one: openssl rand -hex 32 > {secrets}/{file}"
    assert findings(secrets, f'{TWO}[gateway]\n{key} = "{file}"\n') == [
        f"4: gateway.{key}: {secrets}/{file} holds fewer than 16 bytes, which can be guessed; {made}"
    ]


@pytest.mark.parametrize("key", ["secret", "admin.token"])
def test_a_secret_that_cannot_be_read_is_refused(secrets, key):
    assert findings(secrets, f'{TWO}[gateway]\n{key} = "none"\n') == [
        f"4: gateway.{key}: {secrets}/none cannot be read: no such file or directory"
    ]
    assert findings(secrets, f'{TWO}[gateway]\n{key} = "."\n') == [
        f"4: gateway.{key}: {secrets} cannot be read: is a directory",
    ]


def test_with_a_token_the_admin_api_may_listen_anywhere(secrets):
    file = secrets / "headgate.toml"
    file.write_text(TWO + '[gateway]\nsecret = "good"\nadmin = { listen = "0.0.0.0:9000", token = "good" }\n')
    gateway = load(file).gateway
    assert (gateway.secret, gateway.admin.token) == (f"{secrets}/good", f"{secrets}/good")


def test_a_socket_of_the_admin_api_needs_a_folder(tmp_path):
    assert findings(tmp_path, TWO + '[gateway]\nadmin.listen = "unix:none/admin.sock"\n') == [
        f"4: gateway.admin.listen: the socket unix:{tmp_path}/none/admin.sock cannot be made: there is no folder {tmp_path}/none"
    ]
