"""Owns what varying one thing at a time tells: each clue compares two looks and says which causes it speaks for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from .looks import Look


@dataclass(frozen=True, slots=True)
class Clue:
    """What a comparison showed."""

    text: str
    source: str
    causes: tuple[str, ...] = ()  # it speaks for these, likeliest first
    confidence: str = "likely"
    forces: bool = False  # True: they count even where the author of the page is not known to mean them


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks of one examination, by kind."""

    all: Sequence[Look]
    by_kind: dict[str, list[Look]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Look]:
        """Return the looks of a kind, in order."""
        return self.by_kind.get(kind, [])

    def first(self, kind: str) -> Look | None:
        """Return the first look of a kind, None where there is none."""
        found = self.of(kind)
        return found[0] if found else None


def grouped(looks: Sequence[Look]) -> Looks:
    """Return looks with an index by kind. Of several "get" the last stands first: the others were redirects on the way to it."""
    found: dict[str, list[Look]] = {}
    for look in looks:
        found.setdefault(look.kind, []).append(look)
    if gets := found.get("get"):
        found["get"] = gets[-1:]
    return Looks(looks, found)


def failed(look: Look | None) -> bool:
    """Whether a look was made and failed."""
    return look is not None and look.ok is False


def worked(look: Look | None) -> bool:
    """Whether a look was made and worked."""
    return look is not None and look.ok is True


_SAME_WORK: Final = ("repeat", "no-cache", "agent", "identity", "no-cookies")
"""Kinds of looks that ask the server for the same work."""
_WITHOUT: Final = (
    ("no-cookies", "Without your cookies and fields it works: they, or what the program makes of them, are too much",
     ("header-section-too-large", "request-header-too-large", "program-crashed")),
    ("agent", "As another browser it works: something filters by User-Agent", ("blocked-by-firewall",)),
    ("identity", "Without compression it works: the compressed answer is broken", ("content-coding-invalid",)),
    ("http1", "By HTTP/1.1 it works, by HTTP/2 it fails", ("http2-error", "length-conflict")),
)  # fmt: skip
"""Variations after which the request works: kind, what that means, and the causes it speaks for."""


def clues(looks: Looks) -> Iterator[Clue]:
    """Yield what comparisons show, where the plain request failed or another one did."""
    for one in _ALL:
        yield from one(looks)


def _variations(looks: Looks) -> Iterator[Clue]:
    if not failed(looks.first("get")) or _flaky(looks):
        return
    for kind, text, causes in _WITHOUT:
        if worked(looks.first(kind)):
            yield Clue(text, kind, causes, "likely", forces=True)


def _flaky(looks: Looks) -> bool:
    """Whether the same request now works, now fails: then no variation proves anything."""
    if any(one.facts.get("redirect_loop") for one in looks.of("get")):
        return False  # each step of a circle works
    return any(worked(one) for one in looks.of("repeat")) and any(failed(one) for one in (*looks.of("get"), *looks.of("repeat")))


def _cache(looks: Looks) -> Iterator[Clue]:
    get, fresh = looks.first("get"), looks.first("no-cache")
    if failed(get) and worked(fresh) and not _flaky(looks):
        yield Clue(
            "Past the caches it works: an old error is kept in a cache", "no-cache", ("error-cached",), "likely", forces=True
        )
    elif worked(get) and failed(fresh):
        yield Clue("Only the cached copy works: behind the cache the site fails, and will fail for everybody soon", "no-cache")


def _head(looks: Looks) -> Iterator[Clue]:
    get, head = looks.first("get"), looks.first("head")
    if failed(get) and worked(head) and not _flaky(looks):
        yield Clue(
            "HEAD works and GET fails: making or relaying the body is what breaks", "head",
            ("program-crashed", "body-truncated", "response-body-too-large", "content-coding-invalid"),
        )  # fmt: skip
    elif worked(get) and failed(head):
        yield Clue("Only HEAD fails: the program mishandles that method; the site is not down", "head")


def _paths(looks: Looks) -> Iterator[Clue]:
    paths = looks.of("path")
    good, bad = [one for one in paths if worked(one)], [one for one in paths if failed(one)]
    if not paths or not failed(looks.first("get")):
        return
    if good and not bad:
        yield Clue(f"Other paths work ({_names(good)}): only this one fails, or what is behind it", "path")
    elif good:
        yield Clue(f"Some paths work ({_names(good)}), others fail ({_names(bad)}): one part of the site is down", "path")
    elif len(bad) > 1 and len({_status(one) for one in (looks.first("get"), *bad)}) == 1:
        yield Clue(f"All {len(bad) + 1} paths fail alike: it is the server behind the gateway as a whole, not one page", "path")


def _status(look: Look | None) -> int:
    return look.captured.status if look is not None and look.captured is not None else 0


def _times(looks: Looks) -> Iterator[Clue]:
    """Failures that all take the same long time are ended by somebody's limit."""
    bad = [one for kind in ("get", *_SAME_WORK) for one in looks.of(kind) if failed(one) and one.captured is not None]
    times = [one.captured.seconds for one in bad if one.captured is not None and one.captured.status >= 500]
    if len(times) < 3 or min(times) < 0.9 or max(times) - min(times) > max(0.06, 0.02 * min(times)):
        return
    whose = "of the gateway's" if _status(bad[0]) == 504 else "of the gateway's, or of the program's own that then hangs up"
    yield Clue(f"Each failure takes {times[0]:.2g} s: a time limit of {round(times[0], 1):g} s ends it, {whose}", "timing")


def _names(looks: Sequence[Look]) -> str:
    return ", ".join(str(one.facts.get("path") or one.label) for one in looks[:3])


def _repeats(looks: Looks) -> Iterator[Clue]:
    same = [one for one in (*looks.of("get"), *looks.of("repeat")) if one.ok is not None]
    bad = [one for one in same if failed(one)]
    if len(same) < 3 or not bad or len(bad) == len(same) or any(one.facts.get("redirect_loop") for one in same):
        return
    yield Clue(f"{len(bad)} of {len(same)} equal requests failed", "repeat")
    if nodes := _bad_nodes(same):
        yield Clue(f"Only answers of {nodes} failed: one of several servers is broken", "repeat")
    elif len(same) >= 4 and _alternates(same):
        yield Clue(
            "Success and failure alternate: of two servers one is broken",
            "repeat",
            ("connection-refused", "no-healthy-server"),
            "possible",
        )
    elif all(0 <= (one.captured.seconds if one.captured else -1) < 0.1 for one in bad):
        yield Clue(
            "It fails now and then, and at once: a kept connection that the server had just closed does that",
            "repeat",
            ("closed-on-reuse", "reset-on-reuse"),
            "likely",
        )


def _alternates(same: Sequence[Look]) -> bool:
    return all(first.ok != second.ok for first, second in pairwise(same))


_NODE_FIELDS: Final = ("x-served-by", "x-backend-server", "x-server", "via", "x-amz-cf-pop", "server")


def _bad_nodes(same: Sequence[Look]) -> str:
    """Return the name of the node that all failures and no successes show, "" where none does."""
    for name in _NODE_FIELDS:
        bad = {one.captured.header(name) for one in same if failed(one) and one.captured}
        good = {one.captured.header(name) for one in same if worked(one) and one.captured}
        if len(bad) == 1 and len(good) > 0 and "" not in bad | good and not bad & good and name != "server":
            return f"{name}: {bad.pop()}"
    addresses_bad = {str(one.facts.get("address", "")) for one in same if failed(one)}
    addresses_good = {str(one.facts.get("address", "")) for one in same if worked(one)}
    if (
        len(addresses_bad) == 1
        and addresses_good
        and "" not in addresses_bad | addresses_good
        and not addresses_bad & addresses_good
    ):
        return f"address {addresses_bad.pop()}"
    return ""


def _kept(looks: Looks) -> Iterator[Clue]:
    kept = looks.of("kept")
    rested = [one for one in kept if failed(one) and float(one.facts.get("idle", 0)) > 0]
    at_once = [one for one in kept if worked(one) and float(one.facts.get("idle", 0)) < 1]
    if rested and at_once and worked(looks.first("get")):
        idle = float(rested[0].facts["idle"])
        yield Clue(
            f"On a kept connection it fails after {idle:g} s of rest, and works without: two timers do not fit each other",
            "kept", ("closed-on-reuse",), "likely", forces=True,
        )  # fmt: skip


def _addresses(looks: Looks) -> Iterator[Clue]:
    looked = looks.of("tcp")
    by_family = {family: [one for one in looked if one.facts.get("family") == family] for family in ("IPv4", "IPv6")}
    for family, others in (("IPv6", "IPv4"), ("IPv4", "IPv6")):
        mine, theirs = by_family[family], by_family[others]
        if mine and theirs and all(map(failed, mine)) and any(map(worked, theirs)):
            causes = ("ipv6-broken",) if family == "IPv6" and not failed(looks.first("get")) else ()
            yield Clue(
                f"No {family} address takes connections ({mine[0].text}), {others} does",
                "tcp",
                causes,
                "proved",
                forces=bool(causes),
            )
            return
    bad = [one for one in looked if failed(one)]
    if bad and len(bad) < len(looked):
        names = ", ".join(str(one.facts.get("address", one.label)) for one in bad[:3])
        yield Clue(f"{len(bad)} of {len(looked)} addresses do not take connections: {names} ({bad[0].text})", "tcp")


def _certificates(looks: Looks) -> Iterator[Clue]:
    shown = {
        str(one.facts.get("certificate", {}).get("not_after")): one for one in looks.of("tls") if one.facts.get("certificate")
    }
    if len(shown) > 1:
        yield Clue("The addresses show different certificates: one of them was left behind", "tls")
    for one in looks.of("tls"):
        left = one.facts.get("days_left")
        if isinstance(left, int | float) and 0 <= left < 14 and worked(one):
            yield Clue(f"The certificate expires in {left:.0f} days", "tls")
            return


def _resolvers(looks: Looks) -> Iterator[Clue]:
    answers = {str(one.facts.get("resolver", "")): one for one in looks.of("dns")}
    system = answers.get("system")
    others = [one for name, one in answers.items() if name != "system" and one.ok is not None]
    if system is None or not others:
        return
    if failed(system) and any(map(worked, others)):
        yield Clue("This machine's resolver fails, others know the name: the fault is in your own DNS settings or network", "dns")
    elif worked(system) and all(map(failed, others)):
        yield Clue("Only this machine's resolver knows the name: an internal name, or an old answer kept in its cache", "dns")
    elif _differ([system, *others]):
        yield Clue(
            "Resolvers give different addresses: a move in progress, an old answer in a cache, or answers by region", "dns"
        )


def _differ(looks: Sequence[Look]) -> bool:
    sets = [frozenset((*one.facts.get("a", ()), *one.facts.get("aaaa", ()))) for one in looks if worked(one)]
    return len(sets) > 1 and not frozenset.intersection(*sets)


def _proxy(looks: Looks) -> Iterator[Clue]:
    get, via = looks.first("get"), looks.first("via-proxy")
    if failed(via) and worked(get):
        yield Clue(
            "It works around your proxy and fails through it: your network's proxy wrote this",
            "via-proxy",
            ("proxy-on-the-way",),
            "proved",
            forces=True,
        )
    elif worked(via) and failed(get):
        yield Clue("It works through your proxy; directly this machine does not reach it", "via-proxy")


def _origin(looks: Looks) -> Iterator[Clue]:
    get, origin = looks.first("get"), looks.first("origin")
    if origin is None or not failed(get) or get is None:
        return
    if worked(origin):
        yield Clue(
            "The origin answers well when asked directly: the way from the gateway to it fails (firewall, TLS mode, Host)",
            "origin",
        )
    elif origin.captured is not None and get.captured is not None and origin.captured.status == get.captured.status:
        yield Clue(
            f"The origin itself answers {origin.captured.status}: the gateway only passes it on",
            "origin",
            ("upstream-answered-error",),
            "proved",
            forces=True,
        )
    elif origin.attempt is not None and origin.attempt.cause is not None:
        yield Clue(
            f"The origin cannot be asked from here ({origin.text}); that may be on purpose, so it proves nothing", "origin"
        )


def _vantage(looks: Looks) -> Iterator[Clue]:
    get, far = looks.first("get"), looks.first("vantage")
    if failed(get) and worked(far):
        yield Clue("From the other place it works: only this network, or its part of the site, is concerned", "vantage")
    elif failed(get) and failed(far):
        yield Clue("It fails from the other place too: it is not only you", "vantage")


def _upstreams(looks: Looks) -> Iterator[Clue]:
    """On the gateway's own machine: what the servers of its configuration answer from here."""
    asked = looks.of("upstream")
    bad = [one for one in asked if failed(one)]
    codes = {one.attempt.cause.code for one in bad if one.attempt is not None and one.attempt.cause is not None}
    sure = "proved" if len(bad) == len(asked) and len(codes) == 1 else "likely"  # else another one may serve this URL
    for one in bad:
        cause = one.attempt.cause if one.attempt is not None else None
        where = one.facts.get("server", one.label)
        yield Clue(f"From here, {where}: {one.text}", "upstream", (cause.code,) if cause else (), sure)
    if asked and not bad:
        yield Clue(f"All {len(asked)} upstream servers of the configuration answer from here", "upstream")


_ALL: Final[tuple[Callable[[Looks], Iterator[Clue]], ...]] = (
    _upstreams, _origin, _proxy, _cache, _variations, _kept, _repeats, _times, _head, _paths, _addresses,
    _certificates, _resolvers, _vantage,
)  # fmt: skip
"""Comparisons, the most telling first."""
