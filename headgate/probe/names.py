"""Owns what resolvers say of a name: this machine's own, public ones, and the servers of the zone itself."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from ..diagnose.classify import classify
from ..diagnose.looks import Look
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.facts import Facts
from ..model.phases import RESOLVE
from ..net.dnsanswer import extended_error, server_text
from ..net.hosts import literal
from ..net.resolvconf import Server, parse_resolv_conf, parse_server
from .aside import aside

_CODES: Final = {dns.rcode.SERVFAIL: s.SERVFAIL, dns.rcode.REFUSED: s.DNS_REFUSED, dns.rcode.NXDOMAIN: s.NXDOMAIN}
_ZONE_SERVERS: Final = 2
_WORDS: Final = {
    s.NXDOMAIN: "the name does not exist", s.NODATA: "the name exists, but has no address",
    s.SERVFAIL: "the server failed (SERVFAIL)", s.DNS_REFUSED: "the server refuses to answer (REFUSED)",
    s.DNS_INVALID: "the answer makes no sense", s.DEADLINE: "no answer",
    s.UNREACHABLE: "the resolver cannot be reached",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said about a name, both kinds of addresses together."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    ttl: float = -1.0
    rcode: str = ""
    signal: str = ""  # "" where there is an address
    facts: Facts | None = None
    elsewhere: bool = False  # it resolves with checking disabled: DNSSEC is what fails


async def system_look(name: str, port: int, seconds: float, begun: float) -> Look:
    """Ask as every program on this machine does (hosts file, resolv.conf); where that fails ask its server for the reason."""
    at = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            found = await aside(lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    except (OSError, TimeoutError, UnicodeError) as error:
        answer = await _reason(name, error, max(0.5, seconds - (time.monotonic() - at)))
        return _look(name, "system", answer, at, begun)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    answer = Answer(tuple(one for one in addresses if ":" not in one), tuple(one for one in addresses if ":" in one))
    return _look(name, "system", answer, at, begun)


async def _reason(name: str, error: BaseException, seconds: float) -> Answer:
    """Return why this machine's resolver failed: what its server says, else what the library says."""
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_NONAME and error.errno != socket.EAI_AGAIN:
        return Answer(signal=s.DNS_INVALID, facts={"name": name, "error": str(error.strerror)})
    if servers := _own_servers():
        answer = await ask_server(name, servers[0], min(seconds, 2.0))
        if answer.signal:
            return answer
    gone = isinstance(error, TimeoutError) or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN)
    return Answer(signal=s.DEADLINE if gone else s.NXDOMAIN, facts={"name": name, "error": str(error)})


def _own_servers() -> tuple[Server, ...]:
    try:
        return parse_resolv_conf(Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")).servers
    except OSError:
        return ()


async def server_look(name: str, resolver: str, seconds: float, begun: float, label: str = "") -> Look:
    """Ask one resolver by its address ("1.1.1.1", "127.0.0.1:5353"). Raises ValueError where that is none."""
    at = time.monotonic()
    answer = await ask_server(name, parse_server(resolver), seconds)
    return _look(name, label or resolver, answer, at, begun)


async def zone_looks(name: str, seconds: float, begun: float) -> list[Look]:
    """Ask the servers of the zone in which the name lies, at most two; empty where they cannot be found."""
    at = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            servers = await aside(lambda: _zone_servers(name, seconds))
            left = max(0.3, seconds - (time.monotonic() - at))
            jobs = [server_look(name, address, left, begun, f"authoritative {host}") for host, address in servers]
            return list(await asyncio.gather(*jobs))
    except (TimeoutError, ValueError):
        return []


def _zone_servers(name: str, seconds: float) -> list[tuple[str, str]]:
    """Return names and addresses of the zone's servers."""
    try:
        resolver = dns.resolver.Resolver()
        resolver.lifetime = seconds
        zone = dns.resolver.zone_for_name(name, resolver=resolver, lifetime=seconds)
        found = []
        for record in list(resolver.resolve(zone, "NS"))[:_ZONE_SERVERS]:
            address = next(iter(resolver.resolve(record.target, "A")), None)
            if address is not None:
                found.append((record.target.to_text(omit_final_dot=True), str(address)))
    except (dns.exception.DNSException, OSError, ValueError):
        return []
    return found


async def ask_server(name: str, server: Server, seconds: float) -> Answer:
    """Ask one server for both kinds of addresses; on SERVFAIL once more with checking disabled, which tells DNSSEC."""
    four, six = await asyncio.gather(_ask(name, "A", server, seconds), _ask(name, "AAAA", server, seconds))
    if not four.signal or not six.signal:
        whole = four if not four.signal else six
        return Answer(four.a, six.aaaa, whole.cname, whole.ttl, whole.rcode)
    answer = six if four.signal == s.NODATA else four
    if answer.signal != s.SERVFAIL:
        return answer
    unchecked = await _ask(name, "A", server, seconds, checking=False)
    facts = Facts(**(answer.facts or {}))
    return Answer((), (), answer.cname, answer.ttl, answer.rcode, answer.signal, facts, elsewhere=not unchecked.signal)


async def _ask(name: str, kind: str, server: Server, seconds: float, checking: bool = True) -> Answer:
    facts: Facts = {"name": name, "resolver": server_text(server)}
    at = time.monotonic()
    try:
        query = dns.message.make_query(name, kind, use_edns=True, want_dnssec=False)
        if not checking:
            query.flags |= dns.flags.CD
        answer, _ = await dns.asyncquery.udp_with_fallback(query, server[0], timeout=seconds, port=server[1])
    except (dns.exception.Timeout, TimeoutError):
        return Answer(signal=s.DEADLINE, facts=facts | {"limit": "timeout", "limit_value": seconds, "elapsed_ms": _ms(at)})
    except (dns.exception.DNSException, ValueError, EOFError) as error:
        return Answer(signal=s.DNS_INVALID, facts=facts | {"error": str(error) or type(error).__name__})
    except OSError as error:
        return Answer(signal=s.DEADLINE, facts=facts | {"errno": error.errno or 0, "error": str(error.strerror or error)})
    return _read(answer, kind, facts | {"elapsed_ms": _ms(at)})


def _read(answer: dns.message.Message, kind: str, facts: Facts) -> Answer:
    code = answer.rcode()
    facts = facts | extended_error(answer)
    facts["rcode"] = dns.rcode.to_text(code)
    chain = tuple(
        str(one.target).rstrip(".") for section in answer.answer if section.rdtype == dns.rdatatype.CNAME for one in section
    )
    sections = [one for one in answer.answer if one.rdtype == dns.rdatatype.from_text(kind)]
    addresses = tuple(record.address for section in sections for record in section)
    ttl = float(min((one.ttl for one in answer.answer), default=-1))
    if code != dns.rcode.NOERROR:
        return Answer(cname=chain, rcode=facts["rcode"], signal=_CODES.get(code, s.DNS_INVALID), facts=facts)
    if not addresses:
        return Answer(cname=chain, ttl=ttl, rcode=facts["rcode"], signal=s.NODATA, facts=facts)
    return Answer(addresses if kind == "A" else (), addresses if kind == "AAAA" else (), chain, ttl, facts["rcode"])


def _ms(at: float) -> int:
    return round((time.monotonic() - at) * 1000)


def _look(name: str, resolver: str, answer: Answer, at: float, begun: float) -> Look:
    """Return an answer as a look; a failure with the attempt that names its cause."""
    now = time.monotonic()
    facts: dict[str, Any] = {
        "resolver": resolver, "name": name, "rcode": answer.rcode, "a": list(answer.a), "aaaa": list(answer.aaaa),
        "cname": list(answer.cname), "ttl": answer.ttl, "signal": answer.signal,
    } | ({"checking_disabled_ok": True} if answer.elsewhere else {})  # fmt: skip
    label = f"DNS {name}, {'this machine' if resolver == 'system' else resolver}"
    if not answer.signal:
        return Look("dns", label, True, _found(answer), at - begun, now - at, facts=facts)
    attempt = Attempt("", name, at)
    attempt.phase, attempt.signal, attempt.t_end = RESOLVE, answer.signal, now
    attempt.facts = answer.facts or {"name": name}
    attempt.cause = classify(RESOLVE, answer.signal, attempt.facts)
    text = _WORDS.get(answer.signal, answer.signal)
    if ede := (answer.facts or {}).get("ede_text"):
        text += f": {ede}"
        facts |= {"ede": (answer.facts or {}).get("ede", 0), "ede_text": ede}
    if answer.elsewhere:
        text += "; without DNSSEC checks it resolves"
    return Look("dns", label, False, text, at - begun, now - at, attempt, facts=facts)


def _found(answer: Answer) -> str:
    addresses: Sequence[str] = (*answer.a, *answer.aaaa)
    text = ", ".join(addresses[:4]) + (f" and {len(addresses) - 4} more" if len(addresses) > 4 else "")
    via = f" via {' -> '.join(answer.cname[:3])}" if answer.cname else ""
    return f"{text}{via}" + (f", for {answer.ttl:.0f} s" if answer.ttl >= 0 else "")


async def resolve(host: str, port: int, seconds: float) -> list[str] | Attempt:
    """Return the addresses of a host as this machine finds them, or the attempt that failed; a literal one stands for itself."""
    found = literal(host)
    if found is not None:
        return [found[1]]
    look = await system_look(host, port, seconds, time.monotonic())
    if look.attempt is not None:
        return look.attempt
    return [*look.facts["a"], *look.facts["aaaa"]]
