"""Which failures have one root, how sure that is, and which only follow from others."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from planted import START, Request, combined, refused, report

from headgate.diagnose.catalogue import catalogue
from headgate.lab.capture import Capture, load
from headgate.logs.analyse import analyse
from headgate.logs.entry import Entry
from headgate.logs.keep import group_of
from headgate.logs.read import read
from headgate.logs.reading import Reading
from headgate.logs.report import Report
from headgate.logs.roots import Cluster, Kind, clusters, most, word_of
from headgate.logs.telling import _how_sure
from headgate.model.diagnosis import CONFIDENCE

FIXTURES = Path(__file__).parents[1] / "fixtures" / "gateways"
KNOWN_MISSES = {("haproxy", "client-certificate-required"), ("squid", "send-reset")}
"""What their dictionaries leave out of the set."""


def entry(causes: Sequence[str], confidence: str = "possible", time: float = START, reason: str = "", status: int = 502) -> Entry:
    made = Entry("nginx", "error.log", 1)
    made.causes, made.confidence, made.time, made.reason, made.status = tuple(causes), confidence, time, reason, status
    made.path, made.host, made.made_by = "/a/b", "shop.example", "gateway"
    return made


def reading_of(entries: Sequence[Entry]) -> Reading:
    return Reading(failures=list(entries), groups=Counter(map(group_of, entries)), failed=len(entries))


def test_same_cause_same_root_the_largest_first() -> None:
    found = clusters(
        reading_of(
            [entry(["connection-refused"], "proved")] * 3
            + [entry(["response-timeout"], "proved")] * 5
            + [entry([], reason="XX")] * 4
        )
    )
    assert [(one.kind.cause, one.kind.word, one.count) for one in found] == [
        ("response-timeout", "", 5),
        ("", "XX", 4),
        ("connection-refused", "", 3),
    ]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((4, 0, 0), "proved"),
        ((2, 0, 2), "proved"),
        ((1, 1, 2), "likely"),
        ((1, 3, 0), "likely"),
        ((1, 0, 3), "possible"),
        ((0, 0, 4), "possible"),
    ],
)
def test_confidence_is_that_of_most_failures(numbers: tuple[int, int, int], said: str) -> None:
    sure = [word for word, number in zip(CONFIDENCE, numbers, strict=True) for _ in range(number)]
    (only,) = clusters(reading_of([entry(["connection-refused"], one) for one in sure]))
    assert only.confidence == said


def test_a_root_without_a_cause_is_never_more_than_possible() -> None:
    (only,) = clusters(reading_of([entry([], "proved", reason="XX")] * 9))
    assert not only.kind.named
    assert only.confidence == "possible"


def test_sentences_that_differ_in_an_address_only_are_one_root(tmp_path: Path) -> None:
    """Go writes the local port into its errors: another one each time."""
    word = "read tcp 10.0.0.9:{}->10.0.0.1:8080: read: connection reset by peer"
    senses = {word_of(word.format(port), "caddy") for port in range(40_000, 40_050)}
    assert len(senses) == 1
    assert "connection reset" in senses.pop()[0]
    (tmp_path / "caddy.log").write_text(
        "".join(
            f'{{"level":"error","ts":{START + at},"logger":"http.log.error","msg":"{word.format(40_000 + at)}","request":'
            f'{{"remote_ip":"203.0.113.1","client_ip":"203.0.113.1","proto":"HTTP/1.1","method":"GET","host":"shop.example",'
            f'"uri":"/{at}"}},"duration":0.1,"status":502}}\n'
            for at in range(60)
        )
    )
    told = analyse(read([str(tmp_path / "caddy.log")]))
    assert told.failed == 60
    assert [root.count for root in told.roots] == [60]


def test_words() -> None:
    assert word_of("SC--", "haproxy") == ("SC--", "SC--")
    assert word_of("502 157", "nginx") == ("", "")
    assert word_of("something that no dictionary has ever heard of", "nginx") == ("", "")
    assert most(["a", "b", "b"]) == "b"
    assert most([]) == ""


def test_the_likeliest_of_several_causes_is_not_lost() -> None:
    """Where no single cause is named, the first of those left open is one of `others` too."""
    causes = ("closed-before-answer", "closed-on-reuse", "program-crashed", "head-truncated", "send-reset")
    reading = reading_of([entry(causes, "possible", reason="upstream prematurely closed connection")] * 6)
    (root,) = analyse(reading).roots
    assert root.cause == ""
    assert root.others == causes


def outage(path: str = "/shop", later: float = 0.0) -> tuple[list[Entry], list[Entry]]:
    """nginx asks a dead server again every ten seconds, and in between says that none is left."""
    strikes = [entry(["connection-refused"], "proved", START + at) for at in range(0, 300, 10)]
    without = [entry(["no-healthy-server"], "likely", START + at + later) for at in range(300) if at % 10]
    for one in without:
        one.path = path
    for one in strikes:
        one.path = "/shop"
    return strikes, without


def test_no_server_left_follows_from_what_took_the_servers_out() -> None:
    strikes, without = outage()
    (root,) = analyse(reading_of([*strikes, *without])).roots
    assert (root.cause, root.count, root.follows) == ("connection-refused", 30, 270)
    assert "270 more were answered without asking any server" in root.summary[1]
    assert root.confidence == "proved"


@pytest.mark.parametrize(("path", "later"), [("/other", 0.0), ("/shop", 3600.0), ("/shop", -3600.0)])
def test_what_is_elsewhere_or_at_another_time_does_not_follow(path: str, later: float) -> None:
    strikes, without = outage(path, later)
    roots = analyse(reading_of(sorted([*strikes, *without], key=lambda one: one.time))).roots
    assert [(root.cause, root.count, root.follows) for root in roots] == [
        ("no-healthy-server", 270, 0),
        ("connection-refused", 30, 0),
    ]


def test_what_takes_no_server_out_is_not_the_reason() -> None:
    assert not catalogue()["client-gone"].strike
    _, without = outage()
    gone = [entry(["client-gone"], "proved", START + at, status=499) for at in range(0, 300, 10)]
    roots = analyse(reading_of([*gone, *without])).roots
    assert [(root.cause, root.follows) for root in roots] == [("no-healthy-server", 0), ("client-gone", 0)]


def test_what_clients_did_comes_last(tmp_path: Path) -> None:
    left = [Request(START + at, "", "/x", "203.0.113.1", "GET", 499) for at in range(30)]
    bad = [Request(START + 40 + at, "", "/x", "203.0.113.1", "GET", 502) for at in range(5)]
    told = report(tmp_path, {"access.log": "".join(map(combined, left + bad)), "error.log": "".join(map(refused, bad))})
    assert [(root.cause, root.count, root.confidence) for root in told.roots] == [
        ("connection-refused", 5, "proved"),
        ("client-gone", 30, "proved"),
    ]
    assert "86 % of these were ended by clients. The rest (14 %): The server refused the connection." in told.verdict


def test_a_root_has_remedies_that_can_be_read(tmp_path: Path) -> None:
    requests = [Request(START + at, "", f"/{chr(97 + at)}", "203.0.113.1", "GET", 502) for at in range(12)]
    told = report(tmp_path, {"access.log": "".join(map(combined, requests)), "error.log": "".join(map(refused, requests))})
    (root,) = told.roots
    assert root.summary == (
        "Nothing listens on 10.0.0.1:8080: the connection was refused.",
        "12 requests (100 % of the failures), from 10:00:00 to 10:00:11 UTC (11 s); at 10.0.0.1:8080.",
        'Proved: nginx\'s log says "connect() failed (111: Connection refused) while connecting to upstream".',
    )
    assert 2 <= len(root.actions) <= 5
    assert all(action.text for action in root.actions)
    assert any("10.0.0.1" in action.command for action in root.actions)
    assert root.operator
    assert root.admin
    assert root.who
    assert [row.name for row in root.servers] == ["10.0.0.1:8080"]
    assert [line.number for line in root.evidence] == [1, 7, 12]


def truth_of(one: Capture) -> set[str]:
    """What really happened; nothing where the failure is the client's own."""
    if one.status < 500 or not one.access or any(catalogue()[cause].fault == "client" for cause in one.causes):
        return set()
    return {"upstream-answered-error"} if one.origin == "relayed" else set(one.causes)


CAPTURES: dict[str, list[Capture]] = {}
for _one in load(FIXTURES):
    if truth_of(_one):
        CAPTURES.setdefault(_one.kind, []).append(_one)


def assembled(folder: Path, captures: Sequence[tuple[Capture, int]]) -> Report:
    """What the logs of real gateways come to, each failure so many times, each time by another request."""
    logs: dict[str, list[str]] = {}
    number = 0
    for one, times in captures:
        for _ in range(times):
            number += 1
            for name, lines in (("access", one.access), ("errors", one.errors)):
                logs.setdefault(f"{one.kind}-{name}.log", []).extend(
                    line.replace(one.token, f"lab-{number:012d}") for line in lines
                )
    files = [folder / name for name, lines in logs.items() if lines]
    for file in files:
        file.write_text("\n".join(logs[file.name]) + "\n", encoding="latin-1")
    return analyse(read([str(file) for file in files]))


def check(told: Report, truths: set[str]) -> None:
    """Nothing is called proved that did not happen; what is said is in order."""
    for root in told.roots:
        assert root.confidence != "proved" or root.cause in truths, root
        assert root.cause in catalogue() or not root.cause
        assert root.cause not in root.others
        assert set(root.others) <= set(catalogue())
        assert 0 < root.count <= told.failed
        assert root.evidence
        assert root.title
        assert all(root.summary)
        assert all(action.text for action in root.actions)


@pytest.mark.parametrize("kind", sorted(CAPTURES))
@pytest.mark.parametrize("seed", range(4))
def test_the_true_cause_of_most_failures_is_named(tmp_path: Path, kind: str, seed: int) -> None:
    """A log of a real gateway with one failure twelve times and three others twice each."""
    rng = random.Random(seed)
    first = rng.choice([one for one in CAPTURES[kind] if (kind, one.scenario) not in KNOWN_MISSES])
    others = rng.sample([one for one in CAPTURES[kind] if one is not first], 3)
    told = assembled(tmp_path, [(first, 12), *((one, 2) for one in others)])
    check(told, set().union(*map(truth_of, (first, *others))))
    root = told.roots[0]
    assert root.product == kind
    assert truth_of(first) & {root.cause, *root.others}, (first.scenario, root.cause, root.others)


@pytest.mark.parametrize("kind", sorted(CAPTURES))
def test_all_failures_of_a_gateway_in_one_log(tmp_path: Path, kind: str) -> None:
    truths = set().union(*map(truth_of, CAPTURES[kind]))
    told = assembled(tmp_path, [(one, 1) for one in CAPTURES[kind]])
    check(told, truths)
    assert told.failed >= len(CAPTURES[kind])
    assert {row.name for row in told.causes if row.confidence == "proved"} <= truths


@pytest.mark.parametrize("seed", range(3))
def test_logs_of_several_gateways_together(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    chosen = [(rng.choice(CAPTURES[kind]), 10) for kind in sorted(CAPTURES)]
    told = assembled(tmp_path, chosen)
    truths = set().union(*(truth_of(one) for one, _ in chosen))
    check(told, truths)
    open_causes = {code for root in told.roots for code in (root.cause, *root.others)}
    assert len(truths & open_causes) >= len(told.roots) // 2
    assert {file.product for file in told.files} == set(CAPTURES)


def test_several_servers_alike_share_something(tmp_path: Path) -> None:
    requests = [
        Request(START + at, f"app{1 + at % 3}", f"/{at % 7}", "203.0.113.1", status=200 if at % 5 else 503) for at in range(600)
    ]
    told = report(tmp_path, {"access.log": "".join(one.line for one in requests)})
    assert "at all of 3 servers alike: look at what they share" in told.roots[0].summary[1]
    assert [row.count for row in told.roots[0].servers] == [40, 40, 40]
    other = [replace(one, status=503) if one.upstream == "app2" else one for one in requests]
    told = report(tmp_path, {"access.log": "".join(one.line for one in other)})
    assert "; at app2 (200), " in told.roots[0].summary[1]


@pytest.mark.parametrize(
    ("number", "said"), [(2, "a or b."), (4, "a, b, c or d."), (5, "a, b, c, d or e."), (6, "a, b, c, d or one of 2 others.")]
)
def test_how_many_causes_it_may_be(number: int, said: str) -> None:
    cluster = Cluster(Kind("", "", 502), [entry(("x",), reason="502")])
    assert _how_sure(cluster, list("abcdef")[:number]).endswith(f"may stand for {said}")
