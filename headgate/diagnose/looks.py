"""Owns what one look at a site is: a probe, what it varied, and what came of it. Probes fill it, `judge` reads it."""

from dataclasses import dataclass, field
from typing import Any, Final

from ..model.exchange import Attempt
from .captured import Captured

KINDS: Final = {
    "paste": "what the user had already seen",
    "proxy": "proxy settings of this machine",
    "dns": "one resolver's answer for a name",
    "tcp": "a TCP connection to one address",
    "tls": "a TLS handshake with one address",
    "get": "the request as a browser would send it",
    "via-proxy": "the same through the proxy of this machine",
    "head": "HEAD instead of GET",
    "no-cookies": "without the user's cookies and fields",
    "no-cache": "past every cache: a random query parameter and Cache-Control: no-cache",
    "agent": "as another User-Agent",
    "identity": "without content coding",
    "http1": "by HTTP/1.1",
    "http2": "by HTTP/2",
    "path": "another path of the same site",
    "repeat": "the same again on a fresh connection",
    "kept": "the same again on a kept connection, after some rest",
    "origin": "directly at the origin's address, around the gateway",
    "vantage": "the same from another Headgate's place",
    "here": "something found on this machine",
    "upstream": "one upstream of a local gateway's configuration, asked from here",
}
"""What kinds of looks there are."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `facts` by kind, every key optional:

    proxy: variables {name: value, redacted}, applies (bool), url (of the proxy),
      missing (e.g. "https_proxy" while http_proxy is set)
    dns: resolver ("system", "1.1.1.1", "authoritative ns1.x"), name, rcode, a [..], aaaa [..], cname [..], ttl (s), ede,
      ede_text, checking_disabled_ok (bool: it resolves with CD set, so DNSSEC is what fails), signal
    tcp, tls: address, family ("IPv4", "IPv6"); tls: version, cipher, alpn,
      certificate {subject, issuer, not_before, not_after, names}, trusted (bool), days_left,
      without_sni ("same", "other", "failed")
    get and its variations: address, sent {what was varied}, connect_ms, tls_ms, wait_ms, total_ms, redirected [urls],
      repeats: number
    kept: idle (seconds rested before this request)
    vantage: url (of the other Headgate), outcome, cause
    here: topic ("listening", "process", "container", "resolv.conf", "selinux", "socket", "kernel", "config"), and what was found
    upstream: gateway (product), server (as configured), file, line
    """

    kind: str  # a key of KINDS
    label: str  # one line for people: "GET https://example.org/ at 192.0.2.7"
    ok: bool | None  # True: it worked (an HTTP answer below 500, a connection, an address); False: it failed; None: neither
    text: str = ""  # what came of it, in words: "502 Bad Gateway in 12 ms", "refused"
    at: float = 0.0  # seconds since the examination began
    took: float = 0.0  # seconds
    attempt: Attempt | None = None  # of probes that connect: phases, signal, facts, cause
    captured: Captured | None = None  # the HTTP answer, where there was one
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain data: what the report draws. Phases are [name, milliseconds since the look began]."""
        attempt, captured = self.attempt, self.captured
        return {
            "kind": self.kind, "label": self.label, "ok": self.ok, "text": self.text,
            "at_ms": round(self.at * 1000, 1), "took_ms": round(self.took * 1000, 1),
            "phases": _phases(attempt) if attempt is not None else [],
            "cause": attempt.cause.code if attempt is not None and attempt.cause is not None else "",
            "status": captured.status if captured is not None else 0,
            "facts": {key: value for key, value in self.facts.items() if isinstance(value, _PLAIN)},
        }  # fmt: skip


_PLAIN: Final = (str, int, float, bool, list, dict)
_PHASES: Final = (
    ("resolve", "t_resolved"), ("connect", "t_connected"), ("tls", "t_secured"), ("send", "t_sent"), ("wait", "t_first"),
    ("head", "t_head"), ("body", "t_end"),
)  # fmt: skip


def _phases(attempt: Attempt) -> list[list[str | float]]:
    """Return the ends of the phases that were reached: [name, milliseconds since the attempt began]."""
    times = [(name, getattr(attempt, slot)) for name, slot in _PHASES]
    return [[name, round((at - attempt.t_start) * 1000, 1)] for name, at in times if at >= 0]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for."""

    url: str  # without user and password
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()  # as the user had them: cookies and other header fields
    origin: str = ""  # address or URL of the origin, around the gateway
    vantage: str = ""  # another Headgate's admin API
    here: bool = False
    paste: Captured | None = None
    seconds: float = 20.0  # time for everything
    requests: int = 24  # most HTTP requests sent to the site
    replay: bool = False  # the user allowed to repeat a method that is not safe
