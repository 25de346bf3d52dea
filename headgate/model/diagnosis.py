"""The verdict on somebody's 502: who wrote the page, which hop failed, why, how sure we are, and what to do next.

The doctor's half of the waist: what a reader of pages, a probe and a log reader all fill, and every report renders.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

CONFIDENCE: Final = ("proved", "likely", "possible")
"""How sure a cause is. proved: the generator itself, its log or our own probe says so. likely: timing, status and context point
to it. possible: it belongs to the set that the evidence leaves open."""
CERTAINTY: Final = ("certain", "likely", "possible")
"""How sure it is who wrote a page. certain: two independent marks, or an explicit statement (Proxy-Status, X-Squid-Error)."""
OUTCOMES: Final = (
    "up",  # it answers, and not with an error of a gateway's
    "partly",  # some of the addresses, tries or variations failed
    "failing",  # every try was answered with a gateway error
    "unreachable",  # no HTTP answer could be had: DNS, TCP or TLS failed, or the server went silent
    "unknown",  # nothing to judge
)
"""What an examination found."""
WHO: Final = ("visitor", "operator", "admin", "platform", "network")
"""Who can act. operator: of the site's program; admin: of the gateway that wrote the answer; platform: its vendor;
network: whoever runs the proxy or the line between."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing in an answer that points to a product."""

    where: str  # "header", "cookie", "body", "reason", "length", "proxy-status", "missing", "log", "dns", "tls"
    text: str  # what was found, in words: "Server: nginx/1.22.1", "the footer <center>nginx</center>"
    weight: int  # 1 weak (easily imitated or passed through) to 5 (the product's own explicit statement)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A product that was recognised."""

    product: str  # id: a file name in knowledge/products
    name: str  # as people write it
    certainty: str  # one of CERTAINTY
    marks: tuple[Mark, ...]
    wrote: bool  # True: it wrote this answer; False: it only passed it on
    version: str = ""
    note: str = ""  # a disguise that is known, or what else looks the same


@dataclass(frozen=True, slots=True)
class Suspect:
    """One cause that the evidence allows."""

    cause: str  # code in the catalogue
    confidence: str  # one of CONFIDENCE
    evidence: tuple[str, ...] = ()  # what speaks for it
    tell: str = ""  # how to tell it from the others


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do next."""

    text: str  # imperative: "Look whether anything listens on the port"
    command: str = ""  # what to type, or the setting to change
    who: str = "admin"  # one of WHO


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation, in words, with where it came from."""

    text: str
    source: str = ""  # "page", "header", "dns", "tcp", "tls", "get", "log", "host", ...
    ok: bool | None = None  # True: this worked; False: this failed; None: neither


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict."""

    subject: str  # the URL, or what was pasted; redacted
    outcome: str  # one of OUTCOMES
    summary: str  # one or two sentences: what is wrong, where, how sure
    generator: Recognised | None = None  # who wrote the error; None: nobody did, or not recognised
    chain: tuple[str, ...] = ()  # names from the visitor inwards: "you", "Cloudflare", "nginx", "?"
    failing: tuple[str, str] | None = None  # the hop that failed, two neighbours of the chain
    suspects: tuple[Suspect, ...] = ()  # the most likely first
    evidence: tuple[Evidence, ...] = ()
    who: tuple[str, ...] = ()  # who can act
    actions: tuple[Action, ...] = ()  # the next three, most useful first
    split: str = ""  # the one probe that would split the remaining causes
    unknowable: tuple[str, ...] = ()  # what cannot be known from here
    status: int = 0  # the status that was judged, 0 when there was none
    retry_after: float = -1.0  # seconds the server asked to wait

    @property
    def confidence(self) -> str:
        """How sure the first suspect is, "" when there is none."""
        return self.suspects[0].confidence if self.suspects else ""

    def as_json(self) -> dict[str, Any]:
        """Return plain data, keys as the fields above."""
        return asdict(self) | {"confidence": self.confidence}
