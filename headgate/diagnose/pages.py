"""Owns the verdict on one answer that somebody saw: who wrote it, which hop failed, and which causes it leaves open.

What is said is never more than the answer says: a cause is proved only where its author states it (RFC 9209's Proxy-Status, an
error header, its own sentence); else the set stands that this product can mean with this status, and what would split it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ..model.diagnosis import Action, Diagnosis, Evidence, Recognised, Suspect
from .advice import SPLIT_UNSIGNED, UNSIGNED, actions_for, split_for, who_can_act
from .captured import Captured
from .catalogue import catalogue
from .fingerprint import answers_of, generator_and_chain, status_of
from .meanings import Meaning, of_sentence
from .products import products
from .redact import clean, redact_target

GATEWAY_STATUSES: Final = frozenset({500, 502, 503, 504, *range(520, 531)})
"""Statuses with which gateways speak of what is behind them."""
TIMERS: Final = (
    (3.0, ("caddy",), "Caddy's dial_timeout"),
    (3.5, ("varnish",), "Varnish's connect_timeout"),
    (10.0, ("aws-alb", "vercel"), "the time an ALB gives to connect"),
    (15.0, ("fastly", "cloudflare"), "Fastly's first byte timeout, or the time Cloudflare gives to connect"),
    (29.0, ("aws-api-gateway",), "API Gateway's integration timeout"),
    (30.0, ("arr", "iis", "heroku", "gunicorn", "azure-app-gateway"), "ARR's, Heroku's or gunicorn's timeout"),
    (
        60.0,
        ("nginx", "openresty", "aws-alb", "varnish", "apache", "ingress-nginx"),
        "the usual read timeout of nginx, ALB and Varnish",
    ),
    (100.0, ("cloudflare",), "Cloudflare's limit for an answer"),
    (120.0, ("akamai", "iis"), "Akamai's read timeout"),
    (240.0, ("azure-app-service",), "Azure App Service's limit"),
)
"""Timers that people meet: seconds, whose they are, and what they are called."""
_NEAR: Final = 0.03
"""How near a time must be to a timer, as a share of it (at least 0.15 s)."""
_TIMEOUTS: Final = (
    "connection-timeout",
    "response-timeout",
    "response-total-timeout",
    "head-stalled",
    "dns-timeout",
    "tls-timeout",
)
_TOKEN: Final = re.compile(r";\s*error=\"?([a-z_]+)")
_AGE: Final = re.compile(r"\d+")
_SPEAKING_FIELDS: Final = (
    "x-squid-error", "x-vercel-error", "x-render-routing", "x-amzn-errortype", "x-cache", "grpc-status", "grpc-message",
    "x-envoy-response-flags",
)  # fmt: skip
"""Header fields in which products say what went wrong."""
_UNKNOWABLE: Final = "which server was asked, and what its program or kernel said: only the log of {name} knows"


def judge_answer(captured: Captured, subject: str = "what was pasted") -> Diagnosis:
    """Return the verdict on one answer alone."""
    generator, chain = generator_and_chain(captured)
    suspects, evidence = narrow(captured, generator)
    status = status_of(captured)
    if generator is None and status >= 500 and not suspects:
        return _unsigned(captured, status, chain, subject)
    return Diagnosis(
        subject=clean(redact_target(subject), 500),
        outcome=outcome_of(captured, generator),
        summary=summary(status, generator, suspects),
        generator=generator,
        chain=("you", *chain, "?"),
        failing=(generator.name, "what is behind it") if generator else None,
        suspects=suspects,
        evidence=(*(Evidence(mark.text, mark.where) for mark in (generator.marks if generator else ())), *evidence),
        who=who_can_act(generator, suspects),
        actions=actions_for(generator, suspects),
        split=split_for(generator, suspects),
        unknowable=_unknowable(generator, suspects),
        status=status,
        retry_after=retry_after(captured),
    )


def _unsigned(captured: Captured, status: int, chain: Sequence[str], subject: str) -> Diagnosis:
    """Return the verdict on an error page that no known product wrote: the site's own program, or a page that was replaced."""
    near = chain[-1] if chain else ""
    said = f"{near} passed it on, and the page is not of {near}'s own making" if near else ""
    suspects = (Suspect("upstream-answered-error", "possible", (said,)),) if near else ()
    return Diagnosis(
        subject=clean(redact_target(subject), 500),
        outcome="failing",
        summary=(
            f"{near} passed this {status} on, and the page is not {near}'s own: the program behind it answered so, or somebody "
            "gave the gateway another page to show."
            if near
            else f"Nobody signed this {status}: its author cannot be told."
        ),
        chain=("you", *chain, "?"),
        suspects=suspects,
        who=("operator", "admin"),
        actions=UNSIGNED,
        split=SPLIT_UNSIGNED,
        unknowable=("who wrote it: a program's own error page looks like anything",),
        status=status,
        retry_after=retry_after(captured),
    )


def outcome_of(captured: Captured, generator: Recognised | None) -> str:
    """Return what an answer says of the site as a whole."""
    status = status_of(captured)
    if status >= 500 or (status == 0 and generator is not None):
        return "failing"
    return "up" if status else "unknown"


def narrow(captured: Captured, generator: Recognised | None) -> tuple[tuple[Suspect, ...], list[Evidence]]:
    """Return the causes that an answer leaves open, likeliest first, and what was observed on the way."""
    evidence: list[Evidence] = []
    allowed = _of_proxy_status(captured, evidence)
    if generator is not None:
        by_status = _of_status(captured, generator, evidence)
        said = _of_words(captured, generator, evidence, proofs_only=bool(by_status))
        allowed = _combine(allowed, said, by_status)
    allowed = _of_age(captured, evidence) + allowed
    return _by_time(captured, generator, allowed, evidence), evidence


def _of_proxy_status(captured: Captured, evidence: list[Evidence]) -> tuple[Suspect, ...]:
    """Return the causes of a Proxy-Status error token (RFC 9209): the gateway itself says it."""
    value = captured.header("proxy-status")
    hit = _TOKEN.search(value)
    if not hit:
        return ()
    evidence.append(Evidence(f"Proxy-Status says error={hit[1]}", "header", False))
    named = _own_code(captured)
    if named:
        return (Suspect(named, "proved", (f"the answer names it: {named}",)),)
    codes = [cause.code for cause in catalogue().values() if cause.error == hit[1] and not cause.elsewhere]
    confidence = "proved" if len(codes) == 1 else "possible"
    return tuple(Suspect(code, confidence, (f"Proxy-Status: error={hit[1]}",)) for code in codes)


def _own_code(captured: Captured) -> str:
    """Return the cause that a Headgate's answer names in its body or Proxy-Status details."""
    text = captured.text[:4000] + captured.header("proxy-status")
    hits = re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", text)
    if "headgate" not in captured.header("proxy-status").lower() and "headgate" not in captured.header("server").lower():
        return ""
    return next((word for word in hits if word in catalogue()), "")


def _of_words(captured: Captured, generator: Recognised, evidence: list[Evidence], proofs_only: bool) -> tuple[Suspect, ...]:
    """Return the causes that the product's own sentences in page, reason phrase and error headers name.

    proofs_only: what the product can mean with this page is known as a whole; a sentence counts only where it states the cause.
    """
    words = "\n".join((captured.reason, *_error_headers(captured), captured.text[:60_000]))
    found: list[Meaning] = []
    for product in dict.fromkeys(
        (generator.product, products()[generator.product].family if generator.product in products() else "")
    ):
        if product:
            found += [one for one in of_sentence(words, product) if one.suspects]
    proved = [one for one in found if one.suspects[0].confidence == "proved"]
    for one in (proved or found)[:2]:
        evidence.append(Evidence(f"it says: {clean(one.word, 160)}", "page", False))
    for one in proved if proofs_only else (*proved, *found):
        return one.suspects
    return ()


def _error_headers(captured: Captured) -> Iterable[str]:
    for name in _SPEAKING_FIELDS:
        if value := captured.header(name):
            yield value


def _of_status(captured: Captured, generator: Recognised, evidence: list[Evidence]) -> tuple[Suspect, ...]:
    """Return what the product can mean with this status."""
    answer = answers_of(captured, generator)
    if answer is None:
        return ()
    evidence.append(Evidence(f"{generator.name}: {answer.means}", "page"))
    confidence = ("proved" if answer.proves else "likely") if len(answer.causes) == 1 else "possible"
    if confidence == "proved" and generator.certainty == "possible":
        confidence = "likely"
    return tuple(Suspect(code, confidence, (answer.means,), answer.tell) for code in answer.causes)


def _combine(*sources: tuple[Suspect, ...]) -> tuple[Suspect, ...]:
    """Return what all sources allow: the first that is proved, else what the narrowest shares with the others."""
    given = [source for source in sources if source]
    for source in given:
        if source[0].confidence == "proved":
            return source
    if not given:
        return ()
    narrowest = min(given, key=len)
    shared = tuple(one for one in narrowest if all(any(one.cause == other.cause for other in source) for source in given))
    return shared or narrowest


def _of_age(captured: Captured, evidence: list[Evidence]) -> tuple[Suspect, ...]:
    """A stored error: Age above zero, or a cache that calls it a hit."""
    age = _AGE.match(captured.header("age"))
    hit = "hit" in captured.header("x-cache").lower() or "hit" in captured.header("cf-cache-status").lower()
    if captured.status < 500 or not ((age and int(age[0]) > 0) or hit):
        return ()
    said = f"Age: {age[0]}" if age else f"X-Cache: {captured.header('x-cache')}"
    evidence.append(Evidence(f"{said}: this error comes from a cache", "header"))
    return (Suspect("error-cached", "likely", (f"{said}: the error was stored before",), "repeat the request past the caches"),)


def _by_time(
    captured: Captured, generator: Recognised | None, allowed: Sequence[Suspect], evidence: list[Evidence]
) -> tuple[Suspect, ...]:
    """Put timeouts first where the answer came at a known timer, and last where it came at once."""
    if captured.seconds < 0 or not allowed or allowed[0].confidence == "proved":
        return tuple(allowed)
    late = [one for one in allowed if one.cause in _TIMEOUTS]
    others = [one for one in allowed if one.cause not in _TIMEOUTS]
    timer = timer_near(captured.seconds, generator.product if generator else "")
    if timer and late:
        evidence.append(Evidence(f"it came after {captured.seconds:.1f} s, which is {timer}", "timing"))
        grade = "likely" if len(late) == 1 else "possible"
        return (*(Suspect(one.cause, grade, (*one.evidence, timer), one.tell) for one in late), *others)
    if captured.seconds < 0.5 and others and late:
        evidence.append(Evidence(f"it came after {captured.seconds * 1000:.0f} ms: too early for a usual timeout", "timing"))
        return (*others, *late)
    return tuple(allowed)


def timer_near(seconds: float, product: str = "") -> str:
    """Return the name of the timer at which an answer came, "" where it was none; of several the product's own."""
    found = [(owners, name) for at, owners, name in TIMERS if abs(seconds - at) <= max(0.15, at * _NEAR)]
    own = [name for owners, name in found if product in owners]
    return own[0] if own else (found[0][1] if found and not product else "")


def retry_after(captured: Captured) -> float:
    """Return the seconds of Retry-After (RFC 9110 10.2.3), -1 where it is absent or a date."""
    value = captured.header("retry-after").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else -1.0


def summary(status: int, generator: Recognised | None, suspects: Sequence[Suspect]) -> str:
    """Return one or two sentences: who wrote it, and why."""
    number = f"this {status}" if status else "this page"
    if generator is None:
        return f"Nobody signed {number}: its author cannot be told." if status else "No error page that is known here."
    sure = {"certain": "wrote", "likely": "most likely wrote", "possible": "may have written"}[generator.certainty]
    first = f"{generator.name} {sure} {number}"
    if not suspects:
        return f"{first}; what made it do so cannot be told from the answer."
    titles = catalogue()
    if suspects[0].confidence == "proved":
        return f"{first}, and says why: {_lower(titles[suspects[0].cause].title)}."
    if len(suspects) == 1:
        return f"{first}, most likely because: {_lower(titles[suspects[0].cause].title)}."
    return f"{first}. It can stand for {len(suspects)} causes; {generator.name}'s log says which."


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _unknowable(generator: Recognised | None, suspects: Sequence[Suspect]) -> tuple[str, ...]:
    if generator is None or (suspects and suspects[0].confidence == "proved"):
        return ()
    return (_UNKNOWABLE.format(name=generator.name),)


__all__ = ["GATEWAY_STATUSES", "TIMERS", "Action", "judge_answer", "narrow", "outcome_of", "retry_after", "summary", "timer_near"]
