"""Owns what a DNS packet says: addresses, or which failure, with the evidence for it."""

from dataclasses import dataclass
from typing import Final

import dns.edns
import dns.exception
import dns.message
import dns.rcode

from ..model import signals as s
from ..model.facts import Facts
from .resolvconf import Server

_ADDRESSES_MAX: Final = 32
_RANK: Final = (
    s.NO_FILES, s.NO_MEMORY, s.SERVFAIL, s.DNS_REFUSED, s.DNS_INVALID, s.DEADLINE, s.NODATA, s.NXDOMAIN,
)  # fmt: skip
"""Of several failures the one to report, most telling first: one that hides an answer before one that denies it exists."""
_CODES: Final = {dns.rcode.SERVFAIL: s.SERVFAIL, dns.rcode.REFUSED: s.DNS_REFUSED, dns.rcode.NXDOMAIN: s.NXDOMAIN}


class Unresolved(Exception):
    """A name has no usable address.

    signal: NXDOMAIN, NODATA, SERVFAIL, DNS_REFUSED, DNS_INVALID, DEADLINE; NO_FILES or NO_MEMORY where we could not ask;
    MISCONFIGURED where it is no possible name; STOPPING, UNEXPECTED.
    facts: name, resolver, rcode, ede, ede_text, error, elapsed_ms, limit, limit_value.
    ttl: seconds for which the server lets us remember it.
    """

    def __init__(self, signal: str, facts: Facts, ttl: float = 0.0) -> None:
        super().__init__(f"{facts.get('name', '')}: {signal}")
        self.signal = signal
        self.facts = facts
        self.ttl = ttl

    @property
    def certain(self) -> bool:
        """The DNS works, and says that there is nothing."""
        return self.signal in (s.NXDOMAIN, s.NODATA)

    def again(self) -> "Unresolved":
        """Return a fresh copy: an exception that is raised twice would grow its traceback for ever."""
        return Unresolved(self.signal, self.facts.copy(), self.ttl)


@dataclass(frozen=True, slots=True)
class Reply:
    """A positive answer."""

    server: str
    addresses: tuple[str, ...]
    ttl: float


def most_telling(failures: list[Unresolved]) -> Unresolved:
    """Return the failure to report of several (at least one)."""
    return min(failures, key=lambda failure: (_RANK.index(failure.signal), "ede" not in failure.facts))


def decode(query: dns.message.QueryMessage, packet: bytes) -> dns.message.QueryMessage | str:
    """Return the packet as an answer to the query, or what is wrong with it: id, question and form must fit."""
    try:
        answer = dns.message.from_wire(packet, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as exc:
        return f"not a DNS message: {str(exc) or type(exc).__name__}"
    if not isinstance(answer, dns.message.QueryMessage) or not query.is_response(answer):
        return "it belongs to another question"
    return answer


def judge(answer: dns.message.QueryMessage, facts: Facts) -> Reply | Unresolved:
    """Return what the answer says. CNAMEs are followed inside it; the shortest TTL on the way counts.

    facts: name, resolver and elapsed_ms, to which the failure's are added.
    """
    code = answer.rcode()
    facts = facts | extended_error(answer)
    facts["rcode"] = dns.rcode.to_text(code)
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Unresolved(_CODES.get(code, s.DNS_INVALID), facts | {"error": f"response code {facts['rcode']}"})
    try:
        chain = answer.resolve_chaining()
    except dns.exception.DNSException as exc:
        return Unresolved(s.DNS_INVALID, facts | {"error": str(exc) or type(exc).__name__})
    if chain.answer is None:
        return Unresolved(_CODES.get(code, s.NODATA), facts, chain.minimum_ttl)
    return Reply(facts["resolver"], tuple(record.address for record in chain.answer)[:_ADDRESSES_MAX], chain.minimum_ttl)


def extended_error(answer: dns.message.Message) -> Facts:
    """Return ede and ede_text of the first extended error in an answer (RFC 8914), {} without one."""
    for option in answer.extended_errors():
        code = int(option.code)
        name = dns.edns.EDECode.to_text(option.code).replace("_", " ").lower()
        return {"ede": code, "ede_text": (option.text or name)[:200]}
    return {}


def server_text(server: Server) -> str:
    """Return a DNS server as text; its port only where it is not 53."""
    host, port = server
    if port == 53:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
