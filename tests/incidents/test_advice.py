"""Advice: every rule proves what it says with the numbers there are, and says nothing without them."""

import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

import pytest

from headgate.config.load import from_data
from headgate.config.schema import Config
from headgate.incidents.advice import Case, above, advice, below, gathered, knowledge
from headgate.incidents.incident import Incident, Tally
from headgate.incidents.lifecycle import OPEN, RESOLVED
from headgate.incidents.weekly import RULES
from headgate.model.counted import BUCKETS, SPANS

NOW = 1_790_000_000.0
A, B, C = "http://10.0.0.5:80", "http://10.0.0.6:80", "http://10.0.0.7:80"
HOSTILE = "\x1b[31m{0} {__class__} <script>\udc80"


def config(servers: Sequence[str] = (A, B), **shop: Any) -> Config:
    gateway = shop.pop("gateway", {})
    upstream = {"servers": list(servers), **shop}
    return from_data({"gateway": gateway, "upstream": {"shop": upstream}, "route": [{"path": "/", "upstream": "shop"}]}, "/")


def incident(
    cause: str, count: int = 10, figures: Mapping[str, Sequence[float]] | None = None, *, upstream: str = "shop",
    state: str = RESOLVED, lasted: float = 5.0, phase: str = "head",
) -> Incident:  # fmt: skip
    one = Incident("7QH2ABCD", upstream, NOW - 1000, NOW - 1000 + lasted, state, failed=count, seen=count)
    one.causes[cause, phase] = Tally(one.first, one.last, count, count)
    one.figures = {cause: {name: [len(values), list(values)] for name, values in (figures or {}).items()}}
    one.servers = {A: [count, count, 0]}
    return one


def case(*incidents: Incident, set_up: Config | None = None, **more: Any) -> Case:
    return Case(NOW - 7 * 86_400, NOW, incidents, config=set_up or config(), **more)


def failed(**counts: int) -> dict[str, Any]:
    """Return upstreams of which tries failed: cause__verdict=count."""
    told = {key.replace("__", " ").replace("_", "-"): count for key, count in counts.items()}
    return {"shop": {"failed": told, "requests": 1000}}


def pair(spread: dict[float, int] | None = None, spans: dict[str, float] | None = None, timed: int = 100, **more: Any) -> Any:
    cells = [0] * (len(BUCKETS) + 1)
    for bound, count in (spread or {}).items():
        cells[BUCKETS.index(bound)] = count
    body = {"requests": sum(cells), "spread": cells, **more}
    if spans:
        body["spans"] = [timed, *(spans.get(name, 0.0) for name in SPANS)]
    return {("shop", "/"): body}


def server(timed: int, seconds: float, requests: int = 1000, failures: int = 0) -> dict[str, Any]:
    return {"timed": timed, "seconds": seconds, "requests": requests, "failed": failures}


CHANGES = [(NOW - 10 * n, "server", "is down", "shop", A) for n in range(8)]
LOST = [(NOW - 10 * n, "ejected", "was ejected", "shop", A) for n in range(8)]
LIMIT = {"limit max_total_requests": [50.0] * 4}

PROOFS: list[tuple[str, Case, str]] = [
    ("idle-too-long", case(incident("reset-on-reuse", 37, {"idle": [5.0 + n / 500 for n in range(37)]})),
     "Of resets on kept connections, 37 of 37 came 5 s after the last use, which is the default of Node.js, uvicorn, Apache "
     "httpd (5 s by default)."),
    ("idle-too-long", case(incident("closed-on-reuse", 900, {"idle": [350.0 + n for n in range(60)]}), set_up=config(
        keep_alive={"idle": "10m"})),
     "Of resets on kept connections, 60 of the 60 that were looked at, of 900, came 5 min 50 s or more after the last use."),
    ("connect-timeout-long", case(
        incident("connection-timeout", 5, {"limit timeouts.connect": [3.0] * 5}, phase="connect"),
        servers={("shop", A): server(100, 1.0)}),
     "5 tries waited the whole 3s; the usual answer, connection included, takes 10 ms."),
    ("connecting-too-much", case(pairs=pair(spans={"connect": 1.0, "tls": 2.0, "wait": 3.0})),
     "Of 100 requests that were timed, connecting and TLS took 30 ms on average, of 60 ms: hardly any came on a kept"),
    ("certificate-ends", case(present={"certificates": [{"name": "The certificate of x", "ends": NOW + 4 * 86_400}]}),
     "The certificate of x is valid until 2026-09-25 14:13 UTC."),
    ("dns-stale", case(present={"names": {"good": 3, "stale": 1, "failed": 0}}), "1 of 4 names"),
    ("dns-fails", case(incident("dns-timeout", 7, phase="resolve")), "7 tries failed because DNS did not answer as it should"),
    ("server-timer", case(
        incident("closed-before-answer", 9, {"elapsed": [30.01, 30.1, 30.2, 30.0, 30.0, 30.1, 30.2, 30.2, 4]})),
     "Of the broken answers of shop, 8 of 9 came 30 s after the request: gunicorn's worker --timeout"),
    ("body-cut-at-size", case(incident("body-truncated", 4, {"body": [1_048_576] * 4, "elapsed": [1, 2, 3, 4]}, phase="body")),
     "Of the bodies that broke off, 4 of 4 ended after exactly 1,048,576 bytes (1MiB)."),
    ("body-cut-at-time", case(
        incident("body-reset", 4, {"body": [1, 2, 3, 4], "elapsed": [60.0, 60.1, 60.2, 60.0]}, phase="body")),
     "Of the bodies that broke off, 4 of 4 did so 60 s after the request"),
    ("head-timeout-long", case(
        incident("response-timeout", 8, {"limit timeouts.head": [60.0] * 8}), pairs=pair({0.25: 5000, 60.0: 8})),
     "8 requests waited the whole 1m for an answer; 99 % of all requests are over within 248 ms."),
    ("head-timeout-short", case(
        incident("response-timeout", 8, {"limit timeouts.head": [5.0] * 8}), pairs=pair({0.25: 5000, 5.0: 300, 10.0: 8}),
        set_up=config(timeouts={"head": "5s"})),
     "8 requests were given up after 5s, and 300 of 5,308 took longer than 2.5s and were answered."),
    ("response-head-limit", case(incident("header-section-too-large", 5, {"size": [66_000, 70_000, 90_000]})),
     "5 answers were refused because of it: up to 90,000 were seen when Headgate stopped counting, and 64KiB are allowed."),
    ("response-head-limit", case(incident("too-many-headers", 5, {"size": [201, 201, 250]})), "up to 250 were seen"),
    ("hedging", case(
        pairs=pair({0.025: 9500, 1.0: 500}, {"wait": 5.0}), servers={("shop", A): server(50, 5.0), ("shop", B): server(50, 5.1)}),
     "Half of 10,000 requests take less than"),
    ("retry-budget-used-up", case(
        upstreams=failed(connection_reset__not_budget=40, connection_reset__again_idempotent=100), pairs=pair(
            {0.01: 1000}, rescued={"connection-reset again-idempotent": 90})),
     "40 failures were not tried again for want of budget, while 90 of 100 tries that failed and were repeated were saved."),
    ("retries-off", case(upstreams=failed(connection_refused__not_attempts=12), set_up=config(retry={"attempts": 1})),
     "12 failures that could safely be repeated were not, because 1 tries are allowed."),
    ("retry-body-too-large", case(upstreams=failed(connection_refused__not_body=4)),
     "4 failures were not tried again because the request's body was larger than 64KiB, and so not kept."),
    ("hold-through-restarts", case(
        incident("connection-refused", 12, phase="connect"), upstreams=failed(connection_refused__not_elsewhere=12),
        set_up=config([A])),
     "12 failures while it was away once, never longer than 5 s, and there was no other server to turn to."),
    ("second-server", case(
        incident("connection-refused", 12, phase="connect", lasted=500), upstreams=failed(connection_refused__not_elsewhere=12),
        set_up=config([A])),
     "12 failures had no other server to turn to; shop has one."),
    ("not-idempotent", case(upstreams=failed(closed_before_answer__not_idempotent=6)), "6 failures were not tried again"),
    ("requests-limit", case(incident("server-limit-reached", 40, LIMIT, phase="admit")),
     "40 requests were refused because `max_total_requests` was reached (50)."),
    ("gateway-limit", case(incident("gateway-overloaded", 4, {"limit limits.connections": [20_000]}, upstream="", phase="admit")),
     "4 requests were refused because `limits.connections` was reached (20000)."),
    ("queue-too-slow", case(
        incident("queue-timed-out", 9, {"limit queue.wait": [2.0] * 9}, phase="admit"), pairs=pair({0.1: 9}, {"before": 40.0})),
     "9 requests waited 2s and were then refused; before their turn came, requests waited 400 ms on average."),
    ("waiting-for-a-turn", case(pairs=pair({0.1: 9}, {"before": 4.0, "wait": 4.0})),
     "Of 100 requests that were timed, 40 ms of 80 ms passed on average before the last try began"),
    ("slow-server", case(servers={("shop", A): server(50, 5.0), ("shop", B): server(50, 1.0), ("shop", C): server(50, 1.1)}),
     "It takes 100 ms until its answer begins, the others of shop 21 ms (50 requests were timed)."),
    ("one-bad-server", case(servers={("shop", A): server(0, 0, 1000, 100), ("shop", B): server(0, 0, 1000, 1)}),
     "100 of 1,000 tries at it failed (10 %), against 0.1 % at the other servers of shop."),
    ("flapping", case(events=CHANGES), "It changed its state 8 times, 1.14 times a day."),
    ("flapping", case(events=LOST), "It changed its state 8 times, 1.14 times a day."),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "known", "evidence"), PROOFS, ids=[f"{n}-{proof[0]}" for n, proof in enumerate(PROOFS)])
def test_each_rule_proves_what_it_says(rule: str, known: Case, evidence: str) -> None:
    found = {one["rule"]: one for one in advice(known, RULES)}
    assert rule in found, f"found only {sorted(found)}"
    one = found[rule]
    assert evidence in one["evidence"]
    assert not re.search(r"[{}]", one["title"] + one["evidence"] + one["text"] + one["setting"])
    assert "not known" not in one["text"]


def test_every_rule_is_tried_and_every_text_is_some_rules() -> None:
    assert {rule for rule, _, _ in PROOFS} == set(knowledge())


@pytest.mark.parametrize("rule", sorted(knowledge()))
def test_every_text_is_whole(rule: str) -> None:
    texts = knowledge()[rule]
    assert set(texts) == {"title", "setting", "evidence", "text"}
    numbers = {name for _, name, _, _ in Formatter().parse(texts["evidence"]) if name}
    assert numbers, "evidence has numbers"
    assert texts["evidence"].endswith(".")


def test_a_setting_that_is_advised_exists() -> None:
    for rule, known, _ in PROOFS:
        for one in advice(known, RULES):
            key = one["setting"].split(".")
            if one["rule"] != rule or not one["setting"]:
                continue
            assert known.config is not None
            table: Any = known.config.upstream["shop"] if key[0] == "upstream" else known.config.gateway
            for part in key[2:] if key[0] == "upstream" else key[1:]:
                names = type(table).model_fields if table is not None else {}
                assert table is None or part in names, one["setting"]
                table = getattr(table, part, None)


def test_nothing_is_said_without_numbers() -> None:
    assert advice(case(), RULES) == []
    assert advice(Case(0, NOW), RULES) == []


QUIET: list[tuple[str, Case]] = [
    ("a setting that is as advised", case(
        incident("reset-on-reuse", 37, {"idle": [5.0] * 37}), set_up=config(keep_alive={"idle": "4s"}))),
    ("two resets", case(incident("reset-on-reuse", 2, {"idle": [5.0] * 2}))),
    ("resets without a rest", case(incident("reset-on-reuse", 9, {"idle": [0.01] * 9}))),
    ("answers that break off at any time", case(
        incident("closed-before-answer", 9, {"elapsed": [1, 3, 7, 12, 18, 25, 33, 42, 60]}))),
    ("bodies of any size", case(incident("body-truncated", 6, {"body": [1, 20, 300, 4000, 50_000, 600_000]}, phase="body"))),
    ("retries that do not help", case(
        upstreams=failed(connection_reset__not_budget=40, connection_reset__again_idempotent=100),
        pairs=pair({0.01: 1000}, rescued={"connection-reset again-idempotent": 3}))),
    ("an only server that is still away", case(
        incident("connection-refused", 12, phase="connect", state=OPEN), upstreams=failed(connection_refused__not_elsewhere=12),
        set_up=config([A]))),
    ("servers alike", case(servers={("shop", A): server(50, 1.0), ("shop", B): server(50, 1.2)})),
    ("a limit that was raised since", case(
        incident("header-section-too-large", 5, {"size": [66_000] * 5}),
        set_up=config(gateway={"limits": {"response_header_bytes": "1MiB"}}))),
]  # fmt: skip


@pytest.mark.parametrize(("what", "known"), QUIET, ids=[what for what, _ in QUIET])
def test_nothing_is_concluded_from(what: str, known: Case) -> None:
    assert [one["rule"] for one in advice(known, RULES)] == [], what


def test_hostile_names_are_only_text() -> None:
    known = Case(
        NOW - 86_400, NOW, [incident("reset-on-reuse", 37, {"idle": [5.0] * 37}, upstream=HOSTILE)],
        {HOSTILE: {"failed": {f"{HOSTILE} not-idempotent": 9, "x": 4}}}, {(HOSTILE, HOSTILE): {}},
        {(HOSTILE, HOSTILE): {"requests": 5}}, [(NOW, "server", HOSTILE, HOSTILE, HOSTILE)] * 9,
    )  # fmt: skip
    found = advice(known, RULES)
    assert {"idle-too-long", "not-idempotent", "flapping"} <= {one["rule"] for one in found}
    assert all(HOSTILE in one["title"] for one in found)


def test_round_numbers() -> None:
    assert [below(seconds) for seconds in (5.0, 60.0, 75.0, 2.0, 1.1, 350.0)] == [4.0, 45.0, 60.0, 1.6, 0.8, 240.0]
    assert all(below(seconds / 10) < seconds / 10 for seconds in range(1, 5000))
    assert [above(seconds) for seconds in (0.1, 0.6, 4, 61, 301)] == [0.25, 1.0, 5.0, 90.0, 360.0]
    assert gathered([]) == (0.0, 0)
    assert gathered([5.0, 9.0, 5.1, 5.05, 30.0]) == (5.0, 3)
