"""Each comparison of looks says what it proves, and nothing when the looks do not allow it."""

from typing import Any

import pytest

from headgate.diagnose.captured import Captured
from headgate.diagnose.clues import clues, grouped
from headgate.diagnose.looks import Look


def look(kind: str, ok: bool | None, seconds: float = 0.01, fields: dict[str, str] | None = None, **facts: Any) -> Look:
    status = 200 if ok else 502
    captured = (
        Captured(status=status, fields=tuple((fields or {}).items()), seconds=seconds)
        if kind not in ("tcp", "tls", "dns")
        else None
    )
    return Look(kind, f"{kind} look", ok, str(status), captured=captured, facts=facts)


def told(*looks: Look) -> dict[str, tuple[str, ...]]:
    return {one.source: one.causes for one in clues(grouped(looks))}


GOOD, BAD = True, False


@pytest.mark.parametrize(("kind", "cause"), [
    ("no-cookies", "header-section-too-large"),
    ("agent", "blocked-by-firewall"),
    ("identity", "content-coding-invalid"),
    ("http1", "http2-error"),
    ("no-cache", "error-cached"),
    ("head", "program-crashed"),
])  # fmt: skip
def test_what_works_with_one_thing_changed_names_that_thing(kind: str, cause: str) -> None:
    assert told(look("get", BAD), look(kind, GOOD))[kind][0] == cause
    assert kind not in told(look("get", BAD), look(kind, BAD))
    assert told(look("get", GOOD), look(kind, GOOD)).get(kind) is None


@pytest.mark.parametrize("kind", ["no-cookies", "agent", "identity", "http1", "no-cache", "head"])
def test_a_flaky_site_proves_nothing_by_variation(kind: str) -> None:
    found = told(look("get", BAD), look(kind, GOOD), look("repeat", GOOD), look("repeat", BAD), look("repeat", GOOD))
    assert kind not in found


def test_only_the_cached_copy_works() -> None:
    assert told(look("get", GOOD), look("no-cache", BAD))["no-cache"] == ()


def test_paths() -> None:
    def text(*oks: bool) -> str:
        found = list(clues(grouped([look("get", BAD), *(look("path", ok, path=f"/{n}") for n, ok in enumerate(oks))])))
        return found[0].text if found else ""

    assert "only this one fails" in text(GOOD, GOOD)
    assert "one part of the site" in text(GOOD, BAD)
    assert "as a whole" in text(BAD, BAD)
    assert text() == ""


def test_one_bad_node_is_named() -> None:
    nodes = [look("repeat", ok, fields={"x-served-by": "b" if ok else "a"}) for ok in (GOOD, BAD, GOOD, BAD)]
    texts = [one.text for one in clues(grouped([look("get", BAD, fields={"x-served-by": "a"}), *nodes]))]
    assert "3 of 5 equal requests failed" in texts
    assert any("x-served-by: a" in text for text in texts)


def test_alternation() -> None:
    texts = [
        one.text for one in clues(grouped([look("get", BAD), look("repeat", GOOD), look("repeat", BAD), look("repeat", GOOD)]))
    ]
    assert any("alternate" in text for text in texts)


def test_instant_and_rare_is_the_race_and_late_is_not() -> None:
    fast = [look("get", GOOD), look("repeat", GOOD), look("repeat", BAD, 0.004), look("repeat", GOOD), look("repeat", GOOD)]
    late = [look("get", GOOD), look("repeat", GOOD), look("repeat", BAD, 20.0), look("repeat", GOOD), look("repeat", GOOD)]
    assert [one.causes for one in clues(grouped(fast)) if one.causes] == [("closed-on-reuse", "reset-on-reuse")]
    assert [one.causes for one in clues(grouped(late)) if one.causes] == []


def test_two_tries_are_no_statistics() -> None:
    assert told(look("get", BAD), look("repeat", GOOD)) == {}


def test_kept_connections() -> None:
    assert told(look("get", GOOD), look("kept", GOOD, idle=0), look("kept", BAD, idle=6))["kept"] == ("closed-on-reuse",)
    assert "kept" not in told(look("get", GOOD), look("kept", BAD, idle=0), look("kept", BAD, idle=6))


def test_families() -> None:
    four, six = (
        look("tcp", GOOD, family="IPv4", address="192.0.2.1:80"),
        look("tcp", BAD, family="IPv6", address="[2001:db8::1]:80"),
    )
    assert told(look("get", GOOD), four, six)["tcp"] == ("ipv6-broken",)
    assert told(look("get", BAD), four, six)["tcp"] == (), "an error page by IPv4 is not explained by IPv6"
    mixed = [look("tcp", ok, family="IPv4", address=f"192.0.2.{n}:80") for n, ok in enumerate((GOOD, BAD))]
    assert "1 of 2 addresses" in next(one.text for one in clues(grouped(mixed)))


def test_resolvers() -> None:
    def text(system: Look, other: Look) -> str:
        return next((one.text for one in clues(grouped([system, other]))), "")

    known = look("dns", GOOD, resolver="1.1.1.1", a=["192.0.2.1"])
    assert "your own DNS" in text(look("dns", BAD, resolver="system"), known)
    assert "internal name" in text(look("dns", GOOD, resolver="system", a=["10.0.0.1"]), look("dns", BAD, resolver="1.1.1.1"))
    assert "different addresses" in text(look("dns", GOOD, resolver="system", a=["192.0.2.9"]), known)
    assert text(look("dns", GOOD, resolver="system", a=["192.0.2.1", "192.0.2.2"]), known) == ""


def test_proxies_origins_and_other_places() -> None:
    assert told(look("get", GOOD), look("via-proxy", BAD))["via-proxy"] == ("proxy-on-the-way",)
    assert told(look("get", BAD), look("origin", BAD))["origin"] == ("upstream-answered-error",)
    assert told(look("get", BAD), look("origin", GOOD))["origin"] == ()
    assert told(look("get", BAD), look("vantage", GOOD))["vantage"] == ()


def test_certificates() -> None:
    def shown(until: str, **facts: Any) -> Look:
        return look("tls", GOOD, certificate={"not_after": until}, **facts)

    assert "different certificates" in next(one.text for one in clues(grouped([shown("2027"), shown("2026")])))
    assert "expires in 3 days" in next(one.text for one in clues(grouped([shown("2027", days_left=3.2)])))


def test_failures_that_all_take_the_same_long_time_are_ended_by_a_limit() -> None:
    def text(*seconds: float) -> str:
        kinds = ("get", "no-cache", "agent", "repeat")
        found = clues(grouped([look(kind, BAD, one) for kind, one in zip(kinds, seconds, strict=False)]))
        return " ".join(one.text for one in found if one.source == "timing")

    assert "a time limit of 3 s ends it" in text(3.001, 3.004, 3.002)
    assert text(3.0, 3.5, 3.1) == ""
    assert text(0.3, 0.3, 0.3) == ""
    assert text(3.0, 3.0) == ""


def test_paths_that_fail_otherwise_are_not_alike() -> None:
    other = Captured(status=504, seconds=0.01)
    paths = [Look("path", "path look", BAD, "504", captured=other), look("path", BAD)]
    assert "path" not in told(look("get", BAD), *paths)
